"""What MMHVAE promises whatever its size: subsets, rows, hidden slots, gradients, temperature (method, checks 18 to 21)."""

from __future__ import annotations

import math
from dataclasses import replace

import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from pydantic import ValidationError
from small_models import SMALL, make_batch, make_model

from anymod.core.noise import Noise, fresh_noise, noise_of_rows, shared_noise
from anymod.core.objectives import absolute_error, squared_error
from anymod.core.subsets import as_row
from anymod.models import MMHVAE, MMHVAESettings, Objective
from anymod.models.mmhvae import Level

OBJECTIVE = Objective(absolute_error, kl_weight=0.1)
EVERYTHING = torch.ones(1, 3, dtype=torch.bool)


def noise_from(seed: int = 0) -> Noise:
    return fresh_noise(torch.Generator().manual_seed(seed))


@pytest.mark.parametrize("mask", range(1, 8))
def test_every_subset_gives_every_target(model: MMHVAE, mask: int) -> None:
    batch = make_batch(torch.ones(2, 3, dtype=torch.bool))
    images = model.synthesize(batch.images, torch.tensor([as_row(mask, 3)] * 2), (2, 0), 0.7, noise_from())
    assert images.shape == (2, 2, 16, 24)
    assert images.abs().max() < 1


@pytest.mark.parametrize("count", [1, 2, 16])
def test_any_number_of_modalities_up_to_sixteen(count: int) -> None:
    names = tuple(f"m{number}" for number in range(count))
    model = make_model(modalities=names)
    batch = make_batch(torch.ones(1, count, dtype=torch.bool))
    assert model.synthesize(batch.images, batch.observed, tuple(range(count)), 0.0, None).shape == (1, count, 16, 24)


@pytest.mark.parametrize("names", [(), ("t1", "t1"), tuple(f"m{number}" for number in range(17))])
def test_no_modality_too_many_or_twins_are_refused(names: tuple[str, ...]) -> None:
    with pytest.raises(ValueError, match="modalities"):
        MMHVAE(names, SMALL)


@pytest.mark.parametrize("levels", [(3,), (1, 3), (1, 2, 3), None])
@pytest.mark.parametrize("top", ["map", "vector"])
def test_any_choice_of_levels_that_keeps_the_coarsest(levels: tuple[int, ...] | None, top: str) -> None:
    chosen = SMALL.model_copy(update={"latent_levels": levels, "top": top})
    model, batch = make_model(chosen), make_batch(EVERYTHING)
    outcome = model.losses(batch, batch.observed[None], noise_from(), OBJECTIVE)
    assert sorted(outcome.divergences) == list(levels or (1, 2, 3))
    assert outcome.images.shape == (1, 1, 3, 16, 24)


@pytest.mark.parametrize("unshuffle", [1, 2, 4])
@pytest.mark.parametrize("context", [0, 1, 2])
def test_unshuffling_and_neighbouring_slices_keep_the_image_size(unshuffle: int, context: int) -> None:
    chosen = SMALL.model_copy(update={"unshuffle": unshuffle, "context_slices": context, "image_size": (32, 48)})
    batch = make_batch(EVERYTHING, (32, 48), context)
    assert make_model(chosen).synthesize(batch.images, batch.observed, (1,), 0.0, None).shape == (1, 1, 32, 48)


@given(st.sampled_from([8, 16, 24]), st.sampled_from([16, 32]))
@settings(max_examples=6, deadline=None)
def test_any_size_that_the_strides_divide(height: int, width: int) -> None:
    model, batch = make_model(), make_batch(EVERYTHING, (height, width))
    assert model.synthesize(batch.images, batch.observed, (0,), 0.0, None).shape == (1, 1, height, width)


def test_a_size_that_does_not_divide_is_refused_with_the_stride(model: MMHVAE) -> None:
    batch = make_batch(EVERYTHING, (16, 20))
    with pytest.raises(ValueError, match="divide by 8"):
        model.synthesize(batch.images, batch.observed, (0,), 0.0, None)


def test_a_vector_on_top_fixes_the_size() -> None:
    model, batch = make_model(SMALL.model_copy(update={"top": "vector"})), make_batch(EVERYTHING, (24, 24))
    with pytest.raises(ValueError, match=r"takes slices of \(16, 24\)"):
        model.synthesize(batch.images, batch.observed, (0,), 0.0, None)


def test_nothing_shown_is_refused(model: MMHVAE) -> None:
    batch = make_batch(EVERYTHING)
    with pytest.raises(ValueError, match="at least one"):
        model.synthesize(batch.images, torch.zeros(1, 3, dtype=torch.bool), (0,), 0.0, None)


@pytest.mark.parametrize(
    ("field", "value", "message"),
    [
        ("widths", (3, 4), "even"),
        ("latent_levels", (1, 2), "coarsest"),
        ("latent_levels", (2, 1, 3), "increase"),
        ("image_size", (20, 20), "multiples of 8"),
        ("unshuffle", 3, "Input should be 1, 2 or 4"),
        ("width", 3, "Extra inputs"),
    ],
)
def test_settings_that_contradict_one_another_are_refused(field: str, value: object, message: str) -> None:
    with pytest.raises(ValidationError, match=message):
        MMHVAESettings.model_validate({**SMALL.model_dump(), field: value})


def test_encoding_once_serves_every_subset(model: MMHVAE) -> None:
    batch = make_batch(torch.ones(2, 3, dtype=torch.bool))
    features = model.encode(batch.images, batch.observed)
    for mask in range(1, 8):
        shown = torch.tensor([as_row(mask, 3)] * 2)
        once = model.decode(features, shown, (0, 1, 2), 0.0, None)
        alone = model.synthesize(batch.images, shown, (0, 1, 2), 0.0, None)
        torch.testing.assert_close(once, alone, atol=1e-5, rtol=0)


def test_showing_what_was_not_encoded_is_refused(model: MMHVAE) -> None:
    batch = make_batch(EVERYTHING)
    features = model.encode(batch.images, torch.tensor([[True, False, True]]))
    with pytest.raises(ValueError, match="not encoded"):
        model.decode(features, EVERYTHING, (0,), 0.0, None)


def test_rows_with_different_subsets_give_what_they_give_alone() -> None:
    model = make_model().double()
    observed = torch.tensor([[True, True, True], [True, False, True], [False, True, False]])
    batch = make_batch(observed)
    batch = replace(batch, images=batch.images.double(), targets=batch.targets.double())
    shown = torch.tensor([[True, False, True], [True, False, False], [False, True, False]])

    def noise_of(rows: slice) -> Noise:
        drawn = noise_of_rows(torch.Generator().manual_seed(3), rows, 3)
        return lambda level, shape: drawn(level, shape).double()

    model.losses(batch, shown[None], noise_of(slice(0, 3)), OBJECTIVE).terms["reconstruction"].backward()
    together = [parameter.grad.clone() for parameter in model.parameters() if parameter.grad is not None]
    images = model.losses(batch, shown[None], noise_of(slice(0, 3)), OBJECTIVE).images
    model.zero_grad()
    for row in range(3):
        rows = slice(row, row + 1)
        alone = model.losses(batch.rows(rows), shown[None, rows], noise_of(rows), OBJECTIVE)
        torch.testing.assert_close(alone.images[0], images[0, rows], atol=1e-10, rtol=0)
        (alone.terms["reconstruction"] / 3).backward()
    gradients = [parameter.grad for parameter in model.parameters() if parameter.grad is not None]
    for first, second in zip(together, gradients, strict=True):
        torch.testing.assert_close(first, second, atol=1e-10, rtol=1e-6)


@pytest.mark.parametrize("poison", [math.nan, math.inf, 1e30])
def test_what_lies_in_a_hidden_slot_changes_nothing_bit_for_bit(model: MMHVAE, poison: float) -> None:  # check 18
    batch = make_batch(torch.ones(2, 3, dtype=torch.bool))
    shown = torch.tensor([[True, False, True], [False, False, True]])
    expected = model.synthesize(batch.images, shown, (0, 1, 2), 0.7, noise_from())
    batch.images[~shown] = poison
    assert torch.equal(model.synthesize(batch.images, shown, (0, 1, 2), 0.7, noise_from()), expected)


def test_what_an_absent_modality_holds_changes_no_loss(model: MMHVAE) -> None:  # check 18
    batch = make_batch(torch.tensor([[True, False, True]]))
    shown = torch.tensor([[[True, False, False]]])
    expected = model.losses(batch, shown, noise_from(), OBJECTIVE)
    batch.images[:, 1], batch.targets[:, 1] = math.nan, math.nan
    outcome = model.losses(batch, shown, noise_from(), OBJECTIVE)
    assert {name: term.item() for name, term in outcome.terms.items()} == {
        name: term.item() for name, term in expected.terms.items()
    }


def gradient_norm(module: torch.nn.Module) -> float:
    return sum(float(p.grad.norm()) for p in module.parameters() if p.grad is not None)


def test_gradients_reach_who_is_shown_and_who_is_observed_and_nobody_else(model: MMHVAE) -> None:  # check 19
    batch = make_batch(torch.tensor([[True, True, False]]))  # us shown, t2 hidden, flair absent
    outcome = model.losses(batch, torch.tensor([[[True, False, False]]]), noise_from(), OBJECTIVE)
    sum(outcome.terms.values()).backward()
    assert [gradient_norm(encoder) > 0 for encoder in model.encoders] == [True, False, False]
    assert [gradient_norm(head) > 0 for head in model.heads] == [True, True, False]


def test_an_adversary_reaches_the_head_of_an_absent_modality(model: MMHVAE) -> None:  # check 19
    batch = make_batch(torch.tensor([[True, True, False]]))
    objective = replace(OBJECTIVE, unobserved=True)
    outcome = model.losses(batch, torch.tensor([[[True, False, False]]]), noise_from(), objective)
    outcome.images[0, :, 2].square().sum().backward()
    assert gradient_norm(model.heads[2]) > 0


def test_a_gradient_reaches_every_parameter_that_can_matter(model: MMHVAE) -> None:
    batch = make_batch(torch.ones(4, 3, dtype=torch.bool))
    outcome = model.losses(batch, batch.observed[None], noise_from(), OBJECTIVE)
    sum(outcome.terms.values()).backward()
    missing = [name for name, parameter in model.named_parameters() if parameter.grad is None]
    assert missing == []


def test_one_batch_can_be_learnt_by_heart() -> None:
    model, batch = make_model(), make_batch(torch.ones(2, 3, dtype=torch.bool))
    smooth = torch.nn.functional.avg_pool2d(batch.images[:, :, 0], 9, 1, 4)
    batch = replace(batch, images=smooth[:, :, None], targets=smooth)
    optimizer = torch.optim.Adamax(model.parameters(), 5e-3)
    shown = torch.tensor([[[True, False, True]] * 2])
    objective = replace(OBJECTIVE, kl_weight=0.0)
    history = []
    for _ in range(60):
        terms = model.losses(batch, shown, noise_from(), objective).terms
        optimizer.zero_grad()
        terms["reconstruction"].backward()
        optimizer.step()
        history.append(terms["reconstruction"].item())
    assert history[-1] < 0.6 * history[0]


def test_divergence_is_counted_per_pixel_and_modality(model: MMHVAE) -> None:
    batch = make_batch(EVERYTHING)
    outcome = model.losses(batch, EVERYTHING[None], noise_from(), OBJECTIVE)
    total = sum(nats.item() for nats in outcome.divergences.values())
    assert outcome.terms["divergence"].item() == pytest.approx(0.1 * total, rel=1e-5)
    assert total > 0


def test_levels_may_count_differently(model: MMHVAE) -> None:
    batch = make_batch(EVERYTHING)
    depths = len(model.settings.widths)
    weights = tuple(0.5 + number for number in range(depths))
    outcome = model.losses(batch, EVERYTHING[None], noise_from(), replace(OBJECTIVE, level_weights=weights))
    expected = sum(weights[number - 1] * nats.item() for number, nats in outcome.divergences.items())
    assert outcome.terms["divergence"].item() == pytest.approx(0.1 * expected, rel=1e-5)
    assert len(outcome.divergences) > 1


def test_losses_of_several_draws_are_the_mean_of_each(model: MMHVAE) -> None:
    batch = make_batch(torch.ones(2, 3, dtype=torch.bool))
    shown = torch.tensor([[[True, False, True]] * 2, [[True, True, True]] * 2])
    shared = shared_noise(0, "test")
    together = model.losses(batch, shown, shared, OBJECTIVE).terms
    each = [model.losses(batch, shown[draw : draw + 1], shared, OBJECTIVE).terms for draw in range(2)]
    for name, term in together.items():
        assert term.item() == pytest.approx((each[0][name].item() + each[1][name].item()) / 2, rel=1e-5)


def test_what_a_label_map_marks_counts_as_often_as_asked(model: MMHVAE) -> None:
    batch, shown = make_batch(EVERYTHING), EVERYTHING[None]
    noise = shared_noise(0, "test")
    terms = [
        model.losses(batch, shown, noise, replace(OBJECTIVE, label_weight=weight)).terms["reconstruction"].item()
        for weight in (1.0, 2.0, 5.0)
    ]
    images = model.losses(batch, shown, noise, OBJECTIVE).images[0]
    inside = (images - batch.targets).abs() * batch.label[:, None]
    assert inside.any()
    assert terms[1] - terms[0] == pytest.approx(inside.mean().item(), rel=1e-4)
    assert terms[2] - terms[0] == pytest.approx(4 * inside.mean().item(), rel=1e-4)


def test_temperature_zero_is_deterministic_and_spread_grows_from_there(model: MMHVAE) -> None:  # checks 20 and 21
    batch = make_batch(EVERYTHING)
    still = model.synthesize(batch.images, EVERYTHING, (1,), 0.0, None)
    assert torch.equal(still, model.synthesize(batch.images, EVERYTHING, (1,), 0.0, noise_from(1)))
    distances = [
        (model.synthesize(batch.images, EVERYTHING, (1,), t, noise_from(1)) - still).abs().mean().item()
        for t in (1e-6, 1e-4, 1e-2)
    ]
    assert 0 < distances[0] < distances[1] < distances[2]


def test_the_image_at_temperature_zero_is_not_the_mean_of_images(
    model: MMHVAE,
) -> None:  # check 20: f(mean), not mean of f
    batch = make_batch(EVERYTHING)
    still = model.synthesize(batch.images, EVERYTHING, (1,), 0.0, None)
    rows = 400
    draws = model.synthesize(
        batch.images.expand(rows, *batch.images.shape[1:]), EVERYTHING.expand(rows, 3), (1,), 1.0, noise_from()
    )
    standard_error = draws.std(0) / math.sqrt(rows)
    assert ((draws.mean(0) - still[0]).abs() / standard_error).max() > 8


def test_shared_noise_gives_the_same_volume_whatever_the_batching(model: MMHVAE) -> None:  # check 21
    batch = make_batch(torch.ones(4, 3, dtype=torch.bool))
    noise = shared_noise(5, "sample", 0)
    together = model.synthesize(batch.images, batch.observed, (0,), 0.7, noise)
    apart = [
        model.synthesize(batch.rows(slice(row, row + 1)).images, batch.observed[:1], (0,), 0.7, noise)
        for row in range(4)
    ]
    torch.testing.assert_close(together, torch.cat(apart), atol=1e-5, rtol=0)


def test_images_end_where_the_shown_foreground_ends(model: MMHVAE) -> None:
    batch = make_batch(torch.ones(1, 3, dtype=torch.bool))
    batch.foreground[:, 0, :8] = False
    images = model.losses(batch, torch.tensor([[[True, False, False]]]), noise_from(), OBJECTIVE).images[0]
    assert (images[0, :, ~batch.foreground[0, 0]] == -1).all()
    assert (images[0, :, batch.foreground[0, 0]] > -1).all()


def test_two_threads_give_the_same_gradient_every_time() -> None:
    chosen = SMALL.model_copy(update={"widths": (16, 8), "head_blocks": 0})
    model = make_model(chosen, ("t1", "cet1", "t2", "flair"))
    batch = make_batch(torch.ones(4, 4, dtype=torch.bool), (64, 64))
    threads = torch.get_num_threads()
    torch.set_num_threads(2)
    try:
        gradients = []
        for _ in range(3):
            model.zero_grad()
            outcome = model.losses(batch, batch.observed[None], noise_from(), OBJECTIVE)
            sum(outcome.terms.values()).backward()
            gradients.append(torch.cat([p.grad.flatten() for p in model.parameters() if p.grad is not None]))
    finally:
        torch.set_num_threads(threads)
    assert all(torch.equal(gradient, gradients[0]) for gradient in gradients)


def test_what_lies_in_the_target_of_an_absent_modality_reaches_no_gradient(model: MMHVAE) -> None:
    batch = make_batch(torch.tensor([[True, False, True]]))
    batch.targets[:, 1] = math.nan
    objective = replace(OBJECTIVE, error=squared_error, unobserved=True)
    outcome = model.losses(batch, torch.tensor([[[True, False, False]]]), noise_from(), objective)
    (sum(outcome.terms.values()) + outcome.images.square().sum()).backward()
    assert all(parameter.grad.isfinite().all() for parameter in model.parameters() if parameter.grad is not None)


def distributions_at_start(**changes: float) -> dict[int, Level]:
    model, batch = make_model(SMALL.model_copy(update=changes)), make_batch(EVERYTHING)
    distributions: dict[int, Level] = {}
    model.descend(
        model.encode(batch.images, EVERYTHING),
        EVERYTHING,
        0.0,
        None,
        lambda level: distributions.setdefault(level.number, level),
    )
    return distributions


def test_experts_can_begin_surer_than_the_authors() -> None:
    plain, surer = distributions_at_start(), distributions_at_start(expert_log_variance=-4.0)
    top = max(plain)  # the levels below see another draw from above
    torch.testing.assert_close(surer[top].experts.log_variance, plain[top].experts.log_variance - 4)
    torch.testing.assert_close(surer[top].experts.mean, plain[top].experts.mean)


def test_image_heads_can_have_wider_kernels() -> None:
    wide = make_model(SMALL.model_copy(update={"head_kernel": 7}))
    assert {head.emit.kernel_size for head in wide.heads} == {(7, 7)}
    assert {head.emit.kernel_size for head in make_model().heads} == {(3, 3)}
    batch = make_batch(EVERYTHING)
    sum(wide.losses(batch, EVERYTHING[None], noise_from(), OBJECTIVE).terms.values()).backward()
    assert all(parameter.grad is not None and parameter.grad.isfinite().all() for parameter in wide.parameters())


def test_means_of_experts_can_begin_larger_than_the_authors() -> None:
    plain, larger = distributions_at_start(), distributions_at_start(expert_gain=2.0)
    top = max(plain)
    undone = [
        10 * torch.atanh(distributions[top].experts.mean / 10) for distributions in (plain, larger)
    ]  # before the soft limit
    torch.testing.assert_close(undone[1], 2 * undone[0])
    torch.testing.assert_close(larger[top].experts.log_variance, plain[top].experts.log_variance)

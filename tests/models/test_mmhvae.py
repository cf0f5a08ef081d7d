"""What MMHVAE promises whatever its size: subsets, rows, hidden slots, gradients, temperature (method, checks 18 to 21)."""

from __future__ import annotations

import copy
import math
from dataclasses import replace

import pytest
import torch
from hypothesis import given, settings, strategies as st
from pydantic import ValidationError
from small_models import (
    OBJECTIVE,
    SMALL,
    draws_of,
    go_backward,
    losses_of,
    make_batch,
    make_model,
    noise_from,
    synthesize,
)

from anymod.core.noise import MEAN, Noise, noise_of_rows, shared_noise
from anymod.models import MMHVAE, MMHVAEObjective, MMHVAESettings
from anymod.models.levels import Level

EVERYTHING = torch.ones(1, 3, dtype=torch.bool)


@pytest.mark.parametrize("count", [1, 2, 16])
def test_any_number_of_modalities_up_to_sixteen(count: int) -> None:
    names = tuple(f"m{number}" for number in range(count))
    model = make_model(modalities=names)
    batch = make_batch(torch.ones(1, count, dtype=torch.bool))
    assert synthesize(model, batch.images, batch.observed, tuple(range(count)), 0.0, None).shape == (1, count, 16, 24)


@pytest.mark.parametrize("names", [(), ("t1", "t1"), tuple(f"m{number}" for number in range(17))])
def test_no_modality_too_many_or_twins_are_refused(names: tuple[str, ...]) -> None:
    with pytest.raises(ValueError, match="modalities"):
        MMHVAE(names, SMALL)


@pytest.mark.parametrize("levels", [(3,), (1, 3), (1, 2, 3), None])
@pytest.mark.parametrize("top", ["map", "vector"])
def test_any_choice_of_levels_that_keeps_the_coarsest(levels: tuple[int, ...] | None, top: str) -> None:
    chosen = SMALL.model_copy(update={"latent_levels": levels, "top": top})
    model, batch = make_model(chosen), make_batch(EVERYTHING)
    [losses] = losses_of(model, batch, batch.observed[None], noise_from())
    assert sorted(losses.measured) == [f"nats_level_{level}" for level in levels or (1, 2, 3)]
    assert losses.images.shape == (1, 3, 16, 24)


@pytest.mark.parametrize("unshuffle", [1, 2, 4])
@pytest.mark.parametrize("context", [0, 1, 2])
def test_unshuffling_and_neighbouring_slices_keep_the_image_size(unshuffle: int, context: int) -> None:
    chosen = SMALL.model_copy(update={"unshuffle": unshuffle, "context_slices": context, "image_size": (32, 48)})
    batch = make_batch(EVERYTHING, (32, 48), context)
    assert synthesize(make_model(chosen), batch.images, batch.observed, (1,), 0.0, None).shape == (1, 1, 32, 48)


@given(st.sampled_from([8, 16, 24]), st.sampled_from([16, 32]))
@settings(max_examples=6, deadline=None)
def test_any_size_that_the_strides_divide(height: int, width: int) -> None:
    model, batch = make_model(), make_batch(EVERYTHING, (height, width))
    assert synthesize(model, batch.images, batch.observed, (0,), 0.0, None).shape == (1, 1, height, width)


def test_a_size_that_does_not_divide_is_refused_with_the_stride(model: MMHVAE) -> None:
    batch = make_batch(EVERYTHING, (16, 20))
    with pytest.raises(ValueError, match="divide by 8"):
        synthesize(model, batch.images, batch.observed, (0,), 0.0, None)


def test_a_vector_on_top_fixes_the_size() -> None:
    model, batch = make_model(SMALL.model_copy(update={"top": "vector"})), make_batch(EVERYTHING, (24, 24))
    with pytest.raises(ValueError, match=r"takes slices of \(16, 24\)"):
        synthesize(model, batch.images, batch.observed, (0,), 0.0, None)


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


def test_rows_with_different_subsets_give_what_they_give_alone() -> None:
    model = make_model().double()
    observed = torch.tensor([[True, True, True], [True, False, True], [False, True, False]])
    batch = make_batch(observed)
    batch = replace(batch, images=batch.images.double(), targets=batch.targets.double())
    shown = torch.tensor([[True, False, True], [True, False, False], [False, True, False]])

    def noise_of(rows: slice) -> Noise:
        drawn = noise_of_rows(torch.Generator().manual_seed(3), rows, 3)
        return lambda level, shape: drawn(level, shape).double()

    [whole] = go_backward(model, batch, draws_of(batch, shown[None], noise_of(slice(0, 3))), "reconstruction")
    together = [parameter.grad.clone() for parameter in model.parameters() if parameter.grad is not None]
    model.zero_grad()
    for row in range(3):
        rows = slice(row, row + 1)
        part = batch.rows(rows)
        [alone] = go_backward(model, part, draws_of(part, shown[None, rows], noise_of(rows)), "reconstruction")
        torch.testing.assert_close(alone.images, whole.images[rows], atol=1e-10, rtol=0)
    gradients = [parameter.grad / 3 for parameter in model.parameters() if parameter.grad is not None]
    for first, second in zip(together, gradients, strict=True):
        torch.testing.assert_close(first, second, atol=1e-10, rtol=1e-6)


def gradient_norm(module: torch.nn.Module) -> float:
    return sum(float(p.grad.norm()) for p in module.parameters() if p.grad is not None)


def test_gradients_reach_who_is_shown_and_who_is_observed_and_nobody_else(model: MMHVAE) -> None:  # check 19
    batch = make_batch(torch.tensor([[True, True, False]]))  # us shown, t2 hidden, flair absent
    go_backward(model, batch, draws_of(batch, torch.tensor([[[True, False, False]]]), noise_from()))
    assert [gradient_norm(encoder) > 0 for encoder in model.encoders] == [True, False, False]
    assert [gradient_norm(head) > 0 for head in model.heads] == [True, True, False]


def test_an_adversary_reaches_the_head_of_an_absent_modality(model: MMHVAE) -> None:  # check 19
    batch = make_batch(torch.tensor([[True, True, False]]))
    draws = draws_of(batch, torch.tensor([[[True, False, False]]]), noise_from(), everything=True)
    next(model.losses(batch, draws)).images[:, 2].square().sum().backward()
    assert gradient_norm(model.heads[2]) > 0


def test_divergence_is_counted_per_pixel_and_modality(model: MMHVAE) -> None:
    [losses] = losses_of(model, make_batch(EVERYTHING), EVERYTHING[None], noise_from())
    total = sum(nats.item() for nats in losses.measured.values())
    assert losses.terms["divergence"].item() == pytest.approx(0.1 * total, rel=1e-5)
    assert total > 0


def test_levels_may_count_differently() -> None:
    weights = (0.5, 1.5, 2.5)
    model = make_model(objective=OBJECTIVE.model_copy(update={"level_weights": weights}))
    [losses] = losses_of(model, make_batch(EVERYTHING), EVERYTHING[None], noise_from())
    nats = [losses.measured[f"nats_level_{level}"].item() for level in (1, 2, 3)]
    expected = sum(weight * value for weight, value in zip(weights, nats, strict=True))
    assert losses.terms["divergence"].item() == pytest.approx(0.1 * expected, rel=1e-5)


def test_the_weight_of_the_divergence_rises_and_stays() -> None:
    objective = MMHVAEObjective(kl_weight=0.5, kl_warmup_steps=4)
    assert [objective.kl_weight_at(step) for step in (0, 1, 3, 4, 100)] == [0.125, 0.25, 0.5, 0.5, 0.5]
    assert MMHVAEObjective(kl_weight=0.5, kl_warmup_steps=0).kl_weight_at(0) == 0.5


def test_draws_of_one_encoding_give_the_losses_and_gradients_that_each_gives_alone(model: MMHVAE) -> None:
    batch = make_batch(torch.ones(2, 3, dtype=torch.bool))
    shown = torch.tensor([[[True, False, True]] * 2, [[True, True, True]] * 2])
    shared, alone = shared_noise(0, "test"), copy.deepcopy(model)
    together = go_backward(model, batch, draws_of(batch, shown, shared))
    each = [go_backward(alone, batch, draws_of(batch, one[None], shared))[0] for one in shown]
    for first, second in zip(together, each, strict=True):
        for name, term in first.terms.items():
            assert term.item() == pytest.approx(second.terms[name].item(), rel=1e-5)
    for first, second in zip(model.parameters(), alone.parameters(), strict=True):
        torch.testing.assert_close(first.grad, second.grad / 2, atol=1e-6, rtol=1e-4)


def test_what_a_label_map_marks_counts_as_often_as_asked() -> None:
    batch, noise = make_batch(EVERYTHING), shared_noise(0, "test")
    found = []
    for weight in (1.0, 2.0, 5.0):
        model = make_model(objective=OBJECTIVE.model_copy(update={"label_weight": weight}))
        found += losses_of(model, batch, EVERYTHING[None], noise)
    terms = [losses.terms["reconstruction"].item() for losses in found]
    inside = (found[0].images - batch.targets).abs() * batch.label[:, None]
    assert inside.any()
    assert terms[1] - terms[0] == pytest.approx(inside.mean().item(), rel=1e-4)
    assert terms[2] - terms[0] == pytest.approx(4 * inside.mean().item(), rel=1e-4)


def test_temperature_zero_is_deterministic_and_spread_grows_from_there(model: MMHVAE) -> None:  # checks 20 and 21
    batch = make_batch(EVERYTHING)
    still = synthesize(model, batch.images, EVERYTHING, (1,), 0.0, None)
    assert torch.equal(still, synthesize(model, batch.images, EVERYTHING, (1,), 0.0, noise_from(1)))
    distances = [
        (synthesize(model, batch.images, EVERYTHING, (1,), t, noise_from(1)) - still).abs().mean().item()
        for t in (1e-6, 1e-4, 1e-2)
    ]
    assert 0 < distances[0] < distances[1] < distances[2]


def test_the_image_at_temperature_zero_is_not_the_mean_of_images(
    model: MMHVAE,
) -> None:  # check 20: f(mean), not mean of f
    batch = make_batch(EVERYTHING)
    still = synthesize(model, batch.images, EVERYTHING, (1,), 0.0, None)
    rows = 400
    draws = synthesize(
        model, batch.images.expand(rows, *batch.images.shape[1:]), EVERYTHING.expand(rows, 3), (1,), 1.0, noise_from()
    )
    standard_error = draws.std(0) / math.sqrt(rows)
    assert ((draws.mean(0) - still[0]).abs() / standard_error).max() > 8


def test_shared_noise_gives_the_same_volume_whatever_the_batching(model: MMHVAE) -> None:  # check 21
    batch = make_batch(torch.ones(4, 3, dtype=torch.bool))
    noise = shared_noise(5, "sample", 0)
    together = synthesize(model, batch.images, batch.observed, (0,), 0.7, noise)
    apart = [
        synthesize(model, batch.rows(slice(row, row + 1)).images, batch.observed[:1], (0,), 0.7, noise)
        for row in range(4)
    ]
    torch.testing.assert_close(together, torch.cat(apart), atol=1e-5, rtol=0)


@pytest.mark.slow
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
            go_backward(model, batch, draws_of(batch, batch.observed[None], noise_from()))
            gradients.append(torch.cat([p.grad.flatten() for p in model.parameters() if p.grad is not None]))
    finally:
        torch.set_num_threads(threads)
    assert all(torch.equal(gradient, gradients[0]) for gradient in gradients)


def test_what_lies_in_the_target_of_an_absent_modality_reaches_no_gradient() -> None:
    model = make_model(objective=OBJECTIVE.model_copy(update={"likelihood": "normal"}))
    batch = make_batch(torch.tensor([[True, False, True]]))
    batch.targets[:, 1] = math.nan
    draws = draws_of(batch, torch.tensor([[[True, False, False]]]), noise_from(), everything=True)
    losses = next(model.losses(batch, draws))
    (sum(losses.terms.values()) + losses.images.square().sum()).backward()
    assert all(parameter.grad.isfinite().all() for parameter in model.parameters() if parameter.grad is not None)


@pytest.mark.parametrize("likelihood", ["laplace", "normal"])
def test_hidden_targets_can_have_a_likelihood_of_their_own(likelihood: str) -> None:
    other = "normal" if likelihood == "laplace" else "laplace"
    targets, images = torch.zeros(1, 2, 1, 3), torch.tensor([0.1, -0.2, 0.6]).expand(1, 2, 1, 3)
    error = MMHVAEObjective(likelihood=likelihood, hidden_likelihood=other).error
    shown, hidden = error(targets, images, torch.tensor([[True, False]]))[0, :, 0]
    squared = torch.tensor([0.01, 0.04, 0.36])
    if likelihood == "laplace":
        torch.testing.assert_close(shown, images[0, 0, 0].abs())
        torch.testing.assert_close(hidden, squared / 0.2)
    else:
        torch.testing.assert_close(shown, squared)
        torch.testing.assert_close(hidden, 0.2 * images[0, 0, 0].abs())
    same = MMHVAEObjective(likelihood=likelihood).error(targets, images, torch.tensor([[True, False]]))
    assert torch.equal(same[0, 0], same[0, 1])


@pytest.mark.parametrize("likelihood", ["laplace", "normal"])
def test_a_hidden_target_counts_only_where_it_was_imaged(likelihood: str) -> None:
    """Ultrasound ends inside the head: beyond its fan, its value is unknown and not black."""
    model = make_model(objective=OBJECTIVE.model_copy(update={"likelihood": likelihood}))
    batch = make_batch(torch.tensor([[True, True, False]]))
    batch.foreground[:, :2] = True
    batch.foreground[:, 0, :, 12:] = False
    batch.targets[:, 0, :, 12:] = -1.0
    hidden, seen = torch.tensor([[[False, True, False]]]), torch.tensor([[[True, True, False]]])
    for shown, counted in ((hidden, batch.foreground[:, 0]), (seen, torch.ones_like(batch.foreground[:, 0]))):
        losses = next(model.losses(batch, draws_of(batch, shown, shared_noise(0, "test"))))
        losses.images.retain_grad()
        losses.terms["reconstruction"].backward()
        difference = losses.images.detach()[:, 0] - batch.targets[:, 0]
        # By hand: the mean over two observed images of the mean over pixels; d|x|/dx = sign(x), d(x^2)/dx = 2x.
        slope = difference.sign() if likelihood == "laplace" else 2 * difference
        expected = torch.where(counted, slope / (2 * difference[0].numel()), 0.0)
        torch.testing.assert_close(losses.images.grad[:, 0], expected, atol=1e-9, rtol=1e-5)
        assert bool((losses.images.detach()[:, 0, :, 12:] > -1).any())  # the model does draw something there


def test_shown_images_may_be_compared_with_what_the_network_saw() -> None:
    batch = make_batch(torch.tensor([[True, True, True], [True, False, True]]), context=1)
    shown = torch.tensor([[True, False, True], [True, True, False]])  # the second of the last row was never observed
    compared = batch.with_shown_targets().targets_of(shown)
    assert torch.equal(batch.targets_of(shown), batch.targets)
    seen = batch.images[:, :, 1]  # the slice itself, not a neighbour
    assert torch.equal(compared[:, 0], seen[:, 0])
    assert torch.equal(compared[0, 2], seen[0, 2])
    for row, modality in ((0, 1), (1, 1), (1, 2)):
        assert torch.equal(compared[row, modality], batch.targets[row, modality])


def distributions_at_start(**changes: float) -> dict[int, Level]:
    model, batch = make_model(SMALL.model_copy(update=changes)), make_batch(EVERYTHING)
    distributions: dict[int, Level] = {}
    encoded = model.encode(batch.images, EVERYTHING)
    model.descend(encoded, EVERYTHING, MEAN, visit=lambda level: distributions.update({level.number: level}))
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
    go_backward(wide, batch, draws_of(batch, EVERYTHING[None], noise_from()))
    assert all(parameter.grad is not None and parameter.grad.isfinite().all() for parameter in wide.parameters())


def test_means_of_experts_can_begin_larger_than_the_authors() -> None:
    plain, larger = distributions_at_start(), distributions_at_start(expert_gain=2.0)
    top = max(plain)
    undone = [
        10 * torch.atanh(distributions[top].experts.mean / 10) for distributions in (plain, larger)
    ]  # before the soft limit
    torch.testing.assert_close(undone[1], 2 * undone[0])
    torch.testing.assert_close(larger[top].experts.log_variance, plain[top].experts.log_variance)

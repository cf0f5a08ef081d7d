"""Realistic images: where the flow starts and ends, what it may depend on, and that it learns without changing the network."""

from __future__ import annotations

import math
from collections.abc import Callable
from typing import Any

import pytest
import torch
from small_models import MODALITIES, SMALL, draws_of, go_backward, make_batch, make_model, noise_from, synthesize

from anymod.core.noise import MEAN, Draw, shared_noise
from anymod.models import MMHVAE, MMHVAEObjective, MMHVAESettings, RealisticSettings, build_model
from anymod.models.realistic import RealisticFlow, Start

TINY = RealisticSettings(widths=(8, 16), condition=8)
REALISTIC = Draw(0.0, shared_noise(3), True)
COMPLETE = torch.ones(2, 3, dtype=torch.bool)
FIRST = torch.tensor([[True, False, False]] * 2)


def with_flow(**changes: Any) -> MMHVAE:
    """Return a network whose flow is no longer what it is at first, the identity."""
    settings = MMHVAESettings(**{**SMALL.model_dump(), "realistic": TINY, **changes})
    network = make_model(settings, objective=MMHVAEObjective(learn="realistic"))
    with torch.no_grad():
        for parameter in network.flow.parameters():
            parameter.add_(
                0.1 * torch.randn(parameter.shape, generator=torch.Generator().manual_seed(parameter.numel()))
            )
    return network


def start_of(seed: int = 0) -> tuple[Start, torch.Tensor]:
    batch = make_batch(COMPLETE, seed=seed)
    target = torch.tensor([1, 2])
    truth = batch.targets[torch.arange(2), target]
    return Start.of(truth * 0.5, batch.images, FIRST, target), truth


def test_an_untrained_flow_returns_the_mean_with_noise_and_its_errors_are_those_of_no_motion() -> None:
    flow, (start, truth) = RealisticFlow(3, TINY), start_of()
    normal = torch.randn(truth.shape, generator=torch.Generator().manual_seed(1))
    torch.testing.assert_close(flow.sample(start, normal), (start.mean + 0.05 * normal).clamp(-1, 1))
    inside = truth > 0
    errors = flow.errors(start, truth, inside, normal, torch.tensor([0.2, 0.9]))
    still = (truth - start.mean - 0.05 * normal).square()
    torch.testing.assert_close(
        errors, torch.stack([each[where].mean() for each, where in zip(still, inside, strict=True)])
    )


def test_the_background_gets_neither_mean_nor_noise() -> None:
    batch = make_batch(COMPLETE)
    batch.images[:, 0, :, :, :5] = -1.0
    images = synthesize_realistic(with_flow(), batch.images, FIRST, (1,))
    assert (images[:, :, :, :5] == -1).all() and (images[:, :, :, 5:] > -1).any()


def test_a_target_that_is_shown_stays_as_the_network_makes_it() -> None:
    network, images = with_flow(), make_batch(COMPLETE).images
    shown = torch.tensor([[True, False, False], [True, True, False]])
    found, mean = synthesize_realistic(network, images, shown, (1,)), synthesize(network, images, shown, (1,))
    assert torch.equal(found[1], mean[1]) and not torch.equal(found[0], mean[0])


def test_several_processes_have_the_mean_of_one() -> None:
    network, batch = with_flow(), make_batch(COMPLETE)
    shown = torch.tensor([[[True, False, False], [True, True, True]]])  # the second row hides nothing
    numbers = {
        shape: torch.randn(shape, generator=torch.Generator().manual_seed(1)) for shape in ((2, 3, 16, 24), (2, 3))
    }

    def term(rows: slice) -> float:
        def noise(_: int, shape: tuple[int, ...]) -> torch.Tensor:
            return numbers[(2, *shape[1:])][rows]

        [losses] = network.losses(batch.rows(rows), draws_of(batch.rows(rows), shown[:, rows], noise))
        return losses.terms["realistic"].item()

    both = term(slice(0, 2))
    assert both > 0
    assert (term(slice(0, 1)) + term(slice(1, 2))) / 2 == pytest.approx(both, rel=1e-5)


def synthesize_realistic(
    model: Any, images: torch.Tensor, shown: torch.Tensor, targets: tuple[int, ...]
) -> torch.Tensor:
    return model.encode(images, shown).decode(shown, targets, REALISTIC)


@pytest.mark.parametrize("poison", [math.nan, math.inf])
def test_what_lies_in_a_hidden_slot_changes_nothing_bit_for_bit(poison: float) -> None:
    network, images = with_flow(), make_batch(COMPLETE).images
    expected = synthesize_realistic(network, images, FIRST, (1, 2))
    images[:, 1:] = poison
    assert torch.equal(synthesize_realistic(network, images, FIRST, (1, 2)), expected)


def test_an_image_depends_on_seed_time_and_place_but_not_on_the_other_targets() -> None:
    network, images = with_flow(), make_batch(COMPLETE).images
    both = synthesize_realistic(network, images, FIRST, (1, 2))
    torch.testing.assert_close(synthesize_realistic(network, images, FIRST, (2,))[:, 0], both[:, 1])
    encoding = network.encode(images, FIRST)
    assert not torch.equal(encoding.decode(FIRST, (1,), Draw(0.0, shared_noise(4), True))[:, 0], both[:, 0])
    assert not torch.equal(encoding.decode(FIRST, (1,), MEAN)[:, 0], both[:, 0])


def test_learning_it_leaves_the_network_alone_and_reaches_every_parameter_of_the_flow() -> None:
    network, batch = with_flow(), make_batch(COMPLETE)
    [losses] = go_backward(network, batch, draws_of(batch, FIRST[None], noise_from()))
    assert set(losses.terms) == {"realistic"}
    reached = {name for name, parameter in network.named_parameters() if parameter.grad is not None}
    assert reached == {name for name, _ in network.named_parameters() if name.startswith("flow.")}


def test_the_images_of_the_loss_are_the_networks_means() -> None:
    network, batch = with_flow(), make_batch(COMPLETE)
    [losses] = network.losses(batch, draws_of(batch, FIRST[None], noise_from()))
    inside = (batch.foreground & FIRST[:, :, None, None]).any(1)[:, None]
    expected = torch.where(inside, synthesize(network, batch.images, FIRST, (0, 1, 2)), -1.0)
    torch.testing.assert_close(losses.images, expected)


def test_rows_that_hide_nothing_have_no_loss_and_no_gradient() -> None:
    network, batch = with_flow(), make_batch(COMPLETE)
    [losses] = go_backward(network, batch, draws_of(batch, COMPLETE[None], noise_from()))
    assert losses.terms["realistic"].item() == 0
    assert all(float(parameter.grad.abs().max()) == 0 for parameter in network.flow.parameters())


@pytest.mark.slow
def test_it_learns_images_by_heart_that_their_means_do_not_show() -> None:
    flow, (start, truth) = RealisticFlow(3, TINY), start_of()
    smooth = torch.nn.functional.avg_pool2d(truth[:, None], 3, 1, 1)[:, 0].clamp(-0.9, 0.9)
    optimizer, generator = torch.optim.Adam(flow.parameters(), 1e-2), torch.Generator().manual_seed(0)
    inside = torch.ones_like(truth, dtype=torch.bool)
    for _ in range(150):
        optimizer.zero_grad()
        normal = torch.randn(truth.shape, generator=generator)
        flow.errors(start, smooth, inside, normal, torch.rand(2, generator=generator)).sum().backward()
        optimizer.step()
    with torch.no_grad():
        found = flow.sample(start, torch.randn(truth.shape, generator=generator))
    assert (found - smooth).square().mean() < 0.2 * (start.mean - smooth).square().mean()


def run_parts(network: MMHVAE) -> Callable[[str], Any]:
    """Return what another runtime would do with the parts of a network."""

    def run(name: str) -> Any:
        module = network.part(name).module

        def call(*inputs: Any) -> list[Any]:
            tensors = [torch.from_numpy(each) for each in inputs]
            if name == "descent":
                depths = len(SMALL.widths)
                tensors = [tensors[:depths], tensors[depths], tensors[depths + 1], tensors[depths + 2 :]]
            found = module(*tensors)
            return [each.numpy() for each in (found if isinstance(found, list) else [found])]

        return call

    return run


@torch.inference_mode()
def test_other_runtimes_make_the_same_images() -> None:
    network, images = with_flow(), make_batch(COMPLETE).images
    found = synthesize_realistic(network.assembled(run_parts(network)), images, FIRST, (1, 2))
    torch.testing.assert_close(found, synthesize_realistic(network, images, FIRST, (1, 2)), rtol=0, atol=2e-5)
    torch.testing.assert_close(network.graph()(images, FIRST), synthesize(network, images, FIRST, (0, 1, 2)))


def test_what_cannot_be_made_is_refused() -> None:
    batch = make_batch(COMPLETE)
    with pytest.raises(ValueError, match="not learnt realistic images"):
        synthesize_realistic(make_model(), batch.images, FIRST, (1,))
    with pytest.raises(ValueError, match="need noise"):
        with_flow().encode(batch.images, FIRST).decode(FIRST, (1,), Draw(0.0, None, True))
    with pytest.raises(ValueError, match="multiples of 8"):
        RealisticSettings(widths=(12,))
    with pytest.raises(ValueError, match="multiple of 16 as stride"):
        MMHVAESettings(**{**SMALL.model_dump(), "realistic": RealisticSettings(widths=(8, 8, 8, 8))})


def test_a_network_without_it_is_built_from_settings_that_do_not_know_it() -> None:
    assert build_model("mmhvae", MODALITIES, SMALL.model_dump(exclude={"realistic"}), "a test").flow is None

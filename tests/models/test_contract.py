"""What every architecture promises: one suite over all entries of the registry."""

from __future__ import annotations

import copy
import math
from typing import Any

import pytest
import torch
from small_models import MODALITIES, draws_of, go_backward, losses_of, make_batch, noise_from, synthesize

from anymod.core.noise import MEAN, shared_noise
from anymod.core.subsets import as_row
from anymod.models import ARCHITECTURES, Network, build_model

SHAPE: dict[str, Any] = {"widths": [4, 6, 8], "head_channels": 3, "head_blocks": 1, "image_size": [16, 24]}
TINY: dict[str, dict[str, Any]] = {
    "mmhvae": {**SHAPE, "unshuffle": 2},
    "dorent2024": {**SHAPE, "unshuffle": 1, "top": "vector", "expansion": 2, "head_kernel": 3},
}
"""Settings of a tiny network of each architecture, for slices of 16 x 24."""
EVERY_SUBSET = torch.tensor([as_row(mask, 3) for mask in range(1, 8)])
COMPLETE = torch.ones(7, 3, dtype=torch.bool)


def build(architecture: str) -> Network:
    with torch.random.fork_rng():
        torch.manual_seed(0)
        return build_model(architecture, MODALITIES, TINY[architecture], "a test")


@pytest.fixture(params=sorted(ARCHITECTURES))
def network(request: pytest.FixtureRequest) -> Network:
    return build(request.param)


def test_every_architecture_is_in_the_suite() -> None:
    assert set(TINY) == set(ARCHITECTURES)


def test_every_subset_gives_every_target(network: Network) -> None:
    images = synthesize(network, make_batch(COMPLETE).images, EVERY_SUBSET, (2, 0), 0.7, noise_from())
    assert images.shape == (7, 2, 16, 24)
    assert images.abs().max() <= 1


def test_encoding_once_serves_every_subset(network: Network) -> None:
    images = make_batch(COMPLETE).images
    together = synthesize(network, images, EVERY_SUBSET, (0, 1, 2))
    for row, shown in enumerate(EVERY_SUBSET):
        alone = synthesize(network, images[row : row + 1], shown[None], (0, 1, 2))
        torch.testing.assert_close(together[row : row + 1], alone, atol=1e-5, rtol=0)


@pytest.mark.parametrize("poison", [math.nan, math.inf])
def test_what_lies_in_a_hidden_slot_changes_nothing_bit_for_bit(network: Network, poison: float) -> None:
    images = make_batch(COMPLETE).images
    expected = synthesize(network, images, EVERY_SUBSET, (0, 1, 2), 0.7, shared_noise(0))
    images[~EVERY_SUBSET] = poison
    assert torch.equal(synthesize(network, images, EVERY_SUBSET, (0, 1, 2), 0.7, shared_noise(0)), expected)


def test_what_an_absent_modality_holds_changes_no_loss(network: Network) -> None:
    batch, shown = make_batch(torch.tensor([[True, False, True]])), torch.tensor([[[True, False, False]]])
    [expected] = losses_of(network, batch, shown, shared_noise(0))
    batch.images[:, 1], batch.targets[:, 1] = math.nan, math.nan
    [found] = losses_of(network, batch, shown, shared_noise(0))
    assert {name: term.item() for name, term in found.terms.items()} == {
        name: term.item() for name, term in expected.terms.items()
    }


@pytest.mark.parametrize(("shown", "fault"), [([False] * 3, "at least one"), ([True, True, False], "not encoded")])
def test_what_cannot_be_decoded_is_refused(network: Network, shown: list[bool], fault: str) -> None:
    encoding = network.encode(make_batch(COMPLETE[:1]).images, torch.tensor([[True, False, False]]))
    with pytest.raises(ValueError, match=fault):
        encoding.decode(torch.tensor([shown]), (0,), MEAN)


def test_a_gradient_reaches_every_parameter(network: Network) -> None:
    batch = make_batch(COMPLETE)
    go_backward(network, batch, draws_of(batch, batch.observed[None], noise_from()))
    assert [name for name, parameter in network.named_parameters() if parameter.grad is None] == []


def test_losses_are_finite_and_images_end_at_the_foreground(network: Network) -> None:
    batch = make_batch(COMPLETE)
    [losses] = losses_of(network, batch, EVERY_SUBSET[None], noise_from())
    assert all(term.ndim == 0 and term.isfinite() for term in losses.terms.values())
    outside = ~(batch.foreground & EVERY_SUBSET[:, :, None, None]).any(1)
    assert (losses.images.transpose(0, 1)[:, outside] == -1).all()


@pytest.mark.slow
def test_one_batch_can_be_learnt_by_heart(network: Network) -> None:
    batch = make_batch(COMPLETE[:2])
    smooth = torch.nn.functional.avg_pool2d(batch.images[:, :, 0], 9, 1, 4)
    batch.images[:], batch.targets[:] = smooth[:, :, None], smooth
    optimizer = torch.optim.Adamax(network.parameters(), 5e-3)
    draws = draws_of(batch, torch.tensor([[[True, False, True]] * 2]), noise_from())
    history = []
    for _ in range(60):
        optimizer.zero_grad()
        [losses] = go_backward(network, batch, draws, "reconstruction")
        optimizer.step()
        history.append(losses.terms["reconstruction"].item())
    assert history[-1] < 0.6 * history[0]


def test_training_resumes_bit_for_bit_from_a_state(network: Network) -> None:
    batch = make_batch(COMPLETE)
    draws = draws_of(batch, EVERY_SUBSET[None], shared_noise(0))

    def advance(model: Network, optimizer: torch.optim.Optimizer) -> None:
        optimizer.zero_grad()
        go_backward(model, batch, draws)
        optimizer.step()

    optimizer = torch.optim.Adamax(network.parameters(), 1e-2)
    advance(network, optimizer)
    states = copy.deepcopy((network.state_dict(), optimizer.state_dict()))
    advance(network, optimizer)
    torch.rand(5)  # hidden state must not matter
    resumed = build("dorent2024" if network.spec.fixed_size else "mmhvae")
    resumed.load_state_dict(states[0])
    second = torch.optim.Adamax(resumed.parameters(), 1e-2)
    second.load_state_dict(states[1])
    advance(resumed, second)
    for name, tensor in network.state_dict().items():
        assert torch.equal(resumed.state_dict()[name], tensor), name


@torch.inference_mode()
def test_the_graph_gives_the_networks_images_for_every_subset(network: Network) -> None:
    network = network.double()
    before = list(network.state_dict())
    images = make_batch(COMPLETE).images.double()
    expected = synthesize(network, images, EVERY_SUBSET, (0, 1, 2))
    images[~EVERY_SUBSET] = 9.0
    torch.testing.assert_close(network.graph().double()(images, EVERY_SUBSET), expected, rtol=0, atol=1e-12)
    assert list(network.state_dict()) == before  # the network itself keeps its weight normalization


@torch.inference_mode()
def test_the_parts_give_the_networks_means_and_draws(network: Network) -> None:
    def run(name: str) -> Any:
        module = network.part(name).module
        return lambda *inputs: run_part(module, inputs)

    def run_part(module: torch.nn.Module, inputs: tuple[Any, ...]) -> list[Any]:
        tensors = [torch.from_numpy(each) for each in inputs]
        if len(tensors) > 1:  # a decoder takes its maps, and perhaps noise, as lists
            depths = next(place for place, each in enumerate(tensors) if each.dtype == torch.bool)
            rest = [tensors[depths + 1], tensors[depths + 2 :]] if len(tensors) > depths + 1 else []
            tensors = [tensors[:depths], tensors[depths], *rest]
        found = module(*tensors)
        return [each.numpy() for each in (found if isinstance(found, list) else [found])]

    images, model = make_batch(COMPLETE).images, network.assembled(run)
    for temperature in (0.0, 0.7):
        expected = synthesize(network, images, EVERY_SUBSET, (0, 2), temperature, shared_noise(1))
        found = synthesize(model, images, EVERY_SUBSET, (0, 2), temperature, shared_noise(1))
        torch.testing.assert_close(found, expected, rtol=0, atol=2e-5)


@pytest.mark.slow
def test_the_graph_can_be_traced(network: Network) -> None:
    graph, images = network.graph(), make_batch(COMPLETE).images
    traced = torch.export.export(graph, (images, EVERY_SUBSET))
    torch.testing.assert_close(traced.module()(images, EVERY_SUBSET), graph(images, EVERY_SUBSET), rtol=0, atol=1e-5)

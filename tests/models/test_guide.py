"""The guide: what it fits, what it mixes, and what must not change it."""

from __future__ import annotations

import math
from dataclasses import replace

import numpy as np
import pytest
import torch
from small_models import (
    MODALITIES,
    SMALL,
    draws_of,
    losses_of,
    make_batch,
    make_model,
    noise_from,
    synthesize,
)
from test_contract import EVERY_SUBSET
from test_realistic import run_parts, synthesize_realistic, with_flow

from anymod.core.batch import Batch
from anymod.core.noise import MEAN
from anymod.models import MMHVAE, MMHVAESettings
from anymod.models.guide import Guide, Surroundings

COMPLETE = torch.ones(4, 3, dtype=torch.bool)
T2_FROM_US = torch.tensor([[True, False, False]])


def linked(batch: Batch) -> Batch:
    """Return a batch whose T2 is a linear function of its ultrasound in the foreground."""
    targets = batch.targets.clone()
    targets[:, 1] = 0.1 - 0.5 * targets[:, 0]
    targets = torch.where(batch.foreground, targets, -1.0)
    return replace(batch, images=targets[:, :, None].clone(), targets=targets)


def guided(shares: dict[str, float]) -> MMHVAE:
    return make_model(MMHVAESettings(**{**SMALL.model_dump(), "guide_shares": shares}))


def fitted(shares: dict[str, float]) -> MMHVAE:
    network = guided(shares)
    network.see([linked(make_batch(COMPLETE, seed=seed)) for seed in range(3)])
    return network


@torch.inference_mode()
def test_hidden_images_are_mixtures_and_shown_ones_the_networks_own() -> None:
    batch = linked(make_batch(COMPLETE[:1], seed=9))
    alone, mixed = (
        synthesize(each, batch.images, T2_FROM_US, (0, 1, 2)) for each in (make_model(), fitted({"t2": 0.4}))
    )
    inside = batch.foreground[:, 0]
    expected = 0.6 * alone[:, 1] + 0.4 * (0.1 - 0.5 * batch.targets[:, 0])
    torch.testing.assert_close(mixed[:, 1][inside], expected[inside], atol=0.03, rtol=0)  # the ridge shrinks a little
    assert not torch.allclose(mixed[:, 1][inside], alone[:, 1][inside], atol=0.03)
    assert torch.equal(mixed[:, [0, 2]], alone[:, [0, 2]])


def test_the_regression_is_that_of_least_squares_on_the_same_features() -> None:
    guide, batch = Guide(MODALITIES, {"t2": 1.0, "flair": 0.5}), make_batch(COMPLETE)
    guide.fit([batch.rows(slice(0, 2)), batch.rows(slice(2, 4))])
    seen = Surroundings.of(batch.images, batch.observed)
    features, shown = seen.features, torch.tensor([[True, False, True]])
    nothing = torch.zeros(4, 1, 16, 24)
    [found] = guide.mixed(nothing, seen, shown.expand(4, -1), [1]).unbind(1)
    inside = batch.foreground.all(1)
    places = [each for each, needed in enumerate(guide.needs) if not needed & 0b010]
    made = features[:, places].transpose(0, 1)[:, inside].double().numpy().T
    wanted = batch.targets[:, 1][inside].double().numpy()
    scaled = (made - made.mean(0)) / made.std(0)
    ridge = np.linalg.solve(scaled.T @ scaled / len(made) + 0.01 * np.eye(len(places)), scaled.T @ wanted / len(made))
    expected = (wanted.mean() + scaled @ ridge).clip(-1, 1)
    np.testing.assert_allclose(found[inside].numpy(), expected, atol=1e-4)


@pytest.mark.parametrize("poison", [math.nan, math.inf])
@torch.inference_mode()
def test_what_lies_in_a_hidden_slot_changes_nothing_bit_for_bit(poison: float) -> None:
    network, images = (
        fitted({"us": 0.2, "t2": 0.4, "flair": 0.3}),
        make_batch(torch.ones(7, 3, dtype=torch.bool)).images,
    )
    expected = synthesize(network, images, EVERY_SUBSET, (0, 1, 2))
    images[~EVERY_SUBSET] = poison
    assert torch.equal(synthesize(network, images, EVERY_SUBSET, (0, 1, 2)), expected)


@torch.inference_mode()
def test_encoding_once_serves_every_subset_and_every_runtime() -> None:
    network, images = (
        fitted({"us": 0.2, "t2": 0.4, "flair": 0.3}),
        make_batch(torch.ones(7, 3, dtype=torch.bool)).images,
    )
    together = synthesize(network, images, EVERY_SUBSET, (0, 1, 2))
    encoding = network.encode(images, torch.ones_like(EVERY_SUBSET))
    torch.testing.assert_close(encoding.decode(EVERY_SUBSET, (0, 1, 2), MEAN), together, atol=1e-5, rtol=0)
    torch.testing.assert_close(network.graph()(images, EVERY_SUBSET), together, atol=1e-5, rtol=0)
    assembled = network.assembled(run_parts(network))
    torch.testing.assert_close(synthesize(assembled, images, EVERY_SUBSET, (0, 1, 2)), together, atol=2e-5, rtol=0)


def test_losses_know_nothing_of_it() -> None:
    batch = make_batch(COMPLETE)
    shown = torch.tensor([[[True, False, False]] * 4])
    pairs = [losses_of(each, batch, shown, noise_from())[0] for each in (make_model(), fitted({"t2": 0.4}))]
    assert torch.equal(pairs[0].images, pairs[1].images)
    assert {name: term.item() for name, term in pairs[0].terms.items()} == {
        name: term.item() for name, term in pairs[1].terms.items()
    }


def test_realistic_images_begin_with_the_mixture() -> None:
    network = with_flow(guide_shares={"t2": 0.4})
    plain = with_flow()
    batch = linked(make_batch(COMPLETE[:2]))
    shown = torch.tensor([[True, False, False]] * 2)
    assert network.guide is not None
    network.guide.fit([linked(make_batch(COMPLETE, seed=seed)) for seed in range(3)])
    mixed = synthesize(network, batch.images, shown, (0, 1, 2))
    [losses] = network.losses(batch, draws_of(batch, shown[None], noise_from()))
    here = batch.foreground[:, 0]
    torch.testing.assert_close(losses.images[:, 1][here], mixed[:, 1][here])
    row_without = make_batch(torch.tensor([[True, False, True]] * 2))
    [losses] = network.losses(row_without, draws_of(row_without, shown[None], noise_from()))
    assert (losses.images[:, 1] == -1).all()  # nobody wants what the subject lacks
    ours, theirs = (synthesize_realistic(each, batch.images, shown, (1,)) for each in (network, plain))
    assert not torch.allclose(ours, theirs, atol=0.02)
    before = network.guide.coefficients.clone()
    network.see([make_batch(COMPLETE)])  # what learns realistic images leaves the rest as it is
    assert torch.equal(network.guide.coefficients, before)


@torch.inference_mode()
def test_where_a_shown_image_is_background_the_network_is_alone() -> None:
    images = linked(make_batch(COMPLETE[:1], seed=9)).images
    images[:, 0, :, :, :12] = -1  # a field of view that ends
    shown = torch.tensor([[True, False, True]])
    alone, mixed = (synthesize(each, images, shown, (1,)) for each in (make_model(), fitted({"t2": 0.4})))
    known = (images[:, [0, 2], 0] > -1).all(1, keepdim=True)
    assert torch.equal(mixed[~known], alone[~known])
    assert (mixed[known] != alone[known]).all()


def test_a_few_voxels_in_common_are_too_few_to_fit() -> None:
    network = guided({"t2": 0.4, "flair": 0.4})
    batch = make_batch(COMPLETE)
    foreground = batch.foreground.clone()
    foreground[:, 1, 4:] = False  # T2 shares 4 rows of 24 with the others in 4 slices
    network.see([replace(batch, foreground=foreground)])
    assert network.guide is not None
    assert network.guide.shares[:, 1].count_nonzero() == 0
    assert network.guide.shares[0b001, 2] == pytest.approx(0.4)


def test_a_slice_of_one_value_does_not_count_in_the_fit() -> None:
    batches = [linked(make_batch(COMPLETE, seed=seed)) for seed in range(3)]
    flat = replace(batches[0], images=torch.full_like(batches[0].images, -1.0))
    expected, found = guided({"t2": 0.4}), guided({"t2": 0.4})
    expected.see(batches)
    found.see([*batches, flat])
    assert expected.guide is not None
    assert found.guide is not None
    torch.testing.assert_close(found.guide.coefficients, expected.guide.coefficients)


def test_what_no_subject_has_together_keeps_the_networks_image() -> None:
    network = guided({"t2": 0.4, "flair": 0.4})
    observed = torch.tensor([[True, True, False]] * 4)
    network.see([make_batch(observed)])
    images = make_batch(COMPLETE[:1]).images
    alone, mixed = (synthesize(each, images, T2_FROM_US, (1, 2)) for each in (make_model(), network))
    assert torch.equal(mixed[:, 1], alone[:, 1])
    assert not torch.allclose(mixed[:, 0], alone[:, 0], atol=0.02)


def test_shares_of_other_modalities_are_refused() -> None:
    with pytest.raises(ValueError, match="guide_shares names t9; the modalities are us, t2, flair"):
        guided({"t9": 0.1})
    with pytest.raises(ValueError, match="at most 8 modalities"):
        Guide([f"m{number}" for number in range(9)], {"m0": 0.1})

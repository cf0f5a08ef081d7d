"""The regression that a hidden image is mixed with: fitted where it can be, and nowhere else."""

from __future__ import annotations

from dataclasses import replace

import pytest
import torch
from small_models import SMALL, make_batch, make_model, synthesize

from anymod.core.batch import Batch
from anymod.core.subsets import as_row
from anymod.models import MMHVAE
from anymod.models.guide import MOST_MODALITIES, Guide

EVERY_SUBSET = torch.tensor([as_row(mask, 3) for mask in range(1, 8)])
SHARE = 0.4


def linear_batch(observed: list[bool], seed: int = 0) -> Batch:
    """Return seven slices whose third target is 0.5 x - 0.3 of the first image."""
    batch = make_batch(torch.tensor([observed] * 7), seed=seed)
    targets = batch.targets.clone()
    targets[:, 2] = torch.where(batch.foreground[:, 2], 0.5 * batch.images[:, 0, 0] - 0.3, -1.0)
    return replace(batch, targets=targets)


def guided() -> tuple[MMHVAE, MMHVAE]:
    """Return a guided network and the same without a guide."""
    model, plain = make_model(SMALL.model_copy(update={"guide_share": SHARE})), make_model()
    plain.load_state_dict({name: value for name, value in model.state_dict().items() if "guide" not in name})
    return model.eval(), plain.eval()


@torch.inference_mode()
def test_hidden_images_are_a_mixture_and_shown_ones_are_the_networks() -> None:
    model, plain = guided()
    batch = linear_batch([True] * 3)
    model.see([batch])
    found, own = (synthesize(each, batch.images, EVERY_SUBSET, (0, 2)) for each in (model, plain))
    for row, shown in enumerate(EVERY_SUBSET.tolist()):
        assert torch.equal(found[row, 0], own[row, 0]) == shown[0]
        if shown[0] and not shown[2]:
            inside = batch.foreground[row, 0]
            expected = (1 - SHARE) * own[row, 1] + SHARE * batch.targets[row, 2]
            torch.testing.assert_close(found[row, 1][inside], expected[inside], atol=0.01, rtol=0)


@torch.inference_mode()
def test_what_no_training_subject_has_together_is_the_networks_alone() -> None:
    model, plain = guided()
    model.see([linear_batch([True, True, False])])
    images = make_batch(torch.ones(1, 3, dtype=torch.bool)).images
    shown = torch.tensor([[True, False, False]])
    found, own = (synthesize(each, images, shown, (1, 2)) for each in (model, plain))
    assert torch.equal(found[:, 1], own[:, 1])
    assert not torch.equal(found[:, 0], own[:, 0])


def test_batches_give_what_all_slices_give_together() -> None:
    batches = [linear_batch([True] * 3, seed) for seed in range(2)]
    names = ("images", "targets", "foreground", "observed", "label")
    joined = {name: torch.cat([getattr(each, name) for each in batches]) for name in names}
    one, two = Guide(3, SHARE), Guide(3, SHARE)
    one.fit([Batch(**joined, subjects=batches[0].subjects * 2)])
    two.fit(batches)
    torch.testing.assert_close(one.coefficients, two.coefficients, atol=1e-4, rtol=1e-4)


def test_too_many_modalities_are_refused() -> None:
    with pytest.raises(ValueError, match="at most 8"):
        Guide(MOST_MODALITIES + 1, SHARE)

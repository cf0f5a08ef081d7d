"""The perceptual term: what it compares, and that it has a gradient there only."""

from __future__ import annotations

import pytest
import torch

from anymod.core.batch import Batch
from anymod.core.perception import lpips_of_slices
from anymod.models.perception import lpips_weights
from anymod.training.perception import perceptual_term


def batch_of(images: torch.Tensor) -> Batch:
    """Return two slices of two modalities, half of each foreground; the second row lacks the second modality."""
    foreground = torch.zeros_like(images, dtype=torch.bool)
    foreground[..., :40] = True
    observed = torch.tensor([[True, True], [True, False]])
    foreground &= observed[:, :, None, None]
    targets = torch.where(foreground, images, -1.0)
    return Batch(targets[:, :, None], targets, foreground, observed, foreground[:, 0], ("p", "q"))


def test_hidden_images_are_compared_inside_their_own_foreground() -> None:
    generator = torch.Generator().manual_seed(0)
    truth, images = (torch.rand(2, 2, 64, 64, generator=generator) * 2 - 1 for _ in range(2))
    batch, shown = batch_of(truth), torch.tensor([[True, False], [True, False]])
    images.requires_grad_()
    term = perceptual_term(images, batch, shown)
    inside = torch.where(batch.foreground[0, 1], images[0, 1].detach(), -1.0)[None]
    distance = float(lpips_of_slices(inside, batch.targets[0, 1][None], lpips_weights()))
    assert term.item() == pytest.approx(distance / 2)  # the second row hides nothing
    term.backward()
    assert images.grad is not None
    reached = images.grad.ne(0)
    assert reached[0, 1, :, :40].any() and not reached[0, 1, :, 40:].any()
    assert not reached[0, 0].any() and not reached[1].any()


def test_several_processes_have_the_mean_of_one() -> None:
    generator = torch.Generator().manual_seed(1)
    truth, images = (torch.rand(2, 2, 64, 64, generator=generator) * 2 - 1 for _ in range(2))
    batch, shown = batch_of(truth), torch.tensor([[True, False], [True, False]])
    parts = [perceptual_term(images[rows], batch.rows(rows), shown[rows]) for rows in (slice(0, 1), slice(1, 2))]
    assert perceptual_term(images, batch, shown).item() == pytest.approx(sum(parts).item() / 2)


def test_nothing_hidden_costs_nothing() -> None:
    batch = batch_of(torch.zeros(2, 2, 8, 8))
    assert perceptual_term(torch.zeros(2, 2, 8, 8), batch, batch.observed) == 0

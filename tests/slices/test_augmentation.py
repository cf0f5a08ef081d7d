"""Augmentation: what it may change, what it must not, and that each row has draws of its own."""

from __future__ import annotations

import math
from dataclasses import replace

import numpy as np
import pytest
import torch
from hypothesis import given, settings, strategies as st

from anymod.core.batch import Batch
from anymod.slices import AugmentationSettings, augment
from anymod.slices.augmentation import _Draws, _move, _pull_matrix

FLOOR = -255 / 256
NOTHING = AugmentationSettings(mirror_probability=0, affine_probability=0, intensity_probability=0)


def phantom_batch(rows: int = 3, context: int = 1, size: tuple[int, int] = (20, 16)) -> Batch:
    """Return a batch of three modalities, the last one absent, with a lopsided foreground."""
    generator = torch.Generator().manual_seed(5)
    foreground = torch.zeros(rows, 3, *size, dtype=torch.bool)
    foreground[:, :2, 4:14, 3:12] = True
    foreground[:, 1, 4:9, 3:6] = False
    values = torch.rand(rows, 3, 1 + 2 * context, *size, generator=generator) * (1 - FLOOR) + FLOOR
    images = torch.where(foreground[:, :, None], values, -1.0)
    observed = torch.tensor([[True, True, False]]).expand(rows, 3).clone()
    names = tuple(f"s{row}" for row in range(rows))
    return Batch(images, images[:, :, context].clone(), foreground, observed, foreground[:, 1].clone(), names)


def copy_of(batch: Batch) -> tuple[torch.Tensor, ...]:
    return tuple(
        tensor.clone() for tensor in (batch.images, batch.targets, batch.foreground, batch.observed, batch.label)
    )


@given(st.integers(0, 2**40), st.integers(0, 1000))
@settings(max_examples=15, deadline=None)
def test_background_stays_exact_and_foreground_in_range(seed: int, step: int) -> None:
    batch = phantom_batch()
    before = copy_of(batch)
    result = augment(batch, seed, step, AugmentationSettings())
    middle = result.images[:, :, 1]
    assert (middle[~result.foreground] == -1).all()
    assert (result.targets[~result.foreground] == -1).all()
    assert torch.equal(result.label, result.foreground[:, 1])  # the phantom's label moves as what it lies on
    inside = middle[result.foreground]
    assert (inside >= FLOOR).all() and (inside <= 1).all()
    assert not result.foreground[:, 2].any() and (result.images[:, 2] == -1).all()
    assert torch.equal(result.observed, batch.observed) and result.subjects == batch.subjects
    for tensor, original in zip(copy_of(batch), before, strict=True):
        assert torch.equal(tensor, original)


@given(st.integers(1, 5), st.integers(0, 100))
@settings(max_examples=5, deadline=None)
def test_a_part_of_the_rows_draws_what_the_whole_batch_draws(first: int, step: int) -> None:
    batch = phantom_batch(rows=6)
    whole = augment(batch, 7, step, AugmentationSettings())
    part = augment(batch.rows(slice(first, 6)), 7, step, AugmentationSettings(), first_row=first)
    for name in ("images", "targets", "foreground", "label"):
        torch.testing.assert_close(getattr(part, name), getattr(whole, name)[first:], atol=1e-6, rtol=0)


def test_seed_step_and_row_each_change_the_draws() -> None:
    one = phantom_batch(rows=1)
    twice = Batch(*(torch.cat([tensor, tensor]) for tensor in copy_of(one)), ("a", "a"))
    certain = AugmentationSettings(affine_probability=1.0, intensity_probability=1.0)
    images = augment(twice, 0, 0, certain).images
    assert torch.equal(images, augment(twice, 0, 0, certain).images)
    others = (augment(twice, 1, 0, certain).images, augment(twice, 0, 1, certain).images, images.flip(0))
    assert not any(torch.equal(images, other) for other in others)


def test_nothing_asked_for_changes_nothing() -> None:
    batch = phantom_batch()
    result = augment(batch, 0, 0, NOTHING)
    for tensor, original in zip((result.images, result.targets, result.foreground), copy_of(batch), strict=False):
        assert torch.equal(tensor, original)


def test_mirror_exchanges_left_and_right_of_everything_alike() -> None:
    batch = phantom_batch()
    result = augment(batch, 0, 0, NOTHING.model_copy(update={"mirror_probability": 1.0}))
    assert torch.equal(result.images, batch.images.flip(3))
    assert torch.equal(result.targets, batch.targets.flip(2))
    assert torch.equal(result.foreground, batch.foreground.flip(2))


def test_affine_moves_inputs_targets_and_foreground_alike() -> None:
    batch = phantom_batch()
    moving = NOTHING.model_copy(update={"affine_probability": 1.0})
    result = augment(batch, 3, 0, moving)
    assert torch.equal(result.foreground, result.images[:, :, 1] > -1)
    torch.testing.assert_close(
        result.images[:, :, 1], result.targets.clamp(min=FLOOR).masked_fill(~result.foreground, -1)
    )
    assert not torch.equal(result.foreground, batch.foreground)


def test_a_quarter_turn_of_a_wide_image_does_not_shear_it() -> None:
    pull = torch.from_numpy(_pull_matrix(math.pi / 2, np.ones(2), np.zeros(2), (40, 20))).float()[None]
    grid = torch.nn.functional.affine_grid(pull, [1, 1, 40, 20], align_corners=False)
    centre_to_right = (grid[0, 20, 15] - grid[0, 20, 5]) * torch.tensor([10.0, 20.0])  # in pixels (w, h)
    assert centre_to_right.tolist() == pytest.approx([0.0, 10.0], abs=1e-4)


def test_shift_alone_moves_by_whole_pixels_where_it_is_one() -> None:
    batch = phantom_batch(rows=1)
    pull = torch.tensor([[[1.0, 0.0, 2 * 3 / 16], [0.0, 1.0, 2 * 2 / 20]]])  # read 3 to the front and 2 to the right
    draws = _Draws(*(torch.tensor([flag]) for flag in (False, True)), pull, torch.tensor([False]), pull, pull)
    moved = _move(batch, draws)
    torch.testing.assert_close(moved.images[..., :-2, :-3], batch.images[..., 2:, 3:], atol=1e-5, rtol=0)
    assert torch.equal(moved.foreground[..., :-2, :-3], batch.foreground[..., 2:, 3:])


def test_intensity_changes_leave_targets_and_shape_alone() -> None:
    batch = phantom_batch()
    result = augment(batch, 0, 0, NOTHING.model_copy(update={"intensity_probability": 1.0}))
    assert torch.equal(result.targets, batch.targets)
    assert torch.equal(result.foreground, batch.foreground)
    assert torch.equal(result.images > -1, batch.images > -1)
    assert not torch.equal(result.images, batch.images)


def test_gamma_keeps_both_ends_and_the_order() -> None:
    batch = phantom_batch(rows=1)
    batch.images[0, 0, 0, 5, 5:8] = torch.tensor([FLOOR, 0.0, 1.0])
    gamma_only = NOTHING.model_copy(update={"intensity_probability": 1.0, "bias_standard_deviation": 0.0})
    result = augment(batch, 0, 0, gamma_only)
    low, middle, high = result.images[0, 0, 0, 5, 5:8].tolist()
    assert (low, high) == pytest.approx((FLOOR, 1.0))
    assert low < middle < high
    assert middle != 0.0
    before, after = (tensor[0, 0, 1][batch.foreground[0, 0]] for tensor in (batch.images, result.images))
    assert torch.equal(before.argsort(), after.argsort())


def test_bias_field_is_smooth_and_the_same_in_neighbouring_slices() -> None:
    batch = phantom_batch(rows=1)
    flat = replace(batch, images=torch.where(batch.images > -1, 0.0, -1.0))
    bias_only = NOTHING.model_copy(update={"intensity_probability": 1.0, "log_gamma": 0.0})
    images = augment(flat, 0, 0, bias_only).images[0, 0]
    assert torch.equal(images[0], images[1])
    inside = images[0, 4:14, 3:12]
    assert inside.std() > 0.01
    assert (inside[1:] - inside[:-1]).abs().max() < 0.15 * (inside.max() - inside.min() + 0.2)


def test_settings_out_of_range_are_refused() -> None:
    with pytest.raises(ValueError, match="mirror_probability"):
        AugmentationSettings(mirror_probability=1.5)


def test_rows_of_a_batch_keep_their_names() -> None:
    batch = phantom_batch(rows=4)
    part = batch.rows(slice(1, 3))
    assert part.subjects == ("s1", "s2")
    assert torch.equal(part.images, batch.images[1:3]) and torch.equal(part.observed, batch.observed[1:3])
    assert batch.to("meta").foreground.device.type == "meta"

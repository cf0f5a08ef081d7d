"""Random augmentation of slices: mirrored, moved, and with gamma and bias field on the inputs."""

from __future__ import annotations

import math
from dataclasses import dataclass, replace

import numpy as np
import torch
from pydantic import Field
from torch import Tensor
from torch.nn import functional

from anymod.arrays import Array
from anymod.configuration import Settings
from anymod.core.batch import Batch
from anymod.randomness import numpy_generator
from anymod.volumes.intensity import INPUT_FLOOR

FIELD_NODES = 4
"""Nodes of the bias field along each axis: a field that varies over a quarter of the image, as a receive coil's does."""


class AugmentationSettings(Settings):
    """Strength of the augmentation; with every probability at 0 a batch is unchanged."""

    mirror_probability: float = Field(default=0.5, ge=0, le=1)
    affine_probability: float = Field(default=0.5, ge=0, le=1)
    rotation_degrees: float = Field(default=10.0, ge=0, le=180)
    """Largest turn in the plane, to either side."""
    scaling: float = Field(default=0.1, ge=0, lt=1)
    """Largest relative change of size along each axis."""
    shift: float = Field(default=0.04, ge=0, lt=1)
    """Largest shift along each axis, as a fraction of that axis."""
    intensity_probability: float = Field(default=0.5, ge=0, le=1)
    log_gamma: float = Field(default=0.3, ge=0, le=2)
    """The exponent lies between exp(-log_gamma) and exp(log_gamma), each modality with its own."""
    bias_standard_deviation: float = Field(default=0.1, ge=0, le=1)
    """Of the logarithm of the bias field at its nodes."""


@dataclass(frozen=True)
class _Draws:
    """Draws for each row: mirrored (b,), pull (b, 2, 3), moved (b,), altered (b,), gamma (b, m), log_bias (b, m, n, n)."""

    mirrored: Tensor
    moved: Tensor
    pull: Tensor
    altered: Tensor
    gamma: Tensor
    log_bias: Tensor


def augment(batch: Batch, seed: int, step: int, settings: AugmentationSettings, first_row: int = 0) -> Batch:
    """Return the batch with each row changed at random, by draws that are functions of (seed, step, row).

    All modalities, targets, foreground and label of a row move alike; gamma and bias field change the inputs alone. A process that
    holds only some rows of a global batch gives the number of its first one and draws what one process with all rows would.
    """
    rows = range(first_row, first_row + len(batch.subjects))
    draws = _draw(rows, seed, step, settings, batch)
    moved = _move(batch, draws)
    return replace(moved, images=_alter(moved.images, draws))


def _draw(rows: range, seed: int, step: int, settings: AugmentationSettings, batch: Batch) -> _Draws:
    modalities, height, width = batch.targets.shape[1:]
    columns = zip(
        *(
            _draw_row(numpy_generator(seed, "augmentation", step, row), settings, modalities, (height, width))
            for row in rows
        ),
        strict=True,
    )
    tensors = [torch.from_numpy(np.stack(column)).to(batch.images.device) for column in columns]
    return _Draws(*tensors)


def _draw_row(
    generator: np.random.Generator, settings: AugmentationSettings, modalities: int, shape: tuple[int, int]
) -> tuple[Array, ...]:
    """Return one row's draws in the order of `_Draws`; every number is drawn, used or not, so that streams never shift."""
    mirrored, moved, altered = generator.random(3) < (
        settings.mirror_probability,
        settings.affine_probability,
        settings.intensity_probability,
    )
    angle = math.radians(settings.rotation_degrees) * generator.uniform(-1, 1)
    size = 1 + settings.scaling * generator.uniform(-1, 1, 2)
    # grid_sample measures from -1 to 1, so that a fraction of an axis is twice as much there.
    shift = 2 * settings.shift * generator.uniform(-1, 1, 2)
    gamma = np.exp(settings.log_gamma * generator.uniform(-1, 1, modalities))
    log_bias = settings.bias_standard_deviation * generator.standard_normal((modalities, FIELD_NODES, FIELD_NODES))
    pull = _pull_matrix(angle, size, shift, shape)
    return (
        np.asarray(mirrored),
        np.asarray(moved),
        pull.astype(np.float32),
        np.asarray(altered),
        gamma.astype(np.float32),
        log_bias.astype(np.float32),
    )


def _pull_matrix(angle: float, size: Array, shift: Array, shape: tuple[int, int]) -> Array:
    """Return the (2, 3) matrix from output to input coordinates, in grid_sample's units and order (width, height).

    The turn is made in pixels, else it would shear an image that is not square.
    """
    height, width = shape
    half = np.diag([width / 2, height / 2])
    turn = np.array([[math.cos(angle), -math.sin(angle)], [math.sin(angle), math.cos(angle)]])
    return np.concatenate([np.linalg.inv(half) @ turn @ np.diag(1 / size) @ half, shift[:, None]], axis=1)


def _move(batch: Batch, draws: _Draws) -> Batch:
    """Return the batch with left and right exchanged, and moved, row by row."""
    changed = _mirrored(batch, draws.mirrored)
    images, targets, foreground, label = changed.images, changed.targets, changed.foreground, changed.label
    if not bool(draws.moved.any()):
        return changed
    rows, (height, width) = draws.moved, images.shape[-2:]
    grid = functional.affine_grid(draws.pull[rows], [int(rows.sum()), 1, height, width], align_corners=False)
    planes = images[rows].flatten(1, 2)
    planes = _sample(planes, grid).clamp(min=INPUT_FLOOR).masked_fill(~_sample_mask(planes > -1, grid), -1.0)
    images[rows] = planes.reshape(-1, *images.shape[1:])
    foreground_there = _sample_mask(foreground[rows], grid)
    targets[rows] = _sample(targets[rows], grid).masked_fill(~foreground_there, -1.0)
    foreground[rows] = foreground_there
    label[rows] = _sample_mask(label[rows, None], grid)[:, 0]
    return changed


def _mirrored(batch: Batch, rows: Tensor) -> Batch:
    """Return the batch with left and right exchanged in some rows: across the h axis, or in a sagittal slice between its neighbours."""
    sagittal = torch.zeros_like(rows) if batch.sagittal is None else batch.sagittal
    across = rows & ~sagittal
    images, targets, foreground, label = (
        torch.where(_column(across, tensor), tensor.flip(-2), tensor)
        for tensor in (batch.images, batch.targets, batch.foreground, batch.label)
    )
    images = torch.where(_column(rows & sagittal, images), images.flip(2), images)
    return replace(batch, images=images, targets=targets, foreground=foreground, label=label)


def _sample(planes: Tensor, grid: Tensor) -> Tensor:
    """Return (rows, planes, h, w) interpolated at the grid; beyond the border lies what the border shows."""
    return functional.grid_sample(planes, grid, mode="bilinear", padding_mode="border", align_corners=False)


def _sample_mask(mask: Tensor, grid: Tensor) -> Tensor:
    """Return a mask read at the nearest pixels; nothing lies beyond the border."""
    there = functional.grid_sample(mask.to(grid.dtype), grid, mode="nearest", padding_mode="zeros", align_corners=False)
    return there > 0.5


def _alter(images: Tensor, draws: _Draws) -> Tensor:
    """Return the images with gamma and bias field on the foreground of the altered rows.

    With u in [0, 1] over the foreground's range: u -> min(1, u^gamma · exp(log bias)). The background stays exactly -1.
    """
    rows, size = draws.altered, images.shape[-2:]
    if not bool(rows.any()):
        return images
    bias = functional.interpolate(draws.log_bias[rows], size, mode="bicubic", align_corners=True).exp()
    span = 1 - INPUT_FLOOR
    before = images[rows]
    share = ((before - INPUT_FLOOR) / span).clamp(0, 1)
    after = (share ** draws.gamma[rows, :, None, None, None] * bias[:, :, None]).clamp(max=1) * span + INPUT_FLOOR
    altered = images.clone()
    altered[rows] = torch.where(before > -1, after, before)
    return altered


def _column(rows: Tensor, like: Tensor) -> Tensor:
    """Return a (b,) tensor shaped to broadcast over the other axes of `like`."""
    return rows.reshape(-1, *(1,) * (like.ndim - 1))

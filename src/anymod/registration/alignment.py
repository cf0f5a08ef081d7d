"""Rigid and affine alignment of two images, coarse to fine, with a judgement of whether it is to be believed."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, replace
from typing import Literal

import numpy as np
import SimpleITK as sitk

from anymod.arrays import Array
from anymod.errors import VolumeError
from anymod.registration import linear_combination, mutual_information
from anymod.registration.kind import Kind
from anymod.registration.levels import Level, Sampled
from anymod.volumes import Volume, foreground_of

Measure = Literal["mutual-information", "linear-combination"]

LEVELS_MM = (4.0, 2.0, 1.0)  # spacings, coarse to fine; none finer than the images
# By patches at one spacing: at 4 mm a fan of ultrasound has too few, at 1 mm they tell hardly more in eight times the time.
PATCHES_MM = (2.0,)
PROBED_MM = 3.0  # how far from the solution similarity has to be lower
LEAST_SHARPNESS = 0.2  # by what share it has to be, in the mean of six directions
FARTHEST_MM = 30.0  # more than patients move between scans of one session, or brains shift
LEAST_OVERLAP = 0.25  # of the smaller foreground


Similarity = Callable[[Level, sitk.Transform], float]
Improve = Callable[[Level, sitk.Transform], None]  # in place

MEASURES: dict[str, tuple[Similarity, Improve]] = {
    "mutual-information": (mutual_information.similarity, mutual_information.improve),
    "linear-combination": (linear_combination.similarity, linear_combination.improve),
}


@dataclass(frozen=True)
class Alignment:
    """How one image lies to another.

    Attributes:
        measure: What the images were compared with.
        transform: From points of the fixed image to points of the moving one that show the same (ITK's: LPS millimetres).
        similarity: Of the two where the transform puts them, from 0.
        gained: Similarity at the end less similarity at first; 0 where no search found better, and nothing was moved.
        moved_mm: How far the transform moves the farthest corner of the fixed image's foreground.
        sharpness: By what share similarity falls, in the mean, if the moving image is shifted by 3 mm in six directions.
        overlap: Share of the smaller foreground that lies in the other.
    """

    measure: Measure
    transform: sitk.Transform
    similarity: float
    gained: float
    moved_mm: float
    sharpness: float
    overlap: float

    @property
    def doubt(self) -> str:
        """Why the alignment looks wrong; empty where nothing does."""
        if self.overlap < LEAST_OVERLAP:
            return f"only {100 * self.overlap:.0f} % of the smaller image lies in the other"
        if self.moved_mm > FARTHEST_MM:
            return f"it moves the image by {self.moved_mm:.0f} mm"
        if self.sharpness < LEAST_SHARPNESS:
            return f"{PROBED_MM:g} mm beside it the images are about as similar (sharpness {self.sharpness:.2f})"
        return ""


def align_modalities(
    fixed: Volume, moving: Volume, groups: tuple[str, str] = ("mr", "mr"), kind: Kind = "rigid"
) -> Alignment:
    """Return how `moving` lies to `fixed`, compared as befits their groups (`mr`, `us`): by patches where exactly one is ultrasound.

    That one is what has to be explained, so an ultrasound that moves is aligned to in place of being aligned.
    """
    if (groups[0] == "us") == (groups[1] == "us"):
        return align(fixed, moving, "mutual-information", kind)
    if groups[0] == "us":
        return align(fixed, moving, "linear-combination", kind)
    found = align(moving, fixed, "linear-combination", kind)
    inverse = found.transform.GetInverse()
    return replace(found, transform=inverse, moved_mm=_farthest_mm(inverse, _corners(fixed)))


def align(fixed: Volume, moving: Volume, measure: Measure = "mutual-information", kind: Kind = "rigid") -> Alignment:
    """Return how `moving` lies to `fixed`, sought from where their files say that they are; the same on every call.

    By linear combination `fixed` has to be the ultrasound.

    Raises:
        VolumeError: Their foregrounds do not meet, so that there is nothing to begin from.
    """
    similarity, _ = MEASURES[measure]
    levels = [Level(Sampled.of(fixed, step), Sampled.of(moving, step)) for step in _spacings(fixed, moving, measure)]
    transform: sitk.Transform = _still(levels)
    if not levels[-1].met(transform).any():
        why = "no part of one lies where the other does"
        raise VolumeError("nothing to align", "the images", why, "check the scans' positions")
    before = similarity(levels[-1], transform)
    for first in range(len(levels)):  # a coarse level may lead astray: then begin with a finer one
        transform = _still(levels)
        for level in levels[first:]:
            _improve(level, transform, measure)
        if similarity(levels[-1], transform) > before:
            break
    if kind == "affine":
        transform = _as_affine(transform)
        _improve(levels[-1], transform, measure)
    after = similarity(levels[-1], transform)
    return Alignment(
        measure=measure,
        transform=transform,
        similarity=after,
        gained=after - before,
        moved_mm=_farthest_mm(transform, _corners(fixed)),
        sharpness=1 - _beside(levels[-1], transform, similarity) / max(after, 1e-9),
        overlap=levels[-1].overlap(transform),
    )


def _still(levels: list[Level]) -> sitk.Euler3DTransform:
    """Return the movement that moves nothing, about the middle of the fixed image."""
    transform = sitk.Euler3DTransform()
    transform.SetCenter(levels[-1].fixed.middle.tolist())
    return transform


def _improve(level: Level, transform: sitk.Transform, measure: Measure) -> None:
    """Move a transform, in place, to where similarity is higher; leave it where the search ends lower than it began."""
    similarity, improve = MEASURES[measure]
    parameters, before = transform.GetParameters(), similarity(level, transform)
    improve(level, transform)
    if similarity(level, transform) < before:
        transform.SetParameters(parameters)


def _spacings(fixed: Volume, moving: Volume, measure: Measure) -> list[float]:
    """Return the spacings to align at [mm]: no voxel smaller than both images' finest edge."""
    finest = max(min(fixed.spacing_mm), min(moving.spacing_mm))
    levels = LEVELS_MM if measure == "mutual-information" else PATCHES_MM
    return [spacing for spacing in levels if spacing >= finest] or [finest]


def _as_affine(rigid: sitk.Euler3DTransform) -> sitk.AffineTransform:
    affine = sitk.AffineTransform(3)
    affine.SetCenter(rigid.GetCenter())
    affine.SetMatrix(rigid.GetMatrix())
    affine.SetTranslation(rigid.GetTranslation())
    return affine


def _corners(volume: Volume) -> Array:
    """Return the eight corners [8, 3] of the box about a volume's foreground, LPS millimetres."""
    places = np.argwhere(foreground_of(volume.data))
    ends = np.stack([places.min(axis=0), places.max(axis=0)])
    corners = np.array([[ends[i, 0], ends[j, 1], ends[k, 2]] for i, j, k in np.ndindex(2, 2, 2)])
    return volume.grid.to_world(corners) * (-1, -1, 1)


def _farthest_mm(transform: sitk.Transform, points: Array) -> float:
    """Return how far a transform moves the point [n, 3] that it moves farthest."""
    moved = np.array([transform.TransformPoint(point) for point in points.tolist()]) - points
    return float(np.linalg.norm(moved, axis=1).max())


def _beside(level: Level, transform: sitk.Transform, similarity: Similarity) -> float:
    """Return the mean similarity `PROBED_MM` away, along both ways of all axes."""
    found = []
    for axis in range(3):
        for sign in (-1, 1):
            shift = [0.0, 0.0, 0.0]
            shift[axis] = sign * PROBED_MM
            found.append(similarity(level, sitk.CompositeTransform([sitk.TranslationTransform(3, shift), transform])))
    return float(np.mean(found))

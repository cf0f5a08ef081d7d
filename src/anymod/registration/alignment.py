"""Rigid and affine alignment of two images from coarse to fine, with a check of whether the result is plausible."""

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
# Patches use one spacing: at 4 mm an ultrasound fan has too few, at 1 mm they gain little in eight times the time.
PATCHES_MM = (2.0,)
PROBED_MM = 3.0  # distance from the solution at which similarity has to be lower
LEAST_SHARPNESS = 0.2  # relative drop of similarity at this distance, mean of six directions
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
    """Transform between two images, and how well it fits.

    Attributes:
        measure: Measure of similarity.
        transform: From points of the fixed image to the corresponding points of the moving one (ITK, LPS millimetres).
        similarity: Similarity under the transform, from 0.
        gained: Similarity at the end minus similarity at the start; 0 if no search improved it and nothing was moved.
        moved_mm: Largest displacement of a corner of the box around the fixed image's foreground.
        sharpness: Relative drop of similarity if the images are shifted by 3 mm, mean of six directions.
        overlap: Share of the smaller foreground that overlaps the other.
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
        """Reason why the alignment looks wrong; empty if nothing does."""
        if self.overlap < LEAST_OVERLAP:
            return f"only {100 * self.overlap:.0f} % of the smaller image lies in the other"
        if self.moved_mm > FARTHEST_MM:
            return f"it moves the image by {self.moved_mm:.0f} mm"
        if self.sharpness < LEAST_SHARPNESS:
            return f"the images are about as similar when shifted by {PROBED_MM:g} mm (sharpness {self.sharpness:.2f})"
        return ""


def align_modalities(
    fixed: Volume, moving: Volume, groups: tuple[str, str] = ("mr", "mr"), kind: Kind = "rigid"
) -> Alignment:
    """Return the alignment of `moving` to `fixed` with the measure for their groups (`mr`, `us`): LC2 if exactly one is ultrasound.

    LC2 needs the ultrasound as the fixed image, so a moving ultrasound serves as the fixed image and the result is inverted.
    """
    if (groups[0] == "us") == (groups[1] == "us"):
        return align(fixed, moving, "mutual-information", kind)
    if groups[0] == "us":
        return align(fixed, moving, "linear-combination", kind)
    found = align(moving, fixed, "linear-combination", kind)
    inverse = found.transform.GetInverse()
    return replace(found, transform=inverse, moved_mm=_farthest_mm(inverse, _corners(fixed)))


def align(fixed: Volume, moving: Volume, measure: Measure = "mutual-information", kind: Kind = "rigid") -> Alignment:
    """Return the alignment of `moving` to `fixed`, starting from the positions in the file headers; the same on every call.

    With "linear-combination", `fixed` must be the ultrasound.

    Raises:
        VolumeError: The foregrounds do not overlap at the start.
    """
    similarity, _ = MEASURES[measure]
    levels = [Level(Sampled.of(fixed, step), Sampled.of(moving, step)) for step in _spacings(fixed, moving, measure)]
    transform: sitk.Transform = _identity(levels)
    if not levels[-1].shared(transform).any():
        why = "they do not overlap"
        raise VolumeError("nothing to align", "the images", why, "check the positions in their headers")
    before = similarity(levels[-1], transform)
    for first in range(len(levels)):  # if a coarse level leads to a wrong optimum, start from a finer one
        transform = _identity(levels)
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
        sharpness=1 - _shifted_similarity(levels[-1], transform, similarity) / max(after, 1e-9),
        overlap=levels[-1].overlap(transform),
    )


def _identity(levels: list[Level]) -> sitk.Euler3DTransform:
    """Return the identity as a rigid transform centred at the middle of the fixed image."""
    transform = sitk.Euler3DTransform()
    transform.SetCenter(levels[-1].fixed.middle.tolist())
    return transform


def _improve(level: Level, transform: sitk.Transform, measure: Measure) -> None:
    """Change a transform in place so that similarity is higher; keep it if the search ends lower than it started."""
    similarity, improve = MEASURES[measure]
    parameters, before = transform.GetParameters(), similarity(level, transform)
    improve(level, transform)
    if similarity(level, transform) < before:
        transform.SetParameters(parameters)


def _spacings(fixed: Volume, moving: Volume, measure: Measure) -> list[float]:
    """Return the spacings [mm] to align at, none finer than the coarser image's smallest voxel edge."""
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
    """Return the eight corners [8, 3] of the box around a volume's foreground, LPS millimetres."""
    places = np.argwhere(foreground_of(volume.data, None, volume.spacing_mm))
    ends = np.stack([places.min(axis=0), places.max(axis=0)])
    corners = np.array([[ends[i, 0], ends[j, 1], ends[k, 2]] for i, j, k in np.ndindex(2, 2, 2)])
    return volume.grid.to_world(corners) * (-1, -1, 1)


def _farthest_mm(transform: sitk.Transform, points: Array) -> float:
    """Return the largest displacement [mm] of any of the points [n, 3] by a transform."""
    moved = np.array([transform.TransformPoint(point) for point in points.tolist()]) - points
    return float(np.linalg.norm(moved, axis=1).max())


def _shifted_similarity(level: Level, transform: sitk.Transform, similarity: Similarity) -> float:
    """Return the mean similarity after shifts by `PROBED_MM` in both directions of all axes."""
    found = []
    for axis in range(3):
        for sign in (-1, 1):
            shift = [0.0, 0.0, 0.0]
            shift[axis] = sign * PROBED_MM
            found.append(similarity(level, sitk.CompositeTransform([sitk.TranslationTransform(3, shift), transform])))
    return float(np.mean(found))

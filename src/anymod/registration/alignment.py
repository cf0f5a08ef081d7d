"""Rigid and affine alignment of two images, coarse to fine, by SimpleITK's measures of similarity.

Mutual information (Mattes et al., IEEE Trans. Med. Imaging 22:120, 2003) asks that one grey level tells of the other over the whole
volume. Ultrasound has no such grey levels: the same tissue is bright here and dark there. Local correlation (Avants et al., Med. Image
Anal. 12:26, 2008), squared and over a few voxels about each, asks only that edges lie where edges lie, whatever their sign.
"""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from typing import Literal

import numpy as np
import SimpleITK as sitk
from scipy import ndimage

from anymod.errors import VolumeError
from anymod.types import Array
from anymod.volumes import Grid, Volume, foreground_of, model_grid, resample

Kind = Literal["rigid", "affine"]
Measure = Literal["mutual-information", "local-correlation"]

LEVELS_MM = (4.0, 2.0, 1.0)  # spacings, coarse to fine; none finer than the images
BINS = 32  # of the joint histogram
RADIUS = 3  # voxels about each, of local correlation
STEP, LEAST_STEP_MM = 0.5, 0.01  # largest movement of a voxel in one step: at first, in voxels, and where it ends
ITERATIONS = 150  # at each level
PROBED_MM = 3.0  # how far from the solution similarity has to be lower
LEAST_SHARPNESS = 0.2  # by what share it has to be, in the mean of six directions
FARTHEST_MM = 25.0  # more than patients move between scans of one session, or brains shift
LEAST_OVERLAP = 0.25  # of the smaller foreground


@dataclass(frozen=True)
class Alignment:
    """How one image lies to another.

    Attributes:
        transform: From points of the fixed image to points of the moving one that show the same (ITK's: LPS millimetres).
        similarity: Of the two where the transform puts them, from 0, and how much more that is than where they lay.
        gained: Similarity at the end less similarity at first.
        moved_mm: How far the transform moves the farthest corner of the fixed image's foreground.
        sharpness: By what share similarity falls, in the mean, if the moving image is shifted by 3 mm in six directions.
        overlap: Share of the smaller foreground that lies in the other.
    """

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
        if self.gained < 0:
            return "the images are less similar than before"
        if self.sharpness < LEAST_SHARPNESS:
            return f"{PROBED_MM:g} mm beside it the images are about as similar (sharpness {self.sharpness:.2f})"
        return ""


def usual_measure(first_group: str, second_group: str) -> Measure:
    """Return the measure for images of two groups (`mr`, `us`): local where exactly one is ultrasound."""
    return "local-correlation" if (first_group == "us") != (second_group == "us") else "mutual-information"


def align(fixed: Volume, moving: Volume, measure: Measure = "mutual-information", kind: Kind = "rigid") -> Alignment:
    """Return how `moving` lies to `fixed`, sought from where their files say that they are; the same on every call.

    Raises:
        VolumeError: Their foregrounds do not meet at all, so that there is nothing to begin from.
    """
    with _one_thread():
        return _align(fixed, moving, measure, kind)


def _align(fixed: Volume, moving: Volume, measure: Measure, kind: Kind) -> Alignment:
    levels = [_Level.of(fixed, moving, spacing) for spacing in _spacings(fixed, moving)]
    corners = _corners(fixed)
    transform: sitk.Transform = sitk.Euler3DTransform()
    transform.SetCenter(corners.mean(axis=0).tolist())
    before = levels[-1].similarity(transform, measure)
    for level in levels:
        level.improve(transform, measure)
    if kind == "affine":
        rigid, transform = transform, sitk.AffineTransform(3)
        transform.SetCenter(rigid.GetCenter())
        transform.SetMatrix(rigid.GetMatrix())
        transform.SetTranslation(rigid.GetTranslation())
        levels[-1].improve(transform, measure)
    after = levels[-1].similarity(transform, measure)
    moved = np.array([transform.TransformPoint(corner) for corner in corners.tolist()]) - corners
    return Alignment(
        transform=transform,
        similarity=after,
        gained=after - before,
        moved_mm=float(np.linalg.norm(moved, axis=1).max()),
        sharpness=_sharpness(levels[-1], transform, measure, after),
        overlap=levels[-1].overlap(transform),
    )


@dataclass(frozen=True)
class _Level:
    """Both images at one spacing, with the parts of them that count."""

    fixed: sitk.Image
    moving: sitk.Image
    fixed_mask: sitk.Image
    moving_mask: sitk.Image

    @classmethod
    def of(cls, fixed: Volume, moving: Volume, spacing_mm: float) -> _Level:
        (first, first_mask), (second, second_mask) = (_at_spacing(volume, spacing_mm) for volume in (fixed, moving))
        return cls(first, second, first_mask, second_mask)

    def similarity(self, transform: sitk.Transform, measure: Measure) -> float:
        """Return how similar the images are under a transform: more is better."""
        try:
            return -float(self._method(transform, measure).MetricEvaluate(self.fixed, self.moving))
        except RuntimeError:
            why = "no part of one lies where the other does"
            raise VolumeError("nothing to align", "the images", why, "check the scans' positions") from None

    def improve(self, transform: sitk.Transform, measure: Measure) -> None:
        """Move a transform to where similarity is highest near it."""
        method = self._method(transform, measure)
        # No end by the gradient: local correlation's is tiny everywhere.
        method.SetOptimizerAsRegularStepGradientDescent(
            STEP * self.fixed.GetSpacing()[0],
            LEAST_STEP_MM,
            ITERATIONS,
            relaxationFactor=0.6,
            gradientMagnitudeTolerance=0.0,
        )
        method.SetOptimizerScalesFromPhysicalShift()
        try:
            method.Execute(self.fixed, self.moving)
        except RuntimeError:
            why = "no part of one lies where the other does"
            raise VolumeError("nothing to align", "the images", why, "check the scans' positions") from None

    def overlap(self, transform: sitk.Transform) -> float:
        """Return which share of the smaller foreground lies in the other."""
        there = sitk.Resample(self.moving_mask, self.fixed_mask, transform, sitk.sitkNearestNeighbor, 0)
        inside = sitk.GetArrayViewFromImage(self.fixed_mask) > 0
        sizes = [_volume_mm3(mask) for mask in (self.fixed_mask, self.moving_mask)]
        both = inside & (sitk.GetArrayViewFromImage(there) > 0)
        return float(both.sum() * np.prod(self.fixed_mask.GetSpacing()) / max(min(sizes), 1e-9))

    def _method(self, transform: sitk.Transform, measure: Measure) -> sitk.ImageRegistrationMethod:
        method = sitk.ImageRegistrationMethod()
        if measure == "mutual-information":
            method.SetMetricAsMattesMutualInformation(BINS)
        else:
            method.SetMetricAsANTSNeighborhoodCorrelation(RADIUS)
        method.SetMetricFixedMask(self.fixed_mask)
        method.SetMetricMovingMask(self.moving_mask)
        method.SetInterpolator(sitk.sitkLinear)
        method.SetInitialTransform(transform, inPlace=True)
        return method


@contextmanager
def _one_thread() -> Iterator[None]:
    """Let SimpleITK compute with one thread: sums over several differ from call to call."""
    before = sitk.ProcessObject.GetGlobalDefaultNumberOfThreads()
    sitk.ProcessObject.SetGlobalDefaultNumberOfThreads(1)
    try:
        yield
    finally:
        sitk.ProcessObject.SetGlobalDefaultNumberOfThreads(before)


def _spacings(fixed: Volume, moving: Volume) -> list[float]:
    """Return the spacings to align at [mm]: no voxel smaller than both images' finest edge."""
    finest = max(min(fixed.spacing_mm), min(moving.spacing_mm))
    return [spacing for spacing in LEVELS_MM if spacing >= finest] or [finest]


def _at_spacing(volume: Volume, spacing_mm: float) -> tuple[sitk.Image, sitk.Image]:
    """Return an image and its foreground at a spacing, its outermost voxels left out: they border on background."""
    grid = model_grid(volume.grid, spacing_mm)
    inside = Volume(foreground_of(volume.data).astype(np.float32), volume.grid)
    mask = ndimage.binary_erosion(resample(inside, grid).data > 0.999)
    return _as_image(resample(volume, grid).data.astype(np.float32), grid), _as_image(mask.astype(np.uint8), grid)


def _as_image(data: Array, grid: Grid) -> sitk.Image:
    """Return data on a grid whose axes run to right, front and head as SimpleITK's image (LPS)."""
    image = sitk.GetImageFromArray(np.ascontiguousarray(data.T))
    image.SetSpacing(grid.spacing_mm)
    image.SetDirection((np.diag([-1.0, -1.0, 1.0]) @ (grid.affine[:3, :3] / grid.spacing_mm)).ravel().tolist())
    image.SetOrigin((grid.affine[:3, 3] * (-1, -1, 1)).tolist())
    return image


def _volume_mm3(mask: sitk.Image) -> float:
    return float((sitk.GetArrayViewFromImage(mask) > 0).sum() * np.prod(mask.GetSpacing()))


def _corners(volume: Volume) -> Array:
    """Return the eight corners [8, 3] of the box about a volume's foreground, LPS millimetres."""
    places = np.argwhere(foreground_of(volume.data))
    ends = np.stack([places.min(axis=0), places.max(axis=0)])
    corners = np.array([[ends[i, 0], ends[j, 1], ends[k, 2]] for i, j, k in np.ndindex(2, 2, 2)])
    return volume.grid.to_world(corners) * (-1, -1, 1)


def _sharpness(level: _Level, transform: sitk.Transform, measure: Measure, similarity: float) -> float:
    """Return by what share similarity falls in the mean `PROBED_MM` away, along both ways of all axes."""
    beside = []
    for axis in range(3):
        for sign in (-1, 1):
            shift = [0.0, 0.0, 0.0]
            shift[axis] = sign * PROBED_MM
            shifted = sitk.CompositeTransform([sitk.TranslationTransform(3, shift), transform])
            beside.append(level.similarity(shifted, measure))
    return (similarity - float(np.mean(beside))) / max(abs(similarity), 1e-9)

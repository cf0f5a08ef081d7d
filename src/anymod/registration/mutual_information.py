"""Mutual information of the grey levels of two images (Mattes et al., IEEE Trans. Med. Imaging 22:120, 2003), with SimpleITK."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager

import numpy as np
import SimpleITK as sitk

from anymod.registration.levels import Level, Sampled

BINS = 32  # of the joint histogram
STEP, LEAST_STEP_MM = 0.5, 0.01  # largest movement of a voxel in one step: at the start [voxels] and at the end [mm]
ITERATIONS = 150  # at each level
SEED = 1  # of the random jitter of the sampling grid, which is otherwise seeded by the clock
MOST_SAMPLES = 200_000  # voxels of the fixed image; enough for a joint histogram of 32 x 32 bins


def similarity(level: Level, transform: sitk.Transform) -> float:
    """Return the mutual information of the images under a transform [nats], from 0."""
    with _one_thread():
        return -float(_method(level, transform).MetricEvaluate(_image(level.fixed), _image(level.moving)))


def improve(level: Level, transform: sitk.Transform) -> None:
    """Change a transform in place to the nearest maximum of similarity."""
    with _one_thread():
        method = _method(level, transform)
    method.SetOptimizerAsRegularStepGradientDescent(
        STEP * level.fixed.grid.spacing_mm[0],
        LEAST_STEP_MM,
        ITERATIONS,
        relaxationFactor=0.6,
        gradientMagnitudeTolerance=0.0,
    )
    method.SetOptimizerScalesFromPhysicalShift()
    with _one_thread():
        method.Execute(_image(level.fixed), _image(level.moving))


def _method(level: Level, transform: sitk.Transform) -> sitk.ImageRegistrationMethod:
    method = sitk.ImageRegistrationMethod()
    method.SetMetricAsMattesMutualInformation(BINS)
    if level.fixed.data.size > MOST_SAMPLES:
        method.SetMetricSamplingStrategy(sitk.ImageRegistrationMethod.REGULAR)
        method.SetMetricSamplingPercentage(MOST_SAMPLES / level.fixed.data.size, SEED)
    method.SetMetricFixedMask(_image(level.fixed, mask=True))
    method.SetMetricMovingMask(_image(level.moving, mask=True))
    method.SetInterpolator(sitk.sitkLinear)
    method.SetInitialTransform(transform, inPlace=True)
    return method


def _image(sampled: Sampled, *, mask: bool = False) -> sitk.Image:
    """Return an image, or the mask of where it counts, as a SimpleITK image."""
    data = sampled.inside.astype(np.uint8) if mask else sampled.data
    image = sitk.GetImageFromArray(np.ascontiguousarray(data.T))
    image.SetSpacing(sampled.grid.spacing_mm)
    image.SetDirection((sampled.to_lps[:3, :3] / sampled.grid.spacing_mm).ravel().tolist())
    image.SetOrigin(sampled.to_lps[:3, 3].tolist())
    return image


@contextmanager
def _one_thread() -> Iterator[None]:
    """Give SimpleITK filters created inside one thread, because sums over several threads differ from call to call."""
    before = sitk.ProcessObject.GetGlobalDefaultNumberOfThreads()
    sitk.ProcessObject.SetGlobalDefaultNumberOfThreads(1)
    try:
        yield
    finally:
        sitk.ProcessObject.SetGlobalDefaultNumberOfThreads(before)

"""An image to align, and movements of it that are known in millimetres."""

from __future__ import annotations

import numpy as np
import SimpleITK as sitk
from scipy import ndimage

from anymod.volumes import Grid, Volume, resample

SPACING = 2.0
SIZE = (34, 38, 30)


def phantom(seed: int = 0, blob_voxels: float = 2.5) -> Volume:
    """Return an ellipsoid of blobs on background 0, its middle at world (5, -8, 12) mm."""
    affine = np.diag([SPACING, SPACING, SPACING, 1.0])
    affine[:3, 3] = np.array([5, -8, 12]) - SPACING * (np.array(SIZE) - 1) / 2
    blobs = ndimage.gaussian_filter(np.random.default_rng(seed).standard_normal(SIZE), blob_voxels)
    blobs = 100 + 30 * blobs / blobs.std()
    places = np.stack(np.meshgrid(*(np.linspace(-1, 1, n) for n in SIZE), indexing="ij"))
    inside = (places**2).sum(axis=0) < 0.75
    return Volume(np.where(inside, np.clip(blobs, 1, None), 0).astype(np.float32), Grid(SIZE, affine))


def known_movement(kind: str = "rigid") -> sitk.Transform:
    """Return a movement of 4.5 mm and up to 5 degrees (and, if affine, of 4 per cent) about the phantom's middle, LPS."""
    rigid = sitk.Euler3DTransform([-5.0, 8.0, 12.0], 0.06, -0.04, 0.09, [3.0, -2.5, 2.0])
    if kind == "rigid":
        return rigid
    affine = sitk.AffineTransform(3)
    affine.SetCenter(rigid.GetCenter())
    affine.SetMatrix((np.array(rigid.GetMatrix()).reshape(3, 3) @ np.diag([1.04, 0.97, 1.0])).ravel().tolist())
    affine.SetTranslation(rigid.GetTranslation())
    return affine


def moved(volume: Volume, truth: sitk.Transform) -> Volume:
    """Return the image whose point truth(x) shows what `volume` shows at x."""
    return resample(volume, volume.grid, transform=truth.GetInverse())


def farthest_error(found: sitk.Transform, truth: sitk.Transform) -> float:
    """Return the largest distance [mm] between where the two put points up to 25 mm from the phantom's middle."""
    points = np.array([-5.0, 8.0, 12.0]) + np.random.default_rng(1).uniform(-25, 25, (40, 3))
    ends = [[each.TransformPoint(point) for point in points.tolist()] for each in (found, truth)]
    return float(np.linalg.norm(np.subtract(*ends), axis=1).max())

"""Heads whose top, front and sides differ, with three contrasts; several rooms' tests use them."""

from __future__ import annotations

import numpy as np
from scipy import ndimage

from anymod.volumes import Grid, Volume

Images = dict[str, Volume]
SIDE, SPACING_MM = 24, 7.0


def volume(data: np.ndarray, spacing_mm: float = SPACING_MM) -> Volume:
    return Volume(data.astype(np.float32), Grid(data.shape, np.diag([spacing_mm] * 3 + [1.0])))


def patient(seed: int) -> Images:
    """Return `t1` (bright inside), `t2` (dark inside) and `flair` (bright at the top) of a head that is narrow below."""
    random = np.random.default_rng(seed)
    x, y, z = np.meshgrid(*(np.linspace(-1, 1, SIDE),) * 3, indexing="ij")
    width = 0.75 + 0.15 * z + 0.03 * random.normal()
    radius = np.sqrt((x / width) ** 2 + (y / (0.9 - 0.1 * z + 0.1 * y)) ** 2 + (z / 0.8) ** 2)
    folds = ndimage.gaussian_filter(random.normal(size=radius.shape), 1.5)
    folds = folds / folds.std()
    inside, depth = radius < 1, 1 - radius + 0.15 * folds
    values = {"t1": 100 + 60 * depth, "t2": 100 - 50 * depth + 5 * depth**2, "flair": 100 + 30 * z + 25 * folds}
    noise = {name: random.normal(size=radius.shape) for name in values}
    return {name: volume(np.where(inside, data + noise[name], 0)) for name, data in values.items()}

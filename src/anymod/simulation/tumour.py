"""Gliomas and metastases: necrotic core, enhancing rim, oedema along white matter, and mass effect."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from scipy import ndimage

from anymod.arrays import Array
from anymod.randomness import numpy_generator
from anymod.simulation.anatomy import Axes
from anymod.simulation.fields import smooth_field
from anymod.simulation.shapes import coverage
from anymod.simulation.tissues import OUTSIDE_BRAIN, Tissue

COARSE_MM = 4.0  # spacing of the anatomy in which a tumour is placed
# Share of each tissue that swells where oedema is strongest: most of white matter, half of the nuclei, little of the cortex.
SWOLLEN = {
    Tissue.WHITE: 0.92,
    Tissue.BRAIN_STEM: 0.92,
    Tissue.DEEP_GREY: 0.45,
    Tissue.PALLIDUM: 0.45,
    Tissue.GREY: 0.12,
}


@dataclass(frozen=True)
class Kind:
    """Kind of tumour: share of all tumours, ranges [mm] of its sizes (a rim of 0 does not enhance), relative irregularity of its shape."""

    name: str
    share: float
    radius_mm: tuple[float, float]
    rim_mm: tuple[float, float]
    oedema_mm: tuple[float, float]
    irregularity: float


KINDS = (
    Kind("glioblastoma", 0.6, (12.0, 22.0), (3.0, 5.5), (8.0, 20.0), 0.20),
    Kind("metastasis", 0.2, (7.0, 13.0), (2.5, 5.0), (10.0, 24.0), 0.09),
    Kind("low-grade glioma", 0.2, (12.0, 21.0), (0.0, 0.0), (2.0, 5.0), 0.22),
)


@dataclass(frozen=True)
class Tumour:
    """One tumour: an irregular ellipsoid about `centre` [world mm], whose details follow from (seed, index)."""

    kind: Kind
    centre: tuple[float, float, float]
    radius_mm: float
    stretch: tuple[float, float, float]
    rim_mm: float
    oedema_mm: float
    push: float
    seed: int
    index: int

    def displacement(self, axes: Axes, depth: Array) -> tuple[Array, Array, Array]:
        """Return the mass effect [mm]: from each voxel to the former place of its tissue; `depth` is below the brain's surface [mm].

        It is largest near the border of the tumour and 0 at the brain's surface, because the skull does not give way.
        """
        x, y, z = self._offsets(axes)
        strength = -np.float32(self.push) * np.exp(-(x**2 + y**2 + z**2) / np.float32((1.7 * self.radius_mm) ** 2))
        strength *= np.clip(depth / np.float32(12.0), 0, 1)
        return strength * x, strength * y, strength * z

    def grow_into(self, fractions: Array, axes: Axes, spacing_mm: float) -> None:
        """Add core, rim and oedema to the tissue fractions [tissue, X, Y, Z], in place and tissue by tissue to save memory."""
        box = self._box(axes)
        axes = (axes[0][box[0]], axes[1][box[1]], axes[2][box[2]])
        near = fractions[(slice(None), *box)]
        x, y, z = (offset / np.float32(s) for offset, s in zip(self._offsets(axes), self.stretch, strict=True))
        rough = self._noise(axes, "shape", 1.5) + np.float32(0.5) * self._noise(axes, "lobes", 0.7)
        irregular = 1 + np.float32(self.kind.irregularity) * np.clip(rough, -2.5, 2.5)
        outside = np.sqrt(x**2 + y**2 + z**2) - np.float32(self.radius_mm) * irregular
        parenchyma = 1 - near[[Tissue.CSF, Tissue.DURA, *OUTSIDE_BRAIN]].sum(axis=0)
        host = np.clip(ndimage.gaussian_filter(parenchyma, 2.0 / spacing_mm) * 3.0 - 1.2, 0, 1)
        solid = coverage(outside, max(spacing_mm, 1.5)) * host
        thickness = self.rim_mm * np.clip(1 + 0.55 * self._noise(axes, "rim", 0.8), 0.25, 2.2)
        core = coverage(outside + thickness, max(spacing_mm, 1.5))
        dead = self._necrotic_share(outside, axes)
        oedema = self._oedema(near, outside, axes, spacing_mm)
        swollen = np.zeros_like(oedema)
        for tissue, part in zip(Tissue, near, strict=True):
            taken = np.float32(SWOLLEN.get(tissue, 0.0)) * oedema
            swollen += part * taken
            part[:] = part * (1 - taken) * (1 - solid)
        near[Tissue.OEDEMA] += swollen * (1 - solid)
        near[Tissue.NECROSIS] += solid * core * dead
        near[Tissue.SOLID] += solid * core * (1 - dead)
        near[Tissue.ENHANCING] += solid * (1 - core)

    def _box(self, axes: Axes) -> tuple[slice, slice, slice]:
        """Return the box of voxels that contains the tumour and its oedema."""
        largest = self.radius_mm * (1 + 2.5 * self.kind.irregularity) + 2.2 * self.oedema_mm + 6.0
        ends = (
            np.searchsorted(axis, (c - 1.3 * largest, c + 1.3 * largest))
            for axis, c in zip(axes, self.centre, strict=True)
        )
        x, y, z = (slice(int(first), int(last)) for first, last in ends)
        return x, y, z

    def _necrotic_share(self, outside: Array, axes: Axes) -> Array | float:
        """Return the necrotic share of the core, from 0 to 1: 0 in a tumour without a rim, in others largest deep inside."""
        if self.rim_mm == 0:
            return 0.0
        patches = self._noise(axes, "necrosis", 0.6)
        return np.clip(0.65 + 0.4 * patches - 0.04 * (outside + self.rim_mm), 0, 1)

    def _oedema(self, fractions: Array, outside: Array, axes: Axes, spacing_mm: float) -> Array:
        """Return the strength of oedema at each voxel, from 0 to 1; `SWOLLEN` gives the share of each tissue that swells at 1."""
        reach = self.oedema_mm * np.clip(1 + 0.5 * self._noise(axes, "oedema", 1.6), 0.15, 2.2)
        # Oedema extends in fingers along white matter and stops where there is little of it.
        around = ndimage.gaussian_filter(fractions[Tissue.WHITE], 3.0 / spacing_mm)
        return coverage(outside - reach * np.clip(1.6 * around - 0.15, 0, 1), 4.0)

    def _offsets(self, axes: Axes) -> tuple[Array, Array, Array]:
        x, y, z = ((axis - place).astype(np.float32) for axis, place in zip(axes, self.centre, strict=True))
        return x[:, None, None], y[None, :, None], z[None, None, :]

    def _noise(self, axes: Axes, name: str, radii: float) -> Array:
        generator = numpy_generator(self.seed, "subject", self.index, "tumour", name)
        return smooth_field(generator, axes, max(radii * self.radius_mm, 5.0))


def draw_tumour(fractions: Array, axes: Axes, seed: int, index: int) -> Tumour:
    """Return a random tumour with its centre in supratentorial white matter of a coarse anatomy [tissue, X, Y, Z]."""
    generator = numpy_generator(seed, "subject", index, "tumour")
    kind = KINDS[int(generator.choice(len(KINDS), p=[kind.share for kind in KINDS]))]
    depth = depth_in_brain(fractions, float(axes[0][1] - axes[0][0]))
    supratentorial = (axes[2] > -12)[None, None, :] & (np.abs(axes[0]) > 12)[:, None, None]
    candidates = np.argwhere((fractions[Tissue.WHITE] > 0.6) & (depth > 10) & supratentorial)
    if len(candidates) == 0:
        candidates = np.argwhere(fractions[Tissue.WHITE] == fractions[Tissue.WHITE].max())
    place = candidates[generator.integers(len(candidates))]
    centre = [float(axis[i]) for axis, i in zip(axes, place, strict=True)]
    return Tumour(
        kind=kind,
        centre=(centre[0], centre[1], centre[2]),
        radius_mm=float(generator.uniform(*kind.radius_mm)),
        stretch=tuple(float(s) for s in generator.uniform(0.78, 1.25, 3)),  # type: ignore[arg-type]
        rim_mm=float(generator.uniform(*kind.rim_mm)),
        oedema_mm=float(generator.uniform(*kind.oedema_mm)),
        push=float(generator.uniform(0.25, 0.5)),
        seed=seed,
        index=index,
    )


def depth_in_brain(fractions: Array, spacing_mm: float) -> Array:
    """Return the depth [mm] of each voxel below the surface of brain and CSF, 0 outside."""
    inside = fractions[list(OUTSIDE_BRAIN)].sum(axis=0) < 0.5
    return ndimage.distance_transform_edt(inside, sampling=spacing_mm).astype(np.float32)

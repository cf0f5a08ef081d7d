"""What ultrasound meets in tissue: scatterers, changes of impedance, attenuation.

Sources: attenuation of soft tissue 7 Np/m/MHz = 0.6 dB/cm/MHz (Duck 1990, as cited in doi 10.1016/j.ultrasmedbio.2013.12.025, table 1);
fat and muscle 0.8 and 1.2 dB/cm/MHz, impedance of fat, muscle and cortical bone 1.39, 1.68 and 6.5 MRayl, attenuation of bone 1 to 10
dB/cm/MHz (doi 10.3390/s23135942, table A2). All else is this project's choice, so that pictures look as those of the RESECT database do:
tumour, folds, falx and choroid plexus bright, fluid and vessels dark, grey matter slightly darker than white.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from scipy import ndimage

from anymod.arrays import Array
from anymod.randomness import numpy_generator
from anymod.simulation.anatomy import Axes
from anymod.simulation.fields import fractal_field
from anymod.simulation.tissues import OUTSIDE_BRAIN, Tissue


@dataclass(frozen=True)
class Acoustics:
    """Of one tissue: scattered power relative to white matter [dB], impedance [MRayl], attenuation [dB/cm/MHz]."""

    backscatter_db: float
    impedance: float
    attenuation: float


_FLUID = Acoustics(-45.0, 1.52, 0.01)
ACOUSTICS: dict[Tissue, Acoustics] = {
    Tissue.AIR: Acoustics(-30.0, 1.52, 0.5),  # outside a skull-stripped brain: saline, and edges of the opening
    Tissue.CSF: _FLUID,
    Tissue.GREY: Acoustics(-1.5, 1.58, 0.5),
    Tissue.WHITE: Acoustics(0.0, 1.60, 0.7),
    Tissue.DEEP_GREY: Acoustics(-2.0, 1.585, 0.55),
    Tissue.PALLIDUM: Acoustics(-1.0, 1.59, 0.6),
    Tissue.BRAIN_STEM: Acoustics(-1.0, 1.595, 0.65),
    Tissue.CHOROID: Acoustics(13.0, 1.63, 0.8),
    Tissue.VESSEL: Acoustics(-14.0, 1.61, 0.2),
    Tissue.NECROSIS: Acoustics(-9.0, 1.55, 0.3),
    Tissue.OEDEMA: Acoustics(5.0, 1.585, 0.5),
    Tissue.ENHANCING: Acoustics(12.0, 1.62, 0.75),
    Tissue.BONE: Acoustics(15.0, 6.5, 8.0),
    Tissue.MARROW: Acoustics(6.0, 2.5, 5.0),
    Tissue.FAT: Acoustics(3.0, 1.39, 0.8),
    Tissue.MUSCLE: Acoustics(2.0, 1.68, 1.2),
    Tissue.DURA: Acoustics(20.0, 1.75, 1.5),
    Tissue.SOLID: Acoustics(11.0, 1.615, 0.65),
}
# Pia, arachnoid and small vessels that fill a fold: like cortex, but for the sheet in its middle.
FOLD = Acoustics(-3.0, 1.58, 0.55)
FOLD_WIDTH_MM = 4.0  # fluid wider than this is a ventricle or cistern, dark
CORTEX_MM = (1.0, 5.0)  # how far a fold's middle is from white matter, at least and at most
SHEET_DB = 27.0  # of that sheet, scattered power relative to white matter
SHEET_IMPEDANCE = 0.4  # over the fold's [MRayl]
SHEET_SMOOTH_MM = (
    0.4  # standard deviation that the distance to white matter is smoothed with; a sheet is about as thick
)
STRENGTH = 0.7  # standard deviation of the logarithm of a sheet's strength: vessels cross it here and there
SURFACE_MM = 0.7  # standard deviation that impedance is smoothed with
PATCHINESS = 0.7  # standard deviation of the logarithm of scattered power, over 3 to 25 mm


@dataclass(frozen=True)
class Medium:
    """What the sound meets [X, Y, Z]: scattered power (white matter 1), impedance [MRayl], attenuation [dB/cm/MHz]."""

    power: Array
    impedance: Array
    attenuation: Array


def medium(fractions: Array, axes: Axes, spacing_mm: float, seed: int, index: int) -> Medium:
    """Return the acoustic maps of tissue fractions [tissue, X, Y, Z]; where fluid is thin, it is a fold with a bright sheet in it."""
    outside = fractions[list(OUTSIDE_BRAIN)].sum(axis=0)
    wide = opened(fractions[Tissue.CSF] + outside > 0.5, FOLD_WIDTH_MM, spacing_mm)
    # A ventricle's jagged wall is no fold, nor is a narrow horn between white matter.
    near_cortex = np.clip(4 * ndimage.gaussian_filter(fractions[Tissue.GREY], 1.5 / spacing_mm), 0, 1)
    folds = ~ndimage.binary_dilation(wide, iterations=max(1, round(1.0 / spacing_mm))) * near_cortex
    folded = fractions[Tissue.CSF] * folds
    tissues = [*(ACOUSTICS[tissue] for tissue in Tissue), FOLD]
    maps = []
    for values in (
        [10 ** (tissue.backscatter_db / 10) for tissue in tissues],
        [tissue.impedance for tissue in tissues],
        [tissue.attenuation for tissue in tissues],
    ):
        of_tissues = np.tensordot(np.array(values[:-1], np.float32), fractions, axes=1)
        maps.append(of_tissues + np.float32(values[-1] - values[Tissue.CSF]) * folded)  # a fold takes its fluid's place
    power, impedance, attenuation = maps
    strength = fractal_field(numpy_generator(seed, "subject", index, "sheets"), axes, (3.0, 8.0, 20.0))
    sheet = fold_sheet(fractions, spacing_mm) * folds * np.exp(np.float32(STRENGTH) * (strength - STRENGTH / 2))
    power += np.float32(10 ** (SHEET_DB / 10)) * sheet
    patches = np.float32(PATCHINESS) * fractal_field(
        numpy_generator(seed, "subject", index, "echogenicity"), axes, (3.0, 8.0, 25.0)
    )
    patches -= np.float32(PATCHINESS**2 / 2)  # power keeps its mean
    # Label maps are stepped, and a staircase of interfaces would sparkle like a row of beads.
    smooth = ndimage.gaussian_filter(impedance, SURFACE_MM / spacing_mm)
    smooth += np.float32(SHEET_IMPEDANCE) * np.minimum(sheet, 1.5)
    return Medium(power * np.exp(patches), smooth, attenuation)


def fold_sheet(fractions: Array, spacing_mm: float) -> Array:
    """Return a sheet [X, Y, Z], up to 1 where two banks of cortex meet, with fluid between them or without, and 0 a millimetre beside.

    At 0.5 mm it reaches 1 where banks are an odd number of voxels apart, 0.6 where an even number; coarser, less.

    It stands where the distance to white matter ceases to grow: a fold is found also where a label map shows none of its fluid, and runs on
    for as long as its banks do. Where distances to two walls at an angle meet, their slopes do not cancel, and the sheet fades.
    """
    outside = fractions[list(OUTSIDE_BRAIN)].sum(axis=0)
    between = fractions[[Tissue.GREY, Tissue.CSF, Tissue.DURA, Tissue.VESSEL]].sum(axis=0) + outside
    # Label maps are stepped: unsmoothed, every step would start a sheet of its own.
    between = ndimage.gaussian_filter(between, 0.5 / spacing_mm) > 0.5
    if between.all():  # no wall, no distance to it
        return np.zeros(between.shape, np.float32)
    distance = ndimage.distance_transform_edt(between, sampling=spacing_mm).astype(np.float32)
    distance = ndimage.gaussian_filter(distance, SHEET_SMOOTH_MM / spacing_mm)
    steepness = sum(slope**2 for slope in np.gradient(distance, np.float32(spacing_mm)))
    nearest, farthest = CORTEX_MM
    in_cortex = np.clip((distance - nearest) / 0.5, 0, 1) * np.clip(farthest - distance, 0, 1) * (1 - outside)
    return np.asarray(np.clip(1 - 3 * steepness, 0, 1) * in_cortex, np.float32)


def opened(mask: Array, width_mm: float, spacing_mm: float) -> Array:
    """Return the part of a mask [X, Y, Z] that a ball of this diameter covers without leaving it (a morphological opening)."""
    if not mask.any() or mask.all():
        return mask
    centres = ndimage.distance_transform_edt(mask, sampling=spacing_mm) > width_mm / 2
    if not centres.any():
        return np.zeros_like(mask)
    return mask & (ndimage.distance_transform_edt(~centres, sampling=spacing_mm) <= width_mm / 2)

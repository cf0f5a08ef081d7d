"""Acoustic properties of tissue: scattering, impedance and attenuation.

Sources: attenuation of soft tissue 7 Np/m/MHz = 0.6 dB/cm/MHz (Duck 1990, as cited in doi 10.1016/j.ultrasmedbio.2013.12.025, table 1);
fat and muscle 0.8 and 1.2 dB/cm/MHz, impedance of fat, muscle and cortical bone 1.39, 1.68 and 6.5 MRayl, attenuation of bone 1 to 10
dB/cm/MHz (doi 10.3390/s23135942, table A2). All other values are chosen by this project to resemble images of the RESECT database:
tumour, folds, falx and choroid plexus are bright, fluid and vessels dark, grey matter is slightly darker than white.
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
    """Acoustic properties of one tissue: scattered power relative to white matter [dB], impedance [MRayl], attenuation [dB/cm/MHz]."""

    backscatter_db: float
    impedance: float
    attenuation: float


_FLUID = Acoustics(-45.0, 1.52, 0.01)
ACOUSTICS: dict[Tissue, Acoustics] = {
    Tissue.AIR: Acoustics(-30.0, 1.52, 0.5),  # around a skull-stripped brain: saline and the edges of the opening
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
# Pia, arachnoid and small vessels that fill a fold: like cortex, except for the sheet in the middle of the fold.
FOLD = Acoustics(-3.0, 1.58, 0.55)
FOLD_WIDTH_MM = 4.0  # wider fluid is a ventricle or cistern, which is dark
CORTEX_MM = (1.0, 5.0)  # smallest and largest distance of the middle of a fold from white matter
SHEET_DB = 27.0  # scattered power of the sheet relative to white matter
SHEET_IMPEDANCE = 0.4  # added to the impedance of the fold [MRayl]
SHEET_SMOOTH_MM = 0.4  # standard deviation of the smoothing of distances; about the thickness of the sheet
STRENGTH = 0.7  # standard deviation of the logarithm of the sheet's strength, which varies where vessels cross it
SURFACE_MM = 0.7  # standard deviation of the smoothing of impedance
PATCHINESS = 0.7  # standard deviation of the logarithm of scattered power, at wavelengths of 3 to 25 mm


@dataclass(frozen=True)
class Medium:
    """Acoustic maps [X, Y, Z]: scattered power (white matter 1), impedance [MRayl], attenuation [dB/cm/MHz]."""

    power: Array
    impedance: Array
    attenuation: Array


def medium(fractions: Array, axes: Axes, spacing_mm: float, seed: int, index: int) -> Medium:
    """Return the acoustic maps of tissue fractions [tissue, X, Y, Z]; thin fluid becomes a fold with a bright sheet in it."""
    outside = fractions[list(OUTSIDE_BRAIN)].sum(axis=0)
    wide = opened(fractions[Tissue.CSF] + outside > 0.5, FOLD_WIDTH_MM, spacing_mm)
    # Neither the jagged wall of a ventricle nor a narrow horn between white matter is a fold.
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
        maps.append(of_tissues + np.float32(values[-1] - values[Tissue.CSF]) * folded)  # a fold replaces its fluid
    power, impedance, attenuation = maps
    strength = fractal_field(numpy_generator(seed, "subject", index, "sheets"), axes, (3.0, 8.0, 20.0))
    sheet = fold_sheet(fractions, spacing_mm) * folds * np.exp(np.float32(STRENGTH) * (strength - STRENGTH / 2))
    power += np.float32(10 ** (SHEET_DB / 10)) * sheet
    patches = np.float32(PATCHINESS) * fractal_field(
        numpy_generator(seed, "subject", index, "echogenicity"), axes, (3.0, 8.0, 25.0)
    )
    patches -= np.float32(PATCHINESS**2 / 2)  # keeps the mean power
    # Label maps have stepped surfaces, whose interfaces would appear as rows of bright dots.
    smooth = ndimage.gaussian_filter(impedance, SURFACE_MM / spacing_mm)
    smooth += np.float32(SHEET_IMPEDANCE) * np.minimum(sheet, 1.5)
    return Medium(power * np.exp(patches), smooth, attenuation)


def fold_sheet(fractions: Array, spacing_mm: float) -> Array:
    """Return the strength of the sheet in the middle of folds [X, Y, Z], up to 1; it is 0 a millimetre beside the middle.

    The sheet lies between two banks of cortex, where the distance to white matter stops growing, even if a label map has no fluid there.
    Between walls at an angle to each other the slopes of their distances do not cancel, and the sheet fades. At a spacing of 0.5 mm the
    maximum is 1 for banks an odd number of voxels apart and 0.6 for an even number; at coarser spacings it is lower.
    """
    outside = fractions[list(OUTSIDE_BRAIN)].sum(axis=0)
    between = fractions[[Tissue.GREY, Tissue.CSF, Tissue.DURA, Tissue.VESSEL]].sum(axis=0) + outside
    # Without smoothing, every step in the surfaces of a label map would start a sheet.
    between = ndimage.gaussian_filter(between, 0.5 / spacing_mm) > 0.5
    if between.all():  # no wall to measure the distance to
        return np.zeros(between.shape, np.float32)
    distance = ndimage.distance_transform_edt(between, sampling=spacing_mm).astype(np.float32)
    distance = ndimage.gaussian_filter(distance, SHEET_SMOOTH_MM / spacing_mm)
    steepness = sum(slope**2 for slope in np.gradient(distance, np.float32(spacing_mm)))
    nearest, farthest = CORTEX_MM
    in_cortex = np.clip((distance - nearest) / 0.5, 0, 1) * np.clip(farthest - distance, 0, 1) * (1 - outside)
    return np.asarray(np.clip(1 - 3 * steepness, 0, 1) * in_cortex, np.float32)


def opened(mask: Array, width_mm: float, spacing_mm: float) -> Array:
    """Return the morphological opening of a mask [X, Y, Z] by a ball of diameter `width_mm`."""
    if not mask.any() or mask.all():
        return mask
    centres = ndimage.distance_transform_edt(mask, sampling=spacing_mm) > width_mm / 2
    if not centres.any():
        return np.zeros_like(mask)
    return mask & (ndimage.distance_transform_edt(~centres, sampling=spacing_mm) <= width_mm / 2)

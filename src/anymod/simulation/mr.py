"""MR images of tissue fractions: signals mixed by partial volume, texture, slice profile, bias field and Rician noise."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from scipy import ndimage

from anymod.arrays import Array
from anymod.randomness import numpy_generator
from anymod.simulation.anatomy import Axes
from anymod.simulation.fields import fractal_field, smooth_field
from anymod.simulation.protocols import Acquisition, Protocol
from anymod.simulation.signals import InversionRecovery, SpinEcho, with_contrast_agent
from anymod.simulation.tissues import SUBSTANCES, Relaxation, Substance, Tissue

# Standard deviations of the relative variation of T1, T2 and proton density in healthy tissue; chosen here, like FLOW_VOID.
TEXTURE = {"t1": 0.035, "t2": 0.045, "density": 0.012}
FLOW_VOID = 0.15  # share of the signal of flowing blood that remains in a spin echo


@dataclass(frozen=True)
class TissueSignals:
    """Signal of each tissue [tissue], and its change per relative change of T1, T2 (with T2*) and proton density [3, tissue].

    The changes are multiplied by the heterogeneity of the tissue.
    """

    signal: Array
    slopes: Array


def tissue_signals(acquisition: Acquisition, field_tesla: float, *, contrast_dose: float) -> TissueSignals:
    """Return the signals of all tissues in a sequence; `contrast_dose` is 0 without contrast agent and 1 for a single dose."""
    signals = np.zeros(len(Tissue), np.float64)
    slopes = np.zeros((3, len(Tissue)), np.float64)
    for tissue, substance in SUBSTANCES.items():
        step = 0.01
        here = _signal(substance, acquisition, field_tesla, contrast_dose, (1.0, 1.0))
        signals[tissue] = here
        longer_t1 = _signal(substance, acquisition, field_tesla, contrast_dose, (1 + step, 1.0))
        longer_t2 = _signal(substance, acquisition, field_tesla, contrast_dose, (1.0, 1 + step))
        slopes[:, tissue] = np.array([(longer_t1 - here) / step, (longer_t2 - here) / step, here])
        slopes[:, tissue] *= substance.heterogeneity
    return TissueSignals(signals.astype(np.float32), slopes.astype(np.float32))


def _signal(
    substance: Substance,
    acquisition: Acquisition,
    field_tesla: float,
    contrast_dose: float,
    factors: tuple[float, float],
) -> float:
    times = substance.at_1_5_tesla if field_tesla == 1.5 else substance.at_3_tesla
    varied = Relaxation(times.t1 * factors[0], times.t2 * factors[1], times.t2_star * factors[1])
    enhanced = with_contrast_agent(varied, contrast_dose * substance.gadolinium, field_tesla)
    refocused = isinstance(acquisition.sequence, SpinEcho | InversionRecovery)
    seen = FLOW_VOID if substance.flows and refocused and contrast_dose == 0 else 1.0
    return seen * substance.density * acquisition.sequence.signal(enhanced)


@dataclass(frozen=True)
class Texture:
    """Relative variations of T1, T2 and proton density by voxel [3, X, Y, Z], the same in every image of a subject."""

    values: Array

    @classmethod
    def draw(cls, seed: int, index: int, axes: Axes) -> Texture:
        """Return one subject's texture: patches of several sizes, partly shared by all parameters because they follow water content."""
        shared = fractal_field(numpy_generator(seed, "subject", index, "texture", "water"), axes, (7.0, 16.0, 45.0))
        own = [
            fractal_field(numpy_generator(seed, "subject", index, "texture", name), axes, (6.0, 14.0, 40.0))
            for name in TEXTURE
        ]
        mixed = [np.float32(0.7) * shared + np.float32(0.7) * field for field in own]
        return cls(np.stack([np.float32(sd) * m for sd, m in zip(TEXTURE.values(), mixed, strict=True)]))


@dataclass(frozen=True)
class Scene:
    """Object in the scanner: tissue fractions [tissue, X, Y, Z] and their texture on axes [mm]."""

    fractions: Array
    texture: Texture
    axes: Axes
    spacing_mm: float
    seed: int
    index: int


def acquire(scene: Scene, modality: str, protocol: Protocol) -> Array:
    """Return the magnitude image [X, Y, Z] of a modality, float32, scaled by the protocol's gain; air contains noise, too."""
    acquisition = protocol.acquisitions[modality]
    generator = numpy_generator(scene.seed, "subject", scene.index, "acquisition", modality)
    dose = float(generator.uniform(0.75, 1.3)) if modality == "cet1" else 0.0
    tissues = tissue_signals(acquisition, protocol.field_tesla, contrast_dose=dose)
    signal = np.tensordot(tissues.signal, scene.fractions, axes=1)
    slopes = np.tensordot(tissues.slopes, scene.fractions, axes=1)
    signal = np.clip(signal + (slopes * scene.texture.values).sum(axis=0), 0, None)
    resolution = (acquisition.in_plane_mm, acquisition.in_plane_mm, acquisition.slice_mm)
    signal = resolved(signal, resolution, scene.spacing_mm)
    signal = signal * bias_field(generator, scene.axes, acquisition.bias)
    reference = float(tissues.signal[Tissue.WHITE])
    noisy = rician(generator, signal / np.float32(reference), acquisition.noise)
    return noisy * np.float32(acquisition.gain)


def bias_field(generator: np.random.Generator, axes: Axes, amplitude: float) -> Array:
    """Return a positive receive field [X, Y, Z] of mean about 1; `amplitude` is the standard deviation of its logarithm."""
    return np.exp(np.float32(amplitude) * smooth_field(generator, axes, 170.0))


def rician(generator: np.random.Generator, signal: Array, standard_deviation: float) -> Array:
    """Return the magnitude of `signal` with normal noise of this standard deviation in its real and imaginary parts."""
    sd = np.float32(standard_deviation)
    real = signal + sd * generator.standard_normal(signal.shape, dtype=np.float32)
    imaginary = sd * generator.standard_normal(signal.shape, dtype=np.float32)
    return np.hypot(real, imaginary)


def resolved(signal: Array, resolution_mm: tuple[float, float, float], spacing_mm: float) -> Array:
    """Return the signal blurred to a resolution (full widths at half maximum along x, y and z), of which the voxel itself is a part."""
    sigmas = [max(width**2 - spacing_mm**2, 0.0) ** 0.5 / 2.355 / spacing_mm for width in resolution_mm]
    return ndimage.gaussian_filter(signal, [sigma if sigma > 0.1 else 0.0 for sigma in sigmas])

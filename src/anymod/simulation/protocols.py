"""MR scanner profiles, and the sequences of each subject, drawn from the ranges of a profile."""

from __future__ import annotations

from dataclasses import asdict, dataclass, field
from typing import Any

import numpy as np

from anymod.simulation.signals import InversionRecovery, Mprage, Sequence, SpinEcho, SpoiledGradientEcho
from anymod.simulation.tissues import SUBSTANCES, Tissue

Range = tuple[float, float]
MODALITIES = ("t1", "cet1", "t2", "flair", "pd")
IN_PLANE_2D_MM, IN_PLANE_3D_MM = (1.4, 3.0), (1.0, 1.6)
SNR_2D, SNR_3D = (20.0, 75.0), (45.0, 130.0)  # of white matter


@dataclass(frozen=True)
class T1Ranges:
    """Ranges of the parameters of a T1-weighted sequence of the type `sequence`."""

    sequence: type[SpinEcho] | type[SpoiledGradientEcho] | type[Mprage]
    repetition_ms: Range
    echo_ms: Range
    flip_degrees: Range = (90.0, 90.0)
    inversion_ms: Range = (0.0, 0.0)


@dataclass(frozen=True)
class Scanner:
    """Scanner profile: field strength and ranges of parameters, chosen here to resemble clinical brain protocols."""

    name: str
    field_tesla: float
    t1: T1Ranges
    contrast_t1: T1Ranges
    t2_repetition_ms: Range
    t2_echo_ms: Range
    flair_repetition_ms: Range
    flair_echo_ms: Range
    slice_mm: Range  # thickness of the T2, FLAIR and PD slices


_MPRAGE_3T = T1Ranges(Mprage, (1900.0, 2300.0), (2.3, 3.5), (8.0, 9.0), (900.0, 1100.0))
_SPIN_ECHO_15T = T1Ranges(SpinEcho, (500.0, 750.0), (8.0, 14.0))
_SPOILED_15T = T1Ranges(SpoiledGradientEcho, (20.0, 30.0), (4.0, 6.0), (18.0, 25.0))
SCANNERS = (
    Scanner(
        "1.5 T, spin echo",
        1.5,
        _SPIN_ECHO_15T,
        _SPIN_ECHO_15T,
        (3500.0, 5500.0),
        (65.0, 95.0),
        (8000.0, 10000.0),
        (100.0, 130.0),
        (2.0, 5.0),
    ),
    Scanner(
        "1.5 T, gradient echo",
        1.5,
        _SPOILED_15T,
        _SPOILED_15T,
        (3500.0, 5000.0),
        (65.0, 95.0),
        (8000.0, 9500.0),
        (95.0, 125.0),
        (2.0, 5.0),
    ),
    Scanner(
        "3 T, MPRAGE",
        3.0,
        _MPRAGE_3T,
        _MPRAGE_3T,
        (4000.0, 6000.0),
        (65.0, 95.0),
        (8500.0, 10000.0),
        (85.0, 120.0),
        (1.0, 4.0),
    ),
    Scanner(
        "3 T, mixed",
        3.0,
        _MPRAGE_3T,
        T1Ranges(SpoiledGradientEcho, (7.0, 10.0), (2.5, 4.0), (11.0, 15.0)),
        (3500.0, 5500.0),
        (65.0, 95.0),
        (8500.0, 10000.0),
        (90.0, 125.0),
        (1.0, 4.0),
    ),
)


@dataclass(frozen=True)
class Acquisition:
    """Parameters of one image."""

    sequence: Sequence
    slice_mm: float  # thickness of the slices; 1 in a three-dimensional sequence
    in_plane_mm: float  # full width at half maximum of the point-spread function within slices, with interpolation
    noise: float  # standard deviation in the real and imaginary parts, relative to the signal of white matter
    bias: float  # standard deviation of the logarithm of the receive field
    gain: float  # stored value of the signal of white matter


@dataclass(frozen=True)
class Protocol:
    """Scanner and acquisitions of one subject."""

    scanner: str
    field_tesla: float
    acquisitions: dict[str, Acquisition] = field(default_factory=dict)

    def as_dict(self) -> dict[str, Any]:
        """Return plain values for a JSON file, with the name of each sequence."""
        content = asdict(self)
        for modality, acquisition in self.acquisitions.items():
            content["acquisitions"][modality]["sequence"]["name"] = type(acquisition.sequence).__name__
        return content


def draw_protocol(generator: np.random.Generator, modalities: tuple[str, ...]) -> Protocol:
    """Return one subject's protocol; all modalities are drawn, so that leaving one out does not change the others."""
    scanner = SCANNERS[int(generator.integers(len(SCANNERS)))]
    acquisitions = {}
    for modality in MODALITIES:
        sequence = _draw_sequence(generator, scanner, modality)
        thick = modality in ("t2", "flair", "pd") or isinstance(sequence, SpinEcho)
        thickness = float(generator.uniform(*scanner.slice_mm))
        acquisitions[modality] = Acquisition(
            sequence=sequence,
            slice_mm=thickness if thick else 1.0,
            in_plane_mm=float(generator.uniform(*(IN_PLANE_2D_MM if thick else IN_PLANE_3D_MM))),
            noise=float(1 / generator.uniform(*(SNR_2D if thick else SNR_3D))),
            bias=float(generator.uniform(0.03, 0.12)),
            gain=float(np.exp(generator.uniform(np.log(250), np.log(900)))),
        )
    return Protocol(scanner.name, scanner.field_tesla, {name: acquisitions[name] for name in modalities})


def _draw_sequence(generator: np.random.Generator, scanner: Scanner, modality: str) -> Sequence:
    def draw(bounds: Range) -> float:
        return round(float(generator.uniform(*bounds)), 2)

    if modality in ("t1", "cet1"):
        ranges = scanner.t1 if modality == "t1" else scanner.contrast_t1
        return _draw_t1(
            ranges,
            draw(ranges.repetition_ms),
            draw(ranges.echo_ms),
            draw(ranges.flip_degrees),
            draw(ranges.inversion_ms),
        )
    if modality == "t2":
        return SpinEcho(draw(scanner.t2_repetition_ms), draw(scanner.t2_echo_ms))
    if modality == "pd":
        return SpinEcho(draw(scanner.t2_repetition_ms), draw((12.0, 25.0)))
    water = SUBSTANCES[Tissue.CSF]
    t1 = (water.at_1_5_tesla if scanner.field_tesla == 1.5 else water.at_3_tesla).t1
    nulled = InversionRecovery(draw(scanner.flair_repetition_ms), draw(scanner.flair_echo_ms), 0.0).nulling(t1)
    # Scanners null the fluid of an average head, which is never exactly that of this one.
    return InversionRecovery(nulled.repetition_ms, nulled.echo_ms, round(nulled.inversion_ms * draw((0.86, 1.02)), 2))


def _draw_t1(
    ranges: T1Ranges, repetition_ms: float, echo_ms: float, flip_degrees: float, inversion_ms: float
) -> Sequence:
    if ranges.sequence is SpinEcho:
        return SpinEcho(repetition_ms, echo_ms)
    if ranges.sequence is SpoiledGradientEcho:
        return SpoiledGradientEcho(repetition_ms, echo_ms, flip_degrees)
    return Mprage(repetition_ms, echo_ms, flip_degrees, inversion_ms)

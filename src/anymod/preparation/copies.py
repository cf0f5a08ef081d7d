"""Copies of an image among the subjects of a cohort, also if they were turned, cropped, padded or given other units."""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from typing import TypeVar

import numpy as np

from anymod.arrays import Array
from anymod.volumes import IntensityRange, Volume, foreground_box, orient

SIDE = 8  # samples along each axis
LARGEST_DIFFERENCE = 0.004
"""Root mean squared difference of two copies, relative to the range: eight bits leave 0.001, and noise alone sets two scans 0.01 apart."""
FEWEST_VALUES = 64  # an image without noise has fewer, and may look like another by chance

Owner = TypeVar("Owner")


@dataclass(frozen=True)
class Signature:
    """Shape of the foreground's box in RAS order, and float32 samples of the image in it, scaled to [0, 1]."""

    shape: tuple[int, ...]
    samples: bytes


def signature_of(volume: Volume, foreground: Array, measured: IntensityRange) -> Signature | None:
    """Return the signature of an image; None if it has too few values to differ from others."""
    turned = orient(volume, "RAS").data
    box = foreground_box(orient(Volume(foreground, volume.grid), "RAS").data)
    part = turned[box]
    places = [np.unique((np.arange(SIDE) + 0.5) / SIDE * size).astype(int) for size in part.shape]
    samples = (part[np.ix_(*places)] - measured.low) / (measured.high - measured.low)
    if len(np.unique(samples.round(3))) < FEWEST_VALUES:
        return None
    return Signature(part.shape, samples.astype(np.float32).tobytes())


def copies(signatures: Iterable[tuple[Owner, Signature]]) -> Iterator[tuple[Owner, Owner]]:
    """Yield pairs (first, copy) of images with equal signatures; each copy once."""
    alike: dict[tuple[int, ...], list[tuple[Owner, Array]]] = {}
    for owner, signature in signatures:
        samples = np.frombuffer(signature.samples, np.float32)
        others = alike.setdefault(signature.shape, [])
        if others:
            difference = np.square(np.stack([each for _, each in others]) - samples).mean(1)
            nearest = int(difference.argmin())
            if difference[nearest] < LARGEST_DIFFERENCE**2:
                yield others[nearest][0], owner
                continue
        others.append((owner, samples))

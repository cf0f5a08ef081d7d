"""Smooth random fields in world millimetres: a subject has the same field at every voxel spacing."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from scipy import fft, ndimage

from anymod.arrays import Array

HALF_EXTENT_MM = 160.0  # half edge of the cube about the world's origin that holds the fields; larger than any head
# The squared weights of a cubic B-spline average to 151/315 along each axis; dividing by this gives fields of variance 1.
LATTICE_STANDARD_DEVIATION = (151.0 / 315.0) ** 1.5


@dataclass(frozen=True)
class Points:
    """World or anatomical coordinates [mm] of the voxels of a regular grid: three arrays [X, Y, Z] (RAS+) and the grid's spacing [mm]."""

    x: Array
    y: Array
    z: Array
    spacing_mm: float

    def mirrored(self) -> Points:
        """Return the points with |x|, so that one shape describes both hemispheres."""
        return Points(np.abs(self.x), self.y, self.z, self.spacing_mm)

    def moved(self, displacement: tuple[Array, Array, Array]) -> Points:
        """Return the points displaced by three arrays [mm]."""
        return Points(self.x + displacement[0], self.y + displacement[1], self.z + displacement[2], self.spacing_mm)

    def inside(self, box: tuple[slice, slice, slice]) -> Points:
        """Return the points of a box of voxels."""
        return Points(self.x[box], self.y[box], self.z[box], self.spacing_mm)


def smooth_field(generator: np.random.Generator, axes: tuple[Array, Array, Array], wavelength_mm: float) -> Array:
    """Return a field [X, Y, Z] of mean 0 and variance about 1 that varies over `wavelength_mm`, at the axes' world positions [mm].

    A tensor-product cubic B-spline joins independent normal values on a lattice with a pitch of half the wavelength.
    """
    pitch = wavelength_mm / 2.0
    count = int(np.ceil(2 * HALF_EXTENT_MM / pitch)) + 4
    field = generator.standard_normal((count, count, count), dtype=np.float32)
    for positions in axes:
        # Each contraction moves the finished axis to the end; after three of them the order is x, y, z again.
        field = np.tensordot(field, _spline_weights(positions, pitch, count), axes=(0, 1))
    return field / np.float32(LATTICE_STANDARD_DEVIATION)


def fractal_field(
    generator: np.random.Generator, axes: tuple[Array, Array, Array], wavelengths_mm: tuple[float, ...]
) -> Array:
    """Return the sum of smooth fields of several wavelengths, scaled to a variance of about 1."""
    total = sum(smooth_field(generator, axes, wavelength) for wavelength in wavelengths_mm)
    return np.asarray(total, dtype=np.float32) / np.float32(np.sqrt(len(wavelengths_mm)))


def _spline_weights(positions: Array, pitch: float, count: int) -> Array:
    """Return the cubic B-spline weights [positions, lattice nodes]; positions outside the lattice are clipped to its border."""
    place = np.clip((np.asarray(positions, dtype=np.float64) + HALF_EXTENT_MM) / pitch + 1.0, 1.0, count - 3.0)
    distance = np.abs(place[:, None] - np.arange(count)[None, :])
    near = 2.0 / 3.0 - distance**2 + distance**3 / 2.0
    far = np.clip(2.0 - distance, 0.0, None) ** 3 / 6.0
    return np.where(distance < 1.0, near, far).astype(np.float32)


@dataclass(frozen=True)
class BandNoise:
    """Periodic noise of one wavelength that can be evaluated at any point; its zero lines meander like sulci."""

    lattice: Array
    pitch_mm: float

    @classmethod
    def draw(cls, generator: np.random.Generator, wavelength_mm: float, relative_width: float = 0.22) -> BandNoise:
        """Return noise whose spectrum is a Gaussian shell of width `relative_width`, relative to the frequency of `wavelength_mm`."""
        pitch = wavelength_mm / 6.0
        count = fft.next_fast_len(int(np.ceil(2 * HALF_EXTENT_MM / pitch)), real=True)
        spectrum = fft.rfftn(generator.standard_normal((count, count, count), dtype=np.float32))
        along = np.fft.fftfreq(count, pitch)
        frequency = np.sqrt(
            along[:, None, None] ** 2 + along[None, :, None] ** 2 + np.fft.rfftfreq(count, pitch)[None, None, :] ** 2
        )
        spectrum *= np.exp(-0.5 * ((frequency * wavelength_mm - 1.0) / relative_width) ** 2).astype(np.float32)
        lattice = fft.irfftn(spectrum, s=(count, count, count)).astype(np.float32)
        return cls(lattice / lattice.std(), pitch)

    def at(self, x: Array, y: Array, z: Array) -> Array:
        """Return the noise at points [mm], given as three arrays of one shape."""
        places = np.stack([x, y, z]) / np.float32(self.pitch_mm)
        # Lattice values serve directly as B-spline coefficients, because noise need not be interpolated exactly.
        return ndimage.map_coordinates(
            self.lattice, places, order=3, mode="grid-wrap", prefilter=False, output=np.float32
        )

"""B-mode ultrasound: a probe on the brain sweeps a fan of sector frames, which are compounded into a volume.

Echoes are computed in beam space [depth, beam, frame] and have three sources. Random scatterers far smaller than the resolution sum to a
complex normal field with Rayleigh distributed magnitude (fully developed speckle; Burckhardt, IEEE Trans. Sonics Ultrason. 25:1, 1978).
Changes of impedance reflect most sound where they are perpendicular to the beam. Glints are small vessels and fibres across the beam. All
echoes are blurred by a Gaussian point-spread function: along the beam as long as the pulse, across the beam narrowest at the focus.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

import numpy as np
from scipy import ndimage

from anymod.arrays import Array
from anymod.simulation.acoustics import Medium
from anymod.simulation.anatomy import Axes

SPEED_MM_PER_US = 1.54  # speed of sound, as scanners assume it
FWHM = 2.355  # full width at half maximum of a Gaussian, in standard deviations
AXIAL_STEP_MM, BEAM_STEP_MM = 0.12, 0.45  # distance of samples along a beam; of beams at the focus
SLABS = 32  # of equal depth, each with one beam width
INTERFACE_GAIN = 300.0  # amplitude of an echo per change of impedance [1/mm], relative to twice the impedance
INTERFACE_SHARPNESS = 4  # exponent of the cosine of the angle between the beam and the normal of a surface
MEAN_ATTENUATION = 0.6  # dB/cm/MHz, compensated by the scanner's gain over depth
PIXEL_MM = 0.4  # of the scanner's frames
FINE_MM = 0.5  # coarser volumes hold means over a voxel instead of over a pixel of a frame
GLINTS_PER_MM3 = 0.015  # small vessels and fibres across the beam, visible as short streaks
GLINT_MM = 1.0  # standard deviation of a streak's profile within a frame
GLINT_DB = 34.0  # mean peak, relative to the echo of the surrounding tissue, before blurring
WHITE_MATTER_GREY = 0.06  # brightness, from 0 to 1, of an echo as strong as the mean of white matter


Where = tuple[Array, Array, Array]  # points in world millimetres: three arrays of one shape
Move = Callable[[Where], Where]


@dataclass(frozen=True)
class Probe:
    """Curved array and the settings of its scanner.

    Attributes:
        name: `remind-like` or `resect-like`.
        frequency_mhz: centre frequency of the pulse.
        bandwidth: width of the spectrum divided by the centre frequency.
        radius_mm: radius of curvature of the array, where depth is 0.
        half_sector_degrees: largest angle between a beam and the middle one.
        half_sweep_degrees: largest tilt of the probe to either side.
        depth_mm: largest depth.
        focus_mm: depth at which the beam is narrowest.
        f_number: focal depth divided by the aperture, in the plane of a frame.
        elevation_mm: width of the beam at the focus, across the frame.
        dynamic_range_db: range from black to white.
        frames: number of frames of a sweep.
    """

    name: str
    frequency_mhz: float
    bandwidth: float
    radius_mm: float
    half_sector_degrees: float
    half_sweep_degrees: float
    depth_mm: float
    focus_mm: float
    f_number: float
    elevation_mm: float
    dynamic_range_db: float
    frames: int


# Chosen by this project to resemble images of the two databases, whose papers state only the kind of probe.
PROBES = (
    Probe("remind-like", 8.0, 0.6, 20.0, 33.0, 30.0, 70.0, 35.0, 3.4, 1.6, 125.0, 120),
    Probe("resect-like", 7.0, 0.6, 60.0, 24.0, 22.0, 70.0, 40.0, 3.6, 1.6, 120.0, 120),
)


@dataclass(frozen=True)
class Pose:
    """Pose of the probe: middle of the array [world mm], and unit vectors into the head, along the array and across it."""

    contact: Array
    inward: Array
    lateral: Array
    elevation: Array


def beam_coordinates(probe: Probe, pose: Pose, points: tuple[Array, Array, Array]) -> tuple[Array, Array, Array]:
    """Return the depth [mm], the angle of the beam and the angle of the frame [degrees] of world points [mm]."""
    apex = pose.contact - probe.radius_mm * pose.inward
    x, y, z = (along - np.float32(place) for along, place in zip(points, apex, strict=True))
    inward, lateral, elevation = (
        x * np.float32(v[0]) + y * np.float32(v[1]) + z * np.float32(v[2])
        for v in (pose.inward, pose.lateral, pose.elevation)
    )
    distance = np.sqrt(inward**2 + lateral**2 + elevation**2)
    beam = np.degrees(np.arcsin(np.clip(lateral / np.maximum(distance, 1e-6), -1, 1)))
    return distance - probe.radius_mm, beam, np.degrees(np.arctan2(elevation, inward))


def world_coordinates(probe: Probe, pose: Pose, depth: Array, beam: Array, frame: Array) -> tuple[Array, Array, Array]:
    """Return the world points [mm] of depths [mm], beam and frame angles [degrees]: the inverse of `beam_coordinates`."""
    apex = pose.contact - probe.radius_mm * pose.inward
    distance, beam, frame = depth + probe.radius_mm, np.radians(beam), np.radians(frame)
    inward, lateral = distance * np.cos(beam) * np.cos(frame), distance * np.sin(beam)
    elevation = distance * np.cos(beam) * np.sin(frame)
    x, y, z = (
        apex[axis] + inward * pose.inward[axis] + lateral * pose.lateral[axis] + elevation * pose.elevation[axis]
        for axis in range(3)
    )
    return x, y, z


@dataclass(frozen=True)
class Chance:
    """Random differences between sweeps with one probe, in dB: overall gain; gain at evenly spaced depths; electronic noise at depth 0 and
    haze of scattered sound, relative to the echo of white matter."""

    gain_db: float
    depth_gain_db: tuple[float, ...]
    noise_db: float
    haze_db: float

    @classmethod
    def draw(cls, generator: np.random.Generator) -> Chance:
        """Return the random differences of one sweep."""
        curve = generator.normal(0, 2.5, 5)
        gain_db, noise_db, haze_db = generator.normal(-3, 4), generator.uniform(-58, -48), generator.uniform(-14, -4)
        return cls(float(gain_db), tuple(map(float, curve)), float(noise_db), float(haze_db))


@dataclass(frozen=True)
class Beams:
    """Sample positions of a sweep: depths [mm], beam and frame angles [degrees], each evenly spaced."""

    depth: Array
    beam: Array
    frame: Array

    @classmethod
    def of(cls, probe: Probe) -> Beams:
        """Return the sample positions of a probe: finer than its resolution along depth, about as fine across."""
        step = np.degrees(BEAM_STEP_MM / (probe.radius_mm + probe.focus_mm))
        count = 2 * round(probe.half_sector_degrees / step) + 1
        return cls(
            np.arange(0.5, probe.depth_mm, AXIAL_STEP_MM, dtype=np.float32),
            np.linspace(-probe.half_sector_degrees, probe.half_sector_degrees, count, dtype=np.float32),
            np.linspace(-probe.half_sweep_degrees, probe.half_sweep_degrees, probe.frames, dtype=np.float32),
        )

    def world(self, probe: Probe, pose: Pose) -> tuple[Array, Array, Array]:
        """Return the world points [mm] of all samples [depth, beam, frame]."""
        return world_coordinates(
            probe, pose, self.depth[:, None, None], self.beam[None, :, None], self.frame[None, None, :]
        )


def unmoved(points: Where) -> Where:
    """Return the points unchanged, for a brain without shift."""
    return points


def sweep(
    probe: Probe,
    pose: Pose,
    seen: Medium,
    axes: Axes,
    chance: Chance,
    generator: np.random.Generator,
    moved: Move = unmoved,
) -> tuple[Array, Beams]:
    """Return the log-compressed envelope of all frames [depth, beam, frame], from 0 to 1, and the positions of its samples.

    `seen` is given on `axes` [mm]; its border values hold beyond them. `moved` maps world points [mm] to the points of `seen` with their
    tissue.
    """
    beams = Beams.of(probe)
    places = [
        ((along - axis[0]) / (axis[1] - axis[0])).astype(np.float32)
        for along, axis in zip(moved(beams.world(probe, pose)), axes, strict=True)
    ]
    power, impedance, attenuation = (
        ndimage.map_coordinates(each, places, order=1, mode="nearest", output=np.float32)
        for each in (seen.power, seen.impedance, seen.attenuation)
    )
    # Haze is sound scattered by the same tissue, so it looks like speckle.
    speckle = _complex_noise(generator, power.shape) * np.sqrt(power + np.float32(10 ** (chance.haze_db / 10)))
    mirrors = interface_echoes(impedance, beams, probe) + glints(generator, beams, probe) * np.sqrt(power)
    echoes = _blurred(speckle, mirrors, beams, probe)
    echoes *= 10 ** (-_unmatched_attenuation(probe, attenuation) / 20)
    echoes += _unwanted(probe, beams.depth, chance)[:, None, None] * _complex_noise(generator, power.shape)
    nodes = np.linspace(0, probe.depth_mm, len(chance.depth_gain_db))
    gain_db = chance.gain_db + np.interp(beams.depth, nodes, chance.depth_gain_db)
    decibels = 20 * np.log10(np.abs(echoes) + 1e-6) + gain_db.astype(np.float32)[:, None, None]
    return np.clip(WHITE_MATTER_GREY + decibels / probe.dynamic_range_db, 0, 1).astype(np.float32), beams


def interface_echoes(impedance: Array, beams: Beams, probe: Probe) -> Array:
    """Return the amplitude [depth, beam, frame] of echoes from changes of impedance, largest where the surface faces the beam."""
    along = np.gradient(impedance, AXIAL_STEP_MM, axis=0)
    apart = np.radians(beams.beam[1] - beams.beam[0]) * (probe.radius_mm + beams.depth)
    across = np.gradient(impedance, axis=1) / apart[:, None, None]
    cosine = np.abs(along) / np.maximum(np.hypot(along, across), np.float32(1e-6))
    return np.float32(INTERFACE_GAIN) * np.abs(along) / (2 * impedance) * cosine**INTERFACE_SHARPNESS


def glints(generator: np.random.Generator, beams: Beams, probe: Probe) -> Array:
    """Return the amplitude [depth, beam, frame] of short streaks across the beam, with exponentially distributed peaks.

    Their positions are random; their number per mm3 is the same at every depth.
    """
    between_beams, between_frames = (float(np.radians(each[1] - each[0])) for each in (beams.beam, beams.frame))
    shape = (len(beams.depth), len(beams.beam), len(beams.frame))
    sample_mm3 = AXIAL_STEP_MM * between_beams * between_frames * (probe.radius_mm + beams.depth) ** 2
    here = generator.random(shape, dtype=np.float32) < (GLINTS_PER_MM3 * sample_mm3)[:, None, None]
    peaks = np.zeros(shape, np.float32)
    peaks[here] = generator.standard_exponential(int(here.sum()), dtype=np.float32)
    sigma = GLINT_MM / (between_beams * (probe.radius_mm + probe.focus_mm))
    peak = 10 ** (GLINT_DB / 20) * np.sqrt(2 * np.pi) * sigma  # the filter lowers peaks by the same factor
    return np.asarray(ndimage.gaussian_filter1d(peaks, sigma, axis=1) * np.float32(peak))


def _blurred(speckle: Array, interfaces: Array, beams: Beams, probe: Probe) -> Array:
    """Return the sum of both after the point-spread function, which keeps the power of speckle and the integral of interfaces."""
    wavelength = SPEED_MM_PER_US / probe.frequency_mhz
    axial = SPEED_MM_PER_US / (2 * probe.bandwidth * probe.frequency_mhz) / FWHM / AXIAL_STEP_MM
    speckle = ndimage.gaussian_filter1d(speckle, axial, axis=0) / kept_of_noise(axial)
    interfaces = ndimage.gaussian_filter1d(interfaces, axial, axis=0)
    steps = [float(np.radians(each[1] - each[0])) for each in (beams.beam, beams.frame)]
    for slab in np.array_split(np.arange(len(beams.depth)), SLABS):
        distance = float(beams.depth[slab].mean())
        off_focus = abs(distance - probe.focus_mm)
        widths = np.hypot(wavelength * probe.f_number, 0.02 * off_focus), np.hypot(probe.elevation_mm, 0.06 * off_focus)
        for axis, (width, step) in enumerate(zip(widths, steps, strict=True), start=1):
            sigma = float(width) / FWHM / (step * (probe.radius_mm + distance))
            speckle[slab] = ndimage.gaussian_filter1d(speckle[slab], sigma, axis=axis) / kept_of_noise(sigma)
            interfaces[slab] = ndimage.gaussian_filter1d(interfaces[slab], sigma, axis=axis)
    return speckle + interfaces


def kept_of_noise(sigma: float) -> float:
    """Return the standard deviation of white noise of variance 1 after a Gaussian filter of `sigma` samples."""
    impulse = np.zeros(2 * int(4 * sigma + 1) + 1)
    impulse[len(impulse) // 2] = 1
    return float(np.sqrt((ndimage.gaussian_filter1d(impulse, sigma) ** 2).sum()))


def _complex_noise(generator: np.random.Generator, shape: tuple[int, ...]) -> Array:
    """Return complex normal noise of power 1."""
    parts = generator.standard_normal((2, *shape), dtype=np.float32) * np.float32(np.sqrt(0.5))
    return parts[0] + 1j * parts[1]


def _unmatched_attenuation(probe: Probe, attenuation: Array) -> Array:
    """Return the attenuation [dB] on the way there and back, less what the scanner's gain over depth compensates."""
    excess = np.cumsum(attenuation - np.float32(MEAN_ATTENUATION), axis=0, dtype=np.float32)
    return np.float32(2 * probe.frequency_mhz * AXIAL_STEP_MM / 10) * excess


def _unwanted(probe: Probe, depth: Array, chance: Chance) -> Array:
    """Return the amplitude, by depth, of electronic noise, amplified by the gain over depth, and of clutter near the array."""
    compensated_db = 2 * probe.frequency_mhz * MEAN_ATTENUATION * depth / 10
    electronics = 10 ** ((chance.noise_db + compensated_db) / 20)
    clutter = 1500.0 * np.exp(-((depth / 1.3) ** 2)) + 0.5 * np.exp(-depth / 6.0)
    return np.hypot(electronics, clutter).astype(np.float32)


def compounded(
    probe: Probe, pose: Pose, brightness: Array, beams: Beams, axes: Axes, generator: np.random.Generator
) -> Array:
    """Return the volume [X, Y, Z], uint8: 1 to 255 in the field of view of the sweep, 0 elsewhere.

    A hand moves unevenly, so frames are shifted sideways, which gives the fan a jagged edge.
    """
    spacing = float(axes[0][1] - axes[0][0])
    frame_mm = np.radians(beams.frame[1] - beams.frame[0]) * (probe.radius_mm + probe.focus_mm)
    # The mean over a pixel of the scanner, or over a larger voxel; its width in samples is that at the focus.
    width = PIXEL_MM if spacing <= FINE_MM else spacing
    size = [max(1, round(width / step)) for step in (AXIAL_STEP_MM, BEAM_STEP_MM, frame_mm)]
    brightness = ndimage.uniform_filter(brightness, size)
    x, y, z = np.meshgrid(*(axis.astype(np.float32) for axis in axes), indexing="ij")
    depth, beam, frame = beam_coordinates(probe, pose, (x, y, z))
    samples = ((depth, beams.depth), (beam, beams.beam), (frame, beams.frame))
    places = [(value - at[0]) / (at[1] - at[0]) for value, at in samples]
    drift = ndimage.gaussian_filter1d(np.cumsum(generator.normal(0, 0.25, probe.frames)), 2.0)
    slide = drift - drift.mean() + generator.normal(0, 0.25, probe.frames)
    nearest = np.clip(np.rint(places[2]), 0, probe.frames - 1).astype(np.intp)
    inside = np.abs(beam - slide[nearest]) <= probe.half_sector_degrees - 1.0
    for place, (_, at) in zip(places, samples, strict=True):
        inside &= (place >= 0) & (place <= len(at) - 1)
    image = np.zeros(inside.shape, np.uint8)
    # The nearest sample, as in freehand compounding: interpolation would smooth speckle.
    samples_there = tuple(np.rint(place[inside]).astype(np.intp) for place in places)
    image[inside] = 1 + np.rint(254 * brightness[samples_there]).astype(np.uint8)
    return image

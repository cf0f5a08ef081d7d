"""B-mode ultrasound: a probe on the brain sweeps a fan of sector frames, which are compounded into a volume.

Everything acoustic happens in beam space [depth, beam, frame]. Echoes have three sources: random scatterers far smaller than the
resolution, whose sum is a complex normal field, so that its magnitude is Rayleigh distributed (fully developed speckle; Burckhardt,
IEEE Trans. Sonics Ultrason. 25:1, 1978); changes of impedance, which send back most where the beam meets them at right angles; and
glints, small vessels and fibres that happen to lie so. All are blurred by the point-spread function: along the beam a Gaussian as long
as the pulse, across it one that is narrowest at the focus.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

import numpy as np
from scipy import ndimage

from anymod.arrays import Array
from anymod.simulation.acoustics import Medium
from anymod.simulation.anatomy import Axes

SPEED_MM_PER_US = 1.54  # of sound, as scanners assume it
FWHM = 2.355  # full width at half height of a Gaussian, in standard deviations
AXIAL_STEP_MM, BEAM_STEP_MM = 0.12, 0.45  # between samples along a beam; between beams at the focus
SLABS = 32  # of equal depth, each with one width of the beam
INTERFACE_GAIN = 300.0  # echo per relative change of impedance and mm
INTERFACE_SHARPNESS = 4  # power of the cosine to the beam
MEAN_ATTENUATION = 0.6  # dB/cm/MHz: what the scanner's gain over depth makes up for
PIXEL_MM = 0.4  # of the scanner's own pictures
FINE_MM = 0.5  # spacing up to which a volume holds samples of these pictures, not means
GLINTS_PER_MM3 = 0.015  # small vessels and fibres that lie across the beam: short streaks
GLINT_MM = 1.0  # standard deviation of a streak along its frame
GLINT_DB = 34.0  # of its peak on average, over the echo of the tissue around it, before pulse and beam blur it
WHITE_MATTER_GREY = 0.06  # brightness, from 0 to 1, of an echo as strong as white matter's mean


Where = tuple[Array, Array, Array]  # points in world millimetres: three arrays of one shape
Move = Callable[[Where], Where]


@dataclass(frozen=True)
class Probe:
    """A curved array and its scanner's settings.

    Attributes:
        name: what it resembles.
        frequency_mhz: centre of the pulse's spectrum.
        bandwidth: width of the spectrum over its centre.
        radius_mm: of the array's curvature; depth 0 is the array.
        half_sector_degrees: largest angle of a beam to the middle one.
        half_sweep_degrees: how far the probe is tilted to either side.
        depth_mm: range.
        focus_mm: depth of the narrowest beam.
        f_number: focus over aperture, in the plane of a frame.
        elevation_mm: width of the beam at the focus, across the frame.
        dynamic_range_db: from black to white.
        frames: of a sweep.
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


# Choices of this project, so that pictures look like those of the two databases; their papers give no more than the kind of probe.
PROBES = (
    Probe("remind-like", 8.0, 0.6, 20.0, 33.0, 30.0, 70.0, 35.0, 3.4, 1.6, 125.0, 120),
    Probe("resect-like", 7.0, 0.6, 60.0, 24.0, 22.0, 70.0, 40.0, 3.6, 1.6, 120.0, 120),
)


@dataclass(frozen=True)
class Pose:
    """Where the probe is, in world millimetres: the middle of the array, and unit vectors into the head, along the array, across it."""

    contact: Array
    inward: Array
    lateral: Array
    elevation: Array


def beam_coordinates(probe: Probe, pose: Pose, points: tuple[Array, Array, Array]) -> tuple[Array, Array, Array]:
    """Return (depth [mm], angle of the beam, angle of the frame [degrees]) of world points [mm]."""
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
    """Return the world points [mm] of depths [mm], beams and frames [degrees]: the inverse of `beam_coordinates`."""
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
    """What differs between two operations with one probe, all in dB: gain of the picture and over depth; relative to white matter's
    echo, noise of the electronics at depth 0 and haze of sound that went astray."""

    gain_db: float
    depth_gain_db: tuple[float, ...]
    noise_db: float
    haze_db: float

    @classmethod
    def draw(cls, generator: np.random.Generator) -> Chance:
        """Return one operation's."""
        curve = generator.normal(0, 2.5, 5)
        gain_db, noise_db, haze_db = generator.normal(-3, 4), generator.uniform(-58, -48), generator.uniform(-14, -4)
        return cls(float(gain_db), tuple(map(float, curve)), float(noise_db), float(haze_db))


@dataclass(frozen=True)
class Beams:
    """Where the samples of a sweep lie: depths [mm], angles of beams and of frames [degrees], each evenly spaced."""

    depth: Array
    beam: Array
    frame: Array

    @classmethod
    def of(cls, probe: Probe) -> Beams:
        """Return a probe's: finer than its resolution along depth, and about as fine across."""
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
    """Return the points: tissue is where it was."""
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
    """Return the log-compressed envelope of all frames [depth, beam, frame], from 0 to 1, and where its samples lie.

    `seen` lies on `axes` [mm] and goes on beyond them as at their ends; `moved` returns where in it lies what is met at world points [mm].
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
    # Haze has gone astray in the same tissue, and looks like its speckle.
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
    """Return the amplitude [depth, beam, frame] of echoes from changes of impedance: most where the surface faces the beam."""
    along = np.gradient(impedance, AXIAL_STEP_MM, axis=0)
    apart = np.radians(beams.beam[1] - beams.beam[0]) * (probe.radius_mm + beams.depth)
    across = np.gradient(impedance, axis=1) / apart[:, None, None]
    cosine = np.abs(along) / np.maximum(np.hypot(along, across), np.float32(1e-6))
    return np.float32(INTERFACE_GAIN) * np.abs(along) / (2 * impedance) * cosine**INTERFACE_SHARPNESS


def glints(generator: np.random.Generator, beams: Beams, probe: Probe) -> Array:
    """Return the amplitude [depth, beam, frame] of short streaks across the beam, at random places, with exponentially distributed peaks.

    Their number in a mm3 is the same at every depth.
    """
    between_beams, between_frames = (float(np.radians(each[1] - each[0])) for each in (beams.beam, beams.frame))
    shape = (len(beams.depth), len(beams.beam), len(beams.frame))
    sample_mm3 = AXIAL_STEP_MM * between_beams * between_frames * (probe.radius_mm + beams.depth) ** 2
    here = generator.random(shape, dtype=np.float32) < (GLINTS_PER_MM3 * sample_mm3)[:, None, None]
    peaks = np.zeros(shape, np.float32)
    peaks[here] = generator.standard_exponential(int(here.sum()), dtype=np.float32)
    sigma = GLINT_MM / (between_beams * (probe.radius_mm + probe.focus_mm))
    peak = 10 ** (GLINT_DB / 20) * np.sqrt(2 * np.pi) * sigma  # so that a filtered peak is that high
    return np.asarray(ndimage.gaussian_filter1d(peaks, sigma, axis=1) * np.float32(peak))


def _blurred(speckle: Array, interfaces: Array, beams: Beams, probe: Probe) -> Array:
    """Return both under the point-spread function; speckle keeps its power, interfaces what they amount to."""
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
    """Return what a Gaussian filter of `sigma` samples leaves of white noise's standard deviation."""
    impulse = np.zeros(2 * int(4 * sigma + 1) + 1)
    impulse[len(impulse) // 2] = 1
    return float(np.sqrt((ndimage.gaussian_filter1d(impulse, sigma) ** 2).sum()))


def _complex_noise(generator: np.random.Generator, shape: tuple[int, ...]) -> Array:
    """Return complex normal noise of power 1."""
    parts = generator.standard_normal((2, *shape), dtype=np.float32) * np.float32(np.sqrt(0.5))
    return parts[0] + 1j * parts[1]


def _unmatched_attenuation(probe: Probe, attenuation: Array) -> Array:
    """Return how much more is lost on the way to and fro than the scanner's gain over depth makes up for [dB]."""
    excess = np.cumsum(attenuation - np.float32(MEAN_ATTENUATION), axis=0, dtype=np.float32)
    return np.float32(2 * probe.frequency_mhz * AXIAL_STEP_MM / 10) * excess


def _unwanted(probe: Probe, depth: Array, chance: Chance) -> Array:
    """Return the amplitude, by depth, of noise of the electronics, which the gain over depth lifts, and of the array's echo."""
    made_up_db = 2 * probe.frequency_mhz * MEAN_ATTENUATION * depth / 10
    electronics = 10 ** ((chance.noise_db + made_up_db) / 20)
    clutter = 1500.0 * np.exp(-((depth / 1.3) ** 2)) + 0.5 * np.exp(-depth / 6.0)
    return np.hypot(electronics, clutter).astype(np.float32)


def compounded(
    probe: Probe, pose: Pose, brightness: Array, beams: Beams, axes: Axes, generator: np.random.Generator
) -> Array:
    """Return the volume [X, Y, Z], uint8: 1 to 255 inside of what the sweep saw, 0 outside.

    A hand does not move evenly: frames slide sideways, which leaves the fan with a jagged edge.
    """
    spacing = float(axes[0][1] - axes[0][0])
    frame_mm = np.radians(beams.frame[1] - beams.frame[0]) * (probe.radius_mm + probe.focus_mm)
    # The mean over a pixel of the scanner, or over a larger voxel, as wide in samples as it is at the focus.
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
    # The nearest sample, as freehand volumes are put together: interpolation would smooth speckle away.
    samples_there = tuple(np.rint(place[inside]).astype(np.intp) for place in places)
    image[inside] = 1 + np.rint(254 * brightness[samples_there]).astype(np.uint8)
    return image

"""Procedural heads: tissue fractions per voxel from simple brain shapes, folded cortex and random variation."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from anymod.arrays import Array
from anymod.randomness import numpy_generator
from anymod.simulation import brain
from anymod.simulation.cortex import Sulci, pial_distance, projected_onto_hull
from anymod.simulation.fields import BandNoise, Points, smooth_field
from anymod.simulation.shapes import coverage, ellipsoid, smooth_maximum, smooth_minimum, tube
from anymod.simulation.tissues import Tissue

Axes = tuple[Array, Array, Array]


@dataclass(frozen=True)
class Variation:
    """Differences between healthy people, drawn once per subject.

    Attributes:
        size: scale factors of the head's width, length and height.
        ventricle_scale: scale factor of the ventricles' width.
        cortex_mm: thickness of the cerebral cortex.
        sulcus_mm: width of a closed sulcus; atrophy widens it.
        gyrus_mm: distance between neighbouring sulci.
        sulcal_depth_mm: mean depth of the primary sulci.
        rotation_degrees: rotation of the head in the scanner about x, y and z.
        shift_mm: translation of the head in the scanner along x, y and z.
        warp_mm: amplitude of the smooth deformation.
    """

    size: tuple[float, float, float]
    ventricle_scale: float
    cortex_mm: float
    sulcus_mm: float
    gyrus_mm: float
    sulcal_depth_mm: float
    rotation_degrees: tuple[float, float, float]
    shift_mm: tuple[float, float, float]
    warp_mm: float


def draw_variation(generator: np.random.Generator) -> Variation:
    """Return the random variation of one person."""
    age = generator.uniform(0, 1)  # 0 young, 1 old: ventricles and sulci widen together
    sizes = np.clip(generator.normal([0.97, 0.97, 0.97], [0.035, 0.035, 0.03]), 0.88, 1.05)
    return Variation(
        size=(float(sizes[0]), float(sizes[1]), float(sizes[2])),
        ventricle_scale=float(0.75 + 0.55 * age + generator.normal(0, 0.08)),
        cortex_mm=float(generator.uniform(2.9, 3.5)),
        sulcus_mm=float(0.4 + 0.7 * age + generator.uniform(0, 0.3)),
        gyrus_mm=float(generator.uniform(10.0, 12.0)),
        sulcal_depth_mm=float(generator.uniform(14, 18)),
        rotation_degrees=(float(generator.normal(0, 4)), float(generator.normal(0, 3)), float(generator.normal(0, 3))),
        shift_mm=(float(generator.normal(0, 2)), float(generator.normal(0, 3)), float(generator.normal(0, 2))),
        warp_mm=float(generator.uniform(1.5, 2.8)),
    )


def world_points(axes: Axes, spacing_mm: float) -> Points:
    """Return the world coordinates [mm] of all voxels of a grid with these axes."""
    x, y, z = np.meshgrid(*(axis.astype(np.float32) for axis in axes), indexing="ij")
    return Points(x, y, z, spacing_mm)


def posed(points: Points, variation: Variation) -> Points:
    """Return the anatomical coordinates of world points, with the head's shift, rotation and size undone."""
    turn = _rotation(variation.rotation_degrees).T / np.asarray(variation.size)[:, None]
    turn = turn.astype(np.float32)
    x, y, z = (
        along - np.float32(shift)
        for along, shift in zip((points.x, points.y, points.z), variation.shift_mm, strict=True)
    )
    turned = [row[0] * x + row[1] * y + row[2] * z for row in turn]
    return Points(turned[0], turned[1], turned[2], points.spacing_mm)


def smooth_warp(seed: int, index: int, axes: Axes, amplitude_mm: float) -> tuple[Array, Array, Array]:
    """Return a smooth displacement [mm] that does not fold space, because its wavelengths are many times its amplitude."""
    fields = []
    for axis in "xyz":
        generator = numpy_generator(seed, "subject", index, "warp", axis)
        coarse = smooth_field(generator, axes, 110.0)
        fine = np.float32(0.32) * smooth_field(generator, axes, 45.0) + np.float32(0.2) * smooth_field(
            generator, axes, 26.0
        )
        fields.append(np.float32(amplitude_mm) * (coarse + fine))
    return fields[0], fields[1], fields[2]


@dataclass(frozen=True)
class ProceduralAnatomy:
    """Head generated from (seed, index), without a file."""

    seed: int
    index: int
    whole_head: bool = False

    def fractions(self, axes: Axes, spacing_mm: float, displacement: tuple[Array, Array, Array] | None = None) -> Array:
        """Return the tissue fractions [tissue, X, Y, Z] (sum 1) on world axes [mm]; `displacement` [mm] points to the tissue shown."""
        variation = draw_variation(numpy_generator(self.seed, "subject", self.index, "anatomy"))
        world = world_points(axes, spacing_mm)
        if displacement is not None:
            world = world.moved(displacement)
        points = posed(world, variation).moved(smooth_warp(self.seed, self.index, axes, variation.warp_mm))
        canvas = Canvas(points.x.shape)
        cerebrum = brain.cerebrum_hull(points)
        self._draw_deep_structures(canvas, points, variation)
        self._draw_cerebrum(canvas, points, cerebrum, axes, variation)
        self._draw_cerebellum(canvas, points, cerebrum, axes)
        inner = intracranial_hull(points, cerebrum)
        canvas.add(Tissue.CSF, coverage(inner - (2.5 if self.whole_head else 0.0), spacing_mm))
        if self.whole_head:
            canvas.add(Tissue.DURA, coverage(inner - 3.3, spacing_mm))
            draw_skull_and_scalp(canvas, points, inner)
        return canvas.finished()

    def _generator(self, name: str) -> np.random.Generator:
        return numpy_generator(self.seed, "subject", self.index, name)

    def _draw_deep_structures(self, canvas: Canvas, points: Points, variation: Variation) -> None:
        voxel, scale = points.spacing_mm, variation.ventricle_scale
        wall = brain.ventricles(points, scale)
        canvas.add(Tissue.VESSEL, coverage(brain.arteries_and_sinuses(points), voxel))
        canvas.add(Tissue.CHOROID, coverage(np.maximum(brain.choroid_plexus(points, scale), wall), voxel))
        canvas.add(Tissue.CSF, coverage(wall, voxel))
        canvas.add(Tissue.PALLIDUM, coverage(brain.pallidum(points), voxel))
        nuclei = np.minimum(
            np.minimum(brain.thalamus(points), brain.caudate(points, scale)),
            np.minimum(brain.putamen(points), brain.hippocampus(points)),
        )
        canvas.add(Tissue.DEEP_GREY, coverage(nuclei, max(voxel, 1.5)))
        canvas.add(Tissue.WHITE, coverage(brain.callosum(points), voxel))
        canvas.add(Tissue.BRAIN_STEM, coverage(brain.brain_stem(points), voxel))

    def _draw_cerebrum(self, canvas: Canvas, points: Points, hull: Array, axes: Axes, variation: Variation) -> None:
        voxel = points.spacing_mm
        # The bend also varies with depth, so that fissures and sulcal walls are curved.
        bends = [2.0 * smooth_field(self._generator(f"bend {axis}"), axes, 30.0) for axis in "xyz"]
        bent = points.moved((bends[0], bends[1], bends[2]))
        sideways = points.x + 0.35 * bends[0]
        canvas.add(Tissue.VESSEL, coverage(brain.sagittal_sinus(points, sideways, hull), voxel))
        dura = np.minimum(brain.falx(points, sideways, hull), brain.tentorium(points, hull))
        canvas.add(Tissue.DURA, coverage(dura, voxel))
        midline = np.sqrt(sideways**2 + np.clip(-brain.unsplit_region(points), 0, None) ** 2)
        split = smooth_minimum(midline, brain.lateral_fissures(bent), 2.0)
        depth = smooth_minimum(-hull, split, 3.0)
        # A rounder depth, so that neighbouring points project to neighbouring points even halfway between two surfaces.
        toward_hull = projected_onto_hull(np.clip(smooth_minimum(-hull, split, 14.0), 0, 28), voxel)
        folds = self._sulci(bent.moved(toward_hull), depth, axes, variation)
        unfolded = 7.0 - brain.nuclear_core(points)
        distance = pial_distance(depth, folds, unfolded, voxel)
        # Sulci are open at the surface and close with depth.
        half_width = 0.5 * variation.sulcus_mm * (0.7 + 1.3 * np.exp(-np.clip(depth, 0, None) / 5.0))
        cortex = half_width + variation.cortex_mm * (1 + 0.12 * smooth_field(self._generator("thickness"), axes, 30.0))
        canvas.add(Tissue.WHITE, coverage(cortex - distance, voxel))
        canvas.add(Tissue.GREY, coverage(half_width - distance, voxel))

    def _sulci(self, projected: Points, depth: Array, axes: Axes, variation: Variation) -> tuple[Sulci, ...]:
        folded = (depth > -6) & (depth < 40)
        place = (projected.x[folded], projected.y[folded], projected.z[folded])
        primary = self._pattern("primary sulci", 2 * variation.gyrus_mm, place, folded)
        secondary = self._pattern("secondary sulci", 1.6 * variation.gyrus_mm, place, folded)
        relief = smooth_field(self._generator("sulcal depth"), axes, 45.0)
        deep = variation.sulcal_depth_mm + 4.0 * np.clip(relief, -2, 2)
        shallow = 3.0 + 3.5 * np.clip(relief, -1.2, 1.5)
        return Sulci(primary, deep), Sulci(secondary, shallow)

    def _pattern(self, name: str, wavelength_mm: float, place: tuple[Array, ...], folded: Array) -> Array:
        pattern = np.ones(folded.shape, np.float32)  # no zero and therefore no sulcus outside the brain and deep in it
        pattern[folded] = BandNoise.draw(self._generator(name), wavelength_mm).at(*place)
        return pattern

    def _draw_cerebellum(self, canvas: Canvas, points: Points, cerebrum: Array, axes: Axes) -> None:
        voxel = points.spacing_mm
        hull = smooth_maximum(brain.cerebellum_hull(points), 1.6 - cerebrum, 3.0)
        depth = -hull
        # Folia lie around a left-right axis through the roof of the fourth ventricle.
        up, back = points.z + 32, -(points.y + 44)
        bend = smooth_field(self._generator("folia"), axes, 25.0)
        angle = np.arctan2(up, back + 4)
        radius = np.sqrt(up**2 + back**2)
        fissures = np.sin(angle * 17.0 + 1.1 * bend + 0.02 * np.abs(points.x)) * (radius + 1)
        folia = np.sin(angle * 37.0 + 1.6 * bend + 0.05 * np.abs(points.x)) * (radius + 1)
        families = (Sulci(fissures, 13.0), Sulci(folia, 4.5))
        distance = pial_distance(depth, families, -1.0, voxel)
        canvas.add(Tissue.WHITE, coverage(1.9 - distance, voxel))
        canvas.add(Tissue.GREY, coverage(0.25 - distance, voxel) * coverage(hull, voxel))


def intracranial_hull(points: Points, cerebrum: Array) -> Array:
    """Return the distance [mm] to the smooth hull of brain and cisterns, which skull-stripping keeps."""
    stem = smooth_maximum(brain.brain_stem(points), -68 - points.z, 3.0)
    below = smooth_minimum(brain.cerebellum_hull(points), stem, 5.0)
    return smooth_minimum(cerebrum, below, 9.0) - 0.8


def draw_skull_and_scalp(canvas: Canvas, points: Points, inner: Array) -> None:
    """Add skull, scalp, face and neck; `inner` is the distance [mm] to the intracranial hull."""
    voxel, both = points.spacing_mm, points.mirrored()
    eyes = ellipsoid(both, (32, 62, -32), (12, 12, 12))
    airway = np.minimum(ellipsoid(both, (7, 62, -52), (4, 22, 14)), ellipsoid(both, (28, 48, -56), (11, 14, 14)))
    throat = tube(points, [(0, 36, -60, 8), (0, 12, -72, 9), (0, 8, -110, 9)])
    canvas.add(Tissue.CSF, coverage(eyes, voxel))
    canvas.add(Tissue.AIR, coverage(np.minimum(airway, throat), voxel))
    spine = np.maximum(np.abs(ellipsoid(points, (0, -44, -95), (17, 17, 60))) - 4, points.z + 60)
    canvas.add(Tissue.MARROW, coverage(np.minimum(np.abs(inner - 6.0) - 1.3, spine), voxel))
    canvas.add(Tissue.BONE, coverage(inner - 9.0, voxel))
    face = ellipsoid(points, (0, 40, -58), (60, 52, 60))
    jaw = tube(both, [(48, 0, -70, 10), (36, 45, -100, 9), (5, 68, -105, 9)])
    neck = tube(points, [(0, -25, -70, 55), (0, -20, -140, 55)])
    skin = smooth_minimum(smooth_minimum(inner - 14.5, face, 18.0), smooth_minimum(neck, jaw - 8, 10.0), 14.0)
    canvas.add(Tissue.BONE, coverage(np.abs(jaw) - 3, voxel) * coverage(skin + 6, voxel))
    muscle = np.maximum(skin + 7.0, 11.5 - inner)
    canvas.add(Tissue.MUSCLE, coverage(muscle, voxel))
    canvas.add(Tissue.FAT, coverage(skin + 2.2, voxel))
    canvas.add(Tissue.MUSCLE, coverage(skin, voxel))


class Canvas:
    """Tissue fractions built from the topmost tissue to the lowest: each fills its coverage of the space still empty."""

    def __init__(self, shape: tuple[int, ...]) -> None:
        self._fractions = np.zeros((len(Tissue), *shape), np.float32)
        self._empty = np.ones(shape, np.float32)

    def add(self, tissue: Tissue, covered: Array) -> None:
        """Add a tissue below all earlier ones; `covered` is its coverage of each voxel, from 0 to 1."""
        share = covered * self._empty
        self._fractions[tissue] += share
        self._empty -= share

    def finished(self) -> Array:
        """Return the fractions [tissue, X, Y, Z]; space still empty becomes air."""
        self._fractions[Tissue.AIR] += self._empty
        return self._fractions


def _rotation(degrees: tuple[float, float, float]) -> Array:
    rx, ry, rz = np.radians(degrees)
    about_x = np.array([[1, 0, 0], [0, np.cos(rx), -np.sin(rx)], [0, np.sin(rx), np.cos(rx)]])
    about_y = np.array([[np.cos(ry), 0, np.sin(ry)], [0, 1, 0], [-np.sin(ry), 0, np.cos(ry)]])
    about_z = np.array([[np.cos(rz), -np.sin(rz), 0], [np.sin(rz), np.cos(rz), 0], [0, 0, 1]])
    return about_x @ about_y @ about_z

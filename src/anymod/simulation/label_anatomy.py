"""Heads from label maps with FreeSurfer values: each subject is a randomly flipped, rotated, scaled and warped map."""

from __future__ import annotations

from dataclasses import dataclass
from functools import lru_cache
from pathlib import Path

import numpy as np
from scipy import ndimage

from anymod.arrays import Array
from anymod.errors import VolumeError
from anymod.randomness import numpy_generator
from anymod.simulation.anatomy import Axes, draw_variation, posed, smooth_warp, world_points
from anymod.simulation.tissues import Tissue
from anymod.volumes import orient, read_labels

# FreeSurfer's values and those added by SynthSeg's training maps (136 and above, identified by their positions).
TISSUE_VALUES: dict[Tissue, tuple[int, ...]] = {
    Tissue.CSF: (4, 5, 14, 15, 24, 43, 44, 72, 506),
    Tissue.GREY: (3, 8, 42, 47),
    Tissue.WHITE: (2, 7, 25, 41, 46, 57, 77, 85, 251, 252, 253, 254, 255, 530),  # lesions (25, 57, 77) are filled in
    Tissue.DEEP_GREY: (10, 11, 12, 17, 18, 26, 49, 50, 51, 53, 54, 58),
    Tissue.PALLIDUM: (13, 52),
    Tissue.BRAIN_STEM: (16, 28, 60, 512),
    Tissue.CHOROID: (31, 63, 136, 137, 163, 164),
    Tissue.VESSEL: (30, 62, 502, 514),
    Tissue.BONE: (515,),
    Tissue.MARROW: (516,),
    Tissue.MUSCLE: (507, 508, 509),
    Tissue.FAT: (511,),
}
_OUTSIDE_VALUES = (502, 506, 512, 514, 530)  # outside the brain, although the same tissues also occur inside
AROUND_BRAIN = 24  # value of fluid outside the ventricles
FALX_REACH_MM = 5.0  # largest distance of the falx from a hemisphere
SUFFIXES = (".nii.gz", ".nii", ".nrrd", ".mha", ".mhd")


def find_label_maps(folder: Path) -> tuple[Path, ...]:
    """Return a file itself, or the label maps directly in a folder, sorted by name; raise VolumeError if there is none."""
    folder = Path(folder)
    if folder.is_file():
        return (folder,)
    maps = sorted(path for path in folder.glob("*") if path.name.endswith(SUFFIXES)) if folder.is_dir() else []
    if not maps:
        raise VolumeError("no label map", folder, "there is no NIfTI, NRRD or MHA file", "give a folder of label maps")
    return tuple(maps)


@dataclass(frozen=True)
class LabelAnatomy:
    """Head from one label map, varied randomly by (seed, index)."""

    path: Path
    seed: int
    index: int
    whole_head: bool = False

    def fractions(self, axes: Axes, spacing_mm: float, displacement: tuple[Array, Array, Array] | None = None) -> Array:
        """Return the tissue fractions [tissue, X, Y, Z] (sum 1) on world axes [mm]; `displacement` [mm] points to the tissue shown."""
        tissues, to_voxel = _read_tissues(self.path, self.whole_head)
        generator = numpy_generator(self.seed, "subject", self.index, "anatomy")
        variation = draw_variation(generator)
        mirrored = bool(generator.integers(2))
        world = world_points(axes, spacing_mm)
        if displacement is not None:
            world = world.moved(displacement)
        points = posed(world, variation).moved(smooth_warp(self.seed, self.index, axes, 1.2 * variation.warp_mm))
        x = -points.x if mirrored else points.x
        rows = to_voxel[:3].astype(np.float32)
        place = [row[0] * x + row[1] * points.y + row[2] * points.z + row[3] for row in rows]
        fractions = _sampled_fractions(tissues, place)
        # Label maps have stepped surfaces; a blur of half a voxel gives the partial volumes of smooth ones.
        for tissue in np.flatnonzero(fractions.any(axis=(1, 2, 3))):
            fractions[tissue] = ndimage.gaussian_filter(fractions[tissue], 0.45 / min(spacing_mm, 1.5), truncate=3)
        fractions /= fractions.sum(axis=0)
        return fractions


@lru_cache(maxsize=2)
def _read_tissues(path: Path, whole_head: bool) -> tuple[Array, Array]:
    """Return a map's tissues (uint8) and the affine from anatomical millimetres to its voxels; raise VolumeError if it shows no brain."""
    volume = orient(read_labels(path), "RAS")
    labels = np.asarray(volume.data)
    table = np.zeros(max(int(labels.max()), 0) + 1, np.uint8)
    for tissue, values in TISSUE_VALUES.items():
        for value in values:
            if value < len(table) and (whole_head or value not in _OUTSIDE_VALUES):
                table[value] = tissue
    tissues = table[np.clip(labels, 0, None)]
    tissues[_between_hemispheres(labels, volume.spacing_mm) & (labels == AROUND_BRAIN)] = Tissue.DURA
    if not whole_head:
        tissues[np.isin(tissues, [Tissue.BONE, Tissue.MARROW, Tissue.FAT, Tissue.MUSCLE])] = Tissue.AIR
        tissues = _without_outer_fluid(tissues)
    brain = np.isin(tissues, [Tissue.GREY, Tissue.WHITE, Tissue.DEEP_GREY])
    if not brain.any():
        remedy = "give label maps with FreeSurfer values (2, 3, 41, 42, ...)"
        raise VolumeError("empty label map", path, "it contains no grey or white matter", remedy)
    centre = ndimage.center_of_mass(brain)
    to_world = np.eye(4)
    to_world[:3, :3] = np.diag(np.linalg.norm(volume.grid.affine[:3, :3], axis=0))
    # The centre of mass of grey and white matter lies 18 mm behind and 12 mm above the anterior commissure.
    to_world[:3, 3] = np.array([0.0, -18.0, 12.0]) - to_world[:3, :3] @ np.asarray(centre)
    return tissues, np.linalg.inv(to_world)


def _between_hemispheres(labels: Array, spacing_mm: tuple[float, ...]) -> Array:
    """Return the voxels near both cerebral hemispheres and equally far from them: the falx, which label maps do not contain."""
    sides = [~np.isin(labels, side) for side in ((2, 3), (41, 42))]
    if sides[0].all() or sides[1].all():
        return np.zeros(labels.shape, bool)
    left, right = (ndimage.distance_transform_edt(beyond, sampling=spacing_mm) for beyond in sides)
    # One voxel across every gap: the middle one, or the first beyond the middle.
    return (left >= right) & (left - right <= 1.01 * max(spacing_mm)) & (left <= FALX_REACH_MM)


def _without_outer_fluid(tissues: Array) -> Array:
    """Return the tissues without fluid farther than 3 voxels from brain, as after skull-stripping."""
    parenchyma = (tissues != Tissue.AIR) & (tissues != Tissue.CSF) & (tissues != Tissue.VESSEL)
    near = ndimage.distance_transform_edt(~parenchyma) <= 3.0
    return np.where(near | ndimage.binary_fill_holes(near), tissues, np.uint8(Tissue.AIR))


def _sampled_fractions(tissues: Array, place: list[Array]) -> Array:
    """Return the share of each tissue at eight positions in every voxel [tissue, X, Y, Z]; `place` holds voxel coordinates in the map."""
    steps = [np.gradient(along, axis=axis) for axis, along in enumerate(place)]
    fractions = np.zeros((len(Tissue), *place[0].shape), np.float32)
    for corner in np.ndindex(2, 2, 2):
        indices = []
        for axis, along in enumerate(place):
            nearest = np.rint(along + np.float32(0.5 * corner[axis] - 0.25) * steps[axis]).astype(np.int32)
            indices.append(np.clip(nearest, 0, tissues.shape[axis] - 1))
        sampled = tissues[tuple(indices)]
        for tissue in Tissue:
            fractions[tissue] += (sampled == tissue) * np.float32(0.125)
    return fractions

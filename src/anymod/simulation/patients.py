"""One simulated subject: anatomy, perhaps a tumour, and every modality's image on one grid, a function of (seed, index, settings)."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from scipy import ndimage

from anymod.randomness import numpy_generator
from anymod.simulation.anatomy import Axes, ProceduralAnatomy
from anymod.simulation.label_anatomy import LabelAnatomy, find_label_maps
from anymod.simulation.mr import Scene, Texture, acquire
from anymod.simulation.protocols import Protocol, draw_protocol
from anymod.simulation.settings import SimulationSettings
from anymod.simulation.tissues import FREESURFER_VALUES, OUTSIDE_BRAIN, TUMOUR_LABELS, Tissue
from anymod.simulation.tumour import COARSE_MM, Tumour, depth_in_brain, draw_tumour
from anymod.types import Array
from anymod.volumes import Grid, Volume

# What the image shows [mm]: ((x), (y), (z)), the origin near the anterior commissure.
BRAIN_FIELD_OF_VIEW = ((-80.0, 80.0), (-118.0, 90.0), (-74.0, 86.0))
HEAD_FIELD_OF_VIEW = ((-96.0, 96.0), (-124.0, 108.0), (-116.0, 108.0))

Anatomy = ProceduralAnatomy | LabelAnatomy


@dataclass(frozen=True)
class SimulatedSubject:
    """One subject with known truth.

    Attributes:
        name: `sim-0000` and so on.
        images: every modality asked for; int16, background exactly 0 unless the whole head was asked for.
        tissue: FreeSurfer values.
        label: tumour: 1 necrotic or non-enhancing core, 2 oedema, 4 enhancing; all 0 in a subject without one.
        protocol: the scanner and its sequences.
        tumour: kind, place and size; None without one.
    """

    name: str
    images: dict[str, Volume]
    tissue: Volume
    label: Volume
    protocol: Protocol
    tumour: Tumour | None


def simulate_subject(seed: int, index: int, settings: SimulationSettings | None = None) -> SimulatedSubject:
    """Return the subject of that seed and index with every modality of the settings, missing ones too."""
    settings = settings or SimulationSettings()
    axes = grid_axes(settings)
    anatomy = choose_anatomy(seed, index, settings)
    tumour, displacement = _place_tumour(anatomy, axes, seed, index, settings)
    fractions = anatomy.fractions(axes, settings.spacing_mm, displacement)
    if tumour is not None:
        tumour.grow_into(fractions, axes, settings.spacing_mm)
    scene = Scene(fractions, Texture.draw(seed, index, axes), axes, settings.spacing_mm, seed, index)
    protocol = draw_protocol(numpy_generator(seed, "subject", index, "protocol"), settings.modalities)
    foreground = np.ones(fractions.shape[1:], bool) if settings.whole_head else brain_mask(fractions)
    prevailing = np.where(foreground, fractions.argmax(axis=0), Tissue.AIR)
    grid = axes_grid(axes, settings.spacing_mm)
    name = f"sim-{index:04d}"
    return SimulatedSubject(
        name=name,
        images={
            modality: Volume(_stored(acquire(scene, modality, protocol), foreground), grid, f"{name}/{modality}")
            for modality in settings.modalities
        },
        tissue=Volume(tissue_map(prevailing, axes), grid, f"{name}/tissue"),
        label=Volume(tumour_labels(prevailing), grid, f"{name}/label"),
        protocol=protocol,
        tumour=tumour,
    )


def grid_axes(settings: SimulationSettings) -> Axes:
    """Return the world coordinates [mm] of voxel centres along x, y and z."""
    view = HEAD_FIELD_OF_VIEW if settings.whole_head else BRAIN_FIELD_OF_VIEW
    spacing = settings.spacing_mm
    x, y, z = (low + spacing * (0.5 + np.arange(round((high - low) / spacing))) for low, high in view)
    return x, y, z


def axes_grid(axes: Axes, spacing_mm: float) -> Grid:
    """Return the RAS+ grid of these axes."""
    affine = np.diag([spacing_mm, spacing_mm, spacing_mm, 1.0])
    affine[:3, 3] = [axis[0] for axis in axes]
    return Grid((len(axes[0]), len(axes[1]), len(axes[2])), affine)


def choose_anatomy(seed: int, index: int, settings: SimulationSettings) -> Anatomy:
    """Return the subject's anatomy: procedural, or one of the label maps, drawn."""
    if settings.anatomy is None:
        return ProceduralAnatomy(seed, index, settings.whole_head)
    maps = find_label_maps(settings.anatomy)
    chosen = int(numpy_generator(seed, "subject", index, "label map").integers(len(maps)))
    return LabelAnatomy(maps[chosen], seed, index, settings.whole_head)


def brain_mask(fractions: Array) -> Array:
    """Return the voxels [X, Y, Z] that skull-stripping leaves: one connected piece without holes."""
    inside = fractions[list(OUTSIDE_BRAIN)].sum(axis=0) < 0.5
    pieces, count = ndimage.label(inside)
    if count > 1:
        inside = pieces == 1 + np.argmax(np.bincount(pieces.ravel())[1:])
    return ndimage.binary_fill_holes(inside)


def tissue_map(prevailing: Array, axes: Axes) -> Array:
    """Return FreeSurfer's value of each voxel's prevailing tissue [X, Y, Z]; left is where x is negative."""
    table = np.array([FREESURFER_VALUES[tissue] for tissue in Tissue], np.int16)
    return table[prevailing, (axes[0] >= 0).astype(np.intp)[:, None, None]]


def tumour_labels(prevailing: Array) -> Array:
    """Return the tumour's label of each voxel's prevailing tissue [X, Y, Z], 0 where that is none of the tumour's."""
    return np.array([TUMOUR_LABELS.get(tissue, 0) for tissue in Tissue], np.int16)[prevailing]


def _place_tumour(
    anatomy: Anatomy, axes: Axes, seed: int, index: int, settings: SimulationSettings
) -> tuple[Tumour | None, tuple[Array, Array, Array] | None]:
    if numpy_generator(seed, "subject", index, "has tumour").random() >= settings.tumours:
        return None, None
    # Always looked for at the same coarse spacing: the tumour does not depend on the spacing of the images.
    coarse_axes = grid_axes(settings.model_copy(update={"spacing_mm": COARSE_MM}))
    coarse = anatomy.fractions(coarse_axes, COARSE_MM)
    tumour = draw_tumour(coarse, coarse_axes, seed, index)
    depth = depth_in_brain(coarse, COARSE_MM)
    place = np.meshgrid(
        *((axis - first[0]) / COARSE_MM for axis, first in zip(axes, coarse_axes, strict=True)), indexing="ij"
    )
    fine_depth = ndimage.map_coordinates(depth, place, order=1, mode="nearest", output=np.float32)
    return tumour, tumour.displacement(axes, fine_depth)


def _stored(image: Array, foreground: Array) -> Array:
    """Return the image as int16: 0 outside the foreground, at least 1 inside, so that the two are never confused."""
    return np.where(foreground, np.clip(np.rint(image), 1, 32767), 0).astype(np.int16)

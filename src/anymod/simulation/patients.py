"""Simulated subjects: anatomy, optional tumour and all images on one grid, as a function of (seed, index, settings)."""

from __future__ import annotations

from dataclasses import dataclass, replace

import numpy as np
from scipy import ndimage

from anymod.arrays import Array
from anymod.randomness import numpy_generator
from anymod.simulation.acoustics import medium
from anymod.simulation.anatomy import Axes, ProceduralAnatomy
from anymod.simulation.craniotomy import box_axes, draw_target, place_probe
from anymod.simulation.label_anatomy import LabelAnatomy, find_label_maps
from anymod.simulation.mr import Scene, Texture, acquire
from anymod.simulation.protocols import Protocol, draw_protocol
from anymod.simulation.settings import SimulationSettings
from anymod.simulation.surgery import BrainShift, find_landmarks, warped, widened
from anymod.simulation.tissues import FREESURFER_VALUES, OUTSIDE_BRAIN, TUMOUR_LABELS, Tissue
from anymod.simulation.tumour import COARSE_MM, Tumour, depth_in_brain, draw_tumour
from anymod.simulation.ultrasound import PROBES, Chance, Pose, Probe, compounded, sweep, unmoved
from anymod.volumes import Grid, Volume

# Ranges [mm] along x, y and z; the origin is near the anterior commissure.
BRAIN_FIELD_OF_VIEW = ((-80.0, 80.0), (-118.0, 90.0), (-74.0, 86.0))
HEAD_FIELD_OF_VIEW = ((-96.0, 96.0), (-124.0, 108.0), (-116.0, 108.0))

Anatomy = ProceduralAnatomy | LabelAnatomy


@dataclass(frozen=True)
class SimulatedSubject:
    """Images of one subject, with the truth about them.

    Attributes:
        name: `sim-0000` and so on.
        images: all modalities of the settings; int16, background exactly 0 unless the whole head is simulated.
        tissue: map of FreeSurfer values.
        label: map of the tumour: 1 necrotic or non-enhancing core, 2 oedema, 4 enhancing, 0 elsewhere.
        protocol: scanner and sequences.
        tumour: kind, position and size; None without a tumour.
        probe: ultrasound probe and its pose; None without ultrasound.
        surgery: brain shift before the ultrasound; None without shift.
    """

    name: str
    images: dict[str, Volume]
    tissue: Volume
    label: Volume
    protocol: Protocol
    tumour: Tumour | None
    probe: tuple[Probe, Pose] | None = None
    surgery: Surgery | None = None


@dataclass(frozen=True)
class Surgery:
    """True brain shift of one subject.

    Attributes:
        shift: transform from points of the ultrasound to points of the MR images.
        landmarks: corresponding points of the ultrasound and the MR images [n, 2, 3], RAS+ millimetres.
        tissue, label: maps in the space of the ultrasound, 0 outside its field of view.
    """

    shift: BrainShift
    landmarks: Array
    tissue: Volume
    label: Volume


@dataclass(frozen=True)
class Patient:
    """Head, perhaps with a tumour, that can be sampled on any grid.

    `coarse` (tissue fractions without tumour) and `depth` (of each voxel in the brain [mm]) are on `coarse_axes`.
    """

    anatomy: Anatomy
    tumour: Tumour | None
    coarse_axes: Axes
    coarse: Array
    depth: Array

    @classmethod
    def draw(cls, seed: int, index: int, settings: SimulationSettings) -> Patient:
        """Return the patient with this seed and index."""
        anatomy = choose_anatomy(seed, index, settings)
        # Always the same coarse spacing, so that the tumour does not depend on the spacing of the images.
        axes = grid_axes(settings.model_copy(update={"spacing_mm": COARSE_MM}))
        coarse = anatomy.fractions(axes, COARSE_MM)
        ill = numpy_generator(seed, "subject", index, "has tumour").random() < settings.tumours
        tumour = draw_tumour(coarse, axes, seed, index) if ill else None
        return cls(anatomy, tumour, axes, coarse, depth_in_brain(coarse, COARSE_MM))

    def fractions(self, axes: Axes, spacing_mm: float) -> Array:
        """Return the tissue fractions [tissue, X, Y, Z] on axes [mm], tumour and mass effect included."""
        if self.tumour is None:
            return self.anatomy.fractions(axes, spacing_mm)
        places = ((axis - first[0]) / COARSE_MM for axis, first in zip(axes, self.coarse_axes, strict=True))
        place = np.meshgrid(*places, indexing="ij")
        depth = ndimage.map_coordinates(self.depth, place, order=1, mode="nearest", output=np.float32)
        fractions = self.anatomy.fractions(axes, spacing_mm, self.tumour.displacement(axes, depth))
        self.tumour.grow_into(fractions, axes, spacing_mm)
        return fractions


def subject_name(index: int) -> str:
    """Return the name of the subject with this index."""
    return f"sim-{index:04d}"


def simulate_subject(seed: int, index: int, settings: SimulationSettings | None = None) -> SimulatedSubject:
    """Return the subject with this seed and index, with images of all modalities of the settings; none is missing."""
    settings = settings or SimulationSettings()
    patient = Patient.draw(seed, index, settings)
    probe, shift = open_skull(patient, seed, index, settings) if "us" in settings.modalities else (None, None)
    axes = grid_axes(settings) if probe is None else box_axes(*probe, settings.spacing_mm)
    # Brain shift brings tissue into view from outside the images.
    wide_axes = axes if shift is None else widened(axes, shift.longest_mm)
    wide = patient.fractions(wide_axes, settings.spacing_mm)
    edge = (len(wide_axes[0]) - len(axes[0])) // 2
    fractions = wide[(slice(None), *(slice(edge, edge + len(axis)) for axis in axes))]
    scene = Scene(fractions, Texture.draw(seed, index, axes), axes, settings.spacing_mm, seed, index)
    magnetic = tuple(modality for modality in settings.modalities if modality != "us")
    protocol = draw_protocol(numpy_generator(seed, "subject", index, "protocol"), magnetic)
    foreground = np.ones(fractions.shape[1:], bool) if settings.whole_head else brain_mask(fractions)
    name = subject_name(index)
    images, surgery = {}, None
    if probe is not None:
        known = (wide_axes, wide) if settings.acoustic_mm == settings.spacing_mm else None
        images["us"] = insonify(patient, *probe, scene, settings.acoustic_mm, shift, known).astype(np.int16)
        if settings.crop_to_us:
            foreground &= images["us"] > 0
        if shift is not None:
            surgery = _surgery(shift, (wide_axes, wide), scene, (images["us"] > 0, foreground), name)
    images |= {modality: _stored(acquire(scene, modality, protocol), foreground) for modality in magnetic}
    prevailing = np.where(foreground, fractions.argmax(axis=0), Tissue.AIR)
    right = np.broadcast_to(axes[0][:, None, None] >= 0, prevailing.shape)
    grid = axes_grid(axes, settings.spacing_mm)
    return SimulatedSubject(
        name=name,
        images={modality: Volume(images[modality], grid, f"{name}/{modality}") for modality in settings.modalities},
        tissue=Volume(tissue_map(prevailing, right), grid, f"{name}/tissue"),
        label=Volume(tumour_labels(prevailing), grid, f"{name}/label"),
        protocol=protocol,
        tumour=patient.tumour,
        probe=probe,
        surgery=surgery,
    )


def open_skull(
    patient: Patient, seed: int, index: int, settings: SimulationSettings
) -> tuple[tuple[Probe, Pose], BrainShift | None]:
    """Return the probe with its pose, and the brain shift, if any; the probe follows the surface of the shifted brain."""
    probe, pose = hold_probe(patient, seed, index, settings)
    if settings.shift_mm == 0:
        return (probe, pose), None
    generator = numpy_generator(seed, "subject", index, "brain shift")
    shift = BrainShift.draw(box_axes(probe, pose, COARSE_MM), pose, settings.shift_mm, generator)
    return (probe, replace(pose, contact=shift.origin_of(pose.contact))), shift


def _surgery(
    shift: BrainShift, wide: tuple[Axes, Array], scene: Scene, shown: tuple[Array, Array], name: str
) -> Surgery:
    """Return the maps in the space of the ultrasound, and landmarks; `shown` marks where ultrasound and MR images are not 0."""
    points = shift.moved(np.meshgrid(*(axis.astype(np.float32) for axis in scene.axes), indexing="ij"))
    wide_axes, tissues = wide
    fractions = warped(tissues, wide_axes, points)
    prevailing = np.where(shown[0] & brain_mask(fractions), fractions.argmax(axis=0), Tissue.AIR)
    places = [(along - axis[0]) / scene.spacing_mm for along, axis in zip(points, scene.axes, strict=True)]
    imaged = ndimage.map_coordinates(shown[1].astype(np.uint8), places, order=0, mode="constant") > 0
    margin = max(1, round(2.0 / scene.spacing_mm))
    inside = ndimage.binary_erosion(prevailing != Tissue.AIR, iterations=margin) & imaged
    landmarks = find_landmarks(fractions[Tissue.CSF], inside, scene.axes)
    there = np.stack(shift.moved(list(landmarks.T)), axis=1)
    grid = axes_grid(scene.axes, scene.spacing_mm)
    return Surgery(
        shift,
        np.stack([landmarks, there], axis=1),
        Volume(tissue_map(prevailing, points[0] >= 0), grid, f"{name}/us_tissue"),
        Volume(tumour_labels(prevailing), grid, f"{name}/us_label"),
    )


def hold_probe(patient: Patient, seed: int, index: int, settings: SimulationSettings) -> tuple[Probe, Pose]:
    """Return the probe and its pose: over the tumour, or over some white matter if there is no tumour."""
    generator = numpy_generator(seed, "subject", index, "craniotomy")
    probes = [probe for probe in PROBES if settings.probe in (probe.name, "any")]
    probe = probes[int(generator.integers(len(probes)))]
    if patient.tumour is not None:
        target = patient.tumour.centre
    else:
        target = draw_target(patient.coarse, patient.coarse_axes, patient.depth, generator)
    return probe, place_probe(patient.coarse, patient.coarse_axes, target, generator)


def insonify(
    patient: Patient,
    probe: Probe,
    pose: Pose,
    scene: Scene,
    acoustic_mm: float,
    shift: BrainShift | None,
    known: tuple[Axes, Array] | None,
) -> Array:
    """Return the ultrasound [X, Y, Z] on the scene's axes, uint8: 1 to 255 in the field of view of the sweep, 0 elsewhere.

    Acoustics are simulated at a spacing of `acoustic_mm`, whatever the spacing of the images. `known` are axes and tissue fractions of
    this spacing; None computes them.
    """
    if known is None:
        axes = box_axes(probe, pose, acoustic_mm)
        axes = axes if shift is None else widened(axes, shift.longest_mm)
        known = axes, patient.fractions(axes, acoustic_mm)
    axes, fractions = known
    generator = numpy_generator(scene.seed, "subject", scene.index, "acquisition", "us")
    seen = medium(fractions, axes, acoustic_mm, scene.seed, scene.index)
    moved = unmoved if shift is None else shift.moved
    brightness, beams = sweep(probe, pose, seen, axes, Chance.draw(generator), generator, moved)
    return compounded(probe, pose, brightness, beams, scene.axes, generator)


def grid_axes(settings: SimulationSettings) -> Axes:
    """Return the world coordinates [mm] of the voxel centres along x, y and z."""
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
    """Return the subject's anatomy: procedural, or from a randomly chosen label map."""
    if settings.anatomy is None:
        return ProceduralAnatomy(seed, index, settings.whole_head)
    maps = find_label_maps(settings.anatomy)
    chosen = int(numpy_generator(seed, "subject", index, "label map").integers(len(maps)))
    return LabelAnatomy(maps[chosen], seed, index, settings.whole_head)


def brain_mask(fractions: Array) -> Array:
    """Return the voxels [X, Y, Z] that skull-stripping keeps: one connected piece without holes."""
    inside = fractions[list(OUTSIDE_BRAIN)].sum(axis=0) < 0.5
    pieces, count = ndimage.label(inside)
    if count > 1:
        inside = pieces == 1 + np.argmax(np.bincount(pieces.ravel())[1:])
    return ndimage.binary_fill_holes(inside)


def tissue_map(prevailing: Array, right: Array) -> Array:
    """Return the FreeSurfer value of each voxel's prevailing tissue; `right` marks the right side (all [X, Y, Z])."""
    table = np.array([FREESURFER_VALUES[tissue] for tissue in Tissue], np.int16)
    return table[prevailing, right.astype(np.intp)]


def tumour_labels(prevailing: Array) -> Array:
    """Return the tumour label of each voxel's prevailing tissue [X, Y, Z], 0 for healthy tissue."""
    return np.array([TUMOUR_LABELS.get(tissue, 0) for tissue in Tissue], np.int16)[prevailing]


def _stored(image: Array, foreground: Array) -> Array:
    """Return the image as int16: 0 outside the foreground, at least 1 inside, so that the two are never confused."""
    return np.where(foreground, np.clip(np.rint(image), 1, 32767), 0).astype(np.int16)

"""One simulated subject: anatomy, perhaps a tumour, and every modality's image on one grid, a function of (seed, index, settings)."""

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
        probe: what the ultrasound was made with, and where it was held; None without ultrasound.
        surgery: how the brain had shifted when the ultrasound was made; None where it had not.
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
    """What is known of a brain that has shifted.

    Attributes:
        shift: from points of the ultrasound to points of the MR images.
        landmarks: points of the ultrasound and of the MR images [n, 2, 3], RAS+ millimetres.
        tissue, label: the maps as they lie in the ultrasound, 0 where it did not look.
    """

    shift: BrainShift
    landmarks: Array
    tissue: Volume
    label: Volume


@dataclass(frozen=True)
class Patient:
    """A head with its tumour, which can be looked at on any grid; `coarse` and `depth` lie on `coarse_axes`."""

    anatomy: Anatomy
    tumour: Tumour | None
    coarse_axes: Axes
    coarse: Array
    depth: Array

    @classmethod
    def draw(cls, seed: int, index: int, settings: SimulationSettings) -> Patient:
        """Return the patient of that seed and index."""
        anatomy = choose_anatomy(seed, index, settings)
        # Always looked for at the same coarse spacing: the tumour does not depend on the spacing of the images.
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
    """Return the name of the subject of that index."""
    return f"sim-{index:04d}"


def simulate_subject(seed: int, index: int, settings: SimulationSettings | None = None) -> SimulatedSubject:
    """Return the subject of that seed and index with every modality of the settings, missing ones too."""
    settings = settings or SimulationSettings()
    patient = Patient.draw(seed, index, settings)
    probe, shift = open_skull(patient, seed, index, settings) if "us" in settings.modalities else (None, None)
    axes = grid_axes(settings) if probe is None else box_axes(*probe, settings.spacing_mm)
    # What the brain brings in from beside the images when it shifts has to be known, too.
    wide = axes if shift is None else widened(axes, shift.longest_mm)
    reached = patient.fractions(wide, settings.spacing_mm)
    edge = (len(wide[0]) - len(axes[0])) // 2
    fractions = reached[(slice(None), *(slice(edge, edge + len(axis)) for axis in axes))]
    scene = Scene(fractions, Texture.draw(seed, index, axes), axes, settings.spacing_mm, seed, index)
    magnetic = tuple(modality for modality in settings.modalities if modality != "us")
    protocol = draw_protocol(numpy_generator(seed, "subject", index, "protocol"), magnetic)
    foreground = np.ones(fractions.shape[1:], bool) if settings.whole_head else brain_mask(fractions)
    name = subject_name(index)
    images, surgery = {}, None
    if probe is not None:
        met = (wide, reached) if settings.acoustic_mm == settings.spacing_mm else None
        images["us"] = insonify(patient, *probe, scene, settings.acoustic_mm, shift, met).astype(np.int16)
        if settings.crop_to_us:
            foreground &= images["us"] > 0
        if shift is not None:
            surgery = _surgery(shift, (wide, reached), scene, (images["us"] > 0, foreground), name)
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
    """Return the probe and where it is held, and how the brain has shifted by then; the array follows the brain's surface."""
    probe, pose = hold_probe(patient, seed, index, settings)
    if settings.shift_mm == 0:
        return (probe, pose), None
    generator = numpy_generator(seed, "subject", index, "brain shift")
    shift = BrainShift.draw(box_axes(probe, pose, COARSE_MM), pose, settings.shift_mm, generator)
    return (probe, replace(pose, contact=shift.origin_of(pose.contact))), shift


def _surgery(
    shift: BrainShift, reached: tuple[Axes, Array], scene: Scene, shown: tuple[Array, Array], name: str
) -> Surgery:
    """Return the maps in the ultrasound's space, and landmarks; `shown` is where ultrasound and MR images are not 0."""
    points = shift.moved(np.meshgrid(*(axis.astype(np.float32) for axis in scene.axes), indexing="ij"))
    wide, tissues = reached
    fractions = warped(tissues, wide, points)
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
    """Return the probe and where it is held: over the tumour, or, without one, over some white matter."""
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
    met: tuple[Axes, Array] | None,
) -> Array:
    """Return the ultrasound [X, Y, Z] on the scene's axes, uint8: 1 to 255 where the sweep looked, 0 elsewhere.

    What sound meets is simulated at `acoustic_mm`, whatever the spacing of the images; `met` holds axes and tissue fractions of that
    spacing where they are known already.
    """
    if met is None:
        axes = box_axes(probe, pose, acoustic_mm)
        axes = axes if shift is None else widened(axes, shift.longest_mm)
        met = axes, patient.fractions(axes, acoustic_mm)
    axes, fractions = met
    generator = numpy_generator(scene.seed, "subject", scene.index, "acquisition", "us")
    seen = medium(fractions, axes, acoustic_mm, scene.seed, scene.index)
    moved = unmoved if shift is None else shift.moved
    brightness, beams = sweep(probe, pose, seen, axes, Chance.draw(generator), generator, moved)
    return compounded(probe, pose, brightness, beams, scene.axes, generator)


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


def tissue_map(prevailing: Array, right: Array) -> Array:
    """Return FreeSurfer's value of each voxel's prevailing tissue; `right` tells which voxels are of the right side (all [X, Y, Z])."""
    table = np.array([FREESURFER_VALUES[tissue] for tissue in Tissue], np.int16)
    return table[prevailing, right.astype(np.intp)]


def tumour_labels(prevailing: Array) -> Array:
    """Return the tumour's label of each voxel's prevailing tissue [X, Y, Z], 0 where that is none of the tumour's."""
    return np.array([TUMOUR_LABELS.get(tissue, 0) for tissue in Tissue], np.int16)[prevailing]


def _stored(image: Array, foreground: Array) -> Array:
    """Return the image as int16: 0 outside the foreground, at least 1 inside, so that the two are never confused."""
    return np.where(foreground, np.clip(np.rint(image), 1, 32767), 0).astype(np.int16)

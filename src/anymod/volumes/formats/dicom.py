"""A DICOM series as one volume: frames sorted along their normal, with nothing missing, doubled or mixed."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from itertools import groupby
from pathlib import Path

import numpy as np

from anymod.arrays import Array
from anymod.errors import VolumeError
from anymod.volumes.affines import check_affine, has_right_angles
from anymod.volumes.formats.dicom_frames import Frame, Identity, identify, parse_frames, read_pixels
from anymod.volumes.formats.header_text import LPS_TO_RAS
from anymod.volumes.formats.signatures import LONGEST_BEGINNING, states_dicom
from anymod.volumes.formats.stored import MOST_VOXELS

SAME_DIRECTION = 1e-3  # cosines of two slices that count as parallel
SAME_STEP_MM = 1e-3
UNEVEN_MM = 0.05  # rounding of positions in the files
UNEVEN_SHARE = 0.02  # of the distance between slices
EXPORT_AGAIN = "export the series again, whole and by itself"


@dataclass(frozen=True, eq=False)
class DicomSeries:
    """The sorted frames of one series.

    Attributes:
        source: Folder or file that was asked for.
        frames: Sorted along the normal of the slices; the last axis of the volume.
        affine: [4, 4] float64, voxel (column, row, slice) -> world mm, RAS+.
        notes: What had to be decided.
    """

    source: Path
    frames: tuple[Frame, ...]
    affine: Array
    notes: tuple[str, ...] = ()

    @property
    def files(self) -> tuple[Path, ...]:
        """The files of the series in order of their names."""
        return tuple(sorted({frame.path for frame in self.frames}))

    @property
    def shape(self) -> tuple[int, int, int]:
        """Columns, rows, slices."""
        return self.frames[0].layout.columns, self.frames[0].layout.rows, len(self.frames)

    def check(self) -> None:
        """Nothing is left to check: every file was parsed and measured when the series was put together."""

    def values(self) -> Array:
        """Return the voxels [columns, rows, slices], float32, rescaled slice by slice."""
        volume = np.empty(self.shape, dtype=np.float32, order="F")
        places = sorted(range(len(self.frames)), key=lambda place: (str(self.frames[place].path), place))
        for path, group in groupby(places, key=lambda place: self.frames[place].path):
            of_file = list(group)
            pixels = read_pixels(path, [self.frames[place] for place in of_file])
            for place, values in zip(of_file, pixels, strict=True):
                volume[:, :, place] = values
        return volume


def parse_series(path: Path) -> DicomSeries:
    """Return the one series of a folder, or the series that a file belongs to (its neighbours in the folder included).

    Raises:
        VolumeError: No DICOM file, several series, frames that are missing, doubled, uneven or of different kinds.
    """
    if path.is_dir():
        return _assembled(_frames_of(_only_series(_images_in(path), path)), path)
    own = identify(path)
    if own is None:
        raise VolumeError("no image", path, "it is a DICOM object without pixels", "give an image series")
    frames = parse_frames(path)
    if len(frames) == 1:
        frames = _frames_of([image for image in _images_in(path.parent) if image.series == own.series])
    return _assembled(frames, path)


def _images_in(folder: Path) -> list[Identity]:
    files = [file for file in sorted(folder.iterdir()) if file.is_file() and file.name.upper() != "DICOMDIR"]
    images = [image for file in files if _is_dicom(file) and (image := identify(file)) is not None]
    if not images:
        raise VolumeError("no image", folder, "the folder holds no DICOM image", "give the folder that holds the files")
    return images


def _is_dicom(file: Path) -> bool:
    with file.open("rb") as stream:
        return states_dicom(stream.read(LONGEST_BEGINNING))


def _frames_of(images: Sequence[Identity]) -> list[Frame]:
    return [frame for image in images for frame in parse_frames(image.path)]


def _only_series(images: list[Identity], folder: Path) -> list[Identity]:
    names = sorted({image.series for image in images})
    if len(names) > 1:
        raise VolumeError("several series", folder, _listing(images, names), "give one file of the series you want")
    return images


def _listing(images: Sequence[Identity], names: Sequence[str]) -> str:
    lines = []
    for name in names[:8]:
        own = [image for image in images if image.series == name]
        lines.append(f"'{own[0].description}' ({len(own)} files, such as {own[0].path.name})")
    more = f" and {len(names) - 8} more" if len(names) > 8 else ""
    return f"the folder holds {len(names)}: {', '.join(lines)}{more}"


def _assembled(frames: Sequence[Frame], source: Path) -> DicomSeries:
    first = frames[0]
    for frame in frames[1:]:
        _check_alike(first, frame, source)
    if len(frames) * first.layout.rows * first.layout.columns > MOST_VOXELS:
        raise VolumeError("image too large", source, f"it has more than {MOST_VOXELS} voxels", "crop it first")
    normal = np.cross(*first.axes)
    length = np.linalg.norm(normal)
    if not 0.9 < length < 1.1:
        raise VolumeError("broken geometry", source, "rows and columns are not perpendicular", EXPORT_AGAIN)
    ordered = sorted(frames, key=lambda frame: float(frame.position @ normal))
    step = _slice_step(ordered, normal / length, source)
    affine = np.eye(4)
    affine[:3, 0], affine[:3, 1] = first.axes[0] * first.steps_mm[0], first.axes[1] * first.steps_mm[1]
    affine[:3, 2], affine[:3, 3] = step, ordered[0].position
    affine = LPS_TO_RAS @ affine
    check_affine(affine, source)
    notes = [] if has_right_angles(affine) else ["the gantry was tilted"]
    if any(frame.is_annotated for frame in ordered):
        notes.append("it says that text is burnt into its pixels, which may name the patient")
    return DicomSeries(source, tuple(ordered), affine, tuple(notes))


def _check_alike(first: Frame, frame: Frame, source: Path) -> None:
    """Raise VolumeError where two frames cannot be slices of one volume."""
    if frame.layout != first.layout:
        reason = "differ in size or type"
    elif np.abs(frame.axes - first.axes).max() > SAME_DIRECTION:
        reason = "are not parallel"
    elif np.abs(np.subtract(frame.steps_mm, first.steps_mm)).max() > SAME_STEP_MM:
        reason = "differ in pixel spacing"
    else:
        return
    raise VolumeError(
        "mixed series", source, f"images of {first.path.name} and {frame.path.name} {reason}", EXPORT_AGAIN
    )


def _slice_step(ordered: Sequence[Frame], normal: Array, source: Path) -> Array:
    """Return the vector [3] from one slice to the next, in mm; raise VolumeError where slices are doubled, missing or uneven."""
    if len(ordered) == 1:
        if ordered[0].thickness_mm <= 0:
            raise VolumeError("no geometry", source, "its one slice states no thickness", "convert it to .nii.gz")
        return normal * ordered[0].thickness_mm
    positions = np.stack([frame.position for frame in ordered])
    gaps = np.diff(positions @ normal)
    usual = float(np.median(gaps))
    narrow, wide = int(gaps.argmin()), int(gaps.argmax())
    tolerance = max(UNEVEN_MM, UNEVEN_SHARE * usual)
    if gaps[narrow] <= min(tolerance, usual / 2):
        names = f"{ordered[narrow].path.name} and {ordered[narrow + 1].path.name}"
        why = f"{names} lie at the same position (another echo, time or copy)"
        raise VolumeError("duplicate slices", source, why, "give a folder with one image per position")
    if gaps[wide] - usual > tolerance or usual - gaps[narrow] > tolerance:
        names = f"{ordered[wide].path.name} and {ordered[wide + 1].path.name}"
        why = f"{names} are {gaps[wide]:.3g} mm apart and others {usual:.3g} mm"
        raise VolumeError("missing slices", source, why, EXPORT_AGAIN)
    step = (positions[-1] - positions[0]) / (len(ordered) - 1)
    off = np.abs(positions - positions[0] - np.arange(len(ordered))[:, None] * step).max()
    if off > max(tolerance, 0.1):
        raise VolumeError("broken geometry", source, f"its slices lie up to {off:.3g} mm off a line", EXPORT_AGAIN)
    return step

"""A DICOM series as one volume: its frames are sorted along their normal, and missing, duplicate or mixed frames are refused."""

from __future__ import annotations

import re
from collections.abc import Sequence
from functools import partial
from itertools import groupby
from pathlib import Path

import numpy as np

from anymod.arrays import Array
from anymod.errors import VolumeError
from anymod.volumes.affines import LPS_TO_RAS, check_affine, has_right_angles
from anymod.volumes.formats.dicom_completeness import EXPORT_AGAIN, check_complete
from anymod.volumes.formats.dicom_frames import Frame, Identity, identify, parse_frames, read_pixels
from anymod.volumes.formats.parsed import ParsedImage
from anymod.volumes.formats.signatures import is_dicom_file
from anymod.volumes.formats.stored import MOST_VOXELS

SUFFIXES = (".dcm", ".ima", ".dicom")
SAME_DIRECTION = 1e-3  # cosines of two slices that differ by less count as parallel
SAME_STEP_MM = 1e-3
UNEVEN_MM = 0.05  # rounding of positions in the files
UNEVEN_SHARE = 0.02  # of the distance between slices


def parse_series(path: Path) -> ParsedImage:
    """Return the only series of a folder, or the series of a file (which includes other files of its folder).

    Raises:
        VolumeError: No DICOM file, several series, or frames that are missing, duplicate, uneven or of different kinds.
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
    recognized = [file for file in files if is_dicom_file(file)]
    _check_all_recognized(files, recognized)
    images = [image for file in recognized if (image := identify(file)) is not None]
    if not images:
        raise VolumeError("no image", folder, "the folder holds no DICOM image", "give the folder that holds the files")
    return images


def _check_all_recognized(files: Sequence[Path], recognized: Sequence[Path]) -> None:
    """Raise VolumeError for a file that is named like the DICOM files beside it and is none: it may be a damaged slice."""
    patterns = {_without_numbers(file) for file in recognized}
    for file in sorted(set(files) - set(recognized)):
        if recognized and (_without_numbers(file) in patterns or file.suffix.lower() in SUFFIXES):
            why = "it is named like a DICOM file and is none"
            raise VolumeError("damaged DICOM file", file, why, "get it again from its source, or remove it")


def _without_numbers(file: Path) -> str:
    return re.sub(r"\d+", "0", file.name)


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


def _assembled(frames: Sequence[Frame], source: Path) -> ParsedImage:
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
    notes += check_complete(ordered, float(np.linalg.norm(step)), source)
    if any(frame.is_annotated for frame in ordered):
        notes.append("according to its header, text that may name the patient is burnt into its pixels")
    shape = first.layout.columns, first.layout.rows, len(ordered)
    files = tuple(sorted({frame.path for frame in ordered}))
    return ParsedImage(shape, affine, files, partial(_voxels, ordered, shape), tuple(notes))


def _voxels(frames: Sequence[Frame], shape: tuple[int, int, int]) -> Array:
    """Return the voxels [columns, rows, slices], float32, rescaled slice by slice; each file is read once."""
    volume = np.empty(shape, dtype=np.float32, order="F")
    by_file = sorted(range(len(frames)), key=lambda index: (str(frames[index].path), index))
    for path, group in groupby(by_file, key=lambda index: frames[index].path):
        indices = list(group)
        for index, values in zip(indices, read_pixels(path, [frames[index] for index in indices]), strict=True):
            volume[:, :, index] = values
    return volume


def _check_alike(first: Frame, frame: Frame, source: Path) -> None:
    """Raise VolumeError if two frames cannot be slices of one volume."""
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
    """Return the vector [3] from one slice to the next, in mm; raise VolumeError if slices are duplicate, missing or uneven."""
    if len(ordered) == 1:
        if ordered[0].thickness_mm <= 0:
            raise VolumeError("no geometry", source, "its only slice has no thickness", "convert it to .nii.gz")
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

"""The child process in which DICOM and MINC are parsed: one line of JSON on stdout and then, if asked for, the voxels.

`python -P -m anymod.volumes.confined_child PATH BYTES SECONDS header|values`; only `confinement` runs it.
"""

from __future__ import annotations

import contextlib
import json
import sys
from pathlib import Path
from typing import TYPE_CHECKING, Any

from anymod.arrays import Array
from anymod.errors import VolumeError
from anymod.volumes.formats.dicom import DicomSeries, parse_series
from anymod.volumes.formats.signatures import LONGEST_BEGINNING, states_dicom
from anymod.volumes.formats.stored import first_bytes

if TYPE_CHECKING:
    from anymod.volumes.formats.minc import MincImage


def main(arguments: list[str]) -> None:
    """Parse within the limits and write what was found, or why nothing was."""
    path, memory_bytes, cpu_seconds, what = arguments
    _limit(int(memory_bytes), int(cpu_seconds))
    try:
        header, values = _parse(Path(path), with_values=what == "values")
    except VolumeError as error:
        header, values = {"error": [str(part) for part in error.args]}, None
    sys.stdout.buffer.write(json.dumps(header).encode() + b"\n")
    if values is not None:
        sys.stdout.buffer.write(values.ravel(order="F").data)


def _limit(memory_bytes: int, cpu_seconds: int) -> None:
    try:
        import resource
    except ImportError:  # Windows has no such limits; the parent's on time remains
        return
    limits = {resource.RLIMIT_AS: memory_bytes, resource.RLIMIT_CPU: cpu_seconds, resource.RLIMIT_CORE: 0}
    for kind, most in limits.items():
        _, hard = resource.getrlimit(kind)
        allowed = most if hard == resource.RLIM_INFINITY else min(most, hard)
        with contextlib.suppress(OSError, ValueError):  # a system that knows no such limit, as macOS that on memory
            resource.setrlimit(kind, (allowed, hard))


def _parse(path: Path, *, with_values: bool) -> tuple[dict[str, Any], Array | None]:
    try:
        image = _image(path)
        header = {
            "shape": image.shape,
            "affine": image.affine.tolist(),
            "files": [str(file) for file in image.files],
            "notes": image.notes,
        }
        return header, image.values() if with_values else None
    except OSError as problem:
        raise VolumeError("unreadable file", path, problem.strerror or str(problem), "check the path") from None
    except MemoryError:
        why = "it takes more memory than such files should"
        raise VolumeError("image too large", path, why, "convert it to .nii.gz") from None


def _image(path: Path) -> DicomSeries | MincImage:
    if path.is_dir() or states_dicom(first_bytes(path, LONGEST_BEGINNING)[0]):
        return parse_series(path)
    from anymod.volumes.formats.minc import (
        parse_minc,
    )  # nibabel takes memory that DICOM's child would have to have, too

    return parse_minc(path)


if __name__ == "__main__":
    main(sys.argv[1:])

"""The sandbox's child process: it parses one image and writes a line of JSON and the voxels to stdout.

`python -P -m anymod.volumes.formats.sandbox_child PATH BYTES SECONDS`; only `sandbox` runs it.
"""

from __future__ import annotations

import contextlib
import json
import math
import sys
from pathlib import Path
from typing import Any

from anymod.arrays import Array
from anymod.errors import VolumeError
from anymod.processes import end_with_parent
from anymod.volumes.formats.dicom import parse_series
from anymod.volumes.formats.parsed import ParsedImage
from anymod.volumes.formats.signatures import is_dicom_file


def main(arguments: list[str]) -> None:
    """Read an image within the limits and write it, or the error."""
    path, memory_bytes, cpu_seconds = Path(arguments[0]), int(arguments[1]), int(arguments[2])
    try:
        header, values = _read(path, memory_bytes, cpu_seconds)
    except VolumeError as error:
        header, values = {"error": [str(part) for part in error.args]}, None
    sys.stdout.buffer.write(json.dumps(header).encode() + b"\n")
    if values is not None:
        sys.stdout.buffer.write(values.ravel(order="F").data)


def limit(memory_bytes: int, cpu_seconds: int) -> None:
    """Limit the address space and the CPU time of this process; does nothing on Windows, and limits no memory on macOS."""
    try:
        import resource
    except ImportError:  # Windows; the parent's limit on time remains
        return
    limits = {resource.RLIMIT_AS: memory_bytes, resource.RLIMIT_CPU: cpu_seconds, resource.RLIMIT_CORE: 0}
    for kind, most in limits.items():
        _, hard = resource.getrlimit(kind)
        allowed = most if hard == resource.RLIM_INFINITY else min(most, hard)
        with contextlib.suppress(OSError, ValueError):  # macOS does not know RLIMIT_AS
            resource.setrlimit(kind, (allowed, hard))


def _read(path: Path, memory_bytes: int, cpu_seconds: int) -> tuple[dict[str, Any], Array]:
    limit(memory_bytes, cpu_seconds)
    try:
        image = parse(path)
        limit(memory_bytes + 8 * math.prod(image.shape), cpu_seconds)  # the shape has been checked against the file
        header = {
            "shape": image.shape,
            "affine": image.affine.tolist(),
            "files": [str(file) for file in image.files],
            "notes": image.notes,
        }
        return header, image.values()
    except OSError as problem:
        raise VolumeError("unreadable file", path, problem.strerror or str(problem), "check the path") from None
    except MemoryError:
        why = "it takes more memory than such files should"
        raise VolumeError("image too large", path, why, "convert it to .nii.gz") from None


def parse(path: Path) -> ParsedImage:
    """Return the MINC file or DICOM series at `path`, parsed in this process."""
    if path.is_dir() or is_dicom_file(path):
        return parse_series(path)
    from anymod.volumes.formats.minc import parse_minc  # nibabel takes memory that DICOM does not need

    return parse_minc(path)


if __name__ == "__main__":
    end_with_parent()
    main(sys.argv[1:])

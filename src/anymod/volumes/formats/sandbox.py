"""Sandbox for DICOM and MINC: a child process with limits on memory and time parses them, so that a hostile file ends the child only."""

from __future__ import annotations

import json
import math
import os
import signal
import subprocess
import sys
import tempfile
import threading
from io import BufferedReader
from pathlib import Path
from typing import IO, Any, cast

import numpy as np

from anymod.arrays import Array
from anymod.errors import OutputError, VolumeError
from anymod.volumes.formats.parsed import ParsedImage
from anymod.volumes.formats.signatures import is_dicom_file

# Limits of a child: far above what honest files need, far below what a machine has.
MEMORY_BYTES = 3 * 2**29  # in addition to four times the size of the files and the voxels
CPU_SECONDS, CPU_SECONDS_PER_FILE, BYTES_PER_CPU_SECOND = 60, 0.2, 2 * 2**20
WAITING = 10  # wall time per CPU time, for busy machines and slow disks
CONVERT = "convert it to .nii.gz with a tool that you trust"


def parse_in_sandbox(path: Path) -> ParsedImage:
    """Return a MINC file, the only DICOM series of a folder, or the series of a DICOM file, read by a child process.

    Raises:
        VolumeError: As in `parse_series` and `parse_minc`, and if the child crashes or exceeds its limits.
        OutputError: The child could not be started, or was killed from outside.
    """
    seconds, memory = _limits(path)
    with tempfile.TemporaryFile() as complaints:
        child = _started([str(path), str(memory), str(seconds)], complaints)
        took_too_long = threading.Event()

        def stop() -> None:
            took_too_long.set()
            child.kill()

        alarm = threading.Timer(WAITING * seconds, stop)
        alarm.start()
        stream = cast(BufferedReader, child.stdout)
        try:
            received = _received(stream)
        finally:
            alarm.cancel()
            child.kill()  # it has either finished or failed
            stream.close()
            status = child.wait()
        if received is None:
            raise _death(path, status, complaints, took_too_long=took_too_long.is_set())
    header, values = received
    if "error" in header:
        raise VolumeError(*header["error"])
    files = tuple(Path(file) for file in header["files"])
    return ParsedImage(values.shape, np.array(header["affine"]), files, lambda: values, tuple(header["notes"]))


def _started(arguments: list[str], complaints: IO[bytes]) -> subprocess.Popen[bytes]:
    # -P: import no module from the working directory. One thread: the stacks of more count as memory.
    command = [sys.executable, "-P", "-m", "anymod.volumes.formats.sandbox_child", *arguments]
    environment = {**os.environ, "OMP_NUM_THREADS": "1", "OPENBLAS_NUM_THREADS": "1"}
    try:
        return subprocess.Popen(  # noqa: S603 (this interpreter, this package, and a path as one argument)
            command, stdin=subprocess.DEVNULL, stdout=subprocess.PIPE, stderr=complaints, env=environment
        )
    except OSError as problem:
        why = f"no reader could be started ({problem.strerror or problem})"
        raise OutputError(
            "stopped", arguments[0], why, "check memory and open files, or use fewer --workers"
        ) from problem


def _limits(path: Path) -> tuple[int, int]:
    """Return the limits (CPU seconds, bytes of address space) for the files that the child may read: for DICOM, the whole folder."""
    folder = path if path.is_dir() else path.parent
    files = (
        [path] if path.is_file() and not is_dicom_file(path) else [file for file in folder.iterdir() if file.is_file()]
    )
    total = sum(file.stat().st_size for file in files)
    seconds = CPU_SECONDS + CPU_SECONDS_PER_FILE * len(files) + total / BYTES_PER_CPU_SECOND
    return round(seconds), MEMORY_BYTES + 4 * total


def _received(stream: BufferedReader) -> tuple[dict[str, Any], Array] | None:
    """Return the child's header and voxels (empty beside an error), or None if the child died before it had sent them."""
    try:
        header = json.loads(stream.readline())
    except ValueError:
        return None
    shape = tuple(header.get("shape", (0, 0, 0)))
    values = np.empty(math.prod(shape), np.float32)
    whole = stream.readinto(values.view(np.uint8).data) == values.nbytes
    return (header, values.reshape(shape, order="F")) if whole else None


def _death(path: Path, status: int, complaints: IO[bytes], *, took_too_long: bool) -> VolumeError | OutputError:
    """Return the error for a child that died: the file is at fault, unless something else killed the child."""
    if took_too_long or status == -getattr(signal, "SIGXCPU", 24):
        return VolumeError("unreadable file", path, "reading it took longer than such files should", CONVERT)
    if status == -getattr(signal, "SIGKILL", 9):
        return OutputError("stopped", path, "its reader was killed", "check the memory, or use fewer --workers")
    complaints.seek(0)
    last = complaints.read()[-2000:].decode(errors="replace").strip().splitlines()[-1:]
    why = f"its reader ended with status {status}" + "".join(f" ({line[:120]})" for line in last)
    return VolumeError("unreadable file", path, why, CONVERT)

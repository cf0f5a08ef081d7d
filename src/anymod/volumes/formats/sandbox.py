"""DICOM and MINC are parsed in a child process with limits on memory and time: a hostile file ends the child, never the program."""

from __future__ import annotations

import json
import os
import signal
import subprocess
import sys
import tempfile
import threading
from collections.abc import Sequence
from dataclasses import dataclass
from io import BufferedReader
from pathlib import Path
from typing import IO, Any, cast

import numpy as np

from anymod.arrays import Array
from anymod.errors import OutputError, VolumeError

# What a child may take: far more than honest files need, far less than a machine has.
MEMORY_BYTES = 3 * 2**29  # beyond what the files and their voxels take
CPU_SECONDS, CPU_SECONDS_PER_FILE, BYTES_PER_CPU_SECOND = 60, 0.2, 2 * 2**20
WAITING = 10  # of wall time to processor time: a busy machine, a slow disk
CONVERT = "convert it to .nii.gz with a tool that you trust"


@dataclass(frozen=True, eq=False)
class ConfinedImage:
    """A DICOM series or MINC file of which the child has told the geometry; its voxels come when asked for."""

    source: Path
    shape: tuple[int, int, int]
    affine: Array
    files: tuple[Path, ...]
    notes: tuple[str, ...]
    alone: bool = False

    def check(self) -> None:
        """Nothing is left to check: the child parsed and measured every file."""

    def values(self) -> Array:
        """Return the voxels of `shape`, float32."""
        try:
            return _run(self.source, self.shape, alone=self.alone)[1]
        except OSError as problem:
            raise VolumeError(
                "unreadable file", self.source, problem.strerror or str(problem), "check the path"
            ) from None


def parse_in_sandbox(path: Path, *, alone: bool = False) -> ConfinedImage:
    """Return a MINC file (`alone`), the one DICOM series of a folder, or the series that a file belongs to, parsed by a child process.

    Raises VolumeError as `parse_series` and `parse_minc` do, and where the child died or took more memory or time than such files should.
    """
    header, _ = _run(path, None, alone=alone)
    x, y, z = header["shape"]
    files = tuple(Path(file) for file in header["files"])
    return ConfinedImage(path, (x, y, z), np.array(header["affine"]), files, tuple(header["notes"]), alone)


def _run(path: Path, shape: tuple[int, int, int] | None, *, alone: bool) -> tuple[dict[str, Any], Array]:
    """Return the child's header and, of an image of this shape, its voxels."""
    seconds, memory = _limits(path, 0 if shape is None else int(np.prod(shape)), alone=alone)
    # -P: no module is taken from the folder where the program runs. One thread: others' stacks count as memory.
    command = [sys.executable, "-P", "-m", "anymod.volumes.formats.sandbox_child", str(path), str(memory), str(seconds)]
    command.append("header" if shape is None else "values")
    environment = {**os.environ, "OMP_NUM_THREADS": "1", "OPENBLAS_NUM_THREADS": "1"}
    with tempfile.TemporaryFile() as complaints:
        try:
            child = subprocess.Popen(  # noqa: S603 (this interpreter, this package, and a path as one argument)
                command, stdin=subprocess.DEVNULL, stdout=subprocess.PIPE, stderr=complaints, env=environment
            )
        except OSError as problem:
            why = f"no reader could be started ({problem.strerror or problem})"
            raise OutputError(
                "stopped", path, why, "see to memory and open files, or take fewer --workers"
            ) from problem
        took_too_long = threading.Event()

        def stop() -> None:
            took_too_long.set()
            child.kill()

        alarm = threading.Timer(WAITING * seconds, stop)
        alarm.start()
        stream = cast(BufferedReader, child.stdout)
        try:
            header, values = _received(stream, shape)
        finally:
            alarm.cancel()
            child.kill()  # nothing more is wanted of it
            stream.close()
            status = child.wait()
        if header is None:
            raise _death(path, status, complaints, took_too_long=took_too_long.is_set())
    if "error" in header:
        raise VolumeError(*header["error"])
    if values is None:
        raise VolumeError("changed file", path, "it is another image than a moment ago", "read it again")
    return header, values


def _limits(path: Path, voxels: int, *, alone: bool) -> tuple[int, int]:
    """Return (seconds of processor time, bytes of address space) for a folder, or a file's folder, or for the file `alone`."""
    folder = path if path.is_dir() else path.parent
    files = [path] if alone else [file for file in folder.iterdir() if file.is_file()]
    sizes = [file.stat().st_size for file in files]
    total = sum(sizes)
    seconds = CPU_SECONDS + CPU_SECONDS_PER_FILE * len(sizes) + total / BYTES_PER_CPU_SECOND
    return round(seconds), MEMORY_BYTES + 4 * total + 8 * voxels


def _received(stream: BufferedReader, shape: Sequence[int] | None) -> tuple[dict[str, Any] | None, Array | None]:
    """Return (header, values): no header where the child died first, no values where they are not what was promised."""
    try:
        header = json.loads(stream.readline())
    except ValueError:
        return None, None
    if shape is None or "error" in header:
        return header, np.empty(0)
    if tuple(header["shape"]) != tuple(shape):
        return header, None
    flat = np.empty(int(np.prod(shape)), np.float32)
    whole = stream.readinto(flat.view(np.uint8).data) == flat.nbytes
    return (header, flat.reshape(shape, order="F")) if whole else (None, None)


def _death(path: Path, status: int, complaints: IO[bytes], *, took_too_long: bool) -> VolumeError | OutputError:
    """Return what to say of a child that died: the file's fault, or, where something else killed it, the machine's."""
    if took_too_long or status == -getattr(signal, "SIGXCPU", 24):
        return VolumeError("unreadable file", path, "reading it took longer than such files should", CONVERT)
    if status == -getattr(signal, "SIGKILL", 9):
        return OutputError("stopped", path, "its reader was killed", "see to memory, or take fewer --workers")
    complaints.seek(0)
    last = complaints.read()[-2000:].decode(errors="replace").strip().splitlines()[-1:]
    why = f"its reader ended with status {status}" + "".join(f" ({line[:120]})" for line in last)
    return VolumeError("unreadable file", path, why, CONVERT)

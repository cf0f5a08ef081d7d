"""One run at a time writes a folder: a lock file that names machine, process and time, for every file system."""

from __future__ import annotations

import json
import os
import platform
import tempfile
import threading
import time
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import Any

from anymod.errors import OutputError
from anymod.files import read_json
from anymod.processes import machine, runs, start_of

BEAT, SILENCE = 20.0, 300.0
"""Seconds between two signs of life of a holder; seconds without one after which a lock of another machine is void."""
UNWRITTEN = 5.0  # seconds after which an empty lock file is void: its process was killed before it wrote its name


@contextmanager
def locked(path: Path) -> Iterator[None]:
    """Hold the lock file `path`; its folder must exist. A lock whose process has died is taken over.

    Raises:
        OutputError: Another run holds it (the message names it), or the file cannot be written.
    """
    mine = {
        "machine": machine(),
        "host": platform.node(),
        "process": os.getpid(),
        "started": start_of(os.getpid()),
        "since": time.strftime("%Y-%m-%d %H:%M:%S"),
    }
    try:
        while not _created(path, mine):
            _remove_void(path)
    except OSError as error:
        raise OutputError("cannot write", path, error.strerror or str(error), "choose another --out") from error
    ended = threading.Event()
    threading.Thread(target=_show_life, args=(path, ended), daemon=True).start()
    try:
        yield
    finally:
        ended.set()
        if read_json(path) == mine:  # unless another machine took it over while this process was stopped
            with suppress(OSError):
                path.unlink()


def _created(path: Path, mine: dict[str, Any]) -> bool:
    """Create the lock file, which only one process can do; return False if it is there."""
    try:
        stream = path.open("x", encoding="utf-8")
    except FileExistsError:
        return False
    try:
        with stream:
            json.dump(mine, stream)
    except OSError:
        path.unlink(missing_ok=True)
        raise
    return True


def _remove_void(path: Path) -> None:
    """Remove a lock whose holder has ended, wait a little for one without a name; raise OutputError if it still runs."""
    holder = _holder(path)
    if holder is None and _silence(path) <= UNWRITTEN:
        time.sleep(0.02)
        return
    if holder is not None and not _is_void(path, holder):
        who = "process {process} on {host} since {since}".format_map(holder)
        remedy = "wait for it, or choose another --out"
        if holder["machine"] != machine():
            remedy += f"; if it has ended, remove {path}"
        raise OutputError("cannot write", path, f"another run is writing the same output ({who})", remedy)
    with suppress(FileNotFoundError):  # another process may remove it too
        aside = path.with_name(f"{path.name}-{os.getpid()}")
        path.rename(aside)
        if _holder(aside) == holder:
            aside.unlink()
        else:  # another process was faster, and this is its new lock
            aside.rename(path)


def _holder(path: Path) -> dict[str, Any] | None:
    """Return what the holder wrote; None if that is not whole."""
    content = read_json(path)
    whole = isinstance(content, dict) and content.keys() >= {"machine", "host", "process", "started", "since"}
    return content if whole and isinstance(content["process"], int) else None


def _is_void(path: Path, holder: dict[str, Any]) -> bool:
    if holder["machine"] != machine():
        return _silence(path) > SILENCE
    return not runs(holder["process"], str(holder["started"]))


def _silence(path: Path) -> float:
    """Return the seconds since a lock's last sign of life, by the clock of the file system."""
    with tempfile.TemporaryFile(dir=path.parent) as now:
        now.write(b"0")
        now.flush()
        try:
            return os.fstat(now.fileno()).st_mtime - path.stat().st_mtime
        except FileNotFoundError:
            return 0.0


def _show_life(path: Path, ended: threading.Event) -> None:
    while not ended.wait(BEAT):
        with suppress(OSError):
            os.utime(path)

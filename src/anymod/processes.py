"""Processes: which one left a lock or a temporary file, whether it still runs, and how it ends with its parent or on SIGTERM."""

from __future__ import annotations

import ctypes
import os
import platform
import signal
import sys
import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import Any

SECONDS_BETWEEN_LOOKS = 1.0  # at the parent, where the system sends no signal at its end
PR_SET_PDEATHSIG = 1  # of Linux's prctl.h


class Terminated(SystemExit):
    """SIGTERM: a scheduler (SLURM, systemd, Kubernetes) asks the program to end. Exit status 143, as in a shell."""

    def __init__(self) -> None:
        super().__init__(128 + signal.SIGTERM)


def machine() -> str:
    """Return the name of the space in which process numbers are unique: the host and, on Linux, the container."""
    namespace = ""
    with suppress(OSError):
        namespace = os.readlink("/proc/self/ns/pid").strip("pid:[]")
    return f"{platform.node()}-{namespace}".replace("/", "-").replace("@", "-")


def start_of(process: int) -> str:
    """Return when a process of this machine began, in a unit of the system: numbers are used again. Empty where that is unknown."""
    state, started = _state_of(process)
    return "" if state == "Z" else started  # Z: it has ended, and its parent has not taken note


def runs(process: int, started: str) -> bool:
    """Return whether a process of this machine that began at `started` still runs; True where that is unknown."""
    if os.name == "nt":  # where os.kill would end it
        return True
    try:
        os.kill(process, 0)
    except ProcessLookupError:
        return False
    except (OSError, OverflowError):  # another user's, or no process number
        pass
    return sys.platform != "linux" or not started or start_of(process) == started


def _state_of(process: int) -> tuple[str, str]:
    try:
        fields = Path(f"/proc/{process}/stat").read_text(errors="replace").rpartition(")")[2].split()
        return fields[0], fields[19]
    except (OSError, IndexError):
        return "", ""


def begin_worker(*_: Any) -> None:
    """Let this worker end with its parent and ignore Ctrl-C, after which the parent ends it; arguments of an initializer are ignored."""
    signal.signal(signal.SIGINT, signal.SIG_IGN)
    end_with_parent()


def end_with_parent() -> None:
    """End this process as soon as its parent ends, however that happens.

    On Linux the kernel sends a signal, also while foreign code computes; elsewhere a thread looks at the parent every second.
    """
    parent = os.getppid()
    if sys.platform == "linux":
        ctypes.CDLL(None).prctl(PR_SET_PDEATHSIG, signal.SIGKILL)
        _end_if_orphaned(parent)
    else:
        threading.Thread(target=_watch, args=(parent,), daemon=True).start()


def _end_if_orphaned(parent: int) -> None:
    import multiprocessing

    started_by = multiprocessing.parent_process()
    if os.getppid() != parent or (started_by is not None and not started_by.is_alive()):
        os._exit(1)


def _watch(parent: int) -> None:
    while True:
        _end_if_orphaned(parent)
        threading.Event().wait(SECONDS_BETWEEN_LOOKS)


def exit_on_sigterm() -> None:
    """Let SIGTERM raise `Terminated`, so that locks and temporary files are removed; a second one is ignored."""

    def terminate(*_: Any) -> None:
        signal.signal(signal.SIGTERM, signal.SIG_IGN)
        raise Terminated

    signal.signal(signal.SIGTERM, terminate)


@contextmanager
def sigterm_noted() -> Iterator[Callable[[], bool]]:
    """Yield a function that says whether SIGTERM has come; it interrupts nothing until the end of the context.

    In a thread other than the main one, which receives no signals, it always says no.
    """
    received: list[int] = []
    if threading.current_thread() is not threading.main_thread():
        yield lambda: False
        return
    before = signal.signal(signal.SIGTERM, lambda number, _: received.append(number))
    try:
        yield lambda: bool(received)
    finally:
        signal.signal(signal.SIGTERM, before)

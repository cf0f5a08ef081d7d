"""Result folders: each appears whole, or the same command completes it; one run at a time writes it.

A folder that does not exist is made beside its place and renamed. In a folder that exists (it may be a mount, a link, or the only place
that can be written), the result is made inside, and its entries are renamed one by one. If that is cut short, `PUBLISHING` is left, and
the next run undoes it: entries beside `PUBLISHING` are no result.
"""

from __future__ import annotations

import ctypes
import json
import logging
import os
import shutil
import sys
from collections.abc import Iterator, Mapping, Sequence
from contextlib import ExitStack, contextmanager, suppress
from pathlib import Path
from typing import Any

from anymod.errors import AnymodError, ConfigurationError, MissingExtraError, OutputError
from anymod.files import TEMPORARY, json_text, read_json, remove, sync_folder, temporary_path, write_json
from anymod.locks import locked

REQUEST = "request.json"
LOCK, PUBLISHING, UNFINISHED = ".lock", ".publishing", ".unfinished"
NO_RESULT = (LOCK, PUBLISHING, UNFINISHED, "lost+found")  # the last lies in the root of a file system
NO_FAULT_OF_INPUT = (OutputError, MissingExtraError, ConfigurationError)  # such as a full disk, no package, no cluster
AT_FDCWD, RENAME_EXCHANGE = -100, 2  # of Linux's fcntl.h and fs.h

logger = logging.getLogger(__name__)


@contextmanager
def staged_folder(out: Path, *, overwrite: bool, keep: Sequence[Path] = ()) -> Iterator[Path]:
    """Yield an empty folder whose contents become `out` on success; if the work fails, `out` is unchanged.

    Raises OutputError at once if `claim_folder` would refuse `out`, or if another run is writing it.
    """
    out = _real(out)
    check_claim(out, overwrite=overwrite, keep=keep)
    with _locked(out):
        with _output_errors(out, "choose another --out"):
            _undo_publishing(out)
            remove(out / PUBLISHING)
        check_claim(out, overwrite=overwrite, keep=keep)  # another run may have ended in between
        with temporary_folder(out if out.is_dir() else out.parent) as staging:
            yield staging
            check_claim(out, overwrite=overwrite, keep=keep)
            _publish(staging, out)


@contextmanager
def continued_folder(
    out: Path, request: Mapping[str, Any], *, overwrite: bool, keep: Sequence[Path] = ()
) -> Iterator[Path]:
    """Yield a folder whose contents become `out` on success; it holds what an interrupted call for the same request has finished.

    Until then it is `.unfinished-NAME` beside `out`, or `.unfinished` in an `out` that exists. If the input is at fault, it is removed. If
    the work is interrupted or the machine or an option is at fault (no space, a missing package, no cluster), it stays for the next call.

    Raises:
        OutputError: `claim_folder` would refuse `out`, another run is writing it, or the unfinished work belongs to another request and
            `overwrite` is False.
    """
    out, request = _real(out), json.loads(json_text(request))
    if read_json(out / REQUEST) != request:  # else it was published, and killed before the request was removed
        check_claim(out, overwrite=overwrite, keep=keep)
    with _locked(out):
        unfinished = out / UNFINISHED if out.is_dir() else out.parent / f"{UNFINISHED}-{out.name}"
        with _output_errors(out, "choose another --out"):
            if read_json(out / REQUEST) == request:
                (out / PUBLISHING).mkdir(exist_ok=True)
            _undo_publishing(out)
            if (out / PUBLISHING).is_dir():
                remove(unfinished)
                (out / PUBLISHING).rename(unfinished)
        check_claim(out, overwrite=overwrite, keep=keep)
        _begin_or_continue(unfinished, request, overwrite=overwrite)
        try:
            yield unfinished
            check_claim(out, overwrite=overwrite, keep=keep)
            _publish(unfinished, out)
        except BaseException as problem:
            if isinstance(problem, AnymodError) and not isinstance(problem, NO_FAULT_OF_INPUT):
                shutil.rmtree(unfinished, ignore_errors=True)
            else:
                logger.warning("interrupted: the same command continues from %s", unfinished)
            raise


@contextmanager
def sole_run(out: Path) -> Iterator[None]:
    """Create `out` and keep other runs out of it; for a verb that writes into it as it goes along.

    Raises OutputError if another run is writing it. What a killed run left half written is removed.
    """
    out = _real(out)
    _check_no_file(out)
    with _output_errors(out, "choose another --out"):
        out.mkdir(parents=True, exist_ok=True)
    with _locked(out):
        with _output_errors(out, "check permissions"):
            for left_behind in list(out.rglob(f"{TEMPORARY}*")):
                remove(left_behind)
        yield


@contextmanager
def replaced_folder(target: Path) -> Iterator[Path]:
    """Yield an empty folder that takes the place of the folder `target` on success, at once and whole."""
    target = _real(target)
    with temporary_folder(target.parent) as new:
        yield new
        with _output_errors(target):
            _sync(new)
            if not target.exists():
                new.rename(target)
            elif not _exchanged(new, target):
                with temporary_folder(target.parent) as old:
                    target.rename(old / target.name)
                    new.rename(target)
            sync_folder(target.parent)


@contextmanager
def temporary_folder(parent: Path) -> Iterator[Path]:
    """Yield a new folder in `parent` and remove it at the end, unless it was renamed."""
    with _output_errors(parent, "choose another place"):
        parent.mkdir(parents=True, exist_ok=True)
        folder = temporary_path(parent)
        folder.mkdir()
    try:
        yield folder
    finally:
        shutil.rmtree(folder, ignore_errors=True)


def claim_folder(path: Path, *, overwrite: bool, keep: Sequence[Path] = ()) -> Path:
    """Create an output folder; refuse one that is not empty, or empty it with `overwrite`.

    A folder that contains the home folder, the working directory or a path to `keep`, such as the input, is never emptied.
    """
    path = Path(path)
    check_claim(path, overwrite=overwrite, keep=keep)
    with _output_errors(path, "choose another --out"):
        path.mkdir(parents=True, exist_ok=True)
        for entry in _results(path):
            remove(entry)
        remove(path / PUBLISHING)
    return path


def check_claim(path: Path, *, overwrite: bool, keep: Sequence[Path] = ()) -> None:
    """Raise OutputError if `claim_folder` would refuse the folder; nothing is changed."""
    _check_no_file(path)
    with _output_errors(path, "choose another --out"):
        if not path.is_dir() or (path / PUBLISHING).exists() or not _results(path):
            return
    if not overwrite:
        raise OutputError("cannot write", path, "it holds a result already", "choose another --out or add --overwrite")
    precious = [Path.cwd(), *(place.resolve() for place in keep)]
    with suppress(RuntimeError):  # a user without a home, as in many containers
        precious.append(Path.home())
    if any(place.is_relative_to(path.resolve()) for place in precious):
        raise OutputError("cannot overwrite", path, "it contains more than a result", "choose another --out")


def _check_no_file(path: Path) -> None:
    if path.exists() and not path.is_dir():
        raise OutputError("cannot write", path, "a file is in the way", "choose another --out")


def _results(folder: Path) -> list[Path]:
    """Return the entries of a folder that are neither a lock nor unfinished."""
    return [entry for entry in folder.iterdir() if entry.name not in NO_RESULT and not entry.name.startswith(TEMPORARY)]


def _real(path: Path) -> Path:
    """Return the absolute path behind links: what is made beside it lies on the same file system."""
    return Path(os.path.realpath(path))


@contextmanager
def _output_errors(place: Path, remedy: str = "check space and permissions") -> Iterator[None]:
    """Raise OutputError for an error of the system."""
    try:
        yield
    except OSError as error:
        raise OutputError("cannot write", place, error.strerror or str(error), remedy) from error


@contextmanager
def _locked(out: Path) -> Iterator[None]:
    """Lock `out` by a file in it, or beside it while it does not exist."""
    with _output_errors(out.parent, "choose another --out"):
        out.parent.mkdir(parents=True, exist_ok=True)
    beside = out.parent / f".{out.name}{LOCK}"
    with ExitStack() as locks:
        if beside.exists() or not out.is_dir():
            locks.enter_context(locked(beside))
        if out.is_dir():
            locks.enter_context(locked(out / LOCK))
        yield


def _begin_or_continue(unfinished: Path, request: Mapping[str, Any], *, overwrite: bool) -> None:
    """Make the folder of unfinished work, or keep that of the same request; raise OutputError if it belongs to another request."""
    path = unfinished / REQUEST
    with _output_errors(unfinished, "choose another --out"):
        for left_behind in list(unfinished.rglob(f"{TEMPORARY}*")):
            remove(left_behind)
        there = unfinished.is_dir() and any(unfinished.iterdir())
        if there and read_json(path) != request:
            if not overwrite:
                why = "work with other input or options was interrupted there"
                raise OutputError("cannot continue", unfinished, why, "remove it, or add --overwrite")
            shutil.rmtree(unfinished)
        unfinished.mkdir(parents=True, exist_ok=True)
    write_json(path, request)


def _publish(made: Path, out: Path) -> None:
    """Put everything at `out` except the request and the records, whose names begin with a dot."""
    with _output_errors(out):
        _sync(made)
        if made.parent != out:
            made.rename(out)
            records = (entry for entry in out.iterdir() if _is_record(entry))
            for record in sorted(records, key=lambda entry: entry.name == REQUEST):
                remove(record)
        else:
            with temporary_folder(out) as discarded:
                for old in _results(out):
                    old.rename(discarded / old.name)
                marked = made.rename(out / PUBLISHING)
                for entry in _in_order(marked):
                    entry.rename(out / entry.name)
                marked.rename(discarded / PUBLISHING)
        sync_folder(out)
        sync_folder(out.parent)


def _undo_publishing(out: Path) -> None:
    """Move what an interrupted run has published back into `PUBLISHING`, if there is one."""
    if (out / PUBLISHING).is_dir():
        for entry in _results(out):
            entry.rename(out / PUBLISHING / entry.name)


def _in_order(folder: Path) -> list[Path]:
    """Return what is to be published, as it was written: the files that say that a result is complete are last."""
    entries = [entry for entry in folder.iterdir() if not _is_record(entry)]
    return sorted(entries, key=lambda entry: (not entry.is_dir(), entry.stat().st_mtime_ns))


def _is_record(entry: Path) -> bool:
    return entry.name == REQUEST or entry.name.startswith(".")


def _sync(folder: Path) -> None:
    """Make sure that everything in a folder survives a loss of power."""
    for place, _, names in os.walk(folder):
        for name in names:
            with (Path(place) / name).open("rb+") as stream:
                os.fsync(stream.fileno())
        sync_folder(Path(place))


def _exchanged(first: Path, second: Path) -> bool:
    """Exchange two folders in one step; return False if the system cannot."""
    rename = getattr(ctypes.CDLL(None), "renameat2", None) if sys.platform == "linux" else None
    paths = AT_FDCWD, os.fsencode(first), AT_FDCWD, os.fsencode(second)
    return rename is not None and rename(*paths, RENAME_EXCHANGE) == 0

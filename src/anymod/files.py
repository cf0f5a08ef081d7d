"""Files and folders written whole or not at all, and paths that stay where they belong."""

from __future__ import annotations

import hashlib
import json
import logging
import os
import shutil
import tempfile
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import Any

from anymod.errors import AnymodError, OutputError

REQUEST = "request.json"
TEMPORARY = ".writing-"  # how names of what is not whole yet begin

logger = logging.getLogger(__name__)


@contextmanager
def atomic_write(path: Path) -> Iterator[Path]:
    """Yield a temporary name beside `path` (same suffixes); on success sync it and rename it to `path`, else remove it."""
    path = Path(path)
    try:
        path.parent.mkdir(parents=True, exist_ok=True)
        handle, name = tempfile.mkstemp(prefix=TEMPORARY, suffix=path.name, dir=path.parent)
    except OSError as error:
        raise OutputError(
            "cannot write", path, error.strerror or str(error), "choose another place with --out"
        ) from error
    os.close(handle)
    temporary = Path(name)
    try:
        yield temporary
        with temporary.open("rb+") as stream:
            os.fsync(stream.fileno())
        umask = os.umask(0)
        os.umask(umask)
        temporary.chmod(0o666 & ~umask)
        temporary.replace(path)
    except OSError as error:
        raise OutputError("cannot write", path, error.strerror or str(error), "check space and permissions") from error
    finally:
        temporary.unlink(missing_ok=True)


def write_text(path: Path, text: str) -> None:
    """Write `text` as UTF-8, whole or not at all."""
    with atomic_write(path) as temporary:
        temporary.write_text(text, encoding="utf-8")


def json_text(content: Mapping[str, Any]) -> str:
    """Return a JSON object with this package's `format` and version in front."""
    from anymod import __version__

    return json.dumps({"format": 1, "anymod": __version__, **content}, indent=2, allow_nan=False)


def write_json(path: Path, content: Mapping[str, Any]) -> None:
    """Write what `json_text` returns, whole or not at all."""
    write_text(path, json_text(content) + "\n")


def sha256(path: Path) -> str:
    """Return the hexadecimal SHA-256 of a file's bytes."""
    with Path(path).open("rb") as stream:
        return hashlib.file_digest(stream, "sha256").hexdigest()


def states_of(path: Path) -> list[list[Any]]:
    """Return [path, size, time of the last change] of a file, or of each file in a folder, sorted; what is not there has neither.

    What differs when a file was changed, found without reading it.
    """
    path = Path(path)
    files = sorted(each for each in path.rglob("*") if each.is_file()) if path.is_dir() else [path]
    states: list[list[Any]] = []
    for file in files:
        try:
            state = file.stat()
            states.append([str(file.absolute()), state.st_size, state.st_mtime_ns])
        except OSError:
            states.append([str(file.absolute()), None, None])
    return states


def confined(root: Path, relative: str, *, error: type[AnymodError]) -> Path:
    """Return root/relative, or raise `error` where that would leave `root` (absolute path, `..`, or a link out of it)."""
    root = Path(root)
    try:
        inside = (root / relative).resolve().is_relative_to(root.resolve())
    except (OSError, RuntimeError, ValueError):  # a link to itself, a null character
        inside = False
    if not inside or Path(relative).is_absolute():
        raise error("path outside its folder", root, f"'{relative}' leaves it", "use a path relative to the folder")
    return root / relative


def claim_folder(path: Path, *, overwrite: bool, keep: Sequence[Path] = ()) -> Path:
    """Create an output folder; one that holds something already is refused, or emptied where `overwrite` is asked for.

    Never emptied: a folder that holds the home folder, the one where the program runs, or a place to `keep`, such as the input.
    """
    path = Path(path)
    check_claim(path, overwrite=overwrite, keep=keep)
    try:
        path.mkdir(parents=True, exist_ok=True)
        contents = list(path.iterdir())
        for entry in contents:
            if entry.is_dir() and not entry.is_symlink():
                shutil.rmtree(entry)
            else:
                entry.unlink()
    except OSError as error:
        raise OutputError("cannot write", path, error.strerror or str(error), "choose another --out") from error
    return path


def check_claim(path: Path, *, overwrite: bool, keep: Sequence[Path] = ()) -> None:
    """Raise OutputError where `claim_folder` would refuse; nothing is changed."""
    if path.exists() and not path.is_dir():
        raise OutputError("cannot write", path, "a file is in the way", "choose another --out")
    if not path.is_dir() or not any(path.iterdir()):
        return
    if not overwrite:
        raise OutputError("cannot write", path, "it holds a result already", "choose another --out or add --overwrite")
    precious = (Path.home(), Path.cwd(), *(place.resolve() for place in keep))
    if any(place.is_relative_to(path.resolve()) for place in precious):
        raise OutputError("cannot overwrite", path, "more than a result lies in it", "choose another --out")


@contextmanager
def continued_folder(
    out: Path, request: Mapping[str, Any], *, overwrite: bool, keep: Sequence[Path] = ()
) -> Iterator[Path]:
    """Yield a folder whose contents become `out` on success, with what an interrupted call for the same request has left in it.

    Until then it lies beside `out` as `.unfinished-NAME`. Work that fails for its input leaves nothing; work that is interrupted, at
    whatever moment, or finds no room, leaves what is there for the next call.

    Raises:
        OutputError: `claim_folder` would refuse `out`, another run is writing it, or unfinished work there is for another request and
            `overwrite` is not asked for.
    """
    out = Path(out).absolute()
    check_claim(out, overwrite=overwrite, keep=keep)
    unfinished = out.parent / f".unfinished-{out.name}"
    with _locked(unfinished):
        _begin_or_continue(unfinished, request, overwrite=overwrite)
        try:
            yield unfinished
            claim_folder(out, overwrite=overwrite, keep=keep)
            _publish(unfinished, out)
        except BaseException as problem:
            if isinstance(problem, AnymodError) and not isinstance(problem, OutputError):
                shutil.rmtree(unfinished, ignore_errors=True)
            else:
                logger.warning("interrupted: the same command goes on from what lies in %s", unfinished)
            raise


@contextmanager
def _locked(unfinished: Path) -> Iterator[None]:
    """Hold the folder against a second run, where the system can lock files; the lock goes with the process, however it ends."""
    path = unfinished.with_name(f"{unfinished.name}.lock")
    try:
        import fcntl

        path.parent.mkdir(parents=True, exist_ok=True)
        stream = path.open("w")
    except ImportError:  # not on Windows
        yield
        return
    except OSError as error:
        raise OutputError("cannot write", path, error.strerror or str(error), "choose another --out") from error
    with stream:
        try:
            fcntl.flock(stream, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except OSError:
            why = "another run is writing the same output"
            raise OutputError("cannot write", unfinished, why, "wait for it, or choose another --out") from None
        try:
            yield
        finally:
            path.unlink(missing_ok=True)


def _publish(unfinished: Path, out: Path) -> None:
    """Move everything but the request and records, whose names begin with a dot, to its place."""
    try:
        for entry in unfinished.iterdir():
            if entry.name != REQUEST and not entry.name.startswith("."):
                shutil.move(entry, out / entry.name)  # a mere renaming, but on another disk
        shutil.rmtree(unfinished)
    except OSError as error:
        raise OutputError("cannot write", out, error.strerror or str(error), "check space and permissions") from error


def _begin_or_continue(unfinished: Path, request: Mapping[str, Any], *, overwrite: bool) -> None:
    """Make the folder of unfinished work, or keep what is there of the same request; raise OutputError where it is of another."""
    path = unfinished / REQUEST
    try:
        there = unfinished.is_dir() and any(unfinished.iterdir())
        if there and _read_json(path) != json.loads(json_text(request)):
            if not overwrite:
                why = "work with other input or options was interrupted there"
                raise OutputError("cannot continue", unfinished, why, "remove it, or add --overwrite")
            shutil.rmtree(unfinished)
        unfinished.mkdir(parents=True, exist_ok=True)
        for left_behind in unfinished.rglob(f"{TEMPORARY}*"):
            left_behind.unlink()
    except OSError as error:
        raise OutputError("cannot write", unfinished, error.strerror or str(error), "choose another --out") from error
    write_json(path, request)


def _read_json(path: Path) -> Any:
    """Return what a JSON file holds; None where there is no readable one."""
    try:
        return json.loads(path.read_text(encoding="utf-8"))
    except (OSError, ValueError):
        return None


@contextmanager
def staged_folder(out: Path, *, overwrite: bool, keep: Sequence[Path] = ()) -> Iterator[Path]:
    """Yield an empty folder whose contents become `out` on success; where the work fails, `out` is what it was.

    Raises OutputError at once where `claim_folder` would: `out` holds a result and `overwrite` is not asked for, or something to `keep`.
    """
    out = Path(out).absolute()
    existed = out.exists()
    check_claim(out, overwrite=overwrite, keep=keep)
    if not overwrite:
        claim_folder(out, overwrite=False)
    try:
        out.parent.mkdir(parents=True, exist_ok=True)
        staging = Path(tempfile.mkdtemp(prefix=TEMPORARY, dir=out.parent))
    except OSError as error:
        raise OutputError("cannot write", out, error.strerror or str(error), "choose another --out") from error
    try:
        yield staging
        claim_folder(out, overwrite=overwrite, keep=keep)
        for entry in staging.iterdir():
            entry.rename(out / entry.name)
    except BaseException:
        if not existed and out.is_dir() and not any(out.iterdir()):
            out.rmdir()
        raise
    finally:
        shutil.rmtree(staging, ignore_errors=True)

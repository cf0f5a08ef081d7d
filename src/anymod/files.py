"""Files and folders that are written whole or not at all, and paths that stay inside their folder."""

from __future__ import annotations

import glob
import hashlib
import json
import logging
import os
import platform
import shutil
import tempfile
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import Any

from anymod.errors import AnymodError, MissingExtraError, OutputError

REQUEST = "request.json"
TEMPORARY = ".writing-"  # prefix of unfinished files and folders

logger = logging.getLogger(__name__)


@contextmanager
def atomic_write(path: Path) -> Iterator[Path]:
    """Yield a temporary file beside `path` (same suffixes); sync it and rename it to `path` on success, remove it on failure."""
    path = Path(path)
    try:
        path.parent.mkdir(parents=True, exist_ok=True)
        handle, name = tempfile.mkstemp(prefix=_prefix(path.parent), suffix=path.name, dir=path.parent)
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


@contextmanager
def temporary_folder(parent: Path) -> Iterator[Path]:
    """Yield a new folder in `parent` and remove it at the end, unless it was renamed."""
    try:
        parent.mkdir(parents=True, exist_ok=True)
        folder = Path(tempfile.mkdtemp(prefix=_prefix(parent), dir=parent))
    except OSError as error:
        raise OutputError("cannot write", parent, error.strerror or str(error), "choose another place") from error
    try:
        yield folder
    finally:
        shutil.rmtree(folder, ignore_errors=True)


def _prefix(parent: Path) -> str:
    """Return the start of this process's temporary names in `parent`; remove those that a killed process of this machine left there."""
    machine = f"@{platform.node()}@"  # no name of a machine has an @, so that none is the start of another
    for entry in parent.glob(f"{TEMPORARY}*{glob.escape(machine)}*"):
        process = entry.name.removeprefix(TEMPORARY).partition("@")[0]
        if process.isdecimal() and not _runs(int(process)):
            with suppress(OSError):  # another process may be removing it too
                _remove(entry)
    return f"{TEMPORARY}{os.getpid()}{machine}"


def _runs(process: int) -> bool:
    """Return whether a process of this machine still runs; True where that cannot be asked."""
    if os.name == "nt":  # where os.kill would end it
        return True
    try:
        os.kill(process, 0)
    except ProcessLookupError:
        return False
    except (OSError, OverflowError):  # another user's, or no process number
        return True
    return True


def _remove(entry: Path) -> None:
    if entry.is_dir() and not entry.is_symlink():
        shutil.rmtree(entry)
    else:
        entry.unlink(missing_ok=True)


def write_text(path: Path, text: str) -> None:
    r"""Write `text` as UTF-8, whole or not at all; bytes of file names that are not UTF-8 become `\udcXX`."""
    with atomic_write(path) as temporary:
        temporary.write_text(text, encoding="utf-8", errors="backslashreplace")


def json_text(content: Mapping[str, Any]) -> str:
    """Return a JSON object that starts with this package's `format` and version."""
    from anymod import __version__

    return json.dumps({"format": 1, "anymod": __version__, **content}, indent=2, allow_nan=False)


def write_json(path: Path, content: Mapping[str, Any]) -> None:
    """Write the text of `json_text`, whole or not at all."""
    write_text(path, json_text(content) + "\n")


def read_json(path: Path) -> Any:
    """Return the content of a JSON file; None if there is no readable one."""
    try:
        return json.loads(path.read_text(encoding="utf-8"))
    except (OSError, ValueError, RecursionError):
        return None


def finished_record(path: Path, key: Mapping[str, Any]) -> dict[str, Any] | None:
    """Return the JSON record of a finished subject if its entries equal those of `key`, None if the subject has to be done again.

    This is how every verb continues: the record is written last, so a subject that has one is complete unless its files were removed.
    """
    record, wanted = read_json(path), json.loads(json.dumps(key))
    same = isinstance(record, dict) and {name: record.get(name) for name in wanted} == wanted
    return record if same else None


def sha256(path: Path) -> str:
    """Return the hexadecimal SHA-256 of a file's bytes."""
    with Path(path).open("rb") as stream:
        return hashlib.file_digest(stream, "sha256").hexdigest()


def states_of(path: Path) -> list[list[Any]]:
    """Return [path, size, time of the last change] of a file, or of each file in a folder, sorted; None for files that do not exist.

    It changes when a file does, and no file has to be read.
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
    """Return root/relative, or raise `error` if that leaves `root` (absolute path, `..`, or a link out of it)."""
    root = Path(root)
    try:
        inside = (root / relative).resolve().is_relative_to(root.resolve())
    except (OSError, RuntimeError, ValueError):  # a link to itself, a null character
        inside = False
    if not inside or Path(relative).is_absolute():
        raise error("path outside its folder", root, f"'{relative}' leaves it", "use a path relative to the folder")
    return root / relative


def claim_folder(path: Path, *, overwrite: bool, keep: Sequence[Path] = ()) -> Path:
    """Create an output folder; refuse one that is not empty, or empty it with `overwrite`.

    A folder that contains the home folder, the working directory or a path to `keep`, such as the input, is never emptied.
    """
    path = Path(path)
    check_claim(path, overwrite=overwrite, keep=keep)
    try:
        path.mkdir(parents=True, exist_ok=True)
        for entry in list(path.iterdir()):
            _remove(entry)
    except OSError as error:
        raise OutputError("cannot write", path, error.strerror or str(error), "choose another --out") from error
    return path


def check_claim(path: Path, *, overwrite: bool, keep: Sequence[Path] = ()) -> None:
    """Raise OutputError if `claim_folder` would refuse the folder; nothing is changed."""
    if path.exists() and not path.is_dir():
        raise OutputError("cannot write", path, "a file is in the way", "choose another --out")
    if not path.is_dir() or not any(path.iterdir()):
        return
    if not overwrite:
        raise OutputError("cannot write", path, "it holds a result already", "choose another --out or add --overwrite")
    precious = (Path.home(), Path.cwd(), *(place.resolve() for place in keep))
    if any(place.is_relative_to(path.resolve()) for place in precious):
        raise OutputError("cannot overwrite", path, "it contains more than a result", "choose another --out")


@contextmanager
def continued_folder(
    out: Path, request: Mapping[str, Any], *, overwrite: bool, keep: Sequence[Path] = ()
) -> Iterator[Path]:
    """Yield a folder whose contents become `out` on success; it holds what an interrupted call for the same request has finished.

    Until then it is `.unfinished-NAME` beside `out`. If the input is at fault, it is removed. If the work is interrupted or the machine
    is at fault (no space, a missing package), it stays for the next call.

    Raises:
        OutputError: `claim_folder` would refuse `out`, another run is writing it, or the unfinished work belongs to another request and
            `overwrite` is False.
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
            if isinstance(problem, AnymodError) and not isinstance(problem, (OutputError, MissingExtraError)):
                shutil.rmtree(unfinished, ignore_errors=True)
            else:
                logger.warning("interrupted: the same command continues from %s", unfinished)
            raise


@contextmanager
def _locked(unfinished: Path) -> Iterator[None]:
    """Lock the folder against a second run, if the system can lock files; the lock ends with the process."""
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
    """Move everything to `out` except the request and the records, whose names begin with a dot."""
    try:
        for entry in unfinished.iterdir():
            if entry.name != REQUEST and not entry.name.startswith("."):
                shutil.move(entry, out / entry.name)  # a rename, except across disks
        shutil.rmtree(unfinished)
    except OSError as error:
        raise OutputError("cannot write", out, error.strerror or str(error), "check space and permissions") from error


def _begin_or_continue(unfinished: Path, request: Mapping[str, Any], *, overwrite: bool) -> None:
    """Make the folder of unfinished work, or keep that of the same request; raise OutputError if it belongs to another request."""
    path = unfinished / REQUEST
    try:
        there = unfinished.is_dir() and any(unfinished.iterdir())
        if there and read_json(path) != json.loads(json_text(request)):
            if not overwrite:
                why = "work with other input or options was interrupted there"
                raise OutputError("cannot continue", unfinished, why, "remove it, or add --overwrite")
            shutil.rmtree(unfinished)
        unfinished.mkdir(parents=True, exist_ok=True)
        for left_behind in list(unfinished.rglob(f"{TEMPORARY}*")):
            _remove(left_behind)
    except OSError as error:
        raise OutputError("cannot write", unfinished, error.strerror or str(error), "choose another --out") from error
    write_json(path, request)


@contextmanager
def staged_folder(out: Path, *, overwrite: bool, keep: Sequence[Path] = ()) -> Iterator[Path]:
    """Yield an empty folder whose contents become `out` on success; if the work fails, `out` is unchanged.

    Raises OutputError at once if `claim_folder` would refuse `out`.
    """
    out = Path(out).absolute()
    existed = out.exists()
    check_claim(out, overwrite=overwrite, keep=keep)
    if not overwrite:
        claim_folder(out, overwrite=False)
    with temporary_folder(out.parent) as staging:
        try:
            yield staging
            claim_folder(out, overwrite=overwrite, keep=keep)
            for entry in staging.iterdir():
                entry.rename(out / entry.name)
        except BaseException:
            if not existed and out.is_dir() and not any(out.iterdir()):
                out.rmdir()
            raise

"""Files that are written whole or not at all, and paths that stay inside their folder."""

from __future__ import annotations

import glob
import hashlib
import json
import os
import secrets
import shutil
from collections.abc import Iterator, Mapping
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import Any
from unicodedata import normalize

from anymod.errors import AnymodError, OutputError
from anymod.processes import machine, runs, start_of
from anymod.texts import read_text

MOST_JSON_BYTES = 2**28  # a request names every source file of a large archive
TEMPORARY = ".writing-"  # prefix of unfinished files and folders
ENOUGH = 2**16  # bytes: if so much can still be written, the disk is not full


@contextmanager
def atomic_write(path: Path) -> Iterator[Path]:
    """Yield a temporary file beside `path` (same suffixes); sync it and rename it to `path` on success, remove it on failure."""
    path = Path(path)
    try:
        path.parent.mkdir(parents=True, exist_ok=True)
        temporary = temporary_path(path.parent, path.name)
        temporary.open("xb").close()  # no chmod: the permissions follow the umask, also where the file system has none
    except OSError as error:
        raise OutputError(
            "cannot write", path, error.strerror or str(error), "choose another place with --out"
        ) from error
    try:
        yield temporary
        with temporary.open("rb+") as stream:
            os.fsync(stream.fileno())
        temporary.replace(path)
        sync_folder(path.parent)
    except AnymodError:
        raise
    except Exception as error:
        fault = _fault_of_disk(error, temporary)
        if fault is None:
            raise
        raise OutputError("cannot write", path, fault.strerror or str(fault), "check space and permissions") from error
    finally:
        with suppress(OSError):
            temporary.unlink(missing_ok=True)


def _fault_of_disk(error: BaseException, temporary: Path) -> OSError | None:
    """Return the error of the system behind an error of a writer, None if there is none."""
    cause: BaseException | None = error
    while cause is not None:
        if isinstance(cause, OSError):
            return cause
        cause = cause.__cause__ or cause.__context__
    try:  # writers in C++ give no reason
        with temporary.open("ab") as stream:
            stream.write(bytes(ENOUGH))
    except OSError as full:
        return full
    return None


def sync_folder(folder: Path) -> None:
    """Make sure that the names in a folder survive a loss of power, where the system can do that."""
    with suppress(OSError):
        handle = os.open(folder, os.O_RDONLY)
        try:
            os.fsync(handle)
        finally:
            os.close(handle)


def temporary_path(parent: Path, name: str = "") -> Path:
    """Return a new name in `parent` for an unfinished file or folder; remove those that dead processes of this machine left there."""
    here = f"@{machine()}@"  # no name of a machine has an @, so that none is the start of another
    for entry in parent.glob(f"{TEMPORARY}*{glob.escape(here)}*"):
        process, _, started = entry.name.removeprefix(TEMPORARY).partition("@")[0].partition("-")
        if process.isdecimal() and not runs(int(process), started):
            with suppress(OSError):  # another process may be removing it too
                remove(entry)
    own = f"{os.getpid()}-{start_of(os.getpid())}"
    return parent / f"{TEMPORARY}{own}{here}{secrets.token_hex(4)}{name}"


def remove(entry: Path) -> None:
    """Remove a file, a link or a whole folder; a link is not followed."""
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
        return json.loads(read_text(path, most_bytes=MOST_JSON_BYTES))
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
    # macOS may decompose letters with accents in file names, tables have them in one piece.
    spellings = (root / normalize(form, relative) for form in ("NFC", "NFD"))
    there = (path for path in (root / relative, *spellings) if path.exists())
    return root / relative if relative.isascii() else next(there, root / relative)

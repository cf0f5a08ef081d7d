"""A tree of files that may hold links: patterns follow them, but search no folder twice."""

from __future__ import annotations

import os
from collections.abc import Iterator
from fnmatch import fnmatchcase
from functools import cached_property
from pathlib import Path
from unicodedata import normalize

from anymod.errors import CohortError

WRITE_ANOTHER = "write a pattern for paths below --raw, such as '**/t1.nii.gz'"


class Tree:
    """All files below `raw`, except names that begin with a dot and everything in `leave_out`.

    Linked files and folders count like others. A folder is passed over if it is a link to one that is searched anyway, such as
    `latest -> visit2` or `all -> .`, which would give one image two names, or a path without end.
    """

    def __init__(self, raw: Path, leave_out: Path | None = None) -> None:
        if not raw.is_dir():
            raise CohortError("no folder", raw, "there is no such folder", "check --raw")
        self.raw, self._leave_out = raw, None if leave_out is None else leave_out.resolve()
        self._listed: dict[Path, list[Path]] = {}

    @cached_property
    def everything(self) -> list[Path]:
        """Folders at any depth, `raw` first."""
        return self._folders(self.raw)

    def entries(self, folder: Path) -> list[Path]:
        """Return what a folder holds, sorted; raise CohortError if it cannot be listed."""
        if folder not in self._listed:
            try:
                names = sorted(name for name in os.listdir(folder) if not name.startswith("."))
            except OSError as problem:
                why = problem.strerror or str(problem)
                raise CohortError("unreadable folder", folder, why, "make it readable, or move it elsewhere") from None
            self._listed[folder] = [folder / name for name in names if not self._is_left_out(folder / name)]
        return self._listed[folder]

    def matches(self, pattern: str) -> list[Path]:
        """Return the paths that match a glob pattern, sorted; `**` matches any number of folders.

        Raises CohortError if the pattern is absolute, leaves `raw` or has `**` inside a name.
        """
        parts = Path(pattern).parts
        wrong = "it is absolute" if Path(pattern).is_absolute() else "it leaves the folder" if ".." in parts else ""
        wrong = wrong or ("" if parts else "it is empty")
        wrong = wrong or ("'**' is only a part of a name" if any("**" in part != "**" for part in parts) else "")
        if wrong:
            raise CohortError("unusable pattern", f"'{pattern}'", wrong, WRITE_ANOTHER)
        found = [self.raw]
        for part in parts:
            found = [path for folder in found if folder.is_dir() for path in self._step(folder, part)]
        return sorted(dict.fromkeys(path for path in found if path != self.raw))

    def leads_elsewhere(self, link: Path, start: Path, seen: set[Path]) -> bool:
        """Return whether a folder is new to a search below `start`: no link, or a link to what the search does not reach otherwise."""
        if not link.is_symlink():
            return True
        real, here = link.resolve(), start.resolve()
        reached = real.is_relative_to(here) and not any(each.startswith(".") for each in real.relative_to(here).parts)
        if reached or here.is_relative_to(real) or real in seen:
            return False
        seen.add(real)
        return True

    def _step(self, folder: Path, part: str) -> Iterator[Path]:
        """Yield the paths that one part of a pattern leads to."""
        if part == "**":
            yield from self.everything if folder == self.raw else self._folders(folder)
        elif not set(part) & set("*?["):
            for path in {folder / part, folder / normalize("NFC", part), folder / normalize("NFD", part)}:
                if os.path.lexists(path) and not (part.startswith(".") or self._is_left_out(path)):
                    yield path
        else:
            # macOS may decompose letters with accents in file names, other systems and keyboards do not.
            spellings = {part, normalize("NFC", part), normalize("NFD", part)}
            chosen = [path for path in self.entries(folder) if any(fnmatchcase(path.name, each) for each in spellings)]
            real = {path.resolve() for path in chosen if not path.is_symlink()}
            for path in chosen:
                target = path.resolve() if path.is_symlink() else None
                if target is None or not (target in real or folder.resolve().is_relative_to(target)):
                    yield path

    def _folders(self, start: Path) -> list[Path]:
        found, waiting, seen = list[Path](), [start], set[Path]()
        while waiting:
            folder = waiting.pop()
            found.append(folder)
            below = [path for path in self.entries(folder) if path.is_dir()]
            waiting += [path for path in reversed(below) if self.leads_elsewhere(path, start, seen)]
        return found

    def _is_left_out(self, path: Path) -> bool:
        # Names first: to resolve the path of every file of an archive would take longer than to list them.
        out = self._leave_out
        if out is None or not path.name.startswith(out.name):
            return False
        mine = path.name == out.name or path.name.startswith(f"{out.name}.shard-")
        return mine and path.resolve().parent == out.parent

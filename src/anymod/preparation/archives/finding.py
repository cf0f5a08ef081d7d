"""Search for the subjects of an archive by the names of its files."""

from __future__ import annotations

import re
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

from anymod.cohorts.schema import EXTRA_COLUMNS, check_subject_name
from anymod.errors import CohortError
from anymod.preparation.folder_source import FoundSubject
from anymod.preparation.tree import Tree

IMAGE_SUFFIXES = (".nii", ".nii.gz", ".nrrd", ".nhdr", ".mha", ".mhd", ".dcm", ".mnc")
NIFTI = r"\.nii(?:\.gz)?"  # suffix in a pattern
NOT_KNOWN = "its name is unknown in this archive"


@dataclass(frozen=True)
class Kind:
    """Files of one column, by a regular expression that matches the last part or parts of their paths, ignoring case.

    Its group `subject` names the subject. A folder counts as a file, because it may hold a DICOM series.
    """

    column: str
    pattern: str


@dataclass(frozen=True)
class Archive:
    """File names of an archive.

    Attributes:
        name: Its name for `--source`.
        kinds: Tried in order; of two files for one image of a subject, that of the earlier kind is used.
        left_out: (pattern, reason) of files that are skipped; tried before `kinds`.
        reference: Modality on whose grid the others are put, if the images of a subject do not share a grid.
    """

    name: str
    kinds: tuple[Kind, ...]
    left_out: tuple[tuple[str, str], ...] = ()
    reference: str | None = None

    @property
    def modalities(self) -> tuple[str, ...]:
        """Modalities of the archive, in the order of the kinds."""
        return tuple(dict.fromkeys(kind.column for kind in self.kinds if kind.column not in EXTRA_COLUMNS))


@dataclass(frozen=True)
class Skipped:
    """A file that is not used, and the reason."""

    path: Path
    why: str


def find_in_archive(
    raw: Path, archive: Archive, leave_out: Path | None = None
) -> tuple[tuple[FoundSubject, ...], tuple[Skipped, ...]]:
    """Return the archive's subjects below `raw`, sorted by name, and every image file that is not used.

    Names that begin with a dot and everything in `leave_out` are ignored.

    Raises:
        CohortError: Nothing is found.
    """
    tree = Tree(raw, leave_out)
    candidates: dict[tuple[str, str], list[tuple[int, Path]]] = {}
    skipped = []
    for path, rank, subject in _recognized(raw, tree, archive, set()):
        if isinstance(rank, str):
            skipped.append(Skipped(path, rank))
        else:
            candidates.setdefault((subject, archive.kinds[rank].column), []).append((rank, path))
    files: dict[str, dict[str, Path]] = {}
    for (subject, column), found in candidates.items():
        best, *others = sorted(found)
        files.setdefault(subject, {})[column] = best[1]
        skipped += [Skipped(path, f"{best[1].name} is used for {column}") for _, path in others]
    subjects = []
    for name in sorted(files):
        if set(files[name]) <= set(EXTRA_COLUMNS):
            skipped += [Skipped(path, f"subject '{name}' has no image") for path in files[name].values()]
            continue
        columns = [*archive.modalities, *EXTRA_COLUMNS]
        there = {column: files[name][column] for column in columns if column in files[name]}
        subjects.append(FoundSubject(check_subject_name(name, raw), there))
    if not subjects:
        why = f"no file name matches {archive.name}"
        raise CohortError("nothing found", raw, why, "check --raw, or use --source folder with --pattern")
    return tuple(subjects), tuple(sorted(skipped, key=lambda each: each.path))


def _recognized(folder: Path, tree: Tree, archive: Archive, seen: set[Path]) -> Iterator[tuple[Path, int | str, str]]:
    """Yield (path, number of its kind, subject) or (path, reason to skip it, ""); a folder that matches is not searched."""
    for path in tree.entries(folder):
        if path.is_dir() and not tree.leads_elsewhere(path, tree.raw, seen):
            continue
        name = path.relative_to(tree.raw).as_posix()
        why = next((why for pattern, why in archive.left_out if _fits(pattern, name)), None)
        if why is not None:
            yield path, why, ""
            continue
        matches = ((rank, _fits(kind.pattern, name)) for rank, kind in enumerate(archive.kinds))
        rank, match = next(((rank, match) for rank, match in matches if match), (0, None))
        if match is not None:
            yield path, rank, match["subject"]
        elif path.is_dir():
            yield from _recognized(path, tree, archive, seen)
        elif path.name.lower().endswith(IMAGE_SUFFIXES):
            yield path, NOT_KNOWN, ""


def _fits(pattern: str, name: str) -> re.Match[str] | None:
    return re.fullmatch(rf"(?:.*/)?{pattern}", name, re.IGNORECASE)

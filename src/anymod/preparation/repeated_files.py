"""What to say about several files for one image: which they are, and what the user probably meant."""

from __future__ import annotations

import os
from collections.abc import Mapping, Sequence
from pathlib import Path

from anymod.errors import CohortError
from anymod.volumes.formats.signatures import is_dicom_file

MOST_NAMED = 40  # files in a message
DEEPEST = 6  # folder below --raw that may be the subject's
SERIES_SUFFIXES = ("", ".dcm", ".ima")

Claims = Mapping[tuple[str, str], Sequence[Path]]
"""All files for each (subject, column)."""


def repeated_files(raw: Path, claims: Claims, patterns: Mapping[str, str]) -> CohortError | None:
    """Return the error that names every image with several files; None if there is none."""
    repeated = {key: files for key, files in claims.items() if len(files) > 1}
    if not repeated:
        return None
    lists = [f"{column} of '{subject}' has {_names(files, raw)}" for (subject, column), files in repeated.items()]
    what = "two files for one image" if len(repeated) == 1 else f"several files for each of {len(repeated)} images"
    return CohortError(what, raw, "; ".join(_shortened(lists)), _remedy(raw, claims, repeated, patterns))


def _remedy(raw: Path, claims: Claims, repeated: Claims, patterns: Mapping[str, str]) -> str:
    (_, column), files = next(iter(repeated.items()))
    pattern = patterns[column]
    if all(_is_series(each) for each in repeated.values()):
        folder = pattern.rpartition("/")[0]
        named = f", such as '{folder}'" if folder.strip("*/") else ""
        return f"a DICOM series is one image: give the pattern of its folder{named}"
    every_file = [(column, file) for (_, column), each in claims.items() for file in each]
    for depth in range(1, DEEPEST):
        places = [(column, file.relative_to(raw).parts) for column, file in every_file]
        if all(len(parts) > depth + 1 for _, parts in places):
            keys = [(column, parts[depth]) for column, parts in places]
            if len(set(keys)) == len(keys):
                return f"if a deeper folder names the subject, add --subject-from '{'*/' * depth}{{subject}}/'"
    if len({file.parent for file in files}) == 1 and pattern.rpartition("/")[2].startswith("*_"):
        return "if the names of the files begin with the subject's, add --subject-from '**/{subject}_*'"
    return "make the pattern more specific"


def _is_series(files: Sequence[Path]) -> bool:
    """Return whether the files lie in one folder and look like slices of DICOM."""
    if len({file.parent for file in files}) > 1:
        return False
    return all(file.is_file() and (_is_named_like_a_slice(file) or is_dicom_file(file)) for file in files[:MOST_NAMED])


def _is_named_like_a_slice(file: Path) -> bool:
    """Return whether a file has no suffix, one of DICOM, or a number, such as `I.001`."""
    return file.suffix.lower() in SERIES_SUFFIXES or file.suffix[1:].isdecimal()


def _names(files: Sequence[Path], raw: Path) -> str:
    return ", ".join(_shortened([os.fspath(file.relative_to(raw)) for file in files]))


def _shortened(texts: list[str]) -> list[str]:
    more = len(texts) - MOST_NAMED
    return [*texts[:MOST_NAMED], f"and {more} more"] if more > 0 else texts

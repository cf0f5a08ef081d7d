"""Splits of subjects into training, validation, test or folds: drawn from a seed or read from a list."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from pathlib import Path

from anymod.cohorts.schema import check_no_repeats, check_split, check_subject_name
from anymod.cohorts.table import read_csv
from anymod.configuration import nearest
from anymod.errors import CohortError
from anymod.randomness import derive_seed


def draw_splits(
    names: Sequence[str],
    seed: int,
    validation: float = 0.15,
    test: float = 0.15,
    test_subjects: Sequence[str] = (),
    strata: Mapping[str, str] | None = None,
) -> dict[str, str]:
    """Return the split of each subject: `validation` and `test` are fractions of all subjects, and the rest is for training.

    Each subject gets a random number from (seed, name); the lowest go to test, the next to validation. The order of `names` does not
    matter, and an added subject rarely moves others. `test_subjects`, if given, are the whole test split. A fraction above 0 gives at
    least one subject as long as two remain for training; with `test` 1 and `validation` 0 all subjects test.

    `strata` gives each subject's kind, such as its modalities: every split then
    contains each kind in proportion, to within two subjects. Raises CohortError for fractions that cannot be used or unknown subjects.
    """
    if (validation, test) == (0, 1) and not test_subjects:
        return dict.fromkeys(names, "test")
    if not (0 <= validation < 1 and 0 <= test < 1 and validation + test < 1):
        why = f"validation is {validation} and test {test}"
        remedy = "give fractions of at least 0 with a sum below 1, or --test 1 for a cohort of test subjects only"
        raise CohortError("unusable fractions", "the split", why, remedy)
    check_known(test_subjects, names, "--test-subjects")
    queue = _queue(set(names) - set(test_subjects), seed, strata or {})
    splits = dict.fromkeys(test_subjects, "test")
    if not test_subjects:
        splits |= dict.fromkeys(_take(queue, test, len(names)), "test")
    splits |= dict.fromkeys(_take(queue, validation, len(names)), "validation")
    splits |= dict.fromkeys(queue, "train")
    return {name: splits[name] for name in names}


def draw_folds(names: Sequence[str], seed: int, folds: int, strata: Mapping[str, str] | None = None) -> dict[str, str]:
    """Return the fold of each subject, "0" and so on: sizes differ by at most one, and each stratum is distributed over the folds.

    As in `draw_splits`, the order of `names` does not matter.
    """
    if not 2 <= folds <= len(names):
        why = f"{folds} folds of {len(names)} patients"
        raise CohortError("unusable folds", "the split", why, "give at least 2 folds and no more than patients")
    # Dealt like cards, one stratum after the other.
    dealt = sorted(set(names), key=lambda name: ((strata or {}).get(name, ""), derive_seed(seed, "split", name), name))
    fold_of = {name: str(place % folds) for place, name in enumerate(dealt)}
    return {name: fold_of[name] for name in names}


def _queue(names: set[str], seed: int, strata: Mapping[str, str]) -> list[str]:
    """Return the names in random order, such that any number of them from the front contains each stratum in proportion."""
    drawn = sorted(names, key=lambda name: (derive_seed(seed, "split", name), name))
    members: dict[str, list[str]] = {}
    for name in drawn:
        members.setdefault(strata.get(name, ""), []).append(name)
    place: dict[str, float] = {}
    for stratum, those in members.items():
        offset = derive_seed(seed, "stratum", stratum) / 2**63  # so that small strata do not all come first
        place |= {name: (rank + offset) / len(those) for rank, name in enumerate(those)}
    return sorted(drawn, key=lambda name: place[name])


def _take(queue: list[str], fraction: float, total: int) -> list[str]:
    """Remove and return the front of the queue: `fraction` of `total`, at least one, but leave two."""
    spare = max(0, len(queue) - 2)
    count = min(spare, max(1, round(fraction * total))) if fraction > 0 else 0
    taken, queue[:] = queue[:count], queue[count:]
    return taken


def splits_from_list(path: Path, names: Sequence[str]) -> dict[str, str]:
    """Return the split of each subject from a CSV file that lists every subject once; columns `subject,split` and perhaps `kind`."""
    rows = _list_rows(path)
    listed = [row[0] for row in rows]
    check_no_repeats(listed, "duplicate subject", path, "keep one of the lines")
    check_known(listed, names, path)
    splits = {row[0]: check_split(row[1], path) for row in rows}
    for name in names:
        if name not in splits:
            raise CohortError("subject without split", path, f"'{name}' is not listed", "add a line for it")
    return {name: splits[name] for name in names}


def kinds_from_list(path: Path) -> dict[str, str]:
    """Return the kind of each subject that has one in a list of splits (`splits_from_list`)."""
    return {row[0]: check_subject_name(row[2], path, "kind") for row in _list_rows(path) if any(row[2:])}


def _list_rows(path: Path) -> list[list[str]]:
    lines = read_csv(path)
    columns = ["subject", "split", "kind"][: len(lines[0])]
    if len(columns) < 2 or lines[0] != columns or any(len(line) != len(columns) for line in lines):
        remedy = "write 'subject,split' or 'subject,split,kind', and one field per column in each line"
        raise CohortError("broken table", path, "it has other columns", remedy)
    return lines[1:]


def check_known(listed: Sequence[str], names: Sequence[str], where: str | Path) -> None:
    """Raise CohortError for the first listed name that no subject has."""
    for name in listed:
        if name not in names:
            raise CohortError("unknown subject", where, f"'{name}' was not found", nearest(name, list(names)))

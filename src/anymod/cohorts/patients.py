"""Patients: which subjects are visits of one person, by a column of the table or by their names."""

from __future__ import annotations

import re
from collections import Counter
from collections.abc import Iterable, Mapping
from pathlib import Path

from anymod.errors import CohortError

MOST_VISITS = 20
"""Subjects whose names differ only in their end are people and no visits if there are more of them, as `site1_scan001` and so on."""

FEWEST_PEOPLE = 3
"""Likewise if there are more of them, and no others."""

_NUMBERED = "visits?|vis|v|tp|timepoint|time|sess?|session|scan|exam|study|fu|follow-?up|mri?|run|rep|repeat"
_DURATION = "days?|d|weeks?|wk|w|months?|mo|m|years?|yr|y"
_NAMED = "bl|baseline|sc|screening|initial|final|pre|post|(?:pre|post|intra)-?op|follow-?up|test|retest|rescan"
_COUNT = r"[_-]?d?\d{1,5}[a-z]?(?:-\d{1,2})?"
_DATE = r"(?:19|20)\d\d(?:[01]\d[0-3]\d|[_-][01]\d[_-][0-3]\d)"
ARCHIVES = tuple(map(re.compile, (r"(.+?)_ses-[A-Za-z0-9]+.*", r"(UPENN-GBM-\d+)_\d+", r"(BraTS-[A-Za-z]+-\d+)-\d+")))
"""Names of visits in BIDS, UPENN-GBM and BraTS since 2023; the group is the patient."""
COMMON = tuple(
    re.compile(pattern, re.IGNORECASE)
    for pattern in (
        rf"(?P<patient>.*?\d.*?)[ _.-](?:(?:{_NUMBERED}|{_DURATION}){_COUNT}|{_NAMED}|{_DATE})",
        rf"(?P<patient>.*\d)(?:{_NUMBERED})\d{{1,3}}",
    )
)
"""Other common names of visits, such as `OAS2_0001_MR1`, `002_S_0295_m06`, `P7-baseline`, `P7_2021-03-04` and `P7V2`."""
LETTERED = re.compile(r"(?P<patient>.*\d)[a-f]")
SHORT_NUMBER = re.compile(r"(?P<patient>.*\d.*)[_.-]\d{1,2}")


def patient_of(name: str) -> str:
    """Return the patient of a subject: the part of the name before the visit, or the whole name if it has no visit."""
    matches = (pattern.fullmatch(name) for pattern in ARCHIVES)
    known = next((match[1] for match in matches if match), None)
    if known is not None:
        return known
    matches = (pattern.fullmatch(name) for pattern in COMMON)
    return next((match["patient"] for match in matches if match), name)


def patients_of(names: Iterable[str]) -> dict[str, str]:
    """Return the patient of each subject, by all names together: `P7b` is a visit of `P7` or `P7a` if there is one."""
    patients = {name: patient_of(name) for name in names}
    letters = {name: match["patient"] for name in patients if (match := LETTERED.fullmatch(name))}
    counts = Counter(letters.values())
    patients |= {name: base for name, base in letters.items() if base in patients or counts[base] > 1}
    visits = Counter(patients.values())
    certain = {name for name in patients if any(pattern.fullmatch(name) for pattern in ARCHIVES)}
    everyone = len(patients) if len(patients) > FEWEST_PEOPLE else 0
    people = {patient for patient, count in visits.items() if count > MOST_VISITS or count == everyone}
    return {name: name if patient in people and name not in certain else patient for name, patient in patients.items()}


def possible_visits(patients: Mapping[str, str]) -> list[str]:
    """Return names such as `P7_1` and `P7_2`, which may be two visits of one patient or two people; empty if nothing speaks for visits.

    Few subjects for each of several beginnings with a number are probably visits.
    """
    alone = [name for name, patient in patients.items() if name == patient]
    bases = {name: match["patient"] for name in alone if (match := SHORT_NUMBER.fullmatch(name))}
    counts = Counter(bases.values())
    repeated = [name for name, base in bases.items() if counts[base] > 1]
    several = len({bases[name] for name in repeated}) > 1
    return repeated if several and max(counts.values()) <= MOST_VISITS // 3 else []


def separated_visits(splits: Mapping[str, str], patients: Mapping[str, str]) -> list[tuple[str, str]]:
    """Return pairs of subjects that are visits of one patient in different splits: each with the first of that patient."""
    first: dict[str, str] = {}
    pairs = []
    for name, split in splits.items():
        other = first.setdefault(patients[name], name)
        if splits[other] != split:
            pairs.append((other, name))
    return pairs


def check_visits_together(splits: Mapping[str, str], where: str | Path, patients: Mapping[str, str]) -> None:
    """Raise CohortError if visits of one patient are in different splits, so that the test would contain training patients."""
    pairs = separated_visits(splits, patients)
    if pairs:
        (first, second), more = pairs[0], f" (and {len(pairs) - 1} more)" if len(pairs) > 1 else ""
        why = f"'{first}' is in {splits[first]} and '{second}' in {splits[second]}, visits of one patient{more}"
        raise CohortError(
            "patient in two splits", where, why, "put both into one split, or name patients by --patient-from"
        )

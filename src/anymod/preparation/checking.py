"""Check of a cohort, file by file: integrity, grids, foreground, intensities, and images that occur twice."""

from __future__ import annotations

import hashlib
import json
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Literal

import numpy as np

from anymod.arrays import Array
from anymod.cohorts import Cohort, Subject, SubjectImages, check_same_grid, read_table
from anymod.cohorts.patients import separated_visits
from anymod.errors import AnymodError, CohortError, VolumeError
from anymod.executors import FAILURES, for_each_subject, subject_executor
from anymod.figures.thumbnails import preview_png
from anymod.files import confined
from anymod.preparation.aligning import AlignmentRow, read_rows
from anymod.preparation.copies import Signature, copies, signature_of
from anymod.preparation.findings import CheckReport, Finding, ImageFacts, SubjectFacts
from anymod.slices.looks import Look
from anymod.slices.typical import Typical, remarks
from anymod.texts import read_text
from anymod.volumes import (
    Volume,
    foreground_doubt,
    foreground_of,
    measure_range,
    read_labels,
    read_volume,
    unusual_share,
)

PERCENTILE = 99.95  # docs/method.md section 9
FARTHEST_OUTLIER = 20.0  # maximum divided by the 99.95th percentile, both relative to the minimum
STEPS = 48  # bins of a histogram
FEWEST_VALUES = 16  # an image with fewer different values is probably a label map
SPACING_TOLERANCE_MM = 1e-3


@dataclass(frozen=True)
class CheckTask:
    """A subject to check, with the rows of its alignments, and what the training images of a model look like.

    With `strict`, images that are unlike those are a problem, otherwise a note.
    """

    cohort: Cohort
    subject: Subject
    alignments: tuple[AlignmentRow, ...] = ()
    typical: Typical | None = None
    strict: bool = False


def check_cohort(
    path: Path,
    workers: int = 1,
    scheduler: str | None = None,
    *,
    typical: Typical | None = None,
    strict: bool = False,
) -> CheckReport:
    """Return the findings for every file of a cohort; one bad subject does not stop the others.

    `typical` holds what the training images of a model look like; with `strict`, other images are a problem.

    Raises:
        CohortError: `cohort.yaml` or `subjects.csv` is unusable.
    """
    cohort = read_table(path)
    rows = read_rows(cohort.root)
    tasks = {
        subject.name: CheckTask(
            cohort, subject, tuple(row for row in rows if row.subject == subject.name), typical, strict
        )
        for subject in cohort.subjects
    }
    with subject_executor(workers, scheduler) as executor:
        outcomes = for_each_subject(executor, check_subject, tasks, "checking")
    unchecked = {name: _unchecked(cohort.subject(name), reason) for name, reason in outcomes.reasons().items()}
    facts = outcomes.results | unchecked
    subjects = tuple(facts[subject.name] for subject in cohort.subjects)
    findings = (*_shared_images(cohort, subjects), *_split_findings(cohort), *_left_out(cohort))
    return CheckReport(cohort.name, cohort.modality_names, subjects, findings, cohort.groups)


def _unchecked(subject: Subject, reason: str) -> SubjectFacts:
    """Return the facts of a subject whose worker died (out of memory, killed) or failed in a way that no reader expects."""
    finding = Finding(
        "problem", subject.name, "", f"it could not be checked: {reason}", "look at its files; use fewer --workers"
    )
    return SubjectFacts(subject.name, subject.split, "", (), (finding,))


def check_subject(task: CheckTask) -> SubjectFacts:
    """Return one subject's facts; a file that cannot be read becomes a finding, and the others are checked nevertheless."""
    cohort, subject = task.cohort, task.subject
    findings: list[Finding] = []
    volumes: dict[str, Volume] = {}
    for column, file in subject.files.items():
        try:
            volumes[column] = (read_volume if column in subject.paths else read_labels)(cohort.path(subject, column))
        except AnymodError as error:
            findings.append(Finding("problem", subject.name, file, f"{error.what}: {error.why}", error.remedy))
    findings += _reading_notes(subject, volumes) + _grid_findings(cohort, subject, volumes)
    mask = volumes["mask"].data if "mask" in volumes else None
    if mask is not None and not mask.any():
        findings.append(
            Finding(
                "problem",
                subject.name,
                subject.files["mask"],
                "the mask is empty",
                "replace it or remove it from the table",
            )
        )
        mask = None
    images = []
    for modality in subject.paths:
        if modality in volumes:
            facts, own = _image_facts(subject, modality, volumes[modality], mask)
            findings += own
            images += [] if facts is None else [facts]
    grid = repr(next(iter(volumes.values())).grid).removeprefix("Grid(").removesuffix(")") if volumes else ""
    findings += _alignment_notes(task) + _unusual(task, volumes)
    return SubjectFacts(subject.name, subject.split, grid, tuple(images), tuple(findings), _checkerboards(task))


def _unusual(task: CheckTask, volumes: dict[str, Volume]) -> list[Finding]:
    """Return what is unlike the training images of the model, if there is one; images that cannot be compared are findings already."""
    if task.typical is None:
        return []
    known = {name: volume for name, volume in volumes.items() if name in (*task.typical.modalities, "mask")}
    try:
        found = remarks(Look.of(SubjectImages.of(known)), task.typical) if set(known) - {"mask"} else ()
    except AnymodError:
        return []
    level: Literal["problem", "note"] = "problem" if task.strict else "note"
    remedy = "look at the picture, and correct the file or its name if it is wrong"
    return [Finding(level, task.subject.name, "", f"unusual: {text}", remedy) for text in found]


def _alignment_notes(task: CheckTask) -> list[Finding]:
    remedy = "look at the picture, and give a transform if it is wrong"
    return [
        Finding("note", row.subject, row.picture, f"the alignment of {row.column} is in doubt: {row.doubt}", remedy)
        for row in task.alignments
        if row.doubt
    ]


def _checkerboards(task: CheckTask) -> tuple[tuple[str, bytes], ...]:
    pictures = []
    for row in task.alignments:
        path = confined(task.cohort.root, row.picture, error=CohortError)
        if path.is_file():
            words = f"{row.column} aligned: moved by up to {row.moved_mm:.1f} mm, sharpness {row.sharpness:.2f}"
            pictures.append((words, path.read_bytes()))
    return tuple(pictures)


def _reading_notes(subject: Subject, volumes: dict[str, Volume]) -> list[Finding]:
    remedy = "check that this is right"
    return [
        Finding("note", subject.name, subject.files[column], note, remedy)
        for column, volume in volumes.items()
        for note in volume.notes
    ]


def _grid_findings(cohort: Cohort, subject: Subject, volumes: dict[str, Volume]) -> list[Finding]:
    findings = []
    if volumes:
        try:
            check_same_grid(volumes, f"subject '{subject.name}'")
        except AnymodError as error:
            findings.append(Finding("problem", subject.name, "", f"{error.what}: {error.why}", error.remedy))
        spacing = next(iter(volumes.values())).spacing_mm
        declared = cohort.spacing_mm
        if declared is not None and np.abs(np.subtract(sorted(spacing), sorted(declared))).max() > SPACING_TOLERANCE_MM:
            text = f"its voxels are {spacing} mm, and cohort.yaml says {declared}"
            findings.append(Finding("problem", subject.name, "", text, "prepare the cohort again with --spacing"))
    return findings


def _image_facts(
    subject: Subject, modality: str, volume: Volume, mask: Array | None
) -> tuple[ImageFacts | None, list[Finding]]:
    """Return an image's facts (None if its intensities are unusable) and its findings."""
    file, data = subject.paths[modality], volume.data
    fits = mask is not None and mask.shape == data.shape
    foreground = foreground_of(data, mask if fits else None, volume.spacing_mm)
    try:
        measured = measure_range(data, foreground, PERCENTILE, file)
    except VolumeError as error:
        return None, [Finding("problem", subject.name, file, f"{error.what}: {error.why}", error.remedy)]
    fraction = float(foreground.mean())
    findings = []
    doubt = unusual_share(foreground) if fits else foreground_doubt(data, foreground)
    if doubt is not None:
        remedy = "look at the picture, and give a mask if that is wrong"
        findings.append(Finding("note", subject.name, file, doubt, remedy))
    outlier = (float(data[foreground].max()) - measured.low) / (measured.high - measured.low)
    if outlier > FARTHEST_OUTLIER:
        text = f"its maximum is {outlier:.0f} times its {PERCENTILE}th percentile"
        findings.append(Finding("note", subject.name, file, text, "look for broken voxels"))
    if len(np.unique(data[foreground])) < FEWEST_VALUES:
        text = f"its foreground has fewer than {FEWEST_VALUES} different values"
        findings.append(Finding("note", subject.name, file, text, "is it a label map?"))
    digest = hashlib.sha256(np.ascontiguousarray(data).tobytes()).hexdigest()
    picture = preview_png(volume, foreground, measured)
    counts, _ = np.histogram(data[foreground], STEPS, (measured.low, measured.high))
    shares = tuple((counts / max(1, counts.sum())).tolist())
    signature = signature_of(volume, foreground, measured)
    return ImageFacts(modality, fraction, measured.low, measured.high, digest, picture, shares, signature), findings


def _shared_images(cohort: Cohort, subjects: Sequence[SubjectFacts]) -> list[Finding]:
    """Return a finding for each image that equals, or is a copy of, an image of another subject or modality."""
    findings = []
    seen: dict[str, tuple[SubjectFacts, ImageFacts]] = {}
    once: list[tuple[tuple[SubjectFacts, ImageFacts], Signature]] = []
    for subject in subjects:
        for image in subject.images:
            first = seen.setdefault(image.digest, (subject, image))
            if first[1] is not image:
                findings.append(_shared_image(cohort, first, (subject, image), "its voxels equal those"))
            elif image.signature is not None:
                once.append(((subject, image), image.signature))
    for first, copy in copies(once):
        if first[0] is not copy[0]:
            findings.append(_shared_image(cohort, first, copy, "it is a copy"))
    return findings


def _shared_image(
    cohort: Cohort, first: tuple[SubjectFacts, ImageFacts], copy: tuple[SubjectFacts, ImageFacts], what: str
) -> Finding:
    (owner, original), (subject, image) = first, copy
    text = f"{what} of {original.modality} of subject '{owner.name}'"
    if owner.split != subject.split:
        text += f", which is in another split ({owner.split}, here {subject.split})"
    return Finding(
        "problem", subject.name, cohort.subject(subject.name).paths[image.modality], text, "remove one of the two"
    )


def _split_findings(cohort: Cohort) -> list[Finding]:
    """Return a problem for each patient in two splits, and a note if nobody is for training."""
    patients = cohort.patients
    remedy = "put both into one split, or write into the column 'patient' that they are two people"
    separated = separated_visits({subject.name: subject.split for subject in cohort.subjects}, patients)
    findings = [
        Finding(
            "problem",
            second,
            "",
            f"a visit of patient '{patients[second]}' is in another split: '{first}' in {cohort.subject(first).split}, this in"
            f" {cohort.subject(second).split}",
            remedy,
        )
        for first, second in separated
    ]
    if any(subject.split not in ("validation", "test") for subject in cohort.subjects):
        return findings
    first = cohort.subjects[0].name
    remedy = "training uses the subjects whose split is 'train', or all folds but one"
    return [*findings, Finding("note", first, "", "no subject of the cohort is for training", remedy)]


def _left_out(cohort: Cohort) -> list[Finding]:
    """Return a note for each subject that the preparation left out, according to `failures.json`."""
    path = cohort.root / FAILURES
    if not path.is_file():
        return []
    try:
        failures = json.loads(read_text(path))["failures"].items()
    except (OSError, ValueError, KeyError, TypeError, AttributeError, RecursionError):
        remedy = "prepare the cohort again, or remove the file"
        return [Finding("problem", "", FAILURES, "it cannot be read as a record of subjects left out", remedy)]
    remedy = "to include it, fix its files and prepare the cohort again"
    return [Finding("note", str(name), "", f"left out: {why}", remedy) for name, why in failures]

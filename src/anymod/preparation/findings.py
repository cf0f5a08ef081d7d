"""Results of a check: facts about each image, and findings that name a subject, a file and a remedy."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any, Literal

from anymod.errors import CohortError
from anymod.preparation.copies import Signature


@dataclass(frozen=True)
class Finding:
    """A `problem` or a `note`; `file` is relative to the cohort, and `subject` or `file` may be empty."""

    level: Literal["problem", "note"]
    subject: str
    file: str
    text: str
    remedy: str

    def line(self) -> str:
        """Return the finding as one line."""
        where = ", ".join(part for part in (f"subject '{self.subject}'" if self.subject else "", self.file) if part)
        return " ".join(f"{self.level}: {where}: {self.text}; {self.remedy}".split())


@dataclass(frozen=True)
class ImageFacts:
    """Facts about one image.

    Attributes:
        modality: Name of its modality.
        foreground_fraction: Share of the volume that is foreground.
        low, high: Raw range of the foreground, from the minimum to percentile 99.95.
        digest: SHA-256 of the voxels.
        preview: Middle slice as PNG.
        histogram: Share of the foreground in each of equally wide bins from `low` to `high`.
        signature: What its copies have in common with it.
    """

    modality: str
    foreground_fraction: float
    low: float
    high: float
    digest: str
    preview: bytes
    histogram: tuple[float, ...] = ()
    signature: Signature | None = None


@dataclass(frozen=True)
class SubjectFacts:
    """Facts about one subject: the grid of its first readable image as text, its images and findings, and its alignments as PNG."""

    name: str
    split: str
    grid: str
    images: tuple[ImageFacts, ...]
    findings: tuple[Finding, ...]
    alignments: tuple[tuple[str, bytes], ...] = ()  # caption and checkerboard of each


@dataclass(frozen=True)
class CheckReport:
    """All subjects of a cohort in the order of its table; `findings` are those about the cohort, `groups` its `Cohort.groups`."""

    cohort: str
    modalities: tuple[str, ...]
    subjects: tuple[SubjectFacts, ...]
    findings: tuple[Finding, ...]
    groups: str = ""

    @property
    def all_findings(self) -> tuple[Finding, ...]:
        """Every finding, problems first."""
        of_subjects = (finding for subject in self.subjects for finding in subject.findings)
        return tuple(sorted((*self.findings, *of_subjects), key=lambda finding: finding.level != "problem"))

    @property
    def problems(self) -> tuple[Finding, ...]:
        """Findings that have to be fixed before the cohort is used."""
        return tuple(finding for finding in self.all_findings if finding.level == "problem")

    def table(self) -> str:
        """Return one line per subject: split, grid and, for each modality, foreground in % and raw range."""
        rows = [("subject", "split", "grid", *self.modalities)]
        for subject in self.subjects:
            facts = {image.modality: image for image in subject.images}
            cells = (describe_image(facts[name]) if name in facts else "-" for name in self.modalities)
            rows.append((subject.name, subject.split, subject.grid or "-", *cells))
        return text_table(rows) + (f"\ngroups: {self.groups}" if self.groups else "")

    def error(self, cohort: Path) -> CohortError | None:
        """Return the error that counts the problems; None if there are none."""
        count = len(self.problems)
        what = f"{count} problem{'s' * (count > 1)}"
        return CohortError(what, cohort, "listed above", "mend them and check again") if count else None

    def as_json(self) -> dict[str, Any]:
        """Return everything except the pictures and signatures."""
        subjects = [asdict(subject) for subject in self.subjects]
        for subject in subjects:
            del subject["alignments"]
            for image in subject["images"]:
                del image["preview"], image["signature"]
        findings = [asdict(finding) for finding in self.findings]
        return {
            "cohort": self.cohort,
            "groups": self.groups,
            "problems": len(self.problems),
            "subjects": subjects,
            "findings": findings,
        }


def describe_image(facts: ImageFacts) -> str:
    """Return an image's facts in a few words."""
    return f"{100 * facts.foreground_fraction:.0f}% {facts.low:.4g}..{facts.high:.4g}"


def text_table(rows: Sequence[Sequence[str]]) -> str:
    """Return rows as lines with aligned columns."""
    widths = [max(len(cell) for cell in column) for column in zip(*rows, strict=True)]
    return "\n".join(
        "  ".join(cell.ljust(width) for cell, width in zip(row, widths, strict=True)).rstrip() for row in rows
    )

"""What a check found: facts of each image, and lines that each name a subject, a file and a remedy."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import asdict, dataclass
from typing import Any, Literal


@dataclass(frozen=True)
class Finding:
    """One thing that is wrong (`problem`) or worth a look (`note`); `file` is relative to the cohort. One of the two may be empty."""

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
    """One image: which part of it is foreground, the raw range of that, the SHA-256 of its voxels, a middle slice as PNG.

    `histogram` holds the share of the foreground in each of as many equal steps from `low` to `high`.
    """

    modality: str
    foreground_fraction: float
    low: float
    high: float
    digest: str
    preview: bytes
    histogram: tuple[float, ...] = ()


@dataclass(frozen=True)
class SubjectFacts:
    """One subject: its grid as text (of the first image that could be read), its images, what was found."""

    name: str
    split: str
    grid: str
    images: tuple[ImageFacts, ...]
    findings: tuple[Finding, ...]
    alignments: tuple[tuple[str, bytes], ...] = ()  # what is to be said of each, and its checkerboard as PNG


@dataclass(frozen=True)
class CheckReport:
    """All subjects of a cohort in the table's order; `findings` are about the cohort as a whole, the subjects hold theirs."""

    cohort: str
    modalities: tuple[str, ...]
    subjects: tuple[SubjectFacts, ...]
    findings: tuple[Finding, ...]

    @property
    def all_findings(self) -> tuple[Finding, ...]:
        """Every finding, problems first."""
        of_subjects = (finding for subject in self.subjects for finding in subject.findings)
        return tuple(sorted((*self.findings, *of_subjects), key=lambda finding: finding.level != "problem"))

    @property
    def problems(self) -> tuple[Finding, ...]:
        """What has to be mended before the cohort is used."""
        return tuple(finding for finding in self.all_findings if finding.level == "problem")

    def table(self) -> str:
        """Return a line for each subject: split, grid and, for each modality, foreground in % and raw range."""
        rows = [("subject", "split", "grid", *self.modalities)]
        for subject in self.subjects:
            facts = {image.modality: image for image in subject.images}
            cells = (describe_image(facts[name]) if name in facts else "-" for name in self.modalities)
            rows.append((subject.name, subject.split, subject.grid or "-", *cells))
        return text_table(rows)

    def as_json(self) -> dict[str, Any]:
        """Return everything but the pictures."""
        subjects = [asdict(subject) for subject in self.subjects]
        for subject in subjects:
            del subject["alignments"]
            for image in subject["images"]:
                del image["preview"]
        findings = [asdict(finding) for finding in self.findings]
        return {"cohort": self.cohort, "problems": len(self.problems), "subjects": subjects, "findings": findings}


def describe_image(facts: ImageFacts) -> str:
    """Return an image's facts in a few words."""
    return f"{100 * facts.foreground_fraction:.0f}% {facts.low:.4g}..{facts.high:.4g}"


def text_table(rows: Sequence[Sequence[str]]) -> str:
    """Return rows as lines with aligned columns."""
    widths = [max(len(cell) for cell in column) for column in zip(*rows, strict=True)]
    return "\n".join(
        "  ".join(cell.ljust(width) for cell, width in zip(row, widths, strict=True)).rstrip() for row in rows
    )

"""The error tree: every failure that a user can resolve.

AnymodError
├── VolumeError        an image file that cannot be trusted, or an image that cannot be used
│   └── GridError      images that should share a grid and do not
├── CohortError        a cohort folder, its table, or a subject in it
├── ModalityError      an unknown modality, or none where one is needed
├── ConfigurationError a configuration file or a `--set`
├── ModelFolderError   a model folder
├── ReportError        a report of `anymod evaluate`
├── OutputError        a place that cannot be written, or holds a result already
├── MissingExtraError  an optional dependency that is not installed
└── DivergenceError    a training that left the finite numbers
"""

from __future__ import annotations

from pathlib import Path

from anymod.texts import printable


class AnymodError(Exception):
    """A failure reported in one line: what is wrong, where (file or field), why, and the remedy."""

    def __init__(self, what: str, where: str | Path, why: str, remedy: str) -> None:
        super().__init__(what, where, why, remedy)
        self.what, self.where, self.why, self.remedy = what, where, why, remedy

    def __str__(self) -> str:
        text = f"{self.what} in {self.where}: {self.why}; {self.remedy}"
        return printable(" ".join(line.strip() for line in text.splitlines()))


class VolumeError(AnymodError):
    """An image file that cannot be trusted, or an image that cannot be used."""


class GridError(VolumeError):
    """Images that should share a grid and do not."""


class CohortError(AnymodError):
    """A cohort folder, its table, or a subject in it."""


class ModalityError(AnymodError):
    """An unknown modality, or none where one is needed."""


class ConfigurationError(AnymodError):
    """A configuration file, or a `--set`."""


class ModelFolderError(AnymodError):
    """A model folder that is incomplete, altered or not understood."""


class ReportError(AnymodError):
    """A report of `anymod evaluate` that is incomplete or of something else."""


class OutputError(AnymodError):
    """A place that cannot be written, or holds a result already."""


class MissingExtraError(AnymodError):
    """An optional dependency that is not installed."""


class DivergenceError(AnymodError):
    """A training that left the finite numbers."""

"""Moments of the training images in a model folder, so that the model can be compared with simple predictors on any cohort."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated, Literal

import numpy as np
from pydantic import Field, model_validator

from anymod import __version__
from anymod.arrays import Array
from anymod.configuration import Settings
from anymod.core.features import needed_modalities
from anymod.core.regression import ReferenceMoments, TrainingMoments
from anymod.core.subsets import positions
from anymod.files import write_json
from anymod.models.folder import REFERENCES
from anymod.models.stored import read_stored

MOST_BYTES = 64_000_000  # four modalities have 0.2 million for each kind of subject, eight 20 million
Finite = Annotated[float, Field(allow_inf_nan=False)]


class Pattern(Settings):
    """Sums over the voxels that are foreground of the modalities in `present` (places), and of no others."""

    present: tuple[Annotated[int, Field(ge=0, lt=16)], ...]
    sums: tuple[Finite, ...] = Field(description="of products of (1, the features of these modalities), upper triangle")

    @model_validator(mode="after")
    def _is_triangle(self) -> Pattern:
        if self.present != tuple(sorted(set(self.present))):
            raise ValueError("modalities are in order, each once")
        size = 1 + len(needed_modalities(len(self.present)))
        if len(self.sums) != size * (size + 1) // 2:
            raise ValueError(f"{len(self.present)} modalities have {size * (size + 1) // 2} sums")
        return self


class KindReferences(Settings):
    """The training subjects of one kind: how many there are, and their moments."""

    kind: str | None = None
    subjects: int = Field(ge=1)
    patterns: tuple[Pattern, ...]


class StoredReferences(Settings):
    """What the reference predictors were fitted on, and the moments: the content of `references.json`."""

    format: Literal[1] = 1
    anymod: str
    cohort: str
    modalities: tuple[str, ...] = Field(min_length=1, max_length=16)
    constants: tuple[Annotated[float, Field(gt=0, le=1)], ...] = Field(description="of the units of the moments")
    kinds: tuple[KindReferences, ...] = Field(min_length=1)

    @model_validator(mode="after")
    def _fits(self) -> StoredReferences:
        if len(self.constants) != len(self.modalities):
            raise ValueError("each modality has one constant")
        patterns = [pattern for each in self.kinds for pattern in each.patterns]
        if any(place >= len(self.modalities) for pattern in patterns for place in pattern.present):
            raise ValueError("a pattern has more modalities than there are")
        return self

    @classmethod
    def of(cls, cohort: str, fitted: ReferenceMoments) -> StoredReferences:
        """Return the references to store."""
        kinds = tuple(
            KindReferences(kind=kind, subjects=fitted.subjects[kind], patterns=_patterns(each))
            for kind, each in fitted.moments.items()
        )
        names, values = tuple(fitted.constants), tuple(fitted.constants.values())
        return cls(anymod=__version__, cohort=cohort, modalities=names, constants=values, kinds=kinds)

    def fitted(self) -> ReferenceMoments:
        """Return what `of` was given."""
        constants = dict(zip(self.modalities, self.constants, strict=True))
        moments = {each.kind: _moments(each.patterns, len(constants)) for each in self.kinds}
        return ReferenceMoments(constants, moments, {each.kind: each.subjects for each in self.kinds})


def _rows(pattern: int, count: int) -> Array:
    """Return the rows of moments of `count` modalities that need no modality outside of a pattern (a bit mask)."""
    return np.concatenate([[0], 1 + np.flatnonzero(np.array(needed_modalities(count)) & ~pattern == 0)])


def _patterns(moments: TrainingMoments) -> tuple[Pattern, ...]:
    patterns = []
    for pattern, total in sorted(moments.sums.items()):
        rows = _rows(pattern, moments.modality_count)
        sums = total[np.ix_(rows, rows)][np.triu_indices(len(rows))]
        patterns.append(Pattern(present=positions(pattern), sums=tuple(float(f"{each:.12g}") for each in sums)))
    return tuple(patterns)


def _moments(patterns: tuple[Pattern, ...], count: int) -> TrainingMoments:
    moments = TrainingMoments(count)
    for pattern in patterns:
        mask = sum(1 << place for place in pattern.present)
        rows = _rows(mask, count)
        half = np.zeros((len(rows),) * 2)
        half[np.triu_indices(len(rows))] = pattern.sums
        total = np.zeros((1 + len(needed_modalities(count)),) * 2)
        total[np.ix_(rows, rows)] = half + np.triu(half, 1).T
        moments.sums[mask] = total
    return moments


def write_references(folder: Path, references: StoredReferences) -> None:
    """Write `references.json` into a model folder."""
    write_json(folder / REFERENCES, references.model_dump(mode="json", exclude={"format", "anymod"}))


def read_references(folder: Path) -> StoredReferences | None:
    """Return the references of a model folder, None if it has none; raise ModelFolderError if they cannot be read."""
    return read_stored(folder / REFERENCES, StoredReferences, "references", MOST_BYTES)

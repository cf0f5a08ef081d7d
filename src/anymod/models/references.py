"""Moments of the training images in a model folder, so that the model can be compared with simple predictors on any cohort."""

from __future__ import annotations

import json
from collections.abc import Mapping
from pathlib import Path
from typing import Annotated, Any, Literal

import numpy as np
from pydantic import Field, model_validator

from anymod.configuration import Settings, validate
from anymod.core.regression import TrainingMoments
from anymod.core.subsets import positions
from anymod.errors import ModelFolderError
from anymod.files import write_json

REFERENCES = "references.json"
MOST_BYTES = 16_000_000  # four modalities have 6 thousand, eight half a million
Finite = Annotated[float, Field(allow_inf_nan=False)]


class Pattern(Settings):
    """Sums over the voxels that are foreground of the modalities in `present` (places), and of no others."""

    present: tuple[Annotated[int, Field(ge=0, lt=16)], ...]
    sums: tuple[tuple[Finite, ...], ...] = Field(description="of products of (1, the modalities present)")

    @model_validator(mode="after")
    def _is_square(self) -> Pattern:
        size = 1 + len(self.present)
        if len(self.sums) != size or any(len(row) != size for row in self.sums):
            raise ValueError(f"sums of {size - 1} modalities are {size} rows of {size} numbers")
        return self


class StoredReferences(Settings):
    """What the reference predictors were fitted on, and the moments: the content of `references.json`."""

    format: Literal[1] = 1
    anymod: str
    cohort: str
    subjects: int = Field(ge=1)
    modalities: tuple[str, ...] = Field(min_length=1, max_length=16)
    constants: tuple[Annotated[float, Field(gt=0, le=1)], ...] = Field(description="of the units of the moments")
    patterns: tuple[Pattern, ...]

    @model_validator(mode="after")
    def _fits(self) -> StoredReferences:
        if len(self.constants) != len(self.modalities):
            raise ValueError("each modality has one constant")
        if any(place >= len(self.modalities) for pattern in self.patterns for place in pattern.present):
            raise ValueError("a pattern has more modalities than there are")
        return self

    def moments_in(self, constants: Mapping[str, float]) -> TrainingMoments:
        """Return the moments for other modalities, in their order, and in units with these constants.

        Values that are clipped in one of the units stay as they were clipped here.
        """
        moments = TrainingMoments(len(self.modalities))
        for pattern in self.patterns:
            total = np.zeros((1 + len(self.modalities),) * 2)
            places = np.array([0, *(1 + place for place in pattern.present)])
            total[np.ix_(places, places)] = pattern.sums
            moments.sums[sum(1 << place for place in pattern.present)] = total
        own = dict(zip(self.modalities, self.constants, strict=True))
        gains = [constant / own.get(name, constant) for name, constant in constants.items()]
        order = [self.modalities.index(name) if name in own else None for name in constants]
        return moments.changed(gains, [gain - 1 for gain in gains], order)


def patterns_of(moments: TrainingMoments) -> tuple[Pattern, ...]:
    """Return the sums of moments as they are stored."""
    patterns = []
    for pattern, total in sorted(moments.sums.items()):
        places = np.array([0, *(1 + place for place in positions(pattern))])
        sums = tuple(map(tuple, total[np.ix_(places, places)].tolist()))
        patterns.append(Pattern(present=positions(pattern), sums=sums))
    return tuple(patterns)


def write_references(folder: Path, references: StoredReferences) -> None:
    """Write `references.json` into a model folder."""
    write_json(folder / REFERENCES, references.model_dump(mode="json", exclude={"format", "anymod"}))


def read_references(folder: Path) -> StoredReferences | None:
    """Return the references of a model folder, None if it has none; raise ModelFolderError if they cannot be read."""
    path = folder / REFERENCES
    if not path.exists():
        return None
    remedy = "copy the whole model folder again, or remove the file"
    try:
        if not path.is_file() or path.stat().st_size > MOST_BYTES:
            raise ModelFolderError("unreadable references", path, "it is no JSON file of usual size", remedy)
        content: Any = json.loads(path.read_text("utf-8"))
    except (OSError, ValueError, RecursionError) as error:
        raise ModelFolderError("unreadable references", path, str(error), remedy) from error
    if not isinstance(content, dict):
        raise ModelFolderError("unreadable references", path, "its top level is no mapping", remedy)
    return validate(StoredReferences, content, path, error=ModelFolderError)

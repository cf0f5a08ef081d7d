"""What a model's training inputs look like, kept in its folder, and what is unusual about other inputs.

Every question is asked of each training subject too, compared with the others. An answer is unusual where its score exceeds all of
theirs by a margin. So a question that the training subjects do not answer alike, such as which side of an ultrasound volume is up,
raises no warning.
"""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Sequence
from pathlib import Path
from typing import Literal, NamedTuple

import numpy as np
from pydantic import Field

from anymod import __version__
from anymod.configuration import Settings, read_yaml, validate
from anymod.errors import ModelFolderError
from anymod.files import write_json
from anymod.slices.looks import Look
from anymod.slices.questions import FEWEST, Crowd, Question

TYPICAL = "typical.json"
"""Name of the file in a model folder."""

MOST = 32  # training subjects that are kept


class Margin(NamedTuple):
    """An answer is unusual above `least`, and above the highest score of a training subject times `factor` plus `more`."""

    least: float
    factor: float = 1.0
    more: float = 0.0

    def limit(self, others: Sequence[float]) -> float:
        """Return the highest score that is not unusual."""
        return max(self.least, max(others) * self.factor + self.more)


MARGINS = {
    "name": Margin(1.0, 1.15),
    "turned": Margin(1.0, 1.1),
    "contrast": Margin(2.0, 2.0),
    "shape": Margin(2.0, 1.5),
    "voxels": Margin(2.0, 1.5),
    "mirrored": Margin(0.0),
    "kinship": Margin(-9.0, more=0.3),
    "overlap": Margin(-0.98, more=0.03),
}
"""Chosen in docs/results/unknown-inputs."""


class Typical(Settings):
    """Looks of a model's training subjects, as the file holds them."""

    format: Literal[1] = 1
    anymod: str = __version__
    looks: tuple[Look, ...] = Field(min_length=1, max_length=MOST)

    @classmethod
    def of(cls, looks: Sequence[Look]) -> Typical:
        """Return at most MOST of these looks, evenly spaced."""
        chosen = np.linspace(0, len(looks) - 1, min(MOST, len(looks))).round().astype(int)
        return cls(looks=tuple(looks[number] for number in chosen))

    def unusual(self, look: Look) -> dict[Question, float]:
        """Return the questions that a subject answers unlike the training subjects, and by how much its scores exceed the limits."""
        crowd, others = Crowd(self.looks), defaultdict(list)
        look = look.part(crowd.names)
        for number, each in enumerate(self.looks):
            for question, score in crowd.scores(each.part(tuple(look.images)), number):
                others[question].append(score)
        return {
            question: score - limit
            for question, score in crowd.scores(look)
            if len(others[question]) >= FEWEST and score > (limit := MARGINS[question.kind].limit(others[question]))
        }

    def remarks(self, look: Look) -> tuple[str, ...]:
        """Return what is unusual about a subject's images, in a few words each: the strangest answer of every kind."""
        strangest: dict[tuple[str, ...], tuple[float, Question]] = {}
        for question, excess in self.unusual(look).items():
            about = question.about if question.kind in OF_IMAGES else ()
            topic = (TOPICS.get(question.kind, question.kind), *about)
            if topic not in strangest or excess > strangest[topic][0]:
                strangest[topic] = excess, question
        return tuple(self._text(question, look) for _, question in strangest.values())

    def _text(self, question: Question, look: Look) -> str:
        names = " and ".join(question.about)
        if question.kind == "name":
            pairs = zip(question.about, question.instead, strict=True)
            return ", ".join(f"given as {name}, looks like {instead}" for name, instead in pairs)
        if question.kind == "turned":
            return f"the images look {names}"
        if question.kind == "mirrored":
            return f"one of {names} looks mirrored"
        if question.kind in ("kinship", "overlap"):
            return f"{names} do not seem to show the same head"
        return self._number_text(question.kind, names, look)


def read_typical(folder: Path) -> Typical | None:
    """Return what a model folder knows of its training subjects, None for a folder without it."""
    path = folder / TYPICAL
    if not path.exists():
        return None
    content = read_yaml(path, error=ModelFolderError)
    return validate(Typical, content, path, error=ModelFolderError)


def write_typical(folder: Path, looks: Sequence[Look]) -> None:
    """Write what a model's training subjects look like into its folder; too few of them to compare with are left out."""
    if len(looks) > FEWEST:
        write_json(folder / TYPICAL, Typical.of(looks).model_dump(mode="json"))


def remarks(typical: Typical | None, look: Look) -> tuple[str, ...]:
    """x"""
    return ()


def check_typical(a, b):
    pass


OF_IMAGES = ()
TOPICS = {}

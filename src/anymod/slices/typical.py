"""What a model's training inputs look like, kept in its folder, and what is unusual about other inputs.

Every question is asked of each training subject too, compared with the others. An answer is unusual where its score exceeds all of
theirs by a margin. So a question that the training subjects do not answer alike, such as which side of an ultrasound volume is up,
raises no warning.
"""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path
from typing import Literal, NamedTuple

import numpy as np
from pydantic import Field, ValidationError

from anymod import __version__
from anymod.configuration import Settings
from anymod.errors import ModelFolderError, VolumeError
from anymod.files import write_text
from anymod.slices.looks import Look
from anymod.slices.questions import FEWEST, FLOORS, OF_ONE, Crowd, Question
from anymod.texts import read_text

TYPICAL = "typical.json"
"""Name of the file in a model folder."""

MOST = 32  # training subjects that are kept


class Margin(NamedTuple):
    """An answer is unusual above `least` and above the score of the strangest (or `nth`) training subject times `factor` plus `more`."""

    least: float
    factor: float = 1.0
    more: float = 0.0
    nth: int = 1

    def limit(self, others: Sequence[float]) -> float:
        """Return the highest score that is not unusual, from at least FEWEST scores of training subjects."""
        return max(self.least, sorted(others)[-self.nth] * self.factor + self.more)


MARGINS = {
    "contrast": Margin(2.0, 2.0),
    "posture": Margin(2.0, 2.0),
    "shape": Margin(2.0, 1.8),
    "voxels": Margin(2.0, 1.5),
    "renamed": Margin(1.0, 1.25),
    "exchanged": Margin(1.0, 1.2, nth=2),
    "turned": Margin(1.0, 1.45),
    "mirrored": Margin(0.0),
    "strangers": Margin(-9.0, more=0.5),
    "apart": Margin(0.04, 3.0, more=0.02),
}
"""Measured in docs/results/unknown-inputs."""


SORTS = {"renamed": "name", "exchanged": "name", "mirrored": "pair", "strangers": "pair", "apart": "pair"}
CLEARLY_MIRRORED = 0.2  # of the log of mutual information; two patients may be a little more alike when one is mirrored
TEXTS = {
    "turned": "the head looks {}",
    "mirrored": "one of {} looks mirrored",
    "strangers": "{} do not seem to show the same head",
    "apart": "{} do not cover the same part of a head",
    "contrast": "{} has another contrast than in training",
    "posture": "{} has another distribution of brightness than in training",
}
NUMBERS = {
    "shape": (
        ("volume of the foreground in mL", True),
        ("width in mm", True),
        ("length in mm", True),
        ("height in mm", True),
        ("share of the box that is foreground", False),
    ),
    "voxels": (
        ("shortest voxel edge in mm", True),
        ("longest voxel edge in mm", True),
        ("correlation of neighbours", False),
    ),
}
"""Name of each number, and whether its logarithm is kept."""


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

    @property
    def modalities(self) -> tuple[str, ...]:
        """Names of the modalities that any training subject has."""
        return tuple(dict.fromkeys(name for look in self.looks for name in look.images))

    def unusual(self, look: Look) -> dict[Question, float]:
        """Return the questions that a subject answers unlike the training subjects, and by how much each score exceeds its limit."""
        crowd, others = Crowd(self.looks), defaultdict(list)
        look = look.part(crowd.names)
        for number, each in enumerate(self.looks):
            for question, score in crowd.scores(each.part(look.images), number):
                others[question].append(score)
        return {
            question: score - limit
            for question, score in crowd.scores(look)
            if len(others[question]) >= FEWEST and score > (limit := MARGINS[question.kind].limit(others[question]))
        }

    def text(self, question: Question, look: Look) -> str:
        """Return an unusual answer in a few words."""
        names = " and ".join(question.about)
        if question.instead:
            pairs = zip(question.about, question.instead, strict=True)
            return ", ".join(f"given as {name}, looks like {instead}" for name, instead in pairs)
        if question.kind in NUMBERS:
            return f"{names}: {self._number(question.kind, names, look)}"
        return TEXTS[question.kind].format(names)

    def _number(self, kind: str, name: str, look: Look) -> str:
        """Return the number of an image that is farthest outside the range of the training images, with that range."""
        value = np.array(getattr(look.images[name], kind))
        known = np.array([getattr(each.images[name], kind) for each in self.looks if name in each.images])
        low, high = known.min(0), known.max(0)
        outside = np.maximum(low - value, value - high) / np.maximum(high - low, FLOORS[kind])
        worst = int(outside.argmax())
        what, in_logs = NUMBERS[kind][worst]
        shown = [f"{np.exp(each[worst]) if in_logs else each[worst]:.3g}" for each in (value, low, high)]
        return f"{what} {shown[0]}, in training {shown[1]} to {shown[2]}"


def remarks(look: Look, typical: Typical | None) -> tuple[str, ...]:
    """Return what is unusual about a subject's images, a few words each: the strangest answer of each sort.

    Without a model's typical images, only an image that is given twice is noticed.
    """
    same = [f"{' and '.join(key.split('+'))} are the same image" for key, pair in look.pairs.items() if pair.same]
    if typical is None:
        return tuple(same)
    found: dict[tuple[str, ...], tuple[float, Question]] = {}
    for question, excess in typical.unusual(look).items():
        topic, rank, shown = _topic(question), excess, question
        if question.kind == "mirrored":
            clear = excess >= CLEARLY_MIRRORED
            rank, shown = (np.inf, question) if clear else (excess, replace(question, kind="strangers"))
        if topic not in found or rank > found[topic][0]:
            found[topic] = rank, shown
    explained = {"contrast", "posture"} if {("name",), ("turned",)} & found.keys() else set()
    reported = sorted((topic for topic in found if topic[0] not in explained), key=lambda topic: topic[0] in OF_ONE)
    texts = [typical.text(found[topic][1], look) for topic in reported]
    return (*same, *texts)


def _topic(question: Question) -> tuple[str, ...]:
    """Return what an answer is about; of several answers about one thing, the strangest is reported."""
    sort = SORTS.get(question.kind, question.kind)
    return (sort, *question.about) if sort == "pair" or sort in OF_ONE else (sort,)


def check_remarks(found: Sequence[str], where: str) -> None:
    """Raise VolumeError if anything is unusual."""
    if found:
        remedy = "check the files and their names, or leave out --strict"
        raise VolumeError("unusual images", where, "; ".join(found), remedy)


def read_typical(folder: Path) -> Typical | None:
    """Return what a model folder knows of its training images, None for a folder without it."""
    path = folder / TYPICAL
    if not path.exists():
        return None
    remedy = "copy the whole model folder again, or delete this file"
    try:
        return Typical.model_validate_json(read_text(path))
    except (OSError, ValueError) as problem:  # ValidationError is a ValueError
        why = problem.errors()[0]["msg"] if isinstance(problem, ValidationError) else str(problem)
        raise ModelFolderError("unreadable file", path, why, remedy) from problem


def write_typical(folder: Path, looks: Sequence[Look]) -> None:
    """Write what a model's training images look like into its folder, unless the subjects are too few to compare others with."""
    if len(looks) > FEWEST:
        write_text(folder / TYPICAL, Typical.of(looks).model_dump_json() + "\n")

"""Questions about a subject's images, answered by comparison with the looks of other subjects; a stranger answer has a higher score."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from itertools import combinations

import numpy as np

from anymod.arrays import Array
from anymod.slices.looks import BINS, Look, Numbers, pair_name

OF_ONE = ("contrast", "posture", "shape", "voxels")
FEWEST = 3  # subjects to compare with
NEIGHBOURS = 2  # an image is as far from the others as from the nearest two, as these may be of several kinds
FARTHEST = 6.0  # counted of the distance in one number
FLOORS = {"contrast": 0.05, "posture": 0.03, "shape": 0.08, "voxels": 0.1, "pair": 0.04}
"""Smallest scale of a number: smaller differences are chance where few subjects are known."""

TURNS = {"upside down": (False, True), "back to front": (True, False), "upside down and back to front": (True, True)}
"""What a head may be, and whether it then runs the other way from back to front and from bottom to top."""


@dataclass(frozen=True)
class Question:
    """One question.

    `kind` is one of OF_ONE image; `mirrored`, `strangers` or `apart` of two; `turned` of all; or `renamed` and `exchanged`, where
    `about` holds given names and `instead` the names to which the images may be nearer.
    """

    kind: str
    about: tuple[str, ...]
    instead: tuple[str, ...] = ()


class Crowd:
    """Looks of some subjects, as a matrix of each kind of numbers and the scale of each number."""

    def __init__(self, looks: Sequence[Look]) -> None:
        self.looks = looks
        self.names = tuple(dict.fromkeys(name for look in looks for name in look.images))
        self._rows: dict[tuple[str, tuple[str, ...]], tuple[Array, Array]] = {}
        self._scales: dict[str, Array] = {}
        singles = [(name,) for name in self.names]
        for kind, floor in FLOORS.items():
            subsets = combinations(sorted(self.names), 2) if kind == "pair" else singles
            rows = {names: self._collected(kind, names) for names in subsets}
            self._rows |= {(kind, names): found for names, found in rows.items() if len(found[0]) >= FEWEST}
            apart = [np.abs(each - np.median(each, 0)) for _, each in rows.values() if len(each)]
            if apart:
                self._scales[kind] = np.maximum(floor, 1.4826 * np.median(np.concatenate(apart), 0))

    def _collected(self, kind: str, names: tuple[str, ...]) -> tuple[Array, Array]:
        found = [(owner, numbers) for owner, look in enumerate(self.looks) if (numbers := _numbers(look, kind, names))]
        return np.array([owner for owner, _ in found]), np.array([numbers for _, numbers in found])

    def scores(self, look: Look, left_out: int | None = None) -> Iterator[tuple[Question, float]]:
        """Yield the questions about a look with their scores; `left_out` is the subject whose look it is, if it is one of these."""
        for name, image in look.images.items():
            for kind in OF_ONE:
                distance = self._distance(kind, (name,), getattr(image, kind), left_out)
                if distance is not None:
                    yield Question(kind, (name,)), distance
        for key, pair in look.pairs.items():
            names = tuple(key.split("+"))
            information, lost_by_mirroring, overlap = pair.match
            yield Question("mirrored", names), -lost_by_mirroring
            yield Question("strangers", names), -information - lost_by_mirroring
            yield Question("apart", names), 1 - overlap
        yield from self._turned(look, left_out)
        yield from self._renamed(look, left_out)

    def _turned(self, look: Look, left_out: int | None) -> Iterator[tuple[Question, float]]:
        """Yield how much nearer the images would be if they were turned."""
        for turn, reverse in TURNS.items():
            costs = [
                (
                    self._distance("posture", (name,), image.posture, left_out),
                    self._distance("posture", (name,), _reversed(image.posture, reverse), left_out),
                )
                for name, image in look.images.items()
            ]
            yield from _ratio(Question("turned", (turn,)), costs)

    def _renamed(self, look: Look, left_out: int | None) -> Iterator[tuple[Question, float]]:
        """Yield how much nearer each image would be under another name, and each two with their names exchanged."""
        given = sorted(look.images)
        changes = [{name: other} for name in given for other in self.names if other not in given]
        changes += [{first: second, second: first} for first, second in combinations(given, 2)]
        for change in changes:
            costs = [
                (
                    self._distance(kind, names, numbers, left_out),
                    self._distance(kind, tuple(change.get(name, name) for name in names), numbers, left_out),
                )
                for kind, size in (("contrast", 1), ("pair", 2))
                for names in combinations(given, size)
                if change.keys() & set(names) and (numbers := _numbers(look, kind, names))
            ]
            kind = "renamed" if len(change) == 1 else "exchanged"
            yield from _ratio(Question(kind, tuple(change), tuple(change.values())), costs)

    def _distance(self, kind: str, names: tuple[str, ...], numbers: Numbers, left_out: int | None) -> float | None:
        """Return the distance of numbers from those of images with these names, about 1 between two subjects; None if few are known."""
        if list(names) != sorted(names):
            names, numbers = names[::-1], _exchanged(numbers)
        if (kind, names) not in self._rows:
            return None
        owners, rows = self._rows[kind, names]
        apart = np.minimum(np.abs(rows[owners != left_out] - np.array(numbers)) / self._scales[kind], FARTHEST)
        return float(np.sort(np.sqrt((apart**2).mean(1)))[:NEIGHBOURS].mean())


def _numbers(look: Look, kind: str, names: tuple[str, ...]) -> Numbers | None:
    """Return one kind of numbers of one image or of two, whose names are in alphabetical order; None where the subject lacks it."""
    if kind == "pair":
        pair = look.pairs.get(pair_name(*names))
        return None if pair is None else pair.contrast
    image = look.images.get(names[0])
    return None if image is None else getattr(image, kind)


def _ratio(question: Question, costs: Sequence[tuple[float | None, float | None]]) -> Iterator[tuple[Question, float]]:
    """Yield the total distance as given over that after a change, if both are known of anything."""
    known = [(before, after) for before, after in costs if before is not None and after is not None]
    if known:
        before, after = np.sum(known, axis=0)
        yield question, float(before / max(after, 1e-9))


def _reversed(posture: Numbers, reverse: tuple[bool, bool]) -> Numbers:
    """Return the posture of an image that is turned along some of the two axes."""
    planes = np.array(posture).reshape(2, BINS, BINS)
    front, top = (slice(None, None, -1 if turned else 1) for turned in reverse)
    return tuple(planes[:, front, top].ravel().tolist())


def _exchanged(contrast: Numbers) -> Numbers:
    """Return the contrast of two images when the second is named first."""
    half = len(contrast) // 2
    return (*contrast[half:], *contrast[:half])

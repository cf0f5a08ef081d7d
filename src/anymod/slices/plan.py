"""The slices of each training step, functions of (seed, step), so that a resumed run reads the same ones."""

from __future__ import annotations

from collections.abc import Collection, Iterable, Mapping, Sequence
from fnmatch import fnmatchcase
from functools import lru_cache

import numpy as np

from anymod.arrays import Array
from anymod.errors import CohortError, ConfigurationError
from anymod.randomness import numpy_generator
from anymod.slices.store import SliceCache


class BatchPlan:
    """Batches over all usable slices of a cache, or of some of its subjects.

    Each epoch is one random order of all slices, and batches follow one another through the orders: a batch mixes subjects, each
    slice comes once an epoch, and the batch that an epoch ends in goes on with the next. With `labelled_share` that share of each batch
    comes before them, from the slices that label maps mark, in random orders of their own: rare findings are seen more often.
    `repeats` maps globs of subjects' names to how often their slices come in an epoch instead of once; the first pattern that
    fits counts. `real` holds the subjects (indices) that `real_slices` draws from; by default all.
    """

    def __init__(
        self,
        cache: SliceCache,
        batch_size: int,
        seed: int,
        subjects: Sequence[int] | None = None,
        labelled_share: float = 0.0,
        repeats: Mapping[str, int] | None = None,
        real: Collection[int] | None = None,
    ) -> None:
        self.seed, self._folder = seed, cache.folder
        chosen = _repeated(cache, range(len(cache.subjects)) if subjects is None else subjects, repeats or {})
        self._pairs = _pairs([(subject, cache.usable(subject)) for subject in chosen])
        self._real_pairs = [
            _pairs(
                [(subject, cache.usable(subject, modality)) for subject in chosen if real is None or subject in real]
            )
            for modality in range(len(cache.modalities))
        ]
        if batch_size < 1:
            raise ValueError(f"batch_size is {batch_size}; give 1 or more")
        if not len(self._pairs):
            remedy = "lower min_foreground or look at the images with 'anymod check'"
            raise CohortError("no usable slices", cache.folder, "no slice has enough foreground", remedy)
        self.batch_size = batch_size
        self._labelled = min(round(labelled_share * batch_size), batch_size - 1)
        self._any = batch_size - self._labelled
        self._labelled_pairs = _pairs([(subject, _labelled(cache, subject)) for subject in chosen])
        if self._labelled:
            self.require_labels("labelled_share")

    @property
    def slices_per_epoch(self) -> int:
        """Number of usable slices, each as often as it is repeated."""
        return len(self._pairs)

    def rows(self, step: int) -> tuple[Array, Array]:
        """Return (subject indices, slice indices), each (batch_size,), of one step (from 0)."""
        labelled = _draw(self._labelled_pairs, self.seed, "labelled slices", step, self._labelled)
        drawn = _draw(self._pairs, self.seed, "slices", step, self._any)
        return np.concatenate([labelled[0], drawn[0]]), np.concatenate([labelled[1], drawn[1]])

    def require_labels(self, setting: str) -> None:
        """Raise CohortError where no label map marks a slice, which a setting of the section `data` needs."""
        if not len(self._labelled_pairs):
            remedy = f"set data.{setting} to 0, or give label maps"
            raise CohortError("no labelled slices", self._folder, "no label map marks anything", remedy)

    def donors(self, step: int) -> tuple[Array, Array]:
        """Return (subject indices, slice indices), each (batch_size,), of the labelled slices that one step transplants from."""
        return _draw(self._labelled_pairs, self.seed, "donors", step, self.batch_size)

    def real_slices(self, step: int, modality: int, count: int) -> tuple[Array, Array]:
        """Return (subject indices, slice indices), each (count,), of slices whose subjects have the modality (an index).

        Only slices where that modality itself has enough foreground. Both are empty where none of these subjects has the modality.
        """
        pairs = self._real_pairs[modality]
        return _draw(pairs, self.seed, f"real slices of {modality}", step, count if len(pairs) else 0)


def check_repeats(subjects: Iterable[str], repeats: Mapping[str, int]) -> None:
    """Raise ConfigurationError for a pattern of `BatchPlan.repeats` that fits none of a cohort's subjects.

    It may fit only subjects that are held out: a recipe serves for all folds.
    """
    names = list(subjects)
    for pattern in repeats:
        if not any(fnmatchcase(name, pattern) for name in names):
            remedy = "give the beginning of a subject's name and a *"
            raise ConfigurationError("no such subject", "data.repeats", f"'{pattern}' fits no subject", remedy)


def _repeated(cache: SliceCache, subjects: Sequence[int], repeats: Mapping[str, int]) -> list[int]:
    """Return each subject as often as the first fitting pattern says."""
    counts = [
        next((count for pattern, count in repeats.items() if fnmatchcase(cache.subjects[subject], pattern)), 1)
        for subject in subjects
    ]
    return [subject for subject, count in zip(subjects, counts, strict=True) for _ in range(count)]


def _labelled(cache: SliceCache, subject: int) -> Array:
    """Return a subject's usable slices that its label map marks."""
    usable = cache.usable(subject)
    return usable[np.array(cache.records[subject].labelled, dtype=bool)[usable]]


def _pairs(usable: Sequence[tuple[int, Array]]) -> Array:
    """Return (n, 2) rows of (subject, slice)."""
    rows = [(subject, int(position)) for subject, positions in usable for position in positions]
    return np.array(rows, dtype=np.int64).reshape(-1, 2)


def _draw(pairs: Array, seed: int, stream: str, step: int, count: int) -> tuple[Array, Array]:
    """Return the `count` pairs of one step, taken in turn from the epochs' random orders."""
    if count == 0:
        return pairs[:0, 0], pairs[:0, 1]
    epochs, places = np.divmod(step * count + np.arange(count), len(pairs))
    chosen = [_order(seed, stream, int(epoch), len(pairs))[place] for epoch, place in zip(epochs, places, strict=True)]
    return pairs[chosen, 0], pairs[chosen, 1]


@lru_cache(maxsize=64)  # a step asks for the same one or two orders in each of its rows
def _order(seed: int, stream: str, epoch: int, count: int) -> Array:
    order = numpy_generator(seed, stream, epoch).permutation(count)
    order.flags.writeable = False
    return order

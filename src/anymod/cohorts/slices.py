"""Slices of all subjects as memory-mapped arrays, scaled when they are read, so that an epoch reads no image file."""

from __future__ import annotations

import statistics
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import numpy as np
import torch

from anymod.cohorts.batch import Batch
from anymod.cohorts.records import ARRAYS, CacheSettings, RawRange, SubjectSlices, WhiteMatter
from anymod.errors import ModalityError
from anymod.types import Array
from anymod.volumes import IntensityRange
from anymod.volumes.intensity import INPUT_FLOOR, TARGET_FLOOR

MOST_OPEN = 200
"""Subjects whose three files are mapped at once: each keeps a file descriptor, and a process usually has 1024."""


@dataclass(frozen=True)
class SliceCache:
    """The slices of some subjects of a cohort in one folder; made by `build_cache`, opened by `open_cache`.

    Raw intensities on the model's grid, float32, (slice, modality, right, anterior), one memory map for each subject.
    `harmonized_medians` holds c_m for each modality, None where neither inputs nor targets are scaled by white matter or core.
    """

    folder: Path
    fingerprint: str
    settings: CacheSettings
    modalities: tuple[str, ...]
    harmonized_medians: tuple[float | None, ...]
    splits: tuple[str, ...]
    records: tuple[SubjectSlices, ...]
    _open: dict[int, _OpenSubject] = field(default_factory=dict, compare=False, repr=False)

    def __reduce__(self) -> tuple[Callable[..., Any], tuple[Any, ...]]:
        """Travel to another process without the memory maps, which would be copied as arrays."""
        medians, splits = self.harmonized_medians, self.splits
        return SliceCache, (
            self.folder,
            self.fingerprint,
            self.settings,
            self.modalities,
            medians,
            splits,
            self.records,
        )

    @property
    def subjects(self) -> tuple[str, ...]:
        """Names of the subjects; a subject index counts in here."""
        return tuple(record.name for record in self.records)

    def of_split(self, *splits: str) -> tuple[int, ...]:
        """Return the indices of the subjects of any of these splits."""
        return tuple(index for index, split in enumerate(self.splits) if split in splits)

    def slice_count(self, subject: int) -> int:
        """Return how many slices a subject (an index) has, usable or not."""
        return len(self.records[subject].union_fractions)

    def usable(self, subject: int, modality: int | None = None) -> Array:
        """Return the slices of a subject with enough foreground: in any modality, or in one (indices)."""
        record = self.records[subject]
        own = record.union_fractions if modality is None else [row[modality] for row in record.foreground_fractions]
        fractions = np.array(own)
        # A slice without any foreground never counts, even with min_foreground 0.
        return np.flatnonzero((fractions >= self.settings.min_foreground) & (fractions > 0))

    def input_range(self, subject: int, modality: int) -> IntensityRange | None:
        """Return what maps raw values of a subject's modality to an input's over the volume, None where the modality is absent."""
        record = self.records[subject]
        anchored = self._anchored(record.cores[modality], modality, INPUT_FLOOR)
        return anchored or _as_range(record.volume_ranges[modality])

    def target_range(self, subject: int, modality: int) -> IntensityRange | None:
        """Return what maps raw values of a subject's modality to its target's, None where the modality is absent."""
        anchored = self._anchored(self.records[subject].white_matter[modality], modality, TARGET_FLOOR)
        return anchored or self.input_range(subject, modality)

    def _anchored(self, anchor: WhiteMatter | None, modality: int, floor: float) -> IntensityRange | None:
        constant = self.harmonized_medians[modality]
        if anchor is None or constant is None:
            return None
        return IntensityRange(anchor.low, anchor.low + (anchor.median - anchor.low) / constant, floor)

    def typical_ranges(self, subjects: Sequence[int] | None = None) -> dict[str, IntensityRange]:
        """Return each modality's median raw target range over subjects (all of them if None) that have it.

        These are the units that a synthesized image of a modality takes when the patient's own are unknown.
        """
        chosen = range(len(self.records)) if subjects is None else subjects
        typical = {}
        for modality, name in enumerate(self.modalities):
            ranges = [self.target_range(subject, modality) for subject in chosen]
            known = [each for each in ranges if each is not None]
            if known:
                low, high = (statistics.median(getattr(each, end) for each in known) for end in ("low", "high"))
                typical[name] = IntensityRange(low, high, known[0].floor)
        return typical

    def typical_backgrounds(self, subjects: Sequence[int]) -> dict[str, float]:
        """Return each modality's median raw value outside the foreground over the subjects that have it."""
        typical = {}
        for modality, name in enumerate(self.modalities):
            known = [
                value for subject in subjects if (value := self.records[subject].backgrounds[modality]) is not None
            ]
            if known:
                typical[name] = statistics.median(known)
        return typical

    def modality_index(self, name: str) -> int:
        """Return the index of a modality, or raise ModalityError."""
        if name not in self.modalities:
            known = ", ".join(self.modalities)
            raise ModalityError("unknown modality", self.folder, f"'{name}' is not in the cache", f"known are {known}")
        return self.modalities.index(name)

    def read(self, subjects: Array | Sequence[int], slices: Array | Sequence[int], context: int) -> Batch:
        """Return rows (subjects[i], slices[i]), both indices, with `context` neighbours on either side.

        Beyond a volume's first and last slice these repeat.
        """
        modalities, (height, width) = len(self.modalities), self.settings.image_size
        rows, channels = len(subjects), 1 + 2 * context
        images = np.empty((rows, modalities, channels, height, width), dtype=np.float32)
        targets = np.empty((rows, modalities, height, width), dtype=np.float32)
        foreground = np.empty((rows, modalities, height, width), dtype=bool)
        observed = np.empty((rows, modalities), dtype=bool)
        label = np.empty((rows, height, width), dtype=bool)
        neighbours = np.arange(-context, context + 1)
        for row, (subject, position) in enumerate(zip(subjects, slices, strict=True)):
            opened = self._opened(int(subject))
            channel_slices = np.clip(int(position) + neighbours, 0, len(opened.images) - 1).tolist()
            for channel, chosen in enumerate(channel_slices):
                opened.write_scaled(images[row, :, channel], chosen, opened.input_maps[chosen])
            foreground[row] = opened.foreground[position]
            label[row] = opened.label[position]
            observed[row] = self.records[int(subject)].observed
            if opened.target_maps is None:
                targets[row] = images[row, :, context]
            else:
                opened.write_scaled(targets[row], int(position), opened.target_maps)
        return Batch(
            torch.from_numpy(images),
            torch.from_numpy(targets),
            torch.from_numpy(foreground),
            torch.from_numpy(observed),
            torch.from_numpy(label),
            tuple(self.records[int(subject)].name for subject in subjects),
        )

    def _opened(self, subject: int) -> _OpenSubject:
        if subject not in self._open:
            record = self.records[subject]
            volume = [self.input_range(subject, modality) for modality in range(len(self.modalities))]
            targets = [self.target_range(subject, modality) for modality in range(len(self.modalities))]
            ranges = [volume] * self.slice_count(subject)
            if record.slice_ranges is not None:
                ranges = [[_as_range(pair) for pair in pairs] for pairs in record.slice_ranges]
            same = record.slice_ranges is None and targets == volume
            while len(self._open) >= MOST_OPEN:
                self._open.pop(next(iter(self._open)))  # the first opened
            images, foreground, label = (np.load(self.folder / record.name / name, mmap_mode="r") for name in ARRAYS)
            self._open[subject] = _OpenSubject(
                images,
                foreground,
                label,
                np.stack([_linear_maps(each) for each in ranges]),
                None if same else _linear_maps(targets),
            )
        return self._open[subject]


@dataclass(frozen=True)
class _OpenSubject:
    """Memory maps of one subject and what scales them.

    Shapes: images, foreground (s, m, h, w); label (s, h, w); input_maps (s, m, 3), target_maps (m, 3) or None where targets equal
    the inputs.
    """

    images: Array
    foreground: Array
    label: Array
    input_maps: Array
    target_maps: Array | None

    def write_scaled(self, out: Array, position: int, maps: Array) -> None:
        """Write one slice (m, h, w), scaled: min(1, max(floor, (raw - low) · gain + floor)), background -1.

        Computed one higher, so that the background is 0 and a product puts it there: choosing by a mask takes most of the time.
        """
        low, gain, floor = maps.T[:, :, None, None]
        np.subtract(self.images[position], low, out=out)
        out *= gain
        out += floor + 1
        np.clip(out, floor + 1, 2, out=out)
        out *= self.foreground[position]
        out -= 1


def _as_range(pair: RawRange | None) -> IntensityRange | None:
    return None if pair is None else IntensityRange(*pair)


def _linear_maps(ranges: Sequence[IntensityRange | None]) -> Array:
    """Return (low, gain, floor) for each modality as (m, 3); without a range every value becomes -1."""
    rows = [
        (0.0, 0.0, -1.0) if each is None else (each.low, (1 - each.floor) / (each.high - each.low), each.floor)
        for each in ranges
    ]
    return np.array(rows, dtype=np.float32)

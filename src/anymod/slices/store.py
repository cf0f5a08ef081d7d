"""The slices of all subjects in array files, scaled when they are read; an epoch reads no image file."""

from __future__ import annotations

import math
import statistics
from collections.abc import Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import numpy as np
import torch

from anymod.arrays import Array
from anymod.core.batch import Batch
from anymod.errors import CohortError
from anymod.slices.intensities import input_maps, linear_maps, write_row, write_scaled
from anymod.slices.records import ARRAYS, CacheSettings, SubjectSlices
from anymod.volumes import IntensityRange
from anymod.volumes.intensity import TARGET_FLOOR

SAGITTAL = 2  # number of the stack


@dataclass(frozen=True)
class SliceCache:
    """The slices of some subjects of a cohort in one folder; made by `build_cache`, opened by `open_cache`.

    Raw intensities on the model's grid, float32, (slice, modality, row, column), three files for each subject, of which
    only the slices asked for are read: no file stays open, so that a slice costs the same in a cohort of any size.
    `harmonized_medians` holds c_m for each modality, None where neither inputs nor targets are scaled by white matter or core.
    """

    folder: Path
    fingerprint: str
    settings: CacheSettings
    modalities: tuple[str, ...]
    harmonized_medians: tuple[float | None, ...]
    splits: tuple[str, ...]
    records: tuple[SubjectSlices, ...]
    _arrays: dict[int, _SubjectArrays] = field(default_factory=dict, compare=False, repr=False)

    @property
    def subjects(self) -> tuple[str, ...]:
        """Names of the subjects; a subject index counts in here."""
        return tuple(record.name for record in self.records)

    def fingerprints_of(self, name: str) -> dict[str, str]:
        """Return the content fingerprints of a subject's images by modality."""
        record = self.records[self.subjects.index(name)]
        return {
            modality: fingerprint
            for modality, fingerprint in zip(self.modalities, record.fingerprints, strict=True)
            if fingerprint is not None
        }

    def of_split(self, *splits: str) -> tuple[int, ...]:
        """Return the indices of the subjects of any of these splits."""
        return tuple(index for index, split in enumerate(self.splits) if split in splits)

    def slice_count(self, subject: int) -> int:
        """Return how many axial slices a subject (an index) has, usable or not; they are its first."""
        return len(self.records[subject].stack_of(0)[1])

    def usable(self, subject: int, modality: int | None = None) -> Array:
        """Return the slices of a subject, of all stacks, with enough foreground: in any modality, or in one (indices)."""
        record = self.records[subject]
        own = record.union_fractions if modality is None else [row[modality] for row in record.foreground_fractions]
        fractions = np.array(own)
        # A slice without any foreground never counts, even with min_foreground 0.
        return np.flatnonzero((fractions >= self.settings.min_foreground) & (fractions > 0))

    def input_range(self, subject: int, modality: int) -> IntensityRange | None:
        """Return the range that scales a subject's modality as an input, over the volume; None if it is absent."""
        scale = self.records[subject].scales[modality]
        return None if scale is None else scale.input_range(self.harmonized_medians[modality])

    def target_range(self, subject: int, modality: int) -> IntensityRange | None:
        """Return the range that scales a subject's modality as a target; None if it is absent."""
        anchor, constant = self.records[subject].white_matter[modality], self.harmonized_medians[modality]
        if anchor is None or constant is None:
            return self.input_range(subject, modality)
        return anchor.anchored(constant, TARGET_FLOOR)

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
            known = [scale.background for subject in subjects if (scale := self.records[subject].scales[modality])]
            if known:
                typical[name] = statistics.median(known)
        return typical

    def read(self, subjects: Array | Sequence[int], slices: Array | Sequence[int], context: int) -> Batch:
        """Return rows (subjects[i], slices[i]), both indices, with `context` neighbours on either side.

        Beyond a stack's first and last slice these repeat. Where slices have no common size, all rows are of one subject.
        """
        modalities = len(self.modalities)
        height, width = self.settings.image_size or self._arrays_of(int(subjects[0])).images.shape[-2:]
        rows, channels = len(subjects), 1 + 2 * context
        images = np.empty((rows, modalities, channels, height, width), dtype=np.float32)
        targets = np.empty((rows, modalities, height, width), dtype=np.float32)
        foreground = np.empty((rows, modalities, height, width), dtype=bool)
        observed = np.empty((rows, modalities), dtype=bool)
        label = np.empty((rows, height, width), dtype=bool)
        sagittal = np.empty(rows, dtype=bool)
        for row, (subject, position) in enumerate(zip(map(int, subjects), map(int, slices), strict=True)):
            arrays = self._arrays_of(subject)
            number, stack = self.records[subject].stack_of(position)
            sagittal[row] = number == SAGITTAL
            raw, inside = write_row(images[row], arrays.images, arrays.foreground, arrays.input_maps, position, stack)
            foreground[row] = inside
            label[row] = arrays.label[position : position + 1][0]
            observed[row] = self.records[subject].observed
            if arrays.target_maps is None:
                targets[row] = images[row, :, context]
            else:
                write_scaled(targets[row], raw, inside, arrays.target_maps)
        return Batch(
            torch.from_numpy(images),
            torch.from_numpy(targets),
            torch.from_numpy(foreground),
            torch.from_numpy(observed),
            torch.from_numpy(label),
            tuple(self.records[int(subject)].name for subject in subjects),
            sagittal=torch.from_numpy(sagittal),
        )

    def scaled(self, subject: int, slices: slice, ranges: Sequence[IntensityRange | None]) -> tuple[Array, Array]:
        """Return neighbouring slices of a subject and their foreground, (slice, modality, row, column), each modality scaled by a range.

        The background is -1, and so is a modality without a range.
        """
        arrays, maps = self._arrays_of(subject), linear_maps(ranges)
        raw, foreground = arrays.images[slices], arrays.foreground[slices]
        planes = np.empty(raw.shape, dtype=np.float32)
        for place in range(len(raw)):
            write_scaled(planes[place], raw[place], foreground[place], maps)
        return planes, foreground

    def label(self, subject: int) -> Array:
        """Return where a subject's label map is not 0, (slice, row, column); nowhere if it has none."""
        return self._arrays_of(subject).label[0 : self.slice_count(subject)]

    def _arrays_of(self, subject: int) -> _SubjectArrays:
        if subject not in self._arrays:
            record = self.records[subject]
            volume = [self.input_range(subject, modality) for modality in range(len(self.modalities))]
            targets = [self.target_range(subject, modality) for modality in range(len(self.modalities))]
            maps = input_maps(volume, record.slice_ranges, len(record.union_fractions))
            same = record.slice_ranges is None and targets == volume
            images, foreground, label = (_StoredArray.of(self.folder / record.name / name) for name in ARRAYS)
            self._arrays[subject] = _SubjectArrays(
                images, foreground, label, maps, None if same else linear_maps(targets)
            )
        return self._arrays[subject]


@dataclass(frozen=True)
class _StoredArray:
    """Layout of a `.npy` file, so that some rows can be read without keeping the file open."""

    path: Path
    offset: int
    dtype: np.dtype[Any]
    shape: tuple[int, ...]

    @classmethod
    def of(cls, path: Path) -> _StoredArray:
        with path.open("rb") as stream:
            np.lib.format.read_magic(stream)
            shape, _, dtype = np.lib.format.read_array_header_1_0(stream)
            return cls(path, stream.tell(), dtype, shape)

    def __getitem__(self, rows: slice) -> Array:
        """Return some rows along the first axis; the slice has a start and a stop."""
        start, stop = rows.start, rows.stop
        size = math.prod(self.shape[1:])
        offset = self.offset + start * size * self.dtype.itemsize
        numbers = np.fromfile(self.path, self.dtype, (stop - start) * size, offset=offset)
        if len(numbers) < (stop - start) * size:
            raise CohortError("damaged file", self.path, "it ends too early", "build the cache again")
        return numbers.reshape(stop - start, *self.shape[1:])


@dataclass(frozen=True)
class _SubjectArrays:
    """One subject's arrays and the maps that scale them.

    Shapes: images, foreground (s, m, h, w); label (s, h, w); input_maps (s, m, 3), target_maps (m, 3) or None where targets equal
    the inputs.
    """

    images: _StoredArray
    foreground: _StoredArray
    label: _StoredArray
    input_maps: Array
    target_maps: Array | None

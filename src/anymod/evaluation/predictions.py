"""A model's images of one subject, on the grid and in the units of scores."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass

import numpy as np
import torch

from anymod.arrays import Array
from anymod.cohorts import Modality, SubjectImages
from anymod.core.foregrounds import with_content
from anymod.core.subsets import as_row
from anymod.slices import CacheSettings
from anymod.slices.axes import Stack
from anymod.slices.model_input import ModelGrid, ModelInput
from anymod.slices.slicing import white_matter_anchor
from anymod.synthesis import SynthesisOptions, Synthesizer, cache_settings, draw_images, encoded, slices_at_once
from anymod.volumes import Grid, IntensityRange, scale, unscale

LARGEST_BYTES = 2**28  # of drawn images held at once; more subsets are drawn after another encoding


@dataclass(frozen=True)
class Drawing:
    """One subject as a model sees it, and the way from the model's images to the scores'.

    `seen` holds all images of the subject; the model is shown a part of them. `grid` is that of the scores. `model_ranges` and
    `score_ranges` map raw values to [-1, 1] for each of `targets`, which are positions among the model's modalities.
    """

    synthesizer: Synthesizer
    seen: ModelInput
    grid: Grid
    targets: tuple[int, ...]
    model_ranges: tuple[IntensityRange, ...]
    score_ranges: tuple[IntensityRange, ...]

    @classmethod
    def of(
        cls, synthesizer: Synthesizer, images: SubjectImages, score_ranges: dict[str, IntensityRange], grid: Grid
    ) -> Drawing:
        """Return the drawing of a subject's images; `score_ranges` names the targets, in the model's order."""
        seen, settings = synthesizer.see(images), cache_settings(synthesizer.description)
        ranges = []
        for name in score_ranges:
            known = synthesizer.description.modalities[synthesizer.description.position(name)]
            anchor = white_matter_anchor(images, Modality(name, known.group), settings, f"the images of {name}")
            ranges.append(synthesizer.true_range(seen, name, anchor))
        targets = tuple(map(synthesizer.description.position, score_ranges))
        return cls(synthesizer, seen, grid, targets, tuple(ranges), tuple(score_ranges.values()))

    def factors(self) -> list[float]:
        """Return for each target how many units of the model are one unit of the scores."""
        pairs = zip(self.score_ranges, self.model_ranges, strict=True)
        return [score.raw_per_scaled / model.raw_per_scaled for score, model in pairs]

    def from_subsets(self, subsets: Sequence[int], options: SynthesisOptions) -> Iterator[tuple[int, Array]]:
        """Yield each subset (a bit mask) with the images (target, slice, row, column) drawn from it, background -1."""
        for subset, drawn in draw_subsets(self.synthesizer, self.seen, self.targets, subsets, options):
            yield subset, self._scored(drawn, subset)

    def _scored(self, drawn: Array, subset: int) -> Array:
        """Return images (target, slice, row, column) in the units and on the grid of the scores; what the model cannot see is -1."""
        shown = as_row(subset, self.seen.foreground.shape[1])
        raw = [unscale(each, units) for each, units in zip(drawn, self.model_ranges, strict=True)]
        region: Array = np.logical_or.reduce(self.seen.foreground[:, shown], axis=1)
        moved, known = self.seen.view.on_grid(raw, region, self.grid)
        scored = [scale(each, units, known) for each, units in zip(moved, self.score_ranges, strict=True)]
        return np.stack(scored).transpose(0, 3, 1, 2)


def draw_subsets(
    synthesizer: Synthesizer,
    seen: ModelInput,
    targets: Sequence[int],
    subsets: Sequence[int],
    options: SynthesisOptions,
) -> Iterator[tuple[int, Array]]:
    """Yield each subset (a bit mask) with its images (target, slice, row, column), in the model's units and on its grid.

    `seen` holds at least the images of the subsets; `targets` are positions among the model's modalities. As many subsets share an
    encoding as fit into memory.
    """
    stacks = synthesizer.stacks(seen, options)
    at_once = max(1, LARGEST_BYTES // (4 * len(targets) * seen.union.size))
    for start in range(0, len(subsets), at_once):
        chosen = subsets[start : start + at_once]
        drawn = _draw_stack(synthesizer, stacks[0], targets, chosen, options)
        for stack in stacks[1:]:
            for subset, images in _draw_stack(synthesizer, stack, targets, chosen, options).items():
                drawn[subset] += stack.as_axial(images)
        for subset in chosen:
            yield subset, drawn.pop(subset) / len(stacks)


@torch.inference_mode()
def _draw_stack(
    synthesizer: Synthesizer, stack: Stack, targets: Sequence[int], subsets: Sequence[int], options: SynthesisOptions
) -> dict[int, Array]:
    inside = stack.seen.union
    drawn = {subset: np.full((len(targets), *inside.shape), -1, np.float32) for subset in subsets}
    slices = np.flatnonzero(inside.any((1, 2)))
    size = options.chunk or slices_at_once(inside[0].size)
    for chunk in (slices[start : start + size] for start in range(0, len(slices), size)):
        images, observed, foreground = synthesizer.rows(stack.seen, chunk)
        encoding = encoded(synthesizer.model, images, observed, mirror=options.mirror, axis=stack.axis)
        for subset, planes in drawn.items():
            row = torch.tensor(as_row(subset, observed.shape[1]), device=observed.device)
            shown = with_content(row.expand(len(chunk), -1), foreground)
            mean, _ = draw_images(encoding, shown, tuple(targets), options, chunk.tolist())
            planes[:, chunk] = mean.transpose(0, 1).float().cpu().numpy()
    return drawn


def score_grid(images: SubjectImages, settings: CacheSettings) -> Grid:
    """Return the grid of a subject's slices, as `build_cache` makes them with the same settings."""
    return ModelGrid.around(images.turned(settings.orientation), images.grid, settings, None).grid

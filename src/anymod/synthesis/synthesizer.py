"""Volumes in, volumes out: whatever a subject shows becomes whatever is asked for, on the subject's own grid."""

from __future__ import annotations

import time
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path

import numpy as np
import torch
from torch import Tensor

from anymod.arrays import Array
from anymod.core.foregrounds import with_content
from anymod.engines.backends import Backend, with_backend
from anymod.engines.device import resolve_device
from anymod.errors import ModalityError
from anymod.models import ModelDescription, UnifiedModel, load_model
from anymod.synthesis.drawing import draw_images, encoded
from anymod.synthesis.options import SynthesisOptions
from anymod.synthesis.placement import Placed, check_one_grid, place, raw_per_scaled, raw_planes, raw_units
from anymod.volumes import Grid, Volume

PIXELS_AT_ONCE = 8 * 96 * 96  # of one modality: eight slices of the usual size fit into any memory


@dataclass(frozen=True)
class Synthesis:
    """What was made for one subject, on the grid that its images came on.

    `standard_deviations` is empty for a single sample: the spread of the samples, which alone is no calibrated uncertainty (method.md
    section 4), and of a calibrated model the root of its square and that of `expected_errors`. These are root mean squared errors in raw
    units that the model had on subjects it was not trained on, by target; a target without one was not measured from what is shown.
    `units` holds the raw (low, high) of each image's scale; `cut_off` the fraction of the foreground that the model could not see.
    """

    images: dict[str, Volume]
    standard_deviations: dict[str, Volume]
    shown: tuple[str, ...]
    grid: Grid
    units: dict[str, tuple[float, float]]
    expected_errors: dict[str, float]
    cut_off: float
    seconds: dict[str, float] = field(default_factory=dict)


class Synthesizer:
    """A model ready to fill in volumes.

    Example:
        >>> synthesizer = Synthesizer.from_folder("simulated-mr")  # doctest: +SKIP
        >>> filled = synthesizer.synthesize({"t1": read_volume("t1.nii.gz")})  # doctest: +SKIP
    """

    def __init__(self, model: UnifiedModel, description: ModelDescription, device: str | torch.device = "cpu") -> None:
        self.device = torch.device(device)
        self.model = model.to(self.device).eval()
        self.description = description

    @classmethod
    def from_folder(cls, folder: str | Path, device: str = "auto", backend: Backend = "torch") -> Synthesizer:
        """Return a Synthesizer of a model folder or a bundled model's name, on `auto`, `cpu`, `cuda`, `cuda:N` or `mps`.

        `backend`: what runs the network (`with_backend`).
        """
        chosen = resolve_device(device)
        network, description = load_model(folder, chosen)
        return cls(with_backend(network, backend, chosen), description, chosen)

    def targets(self, shown: Sequence[str], wanted: Sequence[str] | None) -> tuple[str, ...]:
        """Return the targets: those wanted, else all that is not shown; raise ModalityError for an unknown one or none at all."""
        for name in (*shown, *(wanted or ())):
            self.description.position(name)
        targets = (
            tuple(dict.fromkeys(wanted))
            if wanted
            else tuple(name for name in self.description.names if name not in shown)
        )
        if not shown:
            raise ModalityError("no image", "the inputs", "nothing is shown to the model", "give at least one image")
        if not targets:
            remedy = "name what to make again with --target"
            raise ModalityError("nothing to synthesize", "+".join(shown), "every modality is shown", remedy)
        return targets

    def synthesize(
        self, images: dict[str, Volume], options: SynthesisOptions | None = None, mask: Volume | None = None
    ) -> Synthesis:
        """Return the targets of one subject from the images given, which share one grid.

        Args:
            images: One volume for each modality shown, raw intensities, any orientation.
            options: Targets, samples and temperature; by default the posterior mean of everything not shown.
            mask: The foreground of all images (not 0); else each image's own is found.

        Raises:
            ModalityError: A modality is unknown to the model, or nothing is shown or asked for.
            GridError: The images lie on different grids.
            VolumeError: An image shows nothing or cannot be scaled.
        """
        options = options or SynthesisOptions()
        targets = self.targets(tuple(images), options.targets)
        check_one_grid(images, mask)
        seconds: dict[str, float] = {}
        with _timed(seconds, "prepare"):
            placed = place(images, mask, self.model, self.description)
        with _timed(seconds, "network"):
            means, deviations = self._draw(placed, targets, options)
        results, spreads, units, expected_errors = {}, {}, {}, {}
        with _timed(seconds, "restore"):
            for number, name in enumerate(targets):
                scale = raw_units(name, placed, self.description)
                units[name] = (scale.low, scale.high)
                typical = self.description.modalities[self.description.position(name)].background
                outside = placed.background.get(name, typical)
                results[name] = placed.to_own_grid(raw_planes(means[number], scale), outside)
                expected = self.description.expected_error(images, name)
                if expected is not None:
                    expected_errors[name] = expected * raw_per_scaled(scale)
                if deviations is not None:
                    together = np.hypot(deviations[number], np.float32(expected or 0))
                    spreads[name] = placed.to_own_grid(together * np.float32(raw_per_scaled(scale)))
        in_order = tuple(name for name in self.description.names if name in images)
        return Synthesis(results, spreads, in_order, placed.grid, units, expected_errors, placed.cut_off, seconds)

    @torch.inference_mode()
    def _draw(self, placed: Placed, targets: tuple[str, ...], options: SynthesisOptions) -> tuple[Array, Array | None]:
        """Return means and, of several samples, standard deviations: scaled, (target, slice, h, w), background -1 and 0."""
        inside = np.logical_or.reduce(list(placed.foregrounds.values()))
        means = np.full((len(targets), *inside.shape), -1.0, dtype=np.float32)
        deviations = np.zeros_like(means) if options.samples > 1 else None
        positions = tuple(self.description.position(name) for name in targets)
        for slices in _chunks(np.flatnonzero(inside.any((1, 2))), inside.shape[1] * inside.shape[2], options.chunk):
            images, shown, foreground = self._rows(placed, slices)
            decode = encoded(self.model, images, shown, mirror=options.mirror)
            mean, deviation = draw_images(decode, with_content(shown, foreground), positions, options, slices.tolist())
            here = inside[slices]
            means[:, slices] = np.where(here, mean.transpose(0, 1).cpu().numpy(), np.float32(-1))
            if deviations is not None:
                deviations[:, slices] = np.where(here, deviation.transpose(0, 1).cpu().numpy(), np.float32(0))
        return means, deviations

    def _rows(self, placed: Placed, slices: Array) -> tuple[Tensor, Tensor, Tensor]:
        """Return images (b, m, c, h, w), shown (b, m) and foreground (b, m, h, w) of some slices."""
        names, reach = self.description.names, self.model.context
        count, height, width = next(iter(placed.images.values())).shape
        neighbours = np.clip(slices[:, None] + np.arange(-reach, reach + 1), 0, count - 1)
        images = np.full((len(slices), len(names), 1 + 2 * reach, height, width), -1.0, dtype=np.float32)
        foreground = np.zeros((len(slices), len(names), height, width), dtype=bool)
        shown = torch.zeros(len(slices), len(names), dtype=torch.bool)
        for position, name in enumerate(names):
            if name in placed.images:
                images[:, position] = placed.images[name][neighbours]
                foreground[:, position] = placed.foregrounds[name][slices]
                shown[:, position] = True
        tensors = (torch.from_numpy(images), shown, torch.from_numpy(foreground))
        return tensors[0].to(self.device), tensors[1].to(self.device), tensors[2].to(self.device)


def slices_at_once(pixels: int) -> int:
    """Return how many slices of so many pixels a small memory holds while a network runs."""
    return max(1, PIXELS_AT_ONCE // pixels)


def _chunks(slices: Array, pixels: int, chunk: int | None) -> Iterator[Array]:
    size = chunk or slices_at_once(pixels)
    for start in range(0, len(slices), size):
        yield slices[start : start + size]


@contextmanager
def _timed(seconds: dict[str, float], stage: str) -> Iterator[None]:
    start = time.perf_counter()
    yield
    seconds[stage] = round(time.perf_counter() - start, 3)

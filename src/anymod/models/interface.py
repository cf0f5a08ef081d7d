"""What every model of this package can do; trainer, Synthesizer, evaluation and export know only this."""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Callable
from dataclasses import dataclass
from functools import partial
from typing import Any

from torch import Tensor, nn

from anymod.core.batch import Batch
from anymod.core.noise import Noise
from anymod.types import Images, Shown, ShownPerDraw, TargetPlanes

Decode = Callable[[Tensor, tuple[int, ...], float, Noise | None], Tensor]
"""Returns images (b, t, h, w) in (-1, 1) for (shown (b, m), targets, temperature, noise)."""


@dataclass(frozen=True)
class Objective:
    """What a training step asks of a model.

    `error` compares images pixel by pixel (`absolute_error` or `squared_error`); `kl_weight` weighs nats per pixel and modality, and
    `level_weights` those of each level, finest first (none given: all 1); `label_weight` is how many times a voxel counts that a label
    map marks, such as a tumour's; `unobserved` asks for the images that a subject lacks as well, which an adversary then judges.
    """

    error: Callable[[Tensor, Tensor], Tensor]
    kl_weight: float
    unobserved: bool = False
    label_weight: float = 1.0
    level_weights: tuple[float, ...] = ()

    def level_weight(self, number: int) -> float:
        """Return how much a nat of a level (1 finest) counts."""
        return self.level_weights[number - 1] if self.level_weights else 1.0


@dataclass(frozen=True)
class Outcome:
    """Loss terms of one batch, each weighted already, and the images they were measured on.

    Shapes: images (draw, batch, modality, h, w) in [-1, 1], -1 outside the foreground of what was shown and where nobody asked.
    `divergences` holds nats per pixel and modality for each level, unweighted.
    """

    terms: dict[str, Tensor]
    images: Tensor
    divergences: dict[int, Tensor]


class UnifiedModel(nn.Module, ABC):
    """One network for every subset of its modalities.

    `stride`: height and width must be multiples of it. `fixed_size`: the only (h, w) that fits, or None. `context`: neighbouring slices
    on each side that come as channels. What lies in a slot that is not shown, NaN included, never matters.
    """

    modalities: tuple[str, ...]
    context: int
    stride: int
    fixed_size: tuple[int, int] | None

    @abstractmethod
    def synthesize(
        self, images: Images, shown: Shown, targets: tuple[int, ...], temperature: float, noise: Noise | None
    ) -> TargetPlanes:
        """Return the images of `targets` (positions in `modalities`) for every row, in (-1, 1), not masked."""

    def encoded(self, images: Images, shown: Shown) -> Decode:
        """Return what decodes any part of `shown` of these images; a network that can encodes them once for all of these."""
        return partial(self.synthesize, images)

    def encoded_for_draws(self, images: Images, shown: Shown) -> tuple[Any, Callable[[], None]]:
        """Return an encoding that `losses` takes for any part of `shown`, and what ends the step once every draw went backward.

        Draws that go backward one after the other need the memory of one; what ends the step hands their gradients on to the encoders.
        A network that cannot encode once for all draws has no encoding.
        """
        return None, lambda: None

    @abstractmethod
    def losses(
        self, batch: Batch, shown_per_draw: ShownPerDraw, noise: Noise, objective: Objective, encoding: Any = None
    ) -> Outcome:
        """Return the loss terms of a batch, averaged over draws and rows, and the images; `encoding` spares the encoders' work."""

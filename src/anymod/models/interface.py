"""What every model offers: synthesis for all, training and export for networks. Other rooms know models only through these names."""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Annotated, Any, Protocol, runtime_checkable

import torch
from pydantic import Field
from torch import Tensor, nn

from anymod.arrays import Array
from anymod.configuration import Settings
from anymod.core.batch import Batch
from anymod.core.noise import Draw, Noise
from anymod.types import Images, Planes, Shown, ShownPerDraw, TargetPlanes

Pixels = Annotated[int, Field(ge=1, le=4096)]


class NetworkSettings(Settings):
    """Settings that every architecture has; each adds its own."""

    image_size: tuple[Pixels, Pixels] = Field(default=(96, 96), description="rows and columns of a slice, in pixels")
    context_slices: int = Field(default=0, ge=0, le=2, description="neighbouring slices on each side, as channels")


@dataclass(frozen=True)
class InputSpec:
    """The images that a model takes.

    Attributes:
        modalities: Names, in the order of the axis m.
        image_size: Rows and columns of the slices it was made for.
        context_slices: Neighbouring slices on each side, which come as channels.
        stride: Rows and columns must be multiples of it.
        fixed_size: The only (rows, columns) that fit; None for any multiple of the stride.
    """

    modalities: tuple[str, ...]
    image_size: tuple[int, int]
    context_slices: int = 0
    stride: int = 1
    fixed_size: tuple[int, int] | None = None

    @property
    def channels(self) -> int:
        """Number of channels of an image: the slice and its neighbours."""
        return 1 + 2 * self.context_slices

    def check(self, images: Tensor) -> None:
        """Raise ValueError where the size of images (b, m, c, h, w) does not fit."""
        size = tuple(images.shape[-2:])
        if self.fixed_size is not None and size != self.fixed_size:
            raise ValueError(f"this model takes slices of {self.fixed_size} pixels, not {size}: pad or crop them")
        if any(side % self.stride for side in size):
            raise ValueError(f"slices of {size} pixels do not divide by {self.stride}: pad or crop them")

    def random_images(self, rows: int, generator: torch.Generator) -> Images:
        """Return images (b, m, c, h, w) of uniform noise in [-1, 1], for checks of speed and of agreement."""
        shape = (rows, len(self.modalities), self.channels, *self.image_size)
        return torch.rand(shape, generator=generator) * 2 - 1


@runtime_checkable  # as tests check types at run time
class Encoding(Protocol):
    """Images encoded once, to be decoded for as many subsets, targets and draws as needed."""

    def decode(self, shown: Shown, targets: Sequence[int], draw: Draw) -> TargetPlanes:
        """Return images (b, t, h, w) in (-1, 1) of the targets (positions in `modalities`), not masked.

        `shown` (b, m) is a part of what was encoded and not empty in any row; rows may differ. Raises ValueError otherwise.
        """
        ...


@runtime_checkable  # as tests check types at run time
class Synthesizes(Protocol):
    """A model that synthesizes: a network, or a graph of one in another runtime."""

    @property
    def spec(self) -> InputSpec:
        """The images that it takes."""
        ...

    def encode(self, images: Images, shown: Shown) -> Encoding:
        """Return the encoding of the shown images (b, m, c, h, w). What a hidden slot holds, NaN included, changes nothing."""
        ...


@dataclass(frozen=True)
class Draws:
    """What a training step draws from a batch: for each draw k the subset that every row shows, and the noise of the latents.

    `wanted` (b, m) marks the images to make; `step` counts from 0 and drives schedules.
    """

    shown: ShownPerDraw
    noises: Sequence[Noise]
    wanted: Shown
    step: int


@dataclass(frozen=True)
class Losses:
    """Losses of one draw.

    Attributes:
        terms: Each already weighted; their sum is minimized.
        images: (b, m, h, w) in [-1, 1]; -1 outside the foreground of what was shown and where nothing was wanted.
        measured: Further numbers to record, unweighted.
    """

    terms: Mapping[str, Tensor]
    images: Planes
    measured: Mapping[str, Tensor] = field(default_factory=dict)


Run = Callable[..., list[Array]]
"""Runs a graph: returns its outputs for its inputs, in their order."""


@dataclass(frozen=True)
class Part:
    """A part of a network as one graph: a module, inputs to trace it with, and for each input the sizes that may change."""

    module: nn.Module
    inputs: tuple[Any, ...]
    open_sizes: tuple[Any, ...]


class Network(nn.Module, ABC):
    """A network that learns and can be exported; it synthesizes as every model does (`Synthesizes`)."""

    spec: InputSpec

    @abstractmethod
    def encode(self, images: Images, shown: Shown) -> Encoding:
        """See `Synthesizes`."""

    def see(self, batches: Iterable[Batch]) -> None:
        """Take from training slices, none of them augmented, what the network needs before its first step."""

    @abstractmethod
    def losses(self, batch: Batch, draws: Draws) -> Iterator[Losses]:
        """Yield the losses of each draw; go backward through one before asking for the next.

        Images are encoded once for all draws, yet only one draw is held in memory. The end of the iteration carries the gradients that
        the draws have left in the encoding on to the encoders.
        """

    @abstractmethod
    def graph(self) -> nn.Module:
        """Return one fixed graph: (images (b, m, c, h, w), shown (b, m) bool) -> images (b, m, h, w) of all modalities.

        It draws at temperature 0 and does not mask. Finite values in hidden slots change nothing.
        """

    @abstractmethod
    def part(self, name: str) -> Part:
        """Return a part that `assembled` asks for by name."""

    @abstractmethod
    def assembled(self, run: Callable[[str], Run]) -> Synthesizes:
        """Return a model that computes by `run(name)`, which runs the part of that name, and runs only the parts it needs."""

"""Drawing images of a few slices: encoded once, decoded for every subset and sample."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field

import torch
from torch import Tensor

from anymod.core.noise import Draw, Noise, shared_noise
from anymod.models import Encoding, Synthesizes
from anymod.slices.axes import Axis
from anymod.synthesis.options import SynthesisOptions

BLEND = {-1: 6**-0.5, 0: 2 * 6**-0.5, 1: 6**-0.5}
"""Parts of the noise of neighbouring slices in that of realistic images: texture that changes along the volume as that of real images does
(correlation 2/3 between neighbours). Their squares add up to 1.
"""


@dataclass(frozen=True)
class WithMirrorImage:
    """Encodings of a head and of its mirror image; decoded images are the mean of both, the second mirrored back.

    In sagittal slices the mirror image has the neighbours exchanged, and nothing has to be mirrored back.
    """

    head: Encoding
    mirrored: Encoding
    axis: Axis

    def decode(self, shown: Tensor, targets: Sequence[int], draw: Draw) -> Tensor:
        """See `Encoding`."""
        mirrored = self.mirrored.decode(shown, targets, draw)
        return (
            self.head.decode(shown, targets, draw) + (mirrored if self.axis == "sagittal" else mirrored.flip(-2))
        ) / 2


def encoded(
    model: Synthesizes, images: Tensor, shown: Tensor, *, mirror: bool = False, axis: Axis = "axial"
) -> Encoding:
    """Return the encoding of `images` (b, m, c, h, w), slices along an axis, with `mirror` together with that of their mirror images."""
    encoding = model.encode(images, shown)
    if not mirror or (axis == "sagittal" and images.shape[2] == 1):  # a sagittal slice alone is its own mirror image
        return encoding
    return WithMirrorImage(encoding, model.encode(images.flip(2 if axis == "sagittal" else -2), shown), axis)


def draw_images(
    encoding: Encoding, shown: Tensor, targets: tuple[int, ...], options: SynthesisOptions, slices: Sequence[int]
) -> tuple[Tensor, Tensor]:
    """Return (mean, standard deviation), each (b, t, h, w), over the samples of a chunk; the deviation of one sample is 0.

    `slices` holds the rows' places in the volume, from which noise that is fresh for each slice follows.
    """
    moments = RunningMoments()
    for sample in range(options.samples):
        noise = _noise(options, sample, slices, shown.device) if options.random else None
        moments.add(encoding.decode(shown, targets, Draw(options.temperature, noise, options.realistic)))
    return moments.mean, moments.standard_deviation()


def _noise(options: SynthesisOptions, sample: int, slices: Sequence[int], device: torch.device) -> Noise:
    if options.noise == "volume" and not options.realistic:
        return shared_noise(options.seed, "sample", sample, device=device)

    def of_slice(number: int) -> Noise:
        return shared_noise(options.seed, "sample", sample, "slice", number, device=device)

    if options.noise == "slice":
        each = [of_slice(number) for number in slices]
        return lambda level, shape: torch.cat([noise(level, shape) for noise in each])
    return lambda level, shape: torch.cat(
        [
            torch.stack([part * of_slice(number + place)(level, shape) for place, part in BLEND.items()]).sum(0)
            for number in slices
        ]
    )


@dataclass
class RunningMoments:
    """Mean and standard deviation of images that come one at a time, none of them kept (Welford 1962)."""

    count: int = 0
    mean: Tensor = field(default_factory=lambda: torch.tensor(0.0))
    squares: Tensor = field(default_factory=lambda: torch.tensor(0.0))

    def add(self, images: Tensor) -> None:
        """Take in one more image of the same shape."""
        self.count += 1
        if self.count == 1:
            self.mean, self.squares = images, torch.zeros_like(images)
            return
        before = images - self.mean
        self.mean = self.mean + before / self.count
        self.squares = self.squares + before * (images - self.mean)

    def standard_deviation(self) -> Tensor:
        """Return the standard deviation estimated from the images (divided by n - 1); 0 for fewer than two."""
        return (self.squares / max(self.count - 1, 1)).sqrt()

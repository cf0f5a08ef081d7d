"""From a posterior mean, which is blurred where it is uncertain, to an image that looks real: a rectified flow on top of a network."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Annotated

import torch
from pydantic import Field, field_validator
from torch import Tensor, nn
from torch.nn.functional import one_hot, pixel_shuffle, pixel_unshuffle, silu

from anymod.configuration import Settings
from anymod.core.flows import follow, on_path
from anymod.core.noise import Draw
from anymod.nn.cells import in_full_precision
from anymod.nn.unet import FREQUENCIES, NORM_GROUPS, UNet, fourier_features

IMAGE_LEVEL = 0
"""Level of the noise that realistic images begin with, below the finest latent's."""


class RealisticSettings(Settings):
    """Shape of the flow from posterior means to images that look real, and how it is followed."""

    widths: tuple[Annotated[int, Field(ge=8, le=1024)], ...] = Field(
        default=(48, 64, 96), min_length=1, max_length=6, description="channels at each depth, finest first"
    )
    unshuffle: int = Field(default=2, ge=1, le=4, description="pixels folded into channels at the entrance")
    condition: int = Field(
        default=128, ge=1, le=4096, description="length of the vector of time, target and subset that blocks see"
    )
    noise: float = Field(
        default=0.05, gt=0, le=2, description="standard deviation of what is added to the mean, images in [-1, 1]"
    )
    steps: int = Field(default=5, ge=1, le=1000, description="of Euler's method")

    @field_validator("widths")
    @classmethod
    def _in_groups(cls, widths: tuple[int, ...]) -> tuple[int, ...]:
        if any(width % NORM_GROUPS for width in widths):
            raise ValueError(f"widths are multiples of {NORM_GROUPS}")
        return widths

    @property
    def stride(self) -> int:
        """Number that rows and columns must be multiples of."""
        return self.unshuffle * 2 ** (len(self.widths) - 1)


@dataclass(frozen=True)
class Start:
    """What the flow starts from: n posterior means (n, h, w), what was shown (n, m), and the means' places (n,) among the modalities."""

    mean: Tensor
    shown: Tensor
    target: Tensor

    @classmethod
    def of(cls, mean: Tensor, images: Tensor, shown: Tensor, target: Tensor) -> Start:
        """Return the start of flows; means count only where a shown image (of n, m, c, h, w) has content."""
        inside = ((images[:, :, images.shape[2] // 2] > -1) & shown[:, :, None, None]).any(1)
        return cls(torch.where(inside, mean, -1.0), shown, target)

    def noisy(self, noise: Tensor) -> Tensor:
        """Return the state (n, h, w) at time 0: the mean and noise, which the background has none of."""
        return torch.where(self.mean > -1, self.mean + noise, self.mean)


class RealisticFlow(nn.Module):
    """Velocity of images on their way from the posterior mean; shared by all modalities.

    It depends on the image on its way, not on the mean or the shown images: then the flow sharpens what the mean holds, at nearly the least
    cost, instead of drawing from all that is possible, which has twice the squared error.
    """

    def __init__(self, modalities: int, settings: RealisticSettings) -> None:
        super().__init__()
        self.modalities, self.settings = modalities, settings
        self.embed = nn.Sequential(
            nn.Linear(2 * FREQUENCIES + 2 * modalities, settings.condition),
            nn.SiLU(),
            nn.Linear(settings.condition, settings.condition),
        )
        folds = settings.unshuffle**2
        self.network = UNet(folds, folds, settings.widths, settings.condition)

    def forward(self, state: Tensor, time: Tensor, start: Start) -> Tensor:
        """Return the velocity (n, h, w) at states (n, h, w) and times (n,)."""
        target = one_hot(start.target, self.modalities)
        condition = silu(self.embed(torch.cat([fourier_features(time), start.shown, target], dim=1)))
        emitted = self.network(pixel_unshuffle(state[:, None], self.settings.unshuffle), condition)
        velocity = in_full_precision(pixel_shuffle(emitted, self.settings.unshuffle)[:, 0])
        return torch.where(start.mean > -1, velocity, 0.0)  # the background stays

    def errors(self, start: Start, truth: Tensor, inside: Tensor, normal: Tensor, time: Tensor) -> Tensor:
        """Return the mean squared error (n,) of each image's velocity over its pixels `inside` (n, h, w).

        Each pixel comes with one standard `normal` number, each image with a `time` (n,).
        """
        begin = start.noisy(self.settings.noise * normal)
        end = torch.where(inside, truth, -1.0)
        error = self(on_path(begin, end, time), time, start) - (end - begin)
        return (error.square() * inside).sum((1, 2)) / inside.sum((1, 2)).clamp(min=1)

    def sample(self, start: Start, normal: Tensor) -> Tensor:
        """Return images (n, h, w) in [-1, 1] that look real, each pixel from one standard `normal` number."""
        begin = start.noisy(self.settings.noise * normal)
        ended = follow(lambda state, time: self(state, time, start), begin, self.settings.steps)
        return ended.clamp(-1.0, 1.0)

    def images(self, means: Tensor, seen: Tensor, shown: Tensor, targets: Sequence[int], draw: Draw) -> Tensor:
        """Return images (b, t, h, w) that look real, of the posterior means of the targets; those of shown targets stay as they are.

        `seen` (b, m, c, h, w) are the images that the network saw, of which `shown` (b, m) were shown. A target's noise depends on no
        other target. Raises ValueError if `draw` has no noise.
        """
        if draw.noise is None:
            raise ValueError("realistic images need noise")
        normal = draw.noise(IMAGE_LEVEL, (len(means), self.modalities, *means.shape[-2:]))
        normal = normal.expand(len(means), -1, -1, -1)
        planes = []
        for place, target in enumerate(targets):
            hidden = ~shown[:, target]  # the flow has learnt no others
            if not bool(hidden.any()):
                planes.append(means[:, place])
                continue
            start = Start.of(means[:, place], seen, shown, torch.full((len(means),), target, device=means.device))
            sampled = self.sample(start, normal[:, target])
            planes.append(torch.where(hidden[:, None, None], sampled, means[:, place]))
        return torch.stack(planes, dim=1)


def with_flow(flow: RealisticFlow | None) -> RealisticFlow:
    """Return the flow of a network; raise ValueError where it has none."""
    if flow is None:
        raise ValueError("this network has not learnt realistic images")
    return flow

"""Settings of the MMHVAE: the shape of the network and its objective."""

from __future__ import annotations

from typing import Annotated, Literal

import torch
from pydantic import Field, model_validator
from torch import Tensor

from anymod.configuration import Settings
from anymod.core.objectives import absolute_error, squared_error
from anymod.models.interface import NetworkSettings
from anymod.models.realistic import RealisticSettings

ERRORS = {"laplace": absolute_error, "normal": squared_error}
HIDDEN_DEVIATION = 0.2
"""Usual error of a hidden target, images in [-1, 1]: where its squared error and an absolute one count alike."""


class MMHVAESettings(NetworkSettings):
    """Shape of the network. `DORENT2024` has the published one; the defaults are a lean one for small machines."""

    widths: tuple[Annotated[int, Field(le=4096)], ...] = Field(
        default=(16, 32, 64, 128, 128),
        min_length=2,
        max_length=12,
        description="channels at each depth, finest first; even",
    )
    unshuffle: Literal[1, 2, 4] = Field(
        default=2, description="pixels folded into channels before the encoders; the paper: 1"
    )
    top: Literal["map", "vector"] = Field(default="map", description="form of the coarsest latent; the paper: vector")
    latent_levels: tuple[int, ...] | None = Field(
        default=None, max_length=12, description="levels with latents, 1 finest; None: all"
    )
    expansion: int = Field(default=2, ge=1, le=64, description="widening inside a decoder cell; the paper: 6")
    head_channels: int = Field(default=16, ge=1, le=4096, description="channels inside an image head; the paper: 8")
    head_blocks: int = Field(
        default=2, ge=0, le=64, description="residual blocks of an image head; paper's text 5, published code 6"
    )
    head_kernel: Literal[3, 5, 7] = Field(
        default=3, description="width of an image head's last two convolutions; the paper: 7"
    )
    expert_gain: float = Field(
        default=1.0, gt=0, le=1e3, description="initial scale of the experts' means; the paper: 1"
    )
    expert_log_variance: float = Field(
        default=0.0,
        ge=-10,
        le=0,
        description="added to the experts' log-variances: below 0 they begin more certain; the paper: 0",
    )
    soft_limit: float = Field(
        default=10.0,
        gt=0,
        le=100,
        description="means and log-variances stay within +- this (deviation A3), before expert_log_variance is added",
    )
    guide_shares: dict[str, Annotated[float, Field(ge=0, lt=1)]] = Field(
        default={},
        description="by modality, the share of a linear regression in its hidden images (deviation A20); those not named: 0; the paper: 0",
    )
    realistic: RealisticSettings | None = Field(
        default=None, description="a flow from posterior means to images that look real; null: none"
    )

    @model_validator(mode="after")
    def _fits(self) -> MMHVAESettings:
        if any(width < 2 or width % 2 for width in self.widths):
            raise ValueError("widths must be even: half the channels are means, half log-variances")
        levels = self.levels
        if list(levels) != sorted(set(levels)) or levels[-1] != len(self.widths) or levels[0] < 1:
            raise ValueError(
                f"latent_levels must increase from at least 1 to {len(self.widths)}, the coarsest, which carries latents"
            )
        if any(size <= 0 or size % self.stride for size in self.image_size):
            raise ValueError(f"image_size must be multiples of {self.stride} (unshuffle x 2^(number of widths - 1))")
        if self.realistic is not None and self.stride % self.realistic.stride:
            raise ValueError(
                f"realistic needs a multiple of {self.realistic.stride} as stride, which is {self.stride}; use fewer widths"
            )
        if self.image_size[0] * self.image_size[1] < 2 * self.stride**2:
            raise ValueError("image_size leaves one pixel at the coarsest depth; use fewer widths or larger images")
        return self

    @property
    def levels(self) -> tuple[int, ...]:
        """Levels that carry latents, finest first."""
        return self.latent_levels or tuple(range(1, len(self.widths) + 1))

    @property
    def stride(self) -> int:
        """Number that rows and columns must be multiples of."""
        return self.unshuffle * 2 ** (len(self.widths) - 1)


DORENT2024 = MMHVAESettings(
    widths=(16, 32, 64, 128, 128, 128, 128),
    image_size=(192, 192),
    unshuffle=1,
    top="vector",
    expansion=6,
    head_channels=8,
    head_blocks=6,
    head_kernel=7,
)


class MMHVAEObjective(Settings):
    """Reconstruction + kl_weight * divergence (method, section 7)."""

    learn: Literal["images", "realistic"] = Field(
        default="images",
        description="what to learn: the network, or the flow of settings.realistic alone, on top of the network of training.start_from",
    )
    likelihood: Literal["laplace", "normal"] = Field(
        default="laplace", description="absolute or squared error (deviation T1)"
    )
    hidden_likelihood: Literal["laplace", "normal"] | None = Field(
        default=None,
        description="that of hidden targets; normal (squared error / 0.2) makes them means instead of medians, which miss rare bright"
        " voxels; null: the same",
    )
    label_weight: float = Field(
        default=1.0, ge=1, le=100, description="how often a voxel counts that a label map marks, such as a tumour's"
    )
    kl_weight: float = Field(
        default=1e-3, ge=0, description="per nat, pixel and modality; published code: 0.002 on this scale"
    )
    level_weights: tuple[Annotated[float, Field(ge=0)], ...] = Field(
        default=(), description="weight of a nat of each level, finest first; none given: all 1"
    )
    kl_warmup_steps: int = Field(default=500, ge=0, description="linear rise of kl_weight from 0")

    def check_levels(self, depths: int) -> None:
        """Raise ValueError where the weights of levels are given, but not one for each depth of the network."""
        if self.level_weights and len(self.level_weights) != depths:
            raise ValueError(f"objective.level_weights needs one number for each of the {depths} settings.widths")

    def error(self, targets: Tensor, images: Tensor, shown: Tensor) -> Tensor:
        """Return the error of images (b, m, h, w), pixel by pixel; `shown` (b, m) marks the modalities that were shown.

        Where the likelihoods differ, that of hidden targets is scaled by their usual error, so that both count alike.
        """
        error = ERRORS[self.likelihood](targets, images)
        if self.hidden_likelihood in (None, self.likelihood):
            return error
        squared = squared_error(targets, images) / HIDDEN_DEVIATION
        hidden = squared if self.hidden_likelihood == "normal" else HIDDEN_DEVIATION * absolute_error(targets, images)
        return torch.where(shown[:, :, None, None], error, hidden)

    def kl_weight_at(self, step: int) -> float:
        """Return the weight of the divergence at a step (from 0): a linear rise over `kl_warmup_steps`, then constant."""
        return self.kl_weight * min(1.0, (step + 1) / max(1, self.kl_warmup_steps))

    def level_weight(self, number: int) -> float:
        """Return the weight of a nat of a level (1 finest)."""
        return self.level_weights[number - 1] if self.level_weights else 1.0

"""MMHVAE: a hierarchical VAE whose posterior, at every level, is the prior times one expert per shown modality.

Generative: z_L ~ N(0, I), z_l ~ p(z_l | z_{l+1}), x_m = f_m(z_1) (method eqs. 4 to 6; Dorent et al., arXiv 2410.19378). Only z travels
down where a level carries latents (pitfall A8). Encoders and image heads belong to a modality, everything else is shared.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, replace
from functools import partial
from typing import Literal

import torch
from pydantic import Field, model_validator
from torch import Tensor, nn
from torch.nn.functional import pixel_unshuffle

from anymod.configuration import Settings
from anymod.core.batch import Batch
from anymod.core.experts import divergence_from_prior, product_of_experts
from anymod.core.foregrounds import masked, shown_foreground
from anymod.core.gaussians import DiagonalGaussian, draw, standard_gaussian
from anymod.core.noise import Noise
from anymod.core.objectives import mean_over_observed
from anymod.models.interface import Decode, Objective, Outcome, UnifiedModel
from anymod.nn.cells import DecoderCell, ModalityEncoder, Upsample
from anymod.nn.heads import ExpertHead, ImageHead, PriorHead, VectorTop, as_gaussian, scale_means
from anymod.types import Images, Shown, ShownPerDraw, TargetPlanes

MOST_MODALITIES = 16


class MMHVAESettings(Settings):
    """Shape of the network. `AUTHORS` has the published one; the defaults are a lean one for small machines."""

    widths: tuple[int, ...] = Field(
        default=(16, 32, 64, 128, 128), min_length=2, description="channels at each depth, finest first; even"
    )
    image_size: tuple[int, int] = Field(default=(96, 96), description="rows and columns of a slice, in pixels")
    unshuffle: Literal[1, 2, 4] = Field(
        default=2, description="pixels folded into channels before the encoders; the paper: 1"
    )
    top: Literal["map", "vector"] = Field(default="map", description="form of the coarsest latent; the paper: vector")
    latent_levels: tuple[int, ...] | None = Field(default=None, description="levels with latents, 1 finest; None: all")
    expansion: int = Field(default=2, ge=1, description="widening inside a decoder cell; the paper: 6")
    head_channels: int = Field(default=16, ge=1, description="channels inside an image head; the paper: 8")
    head_blocks: int = Field(
        default=2, ge=0, description="residual blocks of an image head; paper's text 5, authors' code 6"
    )
    head_kernel: Literal[3, 5, 7] = Field(
        default=3, description="width of an image head's last two convolutions; the paper: 7"
    )
    context_slices: Literal[0, 1, 2] = Field(default=0, description="neighbouring slices on each side, as channels")
    expert_gain: float = Field(default=1.0, gt=0, description="initial scale of the experts' means; the authors: 1")
    expert_log_variance: float = Field(
        default=0.0, ge=-10, le=0, description="added to the experts' log-variances: they begin surer; the authors: 0"
    )
    soft_limit: float = Field(
        default=10.0,
        gt=0,
        description="means and log-variances stay within +- this (pitfall A3), before expert_log_variance is added",
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
        if self.image_size[0] * self.image_size[1] < 2 * self.stride**2:
            raise ValueError("image_size leaves one pixel at the coarsest depth; use fewer widths or larger images")
        return self

    @property
    def levels(self) -> tuple[int, ...]:
        """Return the levels that carry latents, finest first."""
        return self.latent_levels or tuple(range(1, len(self.widths) + 1))

    @property
    def stride(self) -> int:
        """Return what rows and columns must be multiples of."""
        return self.unshuffle * 2 ** (len(self.widths) - 1)


AUTHORS = MMHVAESettings(
    widths=(16, 32, 64, 128, 128, 128, 128),
    image_size=(192, 192),
    unshuffle=1,
    top="vector",
    expansion=6,
    head_channels=8,
    head_blocks=6,
    head_kernel=7,
)


@dataclass(frozen=True)
class Features:
    """The encoded images, packed: entry i of every map belongs to `row[i]` and `modality[i]`; one map a depth, finest first."""

    maps: list[Tensor]
    row: Tensor
    modality: Tensor

    def select(self, shown: Tensor) -> Features:
        """Return only what `shown` (b, m) shows; it must have been encoded."""
        keep = shown[self.row, self.modality]
        if int(keep.sum()) != int(shown.sum()):
            raise ValueError("an image is shown that was not encoded")
        if bool(keep.all()):
            return self
        return Features([entry[keep] for entry in self.maps], self.row[keep], self.modality[keep])


@dataclass(frozen=True)
class Level:
    """The distributions at one level (1 finest): prior (b, *latent), experts (b, m, *latent; anything where hidden), posterior."""

    number: int
    prior: DiagonalGaussian
    experts: DiagonalGaussian
    posterior: DiagonalGaussian


class Step(nn.Module):
    """One step down: twice the size, a residual cell, and, where the level carries latents, the heads that emit its distributions."""

    def __init__(self, channels_in: int, channels: int, expansion: int, *, has_latents: bool) -> None:
        super().__init__()
        self.upsample = Upsample(channels_in, channels)
        self.cell = DecoderCell(channels, expansion)
        self.prior = PriorHead(channels) if has_latents else None
        self.expert: ExpertHead | None = ExpertHead(2 * channels, channels) if has_latents else None


class MMHVAE(UnifiedModel):
    """The hierarchical mixture of products of experts, for 1 to 16 modalities."""

    def __init__(self, modalities: tuple[str, ...], settings: MMHVAESettings) -> None:
        super().__init__()
        if not 1 <= len(modalities) <= MOST_MODALITIES or len(set(modalities)) != len(modalities):
            raise ValueError(f"between 1 and {MOST_MODALITIES} different modalities are needed")
        widths, levels = settings.widths, settings.levels
        self.modalities = tuple(modalities)
        self.settings = settings
        self.context, self.stride = settings.context_slices, settings.stride
        self.fixed_size = settings.image_size if settings.top == "vector" else None
        channels_in = (1 + 2 * settings.context_slices) * settings.unshuffle**2
        self.encoders = nn.ModuleList(ModalityEncoder(channels_in, widths) for _ in modalities)
        coarsest = (settings.image_size[0] // settings.stride, settings.image_size[1] // settings.stride)
        self.top = (
            VectorTop(widths[-1], coarsest, 2 * widths[-1])
            if settings.top == "vector"
            else ExpertHead(widths[-1], widths[-1])
        )
        self.steps = nn.ModuleList()
        coming = widths[-1] if settings.top == "vector" else widths[-1] // 2
        for depth in reversed(range(len(widths) - 1)):
            has_latents = depth + 1 in levels
            self.steps.append(Step(coming, widths[depth], settings.expansion, has_latents=has_latents))
            coming = widths[depth] // 2 if has_latents else widths[depth]
        heads = (
            ImageHead(coming, settings.head_channels, settings.head_blocks, settings.head_kernel, settings.unshuffle)
            for _ in modalities
        )
        self.heads = nn.ModuleList(heads)
        scale_means(self.top.emit, settings.expert_gain)
        for step in self._descent():
            if step.expert is not None:
                scale_means(step.expert.emit, settings.expert_gain)

    def encode(self, images: Images, shown: Shown) -> Features:
        """Return the maps of the shown images; one encoding serves every subset of `shown`."""
        self._check_size(images)
        packed, rows, numbers = [], [], []
        for number, encoder in enumerate(self.encoders):
            row = shown[:, number].nonzero()[:, 0]
            if len(row):
                packed.append(encoder(pixel_unshuffle(images[row, number], self.settings.unshuffle)))
                rows.append(row)
                numbers.append(torch.full_like(row, number))
        if not packed:
            return Features([], shown.new_zeros(0, dtype=torch.long), shown.new_zeros(0, dtype=torch.long))
        maps = [torch.cat(depth) for depth in zip(*packed, strict=True)]
        return Features(maps, torch.cat(rows), torch.cat(numbers))

    def encoded(self, images: Images, shown: Shown) -> Decode:
        """Return what decodes any part of `shown` of these images, encoded once."""
        return partial(self.decode, self.encode(images, shown))

    def decode(
        self, features: Features, shown: Shown, targets: tuple[int, ...], temperature: float, noise: Noise | None
    ) -> TargetPlanes:
        """Return the images of `targets` given the part `shown` of what was encoded, in (-1, 1), not masked."""
        finest = self.descend(features, shown, temperature, noise)
        return torch.stack([self.heads[target](finest) for target in targets], dim=1)

    def synthesize(
        self, images: Images, shown: Shown, targets: tuple[int, ...], temperature: float, noise: Noise | None
    ) -> TargetPlanes:
        """Return the images of `targets` (positions in `modalities`) for every row, in (-1, 1), not masked."""
        return self.decode(self.encode(images, shown), shown, targets, temperature, noise)

    def descend(
        self,
        features: Features,
        shown: Shown,
        temperature: float,
        noise: Noise | None,
        visit: Callable[[Level], None] = lambda level: None,
    ) -> Tensor:
        """Draw z_L to z_1 from the posterior given `shown` and return what the image heads see; `visit` is told each level's distributions.

        A row that shows nothing is refused: that would be a draw from the prior. Shapes of a latent: (b, c, h, w), or (b, c) for a vector.
        """
        if not bool(shown.any(1).all()):
            raise ValueError("every row must show at least one modality")
        features = features.select(shown)
        coarsest = len(self.settings.widths)
        experts = self._spread(self.top(features.maps[-1]), features, shown)
        prior = standard_gaussian(experts.mean[:, 0])
        z = self._draw_level(
            Level(coarsest, prior, experts, product_of_experts(prior, experts, shown)), temperature, noise, visit
        )
        h = self.top.to_map(z) if isinstance(self.top, VectorTop) else z
        for number, step in zip(range(coarsest - 1, 0, -1), self._descent(), strict=True):
            h = step.cell(step.upsample(h))
            if step.prior is not None and step.expert is not None:
                prior = as_gaussian(step.prior(h), self.settings.soft_limit)
                # index_select, not h[row]: on several threads the gradient of indexing adds equal rows in any order.
                emitted = step.expert.beside(
                    h, features.maps[number - 1], lambda rows: rows.index_select(0, features.row)
                )
                experts = self._spread(emitted, features, shown)
                posterior = product_of_experts(prior, experts, shown)
                h = self._draw_level(Level(number, prior, experts, posterior), temperature, noise, visit)
        return h

    def encoded_for_draws(self, images: Images, shown: Shown) -> tuple[Features, Callable[[], None]]:
        """Return the features, cut off from the encoders, and what carries the gradients that they gathered on into these."""
        features = self.encode(images, shown)
        cut = replace(features, maps=[entry.detach().requires_grad_() for entry in features.maps])

        def carry_on() -> None:
            maps = list(zip(features.maps, cut.maps, strict=True))
            reached = [(entry, leaf.grad) for entry, leaf in maps if leaf.grad is not None]  # a depth may lack latents
            torch.autograd.backward([entry for entry, _ in reached], [gradient for _, gradient in reached])

        return cut, carry_on

    def losses(
        self,
        batch: Batch,
        shown_per_draw: ShownPerDraw,
        noise: Noise,
        objective: Objective,
        encoding: Features | None = None,
    ) -> Outcome:
        """Return reconstruction and divergence (method section 7), means over draws and rows, and the images (draw, b, m, h, w).

        Everything observed counts in the reconstruction, also what was not shown: that makes the posterior estimate what it does not see.
        """
        wanted = torch.ones_like(batch.observed) if objective.unobserved else batch.observed
        # No gradient of an error is finite where a target is not, not even one that counts for nothing.
        targets = torch.where(batch.observed[:, :, None, None], batch.targets, -1.0)
        weight = torch.where(batch.label[:, None], objective.label_weight, 1.0)
        features = self.encode(batch.images, shown_per_draw.any(0)) if encoding is None else encoding
        images, errors, divergences = [], [], dict[int, list[Tensor]]()
        for shown in shown_per_draw:
            divergence = dict[int, Tensor]()

            def visit(level: Level, shown: Tensor = shown, divergence: dict[int, Tensor] = divergence) -> None:
                divergence[level.number] = self._divergence(level, shown).flatten(1).sum(1).mean()

            finest = self.descend(features, shown, 1.0, noise, visit)
            drawn = self._wanted_images(finest, wanted)
            images.append(masked(drawn, shown_foreground(batch.foreground, shown)))
            error = objective.error(targets, images[-1]) * weight
            errors.append(mean_over_observed(error, batch.observed))
            for number, nats in divergence.items():
                divergences.setdefault(number, []).append(nats)
        pixels = batch.targets[0].numel()  # N M: the divergence is counted per pixel and modality
        per_level = {number: torch.stack(nats).mean() / pixels for number, nats in divergences.items()}
        terms = {
            "reconstruction": torch.stack(errors).mean(),
            "divergence": objective.kl_weight
            * torch.stack([objective.level_weight(number) * nats for number, nats in per_level.items()]).sum(),
        }
        return Outcome(terms, torch.stack(images), {number: nats.detach() for number, nats in per_level.items()})

    def _descent(self) -> list[Step]:
        """Return the steps from the second coarsest level to the finest (a ModuleList does not know its members' type)."""
        return [step for step in self.steps if isinstance(step, Step)]

    def _wanted_images(self, finest: Tensor, wanted: Tensor) -> Tensor:
        """Return (b, m, h, w) images from the finest latent, each head run only on the rows that want it; -1 elsewhere."""
        planes = []
        for number, head in enumerate(self.heads):
            row = wanted[:, number].nonzero()[:, 0]
            size = [side * self.settings.unshuffle for side in finest.shape[-2:]]
            plane = finest.new_full((len(finest), *size), -1.0)
            planes.append(
                plane.index_copy(0, row, head(finest.index_select(0, row)).to(plane.dtype)) if len(row) else plane
            )
        return torch.stack(planes, dim=1)

    def _spread(self, emitted: Tensor, features: Features, shown: Tensor) -> DiagonalGaussian:
        """Return the packed experts unpacked to (b, m, *latent); zeros where nothing was encoded."""
        distribution = as_gaussian(emitted, self.settings.soft_limit)
        packed = DiagonalGaussian(distribution.mean, distribution.log_variance + self.settings.expert_log_variance)
        empty = packed.mean.new_zeros(*shown.shape, *packed.mean.shape[1:])
        index = (features.row, features.modality)
        return DiagonalGaussian(empty.index_put(index, packed.mean), empty.index_put(index, packed.log_variance))

    def _draw_level(
        self, level: Level, temperature: float, noise: Noise | None, visit: Callable[[Level], None]
    ) -> Tensor:
        visit(level)
        mean = level.posterior.mean
        epsilon = noise(level.number, tuple(mean.shape)) if noise is not None and temperature > 0 else None
        return draw(self._drawn_from(level), epsilon, temperature)

    def _drawn_from(self, level: Level) -> DiagonalGaussian:
        """Return the distribution that a level's latent is drawn from."""
        return level.posterior

    def _divergence(self, level: Level, shown: Tensor) -> Tensor:
        """Return KL[posterior || prior] of a level in nats, element by element."""
        return divergence_from_prior(level.prior, level.experts, shown)

    def _check_size(self, images: Tensor) -> None:
        size = tuple(images.shape[-2:])
        if self.fixed_size is not None and size != self.fixed_size:
            raise ValueError(f"this model takes slices of {self.fixed_size} pixels, not {size}: pad or crop them")
        if any(side % self.stride for side in size):
            raise ValueError(f"slices of {size} pixels do not divide by {self.stride}: pad or crop them")

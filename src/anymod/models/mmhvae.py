"""MMHVAE: a hierarchical VAE whose posterior, at every level, is the prior times one expert per shown modality.

Generative: z_L ~ N(0, I), z_l ~ p(z_l | z_{l+1}), x_m = f_m(z_1) (method, eqs. 4 to 6; Dorent et al., arXiv 2410.19378). Only z travels
down where a level carries latents (deviation A8). Encoders and image heads belong to a modality, everything else is shared.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator, Sequence
from dataclasses import dataclass, replace
from functools import cached_property
from typing import Protocol, runtime_checkable

import torch
from torch import Tensor, nn
from torch.nn.functional import pixel_unshuffle

from anymod.core.batch import Batch
from anymod.core.experts import Product, product_of_experts
from anymod.core.foregrounds import masked, shown_foreground
from anymod.core.gaussians import DiagonalGaussian, standard_gaussian
from anymod.core.noise import MEAN, Draw, Noise
from anymod.core.objectives import mean_over_observed
from anymod.models.guide import Guide, Surroundings
from anymod.models.interface import Draws, InputSpec, Losses, Network, Part, Run, Synthesizes
from anymod.models.levels import PRODUCT_OF_EXPERTS, Fusion, Level
from anymod.models.mmhvae_graphs import Assembled, WholeGraph, make_part
from anymod.models.mmhvae_settings import MMHVAEObjective, MMHVAESettings
from anymod.models.realistic import IMAGE_LEVEL, RealisticFlow, Start, with_flow
from anymod.nn.cells import DecoderCell, ModalityEncoder, Upsample
from anymod.nn.heads import ExpertHead, ImageHead, PriorHead, VectorTop, as_gaussian, scale_means
from anymod.types import Images, Shown, TargetPlanes

MOST_MODALITIES = 16


@runtime_checkable  # as tests check types at run time
class Maps(Protocol):
    """Maps of the encoded images, one a depth, finest first, in which n images lie in some order."""

    @property
    def maps(self) -> list[Tensor]:
        """The maps (n, c, h, w)."""
        ...

    def beside(self, rows: Tensor) -> Tensor:
        """Return values of the rows (b, ...) beside the maps of their images: (n, ...)."""
        ...

    def by_row(self, values: Tensor) -> Tensor:
        """Return values (n, ...) of the images as (b, m, ...); anything where an image is hidden."""
        ...


@dataclass(frozen=True)
class Encoded:
    """The encoded images, packed: entry i of every map belongs to `row[i]` and `modality[i]`."""

    network: MMHVAE
    maps: list[Tensor]
    row: Tensor
    modality: Tensor
    shown: Tensor
    images: Tensor

    @cached_property
    def surroundings(self) -> Surroundings:
        """What a guide sees."""
        return Surroundings.of(self.images, self.shown)

    def select(self, shown: Tensor) -> Encoded:
        """Return only what `shown` (b, m) shows; raise ValueError where it was not encoded or a row shows nothing."""
        if not bool(shown.any(1).all()):
            raise ValueError("every row must show at least one modality")
        keep = shown[self.row, self.modality]
        if int(keep.sum()) != int(shown.sum()):
            raise ValueError("an image is shown that was not encoded")
        if bool(keep.all()):
            return self
        return replace(
            self,
            maps=[entry[keep] for entry in self.maps],
            row=self.row[keep],
            modality=self.modality[keep],
            shown=shown,
        )

    def beside(self, rows: Tensor) -> Tensor:
        """See `Maps`."""
        # index_select, not rows[self.row]: on several threads the gradient of indexing adds equal rows in any order.
        return rows.index_select(0, self.row)

    def by_row(self, values: Tensor) -> Tensor:
        """See `Maps`."""
        empty = values.new_zeros(*self.shown.shape, *values.shape[1:])
        return empty.index_put((self.row, self.modality), values)

    def decode(self, shown: Shown, targets: Sequence[int], draw: Draw) -> TargetPlanes:
        """See `Encoding`."""
        finest = self.network.descend(self.select(shown), shown, draw)
        planes = torch.stack([self.network.heads[target](finest) for target in targets], dim=1)
        if self.network.guide is not None:
            planes = self.network.guide.mixed(planes, self.surroundings, shown, targets)
        if not draw.realistic:
            return planes
        return with_flow(self.network.flow).images(planes, self.images, shown, targets, draw)

    def cut(self) -> Encoded:
        """Return the same maps as leaves, in which gradients gather."""
        return replace(self, maps=[entry.detach().requires_grad_() for entry in self.maps])

    def backward(self, leaves: Encoded) -> None:
        """Carry the gradients that gathered in `leaves` on into the encoders."""
        pairs = zip(self.maps, leaves.maps, strict=True)
        reached = [(entry, leaf.grad) for entry, leaf in pairs if leaf.grad is not None]  # a depth may lack latents
        if reached:
            torch.autograd.backward([entry for entry, _ in reached], [gradient for _, gradient in reached])


class Step(nn.Module):
    """One step down: twice the size, a residual cell and, where the level carries latents, the heads of its distributions."""

    def __init__(self, channels_in: int, channels: int, expansion: int, *, has_latents: bool) -> None:
        super().__init__()
        self.upsample = Upsample(channels_in, channels)
        self.cell = DecoderCell(channels, expansion)
        self.prior = PriorHead(channels) if has_latents else None
        self.expert: ExpertHead | None = ExpertHead(2 * channels, channels) if has_latents else None


class MMHVAE(Network):
    """The hierarchical mixture of products of experts, for 1 to 16 modalities."""

    def __init__(
        self,
        modalities: Sequence[str],
        settings: MMHVAESettings,
        objective: MMHVAEObjective | None = None,
        fusion: Fusion = PRODUCT_OF_EXPERTS,
    ) -> None:
        super().__init__()
        if not 1 <= len(modalities) <= MOST_MODALITIES or len(set(modalities)) != len(modalities):
            raise ValueError(f"between 1 and {MOST_MODALITIES} different modalities are needed")
        self.settings, self.objective, self.fusion = settings, objective or MMHVAEObjective(), fusion
        size, widths = settings.image_size, settings.widths
        fixed_size = size if settings.top == "vector" else None
        self.spec = InputSpec(tuple(modalities), size, settings.context_slices, settings.stride, fixed_size)
        channels_in = self.spec.channels * settings.unshuffle**2
        self.encoders = nn.ModuleList(ModalityEncoder(channels_in, widths) for _ in modalities)
        coarsest = (size[0] // settings.stride, size[1] // settings.stride)
        self.top = (
            VectorTop(widths[-1], coarsest, 2 * widths[-1])
            if settings.top == "vector"
            else ExpertHead(widths[-1], widths[-1])
        )
        self.steps = nn.ModuleList()
        coming = widths[-1] if settings.top == "vector" else widths[-1] // 2
        for depth in reversed(range(len(widths) - 1)):
            has_latents = depth + 1 in settings.levels
            self.steps.append(Step(coming, widths[depth], settings.expansion, has_latents=has_latents))
            coming = widths[depth] // 2 if has_latents else widths[depth]
        self.heads = nn.ModuleList(
            ImageHead(coming, settings.head_channels, settings.head_blocks, settings.head_kernel, settings.unshuffle)
            for _ in modalities
        )
        self.guide = Guide(modalities, settings.guide_shares) if settings.guide_shares else None
        self.flow: RealisticFlow | None = None
        if settings.realistic is not None:
            self.flow = RealisticFlow(len(modalities), settings.realistic)
        scale_means(self.top.emit, settings.expert_gain)
        for step in self._steps_down():
            if step.expert is not None:
                scale_means(step.expert.emit, settings.expert_gain)

    def encode(self, images: Images, shown: Shown) -> Encoded:
        """Return the maps of the shown images."""
        self.spec.check(images)
        packed, rows, numbers = [], [], []
        for number, encoder in enumerate(self.encoders):
            row = shown[:, number].nonzero()[:, 0]
            if len(row):
                packed.append(encoder(pixel_unshuffle(images[row, number], self.settings.unshuffle)))
                rows.append(row)
                numbers.append(torch.full_like(row, number))
        if not packed:
            raise ValueError("at least one image must be shown")
        maps = [torch.cat(depth) for depth in zip(*packed, strict=True)]
        return Encoded(self, maps, torch.cat(rows), torch.cat(numbers), shown, images)

    def descend(
        self,
        images: Maps,
        shown: Tensor,
        draw: Callable[[int, DiagonalGaussian], Tensor],
        product: Product = product_of_experts,
        visit: Callable[[Level], None] = lambda level: None,
    ) -> Tensor:
        """Draw z_L to z_1 from the posterior given `shown` (b, m) and return the map that the image heads see.

        `draw` makes a latent (b, *latent) of a level's number and posterior; `product` fuses experts; `visit` sees each level.
        """
        fuse = self.fusion.adapt(product)

        def latent(number: int, prior: DiagonalGaussian | None, emitted: Tensor) -> Tensor:
            experts = self._experts(emitted, images)
            prior = standard_gaussian(experts.mean[:, 0]) if prior is None else prior
            level = Level(number, prior, experts, fuse(prior, experts, shown))
            visit(level)
            return draw(number, level.posterior)

        coarsest = len(self.settings.widths)
        h = latent(coarsest, None, self.top(images.maps[-1]))
        if isinstance(self.top, VectorTop):
            h = self.top.to_map(h)
        for number, step in zip(range(coarsest - 1, 0, -1), self._steps_down(), strict=True):
            h = step.cell(step.upsample(h))
            if step.prior is not None and step.expert is not None:
                prior = self._gaussian(step.prior(h))
                h = latent(number, prior, step.expert.beside(h, images.maps[number - 1], images.beside))
        return h

    def see(self, batches: Iterable[Batch]) -> None:
        """See `Network`: fits the guide, which the losses of images know nothing of."""
        if self.guide is not None and self.objective.learn == "images":
            self.guide.fit(batches)

    def losses(self, batch: Batch, draws: Draws) -> Iterator[Losses]:
        """Yield reconstruction and divergence of each draw (method, section 7), means over rows.

        Everything observed counts in the reconstruction, also what was not shown: that makes the posterior estimate what it does not see.
        A hidden target counts only inside its own foreground (deviation T15). Where the objective is to learn realistic images, the only
        term is that of the flow, for hidden targets, and the rest of the network gets no gradients.
        """
        if self.objective.learn == "realistic":
            yield from self._realistic_losses(batch, draws)
            return
        encoded = self.encode(batch.images, draws.shown.any(0))
        leaves = encoded.cut()
        for shown, noise in zip(draws.shown, draws.noises, strict=True):
            yield self._losses_of_draw(leaves.select(shown), batch, shown, noise, draws)
        encoded.backward(leaves)

    def _losses_of_draw(self, encoded: Encoded, batch: Batch, shown: Shown, noise: Noise, draws: Draws) -> Losses:
        objective, nats = self.objective, dict[int, Tensor]()
        pixels = batch.targets[0].numel()  # N M: the divergence is counted per pixel and modality

        def visit(level: Level) -> None:
            nats[level.number] = self.fusion.divergence(level, shown).flatten(1).sum(1).mean() / pixels

        finest = self.descend(encoded, shown, Draw(1.0, noise), visit=visit)
        images = masked(self._wanted_images(finest, draws.wanted), shown_foreground(batch.foreground, shown))
        # No gradient of an error is finite where a target is not, not even one that counts for nothing.
        targets = torch.where(batch.observed[:, :, None, None], batch.targets_of(shown), -1.0)
        counts = batch.foreground | shown[:, :, None, None]
        error = (
            objective.error(targets, images, shown)
            * torch.where(batch.label[:, None], objective.label_weight, 1.0)
            * counts
        )
        weighted = torch.stack([objective.level_weight(number) * value for number, value in nats.items()]).sum()
        terms = {
            "reconstruction": mean_over_observed(error, batch.observed),
            "divergence": objective.kl_weight_at(draws.step) * weighted,
        }
        return Losses(terms, images, {f"nats_level_{number}": value.detach() for number, value in nats.items()})

    def _realistic_losses(self, batch: Batch, draws: Draws) -> Iterator[Losses]:
        flow = with_flow(self.flow)
        with torch.no_grad():
            encoded = self.encode(batch.images, draws.shown.any(0))
        for shown, noise in zip(draws.shown, draws.noises, strict=True):
            inside = shown_foreground(batch.foreground, shown)
            with torch.no_grad():
                images = self._wanted_images(self.descend(encoded.select(shown), shown, MEAN), draws.wanted)
                if self.guide is not None:
                    mixed = self.guide.mixed(images, encoded.surroundings, shown, range(len(self.heads)))
                    images = torch.where(draws.wanted[:, :, None, None], mixed, images)
                images = masked(images, inside)
            row, target = (batch.observed & ~shown).nonzero(as_tuple=True)
            start = Start.of(images[row, target], batch.images[row], shown[row], target)
            normal, at = noise(IMAGE_LEVEL, tuple(images.shape)), noise(IMAGE_LEVEL, tuple(batch.observed.shape))
            time = torch.special.ndtr(at)[row, target]  # uniform between 0 and 1
            known = batch.foreground[row, target] & inside[row]
            if len(row):
                errors = flow.errors(start, batch.targets[row, target], known, normal[row, target], time)
                term = errors.sum() / len(images)  # a mean over rows, as every term: processes share them
            else:  # 0, with a gradient, as every step has one
                term = torch.stack([parameter.sum() for parameter in flow.parameters()]).sum() * 0.0
            yield Losses({"realistic": term}, images)

    def graph(self) -> nn.Module:
        """Return one graph for every subset, its weight normalization folded."""
        return WholeGraph(self)

    def part(self, name: str) -> Part:
        """Return `encoder-0` .. `encoder-M-1`, `descent` (from maps to the finest latent), `head-0` .. `head-M-1`."""
        return make_part(self, name)

    def assembled(self, run: Callable[[str], Run]) -> Synthesizes:
        """Return a model that runs the descent, and the encoders and heads it needs."""
        return Assembled(self.spec, self.settings, run, self.guide, self.flow)

    def _steps_down(self) -> list[Step]:
        """Return the steps from the second coarsest level to the finest (a ModuleList does not know its members' type)."""
        return [step for step in self.steps if isinstance(step, Step)]

    def _wanted_images(self, finest: Tensor, wanted: Tensor) -> Tensor:
        """Return (b, m, h, w) images from the finest latent, each head run only on the rows that want it; -1 elsewhere."""
        size = [side * self.settings.unshuffle for side in finest.shape[-2:]]
        planes = []
        for number, head in enumerate(self.heads):
            row = wanted[:, number].nonzero()[:, 0]
            plane = finest.new_full((len(finest), *size), -1.0)
            planes.append(
                plane.index_copy(0, row, head(finest.index_select(0, row)).to(plane.dtype)) if len(row) else plane
            )
        return torch.stack(planes, dim=1)

    def _experts(self, emitted: Tensor, images: Maps) -> DiagonalGaussian:
        """Return the experts (b, m, *latent) from what a head emitted for the images (n, *twice the latent)."""
        packed = self._gaussian(emitted)
        log_variance = packed.log_variance + self.settings.expert_log_variance
        return DiagonalGaussian(images.by_row(packed.mean), images.by_row(log_variance))

    def _gaussian(self, emitted: Tensor) -> DiagonalGaussian:
        return as_gaussian(emitted, self.settings.soft_limit, self.fusion.log_variance_per_output)

"""An MMHVAE as graphs for export: in one piece with a mask, or in parts of which only those are run that are needed."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from functools import cached_property
from typing import TYPE_CHECKING, Any

import numpy as np
import torch
from torch import Tensor, nn
from torch.nn.functional import pixel_unshuffle
from torch.nn.utils import parametrize

from anymod.arrays import Array
from anymod.core.experts import product_by_sums
from anymod.core.gaussians import DiagonalGaussian
from anymod.core.noise import Draw
from anymod.models.guide import Guide, Surroundings
from anymod.models.interface import InputSpec, Part, Run
from anymod.models.mmhvae_settings import MMHVAESettings
from anymod.models.realistic import RealisticFlow, with_flow
from anymod.types import Images, Shown, TargetPlanes

if TYPE_CHECKING:
    from anymod.models.mmhvae import MMHVAE

MOST_ROWS, MOST_SIDE = 1024, 256  # of a batch; of a side, in strides


def without_weight_norm(model: MMHVAE) -> MMHVAE:
    """Return the same network with its weight normalization folded into its weights; the model itself stays as it is."""
    # Built anew: a copy would share the classes that folding changes.
    settings = model.settings.model_copy(update={"realistic": None})
    folded = type(model)(model.spec.modalities, settings, model.objective, model.fusion)
    weights = {name: weight for name, weight in model.state_dict().items() if not name.startswith("flow.")}
    folded.to(next(model.parameters()).dtype).load_state_dict(weights)
    for module in list(folded.modules()):
        if parametrize.is_parametrized(module, "weight"):
            parametrize.remove_parametrizations(module, "weight")
    return folded.eval().requires_grad_(False)


class EncoderGraph(nn.Module):
    """Images of one modality (b, c, h, w) -> its maps, finest first."""

    def __init__(self, folded: MMHVAE, number: int) -> None:
        super().__init__()
        self.encoder, self.unshuffle = folded.encoders[number], folded.settings.unshuffle

    def forward(self, images: Tensor) -> list[Tensor]:
        """Return one map (b, width, h / 2^d, w / 2^d) for each depth d."""
        return self.encoder(pixel_unshuffle(images, self.unshuffle))


@dataclass(frozen=True)
class Dense:
    """Maps of k images in every row, one row after the other; shown (b, k)."""

    maps: list[Tensor]
    shown: Tensor

    def beside(self, rows: Tensor) -> Tensor:
        """Return values of the rows (b, ...), repeated for each image: (b k, ...)."""
        return rows[:, None].expand(-1, self.shown.shape[1], *(-1,) * (rows.dim() - 1)).flatten(0, 1)

    def by_row(self, values: Tensor) -> Tensor:
        """Return values (b k, ...) as (b, k, ...)."""
        return values.reshape(-1, self.shown.shape[1], *values.shape[1:])


class DecoderGraph(nn.Module):
    """(maps (b, k, width, h, w) for each depth, finest first; shown (b, k)) -> what the image heads see, (b, c, h, w).

    Two more inputs draw: the temperature, and noise for each level that carries latents, coarsest first. Without them: the mean.
    """

    def __init__(self, folded: MMHVAE) -> None:
        super().__init__()
        self.model = folded

    def forward(
        self, maps: list[Tensor], shown: Tensor, temperature: Tensor | None = None, noise: Sequence[Tensor] = ()
    ) -> Tensor:
        """Return the finest latent, or the map where the finest level carries none."""
        left = list(noise)

        def draw(number: int, posterior: DiagonalGaussian) -> Tensor:
            if temperature is None:
                return posterior.mean
            return posterior.mean + temperature * posterior.standard_deviation * left.pop(0)

        images = Dense([each.flatten(0, 1) for each in maps], shown)
        return self.model.descend(images, shown, draw, product_by_sums)


class WholeGraph(nn.Module):
    """(images (b, m, c, h, w), shown (b, m) bool) -> images (b, m, h, w) in (-1, 1), at temperature 0, not masked.

    Every image is encoded, also a hidden one, so that one graph serves every subset.
    """

    def __init__(self, model: MMHVAE) -> None:
        super().__init__()
        folded = without_weight_norm(model)
        self.encoders = nn.ModuleList(EncoderGraph(folded, number) for number in range(len(folded.encoders)))
        self.decoder = DecoderGraph(folded)
        self.heads, self.guide = folded.heads, folded.guide

    def forward(self, images: Tensor, shown: Tensor) -> Tensor:
        """Return every modality's image."""
        images = torch.where(shown[:, :, None, None, None], images, -1.0)
        maps = [encoder(images[:, number]) for number, encoder in enumerate(self.encoders)]
        finest = self.decoder([torch.stack(each, dim=1) for each in zip(*maps, strict=True)], shown)
        made = torch.stack([head(finest) for head in self.heads], dim=1)
        if self.guide is None:
            return made
        return self.guide.mixed(made, Surroundings.of(images, shown), shown, range(len(self.heads)))


def make_part(model: MMHVAE, name: str) -> Part:
    """Return a part of the network, every size left open that can be."""
    network, (kind, _, number) = without_weight_norm(model), name.partition("-")
    spec, settings, rows = network.spec, network.settings, torch.export.Dim("batch", min=1, max=MOST_ROWS)
    sides = {} if spec.fixed_size else {side: torch.export.Dim(side, min=2, max=MOST_SIDE) for side in ("high", "wide")}

    def sizes(axis: int, strides: int) -> dict[int, Any]:
        return {0: rows} | {axis + place: strides * side for place, side in enumerate(sides.values())}

    images = spec.random_images(2, torch.Generator().manual_seed(0))[:, 0]
    if kind == "encoder":
        return Part(EncoderGraph(network, int(number)), (images,), (sizes(2, spec.stride),))
    folds = spec.stride // settings.unshuffle
    maps = EncoderGraph(network, 0)(images)
    if kind == "head":
        finest = DecoderGraph(network)([each[:, None] for each in maps], torch.ones(2, 1, dtype=torch.bool))
        return Part(network.heads[int(number)], (finest,), (sizes(2, folds),))
    several = torch.export.Dim("shown", min=1, max=16)
    joined = [torch.stack([each, each, each], dim=1) for each in maps]
    open_maps = [sizes(3, folds // 2**depth) | {1: several} for depth in range(len(joined))]
    shapes = latent_shapes(settings, joined[0].shape)
    noise = [torch.randn(shape, generator=torch.Generator().manual_seed(0)) for shape in shapes.values()]
    open_noise = [
        {0: rows} if len(shape) == 2 else sizes(2, folds // 2 ** (level - 1)) for level, shape in shapes.items()
    ]
    return Part(
        DecoderGraph(network),
        (joined, torch.ones(2, 3, dtype=torch.bool), torch.tensor(0.7), noise),
        (open_maps, {0: rows, 1: several}, None, open_noise),
    )


def latent_shapes(settings: MMHVAESettings, finest: Sequence[int]) -> dict[int, tuple[int, ...]]:
    """Return the shape of the latent of each level that carries one, coarsest first, from that of the finest maps (b, k, c, h, w)."""
    rows, _, _, height, width = finest
    shapes: dict[int, tuple[int, ...]] = {}
    for level in reversed(settings.levels):
        coarser, channels = 2 ** (level - 1), settings.widths[level - 1]
        shapes[level] = (rows, channels // 2, height // coarser, width // coarser)
        if level == len(settings.widths) and settings.top == "vector":
            shapes[level] = (rows, 2 * channels)
    return shapes


@dataclass(frozen=True)
class Assembled:
    """An MMHVAE computed by the parts of `make_part`, which `run` returns by name."""

    spec: InputSpec
    settings: MMHVAESettings
    run: Callable[[str], Run]
    guide: Guide | None = None
    flow: RealisticFlow | None = None
    """Computed by torch, as the guide is, whatever runs the rest."""

    def encode(self, images: Images, shown: Shown) -> AssembledEncoding:
        """Return the maps of what any row shows."""
        self.spec.check(images)
        values = torch.where(shown[:, :, None, None, None], images, -1.0).numpy()
        some = shown.any(0).nonzero()[:, 0].tolist()
        return AssembledEncoding(
            self, {number: self.run(f"encoder-{number}")(values[:, number]) for number in some}, shown, images
        )

    def noise(self, draw: Draw, finest: Sequence[int]) -> list[Array]:
        """Return the noise of every level that carries latents, coarsest first; zeros for the mean."""
        shapes = latent_shapes(self.settings, finest)
        if draw.temperature == 0:
            return [np.zeros(shape, np.float32) for shape in shapes.values()]
        if draw.noise is None:
            raise ValueError("a draw needs noise")
        return [draw.noise(level, shape).expand(shape).contiguous().numpy() for level, shape in shapes.items()]


@dataclass(frozen=True)
class AssembledEncoding:
    """Maps (b, ...) of each modality that any row shows, finest first."""

    model: Assembled
    maps: dict[int, list[Array]]
    shown: Tensor
    images: Tensor

    @cached_property
    def surroundings(self) -> Surroundings:
        """What a guide sees."""
        return Surroundings.of(self.images, self.shown)

    def decode(self, shown: Shown, targets: Sequence[int], draw: Draw) -> TargetPlanes:
        """See `Encoding`."""
        if not bool(shown.any(1).all()):
            raise ValueError("every row must show at least one modality")
        if bool((shown & ~self.shown).any()):
            raise ValueError("an image is shown that was not encoded")
        some = shown.any(0).nonzero()[:, 0].tolist()
        depths = zip(*(self.maps[number] for number in some), strict=True)
        inputs = [*(np.stack(maps, axis=1) for maps in depths), shown[:, some].numpy()]
        inputs += [np.array(draw.temperature, np.float32), *self.model.noise(draw, inputs[0].shape)]
        finest = self.model.run("descent")(*inputs)[0]
        planes = [self.model.run(f"head-{target}")(finest)[0] for target in targets]
        means = torch.from_numpy(np.stack(planes, axis=1))
        if self.model.guide is not None:
            means = self.model.guide.mixed(means, self.surroundings, shown, targets)
        return with_flow(self.model.flow).images(means, self.images, shown, targets, draw) if draw.realistic else means

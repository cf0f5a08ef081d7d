"""An MMHVAE as fixed graphs, for export: in one piece with a mask, or in parts of which only those are run that are needed."""

from __future__ import annotations

from collections.abc import Callable, Sequence

import torch
from torch import Tensor, nn
from torch.nn.functional import pixel_unshuffle
from torch.nn.utils import parametrize

from anymod.core.gaussians import DiagonalGaussian, standard_gaussian
from anymod.models.mmhvae import MMHVAE, Level, Step
from anymod.nn.heads import ExpertHead, VectorTop, as_gaussian


def without_weight_norm(model: MMHVAE) -> MMHVAE:
    """Return the same network with its weight normalization folded into its weights; the model itself stays as it is."""
    # Built anew: a copy would share the classes that folding changes.
    folded = type(model)(model.modalities, model.settings).to(next(model.parameters()).dtype)
    folded.load_state_dict(model.state_dict())
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


class DecoderGraph(nn.Module):
    """(maps (b, k, width, h, w) for each depth, finest first; shown (b, k)) -> what the image heads see, (b, c, h, w).

    With `draws` two more inputs: the temperature, and noise for each level that carries latents, coarsest first; else the mean.
    """

    def __init__(self, folded: MMHVAE, *, draws: bool = False) -> None:
        super().__init__()
        self.model, self.draws = folded, draws

    def forward(
        self, maps: list[Tensor], shown: Tensor, temperature: Tensor | None = None, noise: Sequence[Tensor] = ()
    ) -> Tensor:
        """Return the finest latent, or the map where the finest level carries none."""
        model, left = self.model, list(noise)
        experts = self._experts(model.top(maps[-1].flatten(0, 1)), shown)
        h = self._drawn(len(maps), standard_gaussian(experts.mean[:, 0]), experts, shown, temperature, left)
        if isinstance(model.top, VectorTop):
            h = model.top.to_map(h)
        for number, step in zip(range(len(maps) - 1, 0, -1), model.steps, strict=True):
            if not isinstance(step, Step):
                raise TypeError("not a step")
            h = step.cell(step.upsample(h))
            if step.prior is not None and isinstance(step.expert, ExpertHead):
                prior = as_gaussian(step.prior(h), model.settings.soft_limit)
                experts = self._experts(
                    step.expert.beside(h, maps[number - 1].flatten(0, 1), self._repeat(shown)), shown
                )
                h = self._drawn(number, prior, experts, shown, temperature, left)
        return h

    @staticmethod
    def _repeat(shown: Tensor) -> Callable[[Tensor], Tensor]:
        """Return what repeats rows (b, c, h, w) for each of the k modalities: (b k, c, h, w)."""
        return lambda rows: rows[:, None].expand(-1, shown.shape[1], -1, -1, -1).flatten(0, 1)

    def _experts(self, emitted: Tensor, shown: Tensor) -> DiagonalGaussian:
        """Return the distributions (b, k, *latent) of what a head emitted (b k, *twice the latent)."""
        distribution = as_gaussian(emitted, self.model.settings.soft_limit)
        shape = (-1, shown.shape[1], *distribution.mean.shape[1:])
        log_variance = distribution.log_variance + self.model.settings.expert_log_variance
        return DiagonalGaussian(distribution.mean.reshape(shape), log_variance.reshape(shape))

    def _drawn(
        self,
        number: int,
        prior: DiagonalGaussian,
        experts: DiagonalGaussian,
        shown: Tensor,
        temperature: Tensor | None,
        noise: list[Tensor],
    ) -> Tensor:
        """Return the mean of the product of experts (method, eq. 14), or a draw from it.

        Log-variances are softly limited, so that no precision overflows: plain sums, of which engines make fewer passes over memory.
        """
        hidden = shown.reshape(*shown.shape, *(1,) * (experts.mean.dim() - 2)).to(experts.mean.dtype)
        precision = experts.precision * hidden
        total = prior.precision + precision.sum(1)
        mean = (prior.precision * prior.mean + (precision * experts.mean).sum(1)) / total
        if temperature is None:
            return mean
        distribution = self.model._drawn_from(Level(number, prior, experts, DiagonalGaussian(mean, -total.log())))
        return mean + temperature * distribution.standard_deviation * noise.pop(0)


class Graph(nn.Module):
    """(images (b, m, c, h, w), shown (b, m) bool) -> images (b, m, h, w) in (-1, 1), at temperature 0, not masked.

    The same numbers as `MMHVAE.synthesize`, which encodes only what is shown and so cannot be one graph for every subset. What lies in
    an image that is not shown changes nothing as long as it is finite.
    """

    def __init__(self, model: MMHVAE) -> None:
        super().__init__()
        folded = without_weight_norm(model)
        self.encoders = nn.ModuleList(EncoderGraph(folded, number) for number in range(len(folded.modalities)))
        self.decoder = DecoderGraph(folded)
        self.heads = folded.heads

    def forward(self, images: Tensor, shown: Tensor) -> Tensor:
        """Return every modality's image."""
        images = torch.where(shown[:, :, None, None, None], images, -1.0)
        maps = [encoder(images[:, number]) for number, encoder in enumerate(self.encoders)]
        finest = self.decoder([torch.stack(each, dim=1) for each in zip(*maps, strict=True)], shown)
        return torch.stack([head(finest) for head in self.heads], dim=1)

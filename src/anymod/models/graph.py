"""An MMHVAE as one fixed graph, for export: every modality is encoded, and a mask takes out what is not shown."""

from __future__ import annotations

import torch
from torch import Tensor, nn
from torch.nn.functional import pixel_unshuffle
from torch.nn.utils import parametrize

from anymod.core.experts import product_of_experts
from anymod.core.gaussians import DiagonalGaussian, standard_gaussian
from anymod.models.mmhvae import MMHVAE, Step
from anymod.nn.heads import VectorTop, as_gaussian


class Graph(nn.Module):
    """(images (b, m, c, h, w), shown (b, m) bool) -> images (b, m, h, w) in (-1, 1), at temperature 0, not masked.

    The same numbers as `MMHVAE.synthesize`, which encodes only what is shown and so cannot be one graph for every subset. What lies in
    an image that is not shown changes nothing as long as it is finite.
    """

    def __init__(self, model: MMHVAE) -> None:
        super().__init__()
        # Built anew: a copy would share the classes that folding the weight normalization changes.
        dtype = next(model.parameters()).dtype
        self.model = type(model)(model.modalities, model.settings).to(dtype).eval().requires_grad_(False)
        self.model.load_state_dict(model.state_dict())
        for module in list(self.model.modules()):
            if parametrize.is_parametrized(module, "weight"):
                parametrize.remove_parametrizations(module, "weight")

    def forward(self, images: Tensor, shown: Tensor) -> Tensor:
        """Return every modality's image."""
        model = self.model
        images = torch.where(shown[:, :, None, None, None], images, -1.0)
        maps = [
            encoder(pixel_unshuffle(images[:, number], model.settings.unshuffle))
            for number, encoder in enumerate(model.encoders)
        ]
        depths = [torch.stack(each, dim=1) for each in zip(*maps, strict=True)]
        experts = self._experts(model.top, depths[-1])
        prior = standard_gaussian(experts.mean[:, 0])
        z = product_of_experts(prior, experts, shown).mean
        h = model.top.to_map(z) if isinstance(model.top, VectorTop) else z
        for number, step in zip(range(len(depths) - 1, 0, -1), model.steps, strict=True):
            h = self._down(step, h, depths[number - 1], shown)
        return torch.stack([head(h) for head in model.heads], dim=1)

    def _down(self, step: nn.Module, h: Tensor, maps: Tensor, shown: Tensor) -> Tensor:
        """Return the mean of the level's posterior, or the map itself where the level has no latents."""
        if not isinstance(step, Step):
            raise TypeError("not a step")
        h = step.cell(step.upsample(h))
        if step.prior is None or step.expert is None:
            return h
        prior = as_gaussian(step.prior(h), self.model.settings.soft_limit)
        joined = torch.cat([h[:, None].expand(-1, maps.shape[1], -1, -1, -1), maps], dim=2)
        return product_of_experts(prior, self._experts(step.expert, joined), shown).mean

    def _experts(self, head: nn.Module, maps: Tensor) -> DiagonalGaussian:
        """Return the laws (b, m, *latent) that a head emits from maps (b, m, c, h, w)."""
        law = as_gaussian(head(maps.flatten(0, 1)), self.model.settings.soft_limit)
        shape = (-1, maps.shape[1], *law.mean.shape[1:])
        log_variance = law.log_variance + self.model.settings.expert_log_variance
        return DiagonalGaussian(law.mean.reshape(shape), log_variance.reshape(shape))

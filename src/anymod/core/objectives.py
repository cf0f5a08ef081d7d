"""Terms of the training objective: likelihoods of observed images and least-squares adversarial losses (method, sections 4 to 7)."""

from __future__ import annotations

import torch
from jaxtyping import Bool, Float
from torch import Tensor


def mean_over_observed(
    error: Float[Tensor, "batch modality h w"], observed: Bool[Tensor, "batch modality"]
) -> Float[Tensor, ""]:
    """Return the mean over rows of the mean over their observed modalities of the mean over pixels (method, section 7).

    Values of `error` in modalities that are not observed, NaN included, have no effect.
    """
    per_image = error.mean(dim=(2, 3)).masked_fill(~observed, 0.0)
    return (per_image.sum(1) / observed.sum(1).clamp(min=1)).mean()


def absolute_error(image: Tensor, prediction: Tensor) -> Tensor:
    """Return |image - prediction|: a Laplace likelihood up to scale and constant (deviation T1, the authors' code)."""
    return (image - prediction).abs()


def squared_error(image: Tensor, prediction: Tensor) -> Tensor:
    """Return (image - prediction)^2: a Normal likelihood up to scale and constant (method, eq. 6, the paper's text)."""
    return (image - prediction).square()


def discriminator_loss(scores_of_real: list[Tensor], scores_of_fakes: list[Tensor]) -> Tensor:
    """Return E[(D(real) - 1)^2] + E[D(fake)^2], each averaged over modalities (method, eq. 15, least squares)."""
    real = torch.stack([(score - 1).square().mean() for score in scores_of_real]).mean()
    fake = torch.stack([score.square().mean() for score in scores_of_fakes]).mean()
    return real + fake


def adversarial_loss(scores_of_fakes: list[Tensor]) -> Tensor:
    """Return R_s = mean over modalities of E[(D(fake) - 1)^2], the model's adversarial loss (method, eq. 16)."""
    return torch.stack([(score - 1).square().mean() for score in scores_of_fakes]).mean()

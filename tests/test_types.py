"""The shapes in annotations are checked while pytest runs (and only then)."""

from __future__ import annotations

import pytest
import torch
from jaxtyping import TypeCheckError

from anymod.core.experts import product_of_experts
from anymod.core.gaussians import DiagonalGaussian


def test_a_wrong_shape_is_caught() -> None:
    prior = DiagonalGaussian(torch.zeros(2, 4), torch.zeros(2, 4))
    experts = DiagonalGaussian(torch.zeros(2, 3, 4), torch.zeros(2, 3, 4))
    with pytest.raises(TypeCheckError):
        product_of_experts(prior, experts, torch.ones(2, 3, 1, dtype=torch.bool))

"""The bundled network that judges how different two images look."""

from __future__ import annotations

from functools import lru_cache

import torch
from safetensors.torch import load_file
from torch import Tensor

from anymod.resources import LPIPS


@lru_cache(maxsize=2)
def lpips_weights(device: torch.device | str = "cpu") -> dict[str, Tensor]:
    """Return the weights of LPIPS (`anymod.core.perception`), float32."""
    return {name: tensor.float().to(device) for name, tensor in load_file(LPIPS).items()}

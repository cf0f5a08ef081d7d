"""Random draws as functions of (seed, stream name, step): nothing hidden, so a resumed run draws what the first would have."""

from __future__ import annotations

import hashlib
from typing import TYPE_CHECKING

import numpy as np

if TYPE_CHECKING:
    import torch


def derive_seed(seed: int, *stream: str | int) -> int:
    """Return a 63-bit seed that depends on every part of (seed, stream...), the same on every machine."""
    text = "/".join([str(int(seed)), *map(str, stream)])
    return int.from_bytes(hashlib.sha256(text.encode()).digest()[:8], "little") >> 1


def numpy_generator(seed: int, *stream: str | int) -> np.random.Generator:
    """Return NumPy's generator for one stream."""
    return np.random.default_rng(derive_seed(seed, *stream))


def torch_generator(seed: int, *stream: str | int, device: str | torch.device = "cpu") -> torch.Generator:
    """Return torch's generator for one stream."""
    import torch

    return torch.Generator(device=device).manual_seed(derive_seed(seed, *stream))

"""A U-Net whose blocks depend on a vector, such as a time and what is asked for (Ronneberger et al. 2015; Perez et al. 2018)."""

from __future__ import annotations

import math
from collections.abc import Sequence

import torch
from torch import Tensor, nn
from torch.nn.functional import interpolate, silu

NORM_GROUPS = 8
FREQUENCIES = 8


class ConditionedBlock(nn.Module):
    """x + conv(SiLU(scale * norm(conv(SiLU(norm(x)))) + shift)), scale and shift from the vector; the sum is x at first."""

    def __init__(self, coming: int, going: int, condition: int) -> None:
        super().__init__()
        self.enter_norm, self.norm = nn.GroupNorm(NORM_GROUPS, coming), nn.GroupNorm(NORM_GROUPS, going)
        self.first, self.second = nn.Conv2d(coming, going, 3, padding=1), nn.Conv2d(going, going, 3, padding=1)
        self.modulate = nn.Linear(condition, 2 * going)
        self.skip = nn.Conv2d(coming, going, 1) if coming != going else nn.Identity()
        nn.init.zeros_(self.second.weight)
        nn.init.zeros_(self.second.bias) if self.second.bias is not None else None

    def forward(self, x: Tensor, condition: Tensor) -> Tensor:
        """Return maps (b, going, h, w) of maps (b, coming, h, w) and vectors (b, condition)."""
        scale, shift = self.modulate(condition)[:, :, None, None].chunk(2, dim=1)
        h = self.norm(self.first(silu(self.enter_norm(x))))
        return self.skip(x) + self.second(silu(h * (1 + scale) + shift))


class UNet(nn.Module):
    """Two blocks at each depth on the way down, two on the way up, maps joined; emits zeros before it has learnt anything."""

    def __init__(self, channels_in: int, channels_out: int, widths: Sequence[int], condition: int) -> None:
        super().__init__()
        self.enter = nn.Conv2d(channels_in, widths[0], 3, padding=1)
        self.down, self.shrink, self.up = nn.ModuleList(), nn.ModuleList(), nn.ModuleList()
        coming = widths[0]
        for depth, width in enumerate(widths):
            if depth:
                self.shrink.append(nn.Conv2d(coming, coming, 3, stride=2, padding=1))
            self.down.append(_pair(coming, width, condition))
            coming = width
        for width in reversed(widths[:-1]):
            self.up.append(_pair(coming + width, width, condition))
            coming = width
        self.norm, self.emit = nn.GroupNorm(NORM_GROUPS, coming), nn.Conv2d(coming, channels_out, 3, padding=1)
        for parameter in self.emit.parameters():
            nn.init.zeros_(parameter)

    def forward(self, x: Tensor, condition: Tensor) -> Tensor:
        """Return (b, channels_out, h, w) of (b, channels_in, h, w); h and w are multiples of 2^(number of widths - 1)."""
        h, kept = self.enter(x), list[Tensor]()
        for depth, blocks in enumerate(self.down):
            if depth:
                kept.append(h)
                h = self.shrink[depth - 1](h)
            h = _through(blocks, h, condition)
        for blocks in self.up:
            h = _through(blocks, torch.cat([interpolate(h, scale_factor=2.0), kept.pop()], dim=1), condition)
        return self.emit(silu(self.norm(h)))


def fourier_features(time: Tensor) -> Tensor:
    """Return sines and cosines (b, 2 * `FREQUENCIES`) of times (b,) in [0, 1], from a quarter of a wave upwards by octaves."""
    angles = time[:, None] * (math.pi / 2) * 2.0 ** torch.arange(FREQUENCIES, device=time.device)
    return torch.cat([angles.sin(), angles.cos()], dim=1)


def _pair(coming: int, going: int, condition: int) -> nn.ModuleList:
    return nn.ModuleList([ConditionedBlock(coming, going, condition), ConditionedBlock(going, going, condition)])


def _through(blocks: nn.Module, h: Tensor, condition: Tensor) -> Tensor:
    for block in blocks.children():
        h = block(h, condition)
    return h

"""Residual cells with squeeze-and-excitation, the layers between levels, and their normalization."""

from __future__ import annotations

from itertools import pairwise

import torch
from torch import Tensor, nn

NORM_EPSILON = 1e-5


def in_full_precision(features: Tensor) -> Tensor:
    """Return half precision as float32, which sums and distributions need (method, section 10); other types are unchanged."""
    return features.float() if features.dtype in (torch.float16, torch.bfloat16) else features


class InstanceNorm(nn.Module):
    """Normalization of each channel of each row over its pixels; without parameters or running statistics, so that rows are independent."""

    def forward(self, x: Tensor) -> Tensor:
        """Return (x - mean) / sqrt(variance + 1e-5) with biased variance, (b, c, h, w); raise ValueError for 1x1 maps, which would be 0."""
        if x.shape[-1] * x.shape[-2] < 2:
            raise ValueError("a map of one pixel cannot be normalized; use a larger image or fewer levels")
        if x.device.type == "cpu" and not torch.compiler.is_exporting():
            # Gives the same in a third of the time; contiguous, because its variance cancels in channels-last memory.
            return nn.functional.group_norm(x.contiguous(), x.shape[1], eps=NORM_EPSILON)
        # Engines fuse this form with the next operation, and autocast on a GPU keeps it in half precision.
        return nn.functional.instance_norm(x, eps=NORM_EPSILON)


class SqueezeExcite(nn.Module):
    """Scaling of each channel by a gate in (0, 1) that is computed from the means of all channels (Hu et al. 2018)."""

    def __init__(self, channels: int) -> None:
        super().__init__()
        hidden = max(channels // 16, 4)
        self.squeeze = nn.Linear(channels, hidden)
        self.excite = nn.Linear(hidden, channels)

    def forward(self, x: Tensor) -> Tensor:
        """Return x times its gate; shapes (b, c, h, w)."""
        gate = torch.sigmoid(self.excite(torch.relu(self.squeeze(x.mean((2, 3))))))
        return x * gate[:, :, None, None]


class EncoderCell(nn.Module):
    """Pre-activation residual cell: x + SE(conv(SiLU(norm(conv(SiLU(norm(x)))))))."""

    def __init__(self, channels: int) -> None:
        super().__init__()
        self.first = nn.Conv2d(channels, channels, 3, padding=1)
        self.second = nn.Conv2d(channels, channels, 3, padding=1)
        self.gate = SqueezeExcite(channels)
        self.norm = InstanceNorm()

    def forward(self, x: Tensor) -> Tensor:
        """Return a map of the same shape (b, c, h, w)."""
        h = self.first(nn.functional.silu(self.norm(x)))
        return x + self.gate(self.second(nn.functional.silu(self.norm(h))))


class DecoderCell(nn.Module):
    """Inverted residual cell: expand with 3x3, depthwise 5x5, gate, project, add (deviation A12: no activation after the first norm)."""

    def __init__(self, channels: int, expansion: int) -> None:
        super().__init__()
        wide = expansion * channels
        self.expand = nn.Conv2d(channels, wide, 3, padding=1)
        self.depthwise = nn.Conv2d(wide, wide, 5, padding=2, groups=wide)
        self.gate = SqueezeExcite(wide)
        self.project = nn.Conv2d(wide, channels, 1)
        self.norm = InstanceNorm()

    def forward(self, x: Tensor) -> Tensor:
        """Return a map of the same shape (b, c, h, w)."""
        h = nn.functional.silu(self.norm(self.expand(self.norm(x))))
        h = nn.functional.silu(self.norm(self.depthwise(h)))
        return x + self.project(self.gate(h))


class Upsample(nn.Module):
    """Bilinear upsampling by 2 (align_corners=False), then a 3x3 convolution without bias."""

    def __init__(self, channels_in: int, channels_out: int) -> None:
        super().__init__()
        self.convolution = nn.Conv2d(channels_in, channels_out, 3, padding=1, bias=False)

    def forward(self, x: Tensor) -> Tensor:
        """Return (b, channels_out, 2h, 2w) from (b, channels_in, h, w)."""
        return self.convolution(nn.functional.interpolate(x, scale_factor=2, mode="bilinear", align_corners=False))


class ModalityEncoder(nn.Module):
    """Bottom-up network of one modality: a residual cell at each depth, with strided convolutions in between."""

    def __init__(self, channels_in: int, widths: tuple[int, ...]) -> None:
        super().__init__()
        self.stem = nn.Conv2d(channels_in, widths[0], 3, padding=1)
        self.cells = nn.ModuleList(EncoderCell(width) for width in widths)
        pairs = pairwise(widths)
        self.strides = nn.ModuleList(nn.Conv2d(fine, coarse, 3, stride=2, padding=1) for fine, coarse in pairs)

    def forward(self, x: Tensor) -> list[Tensor]:
        """Return one map per depth, finest first: (b, widths[d], h / 2^d, w / 2^d)."""
        maps = [self.cells[0](self.stem(x))]
        for stride, cell in zip(self.strides, list(self.cells)[1:], strict=True):
            maps.append(cell(stride(maps[-1])))
        return maps

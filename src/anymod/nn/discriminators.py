"""Convolutional discriminators, one per modality, for least-squares losses (method, section 6)."""

from __future__ import annotations

from itertools import pairwise

from torch import Tensor, nn

from anymod.nn.cells import InstanceNorm, in_full_precision

MOST_WIDENING = 4  # at most four times the channels of the first layer (deviation T7)


class Discriminator(nn.Module):
    """Discriminator of one modality's slices: `depth` strided 4x4 convolutions, then two of stride 1; higher scores mean more real.

    At depth 3 a score covers a patch of about 70 pixels; the authors' depth 6 gives one score for a 192x192 slice.
    """

    def __init__(self, width: int, depth: int) -> None:
        super().__init__()
        widths = [width * min(2**step, MOST_WIDENING) for step in range(depth)]
        layers: list[nn.Module] = [nn.Conv2d(1, width, 4, stride=2, padding=1), nn.LeakyReLU(0.2)]
        pairs = pairwise(widths)
        for stride, (coming, going) in [
            *((2, pair) for pair in pairs),
            (1, (widths[-1], width * min(2**depth, MOST_WIDENING))),
        ]:
            layers += [nn.Conv2d(coming, going, 4, stride=stride, padding=1), InstanceNorm(), nn.LeakyReLU(0.2)]
        self.model = nn.Sequential(*layers, nn.Conv2d(width * min(2**depth, MOST_WIDENING), 1, 4, padding=1))

    def forward(self, image: Tensor) -> Tensor:
        """Return scores (b, 1, h', w') of slices (b, h, w)."""
        return in_full_precision(self.model(image[:, None]))

"""Names of shapes, for annotations that pytest checks at run time.

Axes: `b` rows of a batch, `m` modalities, `c` channels (a slice and its neighbours), `h w` in-plane, `t` targets, `k` draws of subsets.
"""

from __future__ import annotations

from jaxtyping import Bool, Float
from torch import Tensor

Images = Float[Tensor, "b m c h w"]  # intensities in [-1, 1], background -1
Planes = Float[Tensor, "b m h w"]  # one channel: the slice itself
TargetPlanes = Float[Tensor, "b t h w"]
Masks = Bool[Tensor, "b m h w"]
RowMasks = Bool[Tensor, "b h w"]
RowFlags = Bool[Tensor, "b"]
Shown = Bool[Tensor, "b m"]
ShownPerDraw = Bool[Tensor, "k b m"]

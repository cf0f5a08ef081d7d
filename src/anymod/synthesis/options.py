"""What a user can choose about a synthesis."""

from __future__ import annotations

import math
from dataclasses import asdict, dataclass
from typing import Any, Literal


@dataclass(frozen=True)
class SynthesisOptions:
    """How images are drawn.

    `targets`: modalities to make; None asks for everything that is not shown. `temperature` multiplies the posterior's standard
    deviation; 0 gives the posterior mean. `samples` are drawn from `seed` and averaged. `noise`: one draw shared along the volume, so
    that slices do not flicker, or one for each slice. `mirror`: at temperature 0, the mean of what the head and its mirror image give,
    which takes twice the time. `chunk`: slices at once; None takes what a small memory holds, and no value changes the images.
    """

    targets: tuple[str, ...] | None = None
    temperature: float = 0.0
    samples: int = 1
    seed: int = 0
    noise: Literal["volume", "slice"] = "volume"
    mirror: bool = False
    chunk: int | None = None

    def __post_init__(self) -> None:
        if not (math.isfinite(self.temperature) and self.temperature >= 0):
            raise ValueError(f"a temperature is 0 or more, unlike {self.temperature}")
        if self.samples < 1 or (self.chunk is not None and self.chunk < 1):
            raise ValueError("samples and chunk are 1 or more")
        if self.samples > 1 and self.temperature == 0:
            raise ValueError(f"{self.samples} samples at temperature 0 are all the same; raise the temperature")

        if self.mirror and self.temperature > 0:
            raise ValueError("the mean of two mirrored draws would hide half of their spread; mirror at temperature 0")

    def draws(self) -> dict[str, Any]:
        """Return all that shapes the images (the chunk does not)."""
        values = asdict(self)
        del values["chunk"], values["targets"]
        return values

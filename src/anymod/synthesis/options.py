"""What a user can choose about a synthesis."""

from __future__ import annotations

import math
from dataclasses import asdict, dataclass
from typing import Annotated, Any, Literal

from anymod.configuration import Names, option

Strict = Annotated[bool, option("Refuse images that are unlike those that the model was trained on.")]


@dataclass(frozen=True)
class SynthesisOptions:
    """How images are drawn.

    `temperature` multiplies the posterior's standard deviation. `noise`: one draw shared along the volume, so that slices do not
    flicker, or one for each slice. Raises ValueError where choices contradict each other.
    """

    targets: Annotated[
        Names | None, option("Modalities to synthesize, such as t2,flair. Default: all that are not shown.", "NAMES")
    ] = None
    temperature: Annotated[
        float,
        option(
            "Scale of the random draws; 0 gives the posterior mean. Default 0 for one sample, 0.7 for several.", ge=0
        ),
    ] = None  # type: ignore[assignment] # a number once it is made
    samples: Annotated[
        int, option("Number of samples; of several, the mean and the standard deviation are written.", ge=1)
    ] = 1
    seed: Annotated[int, option("Seed of all random draws.", ge=0)] = 0
    noise: Annotated[
        Literal["volume", "slice"],
        option(
            "One random draw for the whole volume (for realistic images one that changes slowly), or one for each slice."
        ),
    ] = "volume"
    mirror: Annotated[bool, option("At temperature 0, average over the head and its mirror image; twice the time.")] = (
        False
    )
    chunk: Annotated[int | None, option("Slices per batch; changes memory and speed, not the images.", ge=1)] = None
    realistic: Annotated[
        bool,
        option(
            "Images that look real, with texture that is made up where nothing shows it, instead of those with the least error;"
            " for models that have learnt it."
        ),
    ] = False
    strict: Strict = False

    def __post_init__(self) -> None:
        if self.temperature is None:
            from anymod.core.noise import USUAL_TEMPERATURE  # loads torch, which a command line's help can do without

            several = self.samples > 1 and not self.realistic  # realistic ones differ at temperature 0
            object.__setattr__(self, "temperature", USUAL_TEMPERATURE if several else 0.0)
        if not (math.isfinite(self.temperature) and self.temperature >= 0):
            raise ValueError(f"a temperature is 0 or more, unlike {self.temperature}")
        if self.samples < 1 or (self.chunk is not None and self.chunk < 1):
            raise ValueError("samples and chunk are 1 or more")
        if self.realistic and (self.temperature > 0 or self.mirror):
            raise ValueError("realistic images are drawn from posterior means: at temperature 0, without mirror images")
        if self.samples > 1 and self.temperature == 0 and not self.realistic:
            raise ValueError(f"{self.samples} samples at temperature 0 are all the same; raise the temperature")
        if self.mirror and self.temperature > 0:
            raise ValueError(
                "the mean of two mirrored draws would hide half of their variance; mirror at temperature 0"
            )

    def draws(self) -> dict[str, Any]:
        """Return all that shapes the images (chunk and strict do not); `realistic` only where it is true, as in older records."""
        values = asdict(self)
        del values["chunk"], values["targets"], values["strict"]
        return values if self.realistic else {name: value for name, value in values.items() if name != "realistic"}

    @property
    def random(self) -> bool:
        """Whether another seed gives other images."""
        return self.temperature > 0 or self.realistic

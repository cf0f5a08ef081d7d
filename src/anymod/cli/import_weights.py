"""The verb `anymod import-weights`."""

from __future__ import annotations

import re
from dataclasses import dataclass
from pathlib import Path
from typing import Annotated, Literal

from pydantic import BeforeValidator

from anymod.cli.verbs import Out, Overwrite, Verb, say
from anymod.configuration import option


def _size(text: str) -> tuple[int, int]:
    sides = re.fullmatch(r"(\d{1,5})x(\d{1,5})", text)
    if sides is None:
        raise ValueError(f"'{text}' is not ROWSxCOLUMNS, such as 192x192")
    return int(sides[1]), int(sides[2])


@dataclass(frozen=True)
class ImportWeights(Verb):
    """The file is read without running anything in it; the name, shape and type of every tensor is checked. All verbs take the model.

    Example:
      anymod import-weights CP_main_1000.pth --out dorent2024
    """

    flags = {"file": "FILE"}

    file: Annotated[Path, option("The authors' file, such as CP_main_1000.pth.")]
    out: Out
    image_size: Annotated[
        Annotated[tuple[int, int], BeforeValidator(_size)] | None,
        option("Size of a slice in pixels, where it is not square.", "ROWSxCOLUMNS"),
    ] = None
    spacing_mm: Annotated[float, option("Edge of the cubic voxels that the network takes.", ge=0.01)] = 0.5
    orientation: Annotated[Literal["LPS", "RAS"], option("Directions that rows, columns and slices run to.")] = "LPS"
    overwrite: Overwrite = False

    def run(self) -> None:
        """Write the model folder and print what it takes."""
        from anymod.models.importing import import_weights  # loads torch

        description = import_weights(
            self.file,
            self.out,
            image_size=self.image_size,
            spacing_mm=self.spacing_mm,
            orientation=self.orientation,
            overwrite=self.overwrite,
        )
        (height, width), spacing = description.image_size, description.spacing_mm
        say(f"{self.out}: {', '.join(description.names)}; slices of {height} x {width} at {spacing:g} mm")

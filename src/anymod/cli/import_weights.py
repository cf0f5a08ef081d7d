"""`anymod import-weights`: the authors' published weights become a model folder."""

from __future__ import annotations

import re
from pathlib import Path
from typing import Annotated, Literal

import typer

from anymod.cli.options import OutOption, OverwriteOption, QuietOption, configure


def import_weights(
    file: Annotated[Path, typer.Argument(metavar="FILE", help="The authors' file, such as CP_main_1000.pth.")],
    out: OutOption,
    image_size: Annotated[
        str | None, typer.Option(metavar="ROWSxCOLUMNS", help="Of a slice in pixels, where it is not square.")
    ] = None,
    spacing: Annotated[float, typer.Option(min=0.01, metavar="MM", help="Edge of the voxels that it takes.")] = 0.5,
    orientation: Annotated[Literal["LPS", "RAS"], typer.Option(help="Where rows, columns and slices run to.")] = "LPS",
    overwrite: OverwriteOption = False,
    quiet: QuietOption = False,
) -> None:
    """Make a model folder of weights that the paper's authors trained; every verb takes it.

    The file is read without running anything in it, and every tensor's name, shape and type is checked.

    Example: anymod import-weights CP_main_1000.pth --out authors
    """
    configure(quiet, verbose=False)
    size = None
    if image_size is not None:
        sides = re.fullmatch(r"(\d{1,5})x(\d{1,5})", image_size)
        if sides is None:
            raise typer.BadParameter(f"'{image_size}' is not ROWSxCOLUMNS, such as 192x192")
        size = int(sides[1]), int(sides[2])
    from anymod.models.importing import import_weights as write_model  # loads torch

    description = write_model(
        file, out, image_size=size, spacing_mm=spacing, orientation=orientation, overwrite=overwrite
    )
    height, width = description.image_size
    typer.echo(f"{out}: {', '.join(description.names)}; slices of {height} x {width} at {description.spacing_mm:g} mm")

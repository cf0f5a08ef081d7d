"""`anymod demo`: the whole way on a simulated patient, in a minute or two."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

from anymod.cli.options import (
    DeviceOption,
    OutOption,
    OverwriteOption,
    QuietOption,
    SeedOption,
    ThreadsOption,
    VerboseOption,
    WorkersOption,
    configure,
)


def demo(
    *,
    out: OutOption,
    model: Annotated[Path, typer.Option(metavar="MODEL", help="Model folder, or the name of a bundled model.")] = Path(
        "simulated-us"
    ),
    seed: SeedOption = 0,
    overwrite: OverwriteOption = False,
    workers: WorkersOption = 1,
    device: DeviceOption = "auto",
    threads: ThreadsOption = None,
    quiet: QuietOption = False,
    verbose: VerboseOption = False,
) -> None:
    """Simulate a patient, hide images, fill them in, measure how well, and draw it.

    Example: anymod demo --out demo
    """
    configure(quiet, verbose, threads)
    from anymod.demo import demonstrate
    from anymod.evaluation import printed_text  # loads torch
    from anymod.files import staged_folder
    from anymod.models import find_model

    with staged_folder(out, overwrite=overwrite, keep=(find_model(model),)) as folder:
        result = demonstrate(model, folder, seed, device, workers=workers)
    typer.echo(printed_text(result.evaluation))
    typer.echo(f"\nLook at {out / result.figure.relative_to(folder)}")
    for place in result.folders:
        typer.echo(f"Volumes in {out / place.relative_to(folder)}")

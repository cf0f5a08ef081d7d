"""`anymod calibrate`: a report's errors into a model, so that its standard deviations mean something."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

from anymod.cli.options import OutOption, OverwriteOption, QuietOption, configure


def calibrate(
    *,
    model: Annotated[Path, typer.Option(metavar="MODEL", help="Model folder, or the name of a bundled model.")],
    report: Annotated[Path, typer.Option(metavar="DIR", help="Report of it on subjects that it was not trained on.")],
    out: OutOption,
    overwrite: OverwriteOption = False,
    as_json: Annotated[bool, typer.Option("--json", help="Print JSON.")] = False,
    quiet: QuietOption = False,
) -> None:
    """Write a copy of a model that knows how wrong its images are: `synthesize --samples` adds that to their spread.

    Example: anymod calibrate --model RUN/model --report REPORT --out MODEL
    """
    configure(quiet, verbose=False)
    from anymod.evaluation import calibrate as write_calibrated  # loads torch
    from anymod.files import json_text

    calibration = write_calibrated(model, report, out, overwrite=overwrite)
    if as_json:
        typer.echo(json_text(calibration.model_dump(mode="json")))
        return
    typer.echo(f"root mean squared error on {len(calibration.subjects)} subjects, of images in [-1, 1]:")
    for shown, errors in calibration.errors.items():
        typer.echo(f"{shown}: " + ", ".join(f"{target} {error:.3f}" for target, error in errors.items()))

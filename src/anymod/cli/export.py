"""`anymod export`: a model for programs without torch."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated, Literal

import typer

from anymod.cli.options import OutOption, OverwriteOption, QuietOption, ThreadsOption, configure


def export(
    *,
    model: Annotated[Path, typer.Option(metavar="MODEL", help="Model folder, or the name of a bundled model.")],
    kind: Annotated[Literal["onnx", "openvino"], typer.Option("--format", help="What to write.")],
    out: OutOption,
    overwrite: OverwriteOption = False,
    threads: ThreadsOption = None,
    as_json: Annotated[bool, typer.Option("--json", help="Print JSON.")] = False,
    quiet: QuietOption = False,
) -> None:
    """Write a model as one graph that takes any subset of the images, checked against torch, with what is needed to use it.

    Needs the packages of anymod[export].

    Example: anymod export --model RUN/model --format onnx --out exported
    """
    configure(quiet, verbose=False, threads=threads)
    from anymod.engines.export import export_model  # loads torch
    from anymod.files import json_text

    content = export_model(model, out, kind, overwrite=overwrite)
    if as_json:
        typer.echo(json_text(content))
    else:
        typer.echo(
            f"{out / content['graph']}: differs from torch by at most {content['largest_difference_from_torch']:.1e}"
        )

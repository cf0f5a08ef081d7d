"""`anymod train`: a cohort and a recipe in, a model folder out."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

from anymod.cli.options import (
    DeviceOption,
    OutOption,
    OverwriteOption,
    QuietOption,
    ThreadsOption,
    VerboseOption,
    configure,
)


def train(
    config: Annotated[Path, typer.Option("--config", metavar="FILE", help="Recipe, such as configs/lean.yaml.")],
    cohort: Annotated[Path, typer.Option("--cohort", metavar="DIR", help="Folder with a cohort.yaml.")],
    out: OutOption,
    assignments: Annotated[
        list[str] | None,
        typer.Option("--set", metavar="SECTION.KEY=VALUE", help="Lay a value over the recipe; may be repeated."),
    ] = None,
    fold: Annotated[
        int | None, typer.Option(min=0, metavar="K", help="Train on the subjects of all folds of the cohort but this.")
    ] = None,
    resume: Annotated[bool, typer.Option("--resume", help="Go on with the run in --out, or begin it.")] = False,
    processes: Annotated[
        int, typer.Option("--processes", min=1, help="Processes (or GPUs) that share each batch.")
    ] = 1,
    seed: Annotated[int | None, typer.Option("--seed", min=0, help="Instead of the recipe's training.seed.")] = None,
    overwrite: OverwriteOption = False,
    device: DeviceOption = "auto",
    threads: ThreadsOption = None,
    quiet: QuietOption = False,
    verbose: VerboseOption = False,
) -> None:
    """Train one model on the subjects of a cohort, complete or not.

    Example: anymod train --config configs/lean.yaml --cohort COHORT --out RUN
    """
    configure(quiet, verbose, threads)
    from anymod.cohorts import read_cohort
    from anymod.training import read_recipe
    from anymod.training import train as run_training

    changes = [*(assignments or []), *([f"training.seed={seed}"] if seed is not None else [])]
    recipe = read_recipe(config, changes)
    table = read_cohort(cohort)
    if fold is not None:
        table = table.held_out(fold)
    model = run_training(recipe, table, out, resume=resume, overwrite=overwrite, device=device, processes=processes)
    if model is not None:
        typer.echo(model)

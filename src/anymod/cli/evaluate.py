"""`anymod evaluate`: measure a model on a cohort."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated, Literal

import typer

from anymod.cli.options import (
    BackendOption,
    DeviceOption,
    OutOption,
    OverwriteOption,
    QuietOption,
    SchedulerOption,
    SeedOption,
    ThreadsOption,
    VerboseOption,
    WorkersOption,
    configure,
)


def evaluate(
    *,
    cohort: Annotated[Path, typer.Option(help="Cohort folder.")],
    out: OutOption,
    model: Annotated[Path, typer.Option(metavar="MODEL", help="Model folder, or the name of a bundled model.")] = Path(
        "simulated-mr"
    ),
    split: Annotated[str, typer.Option(help="The subjects to measure.")] = "test",
    training_split: Annotated[
        str | None, typer.Option(help="The subjects to fit the references on; else train.")
    ] = None,
    fold: Annotated[
        int | None,
        typer.Option(min=0, metavar="K", help="Measure this fold; the references are fitted on all others."),
    ] = None,
    protocol: Annotated[
        Literal["standard", "authors"], typer.Option(help="authors: as the paper's authors do, for their tables only.")
    ] = "standard",
    show: Annotated[
        list[str] | None, typer.Option(metavar="T1,FLAIR", help="Only this shown subset; repeat. Else all of them.")
    ] = None,
    temperature: Annotated[
        float | None, typer.Option(min=0.0, help="Spread of the model's draw; else 0, the posterior mean.")
    ] = None,
    samples: Annotated[int | None, typer.Option(min=1, help="Draws whose mean is scored; else 1.")] = None,
    mirror: Annotated[
        bool,
        typer.Option("--mirror", help="At temperature 0: mean over the head and its mirror image, at twice the time."),
    ] = False,
    cache: Annotated[Path | None, typer.Option(help="Folder that keeps the slices for another time.")] = None,
    figures: Annotated[
        int | None, typer.Option(min=0, help="Subjects to draw picture grids of; else 4; 0: no pictures.")
    ] = None,
    seed: SeedOption = 0,
    overwrite: OverwriteOption = False,
    device: DeviceOption = "auto",
    backend: BackendOption = "torch",
    threads: ThreadsOption = None,
    workers: WorkersOption = 1,
    scheduler: SchedulerOption = None,
    as_json: Annotated[bool, typer.Option("--json", help="Print JSON.")] = False,
    quiet: QuietOption = False,
    verbose: VerboseOption = False,
) -> None:
    """Score every target from every shown subset, beside the mean image value and an affine regression.

    With --protocol authors: slices, scored as the paper's authors do, without references and pictures.

    Example: anymod evaluate --model RUN/model --cohort COHORT --split test --out report
    """
    if (samples or 1) > 1 and not temperature:
        raise typer.BadParameter("samples at --temperature 0 are all the same; raise it or take one sample")
    if mirror and temperature:
        raise typer.BadParameter("--mirror needs temperature 0")
    configure(quiet, verbose, threads)
    if protocol == "authors" and (
        mirror or any(each is not None for each in (temperature, samples, figures, training_split))
    ):
        why = "--protocol authors draws once at temperature 0.7, fits no references and makes no pictures"
        raise typer.BadParameter(f"{why}: leave out --temperature, --samples, --mirror, --figures, --training-split")

    from anymod.cohorts import read_cohort
    from anymod.evaluation import (  # loads torch
        EvaluationOptions,
        authors_text,
        evaluate_as_authors,
        write_authors_report,
        write_report,
    )
    from anymod.evaluation import evaluate as measure
    from anymod.evaluation.report import printed_text
    from anymod.files import json_text, staged_folder
    from anymod.models import find_model
    from anymod.synthesis import SynthesisOptions

    draws = SynthesisOptions(temperature=temperature or 0.0, samples=samples or 1, seed=seed, mirror=mirror)
    options = EvaluationOptions(
        split,
        training_split or "train",
        tuple(show) if show else None,
        draws,
        seed,
        device,
        backend,
        workers,
        scheduler,
    )
    table = read_cohort(cohort)
    if fold is not None:
        if (split, training_split) != ("test", None):
            raise typer.BadParameter("--fold says what --split and --training-split would: leave them out")
        table = table.held_out(fold)
    with staged_folder(out, overwrite=overwrite, keep=(table.root, find_model(model))) as folder:
        if protocol == "authors":
            by_slice = evaluate_as_authors(model, table, options, cache)
            content, text = write_authors_report(by_slice, folder), authors_text(by_slice)
        else:
            evaluation = measure(model, table, options, cache)
            content, text = (
                write_report(evaluation, folder, figures=4 if figures is None else figures),
                printed_text(evaluation),
            )
    typer.echo(json_text(content) if as_json else text)

"""`anymod synthesize`: fill in one subject from files, or a whole cohort."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Literal

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
    split_names,
)
from anymod.files import json_text

if TYPE_CHECKING:
    from anymod.synthesis import CohortOutcome


def synthesize(
    *,
    out: OutOption,
    model: Annotated[Path, typer.Option(metavar="MODEL", help="Model folder, or the name of a bundled model.")] = Path(
        "simulated-mr"
    ),
    image: Annotated[
        list[str] | None, typer.Option("--input", metavar="MODALITY=FILE", help="An image that is there; repeat.")
    ] = None,
    mask: Annotated[Path | None, typer.Option(help="With --input: the foreground; else it is found.")] = None,
    cohort: Annotated[Path | None, typer.Option(help="Fill in the subjects of a cohort folder instead.")] = None,
    split: Annotated[str | None, typer.Option(help="With --cohort: only this split.")] = None,
    show: Annotated[
        str | None, typer.Option(metavar="T1,FLAIR", help="With --cohort: show only these, hide the others.")
    ] = None,
    target: Annotated[
        list[str] | None, typer.Option(metavar="MODALITY", help="What to make; repeat. Else all that is not shown.")
    ] = None,
    samples: Annotated[int, typer.Option(min=1, help="Draws; several give their mean and spread.")] = 1,
    temperature: Annotated[
        float | None, typer.Option(min=0.0, help="Spread of the draws; 0 for one sample, 0.7 for several.")
    ] = None,
    noise: Annotated[
        Literal["volume", "slice"], typer.Option(help="One draw along the volume, or one for each slice.")
    ] = "volume",
    mirror: Annotated[
        bool,
        typer.Option("--mirror", help="At temperature 0: mean over the head and its mirror image, at twice the time."),
    ] = False,
    chunk: Annotated[int | None, typer.Option(min=1, help="Slices at once; never changes the result.")] = None,
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
    """Write the missing images of a subject on its own grid, from whatever images are there.

    Example: anymod synthesize --model RUN/model --input t1=t1.nii.gz --input flair=flair.nii.gz --target t2 --out filled
    """
    inputs = _parse_inputs(image or [])
    if bool(inputs) == (cohort is not None):
        raise typer.BadParameter("give either --input MODALITY=FILE (once or more) or --cohort DIR")
    if cohort is None and (split or show):
        raise typer.BadParameter("--split and --show choose from a --cohort")
    if cohort is not None and mask:
        raise typer.BadParameter("--mask belongs to --input; a cohort has a column 'mask'")
    if temperature == 0 and samples > 1:
        raise typer.BadParameter("samples at --temperature 0 are all the same; raise it or take one sample")
    configure(quiet, verbose, threads)

    from anymod.core.noise import USUAL_TEMPERATURE
    from anymod.synthesis import Inputs, SynthesisOptions, synthesize_files  # loads torch

    chosen = temperature if temperature is not None else USUAL_TEMPERATURE if samples > 1 else 0.0
    if mirror and chosen > 0:
        raise typer.BadParameter("--mirror needs temperature 0 and one sample")
    options = SynthesisOptions(tuple(target) if target else None, chosen, samples, seed, noise, mirror, chunk)
    if cohort is None:
        record = synthesize_files(
            model, Inputs(inputs, mask), out, options, device=device, backend=backend, overwrite=overwrite
        )
        typer.echo(json_text(record) if as_json else "\n".join(str(out / name) for name in record["outputs"]))
        return

    from anymod.cohorts import read_cohort
    from anymod.synthesis import CohortRequest, synthesize_cohort

    table = read_cohort(cohort)
    subjects = table.of_split(split) if split else table.subjects
    request = CohortRequest(model, options, split_names(show) if show else None, device, backend)
    outcome = synthesize_cohort(
        table, subjects, request, out, overwrite=overwrite, workers=workers, scheduler=scheduler
    )
    _print_outcome(outcome, as_json)


def _parse_inputs(given: list[str]) -> dict[str, Path]:
    inputs: dict[str, Path] = {}
    for pair in given:
        modality, equals, path = pair.partition("=")
        if not (modality and equals and path):
            raise typer.BadParameter(f"'{pair}' is not MODALITY=FILE, such as t1=t1.nii.gz")
        if modality in inputs:
            raise typer.BadParameter(f"--input {modality}=… is there twice")
        inputs[modality] = Path(path)
    return inputs


def _print_outcome(outcome: CohortOutcome, as_json: bool) -> None:
    if as_json:
        typer.echo(json_text(vars(outcome)))
    else:
        counts = (len(outcome.written), len(outcome.finished), len(outcome.skipped), len(outcome.failures))
        typer.echo("written {}, finished before {}, complete already {}, failed {}".format(*counts))
    for subject, why in outcome.failures.items():
        typer.echo(f"error: subject '{subject}': {why}", err=True)
    if outcome.failures:
        raise typer.Exit(1)

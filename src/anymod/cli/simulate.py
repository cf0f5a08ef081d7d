"""`anymod simulate`: a cohort of patients with known truth."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

from anymod.cli.options import (
    OutOption,
    OverwriteOption,
    QuietOption,
    SchedulerOption,
    SeedOption,
    VerboseOption,
    WorkersOption,
    configure,
    split_names,
)


def simulate(
    *,
    out: OutOption,
    subjects: Annotated[int, typer.Option(min=1, help="How many.")] = 8,
    seed: SeedOption = 0,
    modalities: Annotated[
        str, typer.Option(help="Any of us, t1, cet1, t2, flair, pd; with us, images show what it looks at.")
    ] = "t1,cet1,t2,flair",
    missing: Annotated[float, typer.Option(help="Probability that a subject lacks a modality.")] = 0.3,
    complete_test: Annotated[bool, typer.Option("--complete-test", help="Test subjects have every modality.")] = False,
    anatomy: Annotated[
        Path | None,
        typer.Option(metavar="DIR", help="Label maps with FreeSurfer values; without it heads are made up."),
    ] = None,
    spacing: Annotated[float, typer.Option(help="Voxel size in mm.")] = 2.0,
    tumours: Annotated[float, typer.Option(help="Share of the subjects that have a tumour.")] = 0.7,
    whole_head: Annotated[bool, typer.Option("--whole-head", help="Keep skull and scalp.")] = False,
    probe: Annotated[str, typer.Option(help="Of the ultrasound: remind-like, resect-like, or any.")] = "any",
    validation: Annotated[float, typer.Option(help="Share of the subjects for validation.")] = 0.15,
    test: Annotated[float, typer.Option(help="Share of the subjects for the test.")] = 0.15,
    workers: WorkersOption = 1,
    scheduler: SchedulerOption = None,
    overwrite: OverwriteOption = False,
    quiet: QuietOption = False,
    verbose: VerboseOption = False,
) -> None:
    """Write a cohort of simulated brains with MR, some of it missing, tumour labels and tissue maps.

    Example: anymod simulate --out simulated --subjects 8 --seed 0
    """
    configure(quiet, verbose)
    from anymod.configuration import validate
    from anymod.errors import ConfigurationError
    from anymod.simulation import SimulationSettings, simulate_cohort
    from anymod.simulation.settings import check_modalities

    names = split_names(modalities)
    check_modalities(names)
    content = {
        "modalities": names,
        "spacing_mm": spacing,
        "tumours": tumours,
        "missing": missing,
        "complete_test": complete_test,
        "whole_head": whole_head,
        "anatomy": None if anatomy is None else str(anatomy),
        "probe": probe,
        "validation": validation,
        "test": test,
    }
    settings = validate(SimulationSettings, content, "the options of simulate", error=ConfigurationError)
    cohort = simulate_cohort(out, subjects, seed, settings, workers=workers, scheduler=scheduler, overwrite=overwrite)
    observed = ", ".join(
        f"{name} {sum(name in subject.paths for subject in cohort.subjects)}" for name in cohort.modality_names
    )
    typer.echo(f"{len(cohort.subjects)} subjects in {out} ({observed})")

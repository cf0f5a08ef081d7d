"""`anymod simulate`: a cohort of patients with known truth."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

from anymod.cli.options import (
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
    out: Annotated[Path | None, typer.Option("--out", metavar="DIR", help="Folder to create.")] = None,
    preview: Annotated[
        Path | None,
        typer.Option(metavar="PNG", help="Draw the first subject, coarsely and in seconds, in place of a cohort."),
    ] = None,
    subjects: Annotated[int, typer.Option(min=1, help="How many.")] = 8,
    seed: SeedOption = 0,
    modalities: Annotated[
        str, typer.Option(help="Any of us, t1, cet1, t2, flair, pd; with us, images show what it looks at.")
    ] = "t1,cet1,t2,flair",
    missing: Annotated[
        str | None,
        typer.Option(
            metavar="RATES",
            help="Probability that a subject lacks a modality: one for all, or such as t2=0.4,flair=0.8. "
            "Without it 0.3, or with us as in the ReMIND database: never us, seldom cet1, mostly flair (t1, pd 0.3).",
        ),
    ] = None,
    complete_test: Annotated[bool, typer.Option("--complete-test", help="Test subjects have every modality.")] = False,
    anatomy: Annotated[
        Path | None,
        typer.Option(metavar="DIR", help="Label maps with FreeSurfer values; without it heads are made up."),
    ] = None,
    spacing: Annotated[float, typer.Option(help="Voxel size in mm.")] = 2.0,
    tumours: Annotated[float, typer.Option(help="Share of the subjects that have a tumour.")] = 0.7,
    whole_head: Annotated[bool, typer.Option("--whole-head", help="Keep skull and scalp.")] = False,
    probe: Annotated[str, typer.Option(help="Of the ultrasound: remind-like, resect-like, or any.")] = "any",
    brain_shift: Annotated[
        float,
        typer.Option(
            metavar="MM", help="Largest displacement between MR and us; writes transform, landmarks, us maps."
        ),
    ] = 0.0,
    crop_to_us: Annotated[
        bool, typer.Option("--crop-to-us", help="MR is 0 where the ultrasound did not look.")
    ] = False,
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
        "missing": _rates(missing),
        "complete_test": complete_test,
        "whole_head": whole_head,
        "anatomy": None if anatomy is None else str(anatomy),
        "probe": probe,
        "shift_mm": brain_shift,
        "crop_to_us": crop_to_us,
        "validation": validation,
        "test": test,
    }
    settings = validate(SimulationSettings, content, "the options of simulate", error=ConfigurationError)
    if preview is not None and out is None:
        from anymod.demo.preview import preview as draw_preview

        draw_preview(preview, seed, settings, overwrite=overwrite)
        typer.echo(f"the first subject is drawn in {preview}")
        return
    if out is None or preview is not None:
        why = "neither is given" if out is None else "both are given"
        raise ConfigurationError("unclear what to write", "--out and --preview", why, "give one of them")
    cohort = simulate_cohort(out, subjects, seed, settings, workers=workers, scheduler=scheduler, overwrite=overwrite)
    observed = ", ".join(
        f"{name} {sum(name in subject.paths for subject in cohort.subjects)}" for name in cohort.modality_names
    )
    typer.echo(f"{len(cohort.subjects)} subjects in {out} ({observed})")


def _rates(text: str | None) -> object:
    """Return one number, numbers by name, or None; what is no number stays text, which the settings refuse by name."""
    if text is None or "=" not in text:
        return _number(text)
    rates: dict[str, object] = {}
    for part in text.split(","):
        name, equals, value = part.partition("=")
        if not equals or name.strip() in rates:
            raise typer.BadParameter(f"--missing {text}: write each modality once, such as t2=0.4,flair=0.8")
        rates[name.strip()] = _number(value)
    return rates


def _number(text: str | None) -> object:
    try:
        return None if text is None else float(text)
    except ValueError:
        return text

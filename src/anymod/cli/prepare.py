"""`anymod prepare`: files of any layout made into a cohort."""

from __future__ import annotations

from collections.abc import Mapping
from enum import StrEnum
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Literal

import typer

from anymod.cli.options import (
    OutOption,
    OverwriteOption,
    QuietOption,
    SchedulerOption,
    VerboseOption,
    WorkersOption,
    configure,
    split_names,
)

if TYPE_CHECKING:
    from anymod.preparation import FoundSubject, Prepared, Skipped


class Source(StrEnum):
    """Kinds of archives: any folder, with patterns, or one of `anymod.preparation.archives`."""

    folder = "folder"
    remind = "remind"
    upenn_gbm = "upenn_gbm"
    resect_seg = "resect_seg"
    brats = "brats"
    bids = "bids"
    ixi = "ixi"


def prepare(
    raw: Annotated[Path, typer.Option(metavar="DIR", help="Folder that the files lie in, at any depth.")],
    out: OutOption,
    source: Annotated[
        Source, typer.Option(help="An archive whose names are known, or folder: any names, told by --pattern.")
    ] = Source.folder,
    pattern: Annotated[
        list[str] | None, typer.Option(metavar="NAME=GLOB", help="A modality and its files below DIR; repeat.")
    ] = None,
    subject_from: Annotated[
        str | None,
        typer.Option(
            metavar="PATTERN",
            help="Where a path below DIR names the subject, such as '{subject}_*'; default: its first folder.",
        ),
    ] = None,
    mask_pattern: Annotated[str | None, typer.Option(metavar="GLOB", help="Foreground masks.")] = None,
    label_pattern: Annotated[str | None, typer.Option(metavar="GLOB", help="Labels to segment.")] = None,
    tissue_pattern: Annotated[str | None, typer.Option(metavar="GLOB", help="FreeSurfer tissue labels.")] = None,
    resample_to: Annotated[
        str | None,
        typer.Option(
            metavar="NAME", help="Modality whose grid a subject's other files are put on, by their positions."
        ),
    ] = None,
    transform_pattern: Annotated[
        list[str] | None,
        typer.Option(
            metavar="NAME=GLOB",
            help="ITK transforms (.tfm) from points of the grid of --resample-to to points of NAME's files; repeat.",
        ),
    ] = None,
    register: Annotated[
        Literal["rigid", "affine"] | None,
        typer.Option(help="Align the others to --resample-to's images, from where their files say that they are."),
    ] = None,
    cut_to: Annotated[
        str | None,
        typer.Option(metavar="NAME", help="Make the others background where this image, such as us, did not look."),
    ] = None,
    white_matter: Annotated[
        Literal["auto", "synthseg", "estimate"] | None,
        typer.Option(
            help="For harmonized targets, where no tissue map is given: by mri_synthseg, by an estimate from stripped t1, "
            "or auto, the first where it is installed."
        ),
    ] = None,
    strict: Annotated[
        bool,
        typer.Option(
            "--strict", help="Fail where a subject would be left out, or an alignment or white matter is in doubt."
        ),
    ] = False,
    spacing: Annotated[float | None, typer.Option(min=0.01, metavar="MM", help="Resample to cubic voxels.")] = None,
    split_list: Annotated[
        Path | None, typer.Option(metavar="CSV", help="Table with the columns subject,split.")
    ] = None,
    split_seed: Annotated[int | None, typer.Option(min=0, show_default="0", help="The split is drawn from it.")] = None,
    validation: Annotated[
        float | None,
        typer.Option(min=0, max=1, show_default="0.15", help="Fraction of all subjects that validate."),
    ] = None,
    test: Annotated[
        float | None,
        typer.Option(min=0, max=1, show_default="0.15", help="Fraction of all subjects that test."),
    ] = None,
    test_subjects: Annotated[str, typer.Option(metavar="A,B", help="The test set by name, instead of --test.")] = "",
    folds: Annotated[
        int | None, typer.Option(min=2, metavar="K", help="Draw folds 0 to K-1 for cross-validation instead.")
    ] = None,
    overwrite: OverwriteOption = False,
    workers: WorkersOption = 1,
    scheduler: SchedulerOption = None,
    quiet: QuietOption = False,
    verbose: VerboseOption = False,
) -> None:
    """Make a cohort from a tree of files: find, check, split, and write NIfTI files that all other verbs read.

    A subject is what the first folder below DIR is named after, or what --subject-from finds in the path. Images of one subject
    must share a grid; --resample-to puts them on one (--source remind, resect_seg and ixi do so unasked), by the positions in the
    files, by --transform-pattern, or aligned with --register. A subject that cannot be used is left out and named in failures.json, and
    the exit status is 1. After an interruption the same command goes on with what is left to do.

    Example: anymod prepare --raw scans --pattern t1='**/t1.nii.gz' --pattern flair='**/flair.nii.gz' --out cohort
    """
    configure(quiet, verbose)
    from anymod.preparation import (
        ARCHIVES,
        PreparationOptions,
        SplitChoice,
        check_cohort,
        find_in_archive,
        find_subjects,
        parse_transform_patterns,
        prepare_cohort,
        unused_folders,
        with_transforms,
        write_report,
    )

    extras = {"mask": mask_pattern, "label": label_pattern, "tissue": tissue_pattern}
    columns: dict[str, str] = {}
    skipped: tuple[Skipped, ...] = ()
    if source is Source.folder:
        columns = _columns(pattern, extras)
        modalities = tuple(column for column in columns if column not in extras)
        found = find_subjects(raw, columns, subject_from, leave_out=out)
        if transform_pattern:
            if resample_to is None:
                raise typer.BadParameter("--transform-pattern needs --resample-to: the image whose points it takes")
            transforms = parse_transform_patterns(transform_pattern, columns)
            found = with_transforms(raw, found, transforms, subject_from, leave_out=out)
    else:
        asked = {"--pattern": pattern, "--subject-from": subject_from, "--transform-pattern": transform_pattern}
        _refuse_beside(f"--source {source.value}", asked | {f"--{name}-pattern": glob for name, glob in extras.items()})
        archive = ARCHIVES[source.value]
        found, skipped = find_in_archive(raw, archive, leave_out=out)
        modalities = tuple(name for name in archive.modalities if any(name in each.files for each in found))
        resample_to = resample_to or (archive.reference if archive.reference in modalities else None)
    for option, given in (("--register", register), ("--cut-to", cut_to)):
        if given is not None and resample_to is None:
            raise typer.BadParameter(f"{option} needs --resample-to: the image whose grid the others are put on")
    names = split_names(test_subjects)
    fractions = {"--validation": validation, "--test": test, "--test-subjects": names}
    if split_list is not None:
        _refuse_beside("--split-list", {"--split-seed": split_seed, **fractions, "--folds": folds})
    if folds is not None:
        _refuse_beside("--folds", fractions)
    if names:
        _refuse_beside("--test-subjects", {"--test": test})
    options = PreparationOptions(
        modalities=modalities,
        splits=SplitChoice(
            SplitChoice.seed if split_seed is None else split_seed,
            SplitChoice.validation if validation is None else validation,
            SplitChoice.test if test is None else test,
            names,
            split_list,
            folds,
        ),
        resample_to=resample_to,
        spacing_mm=spacing,
        register=register,
        cut_to=cut_to,
        white_matter=white_matter,
        strict=strict,
        workers=workers,
        scheduler=scheduler,
    )
    provenance = {
        "source": source.value,
        "patterns": columns,
        "subject_from": subject_from,
        "transforms": list(transform_pattern or []),
        "register": options.register,
        "cut_to": cut_to,
        "white_matter": options.white_matter,
    }
    prepared = prepare_cohort(found, options, out, provenance, overwrite=overwrite)
    _print_found(found, prepared, [*modalities, *extras])
    for each in skipped:
        typer.echo(f"skipped {each.path.relative_to(raw)}: {each.why}")
    for folder in unused_folders(raw, found, leave_out=out) if source is Source.folder and subject_from is None else []:
        typer.echo(f"nothing found in {raw / folder}")
    report = check_cohort(out, workers, scheduler)
    for finding in report.all_findings:
        typer.echo(finding.line())
    typer.echo(f"cohort: {out}\npictures: {write_report(report, out)}")
    _tell_left_out(prepared)


def _columns(pattern: list[str] | None, extras: Mapping[str, str | None]) -> dict[str, str]:
    """Return the patterns of modalities and of maps by column."""
    from anymod.preparation import parse_patterns

    if not pattern:
        raise typer.BadParameter("--source folder needs --pattern: say which files are which modality")
    return parse_patterns(pattern) | {column: glob for column, glob in extras.items() if glob is not None}


def _tell_left_out(prepared: Prepared) -> None:
    """Name the subjects that were left out on stderr, and end with status 1 where there are some."""
    for subject, why in prepared.left_out.items():
        typer.echo(f"error: subject '{subject}' is left out: {why}", err=True)
    if prepared.left_out:
        raise typer.Exit(1)


def _refuse_beside(option: str, others: Mapping[str, object]) -> None:
    """Raise typer.BadParameter where one of the options `others`, which `option` decides, was given too."""
    for other, given in others.items():
        if given is not None and given not in ((), []):
            raise typer.BadParameter(f"{option} and {other} exclude each other: leave {other} out")


def _print_found(found: tuple[FoundSubject, ...], prepared: Prepared, columns: list[str]) -> None:
    from anymod.preparation import text_table

    rows: list[tuple[str, ...]] = [("subject", "split", "found", "missing")]
    for subject in found:
        there = [column for column in columns if column in subject.files]
        missing = [name for name in prepared.cohort.modality_names if name not in subject.files]
        left_out = subject.name in prepared.left_out
        split = "left out" if left_out else prepared.cohort.subject(subject.name).split
        rows.append((subject.name, split, " ".join(there), " ".join(missing) or "-"))
    typer.echo(text_table(rows))

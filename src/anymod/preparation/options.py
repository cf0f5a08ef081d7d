"""Options of a preparation: the source of the files, the images of the cohort, the splits."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Annotated, Literal

from pydantic import model_validator

from anymod.cohorts import check_visits_together, draw_folds, draw_splits, kinds_from_list, splits_from_list
from anymod.cohorts.schema import EXTRA_COLUMNS, check_modality_name
from anymod.cohorts.splits import check_known
from anymod.compute import Workers
from anymod.configuration import Names, Settings, option
from anymod.errors import CohortError
from anymod.preparation.folder_source import FoundSubject, patients_in
from anymod.registration import Kind

SourceName = Literal["folder", "remind", "upenn_gbm", "resect_seg", "brats", "bids", "ixi"]
WhiteMatter = Literal["auto", "synthseg", "estimate"]
Patterns = dict[str, str]  # of files, by modality


FRACTIONS = ("validation", "test", "test_subjects")
EXCLUDING = (
    *(("list_file", other) for other in ("seed", *FRACTIONS, "folds")),
    *(("folds", other) for other in FRACTIONS),
    ("test_subjects", "test"),
)
"""Choices of a split beside which another means nothing."""
FLAGS = {"list_file": "--split-list", "seed": "--split-seed"}


@dataclass(frozen=True)
class Source:
    """The files to prepare: any folder, with patterns, or an archive whose file names are known (`anymod.preparation.archives`).

    Raises ValueError where a folder has no pattern, or an archive has one.
    """

    raw: Annotated[Path, option("Folder that holds the files, at any depth.", "DIR")]
    name: Annotated[SourceName, option("Archive with known file names, or folder: any files, found by --pattern.")] = (
        "folder"
    )
    patterns: Annotated[
        Patterns, option("Modality and its files below --raw; repeat for each modality.", "NAME=GLOB")
    ] = field(default_factory=dict)
    subject_from: Annotated[
        str | None,
        option(
            "Where the path below --raw names the subject, such as '{subject}_*'. Default: its first folder.", "PATTERN"
        ),
    ] = None
    patient_from: Annotated[
        str | None,
        option(
            "Where the path below --raw names the patient, such as '{patient}_MR*', if subjects are visits. Default: common endings of"
            " a subject's name.",
            "PATTERN",
        ),
    ] = None
    mask_pattern: Annotated[str | None, option("Foreground masks; found automatically by default.", "GLOB")] = None
    label_pattern: Annotated[str | None, option("Lesion label maps, which training can emphasize.", "GLOB")] = None
    tissue_pattern: Annotated[
        str | None, option("Tissue maps with FreeSurfer labels, for harmonized targets.", "GLOB")
    ] = None
    transform_patterns: Annotated[
        Patterns,
        option(
            "ITK transforms (.tfm) from points of the --resample-to image to points of NAME's files; repeat.",
            "NAME=GLOB",
        ),
    ] = field(default_factory=dict)

    def __post_init__(self) -> None:
        given = {
            "--pattern": self.patterns,
            "--subject-from": self.subject_from,
            "--transform-pattern": self.transform_patterns,
            **{f"--{column}-pattern": glob for column, glob in self.maps.items()},
        }
        if self.name == "folder" and not self.patterns:
            raise ValueError("--source folder needs --pattern: say which files are which modality")
        excluded = [option for option, value in given.items() if value and self.name != "folder"]
        if excluded:
            raise ValueError(f"--source {self.name} and {excluded[0]} exclude each other: leave {excluded[0]} out")
        for modality in self.patterns:
            check_modality_name(modality, "--pattern")

    @property
    def maps(self) -> dict[str, str]:
        """Patterns of mask, label and tissue, where given."""
        globs = {column: getattr(self, f"{column}_pattern") for column in EXTRA_COLUMNS}
        return {column: glob for column, glob in globs.items() if glob is not None}


class SplitChoice(Settings):
    """Splits of the subjects: from a CSV list, or drawn from a seed, into folds or with these fractions of all patients.

    Visits of one patient stay together, and each split has each kind of patient, by the images of the first
    visit, in proportion. Choices that exclude each other are refused.
    """

    seed: Annotated[int, option("Seed of the random split.", ge=0)] = 0
    validation: Annotated[float, option("Fraction of the patients for validation.", ge=0, le=1)] = 0.15
    test: Annotated[float, option("Fraction of the patients for the test; 1 if none is for training.", ge=0, le=1)] = (
        0.15
    )
    test_subjects: Annotated[Names, option("Names of the test subjects, instead of --test.", "NAMES")] = ()
    list_file: Annotated[Path | None, option("Table with the columns subject,split and perhaps kind.", "CSV")] = None
    folds: Annotated[int | None, option("Draw folds 0 to K-1 for cross-validation instead.", "K", ge=2)] = None

    @model_validator(mode="after")
    def _no_contradiction(self) -> SplitChoice:
        given = {name for name in self.model_fields_set if getattr(self, name) not in (None, ())}
        for chosen, other in EXCLUDING:
            if {chosen, other} <= given:
                flags = [FLAGS.get(name, f"--{name.replace('_', '-')}") for name in (chosen, other)]
                raise ValueError(f"{' and '.join(flags)} exclude each other: leave {flags[1]} out")
        return self

    def kinds(self) -> dict[str, str]:
        """Return the kind of each subject for which the list names one."""
        return {} if self.list_file is None else kinds_from_list(self.list_file)

    def of(self, found: Sequence[FoundSubject]) -> dict[str, str]:
        """Return the split of each subject."""
        names, patients = [subject.name for subject in found], patients_in(found)
        if self.list_file is not None:
            splits = splits_from_list(self.list_file, names)
            check_visits_together(splits, self.list_file, patients)
            return splits
        strata: dict[str, str] = {}
        for subject in found:
            strata.setdefault(patients[subject.name], "+".join(sorted(set(subject.files) - set(EXTRA_COLUMNS))))
        check_known(self.test_subjects, names, "--test-subjects")
        asked = tuple(dict.fromkeys(patients[name] for name in self.test_subjects))
        if self.folds is not None:
            drawn = draw_folds(list(strata), self.seed, self.folds, strata)
        else:
            # All subjects test: the default fraction for validation gives way.
            validation = 0.0 if self.test == 1 and "validation" not in self.model_fields_set else self.validation
            drawn = draw_splits(list(strata), self.seed, validation, self.test, asked, strata)
        splits = {name: drawn[patients[name]] for name in names}
        unnamed = [name for name in names if splits[name] == "test" and name not in self.test_subjects]
        if self.test_subjects and unnamed:
            why = f"'{unnamed[0]}' is another visit of one of these patients"
            raise CohortError("patient in two splits", "--test-subjects", why, "name all visits of a patient")
        return splits


@dataclass(frozen=True)
class PreparationOptions(Workers):
    """Options for the images and splits of a cohort.

    `resample_to` names the modality whose grid each subject's images are put on; `spacing_mm` makes voxels cubic and turns
    axes to RAS order. With neither, images stay on their own grids, which a subject's images must share.
    """

    modalities: tuple[str, ...] = ()
    splits: SplitChoice = field(default_factory=SplitChoice)
    resample_to: Annotated[
        str | None,
        option("Resample a subject's images to the grid of this modality, by the positions in their headers.", "NAME"),
    ] = None
    spacing_mm: Annotated[float | None, option("Resample to cubic voxels of this size.", ge=0.01)] = None
    register: Annotated[
        Kind | None, option("Align the other images to --resample-to, starting from the positions in their headers.")
    ] = None
    cut_to: Annotated[
        str | None,
        option("Set the other images to background outside the field of view of this modality, such as us.", "NAME"),
    ] = None
    white_matter: Annotated[
        WhiteMatter | None,
        option(
            "How to find white matter for harmonized targets without a tissue map: mri_synthseg, an estimate from skull-stripped"
            " t1, or auto (mri_synthseg if it is installed)."
        ),
    ] = None
    strict: Annotated[
        bool, option("Fail if a subject would be left out, or if an alignment or white matter is in doubt.")
    ] = False

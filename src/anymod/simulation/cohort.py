"""Simulated cohorts: a folder of subjects in the cohort format, some of them with missing modalities."""

from __future__ import annotations

import shutil
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

import numpy as np

from anymod.cohorts import Cohort, Modality, Subject, default_group, draw_splits, read_cohort, write_cohort
from anymod.errors import ConfigurationError
from anymod.executors import for_each_subject, subject_executor
from anymod.files import finished_record, states_of, write_json, write_text
from anymod.folders import continued_folder
from anymod.randomness import numpy_generator
from anymod.simulation.label_anatomy import find_label_maps
from anymod.simulation.patients import SimulatedSubject, Surgery, simulate_subject, subject_name
from anymod.simulation.settings import SimulationSettings
from anymod.simulation.tissues import FREESURFER_VALUES, Tissue
from anymod.volumes import write_volume

MISSING_DRAWS = 1000  # attempts to draw a subject with at least one image

RECORD = "simulation.json"
LANDMARK_COLUMNS = "id,mr_x,mr_y,mr_z,us_x,us_y,us_z"  # RAS+ millimetres


@dataclass(frozen=True)
class SubjectTask:
    """One subject to simulate and write."""

    folder: Path
    seed: int
    index: int
    settings: SimulationSettings
    observed: tuple[str, ...]


def simulate_cohort(
    out: Path,
    subjects: int,
    seed: int = 0,
    settings: SimulationSettings | None = None,
    *,
    workers: int = 1,
    scheduler: str | None = None,
    overwrite: bool = False,
) -> Cohort:
    """Write a cohort of `subjects` simulated subjects and return it; the number of workers changes nothing in it.

    After an interruption, the next call for the same cohort continues with the finished subjects.

    Raises:
        ConfigurationError: Fewer than one subject.
        OutputError: `out` is not empty and `overwrite` is False.
        VolumeError: The settings' folder of label maps has none.
    """
    plan = Simulation.of(subjects, seed, settings or SimulationSettings())
    with (
        continued_folder(Path(out), plan.request, overwrite=overwrite, keep=plan.keep) as folder,
        subject_executor(workers, scheduler) as executor,
    ):
        for_each_subject(executor, write_subject, plan.tasks(folder), "simulating", stop_on=(Exception,))
        write_cohort(plan.cohort(folder, Path(out).resolve().name), folder)
    return read_cohort(Path(out))


@dataclass(frozen=True)
class Simulation:
    """Everything that determines a simulated cohort; `splits` holds the split of each subject, `maps` the files of anatomies."""

    seed: int
    settings: SimulationSettings
    splits: dict[str, str]
    maps: tuple[Path, ...]

    @classmethod
    def of(cls, subjects: int, seed: int, settings: SimulationSettings) -> Simulation:
        """Return the simulation of this many subjects; raise ConfigurationError for none, VolumeError without label maps."""
        if subjects < 1:
            raise ConfigurationError("nothing to simulate", "--subjects", f"it is {subjects}", "give 1 or more")
        maps = () if settings.anatomy is None else tuple(find_label_maps(settings.anatomy))
        names = [subject_name(index) for index in range(subjects)]
        strata = {name: "+".join(draw_observed(seed, index, settings)) for index, name in enumerate(names)}
        validation = (
            0.0 if settings.test == 1 and "validation" not in settings.model_fields_set else settings.validation
        )
        splits = draw_splits(names, seed, validation, settings.test, strata=strata)
        return cls(seed, settings, splits, maps)

    @property
    def request(self) -> dict[str, Any]:
        """What a continued run must have in common with this one."""
        maps = [states_of(path) for path in self.maps]
        return {"subjects": len(self.splits), **_provenance(self.seed, self.settings), "label_maps": maps}

    @property
    def keep(self) -> list[Path]:
        """Folders that no result may replace."""
        return [] if self.settings.anatomy is None else [self.settings.anatomy]

    def tasks(self, folder: Path) -> dict[str, SubjectTask]:
        """Return one task per subject, in order; the settings decide whether test subjects are complete."""
        tasks = {}
        for index, (name, split) in enumerate(self.splits.items()):
            complete = self.settings.complete_test and split == "test"
            observed = self.settings.modalities if complete else draw_observed(self.seed, index, self.settings)
            tasks[name] = SubjectTask(folder, self.seed, index, self.settings, observed)
        return tasks

    def cohort(self, folder: Path, name: str) -> Cohort:
        """Return the cohort whose subjects lie in a folder."""
        settings, tasks = self.settings, self.tasks(folder)
        return Cohort(
            root=folder,
            name=name,
            modalities=tuple(Modality(name, default_group(name)) for name in settings.modalities),
            subjects=tuple(_subject(name, self.splits[name], task.observed) for name, task in tasks.items()),
            spacing_mm=(settings.spacing_mm,) * 3,
            reference=settings.modalities[0],
            provenance=_provenance(self.seed, settings),
        )


def draw_observed(seed: int, index: int, settings: SimulationSettings) -> tuple[str, ...]:
    """Return the modalities of a subject: each is missing at the settings' rate, and at least one is kept."""
    generator = numpy_generator(seed, "subject", index, "missing")
    rates = np.array([settings.missing_rate(name) for name in settings.modalities])
    for _ in range(MISSING_DRAWS):
        kept = generator.random(len(rates)) >= rates
        if kept.any():
            return tuple(name for name, keep in zip(settings.modalities, kept, strict=True) if keep)
    return settings.modalities[:1]


def write_subject(task: SubjectTask) -> None:
    """Simulate one subject and write its observed images, its maps and, last, `simulation.json`, unless it is there already."""
    name = subject_name(task.index)
    folder = task.folder / "subjects" / name
    if finished_record(folder / RECORD, {"subject": name}) is not None:
        return
    shutil.rmtree(folder, ignore_errors=True)  # an interrupted call may have left parts
    subject = simulate_subject(task.seed, task.index, task.settings)
    for modality in task.observed:
        write_volume(folder / f"{modality}.nii.gz", subject.images[modality], f"anymod simulated {modality}")
    write_volume(folder / "label.nii.gz", subject.label, "anymod simulated tumour: 1 core 2 oedema 4 enhancing")
    write_volume(folder / "tissue.nii.gz", subject.tissue, "anymod simulated tissue: FreeSurfer values")
    tumour = subject.tumour
    about = (
        None
        if tumour is None
        else {"kind": tumour.kind.name, "centre_mm": list(tumour.centre), "radius_mm": tumour.radius_mm}
    )
    content = {
        "subject": subject.name,
        "tumour": about,
        "protocol": subject.protocol.as_dict(),
        "white_matter_median": _white_matter_medians(subject, task.observed),
    }
    if subject.probe is not None:
        probe, pose = subject.probe
        content["ultrasound"] = {
            "probe": asdict(probe),
            **{name: vector.tolist() for name, vector in vars(pose).items()},
        }
    if subject.surgery is not None and "us" in task.observed:
        _write_surgery(folder, subject.surgery)
        content["brain_shift"] = {"longest_mm": subject.surgery.shift.longest_mm}
    write_json(folder / RECORD, content)


def _write_surgery(folder: Path, surgery: Surgery) -> None:
    """Write the true brain shift: transform, landmarks, and the maps in the space of the ultrasound."""
    surgery.shift.write(folder / "us_to_mr.tfm")
    rows = [(number, *mr, *us) for number, (us, mr) in enumerate(surgery.landmarks, start=1)]
    lines = [",".join([str(row[0]), *(f"{value:.4f}" for value in row[1:])]) for row in rows]
    write_text(folder / "landmarks.csv", "\n".join([LANDMARK_COLUMNS, *lines]) + "\n")
    write_volume(folder / "us_label.nii.gz", surgery.label, "anymod simulated tumour in the ultrasound")
    write_volume(folder / "us_tissue.nii.gz", surgery.tissue, "anymod simulated tissue in the ultrasound")


def _white_matter_medians(subject: SimulatedSubject, observed: tuple[str, ...]) -> dict[str, float]:
    """Return the median of the white matter of each observed MR image that contains some."""
    white = np.isin(subject.tissue.data, FREESURFER_VALUES[Tissue.WHITE])
    names = [name for name in observed if name != "us" and white.any()]
    return {name: float(np.median(subject.images[name].data[white])) for name in names}


def _subject(name: str, split: str, observed: tuple[str, ...]) -> Subject:
    folder = f"subjects/{name}"
    paths = {modality: f"{folder}/{modality}.nii.gz" for modality in observed}
    return Subject(name, split, paths, None, f"{folder}/label.nii.gz", f"{folder}/tissue.nii.gz")


def _provenance(seed: int, settings: SimulationSettings) -> dict[str, Any]:
    content = settings.model_dump(mode="json")
    # The folder's name only, because the path would reveal the machine that simulated.
    content["anatomy"] = None if settings.anatomy is None else settings.anatomy.name
    return {"simulated": True, "seed": seed, "settings": content}

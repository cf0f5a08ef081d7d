"""What the package does, shown on a patient with known truth: simulated, images hidden, filled in, measured, drawn."""

from __future__ import annotations

import tempfile
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import torch

from anymod.arrays import Array
from anymod.cohorts import Cohort, Modality, Subject, default_group, write_cohort
from anymod.compute import Compute
from anymod.core.noise import USUAL_TEMPERATURE
from anymod.core.subsets import as_row, parse_subset
from anymod.demo.figure import Filled, Truth, draw_demo
from anymod.errors import ModelFolderError
from anymod.evaluation.protocol import Evaluation, EvaluationOptions, evaluate
from anymod.evaluation.report import write_report
from anymod.executors import completed, subject_executor
from anymod.progress import track
from anymod.simulation import Patient, SimulatedSubject, SimulationSettings, simulate_subject
from anymod.slices import SliceCache, open_cache
from anymod.synthesis import Inputs, SynthesisOptions, Synthesizer, draw_images, encoded
from anymod.synthesis.files import write_subject
from anymod.volumes import write_volume

FIRST_SEED = 900_000  # no recipe's cohort comes near: the patient and the references' subjects are new to the model
TRAINING_SUBJECTS = 4  # for the references
FIGURE = "demo.png"
SAMPLES = SynthesisOptions(temperature=USUAL_TEMPERATURE, samples=16)  # for the spread
ENHANCING = 4  # label of what takes up contrast agent
TRIES = 8  # of patients with a tumour, until one's enhances
PATIENT = "patient"
SHOWN = (("t1",), ("t2", "flair"), ("t1", "t2", "flair"))
"""What is shown: one image, a pair without the tumour's contrast agent, everything but the contrast-enhanced image."""
SHOWN_WITH_US = (("us",), ("t2", "cet1", "flair"), ("us", "t2"))
"""What is shown to a model that knows ultrasound: it alone, MR alone, a mixture."""


@dataclass(frozen=True)
class Demonstration:
    """The scores, and where picture and volumes lie."""

    evaluation: Evaluation
    figure: Path
    folders: list[Path]


def demonstrate(model: str | Path, folder: Path, seed: int, compute: Compute | None = None) -> Demonstration:
    """Fill `folder` with a simulated cohort, the patient's hidden images synthesized, the report and `demo.png`.

    Workers share the simulation; the result does not depend on how many there are.
    """
    compute = compute or Compute()
    synthesizer = Synthesizer.from_folder(model, compute.device, compute.backend)
    names = synthesizer.description.names
    ways = shown_ways(names)
    settings = SimulationSettings(modalities=names, spacing_mm=synthesizer.description.spacing_mm, missing=0.0)
    cohort, number = _simulate(folder / "cohort", seed, settings, compute)
    patient = cohort.subject(PATIENT)
    folders = []
    for way in ways:
        place = folder / "filled" / f"from-{'+'.join(way)}"
        place.mkdir(parents=True)
        inputs = Inputs({name: cohort.path(patient, name) for name in way}, subject=PATIENT)
        write_subject(synthesizer, str(model), inputs, SynthesisOptions(), place)
        folders.append(place)
    with tempfile.TemporaryDirectory(prefix="anymod-") as temporary:
        shown = tuple("+".join(way) for way in ways)
        draws = SynthesisOptions(seed=seed)
        options = EvaluationOptions(show=shown, draws=draws, device=compute.device, backend=compute.backend)
        evaluation = evaluate(model, cohort, options, Path(temporary))
        write_report(evaluation, folder / "report", figures=0)
        _draw(folder / FIGURE, synthesizer, open_cache(Path(temporary)), number, ways)
    return Demonstration(evaluation, folder / FIGURE, folders)


def shown_ways(names: Sequence[str]) -> list[tuple[str, ...]]:
    """Return the sets of modalities to show: the usual ones that a model knows, else the first one and all but the last."""
    if len(names) < 2:
        remedy = "give a model of two modalities or more"
        raise ModelFolderError("nothing to hide", "the model", f"it knows {', '.join(names)} alone", remedy)
    ways = SHOWN_WITH_US if "us" in names else SHOWN
    usual: list[tuple[str, ...]] = [way for way in ways if set(way) < set(names)]
    return usual or list(dict.fromkeys([tuple(names[:1]), tuple(names[:-1])]))


@dataclass(frozen=True)
class _Person:
    """Somebody to simulate."""

    name: str
    split: str
    seed: int
    index: int
    settings: SimulationSettings


def _simulate(root: Path, seed: int, settings: SimulationSettings, compute: Compute) -> tuple[Cohort, int]:
    """Write the references' subjects and the patient; return the cohort and the patient's slice with most of the tumour's rim."""
    seed += FIRST_SEED
    ill = settings.model_copy(update={"tumours": 1.0})
    people = [_Person(PATIENT, "test", seed, _enhancing_patient(seed, ill), ill)]
    people += [_Person(f"training-{n + 1}", "train", seed, TRIES + n, settings) for n in range(TRAINING_SUBJECTS)]
    subjects, interest = {}, 0
    with subject_executor(compute.workers, compute.scheduler) as executor:
        for person, simulated in track(completed(executor, _simulated, people), "simulating", len(people)):
            if isinstance(simulated, Exception):
                raise simulated
            subjects[person.name] = _write_person(root, person, simulated)
            if person.name == PATIENT:
                interest = _slice_of_interest(simulated.label.data)
    modalities = tuple(Modality(name, default_group(name)) for name in settings.modalities)
    provenance = {"made_by": "anymod demo", "seed": seed}
    spacing = (settings.spacing_mm,) * 3
    ordered = tuple(subjects[person.name] for person in people)
    cohort = Cohort(root, "simulated demo", modalities, ordered, spacing, settings.modalities[0], provenance)
    return write_cohort(cohort, root), interest


def _enhancing_patient(seed: int, settings: SimulationSettings) -> int:
    """Return the index of the first patient whose tumour has an enhancing rim, 0 where none of `TRIES` has."""
    for index in range(TRIES):
        tumour = Patient.draw(seed, index, settings).tumour
        if tumour is not None and tumour.rim_mm > 0:
            return index
    return 0


def _simulated(person: _Person) -> SimulatedSubject:
    return simulate_subject(person.seed, person.index, person.settings)


def _write_person(root: Path, person: _Person, simulated: SimulatedSubject) -> Subject:
    paths = {name: f"subjects/{person.name}/{name}.nii.gz" for name in person.settings.modalities}
    for name, path in paths.items():
        write_volume(root / path, simulated.images[name], "anymod simulated image")
    label = f"subjects/{person.name}/label.nii.gz"
    write_volume(root / label, simulated.label, "anymod simulated tumour: 1 core, 2 oedema, 4 enhancing")
    return Subject(person.name, person.split, paths, label=label)


def _slice_of_interest(label: Array) -> int:
    """Return the axial slice (index) with most enhancing tumour, else with most of any, else the middle one."""
    for part in (label == ENHANCING, label > 0):
        if part.any():
            return int(part.sum((0, 1)).argmax())
    return label.shape[2] // 2


@torch.inference_mode()
def _draw(
    path: Path, synthesizer: Synthesizer, cache: SliceCache, number: int, ways: Sequence[tuple[str, ...]]
) -> None:
    """Write the figure of one slice of the patient.

    Simulated volumes run to RAS at the model's spacing, so a slice has the same index in the volume and in the cache.
    """
    model, names = synthesizer.model, synthesizer.description.names
    batch = cache.read([cache.subjects.index(PATIENT)], [number], model.spec.context_slices).to(synthesizer.device)
    encoding = encoded(model, batch.images, batch.observed)
    foreground = batch.foreground[0].cpu().numpy()
    filled = []
    for way in ways:
        row = as_row(parse_subset("+".join(way), names), len(names))
        shown, everything = torch.tensor([row], device=synthesizer.device), tuple(range(len(names)))
        mean, _ = draw_images(encoding, shown, everything, SynthesisOptions(), [number])
        _, spread = draw_images(encoding, shown, everything, SAMPLES, [number])
        region = foreground[row].any(0)
        planes = (np.where(region, mean[0].cpu(), -1.0), np.where(region, spread[0].cpu(), np.nan))
        filled.append(Filled(way, *planes))
    draw_demo(path, Truth(names, batch.targets[0].cpu().numpy(), foreground), filled)

"""Demo on a patient with known truth: simulate, hide images, synthesize them, measure and draw the result."""

from __future__ import annotations

import tempfile
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import cast

import torch

from anymod.arrays import Array
from anymod.cohorts import Cohort, Modality, Subject, default_group, read_subject_images, write_cohort
from anymod.compute import Compute
from anymod.core.foregrounds import masked, shown_foreground
from anymod.core.noise import USUAL_TEMPERATURE
from anymod.core.subsets import as_row, parse_subset
from anymod.errors import ModelFolderError
from anymod.evaluation.protocol import Evaluation, EvaluationOptions, evaluate
from anymod.evaluation.report import write_report
from anymod.evaluation.subjects import in_model_order
from anymod.executors import for_each_subject, subject_executor
from anymod.figures.demonstration import draw_demo
from anymod.figures.examples import Example
from anymod.simulation import Patient, SimulationSettings, simulate_subject
from anymod.slices import CacheSettings, SliceCache, build_cache
from anymod.slices.model_input import ModelGrid
from anymod.synthesis import Inputs, SynthesisOptions, Synthesizer, cache_settings, draw_images, encoded
from anymod.synthesis.files import write_subject
from anymod.volumes import write_volume

FIRST_SEED = 900_000  # far from the seeds of all recipes, so that the model was not trained on these subjects
TRAINING_SUBJECTS = 4  # for the references
FIGURE = "demo.png"
SAMPLES = SynthesisOptions(temperature=USUAL_TEMPERATURE, samples=16)  # for the standard deviation
ENHANCING = 4  # label of the tumour's rim, which takes up contrast agent
TRIES = 8  # patients with a tumour to look at, until one has a rim
PATIENT = "patient"
SHOWN = (("t1",), ("t2", "flair"), ("t1", "t2", "flair"))
"""Shown subsets: one image, a pair without contrast agent, everything except the contrast-enhanced image."""
SHOWN_WITH_US = (("us",), ("t2", "cet1", "flair"), ("us", "t2"))
"""Shown subsets for a model that knows ultrasound: ultrasound alone, MR alone, both."""


@dataclass(frozen=True)
class Demonstration:
    """The scores, and the paths of the figure and of the folders with volumes."""

    evaluation: Evaluation
    figure: Path
    folders: list[Path]


def demonstrate(model: str | Path, folder: Path, seed: int, compute: Compute | None = None) -> Demonstration:
    """Write a simulated cohort, the patient's synthesized images, a report and `demo.png` into `folder`.

    Workers share the simulation; their number changes nothing in the result.
    """
    compute = compute or Compute()
    synthesizer = Synthesizer.from_folder(model, compute.device, compute.backend)
    names = synthesizer.description.names
    ways = shown_ways(names)
    settings = SimulationSettings(modalities=names, spacing_mm=synthesizer.description.spacing_mm, missing=0.0)
    cohort = _simulate(folder / "cohort", seed, settings, compute)
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
        evaluation = evaluate(model, cohort, options)
        write_report(evaluation, folder / "report", figures=0)
        seen = in_model_order(cohort, synthesizer.description)
        patient = seen.subject(PATIENT)
        cache = build_cache(seen, [patient], cache_settings(synthesizer.description), Path(temporary))
        _draw(folder / FIGURE, synthesizer, cache, _slice_of_interest(cohort, cache.settings), ways)
    return Demonstration(evaluation, folder / FIGURE, folders)


def shown_ways(names: Sequence[str]) -> list[tuple[str, ...]]:
    """Return the subsets to show: the usual ones that the model knows, else the first modality, and all but the last."""
    if len(names) < 2:
        remedy = "give a model of two modalities or more"
        raise ModelFolderError("nothing to hide", "the model", f"it knows {', '.join(names)} alone", remedy)
    ways = SHOWN_WITH_US if "us" in names else SHOWN
    usual: list[tuple[str, ...]] = [way for way in ways if set(way) < set(names)]
    return usual or list(dict.fromkeys([tuple(names[:1]), tuple(names[:-1])]))


@dataclass(frozen=True)
class _Person:
    """One subject to simulate and write into the cohort at `root`."""

    root: Path
    name: str
    split: str
    seed: int
    index: int
    settings: SimulationSettings


def _simulate(root: Path, seed: int, settings: SimulationSettings, compute: Compute) -> Cohort:
    """Write the patient and the training subjects; return the cohort."""
    seed += FIRST_SEED
    ill = settings.model_copy(update={"tumours": 1.0})
    people = {PATIENT: _Person(root, PATIENT, "test", seed, _enhancing_patient(seed, ill), ill)}
    for number in range(TRAINING_SUBJECTS):
        name = f"training-{number + 1}"
        people[name] = _Person(root, name, "train", seed, TRIES + number, settings)
    with subject_executor(compute.workers, compute.scheduler) as executor:
        outcomes = for_each_subject(executor, _write_person, people, "simulating", stop_on=(Exception,))
    subjects = tuple(outcomes.results.values())
    modalities = tuple(Modality(name, default_group(name)) for name in settings.modalities)
    provenance = {"made_by": "anymod demo", "seed": seed}
    spacing = (settings.spacing_mm,) * 3
    cohort = Cohort(root, "simulated demo", modalities, subjects, spacing, settings.modalities[0], provenance)
    return write_cohort(cohort, root)


def _enhancing_patient(seed: int, settings: SimulationSettings) -> int:
    """Return the index of the first patient whose tumour has an enhancing rim, 0 if none of `TRIES` has."""
    for index in range(TRIES):
        tumour = Patient.draw(seed, index, settings).tumour
        if tumour is not None and tumour.rim_mm > 0:
            return index
    return 0


def _write_person(person: _Person) -> Subject:
    """Simulate and write one subject; return its row of the cohort."""
    simulated = simulate_subject(person.seed, person.index, person.settings)
    paths = {name: f"subjects/{person.name}/{name}.nii.gz" for name in person.settings.modalities}
    for name, path in paths.items():
        write_volume(person.root / path, simulated.images[name], "anymod simulated image")
    label = f"subjects/{person.name}/label.nii.gz"
    write_volume(person.root / label, simulated.label, "anymod simulated tumour: 1 core, 2 oedema, 4 enhancing")
    return Subject(person.name, person.split, paths, label=label)


def _slice_of_interest(cohort: Cohort, settings: CacheSettings) -> int:
    """Return the patient's slice (index in the cache) with the most enhancing tumour, else with the most tumour, else the middle one."""
    images = read_subject_images(cohort, cohort.subject(PATIENT))
    turned = images.turned(settings.orientation)
    planes = ModelGrid.around(turned, images.grid, settings, None).mask_planes(cast(Array, turned.label))
    for part in (planes == ENHANCING, planes > 0):
        if part.any():
            return int(part.sum((1, 2)).argmax())
    return len(planes) // 2


@torch.inference_mode()
def _draw(
    path: Path, synthesizer: Synthesizer, cache: SliceCache, number: int, ways: Sequence[tuple[str, ...]]
) -> None:
    """Draw one slice (index in the cache) of the patient."""
    model, names = synthesizer.model, synthesizer.description.names
    batch = cache.read([cache.subjects.index(PATIENT)], [number], model.spec.context_slices).to(synthesizer.device)
    encoding = encoded(model, batch.images, batch.observed)
    truths, foregrounds = (
        dict(zip(names, each[0].cpu().numpy(), strict=True)) for each in (batch.targets, batch.foreground)
    )
    example = Example(PATIENT, truths, foregrounds, {}, {})
    for way in ways:
        shown = torch.tensor([as_row(parse_subset("+".join(way), names), len(names))], device=synthesizer.device)
        everything = tuple(range(len(names)))
        mean, _ = draw_images(encoding, shown, everything, SynthesisOptions(), [number])
        _, deviation = draw_images(encoding, shown, everything, SAMPLES, [number])
        region = shown_foreground(batch.foreground, shown)
        planes = (masked(mean, region), deviation.where(region[:, None], torch.nan))
        for kept, each in zip((example.predictions, example.deviations), planes, strict=True):
            kept["+".join(way)] = dict(zip(names, each[0].cpu().numpy(), strict=True))
    draw_demo(path, example)

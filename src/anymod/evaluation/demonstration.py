"""What the package does, shown on a patient with known truth: simulated, images hidden, filled in, measured, drawn."""

from __future__ import annotations

import tempfile
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import torch

from anymod.cohorts import Cohort, Modality, SliceCache, Subject, default_group, open_cache, write_cohort
from anymod.core.subsets import as_row, parse_subset
from anymod.errors import ModelFolderError
from anymod.evaluation.demo_figure import Filled, Truth, draw_demo
from anymod.evaluation.protocol import Evaluation, EvaluationOptions, evaluate
from anymod.evaluation.report import write_report
from anymod.progress import track
from anymod.simulation import SimulatedSubject, SimulationSettings, simulate_subject
from anymod.synthesis import USUAL_TEMPERATURE, Inputs, SynthesisOptions, Synthesizer, draw_images, encoded
from anymod.synthesis.files import write_subject
from anymod.types import Array
from anymod.volumes import write_volume

FIRST_SEED = 900_000  # no recipe's cohort comes near: the patient and the references' subjects are new to the model
TRAINING_SUBJECTS = 4  # for the references
FIGURE = "demo.png"
SAMPLES = SynthesisOptions(temperature=USUAL_TEMPERATURE, samples=16)  # for the spread
ENHANCING, CLEAR_RIM = 4, 150  # label, and how many voxels of it can be seen well
TRIES = 8  # of subjects with a tumour, until one enhances
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


def demonstrate(model: str | Path, folder: Path, seed: int, device: str = "auto") -> Demonstration:
    """Fill `folder` with a simulated cohort, the patient's hidden images synthesized, the report and `demo.png`."""
    synthesizer = Synthesizer.from_folder(model, device)
    names = synthesizer.description.names
    ways = shown_ways(names)
    settings = SimulationSettings(modalities=names, spacing_mm=synthesizer.description.spacing_mm, missing=0.0)
    cohort, number = _simulate(folder / "cohort", seed, settings)
    patient = cohort.subject(PATIENT)
    folders = []
    for way in ways:
        place = folder / "filled" / f"from-{'+'.join(way)}"
        place.mkdir(parents=True)
        inputs = Inputs({name: cohort.path(patient, name) for name in way}, subject=PATIENT)
        write_subject(synthesizer, str(model), inputs, SynthesisOptions(), place)
        folders.append(place)
    with tempfile.TemporaryDirectory(prefix="anymod-") as temporary:
        options = EvaluationOptions(show=tuple("+".join(way) for way in ways), seed=seed, device=device)
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


def _simulate(root: Path, seed: int, settings: SimulationSettings) -> tuple[Cohort, int]:
    """Write the references' subjects and the patient; return the cohort and the patient's slice with most of the tumour's rim."""
    seed += FIRST_SEED
    subjects = []
    total = TRAINING_SUBJECTS + 1
    for simulated, name, split in track(_subjects(seed, settings), "simulating", total):
        paths = {modality: f"subjects/{name}/{modality}.nii.gz" for modality in settings.modalities}
        for modality, path in paths.items():
            write_volume(root / path, simulated.images[modality], "anymod simulated image")
        label = f"subjects/{name}/label.nii.gz"
        write_volume(root / label, simulated.label, "anymod simulated tumour: 1 core, 2 oedema, 4 enhancing")
        subjects.append(Subject(name, split, paths, label=label))
        interest = _slice_of_interest(simulated.label.data)
    modalities = tuple(Modality(name, default_group(name)) for name in settings.modalities)
    provenance = {"made_by": "anymod demo", "seed": seed}
    spacing = (settings.spacing_mm,) * 3
    cohort = Cohort(root, "simulated demo", modalities, tuple(subjects), spacing, settings.modalities[0], provenance)
    return write_cohort(cohort, root), interest


def _subjects(seed: int, settings: SimulationSettings) -> Iterator[tuple[SimulatedSubject, str, str]]:
    """Yield (subject, name, split): those of the references, and last the patient."""
    for index in range(TRAINING_SUBJECTS):
        yield simulate_subject(seed, TRIES + index, settings), f"training-{index + 1}", "train"
    with_tumour = settings.model_copy(update={"tumours": 1.0})
    tried = (simulate_subject(seed, index, with_tumour) for index in range(TRIES))
    best = next(tried)
    for other in tried:
        if _rim(best) >= CLEAR_RIM:
            break
        best = max(best, other, key=_rim)
    yield best, PATIENT, "test"


def _rim(simulated: SimulatedSubject) -> int:
    """Return how many voxels of the subject's tumour enhance."""
    return int(np.count_nonzero(simulated.label.data == ENHANCING))


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
    batch = cache.read([cache.subjects.index(PATIENT)], [number], model.context).to(synthesizer.device)
    decode = encoded(model, batch.images, batch.observed)
    foreground = batch.foreground[0].cpu().numpy()
    filled = []
    for way in ways:
        row = as_row(parse_subset("+".join(way), names), len(names))
        shown, everything = torch.tensor([row], device=synthesizer.device), tuple(range(len(names)))
        mean, _ = draw_images(decode, shown, everything, SynthesisOptions(), [number])
        _, spread = draw_images(decode, shown, everything, SAMPLES, [number])
        region = foreground[row].any(0)
        planes = (np.where(region, mean[0].cpu(), -1.0), np.where(region, spread[0].cpu(), np.nan))
        filled.append(Filled(way, *planes))
    draw_demo(path, Truth(names, batch.targets[0].cpu().numpy(), foreground), filled)

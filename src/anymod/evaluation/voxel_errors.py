"""Errors to expect in each voxel, learnt from the held-out subjects of a cross-validation (`anymod.core.error_model`)."""

from __future__ import annotations

import logging
from collections import defaultdict
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import torch

from anymod.arrays import Array
from anymod.cohorts import Cohort, read_subject_images
from anymod.core.error_model import coverage_factor, error_features, fit_log_scale
from anymod.core.subsets import non_empty_subsets, positions, subset_name
from anymod.errors import ReportError
from anymod.evaluation.calibration import read_report, with_section
from anymod.evaluation.predictions import draw_subsets
from anymod.evaluation.subjects import in_model_order
from anymod.files import write_text
from anymod.folders import staged_folder
from anymod.models import (
    CARD,
    ModelDescription,
    VoxelError,
    VoxelErrors,
    copy_model,
    find_model,
    load_model,
    read_card,
    write_voxel_errors,
)
from anymod.progress import track
from anymod.randomness import numpy_generator
from anymod.reports.tables import markdown_table
from anymod.slices.slicing import white_matter_anchor
from anymod.synthesis import SynthesisOptions, Synthesizer, cache_settings
from anymod.volumes import content_fingerprint, scale

MOST_VOXELS, MOST_IN_LESIONS = 1500, 500  # of one subject's image, outside and inside of lesions
MOST_OF_ALL = 60_000  # of all subjects' images together, so that memory and time do not grow with the cohort
MOST_GROUPS = 10  # of subjects that are left out together
FEWEST_SUBJECTS = 2  # one can be left out
HEADING = "## Errors of each voxel"

logger = logging.getLogger(__name__)


@dataclass(frozen=True)
class Sample:
    """Voxels of one subject's image: features (n, f), absolute errors (n,), how many voxels each stands for (n,), in a lesion (n,)."""

    features: Array
    errors: Array
    voxels: Array
    lesion: Array


@dataclass(frozen=True)
class Coverage:
    """Share of voxels of hidden images whose error is within one and within two expected standard deviations, subjects left out."""

    where: str
    one: float
    two: float
    subjects: int


Cell = tuple[str, str]
"""Shown subset and target, both names."""


def learn_voxel_errors(
    model: str | Path,
    crossvalidation: Path,
    cohort: Cohort,
    out: Path,
    options: SynthesisOptions | None = None,
    *,
    device: str = "auto",
    overwrite: bool = False,
) -> tuple[VoxelErrors, list[Coverage]]:
    """Write a copy of a model folder that knows the errors to expect in each voxel; return them, and how often they were right.

    Args:
        model: Model folder or bundled model, trained by the same recipe as the folds.
        crossvalidation: What `anymod crossvalidate` wrote: `fold-K/run/model`.
        cohort: Its cohort. Each fold's subjects are synthesized by the model that was not trained on them.
        out: The folder to write.
        options: How images are drawn.
        device: As of `Synthesizer.from_folder`.
        overwrite: Replace `out`.

    Raises:
        ReportError: There is no fold, a fold's model was trained on its subjects or scales images by another rule, or there are too few
            subjects.
    """
    folder = find_model(model)
    _, description = load_model(folder)  # checks that the folder is complete and unaltered
    options = options or SynthesisOptions()
    samples: dict[Cell, dict[str, Sample]] = defaultdict(dict)
    folds = {place: cohort.held_out(number) for number, place in _folds(crossvalidation).items()}
    share = min(1.0, MOST_OF_ALL / (MOST_VOXELS * sum(len(each.of_split("test")) for each in folds.values())))
    for place, held in folds.items():
        for name, cell, sample in _samples_of_fold(place, held, description, options, device, share):
            samples[cell][name] = sample
    subjects = sorted({name for each in samples.values() for name in each})
    if len(subjects) < FEWEST_SUBJECTS:
        why = f"it has {len(subjects)} held-out subjects"
        raise ReportError("too few subjects", crossvalidation, why, "train more folds")
    errors = VoxelErrors(
        model=description.fingerprint(), subjects=tuple(subjects), modalities=description.names, errors={}
    )
    for (shown, target), known in samples.items():
        if len(known) >= FEWEST_SUBJECTS:
            errors.errors.setdefault(shown, {})[target] = _fitted(known)
    coverage = _coverage(samples)
    with staged_folder(out, overwrite=overwrite, keep=(folder, crossvalidation, cohort.root)) as staged:
        copy_model(folder, staged)
        write_text(staged / CARD, with_section(read_card(folder), HEADING, _card_lines(errors, coverage)))
        write_voxel_errors(staged, errors)
    return errors, coverage


def _folds(crossvalidation: Path) -> dict[int, Path]:
    """Return the folders of the folds that were measured, which a fold is when its training has ended."""
    named = {each: each.name.removeprefix("fold-") for each in sorted(crossvalidation.glob("fold-*"))}
    measured = {int(name): each for each, name in named.items() if name.isdigit() and (each / "report").is_dir()}
    if not measured:
        why = "it has no fold-K/report"
        raise ReportError("no cross-validation", crossvalidation, why, "give what 'anymod crossvalidate --out' wrote")
    return measured


def _check_fold(place: Path, theirs: ModelDescription, ours: ModelDescription) -> None:
    """Raise ReportError if a fold's model is not the one that was measured, or was trained by another recipe than the final model."""
    facts, _ = read_report(place / "report")
    if facts["model_fingerprint"] != theirs.fingerprint():
        why = "its report measures another model"
        raise ReportError("unfinished fold", place, why, "go on with 'anymod crossvalidate'")
    names = (
        "architecture",
        "mean_settings",
        "spacing_mm",
        "image_size",
        "slice_axis",
        "orientation",
        "intensity",
        "targets",
    )
    for name in names:
        if getattr(theirs, name) != getattr(ours, name):
            why = f"its model has another {name.removeprefix('mean_')}"
            raise ReportError("another recipe", place, why, "cross-validate the recipe of the model")
    if theirs.names != ours.names:
        why = "its model has other modalities"
        raise ReportError("another recipe", place, why, "cross-validate the recipe of the model")


def _samples_of_fold(
    fold: Path, cohort: Cohort, final: ModelDescription, options: SynthesisOptions, device: str, share: float
) -> Iterator[tuple[str, Cell, Sample]]:
    """Yield (subject, cell, sample) of a fold's subjects, with errors in units of the final model and a share of the usual voxels."""
    synthesizer = Synthesizer.from_folder(fold / "run" / "model", device)
    description = synthesizer.description
    _check_fold(fold, description, final)
    before, after = description.scale()["constants"], final.scale()["constants"]
    gains = [after[name] / before[name] if after[name] and before[name] else 1.0 for name in final.names]
    known = in_model_order(cohort, description)
    measured = known.of_split("test")
    for subject in track(measured, f"drawing {fold.name}", len(measured)):
        images = read_subject_images(known, subject)
        fingerprints = [content_fingerprint(volume) for volume in images.volumes.values()]
        if description.trained_on(cohort.name, {subject.name: fingerprints}):
            why = f"it was trained on {subject.name}, so its errors there are too small"
            raise ReportError("training subjects", fold, why, "give the cohort of the cross-validation")
        seen, settings = synthesizer.see(images), cache_settings(description)
        planes, observed = synthesizer.shown_planes(seen), [each is not None for each in seen.scales]
        targets = [place for place, there in enumerate(observed) if there]
        by_place = dict(zip(targets, planes, strict=True))
        truths = {}
        for place in targets:
            modality = known.modalities[place]
            anchor = white_matter_anchor(images, modality, settings, f"the images of {modality.name}")
            units = synthesizer.true_range(seen, modality.name, anchor)
            truths[place] = scale(seen.planes[:, place], units, seen.foreground[:, place])
        subsets = list(non_empty_subsets(sum(1 << place for place in targets)))
        for subset, drawn in draw_subsets(synthesizer, seen, targets, subsets, options):
            shown = list(positions(subset))
            region = seen.foreground[:, shown].any(1)
            for image, place in zip(drawn, targets, strict=True):
                stacks = torch.from_numpy(np.stack([image, *(by_place[each] for each in shown)]))
                features = error_features(stacks, torch.from_numpy(region)).numpy()
                counts = region & seen.foreground[:, place]
                error = gains[place] * np.abs(image - truths[place])
                cell = subset_name(subset, final.names), final.names[place]
                if counts.any():
                    random = numpy_generator(0, "voxel errors", subject.name, *cell)
                    yield subject.name, cell, _sampled(features, error, counts, seen.label, share, random)


def _sampled(
    features: Array, error: Array, counts: Array, label: Array, share: float, random: np.random.Generator
) -> Sample:
    """Return random voxels from outside and from inside of lesions."""
    chosen, voxels = [], []
    for part, most in ((counts & ~label, MOST_VOXELS), (counts & label, MOST_IN_LESIONS)):
        there = np.flatnonzero(part)
        some = random.choice(there, min(max(1, round(share * most)), len(there)), replace=False)
        chosen.append(some)
        voxels.append(np.full(len(some), len(there) / max(1, len(some))))
    places = np.concatenate(chosen)
    return Sample(
        features.reshape(len(features), -1)[:, places].T.astype(np.float32),
        error.reshape(-1)[places].astype(np.float32),
        np.concatenate(voxels),
        label.reshape(-1)[places],
    )


def _joined(samples: Iterable[Sample]) -> Sample:
    """Return the voxels of several subjects, each subject with the same weight."""
    parts = list(samples)
    shares = [each.voxels / each.voxels.sum() for each in parts]
    return Sample(
        np.concatenate([each.features for each in parts]),
        np.concatenate([each.errors for each in parts]),
        np.concatenate(shares),
        np.concatenate([each.lesion for each in parts]),
    )


def _model_of(sample: Sample, factor: float = 1.0) -> VoxelError:
    weights = fit_log_scale(sample.features, sample.errors, sample.voxels)
    logarithms = sample.features @ weights
    return VoxelError(
        weights=tuple(float(f"{weight:.6g}") for weight in weights),
        factor=factor,
        lowest=max(-20.0, float(logarithms.min())),
        highest=min(5.0, float(logarithms.max())),
    )


def _groups(known: dict[str, Sample]) -> list[list[str]]:
    """Return the subjects in groups, to be left out in turn: each alone where there are few."""
    names = list(known)
    return [names[start::MOST_GROUPS] for start in range(min(MOST_GROUPS, len(names)))]


def _fitted(known: dict[str, Sample]) -> VoxelError:
    """Return the errors of a cell, with the factor that covers subjects when they are left out."""
    ratios, voxels = [], []
    for group in _groups(known):
        fitted = _model_of(_joined(other for key, other in known.items() if key not in group))
        for sample in map(known.__getitem__, group):
            ratios.append(sample.errors / fitted.expected(sample.features))
            voxels.append(sample.voxels / sample.voxels.sum())
    factor = coverage_factor(np.concatenate(ratios), np.concatenate(voxels))
    return _model_of(_joined(known.values()), factor)


def _coverage(samples: dict[Cell, dict[str, Sample]]) -> list[Coverage]:
    """Return how often the errors of hidden images are within the deviations that the other subjects make expect."""
    shares: dict[str, dict[str, list[tuple[float, float]]]] = defaultdict(lambda: defaultdict(list))
    hidden = {cell: known for cell, known in samples.items() if cell[1] not in cell[0].split("+")}
    for known in track(list(hidden.values()), "fitting errors", len(hidden)):
        for group in _groups(known) if len(known) > FEWEST_SUBJECTS else ():
            fitted = _fitted({key: other for key, other in known.items() if key not in group})
            for name in group:
                sample = known[name]
                ratio = sample.errors / (fitted.factor * fitted.expected(sample.features))
                for where, part in (("outside of lesions", ~sample.lesion), ("inside of lesions", sample.lesion)):
                    if part.any():
                        weight = sample.voxels[part] / sample.voxels[part].sum()
                        within = float(weight @ (ratio[part] <= 1)), float(weight @ (ratio[part] <= 2))
                        shares[where][name].append(within)
    coverage = []
    for where, found in shares.items():
        one, two = np.mean([np.mean(each, axis=0) for each in found.values()], axis=0).tolist()
        coverage.append(Coverage(where, one, two, len(found)))
    return coverage


def _card_lines(errors: VoxelErrors, coverage: Sequence[Coverage]) -> str:
    rows = [[each.where, f"{each.one:.0%}", f"{each.two:.0%}", str(each.subjects)] for each in coverage]
    table = markdown_table(["hidden images", "within one", "within two", "subjects"], rows, 1) if rows else ""
    return f"""
`voxel_errors.json` says how large errors are likely to be, from the prediction, the shown images and the border of the head. It was
learnt from {len(errors.subjects)} subjects that were held out in a cross-validation. `anymod synthesize` writes the result as
`TARGET_sd.nii.gz`, a standard deviation for each voxel.

Voxels within one and two standard deviations, each subject left out in turn:

{table}
"""

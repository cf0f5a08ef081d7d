"""Errors to expect in each voxel, learnt from the held-out subjects of a cross-validation (`anymod.core.error_model`)."""

from __future__ import annotations

import logging
import shutil
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
from anymod.evaluation.calibration import with_section
from anymod.evaluation.predictions import draw_subsets
from anymod.evaluation.subjects import in_model_order
from anymod.files import write_text
from anymod.folders import staged_folder
from anymod.models import (
    CARD,
    ModelDescription,
    VoxelError,
    VoxelErrors,
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

MOST_VOXELS, MOST_IN_LESIONS = 1500, 500  # of one image, outside and inside of lesions
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
    for place in _folds(crossvalidation):
        held = cohort.held_out(int(place.name.removeprefix("fold-")))
        for name, cell, sample in _samples_of_fold(place / "run" / "model", held, description, options, device):
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
        shutil.copytree(folder, staged, dirs_exist_ok=True)
        write_text(staged / CARD, with_section(read_card(folder), HEADING, _card_lines(errors, coverage)))
        write_voxel_errors(staged, errors)
    return errors, coverage


def _folds(crossvalidation: Path) -> list[Path]:
    there = [
        each
        for each in sorted(crossvalidation.glob("fold-*"))
        if each.name.removeprefix("fold-").isdigit() and (each / "run" / "model" / "model.yaml").is_file()
    ]
    if not there:
        why = "it has no fold-K/run/model"
        raise ReportError("no cross-validation", crossvalidation, why, "give what 'anymod crossvalidate --out' wrote")
    return there


def _samples_of_fold(
    model: Path, cohort: Cohort, final: ModelDescription, options: SynthesisOptions, device: str
) -> Iterator[tuple[str, Cell, Sample]]:
    """Yield (subject, cell, sample) of a fold's subjects, with errors in units of the final model."""
    synthesizer = Synthesizer.from_folder(model, device)
    description = synthesizer.description
    theirs, ours = description.scale(), final.scale()
    before, after = theirs.pop("constants"), ours.pop("constants")
    if theirs != ours or description.names != final.names:
        why = "it has other modalities, or scales images by another rule"
        raise ReportError("another recipe", model, why, "cross-validate the recipe of the model")
    gains = [after[name] / before[name] if after[name] and before[name] else 1.0 for name in final.names]
    known = in_model_order(cohort, description)
    measured = known.of_split("test")
    for subject in track(measured, f"drawing {model.parent.parent.name}", len(measured)):
        images = read_subject_images(known, subject)
        fingerprints = [content_fingerprint(volume) for volume in images.volumes.values()]
        if description.trained_on(cohort.name, {subject.name: fingerprints}):
            why = f"it was trained on {subject.name}, so its errors there are too small"
            raise ReportError("training subjects", model, why, "give the cohort of the cross-validation")
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
        for subset in non_empty_subsets(sum(1 << place for place in targets)):
            drawn = draw_subsets(synthesizer, seen, targets, [subset], options)[subset]
            shown = list(positions(subset))
            region = seen.foreground[:, shown].any(1)
            for image, place in zip(drawn, targets, strict=True):
                stacks = torch.from_numpy(np.stack([image, *(by_place[each] for each in shown)]))
                features = error_features(stacks, torch.from_numpy(region)).numpy()
                counts = region & seen.foreground[:, place]
                error = gains[place] * np.abs(image - truths[place])
                cell = subset_name(subset, final.names), final.names[place]
                if counts.any():
                    yield subject.name, cell, _sampled(subject.name, cell, features, error, counts, seen.label)


def _sampled(subject: str, cell: Cell, features: Array, error: Array, counts: Array, label: Array) -> Sample:
    """Return random voxels from outside and from inside of lesions."""
    generator, chosen, voxels = numpy_generator(0, "voxel errors", subject, *cell), [], []
    for part, most in ((counts & ~label, MOST_VOXELS), (counts & label, MOST_IN_LESIONS)):
        there = np.flatnonzero(part)
        some = generator.choice(there, min(most, len(there)), replace=False)
        chosen.append(some)
        voxels.append(np.full(len(some), len(there) / max(1, len(some))))
    places = np.concatenate(chosen)
    return Sample(
        features.reshape(len(features), -1)[:, places].T.astype(np.float64),
        error.reshape(-1)[places].astype(np.float64),
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


def _fitted(known: dict[str, Sample]) -> VoxelError:
    """Return the errors of a cell, with the factor that covers each subject when it is left out."""
    ratios, voxels = [], []
    for name, sample in known.items():
        fitted = _model_of(_joined(other for key, other in known.items() if key != name))
        ratios.append(sample.errors / fitted.expected(sample.features))
        voxels.append(sample.voxels / sample.voxels.sum())
    factor = coverage_factor(np.concatenate(ratios), np.concatenate(voxels))
    return _model_of(_joined(known.values()), factor)


def _coverage(samples: dict[Cell, dict[str, Sample]]) -> list[Coverage]:
    """Return how often the errors of hidden images are within the deviations that the other subjects make expect."""
    shares: dict[str, dict[str, list[tuple[float, float]]]] = defaultdict(lambda: defaultdict(list))
    for (shown, target), known in samples.items():
        if target in shown.split("+") or len(known) <= FEWEST_SUBJECTS:
            continue
        for name, sample in known.items():
            fitted = _fitted({key: other for key, other in known.items() if key != name})
            ratio = sample.errors / (fitted.factor * fitted.expected(sample.features))
            for where, part in (("outside of lesions", ~sample.lesion), ("inside of lesions", sample.lesion)):
                if part.any():
                    weight = sample.voxels[part] / sample.voxels[part].sum()
                    shares[where][name].append((float(weight @ (ratio[part] <= 1)), float(weight @ (ratio[part] <= 2))))
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

"""Scores of two models are comparable: their units belong to the cohort, and each prediction is brought there by its own model's scale."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace
from pathlib import Path

import numpy as np
import pytest
import torch
from tiny_models import MODALITIES, SETTINGS, head, save_tiny_model, tiny_description, tiny_model, write_tiny_cohort
from torch import Tensor

from anymod.cohorts import Cohort, Modality, write_cohort
from anymod.core.noise import Draw
from anymod.evaluation import Evaluation, EvaluationOptions, evaluate, predictions
from anymod.evaluation.scores import Reading, Scored, score_subject
from anymod.models import MMHVAE, InputSpec, ModelDescription, ModelModality, save_model
from anymod.slices import CacheSettings, build_cache
from anymod.slices.references import References
from anymod.slices.score_units import Landmarks, ScoreUnits
from anymod.synthesis import SynthesisOptions, Synthesizer
from anymod.volumes import Grid, IntensityRule, Volume, write_volume
from anymod.volumes.intensity import INPUT_FLOOR

pytestmark = pytest.mark.slow

SUBJECTS = {"x": ("t1", "t2"), "y": ("t1", "t2", "flair"), "a": ("t1", "t2", "flair"), "b": ("t1", "flair")}
SPLITS = {"x": "train", "y": "train"}
OPTIONS = EvaluationOptions(device="cpu")
CORE = IntensityRule(anchor="core", lower_percentile=0.5)


@pytest.fixture(scope="module")
def cohort(tmp_path_factory: pytest.TempPathFactory) -> Cohort:
    return write_tiny_cohort(tmp_path_factory.mktemp("cohorts") / "cohort", SUBJECTS, SPLITS)


@pytest.fixture(scope="module")
def first(cohort: Cohort, tmp_path_factory: pytest.TempPathFactory) -> Evaluation:
    return evaluate(save_tiny_model(tmp_path_factory.mktemp("models") / "model"), cohort, OPTIONS)


def with_constants(*constants: float) -> tuple[ModelModality, ...]:
    each = zip(tiny_description(tiny_model()).modalities, constants, strict=True)
    return tuple(modality.model_copy(update={"harmonized_median": constant}) for modality, constant in each)


def other_size(folder: Path) -> Path:
    """Write a model with context slices and larger slices than the first."""
    model = tiny_model(image_size=(32, 24), context_slices=1)
    save_model(folder, model, tiny_description(model, image_size=(32, 24)), "")
    return folder


def other_order(folder: Path) -> Path:
    """Write a model that knows the first model's modalities in another order."""
    model = MMHVAE(("flair", "t1", "t2"), SETTINGS).eval()
    modalities = tuple(ModelModality(name=name, group="mr", low=0, high=100) for name in ("flair", "t1", "t2"))
    save_model(folder, model, tiny_description(model, modalities=modalities), "")
    return folder


def other_spacing(folder: Path) -> Path:
    return save_tiny_model(folder, spacing_mm=1.7)


def other_constants(folder: Path) -> Path:
    return save_tiny_model(folder, intensity=CORE, modalities=with_constants(0.3, 0.5, 0.7))


def reference_rows(evaluation: Evaluation) -> dict[tuple[object, ...], tuple[object, ...]]:
    """Return the scores of the references by subject, names shown (in any order), target and method."""
    return {
        (each.subject, frozenset(each.shown.split("+")), each.target, each.method): (
            each.psnr_db,
            each.ssim,
            each.ms_ssim,
            each.mae,
            each.lpips,
            each.haarpsi,
            each.gmsd,
            each.structure_psnr_db,
            each.spectrum_error,
            each.through_plane,
            each.slices,
        )
        for each in evaluation.scores
        if each.method != "model"
    }


@pytest.mark.parametrize("write", [other_constants, other_size, other_order, other_spacing])
def test_reference_rows_are_the_same_whatever_the_model(
    write, cohort: Cohort, first: Evaluation, tmp_path: Path
) -> None:
    options = replace(OPTIONS, spacing_mm=1.0)  # that of the first model
    other = evaluate(write(tmp_path / "model"), cohort, options)
    assert reference_rows(other) == reference_rows(first)
    assert len(reference_rows(first)) > 20
    assert other.constants == first.constants
    model = [[each.psnr_db for each in found.scores if each.method == "model"] for found in (first, other)]
    assert model[0] != model[1]


def test_a_model_that_knows_fewer_modalities_has_the_same_reference_rows(
    cohort: Cohort, first: Evaluation, tmp_path: Path
) -> None:
    model = MMHVAE(("t1", "flair"), SETTINGS).eval()
    modalities = tuple(ModelModality(name=name, group="mr", low=0, high=100) for name in ("t1", "flair"))
    save_model(tmp_path / "model", model, tiny_description(model, modalities=modalities), "")
    rows = reference_rows(evaluate(tmp_path / "model", cohort, OPTIONS))
    assert rows == {key: reference_rows(first)[key] for key in rows}
    assert len(rows) == 2 * (2 * 3 + 4 * 1)  # two hidden targets with three references, four shown ones with one


def test_constants_that_a_cohort_gives_for_training_do_not_change_the_units(
    cohort: Cohort, first: Evaluation, tmp_path: Path
) -> None:
    given = replace(cohort, modalities=tuple(Modality(name, "mr", 0.2) for name in MODALITIES))
    assert evaluate(save_tiny_model(tmp_path / "model"), given, OPTIONS).constants == first.constants


@dataclass(frozen=True)
class Answers:
    """A model that answers with one raw value for each position in the plane, on the scale of an image with this constant."""

    spec: InputSpec
    constant: float

    def encode(self, images: Tensor, shown: Tensor) -> Answers:
        return self

    def decode(self, shown: Tensor, targets: Sequence[int], draw: Draw) -> Tensor:
        rows = torch.linspace(0.2, 1.4, self.spec.image_size[0])[:, None].expand(self.spec.image_size)  # of the core
        scaled = INPUT_FLOOR + (1 - INPUT_FLOOR) * self.constant * rows
        return scaled.expand(len(shown), len(targets), -1, -1)


@dataclass(frozen=True)
class Copies:
    """A model that answers with the images that it was given."""

    spec: InputSpec
    images: Tensor | None = None

    def encode(self, images: Tensor, shown: Tensor) -> Copies:
        return replace(self, images=images[:, :, images.shape[2] // 2])

    def decode(self, shown: Tensor, targets: Sequence[int], draw: Draw) -> Tensor:
        assert self.images is not None
        return self.images[:, list(targets)]


@pytest.mark.parametrize(
    ("changes", "least_db"),
    [
        ({}, 60),
        ({"image_size": (32, 48)}, 60),
        ({"orientation": "LPS"}, 60),
        ({"slice_axis": "all"}, 60),
        ({"spacing_mm": 1.5}, 20),  # coarser than the scores
    ],
)
def test_a_model_that_returns_what_it_is_shown_has_no_error(
    changes: dict[str, object], least_db: float, cohort: Cohort, tmp_path: Path
) -> None:
    """So nothing is lost on the way from the model's scale, grid and orientation to those of the scores."""
    modalities = with_constants(0.2, 0.25, 0.3)  # below those of the cohort, so that nothing bright is clipped
    description = tiny_description(tiny_model(), intensity=CORE, modalities=modalities, **changes)
    synthesizer = Synthesizer(Copies(InputSpec(MODALITIES, description.image_size)), description, "cpu")
    cache = build_cache(cohort, cohort.subjects, CacheSettings(spacing_mm=1.0, image_size=None), tmp_path)
    reading = Reading(synthesizer, cohort, cache, References.of(cache, [0, 1], [None, None]), SynthesisOptions(), None)
    shown = [each for each in score_subject(reading, 2).scores if each.method == "model" and each.kind == "shown"]
    assert len(shown) == 12
    assert min(each.psnr_db for each in shown) > least_db


def test_subsets_that_do_not_fit_into_memory_together_are_drawn_one_after_the_other(
    cohort: Cohort, first: Evaluation, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(predictions, "LARGEST_BYTES", 1)
    assert evaluate(save_tiny_model(tmp_path / "model"), cohort, OPTIONS).scores == first.scores


def scored(cohort: Cohort, folder: Path, constant: float) -> Scored:
    description = tiny_description(tiny_model(), intensity=CORE, modalities=with_constants(*[constant] * 3))
    spec = InputSpec(MODALITIES, (16, 16), fixed_size=(16, 16))
    synthesizer = Synthesizer(Answers(spec, constant), ModelDescription(**dict(description)), "cpu")
    settings = CacheSettings(spacing_mm=1.0, image_size=None)
    cache = build_cache(cohort, cohort.subjects, settings, folder)
    reading = Reading(synthesizer, cohort, cache, References.of(cache, [0, 1], [None, None]), SynthesisOptions(), None)
    return score_subject(reading, 2)


def test_a_model_whose_constants_and_outputs_are_rescaled_together_has_the_same_scores(
    cohort: Cohort, tmp_path: Path
) -> None:
    rows = [scored(cohort, tmp_path / "cache", constant) for constant in (0.25, 0.5)]
    assert rows[0].scores
    for one, two in zip(*(each.scores for each in rows), strict=True):
        for name in ("psnr_db", "ssim", "ms_ssim", "mae", "structure_psnr_db"):
            assert getattr(one, name) == pytest.approx(getattr(two, name), rel=1e-4)
    assert rows[0].factors["t2"] == pytest.approx(rows[1].factors["t2"] / 2)


def test_a_prediction_equal_to_the_truth_has_100_db_on_any_scale(cohort: Cohort) -> None:
    found = Landmarks(low=10, core=60, bright=110)
    assert found.share == 0.5
    (scale,) = ScoreUnits((0.4,)).ranges([found])
    assert scale is not None
    assert (scale.low, scale.high, scale.floor) == (10, 135, -1)


def test_the_units_depend_on_no_scale_or_offset_of_the_file() -> None:
    image = head(3)
    inside = image.data > 0
    one, two = (Landmarks.of(Volume(gain * image.data + 7, image.grid), inside, "mr") for gain in (1, 20))
    assert one.share == pytest.approx(two.share)
    assert 0.1 <= one.share <= 0.9


def test_an_image_whose_core_is_as_bright_as_it_gets_still_has_a_scale() -> None:
    grid = Grid((9, 9, 9), np.eye(4))
    data = np.full(grid.shape, 50, np.float32)
    data[0] = 10
    found = Landmarks.of(Volume(data, grid), np.ones(grid.shape, bool), "mr")
    assert found.share == pytest.approx(0.9)


def test_ultrasound_is_scaled_by_its_brightest_values() -> None:
    image = head(3)
    found = Landmarks.of(image, image.data > 0, "us")
    assert found.core == found.bright
    assert ScoreUnits.measured([[found]], [0]).constants == (1,)


def test_a_modality_s_constant_is_the_median_over_the_training_subjects_that_have_it() -> None:
    shares = (0.2, 0.3, 0.6, 0.8)
    rows = [[Landmarks(low=0, core=share, bright=1), None] for share in shares]
    rows[3][1] = rows[2][0]
    assert ScoreUnits.measured(rows, [0, 1, 2]).constants == (0.3, 0.6)


def test_the_slices_of_scores_hold_the_whole_foreground_whatever_the_model_s_size(tmp_path: Path) -> None:
    cohort = write_tiny_cohort(tmp_path / "cohort", {"x": ("t1", "t2"), "a": ("t1", "t2")}, {"x": "train"})
    wide = head(9, Grid((40, 18, 6), np.eye(4)))
    for name in ("t1", "t2"):
        write_volume(cohort.path(cohort.subject("a"), name), wide)
    evaluate(save_tiny_model(tmp_path / "model"), write_cohort(cohort, cohort.root), OPTIONS, tmp_path / "cache")
    assert np.load(tmp_path / "cache/scores-1mm/a/images.npy").shape[2:] == (48, 16)

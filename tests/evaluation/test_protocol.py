"""The standard protocol on a tiny cohort: rows, references, report, and errors."""

from __future__ import annotations

import csv
import json
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
from matplotlib.image import imread
from tiny_models import GRID, save_tiny_model, tiny_description, tiny_model, write_tiny_cohort

from anymod.cohorts import Cohort
from anymod.errors import CohortError, ConfigurationError, ModalityError
from anymod.evaluation import Evaluation, EvaluationOptions, evaluate, write_report
from anymod.evaluation.report import printed_text
from anymod.models import save_model
from anymod.synthesis import SynthesisOptions
from anymod.volumes import Volume, write_volume

pytestmark = pytest.mark.slow

SUBJECTS = {"x": ("t1", "t2"), "y": ("t1", "t2", "flair"), "a": ("t1", "t2", "flair"), "b": ("t1", "flair")}
SPLITS = {"x": "train", "y": "train"}
OPTIONS = EvaluationOptions(device="cpu")


@pytest.fixture(scope="module")
def model(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return save_tiny_model(tmp_path_factory.mktemp("models") / "model")


@pytest.fixture(scope="module")
def cohort(tmp_path_factory: pytest.TempPathFactory) -> Cohort:
    return write_tiny_cohort(tmp_path_factory.mktemp("cohorts") / "cohort", SUBJECTS, SPLITS)


@pytest.fixture(scope="module")
def evaluation(model: Path, cohort: Cohort) -> Evaluation:
    return evaluate(model, cohort, OPTIONS)


def test_every_observed_target_is_scored_from_every_observed_subset(evaluation: Evaluation) -> None:
    cells = {(each.subject, each.shown, each.target) for each in evaluation.scores if each.method == "model"}
    assert len(cells) == 7 * 3 + 3 * 2
    assert ("a", "t1+t2+flair", "flair") in cells
    assert {shown for subject, shown, _ in cells if subject == "b"} == {"t1", "flair", "t1+flair"}


def test_a_warning_names_measured_subjects_that_the_model_was_trained_on(
    cohort: Cohort, tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    trained = {"cohort": "tiny", "subjects": ["a", "z"]}
    folder = save_tiny_model(tmp_path / "model", training=trained)
    evaluate(folder, cohort, replace(OPTIONS, show=("t1",)))
    assert "trained on 1 of the measured subjects, for example a" in caplog.text


def test_the_kind_of_a_row_is_whether_its_target_was_shown(evaluation: Evaluation) -> None:
    assert all((each.kind == "shown") == (each.target in each.shown.split("+")) for each in evaluation.scores)


def test_the_affine_regression_finds_the_affine_map_between_the_phantoms_modalities(evaluation: Evaluation) -> None:
    hidden = [each for each in evaluation.scores if each.kind == "hidden"]
    affine = [each.psnr_db for each in hidden if each.method == "affine-regression"]
    mean = [each.psnr_db for each in hidden if each.method == "mean-image"]
    assert min(affine) > 30  # not exactly affine where the brightest voxels are clipped
    assert max(mean) < 20


def test_the_references_are_fitted_on_the_training_split(evaluation: Evaluation) -> None:
    assert evaluation.training == "2 subjects of split 'train' of cohort 'tiny'"
    assert {each.subject for each in evaluation.scores} == {"a", "b"}


def test_a_kept_cache_workers_and_a_second_run_give_the_same_numbers(
    model: Path, cohort: Cohort, evaluation: Evaluation, tmp_path: Path
) -> None:
    again = evaluate(model, cohort, OPTIONS, tmp_path / "cache")
    assert again.scores == evaluation.scores
    assert (tmp_path / "cache/scores-1mm/index.json").is_file()


def test_only_the_given_subsets_are_scored(model: Path, cohort: Cohort) -> None:
    options = replace(OPTIONS, show=("flair,t1",))
    assert {each.shown for each in evaluate(model, cohort, options).scores} == {"t1+flair"}


def test_equal_seeds_give_equal_draws(model: Path, cohort: Cohort) -> None:
    options = [replace(OPTIONS, show=("t1",), draws=SynthesisOptions(temperature=1.0, seed=seed)) for seed in (1, 1, 2)]
    first, again, other = (evaluate(model, cohort, each).scores for each in options)
    assert first == again
    assert first != other


def test_the_report_holds_all_rows_tables_and_pictures(evaluation: Evaluation, tmp_path: Path) -> None:
    content = write_report(evaluation, tmp_path, figures=1)
    with (tmp_path / "scores.csv").open() as stream:
        rows = list(csv.DictReader(stream))
    assert len(rows) == len(evaluation.scores)
    assert list(rows[0])[:9] == ["subject", "shown", "target", "kind", "method", "psnr_db", "ssim", "ms_ssim", "mae"]
    assert list(rows[0])[9:12] == ["lpips", "haarpsi", "gmsd"]
    assert list(rows[0])[12:] == ["structure_psnr_db", "spectrum_error", "through_plane", "slices"]
    with (tmp_path / "summary.csv").open() as stream:
        lines = list(csv.DictReader(stream))
    assert float(lines[0]["psnr_db_low"]) <= float(lines[0]["psnr_db"]) <= float(lines[0]["psnr_db_high"])
    page = (tmp_path / "summary.md").read_text()
    assert "References fitted on 2 subjects of split 'train'" in page
    assert page.index("## Hidden targets") < page.index("## Shown targets")
    assert json.loads((tmp_path / "summary.json").read_text())["summary"] == content["summary"]
    assert [path.name for path in (tmp_path / "figures").iterdir()] == ["a.png"]
    assert imread(tmp_path / "figures/a.png").shape[0] > 400
    assert imread(tmp_path / "best-and-worst.png").shape[0] > 400


def test_the_printed_text_compares_the_model_with_its_references(evaluation: Evaluation) -> None:
    text = printed_text(evaluation)
    assert "references fitted on 2 subjects of split 'train' of cohort 'tiny'" in text
    for method in ("model", "mean-image", "affine-regression"):
        assert f"| {method} " in text
    assert "Model minus mean-image, same subjects:" in text


@pytest.mark.parametrize(
    ("changes", "error", "named"),
    [
        ({"split": "validation"}, CohortError, "--split"),
        ({"training_split": "0"}, CohortError, "--training-split"),
        ({"show": ("ct",)}, ModalityError, "ct"),
        ({"scheduler": "tcp://127.0.0.1:9"}, ConfigurationError, "add --cache DIR"),
        ({"show": ("t2",), "split": "test"}, None, ""),
    ],
)
def test_an_error_names_the_option_to_change(
    model: Path, cohort: Cohort, changes: dict[str, object], error: type[Exception] | None, named: str
) -> None:
    if error is None:
        assert {each.subject for each in evaluate(model, cohort, replace(OPTIONS, **changes)).scores} == {"a"}
        return
    with pytest.raises(error, match=named):
        evaluate(model, cohort, replace(OPTIONS, **changes))


def test_a_subject_without_a_usable_slice_is_left_out_and_named(
    model: Path, tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    cohort = write_tiny_cohort(tmp_path / "cohort", SUBJECTS, SPLITS)
    speck = np.zeros(GRID.shape, np.float32)
    speck[8, 8, 3], speck[8, 9, 3] = 100, 120
    for name in ("t1", "flair"):
        write_volume(cohort.path(cohort.subject("b"), name), Volume(speck, GRID))
    assert {each.subject for each in evaluate(model, cohort, OPTIONS).scores} == {"a"}
    assert "subject b: left out, because no slice has enough foreground" in caplog.text


def test_a_kept_cache_is_used_again_and_not_overwritten_for_other_subjects(
    model: Path, cohort: Cohort, tmp_path: Path
) -> None:
    first = evaluate(model, cohort, OPTIONS, tmp_path / "cache").scores
    before = {path: path.stat().st_mtime_ns for path in (tmp_path / "cache").rglob("*.npy")}
    assert evaluate(model, cohort, OPTIONS, tmp_path / "cache").scores == first
    index = (tmp_path / "cache/scores-1mm/index.json").read_bytes()
    with pytest.raises(CohortError, match="subjects differ"):
        evaluate(model, replace(cohort, subjects=cohort.subjects[:-1]), OPTIONS, tmp_path / "cache")
    assert (tmp_path / "cache/scores-1mm/index.json").read_bytes() == index
    assert {path: path.stat().st_mtime_ns for path in (tmp_path / "cache").rglob("*.npy")} == before


def test_a_model_replaced_under_the_same_path_is_measured_again(cohort: Cohort, tmp_path: Path) -> None:
    options, network = replace(OPTIONS, show=("t1",)), tiny_model()
    before = evaluate(save_tiny_model(tmp_path / "model"), cohort, options).scores
    for weights in network.parameters():
        weights.zero_()
    save_model(tmp_path / "model", network, tiny_description(network), "")
    assert evaluate(tmp_path / "model", cohort, options).scores != before


def test_a_cohort_without_a_known_modality_is_refused(model: Path, cohort: Cohort) -> None:
    renamed = replace(cohort, modalities=tuple(replace(each, name=f"{each.name}x") for each in cohort.modalities))
    with pytest.raises(ModalityError, match="this model knows t1, t2, flair"):
        evaluate(model, renamed, OPTIONS)

"""Cross-validation: every fold is measured by a model that has not seen it, and the differences are those of the pooled scores."""

from __future__ import annotations

import csv
from dataclasses import replace
from pathlib import Path

import pytest
import yaml
from phantom_cohort import make_cohort, make_recipe
from typer.testing import CliRunner

from anymod.cli import app
from anymod.cohorts import Cohort, write_cohort
from anymod.errors import CohortError, ConfigurationError, ModelFolderError, OutputError
from anymod.evaluation import EvaluationOptions, Score
from anymod.evaluation.crossvalidation import cross_validate, differences
from anymod.models import load_model
from anymod.synthesis import SynthesisOptions

FOLDS = {"a": "0", "v": "1", "b": "train", "c": "train"}
OPTIONS = EvaluationOptions(device="cpu", figures=0)


@pytest.fixture(scope="module")
def cohort(tmp_path_factory: pytest.TempPathFactory) -> Cohort:
    made = make_cohort(tmp_path_factory.mktemp("cohorts") / "cohort")
    folded = replace(made, subjects=tuple(replace(each, split=FOLDS[each.name]) for each in made.subjects))
    write_cohort(folded, made.root)
    return folded


@pytest.fixture(scope="module")
def validated(cohort: Cohort, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Return the folder of a cross-validation by command."""
    folder = tmp_path_factory.mktemp("folds")
    (folder / "recipe.yaml").write_text(yaml.safe_dump(make_recipe(steps=1).model_dump(mode="json")))
    asked = ["crossvalidate", "--config", folder / "recipe.yaml", "--cohort", cohort.root, "--out", folder / "out"]
    asked += ["--device", "cpu", "--figures", "0", "--quiet"]
    result = CliRunner().invoke(app, list(map(str, asked)))
    assert result.exit_code == 0, result.stderr
    assert "| all   | all    | spatial-regression |" in result.stdout
    return folder / "out"


@pytest.mark.slow
def test_no_model_has_seen_its_fold(validated: Path) -> None:
    for fold, other in (("a", "v"), ("v", "a")):
        place = validated / f"fold-{FOLDS[fold]}"
        assert set(load_model(place / "run/model")[1].training["subjects"]) == {other, "b", "c"}
        with (place / "report/scores.csv").open() as stream:
            assert {row["subject"] for row in csv.DictReader(stream)} == {fold}


@pytest.mark.slow
def test_each_fold_can_go_on_from_its_own_model_and_no_other(cohort: Cohort, validated: Path, tmp_path: Path) -> None:
    own, other = (f"{validated}/fold-{name}/run/model" for name in ("{fold}", "1"))
    cross_validate(make_recipe(steps=1, start_from=own), cohort, tmp_path / "own", OPTIONS, folds=(0,))
    began = yaml.safe_load((tmp_path / "own/fold-0/run/config.yaml").read_text())["training"]["start_from"]
    assert began == f"{validated}/fold-0/run/model"
    with pytest.raises(OutputError, match="or the one that it started from, was trained on a"):
        cross_validate(make_recipe(steps=1, start_from=other), cohort, tmp_path / "other", OPTIONS, folds=(0,))


def test_what_would_fail_later_fails_before_a_fold_is_trained(cohort: Cohort, tmp_path: Path) -> None:
    with pytest.raises(ModelFolderError, match="none/fold-0/run/model"):
        recipe = make_recipe(start_from=f"{tmp_path}/none/fold-{{fold}}/run/model")
        cross_validate(recipe, cohort, tmp_path / "out", OPTIONS)
    realistic = replace(OPTIONS, draws=SynthesisOptions(realistic=True))
    with pytest.raises(ConfigurationError, match="the recipe trains none"):
        cross_validate(make_recipe(), cohort, tmp_path / "out", realistic)
    assert not (tmp_path / "out").exists()


@pytest.mark.slow
def test_a_finished_fold_is_kept_and_other_options_are_refused(cohort: Cohort, validated: Path) -> None:
    report = validated / "fold-0/report/scores.csv"
    before = report.stat().st_mtime_ns
    found = cross_validate(make_recipe(steps=1), cohort, validated, OPTIONS, folds=(0,))
    assert report.stat().st_mtime_ns == before
    assert found["all", "all", "hidden", "spatial-regression"]["psnr_db"].count == 2
    with pytest.raises(OutputError, match="other options"):
        cross_validate(make_recipe(steps=1), cohort, validated, replace(OPTIONS, draws=SynthesisOptions(mirror=True)))


def test_a_cohort_without_folds_is_refused(cohort: Cohort, tmp_path: Path) -> None:
    without = replace(cohort, subjects=cohort.subjects[1:3])
    with pytest.raises(CohortError, match="no folds"):
        cross_validate(make_recipe(steps=1), without, tmp_path / "out", OPTIONS)
    with pytest.raises(CohortError, match="fold 7"):
        cross_validate(make_recipe(steps=1), cohort, tmp_path / "out", OPTIONS, folds=(7,))
    assert not (tmp_path / "out").exists()


def score(subject: str, shown: str, method: str, psnr: float) -> Score:
    return Score(subject, shown, "t2", "hidden", method, psnr, 0.5, 0.5, 0.1, 0.3, 0.5, 0.2, psnr, 0.1, 1.0, 9)


def test_each_subject_counts_once_in_a_difference() -> None:
    """Subject a gains 1 and 3 dB in two cells, b 4 dB in one: their means are 2 and 4."""
    values = {("a", "t1"): (21, 20), ("a", "flair"): (23, 20), ("b", "t1"): (24, 20)}
    rows = [
        score(*cell, method, psnr)
        for cell, pair in values.items()
        for method, psnr in zip(("model", "mean-image"), pair, strict=True)
    ]
    found = differences([*rows, score("c", "t1", "mean-image", 3.0)], seed=0)
    overall = found["all", "t2", "hidden", "mean-image"]["psnr_db"]
    assert (overall.value, overall.count) == (3.0, 2)
    assert (overall.low + overall.high) / 2 == pytest.approx(3.0)
    assert found["t1", "t2", "hidden", "mean-image"]["psnr_db"].value == 2.5
    assert found["all", "all", "hidden", "mean-image"]["ssim"].value == 0

"""References that a model folder stores: the same predictors as those fitted on its training subjects, in the units of any cohort."""

from __future__ import annotations

import json
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
from tiny_models import save_tiny_model, write_tiny_cohort

from anymod.cohorts import Cohort
from anymod.errors import ModelFolderError
from anymod.evaluation import Evaluation, EvaluationOptions, calibrate, evaluate, write_report
from anymod.models import REFERENCES, StoredReferences, read_references, write_references
from anymod.slices import CacheSettings, build_cache
from anymod.slices.references import References

ALL = ("t1", "t2", "flair")
SUBJECTS = {"x": ALL, "y": ("t1", "t2"), "a": ALL, "b": ("t1", "flair")}
OPTIONS = EvaluationOptions(device="cpu", show=("t1", "flair"))


@pytest.fixture(scope="module")
def cohort(tmp_path_factory: pytest.TempPathFactory) -> Cohort:
    return write_tiny_cohort(tmp_path_factory.mktemp("cohorts") / "cohort", SUBJECTS, {"x": "train", "y": "train"})


@pytest.fixture(scope="module")
def model(cohort: Cohort, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Return a model folder with the references of the cohort's training subjects."""
    folder = tmp_path_factory.mktemp("models")
    cache = build_cache(cohort, cohort.subjects[:2], CacheSettings(spacing_mm=1.0, image_size=None), folder / "cache")
    fitted = References.of(cache, [0, 1], [None, None]).fitted
    save_tiny_model(folder / "model")
    write_references(folder / "model", StoredReferences.of("tiny", fitted))
    return folder / "model"


def of_references(evaluation: Evaluation) -> dict[tuple[str, ...], float]:
    rows = (each for each in evaluation.scores if each.method != "model")
    return {(each.subject, each.shown, each.target, each.method): each.psnr_db for each in rows}


def test_a_cohort_of_test_subjects_is_compared_with_the_stored_references(cohort: Cohort, model: Path) -> None:
    """Its units are its own, so the scores are close to those in the units of the training subjects, not equal."""
    alone = replace(cohort, subjects=cohort.subjects[2:])
    found, fitted = evaluate(model, alone, OPTIONS), evaluate(model, cohort, OPTIONS)
    assert found.training == "2 subjects of cohort 'tiny' (stored with the model)"
    rows, expected = of_references(found), of_references(fitted)
    assert rows.keys() == expected.keys()
    means = [key for key in rows if key[3] == "mean-image"]
    assert [rows[key] for key in means] == pytest.approx([expected[key] for key in means], abs=4)
    assert min(rows[key] for key in rows if key[3] == "affine-regression") > 25
    assert found.constants != fitted.constants


def test_training_subjects_of_the_cohort_come_before_stored_references(cohort: Cohort, model: Path) -> None:
    assert evaluate(model, cohort, OPTIONS).training == "2 subjects of split 'train' of cohort 'tiny'"


def test_stored_references_survive_a_calibration(cohort: Cohort, model: Path, tmp_path: Path) -> None:
    (tmp_path / "report").mkdir()
    write_report(evaluate(model, cohort, OPTIONS), tmp_path / "report", figures=0)
    calibrate(model, tmp_path / "report", tmp_path / "calibrated")
    assert read_references(tmp_path / "calibrated") == read_references(model)


def test_a_model_folder_may_have_no_references(tmp_path: Path) -> None:
    assert read_references(save_tiny_model(tmp_path / "model")) is None


def broken(change: Callable[[dict[str, Any]], object]) -> Callable[[str], str]:
    def apply(text: str) -> str:
        content = json.loads(text)
        change(content)
        return json.dumps(content)

    return apply


@pytest.mark.parametrize(
    "change",
    [
        lambda text: text[:100],
        lambda text: "[]",
        broken(lambda content: content["constants"].__setitem__(0, float("nan"))),
        broken(lambda content: content["kinds"][0]["patterns"][0]["sums"].pop()),
        broken(lambda content: content["kinds"][0]["patterns"][0].update(present=[0, 9])),
        broken(lambda content: content["kinds"][0]["patterns"][-1]["present"].reverse()),
        broken(lambda content: content["kinds"].clear()),
        broken(lambda content: content["constants"].pop()),
        broken(lambda content: content["kinds"][0].update(subjects=0)),
    ],
)
def test_broken_references_are_one_line_that_names_the_file(
    model: Path, tmp_path: Path, change: Callable[[str], str]
) -> None:
    (tmp_path / REFERENCES).write_text(change((model / REFERENCES).read_text()))
    with pytest.raises(ModelFolderError, match=REFERENCES) as caught:
        read_references(tmp_path)
    assert "\n" not in str(caught.value)

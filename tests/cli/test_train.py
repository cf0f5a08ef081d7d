"""`anymod train` on a phantom cohort, in this process."""

from __future__ import annotations

from pathlib import Path

import pytest
import yaml
from phantom_cohort import make_cohort, make_recipe
from typer.testing import CliRunner

from anymod.cli import app

pytestmark = [
    pytest.mark.slow,
    pytest.mark.filterwarnings("ignore::DeprecationWarning"),
    pytest.mark.usefixtures("blank_pictures"),
]


def run(tmp_path: Path, *more: str):
    return begin(make_cohort(tmp_path / "cohort").root, tmp_path, *more)


def begin(cohort: Path, tmp_path: Path, *more: str):
    recipe = tmp_path / "recipe.yaml"
    recipe.write_text(yaml.safe_dump(make_recipe(steps=1).model_dump(mode="json")))
    arguments = ["train", "--config", recipe, "--cohort", cohort, "--out", tmp_path / "run", "--device", "cpu", *more]
    return CliRunner().invoke(app, [str(argument) for argument in arguments])


def test_training_prints_the_model_folder(tmp_path: Path) -> None:
    result = run(tmp_path, "--set", "training.batch_size=2", "--seed", "3")
    assert result.exit_code == 0, result.output
    assert result.stdout.strip() == str(tmp_path / "run/model")
    resolved = yaml.safe_load((tmp_path / "run/config.yaml").read_text())
    assert resolved["training"]["batch_size"] == 2
    assert resolved["training"]["seed"] == 3


def test_a_key_that_does_not_exist_is_named_in_one_line_and_leaves_nothing(tmp_path: Path) -> None:
    result = run(tmp_path, "--set", "training.stepz=3")
    assert result.exit_code == 1
    assert result.stderr.startswith("error: unknown key in --set training.stepz=3: ")
    assert "did you mean 'steps'?" in result.stderr
    assert result.stderr.count("\n") == 1
    assert not (tmp_path / "run").exists()


def test_a_fold_is_held_out(tmp_path: Path) -> None:
    cohort = make_cohort(tmp_path / "cohort").root
    table = cohort / "subjects.csv"
    table.write_text(table.read_text().replace("a,train", "a,0").replace("b,train", "b,1").replace("c,train", "c,0"))
    result = begin(cohort, tmp_path, "--fold", "1")
    assert result.exit_code == 0, result.output
    slices = {path.name for path in (tmp_path / "run/cache").rglob("*")}
    assert any(name.startswith("a") for name in slices)
    assert not any(name.startswith("b") for name in slices)
    assert "no such fold" in begin(cohort, tmp_path, "--fold", "2", "--overwrite").stderr

"""`anymod demo`: a simulated patient filled in, measured and drawn."""

from __future__ import annotations

import csv
from pathlib import Path

import pytest
from matplotlib.image import imread
from tiny_models import save_tiny_model
from typer.testing import CliRunner

from anymod.cli import app


@pytest.mark.slow
def test_it_simulates_hides_fills_in_measures_and_draws(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    save_tiny_model(tmp_path / "model", spacing_mm=8.0)
    result = CliRunner().invoke(app, ["demo", "--model", "model", "--out", "out", "--device", "cpu", "--quiet"])
    assert result.exit_code == 0, result.stderr
    assert "references fitted on 4 subjects" in result.stdout
    assert "Look at out/demo.png" in result.stdout
    assert imread(tmp_path / "out/demo.png").shape[0] > 500
    filled = {
        path.relative_to(tmp_path / "out/filled").as_posix() for path in (tmp_path / "out").rglob("filled/*/*.gz")
    }
    assert filled == {"from-t1/t2.nii.gz", "from-t1/flair.nii.gz", "from-t2+flair/t1.nii.gz"}
    with (tmp_path / "out/report/scores.csv").open() as stream:
        methods = {row["method"] for row in csv.DictReader(stream)}
    assert methods == {"model", "mean-image", "affine-regression", "spatial-regression"}


def test_overwriting_never_deletes_the_model(tmp_path: Path) -> None:
    model = save_tiny_model(tmp_path / "run/model", spacing_mm=8.0)
    arguments = ["demo", "--model", str(model), "--out", str(tmp_path / "run"), "--overwrite"]
    result = CliRunner().invoke(app, arguments)
    assert result.exit_code == 1 and "it contains more than a result" in result.stderr
    assert (model / "model.yaml").is_file()


def test_a_model_that_is_not_there_is_one_line_and_no_folder(tmp_path: Path) -> None:
    arguments = ["demo", "--model", "no-such-model", "--out", str(tmp_path / "out")]
    result = CliRunner().invoke(app, arguments)
    assert result.exit_code == 1
    assert "no-such-model" in result.stderr
    assert not (tmp_path / "out").exists()

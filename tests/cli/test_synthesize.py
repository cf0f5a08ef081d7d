"""`anymod synthesize`: files in, volumes out, and how it refuses."""

from __future__ import annotations

import json
from pathlib import Path

import pytest
from tiny_models import head, save_tiny_model
from typer.testing import CliRunner, Result

from anymod.cli import app
from anymod.volumes import Volume, write_volume

pytestmark = pytest.mark.usefixtures("blank_pictures")


@pytest.fixture
def place(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """Return a folder with `model` and `t1.nii.gz`, where the program runs."""
    save_tiny_model(tmp_path / "model")
    write_volume(tmp_path / "t1.nii.gz", head(0))
    monkeypatch.chdir(tmp_path)
    return tmp_path


def invoke(*arguments: str) -> Result:
    return CliRunner().invoke(app, ["synthesize", "--model", "model", "--device", "cpu", "--quiet", *arguments])


def test_one_subject_from_files(place: Path) -> None:
    result = invoke("--input", "t1=t1.nii.gz", "--target", "t2", "--out", "out")
    assert result.exit_code == 0, result.stderr
    assert result.stdout == "out/t2.nii.gz\n"
    assert (place / "out/t2.nii.gz").is_file()


def test_without_a_model_a_bundled_one_must_know_the_images(place: Path) -> None:
    result = CliRunner().invoke(app, ["synthesize", "--input", "pd=t1.nii.gz", "--out", "out", "--quiet"])
    assert result.exit_code == 1
    assert "no bundled model knows any of these modalities; give one with --model" in result.stderr


def test_several_samples_have_a_spread_by_default(place: Path) -> None:
    result = invoke("--input", "t1=t1.nii.gz", "--target", "t2", "--samples", "2", "--out", "out", "--json")
    record = json.loads(result.stdout)
    assert record["temperature"] == 0.7
    assert record["outputs"] == ["t2.nii.gz", "t2_sd.nii.gz"]


@pytest.mark.parametrize(
    "arguments",
    [
        [],
        ["--input", "t1"],
        ["--input", "t1=t1.nii.gz", "--input", "t1=t1.nii.gz"],
        ["--input", "t1=t1.nii.gz", "--split", "test"],
        ["--input", "t1=t1.nii.gz", "--samples", "3", "--temperature", "0"],
        ["--input", "t1=t1.nii.gz", "--samples", "3", "--mirror"],
        ["--input", "t1=t1.nii.gz", "--realistic", "--mirror"],
        ["--input", "t1=t1.nii.gz", "--realistic", "--temperature", "0.7"],
    ],
)
def test_wrong_usage_is_status_2(place: Path, arguments: list[str]) -> None:
    assert invoke(*arguments, "--out", "out").exit_code == 2
    assert not (place / "out").exists()


@pytest.mark.parametrize(
    ("arguments", "named"),
    [
        (["--input", "pd=t1.nii.gz"], "pd"),
        (["--input", "t1=t1.nii.gz", "--target", "ct"], "ct"),
        (["--input", "t1=none.nii.gz"], "none.nii.gz"),
    ],
)
def test_an_error_is_one_line_with_status_1_and_no_folder(place: Path, arguments: list[str], named: str) -> None:
    result = invoke(*arguments, "--out", "out")
    assert result.exit_code == 1
    assert result.stderr.count("\n") == 1
    assert result.stderr.startswith("error: ")
    assert named in result.stderr
    assert not (place / "out").exists()


def test_overwriting_never_deletes_the_mask(place: Path) -> None:
    (place / "out").mkdir()
    write_volume(place / "out/mask.nii.gz", Volume((head(0).data > 0).astype("int16"), head(0).grid))
    arguments = ["--input", "t1=t1.nii.gz", "--mask", "out/mask.nii.gz", "--out", "out", "--overwrite"]
    result = invoke(*arguments)
    assert result.exit_code == 1 and "it contains more than a result" in result.stderr
    assert (place / "out/mask.nii.gz").is_file()

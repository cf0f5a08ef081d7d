"""`anymod impute`, and `anymod synthesize --cohort`, which stands for it."""

from __future__ import annotations

import json
from pathlib import Path

import pytest
from tiny_models import save_tiny_model, write_tiny_cohort
from typer.testing import CliRunner, Result

from anymod.cli import app


@pytest.fixture
def place(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """Return a folder with `model` and `cohort`, where the program runs."""
    save_tiny_model(tmp_path / "model")
    write_tiny_cohort(tmp_path / "cohort", {"a": ("t1", "t2"), "b": ("t1",)}, {"b": "train"})
    monkeypatch.chdir(tmp_path)
    return tmp_path


def invoke(*arguments: str, verb: str = "impute") -> Result:
    common = [verb, "--model", "model", "--cohort", "cohort", "--device", "cpu", "--out", "out"]
    return CliRunner().invoke(app, [*common, *arguments])


def test_a_cohort_and_again_by_the_older_name(place: Path) -> None:
    first = invoke("--quiet")
    assert first.stdout == "written 2, finished before 0, complete already 0, failed 0\n"
    assert first.stderr == ""
    assert (place / "out/b/t2.nii.gz").is_file()
    again = invoke(verb="synthesize")
    assert again.stdout == "written 0, finished before 2, complete already 0, failed 0\n"
    assert again.stderr.startswith("anymod synthesize --cohort is called anymod impute now\n")


def test_names_of_what_is_shown_may_have_blanks_between(place: Path) -> None:
    content = json.loads(invoke("--show", "t2, t1", "--json").stdout)
    assert list(content)[:2] == ["format", "anymod"]
    assert content["written"] == ["a", "b"]


def test_one_split_of_a_cohort(place: Path) -> None:
    assert json.loads(invoke("--split", "train", "--json").stdout)["written"] == ["b"]


def test_a_failed_subject_is_named_and_the_status_is_1(place: Path) -> None:
    result = invoke("--show", "t2")
    assert result.exit_code == 1
    assert "written 1," in result.stdout
    assert "error: subject 'b': no image to show" in result.stderr


@pytest.mark.parametrize("arguments", [["--input", "t1=t1.nii.gz"], ["--mask", "mask.nii.gz"]])
def test_options_for_files_are_wrong_usage(place: Path, arguments: list[str]) -> None:
    assert invoke(*arguments, verb="synthesize").exit_code == 2
    assert not (place / "out").exists()


def test_a_cohort_that_is_not_there_is_one_line_and_no_folder(place: Path) -> None:
    result = invoke("--cohort", "none", "--quiet")
    assert result.exit_code == 1
    assert result.stderr.startswith("error: no cohort in none") and result.stderr.count("\n") == 1
    assert not (place / "out").exists()

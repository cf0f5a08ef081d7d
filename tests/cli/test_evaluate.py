"""`anymod evaluate`: a report and its tables."""

from __future__ import annotations

import json
from pathlib import Path

import pytest
from tiny_models import save_tiny_model, write_tiny_cohort
from typer.testing import CliRunner, Result

from anymod.cli import app

pytestmark = pytest.mark.usefixtures("blank_pictures")


@pytest.fixture
def place(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """Return a folder with `model` and `cohort`, where the program runs."""
    save_tiny_model(tmp_path / "model")
    write_tiny_cohort(tmp_path / "cohort", {"a": ("t1", "t2"), "b": ("t1", "t2")}, {"b": "train"})
    monkeypatch.chdir(tmp_path)
    return tmp_path


def invoke(*arguments: str) -> Result:
    common = ["evaluate", "--model", "model", "--cohort", "cohort", "--device", "cpu", "--quiet", "--out", "report"]
    return CliRunner().invoke(app, [*common, *arguments])


def test_a_cohort_of_test_subjects_gets_a_report(place: Path) -> None:
    write_tiny_cohort(place / "cohort", {"a": ("t1", "t2"), "b": ("t1", "t2")})
    result = invoke("--figures", "0")
    assert result.exit_code == 0, result.stderr
    assert result.stderr.count("no references: the cohort has no subjects of split 'train'") == 1
    assert "references fitted on no subjects" in result.stdout
    assert "| model " in result.stdout
    assert "mean-image" not in result.stdout


def test_it_prints_tables_and_writes_the_report(place: Path) -> None:
    result = invoke()
    assert result.exit_code == 0, result.stderr
    assert "references fitted on 1 subjects of split 'train' of cohort 'tiny'" in result.stdout
    assert "Hidden targets" in result.stdout
    assert "Shown targets" in result.stdout
    written = {path.name for path in (place / "report").iterdir()}
    assert written == {"scores.csv", "summary.csv", "summary.md", "summary.json", "best-and-worst.png", "figures"}


def test_json_is_all_that_is_printed(place: Path) -> None:
    content = json.loads(invoke("--json", "--show", "t1", "--figures", "0").stdout)
    assert content["protocol"] == "standard"
    assert {line["shown"] for line in content["summary"]} == {"t1", "all"}
    assert not (place / "report/figures").exists()


@pytest.mark.parametrize("name", ["dorent2024", "authors"])
def test_the_authors_protocol_needs_no_training_subjects(place: Path, name: str) -> None:
    result = invoke("--protocol", name, "--show", "t2,t1", "--split", "train")
    assert result.exit_code == 0, result.stderr
    assert "protocol dorent2024" in result.stdout and "| t2+t1 | t1 " in result.stdout
    assert "row_ssim" in (place / "report/scores.csv").read_text()


AUTHORS = ["--protocol", "dorent2024"]


@pytest.mark.parametrize(
    "arguments",
    [
        ["--samples", "2", "--temperature", "0"],
        ["--mirror", "--temperature", "0.5"],
        [*AUTHORS, "--mirror"],
        [*AUTHORS, "--temperature", "0"],
        [*AUTHORS, "--figures", "2"],
        ["--protocol", "authors", "--samples", "2"],
        ["--fold", "0", "--split", "test"],
    ],
)
def test_draws_that_make_no_sense_are_status_2(place: Path, arguments: list[str]) -> None:
    assert invoke(*arguments).exit_code == 2
    assert not (place / "report").exists()


def test_a_report_is_not_touched_without_overwrite(place: Path) -> None:
    (place / "report").mkdir()
    (place / "report/summary.md").write_text("old")
    result = invoke("--show", "t1")
    assert result.exit_code == 1
    assert "--overwrite" in result.stderr
    assert invoke("--show", "t1", "--overwrite").exit_code == 0


def test_an_empty_split_is_one_line(place: Path) -> None:
    result = invoke("--split", "validation")
    assert result.exit_code == 1
    assert result.stderr.count("\n") == 1
    assert not (place / "report").exists()

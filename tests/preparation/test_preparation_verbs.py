"""`anymod prepare` and `anymod check` as a user runs them."""

from __future__ import annotations

import json
from pathlib import Path

import numpy as np
import pytest
from typer.testing import CliRunner, Result

from anymod.cli import app
from anymod.cohorts import read_cohort
from anymod.simulation import SimulationSettings, simulate_cohort
from anymod.volumes import Grid, Volume, read_labels, write_volume

PATTERNS = ["--pattern", "t1=**/t1.nii.gz", "--pattern", "t2=**/t2.nii.gz"]


def run(*arguments: str | Path) -> Result:
    return CliRunner().invoke(app, [str(argument) for argument in arguments])


def test_archive_becomes_a_checked_cohort(archive: Path, tmp_path: Path) -> None:
    out = tmp_path / "cohort"
    (archive / "empty").mkdir()
    extras = ("--mask-pattern", "**/mask.nii.gz", "--label-pattern", "**/seg.nii.gz", "--test-subjects", "p3")
    result = run("prepare", "--source", "folder", "--raw", archive, *PATTERNS, *extras, "--out", out)
    assert result.exit_code == 0, result.stderr
    lines = [line.split() for line in result.stdout.splitlines()]
    assert ["p1", "train", "t1", "t2", "mask", "label", "-"] in lines
    assert ["p3", "test", "t1", "t2", "-"] in lines
    assert f"nothing found in {archive / 'empty'}" in result.stdout
    cohort = read_cohort(out)
    assert cohort.provenance["patterns"]["label"] == "**/seg.nii.gz"
    assert (out / "report.html").is_file()
    checked = run("check", out, "--json")
    assert checked.exit_code == 0
    assert json.loads(checked.stdout)["problems"] == 0
    assert "pictures:" in run("check", out).stdout


def test_missing_images_are_named(archive: Path, tmp_path: Path) -> None:
    result = run("prepare", "--raw", archive, *PATTERNS, "--out", tmp_path / "cohort", "--quiet")
    assert [line.split()[2:] for line in result.stdout.splitlines() if line.startswith("p2")] == [["t1", "t2"]]
    assert result.stderr == ""


def test_check_fails_with_one_line_for_each_problem(archive: Path, tmp_path: Path) -> None:
    run("prepare", "--raw", archive, *PATTERNS, "--out", tmp_path / "cohort")
    (tmp_path / "cohort/subjects/p2/t1.nii.gz").write_bytes(b"no image")
    result = run("check", tmp_path / "cohort", "--quiet")
    assert result.exit_code == 1
    (line,) = (line for line in result.stdout.splitlines() if line.startswith("problem:"))
    assert "subject 'p2', subjects/p2/t1.nii.gz" in line
    assert result.stderr.startswith("error: 1 problem in ")


@pytest.mark.parametrize(
    ("changes", "message"),
    [
        (["--pattern", "flair=**/flair.nii.gz"], "nothing found"),
        (["--pattern", "x"], "unreadable pattern"),
        (["--test-subjects", "p9"], "'p9' was not found"),
        (["--resample-to", "pd"], "'pd' has no pattern"),
        (["--validation", "0.6", "--test", "0.6"], "unusable fractions"),
        (["--split-list", "nowhere.csv"], "no such file"),
        (["--subject-from", "x"], "unusable --subject-from"),
    ],
)
def test_wrong_options_are_one_line_and_no_output(
    archive: Path, tmp_path: Path, changes: list[str], message: str
) -> None:
    out = tmp_path / "made" / "cohort"
    result = run("prepare", "--raw", archive, *PATTERNS, *changes, "--out", out, "--quiet")
    assert result.exit_code == 1
    assert result.stderr.startswith("error: ") and result.stderr.count("\n") == 1
    assert message in result.stderr
    assert not out.exists()


@pytest.mark.parametrize(
    ("option", "other"),
    [
        (("--split-list", "split.csv"), ("--validation", "0.15")),
        (("--split-list", "split.csv"), ("--test", "0.2")),
        (("--split-list", "split.csv"), ("--split-seed", "1")),
        (("--split-list", "split.csv"), ("--test-subjects", "p1")),
        (("--test-subjects", "p1"), ("--test", "0.2")),
    ],
)
def test_an_option_that_would_change_nothing_is_refused(
    archive: Path, tmp_path: Path, option: tuple[str, str], other: tuple[str, str]
) -> None:
    (tmp_path / "split.csv").write_text("subject,split\np1,train\np2,train\np3,test\n")
    where = tuple(str(tmp_path / each) if each.endswith(".csv") else each for each in option)
    out = tmp_path / "cohort"
    result = run("prepare", "--raw", archive, *PATTERNS, *where, *other, "--out", out, "--quiet")
    assert result.exit_code != 0
    assert f"{option[0]} and {other[0]} exclude each other" in result.stderr
    assert not out.exists()


@pytest.mark.slow
def test_real_images_pass_the_check(shared: Path, tmp_path: Path) -> None:
    raw = shared / "data" / "us-mr-resect"
    patterns = ("--pattern", "us=*/us.nii.gz", "--pattern", "t1=*/t1.nii.gz")
    result = run("prepare", "--raw", raw, *patterns, "--out", tmp_path / "cohort", "--quiet")
    assert result.exit_code == 0, result.stderr
    assert "problem" not in result.stdout
    assert read_cohort(tmp_path / "cohort").modalities[0].group == "us"


@pytest.mark.usefixtures("few_frames")
def test_a_shifted_brain_is_put_back_by_its_transform(tmp_path: Path) -> None:
    settings = SimulationSettings(
        modalities=("us", "t2"), spacing_mm=2.0, acoustic_mm=2.0, missing=0.0, tumours=1.0, shift_mm=12.0
    )
    raw = simulate_cohort(tmp_path / "raw", 1, 7, settings).root
    arguments = ["prepare", "--raw", str(raw), "--subject-from", "subjects/{subject}/", "--resample-to", "us"]
    arguments += ["--pattern", "us=**/us.nii.gz", "--pattern", "t2=**/t2.nii.gz"]
    arguments += ["--tissue-pattern", "**/tissue.nii.gz", "--out", str(tmp_path / "cohort")]
    transforms = ["--transform-pattern", "t2=**/us_to_mr.tfm", "--transform-pattern", "tissue=**/us_to_mr.tfm"]
    result = CliRunner().invoke(app, [*arguments, *transforms])
    assert result.exit_code == 0, result.output
    made = read_cohort(tmp_path / "cohort")
    truth = read_labels(raw / "subjects/sim-0000/us_tissue.nii.gz").data
    moved = read_labels(made.path(made.subjects[0], "tissue")).data
    before = read_labels(raw / "subjects/sim-0000/tissue.nii.gz").data
    seen = truth > 0
    assert (moved == truth)[seen].mean() > (before == truth)[seen].mean() + 0.03
    assert "t2 transform" in (made.root / "sources.csv").read_text()


@pytest.mark.parametrize(
    ("extra", "status", "message"),
    [
        (["--transform-pattern", "t1=**/*.tfm"], 2, "needs --resample-to"),
        (["--transform-pattern", "t9=**/*.tfm", "--resample-to", "t1"], 1, "did you mean 't1'"),
        (["--transform-pattern", "t1=**/*.tfm", "--resample-to", "t1"], 1, "missing transform"),
    ],
)
def test_transforms_have_to_be_there(tmp_path: Path, extra: list[str], status: int, message: str) -> None:
    write_volume(tmp_path / "raw/a/t1.nii.gz", Volume(np.ones((4, 4, 4), np.int16), Grid((4, 4, 4), np.eye(4))))
    arguments = ["prepare", "--raw", str(tmp_path / "raw"), "--pattern", "t1=**/t1.nii.gz"]
    result = CliRunner().invoke(app, [*arguments, "--out", str(tmp_path / "c"), *extra])
    assert result.exit_code == status
    assert message in " ".join(result.output.split())

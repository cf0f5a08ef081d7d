"""`anymod prepare` and `anymod check` as a user runs them."""

from __future__ import annotations

import json
from pathlib import Path

import numpy as np
import pytest
import SimpleITK as sitk
from moved_phantom import known_movement, moved, phantom
from scipy import ndimage
from typer.testing import CliRunner, Result

from anymod.cli import app
from anymod.cohorts import read_cohort
from anymod.volumes import Grid, Volume, read_volume, resample, write_volume

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


def test_kinds_of_a_split_list_are_in_the_cohort(archive: Path, tmp_path: Path) -> None:
    (tmp_path / "split.csv").write_text("subject,split,kind\np1,train,head\np2,train,\np3,test,stripped\n")
    options = ("--split-list", tmp_path / "split.csv", "--out", tmp_path / "cohort", "--quiet")
    assert run("prepare", "--raw", archive, *PATTERNS, *options).exit_code == 0
    kinds = {subject.name: subject.kind for subject in read_cohort(tmp_path / "cohort").subjects}
    assert kinds == {"p1": "head", "p2": None, "p3": "stripped"}


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
        (("--folds", "2"), ("--validation", "0.15")),
    ],
)
def test_an_option_that_would_change_nothing_is_refused(
    archive: Path, tmp_path: Path, option: tuple[str, str], other: tuple[str, str]
) -> None:
    (tmp_path / "split.csv").write_text("subject,split\np1,train\np2,train\np3,test\n")
    where = tuple(str(tmp_path / each) if each.endswith(".csv") else each for each in option)
    out = tmp_path / "cohort"
    result = run("prepare", "--raw", archive, *PATTERNS, *where, *other, "--out", out, "--quiet")
    assert result.exit_code == 2
    assert f"{option[0]} and {other[0]} exclude each other" in result.stderr
    assert not out.exists()


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (["--pattern", "x"], "'--pattern': 'x' is not NAME=GLOB"),
        (["--pattern", "t1="], "'--pattern': 't1=' is not NAME=GLOB"),
        (["--pattern", "t1=*", "--pattern", "t1=?"], "'--pattern': 't1' is there twice"),
        (["--pattern", "t1=*", "--validation", "2"], "'--validation': Input should be less than or equal to 1"),
        (["--pattern", "t1=*", "--register", "elastic"], "'--register'"),
    ],
)
def test_a_value_that_cannot_be_read_is_wrong_usage(tmp_path: Path, arguments: list[str], message: str) -> None:
    result = run("prepare", "--raw", tmp_path, "--out", tmp_path / "c", *arguments)
    assert result.exit_code == 2
    assert message in " ".join(result.stderr.split())


@pytest.mark.slow
def test_real_images_pass_the_check(shared: Path, tmp_path: Path) -> None:
    raw = shared / "data" / "us-mr-resect"
    patterns = ("--pattern", "us=*/us.nii.gz", "--pattern", "t1=*/t1.nii.gz")
    result = run("prepare", "--raw", raw, *patterns, "--out", tmp_path / "cohort", "--quiet")
    assert result.exit_code == 0, result.stderr
    assert "problem" not in result.stdout
    assert read_cohort(tmp_path / "cohort").modalities[0].group == "us"


def test_images_and_maps_are_put_back_by_a_given_transform(tmp_path: Path) -> None:
    still, movement, raw = phantom(), known_movement(), tmp_path / "raw/p"
    tissue = Volume((still.data > 100).astype(np.int16), still.grid)
    write_volume(raw / "us.nii.gz", still)
    write_volume(raw / "t2.nii.gz", moved(still, movement))
    write_volume(raw / "tissue.nii.gz", resample(tissue, still.grid, labels=True, transform=movement.GetInverse()))
    sitk.WriteTransform(movement, str(raw / "us_to_mr.tfm"))
    patterns = ("--pattern", "us=**/us.nii.gz", "--pattern", "t2=**/t2.nii.gz", "--tissue-pattern", "**/tissue.nii.gz")
    transforms = ("--transform-pattern", "t2=**/us_to_mr.tfm", "--transform-pattern", "tissue=**/us_to_mr.tfm")
    result = run("prepare", "--raw", raw.parent, *patterns, *transforms, "--resample-to", "us", "--out", tmp_path / "c")
    assert result.exit_code == 0, result.output
    made = read_cohort(tmp_path / "c")
    t2, labels = (read_volume(made.path(made.subjects[0], name)).data for name in ("t2", "tissue"))
    inside = ndimage.binary_erosion(still.data > 0, iterations=4)
    assert np.corrcoef(t2[inside], still.data[inside])[0, 1] > 0.98
    assert (labels == tissue.data)[inside].mean() > 0.95
    assert "t2 transform" in (made.root / "sources.csv").read_text()


@pytest.mark.parametrize(
    ("extra", "message"),
    [
        (["--transform-pattern", "t1=**/*.tfm"], "needs --resample-to"),
        (["--transform-pattern", "t9=**/*.tfm", "--resample-to", "t1"], "did you mean 't1'"),
        (["--transform-pattern", "t1=**/*.tfm", "--resample-to", "t1"], "missing transform"),
        (["--register", "rigid"], "needs --resample-to"),
        (["--cut-to", "t1"], "needs --resample-to"),
    ],
)
def test_transforms_and_what_they_refer_to_have_to_be_there(tmp_path: Path, extra: list[str], message: str) -> None:
    write_volume(tmp_path / "raw/a/t1.nii.gz", Volume(np.ones((4, 4, 4), np.int16), Grid((4, 4, 4), np.eye(4))))
    arguments = ["prepare", "--raw", str(tmp_path / "raw"), "--pattern", "t1=**/t1.nii.gz"]
    result = CliRunner().invoke(app, [*arguments, "--out", str(tmp_path / "c"), *extra])
    assert result.exit_code == 1
    assert message in " ".join(result.output.split())


@pytest.mark.parametrize("name", ["a\x1b]0;owned\x07\x1b[2J", "\x9b31m", "bell\a"])
def test_hostile_names_of_folders_never_reach_the_terminal(archive: Path, tmp_path: Path, name: str) -> None:
    (archive / name).mkdir()  # a note names it, because nothing is found there
    prepared = run("prepare", "--raw", archive, *PATTERNS[:2], "--out", tmp_path / "c")
    failed = run("check", tmp_path / "c" / name)
    assert (prepared.exit_code, failed.exit_code) == (0, 1)
    assert "nothing found in" in prepared.stdout
    for text in (prepared.stdout, prepared.stderr, failed.stderr):
        assert all(each.isprintable() for each in text.replace("\n", ""))

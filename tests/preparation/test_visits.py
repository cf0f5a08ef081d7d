"""Visits of one patient: kept together by `prepare`, compared by `check`."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest
from typer.testing import CliRunner, Result

from anymod.cli import app
from anymod.cohorts import Cohort, read_cohort

Write = Callable[..., Path]
Make = Callable[..., Cohort]


def run(*arguments: str | Path) -> Result:
    return CliRunner().invoke(app, [str(argument) for argument in arguments])


def prepared(raw: Path, *options: str | Path) -> tuple[Result, Cohort]:
    out = raw.parent / "cohort"
    result = run("prepare", "--raw", raw, "--pattern", "t1=**/t1.nii.gz", "--out", out, *options)
    assert result.exit_code == 0, result.stderr
    return result, read_cohort(out)


def test_visits_known_by_name_are_in_one_split_and_told(tmp_path: Path, write_image: Write) -> None:
    for number in range(12):
        write_image(tmp_path / f"raw/OAS2_000{number // 2}_MR{number % 2 + 1}/t1.nii.gz", number)
    result, cohort = prepared(tmp_path / "raw", "--test", "0.4")
    assert "6 patients have several visits, kept in one split, such as OAS2_0000_MR1 and OAS2_0000_MR2" in result.stdout
    splits = {(subject.patient, subject.split) for subject in cohort.subjects}
    assert len(splits) == 6
    assert {split for _, split in splits} == {"train", "validation", "test"}


def test_patient_may_stand_in_the_path(tmp_path: Path, write_image: Write) -> None:
    for number in range(6):
        write_image(tmp_path / f"raw/P{number // 2}/x{number}/t1.nii.gz", number)
    options = ("--subject-from", "*/{subject}/", "--patient-from", "{patient}/")
    _, cohort = prepared(tmp_path / "raw", *options)
    assert cohort.patients == {f"x{number}": f"P{number // 2}" for number in range(6)}
    assert len({(subject.patient, subject.split) for subject in cohort.subjects}) == 3


def test_names_that_may_be_visits_are_told(tmp_path: Path, write_image: Write) -> None:
    for number in range(6):
        write_image(tmp_path / f"raw/P{number // 2}_{number % 2}/t1.nii.gz", number)
    result, _ = prepared(tmp_path / "raw")
    assert "P0_0 and P0_1 may be visits of one patient: give --patient-from" in result.stdout
    result, cohort = prepared(tmp_path / "raw", "--patient-from", "{patient}_*", "--overwrite")
    assert "may be visits" not in result.stdout
    assert set(cohort.patients.values()) == {"P0", "P1", "P2"}


@pytest.mark.parametrize(("pattern", "message"), [("x", "unusable --patient-from"), ("Q{patient}/", "no patient in")])
def test_unusable_place_of_the_patient_is_refused(
    tmp_path: Path, write_image: Write, pattern: str, message: str
) -> None:
    write_image(tmp_path / "raw/a/t1.nii.gz", 1)
    result = run(
        "prepare",
        "--raw",
        tmp_path / "raw",
        "--pattern",
        "t1=**/t1.nii.gz",
        "--out",
        tmp_path / "c",
        "--patient-from",
        pattern,
    )
    assert result.exit_code == 1
    assert result.stderr.startswith(f"error: {message}")
    assert not (tmp_path / "c").exists()


def test_files_of_two_patients_make_no_subject(tmp_path: Path, write_image: Write) -> None:
    write_image(tmp_path / "raw/a/P1_t1.nii.gz", 1)
    write_image(tmp_path / "raw/a/P2_t2.nii.gz", 2)
    patterns = ("--pattern", "t1=**/*t1.nii.gz", "--pattern", "t2=**/*t2.nii.gz", "--patient-from", "*/{patient}_t*")
    result = run("prepare", "--raw", tmp_path / "raw", *patterns, "--out", tmp_path / "c")
    assert result.stderr.startswith("error: two patients in subject 'a': its files belong to P1 and P2")


def test_patient_in_two_splits_of_a_written_table_is_a_problem(make_cohort: Make) -> None:
    names = {"P7_visit1": ("t1",), "P7_visit2": ("t1",), "P8": ("t1",)}
    cohort = make_cohort(names, {"P7_visit2": "test"})
    result = run("check", cohort.root)
    assert result.exit_code == 1
    assert (
        "problem: subject 'P7_visit2': a visit of patient 'P7' is in another split: 'P7_visit1' in train"
        in result.stdout
    )
    table = cohort.root / "subjects.csv"
    lines = table.read_text().splitlines()
    people = ("patient", "P7", "P9", "P8")
    table.write_text("".join(f"{line},{patient}\n" for line, patient in zip(lines, people, strict=True)))
    assert run("check", cohort.root).exit_code == 0


def test_problem_that_the_check_finds_makes_prepare_fail(tmp_path: Path, write_image: Write) -> None:
    for name in ("a", "b"):
        write_image(tmp_path / f"raw/{name}/t1.nii.gz", 1)
    result = run("prepare", "--raw", tmp_path / "raw", "--pattern", "t1=**/t1.nii.gz", "--out", tmp_path / "c")
    assert result.exit_code == 1
    assert result.stderr.splitlines()[-1].startswith("error: 1 problem in ")


@pytest.mark.parametrize(
    "change",
    [
        lambda data: data[::-1, ::-1],
        lambda data: np.pad(data, 3),
        lambda data: data * 3.7,
        lambda data: np.round(data / data.max() * 255),
    ],
    ids=["turned", "padded", "scaled", "rounded"],
)
def test_copy_of_an_image_in_another_split_is_found(
    tmp_path: Path, write_image: Write, change: Callable[[np.ndarray], np.ndarray]
) -> None:
    data = np.zeros((20, 22, 18), np.float32)
    data[3:-3, 4:-3, 3:-4] = np.random.default_rng(0).uniform(50, 250, (14, 15, 11))
    turned = np.diag([-1.0, -1.0, 1.0, 1.0])
    for name, values in {
        "a": data,
        "b": change(data),
        "c": data + 50 * np.random.default_rng(1).random(data.shape) * (data > 0),
    }.items():
        affine = turned if name == "b" and values.strides[0] < 0 else None
        write_image(tmp_path / f"raw/{name}/t1.nii.gz", np.ascontiguousarray(values), affine)
    (tmp_path / "list.csv").write_text("subject,split\na,train\nb,test\nc,train\n")
    result = run(
        "prepare",
        "--raw",
        tmp_path / "raw",
        "--pattern",
        "t1=**/t1.nii.gz",
        "--out",
        tmp_path / "c",
        "--split-list",
        tmp_path / "list.csv",
    )
    (line,) = (line for line in result.stdout.splitlines() if line.startswith("problem:"))
    assert (
        "subject 'b', subjects/b/t1.nii.gz: it is a copy of t1 of subject 'a', which is in another split (train, here test)"
        in line
    )


def test_groups_are_printed_and_us_in_capitals_is_ultrasound(tmp_path: Path, write_image: Write) -> None:
    write_image(tmp_path / "raw/a/US.nii.gz", 1)
    write_image(tmp_path / "raw/a/T2.nii.gz", 2)
    patterns = ("--pattern", "US=*/US.nii.gz", "--pattern", "T2=*/T2.nii.gz")
    result = run("prepare", "--raw", tmp_path / "raw", *patterns, "--out", tmp_path / "c")
    assert "groups: us (US), mr (T2)" in result.stdout
    assert "groups: us (US), mr (T2)" in run("check", tmp_path / "c").stdout

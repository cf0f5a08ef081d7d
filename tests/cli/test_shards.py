"""`--shard I/N` and `--merge N` of the verbs that work subject by subject: the merged result is that of one call."""

from __future__ import annotations

import hashlib
import shutil
from pathlib import Path

import numpy as np
import pytest
from tiny_models import save_tiny_model, write_tiny_cohort
from typer.testing import CliRunner, Result

from anymod.cli import app
from anymod.cohorts import read_cohort
from anymod.volumes import Grid, Volume, write_volume

pytestmark = [pytest.mark.slow, pytest.mark.usefixtures("blank_pictures")]


def run(*arguments: str) -> Result:
    return CliRunner().invoke(app, [*arguments, "--quiet"])


def contents(folder: Path, pattern: str = "*") -> dict[str, str]:
    """Return the SHA-256 of each file below a folder."""
    files = (path for path in folder.rglob(pattern) if path.is_file())
    return {path.relative_to(folder).as_posix(): hashlib.sha256(path.read_bytes()).hexdigest() for path in files}


def write_raw(raw: Path, *, broken: str = "") -> None:
    for number, name in enumerate("abcde"):
        data = np.zeros((12, 10, 8), np.float32)
        data[2:-2, 2:-2, 2:-2] = np.random.default_rng(number).uniform(50, 250, (8, 6, 4)).round()
        write_volume(raw / name / "t1.nii.gz", Volume(data, Grid(data.shape, np.eye(4))))
        if name in broken:
            (raw / name / "t1.nii.gz").write_bytes(b"no image")


@pytest.fixture
def place(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """Return a folder with `raw`, `model` and `cohort`, where the program runs."""
    write_raw(tmp_path / "raw")
    save_tiny_model(tmp_path / "model")
    images = {"a": ("t1", "t2"), "b": ("t1",), "c": ("t1", "t2"), "d": ("t1", "t2"), "e": ("t1", "t2")}
    write_tiny_cohort(tmp_path / "cohort", images, {"d": "train", "e": "train"})
    monkeypatch.chdir(tmp_path)
    return tmp_path


PREPARE = ("prepare", "--raw", "raw", "--pattern", "t1=*/t1.nii.gz")
SIMULATE = ("simulate", "--subjects", "5", "--spacing", "8", "--seed", "3")
IMPUTE = ("impute", "--model", "model", "--cohort", "cohort", "--device", "cpu")
EVALUATE = ("evaluate", "--model", "model", "--cohort", "cohort", "--device", "cpu")
SAME = {PREPARE: "subjects*", SIMULATE: "*", IMPUTE: "*.nii.gz", EVALUATE: "s*.csv"}


@pytest.mark.parametrize("verb", [PREPARE, pytest.param(SIMULATE, marks=pytest.mark.slow), IMPUTE, EVALUATE])
def test_merged_shards_are_what_one_call_writes(place: Path, verb: tuple[str, ...]) -> None:
    assert run(*verb, "--out", "whole/x").exit_code == 0
    for shard in ("3/3", "1/3", "2/3"):
        result = run(*verb, "--out", "shared/x", "--shard", shard)
        assert result.exit_code == 0, result.stderr
    assert not (place / "shared/x").exists()
    merged = run(*verb, "--out", "shared/x", "--merge", "3")
    assert merged.exit_code == 0, merged.stderr
    whole, shared = (contents(place / f"{kind}/x", SAME[verb]) for kind in ("whole", "shared"))
    assert shared == whole
    assert whole
    assert [path.name for path in (place / "shared").iterdir()] == ["x"]


def test_merged_cohort_holds_every_image_source_and_kind(place: Path) -> None:
    (place / "split.csv").write_text("subject,split,kind\n" + "".join(f"{name},train,{name}x\n" for name in "abcde"))
    verb = (*PREPARE, "--split-list", "split.csv", "--out", "c")
    for shard in ("1/2", "2/2"):
        run(*verb, "--shard", shard)
    run(*verb, "--merge", "2")
    cohort = read_cohort(place / "c")
    assert cohort.modality_names == ("t1",)
    assert [subject.kind for subject in cohort.subjects] == ["ax", "bx", "cx", "dx", "ex"]
    assert len(contents(place / "c", "t1.nii.gz")) == 5
    assert (place / "c/sources.csv").read_text().count("\n") == 6


@pytest.mark.parametrize("verb", [PREPARE, IMPUTE, EVALUATE])
def test_gaps_are_refused_by_the_numbers_of_the_shards(place: Path, verb: tuple[str, ...]) -> None:
    assert run(*verb, "--out", "x", "--shard", "2/3").exit_code == 0
    merged = run(*verb, "--out", "x", "--merge", "3")
    assert merged.exit_code == 1
    assert "2 of 3 shards are not finished: 1/3, 3/3" in merged.stderr
    assert not (place / "x").exists()
    assert (place / "x.shard-2-of-3").is_dir()


@pytest.mark.parametrize(
    ("verb", "change"),
    [(PREPARE, ("--spacing", "2")), (IMPUTE, ("--mirror",)), (EVALUATE, ("--show", "t1")), (EVALUATE, ("--seed", "7"))],
)
def test_shards_with_other_options_are_refused(place: Path, verb: tuple[str, ...], change: tuple[str, ...]) -> None:
    for shard in ("1/2", "2/2"):
        assert run(*verb, "--out", "x", "--shard", shard).exit_code == 0
    merged = run(*verb, *change, "--out", "x", "--merge", "2")
    assert merged.exit_code == 1
    assert "it was made with other options, input or version of the input" in merged.stderr


def test_shards_of_an_older_input_are_refused(place: Path) -> None:
    for shard in ("1/2", "2/2"):
        run(*PREPARE, "--out", "x", "--shard", shard)
    shutil.copytree(place / "raw/a", place / "raw/f")
    assert "other options, input" in run(*PREPARE, "--out", "x", "--merge", "2").stderr


def test_subject_left_out_by_a_shard_is_named_by_the_merge(place: Path) -> None:
    write_raw(place / "raw", broken="b")
    codes = [run(*PREPARE, "--out", "x", "--shard", shard).exit_code for shard in ("1/5", "2/5", "3/5", "4/5", "5/5")]
    assert codes == [0, 1, 0, 0, 0]
    merged = run(*PREPARE, "--out", "x", "--merge", "5")
    assert merged.exit_code == 1
    assert "error: subject 'b': " in merged.stderr
    assert '"b"' in (place / "x/failures.json").read_text()
    assert [subject.name for subject in read_cohort(place / "x").subjects] == ["a", "c", "d", "e"]


@pytest.mark.parametrize("verb", [PREPARE, IMPUTE, EVALUATE])
def test_finished_shard_is_not_done_again(place: Path, verb: tuple[str, ...]) -> None:
    assert run(*verb, "--out", "x", "--shard", "1/2").exit_code == 0
    files = [path for path in (place / "x.shard-1-of-2").rglob("*.*") if path.suffix in (".gz", ".csv")]
    before = [path.stat().st_ino for path in files]
    assert run(*verb, "--out", "x", "--shard", "1/2").exit_code == 0
    assert [path.stat().st_ino for path in files] == before != []


@pytest.mark.parametrize("shard", ["0/2", "3/2", "1", "a/b", "-1/2"])
def test_shard_that_cannot_be_is_wrong_usage(place: Path, shard: str) -> None:
    assert run(*PREPARE, "--out", "x", "--shard", shard).exit_code == 2


def test_more_shards_than_subjects_are_refused(place: Path) -> None:
    result = run(*PREPARE, "--out", "x", "--shard", "1/6")
    assert result.stderr.startswith("error: empty shard in --shard 1/6: there are 6 shards and 5 subjects")


def test_shard_and_merge_exclude_each_other(place: Path) -> None:
    assert run(*PREPARE, "--out", "x", "--shard", "1/2", "--merge", "2").exit_code == 2


def test_results_of_shards_beside_the_cohort_are_no_subjects(place: Path) -> None:
    verb = ("prepare", "--raw", "raw", "--pattern", "t1=**/t1.nii.gz", "--out", "raw/x")
    for shard in ("1/2", "2/2"):
        assert run(*verb, "--shard", shard).exit_code == 0
    merged = run(*verb, "--merge", "2")
    assert merged.exit_code == 0, merged.stderr
    assert len(read_cohort(place / "raw/x").subjects) == 5

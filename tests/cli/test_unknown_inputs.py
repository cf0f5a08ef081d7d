"""Every verb that takes images says when they are unlike the training images, and records it."""

from __future__ import annotations

import json
import shutil
from collections.abc import Iterable
from pathlib import Path

import pytest
import yaml
from asymmetric_heads import patient
from phantom_cohort import make_recipe
from tiny_models import save_tiny_model, tiny_model
from typer.testing import CliRunner, Result

from anymod.cli import app
from anymod.cohorts import Cohort, Modality, Subject, read_cohort, write_cohort
from anymod.models import read_references
from anymod.slices import CacheSettings, build_cache
from anymod.slices.references import References
from anymod.slices.typical import TYPICAL, read_typical
from anymod.training.model_writing import FinishedTraining, write_model
from anymod.volumes import Volume, read_volume, write_volume

TRAINING, RIGHT, SWAPPED = range(4), 20, 21
SETTINGS = CacheSettings(spacing_mm=7.0, image_size=(24, 24))


@pytest.fixture(scope="module")
def place(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Return a folder with `model`, which knows the subjects of `training`, and `cohort`, whose subject p21 has t1 and t2 exchanged."""
    root = tmp_path_factory.mktemp("unknown")
    write_heads(root / "training", TRAINING, "train")
    write_heads(root / "cohort", (RIGHT, SWAPPED), "test")
    save_tiny_model(root / "plain", spacing_mm=7.0, image_size=(24, 24))
    known = invoke("calibrate", "--model", root / "plain", "--cohort", root / "training", "--out", root / "model")
    assert known.exit_code == 0
    return root


def write_heads(root: Path, seeds: Iterable[int], split: str) -> None:
    subjects = []
    for seed in seeds:
        images = patient(seed)
        if seed == SWAPPED:
            images |= {"t1": images["t2"], "t2": images["t1"]}
        paths = {name: f"subjects/p{seed}/{name}.nii.gz" for name in ("t1", "t2")}
        for name, path in paths.items():
            write_volume(root / path, images[name])
        subjects.append(Subject(f"p{seed}", split, paths))
    write_cohort(Cohort(root, "heads", tuple(Modality(name, "mr") for name in ("t1", "t2")), tuple(subjects)), root)


def invoke(*arguments: object) -> Result:
    return CliRunner().invoke(app, [*map(str, arguments), "--quiet"])


def images_of(place: Path, seed: int) -> list[str]:
    folder = place / f"cohort/subjects/p{seed}"
    return [part for name in ("t1", "t2") for part in ("--input", f"{name}={folder / name}.nii.gz")]


def test_a_calibrated_copy_knows_its_training_images(place: Path) -> None:
    typical = read_typical(place / "model")
    assert typical is not None
    assert len(typical.looks) == len(TRAINING)
    assert read_typical(place / "plain") is None
    few = invoke("calibrate", "--model", place / "plain", "--out", place / "other")
    assert few.exit_code == 2
    assert "give --report or --cohort" in few.stderr


def test_a_training_writes_the_same_files(place: Path, tmp_path: Path) -> None:
    cohort = read_cohort(place / "training")
    cache = build_cache(cohort, cohort.of_split("train"), SETTINGS, tmp_path / "cache")
    references = References.of(cache, range(len(TRAINING)), [None] * len(TRAINING))
    before = {"earlier": ["of an earlier stage"]}
    finished = FinishedTraining(make_recipe(), cohort, cache, references, 1, None, before)
    write_model(tmp_path / "model", tiny_model(), finished)
    assert (tmp_path / "model" / TYPICAL).read_bytes() == (place / "model" / TYPICAL).read_bytes()
    trained, learnt = (yaml.safe_load((each / "model/model.yaml").read_text()) for each in (tmp_path, place))
    assert trained["training"]["images"] == learnt["training"]["images"] | before
    stored = read_references(place / "model")
    assert stored is not None
    assert (stored.modalities[:2], [each.subjects for each in stored.kinds]) == (("t1", "t2"), [len(TRAINING)])


def test_a_calibrated_copy_keeps_the_images_of_earlier_stages(place: Path, tmp_path: Path) -> None:
    shutil.copytree(place / "model", tmp_path / "model")
    content = yaml.safe_load((tmp_path / "model/model.yaml").read_text())
    content["training"]["images"]["earlier"] = ["of an earlier stage"]
    (tmp_path / "model/model.yaml").write_text(yaml.safe_dump(content))
    again = invoke(
        "calibrate", "--model", tmp_path / "model", "--cohort", place / "training", "--out", tmp_path / "again"
    )
    assert again.exit_code == 0, again.stderr
    copy = yaml.safe_load((tmp_path / "again/model.yaml").read_text())
    assert copy["training"]["images"] == content["training"]["images"]


def test_slices_without_looks_are_made_again(place: Path, tmp_path: Path) -> None:
    cohort = read_cohort(place / "cohort")
    [subject] = [each for each in cohort.subjects if each.name == "p20"]
    build_cache(cohort, [subject], SETTINGS, tmp_path)
    path = tmp_path / "p20/subject.json"
    content = json.loads(path.read_text())
    del content["look"]
    path.write_text(json.dumps(content))
    assert build_cache(cohort, [subject], SETTINGS, tmp_path).records[0].look is not None


def test_synthesis_warns_and_records_and_strict_refuses(place: Path, tmp_path: Path) -> None:
    common = ("synthesize", "--model", place / "model", "--backend", "torch", "--device", "cpu")
    warned = invoke(*common, *images_of(place, SWAPPED), "--out", tmp_path / "a")
    assert warned.exit_code == 0
    assert "given as t1, looks like t2" in warned.stderr
    record = json.loads((tmp_path / "a/synthesis.json").read_text())
    assert any("looks like t2" in text for text in record["unusual"])
    refused = invoke(*common, *images_of(place, SWAPPED), "--strict", "--out", tmp_path / "b")
    assert refused.exit_code == 1
    assert refused.stderr.count("\n") == 1
    assert "unusual images" in refused.stderr
    assert not (tmp_path / "b").exists()


def test_notes_of_the_reader_are_recorded(place: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    def with_note(path: Path) -> Volume:
        image = read_volume(path)
        return Volume(image.data, image.grid, image.source, ("its orientation is a guess",))

    monkeypatch.setattr("anymod.synthesis.files.read_volume", with_note)
    common = ("synthesize", "--model", place / "plain", "--backend", "torch", "--device", "cpu")
    assert invoke(*common, *images_of(place, RIGHT), "--out", tmp_path / "a").exit_code == 0
    record = json.loads((tmp_path / "a/synthesis.json").read_text())
    assert record["notes"] == {name: ["its orientation is a guess"] for name in ("t1", "t2")}
    assert record["compared_with_training_images"] is False


@pytest.mark.slow
def test_impute_warns_and_strict_fails_the_subject(place: Path, tmp_path: Path) -> None:
    common = (
        "impute",
        "--model",
        place / "model",
        "--cohort",
        place / "cohort",
        "--split",
        "test",
        "--backend",
        "torch",
    )
    warned = invoke(*common, "--device", "cpu", "--out", tmp_path / "a")
    assert warned.exit_code == 0
    assert warned.stderr.count("unusual images") == 1
    assert "p21: unusual images" in warned.stderr
    strict = invoke(*common, "--device", "cpu", "--strict", "--out", tmp_path / "b")
    assert strict.exit_code == 1
    assert "written 1," in strict.stdout
    [path] = (tmp_path / "b").rglob("p20/synthesis.json")
    record = json.loads(path.read_text())
    assert (record["unusual"], record["compared_with_training_images"]) == ([], True)


@pytest.mark.slow
def test_evaluate_warns_and_strict_refuses(place: Path, tmp_path: Path) -> None:
    common = (
        "evaluate",
        "--model",
        place / "model",
        "--cohort",
        place / "cohort",
        "--backend",
        "torch",
        "--device",
        "cpu",
    )
    refused = invoke(*common, "--strict", "--cache", tmp_path / "cache", "--out", tmp_path / "a")
    assert refused.exit_code == 1
    assert "unusual images in subject 'p21'" in refused.stderr
    others = invoke(*common, "--strict", "--protocol", "dorent2024", "--out", tmp_path / "a")
    assert others.exit_code == 1
    assert "unusual images in subject 'p21'" in others.stderr
    warned = invoke(*common, "--show", "t1", "--figures", 0, "--cache", tmp_path / "cache", "--out", tmp_path / "b")
    assert warned.exit_code == 0
    assert "subject p21: unusual images" in warned.stderr
    assert "p20" not in warned.stderr


@pytest.mark.slow
def test_check_compares_with_a_model(place: Path) -> None:
    noted = invoke("check", place / "cohort", "--model", place / "model")
    assert noted.exit_code == 0
    [line] = [line for line in noted.stdout.splitlines() if "given as t1, looks like t2" in line]
    assert line.startswith("note: subject 'p21': unusual: ")
    strict = invoke("check", place / "cohort", "--model", place / "model", "--strict")
    assert strict.exit_code == 1
    assert "problem: subject 'p21'" in strict.stdout
    unknown = invoke("check", place / "cohort", "--model", place / "plain")
    assert unknown.exit_code == 1
    assert "does not say what its training images look like" in unknown.stderr

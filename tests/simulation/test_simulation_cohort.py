"""A cohort of simulated subjects on disk."""

from __future__ import annotations

import json
from pathlib import Path

import numpy as np
import pytest
from typer.testing import CliRunner

from anymod.cli import app
from anymod.cohorts import Cohort, read_cohort
from anymod.errors import ConfigurationError, OutputError, VolumeError
from anymod.simulation import SimulationSettings, cohort as simulated, simulate_cohort
from anymod.simulation.cohort import draw_observed
from anymod.simulation.patients import subject_name
from anymod.volumes import read_labels, read_volume

FAST = SimulationSettings(spacing_mm=8.0)


@pytest.fixture(scope="module")
def cohort(tmp_path_factory: pytest.TempPathFactory) -> Cohort:
    settings = FAST.model_copy(update={"complete_test": True, "missing": 0.6})
    return simulate_cohort(tmp_path_factory.mktemp("simulated") / "cohort", 6, 1, settings)


@pytest.mark.slow
def test_the_folder_reads_as_a_cohort(cohort: Cohort) -> None:
    again = read_cohort(cohort.root)
    assert [subject.name for subject in again.subjects] == [f"sim-{index:04d}" for index in range(6)]
    assert {subject.split for subject in again.subjects} == {"train", "validation", "test"}
    assert again.provenance["seed"] == 1


def test_only_observed_images_are_written(cohort: Cohort) -> None:
    for subject in cohort.subjects:
        written = {path.name.removesuffix(".nii.gz") for path in (cohort.root / "subjects" / subject.name).glob("*.gz")}
        assert written == {*subject.observed, "label", "tissue"}


def test_test_subjects_are_complete_where_asked(cohort: Cohort) -> None:
    assert all(len(subject.observed) == 4 for subject in cohort.of_split("test"))
    assert any(len(subject.observed) < 4 for subject in cohort.of_split("train"))


def test_written_volumes_read_back_on_one_grid(cohort: Cohort) -> None:
    subject = cohort.of_split("test")[0]
    image = read_volume(cohort.path(subject, "t1"))
    assert image.spacing_mm == (8.0, 8.0, 8.0)
    assert image.grid.same_as(read_labels(cohort.path(subject, "tissue")).grid)


def test_modalities_are_missing_at_the_asked_rate_and_one_always_stays() -> None:
    settings = SimulationSettings(missing=0.3)
    counts = np.array([len(draw_observed(0, index, settings)) for index in range(2000)])
    assert counts.min() >= 1
    # Without the subjects that would have none: E = 4 * 0.7 / (1 - 0.3^4)
    assert counts.mean() == pytest.approx(2.8 / (1 - 0.3**4), abs=0.06)


def test_with_ultrasound_images_are_missing_as_in_remind() -> None:
    settings = SimulationSettings(modalities=("us", "cet1", "t2", "flair"))
    observed = [draw_observed(0, index, settings) for index in range(4000)]
    shares = [np.mean([name in names for names in observed]) for name in settings.modalities]
    np.testing.assert_allclose(shares, [1, 98 / 104, 66 / 104, 21 / 104], atol=0.025)
    some = settings.model_copy(update={"missing": {"t2": 0.5}})
    assert [some.missing_rate(name) for name in settings.modalities] == [0, 0, 0.5, 0]


def test_splits_hold_each_kind_of_subject_in_proportion(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    def write_empty_files(task: simulated.SubjectTask) -> None:
        for name in (*task.observed, "label", "tissue"):
            path = task.folder / "subjects" / subject_name(task.index) / f"{name}.nii.gz"
            path.parent.mkdir(parents=True, exist_ok=True)
            path.touch()

    monkeypatch.setattr(simulated, "write_subject", write_empty_files)
    settings = FAST.model_copy(update={"modalities": ("t1", "t2"), "missing": 0.4, "validation": 0.25, "test": 0.25})
    made = simulate_cohort(tmp_path / "c", 24, 3, settings)
    kinds = {subject.observed for subject in made.subjects}
    for kind in kinds:
        total = sum(subject.observed == kind for subject in made.subjects)
        for split in ("validation", "test"):
            there = sum(subject.observed == kind for subject in made.of_split(split))
            assert abs(there - 0.25 * total) <= 1


def test_white_matter_medians_are_told(cohort: Cohort) -> None:
    for subject in cohort.subjects:
        about = json.loads((cohort.root / "subjects" / subject.name / "simulation.json").read_text())
        white = np.isin(read_labels(cohort.path(subject, "tissue")).data, (2, 41))
        for name in subject.observed:
            truth = np.median(read_volume(cohort.path(subject, name)).data[white])
            assert about["white_matter_median"][name] == pytest.approx(truth)


def test_no_rate_means_nothing_is_missing() -> None:
    assert draw_observed(0, 0, SimulationSettings(missing=0.0)) == ("t1", "cet1", "t2", "flair")


def test_an_existing_result_is_not_touched(cohort: Cohort) -> None:
    with pytest.raises(OutputError, match="holds a result already"):
        simulate_cohort(cohort.root, 1, 0, FAST)
    assert read_cohort(cohort.root).subjects == cohort.subjects


def test_no_subject_is_refused_before_anything_is_written(tmp_path: Path) -> None:
    with pytest.raises(ConfigurationError):
        simulate_cohort(tmp_path / "cohort", 0, 0, FAST)
    assert not (tmp_path / "cohort").exists()


def test_a_failure_leaves_no_folder(tmp_path: Path) -> None:
    (tmp_path / "maps").mkdir()
    (tmp_path / "maps" / "head.nii.gz").write_bytes(b"no image")
    settings = FAST.model_copy(update={"anatomy": tmp_path / "maps"})
    with pytest.raises(VolumeError):
        simulate_cohort(tmp_path / "cohort", 1, 0, settings)
    assert not (tmp_path / "cohort").exists()


def test_the_verb_writes_a_cohort(tmp_path: Path) -> None:
    arguments = ["simulate", "--out", str(tmp_path / "c"), "--subjects", "2", "--spacing", "8", "--modalities", "t2,pd"]
    result = CliRunner().invoke(app, [*arguments, "--missing", "0"])
    assert result.exit_code == 0, result.output
    assert all(subject.observed == ("t2", "pd") for subject in read_cohort(tmp_path / "c").subjects)


@pytest.mark.parametrize(
    ("option", "value", "message"),
    [
        ("--spacing", "-1", "'--spacing'"),
        ("--modalities", "t1,ct", "'ct' cannot be simulated"),
        ("--probe", "linear", "'--probe'"),
        ("--missing", "1.5", "'--missing': 1.5 is not a probability"),
        ("--missing", "t2=much", "'--missing': 'much' is not a probability"),
        ("--missing", "t2=0.1,t2=0.2", "write each modality once"),
        ("--missing", "us=0.5", "not simulated"),
        ("--brain-shift", "5", "add 'us'"),
        ("--preview", "p.png", "--preview and --out exclude each other"),
    ],
)
def test_the_verb_refuses_bad_values(tmp_path: Path, option: str, value: str, message: str) -> None:
    result = CliRunner().invoke(app, ["simulate", "--out", str(tmp_path / "c"), option, value])
    assert result.exit_code == (1 if option == "--modalities" else 2)
    assert message in " ".join(result.stderr.split())
    assert not (tmp_path / "c").exists()


def test_a_preview_is_one_picture_and_no_cohort(tmp_path: Path) -> None:
    arguments = ["simulate", "--preview", str(tmp_path / "p.png"), "--spacing", "8", "--modalities", "t1"]
    result = CliRunner().invoke(app, arguments)
    assert result.exit_code == 0, result.output
    assert [path.name for path in tmp_path.iterdir()] == ["p.png"]
    assert CliRunner().invoke(app, arguments).exit_code == 1  # it is there already
    assert CliRunner().invoke(app, [*arguments, "--overwrite"]).exit_code == 0


@pytest.mark.slow
def test_an_interrupted_simulation_goes_on(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    done: list[int] = []
    write_subject = simulated.write_subject

    def interrupted(task: simulated.SubjectTask) -> None:
        if len(done) == 2:
            raise KeyboardInterrupt
        done.append(task.index)
        write_subject(task)

    with monkeypatch.context() as patched, pytest.raises(KeyboardInterrupt):
        patched.setattr(simulated, "write_subject", interrupted)
        simulate_cohort(tmp_path / "cohort", 3, 5, FAST)
    first = tmp_path / ".unfinished-cohort/subjects/sim-0000/simulation.json"
    written = first.stat().st_mtime_ns
    with pytest.raises(OutputError, match="cannot continue"):
        simulate_cohort(tmp_path / "cohort", 3, 6, FAST)
    again = simulate_cohort(tmp_path / "cohort", 3, 5, FAST)
    assert (again.root / "subjects/sim-0000/simulation.json").stat().st_mtime_ns == written
    assert again.fingerprint() == simulate_cohort(tmp_path / "other", 3, 5, FAST).fingerprint()
    assert not list(tmp_path.glob(".*"))

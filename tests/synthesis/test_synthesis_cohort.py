"""Synthesis of a cohort: what is shown, what is made, how a run continues, and that a failure does not stop the others."""

from __future__ import annotations

import json
from dataclasses import replace
from pathlib import Path

import pytest
from tiny_models import save_tiny_model, write_tiny_cohort

from anymod.cohorts import Cohort
from anymod.errors import ModalityError, ModelFolderError, OutputError
from anymod.models import Calibration
from anymod.synthesis import CohortOutcome, CohortRequest, SynthesisOptions, synthesize_cohort
from anymod.synthesis.cohort import model_digest, synthesizer_of_process

pytestmark = [pytest.mark.slow, pytest.mark.usefixtures("blank_pictures")]
SUBJECTS = {"a": ("t1", "t2"), "b": ("flair",), "c": ("t1", "t2", "flair")}
CALIBRATION = Calibration(cohort="c", split="test", subjects=("s",), model="", errors={"t1+t2": {"flair": 0.1}})


@pytest.fixture
def model(tmp_path: Path) -> Path:
    return save_tiny_model(tmp_path / "model")


@pytest.fixture
def cohort(tmp_path: Path) -> Cohort:
    return write_tiny_cohort(tmp_path / "cohort", SUBJECTS)


def run(cohort: Cohort, model: Path, out: Path, **changes: object) -> CohortOutcome:
    """Synthesize all subjects with the posterior mean; `changes` go into the request."""
    request = replace(CohortRequest(model, SynthesisOptions(), device="cpu"), **changes)
    return synthesize_cohort(cohort, cohort.subjects, request, out)


def images(folder: Path) -> set[str]:
    return {path.relative_to(folder).as_posix() for path in folder.rglob("*.nii.gz")}


def test_what_a_subject_lacks_is_made(cohort: Cohort, model: Path, tmp_path: Path) -> None:
    outcome = run(cohort, model, tmp_path / "out")
    assert images(tmp_path / "out") == {"a/flair.nii.gz", "b/t1.nii.gz", "b/t2.nii.gz"}
    assert (outcome.written, outcome.skipped, outcome.failures) == (["a", "b"], ["c"], {})


def test_show_hides_the_rest_and_makes_it(cohort: Cohort, model: Path, tmp_path: Path) -> None:
    outcome = run(cohort, model, tmp_path / "out", show=("t1",))
    assert images(tmp_path / "out") == {"a/t2.nii.gz", "a/flair.nii.gz", "c/t2.nii.gz", "c/flair.nii.gz"}
    assert "it has none of t1" in outcome.failures["b"]
    assert json.loads((tmp_path / "out/a/synthesis.json").read_text())["shown"] == ["t1"]


def test_an_interrupted_run_goes_on_where_it_stopped(cohort: Cohort, model: Path, tmp_path: Path) -> None:
    out = tmp_path / "out"
    request = CohortRequest(model, SynthesisOptions(), device="cpu")
    synthesize_cohort(cohort, cohort.subjects[:1], request, out)
    before = (out / "a/flair.nii.gz").stat().st_mtime_ns
    (out / ".writing-left-behind").mkdir()  # as a kill leaves it
    outcome = synthesize_cohort(cohort, cohort.subjects, request, out)
    assert (outcome.finished, outcome.written) == (["a"], ["b"])
    assert (out / "a/flair.nii.gz").stat().st_mtime_ns == before


def test_a_subject_without_its_record_or_with_another_input_is_made_again(
    cohort: Cohort, model: Path, tmp_path: Path
) -> None:
    out = tmp_path / "out"
    run(cohort, model, out)
    (out / "a/synthesis.json").unlink()
    changed = write_tiny_cohort(tmp_path / "cohort", {"x": ("t1",), "y": ("t1",), "b": ("flair",), "a": ("t1", "t2")})
    outcome = run(replace(changed, subjects=changed.subjects[2:]), model, out)
    assert sorted(outcome.written) == ["a", "b"]
    assert outcome.finished == []


def test_a_result_that_lost_an_image_is_made_again(cohort: Cohort, model: Path, tmp_path: Path) -> None:
    run(cohort, model, tmp_path / "out")
    (tmp_path / "out/b/t2.nii.gz").unlink()
    outcome = run(cohort, model, tmp_path / "out")
    assert (outcome.written, outcome.finished) == (["b"], ["a"])
    assert (tmp_path / "out/b/t2.nii.gz").is_file()


def test_a_result_of_an_earlier_rule_is_made_again(
    cohort: Cohort, model: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    run(cohort, model, tmp_path / "out")
    monkeypatch.setattr("anymod.synthesis.files.RULE", 99)
    assert run(cohort, model, tmp_path / "out").written == ["a", "b"]


def test_a_file_of_the_users_beside_a_result_is_never_deleted(cohort: Cohort, model: Path, tmp_path: Path) -> None:
    run(cohort, model, tmp_path / "out")
    (tmp_path / "out/a/flair.nii.gz").unlink()
    (tmp_path / "out/a/contour.nii.gz").write_text("an hour of work")
    outcome = run(cohort, model, tmp_path / "out")
    assert "'contour.nii.gz', which is not a result" in outcome.failures["a"]
    assert (tmp_path / "out/a/contour.nii.gz").read_text() == "an hour of work"


@pytest.mark.parametrize("change", [{"show": ("t1",)}, {"options": SynthesisOptions(seed=1)}])
def test_a_folder_of_another_request_is_refused(
    cohort: Cohort, model: Path, tmp_path: Path, change: dict[str, object]
) -> None:
    run(cohort, model, tmp_path / "out")
    with pytest.raises(OutputError, match="another model or other options"):
        run(cohort, model, tmp_path / "out", **change)


def test_a_folder_that_something_else_filled_is_refused(cohort: Cohort, model: Path, tmp_path: Path) -> None:
    (tmp_path / "out").mkdir()
    (tmp_path / "out/thesis.tex").write_text("years of work")
    with pytest.raises(OutputError, match="holds a result already"):
        run(cohort, model, tmp_path / "out")


def test_one_broken_subject_is_listed_and_the_others_are_made(cohort: Cohort, model: Path, tmp_path: Path) -> None:
    (cohort.root / "subjects/a/t1.nii.gz").write_bytes(b"broken")
    outcome = run(cohort, model, tmp_path / "out")
    assert outcome.written == ["b"]
    assert "t1.nii.gz" in outcome.failures["a"]
    assert list(json.loads((tmp_path / "out/failures.json").read_text())["failures"]) == ["a"]
    assert not (tmp_path / "out/a").exists()


def test_the_list_of_failures_goes_when_they_are_mended(cohort: Cohort, model: Path, tmp_path: Path) -> None:
    content = (cohort.root / "subjects/a/t1.nii.gz").read_bytes()
    (cohort.root / "subjects/a/t1.nii.gz").write_bytes(b"broken")
    run(cohort, model, tmp_path / "out")
    (cohort.root / "subjects/a/t1.nii.gz").write_bytes(content)
    outcome = run(cohort, model, tmp_path / "out")
    assert (outcome.written, outcome.finished) == (["a"], ["b"])
    assert not (tmp_path / "out/failures.json").exists()


def test_unknown_modalities_are_refused_before_anything_is_written(cohort: Cohort, model: Path, tmp_path: Path) -> None:
    with pytest.raises(ModalityError, match="ct"):
        run(cohort, model, tmp_path / "out", show=("ct",))
    assert not (tmp_path / "out").exists()


def test_a_model_replaced_under_the_same_path_is_loaded_again(cohort: Cohort, model: Path, tmp_path: Path) -> None:
    run(cohort, model, tmp_path / "before")
    save_tiny_model(model, calibration=CALIBRATION)
    run(cohort, model, tmp_path / "after")
    record = json.loads((tmp_path / "after/a/synthesis.json").read_text())
    assert record["scaled_errors"] == {"flair": 0.1}
    save_tiny_model(model, spacing_mm=2.0)
    run(cohort, model, tmp_path / "other")
    first, last = (json.loads((tmp_path / name / "a/synthesis.json").read_text()) for name in ("before", "other"))
    assert first["model_fingerprint"] != last["model_fingerprint"]


def test_a_process_refuses_a_model_that_was_replaced_during_the_run(model: Path) -> None:
    digest = model_digest(model)
    save_tiny_model(model, spacing_mm=2.0)
    with pytest.raises(ModelFolderError, match="replaced after the run began"):
        synthesizer_of_process(model, "cpu", "torch", digest)

"""Calibration: errors of a report, pooled over subjects, checked, and added to the standard deviation of the samples."""

from __future__ import annotations

import json
import shutil
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
from tiny_models import head, save_tiny_model, tiny_description, tiny_model, write_tiny_cohort
from typer.testing import CliRunner, Result

from anymod.cli import app
from anymod.cohorts import read_cohort
from anymod.errors import ModelFolderError, ReportError
from anymod.evaluation import EvaluationOptions, calibrate, evaluate, write_report
from anymod.evaluation.calibration import calibration_of
from anymod.models import load_model
from anymod.synthesis import SynthesisOptions, Synthesizer
from anymod.volumes import IntensityRule, content_fingerprint, read_volume
from anymod.volumes.intensity import INPUT_FLOOR

GAINS = {subject: {"t1": 1.0, "t2": 1.0} for subject in "ab"}
FACTS = {
    "cohort": "tiny",
    "split": "validation",
    "model_fingerprint": "0",
    "draws": {"temperature": 0.0},
    "model_units_per_unit": GAINS,
}


def row(subject: str, rms: float, shown: str = "t1", target: str = "t2", method: str = "model") -> dict[str, str]:
    return {
        "subject": subject,
        "shown": shown,
        "target": target,
        "method": method,
        "psnr_db": str(20 * np.log10(2 / rms)),
    }


@pytest.fixture(scope="module")
def measured(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Return a folder with a model that was trained on `b`, a cohort where `a` validates, and a report of each split."""
    folder = tmp_path_factory.mktemp("measured")
    cohort = write_tiny_cohort(
        folder / "cohort", {"a": ("t1", "t2"), "b": ("t1", "t2")}, {"a": "validation", "b": "train"}
    )
    images = [content_fingerprint(read_volume(cohort.path(cohort.subject("b"), name))) for name in ("t1", "t2")]
    training = {"cohort": "tiny", "subjects": ["b"], "images": {"b": images}}
    save_tiny_model(folder / "model", training=training)
    for split in ("validation", "train"):
        report = folder / f"{split}-report"
        report.mkdir()
        options = EvaluationOptions(split=split, device="cpu")
        write_report(evaluate(folder / "model", cohort, options), report, figures=0)
    return folder


@pytest.fixture
def place(measured: Path, tmp_path: Path) -> Path:
    """Return a copy of `measured` that a test may change."""
    return Path(shutil.copytree(measured, tmp_path, dirs_exist_ok=True))


def test_the_error_is_the_root_of_the_mean_square_over_subjects() -> None:
    rows = [row("a", 0.3), row("b", 0.4), row("a", 0.9, method="affine-regression"), row("b", 0.1, "t1+t2", "t1")]
    calibration = calibration_of(FACTS, rows)
    assert calibration.errors["t1"]["t2"] == pytest.approx(np.sqrt((0.09 + 0.16) / 2), abs=1e-5)
    assert calibration.errors["t1+t2"] == {"t1": pytest.approx(0.1, abs=1e-5)}
    assert calibration.subjects == ("a", "b")


def test_an_infinite_psnr_is_an_error_of_0() -> None:
    perfect = {**row("a", 1.0), "psnr_db": "inf"}
    assert calibration_of(FACTS, [perfect]).errors["t1"]["t2"] == 0


def test_the_variance_is_that_of_the_samples_plus_the_squared_expected_error(place: Path) -> None:
    calibration = calibrate(place / "model", place / "validation-report", place / "calibrated")
    options = SynthesisOptions(("t2",), temperature=0.7, samples=3)
    before, after = (
        Synthesizer.from_folder(place / name, "cpu").synthesize({"t1": head(5)}, options)
        for name in ("model", "calibrated")
    )
    np.testing.assert_array_equal(after.images["t2"].data, before.images["t2"].data)
    assert before.expected_errors == {}
    low, high = after.units["t2"]
    expected = calibration.errors["t1"]["t2"] * (high - low) / (1 - INPUT_FLOOR)  # the foreground runs from there to 1
    assert after.expected_errors["t2"] == pytest.approx(expected, rel=1e-5)
    deviation, inside = before.standard_deviations["t2"].data, head(5).data > 0
    here = inside & (deviation > 0)
    # Both are resampled from the model's grid to that of the head, so only the median is compared closely.
    ratio = after.standard_deviations["t2"].data[here] / np.hypot(deviation[here], expected)
    assert np.median(ratio) == pytest.approx(1, abs=0.01)
    assert (after.standard_deviations["t2"].data[~inside] == 0).all()


def test_a_target_without_a_measured_error_has_the_deviation_of_its_samples(place: Path) -> None:
    calibrate(place / "model", place / "validation-report", place / "calibrated")
    _, description = load_model(place / "calibrated")
    assert description.expected_error(("t1",), "flair") is None
    assert description.expected_error(("t2", "t1"), "t1") == description.calibration.errors["t1+t2"]["t1"]
    synthesis = Synthesizer.from_folder(place / "calibrated", "cpu").synthesize({"t1": head(5)})
    assert set(synthesis.expected_errors) == {"t2"}


def test_the_weights_are_unchanged_and_the_card_names_the_cohort(place: Path) -> None:
    calibrate(place / "model", place / "validation-report", place / "calibrated")
    weights = [(place / name / "weights.safetensors").read_bytes() for name in ("model", "calibrated")]
    assert weights[0] == weights[1]
    assert 'split "validation" of cohort "tiny"' in (place / "calibrated/card.md").read_text()
    assert {path.name for path in (place / "calibrated").iterdir()} == {"model.yaml", "weights.safetensors", "card.md"}


def test_a_model_without_its_card_is_refused(place: Path) -> None:
    (place / "model/card.md").unlink()
    with pytest.raises(ModelFolderError, match="no card"):
        calibrate(place / "model", place / "validation-report", place / "calibrated")
    assert not (place / "calibrated").exists()


def test_errors_on_training_subjects_are_refused(place: Path) -> None:
    with pytest.raises(ReportError, match="trained on b") as caught:
        calibrate(place / "model", place / "train-report", place / "calibrated")
    assert "--split validation" in caught.value.remedy
    assert not (place / "calibrated").exists()


def change_summary(report: Path, **changes: object) -> None:
    """Replace entries of a report's summary.json; None removes one."""
    content = {**json.loads((report / "summary.json").read_text()), **changes}
    (report / "summary.json").write_text(json.dumps({key: each for key, each in content.items() if each is not None}))


def test_a_training_subject_is_recognized_by_its_images_whatever_cohort_and_subject_are_called(place: Path) -> None:
    cohort = read_cohort(place / "cohort")
    renamed = replace(cohort, name="elsewhere", subjects=(replace(cohort.subject("b"), name="z"), cohort.subject("a")))
    report = place / "renamed-report"
    report.mkdir()
    options = EvaluationOptions(split="train", device="cpu")
    write_report(evaluate(place / "model", renamed, options), report, figures=0)
    assert json.loads((report / "summary.json").read_text())["training_subjects"] == ["z"]
    for found in (["z"], []):  # what the report says is not all that counts
        change_summary(report, training_subjects=found)
        with pytest.raises(ReportError, match="trained on z"):
            calibrate(place / "model", report, place / "calibrated")


def test_another_subject_of_the_same_name_is_no_training_subject(place: Path) -> None:
    cohort = read_cohort(place / "cohort")
    swapped = replace(cohort.subject("a"), name="b", split="validation")
    renamed = replace(cohort, subjects=(swapped, replace(cohort.subject("b"), name="a", split="train")))
    report = place / "swapped-report"
    report.mkdir()
    options = EvaluationOptions(split="validation", device="cpu")
    write_report(evaluate(place / "model", renamed, options), report, figures=0)
    assert calibrate(place / "model", report, place / "calibrated").subjects == ("b",)


def test_a_model_without_fingerprints_is_known_by_names_with_a_warning(
    measured: Path, tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    model = save_tiny_model(tmp_path / "model", training={"cohort": "tiny", "subjects": ["b"]})
    calibrate(model, measured / "validation-report", tmp_path / "calibrated")
    assert "known by name only" in caplog.text
    with pytest.raises(ReportError, match="trained on b"):
        calibrate(model, measured / "train-report", tmp_path / "calibrated")


@pytest.mark.parametrize("changes", [{"protocol_version": None}, {"protocol_version": 1}, {"protocol": "dorent2024"}])
def test_a_report_of_another_protocol_or_version_is_refused(place: Path, changes: dict[str, object]) -> None:
    change_summary(place / "validation-report", **changes)
    with pytest.raises(ReportError, match="protocol") as caught:
        calibrate(place / "model", place / "validation-report", place / "calibrated")
    assert "anymod evaluate" in caught.value.remedy


def test_a_report_of_realistic_images_is_refused(place: Path) -> None:
    change_summary(place / "validation-report", draws={"temperature": 0.0, "realistic": True})
    with pytest.raises(ReportError, match="it measures realistic images"):
        calibrate(place / "model", place / "validation-report", place / "calibrated")


def test_a_report_without_the_fingerprints_of_its_images_is_refused(place: Path) -> None:
    change_summary(place / "validation-report", images={})
    with pytest.raises(ReportError, match="unreadable report"):
        calibrate(place / "model", place / "validation-report", place / "calibrated")


def test_how_the_measured_images_were_drawn_is_recorded(place: Path) -> None:
    report = json.loads((place / "validation-report/summary.json").read_text())
    assert report["draws"] == {"temperature": 0.0, "samples": 1, "seed": 0, "noise": "volume", "mirror": False}
    assert calibrate(place / "model", place / "validation-report", place / "calibrated").draws == report["draws"]


def test_errors_are_stored_in_the_units_of_the_model_s_images() -> None:
    gains = {**GAINS, "a": {"t2": 2.0}}
    calibration = calibration_of({**FACTS, "model_units_per_unit": gains}, [row("a", 0.3)])
    assert calibration.errors["t1"]["t2"] == pytest.approx(0.6, abs=1e-5)


def test_the_report_of_a_model_with_another_constant_is_brought_to_this_model_s(place: Path) -> None:
    core = IntensityRule(anchor="core")
    modalities = [
        each.model_copy(update={"harmonized_median": 0.6}) for each in tiny_description(tiny_model()).modalities
    ]
    model = save_tiny_model(place / "core", intensity=core, modalities=tuple(modalities))
    report = place / "validation-report"
    with pytest.raises(ReportError, match="another rule"):
        calibrate(model, report, place / "calibrated")
    scale = load_model(model)[1].scale()
    errors = []
    for constant in (0.6, 0.3):
        change_summary(report, model_scale={**scale, "constants": dict.fromkeys(scale["constants"], constant)})
        errors.append(calibrate(model, report, place / "calibrated", overwrite=True).errors["t1"]["t2"])
    assert errors[1] == pytest.approx(2 * errors[0], abs=1e-4)


def test_the_report_of_another_model_is_accepted_with_a_warning(place: Path, caplog: pytest.LogCaptureFixture) -> None:
    change_summary(place / "validation-report", model_fingerprint="of another")
    calibrate(place / "model", place / "validation-report", place / "calibrated")
    assert "measures another model" in caplog.text


def test_the_report_of_another_model_on_its_training_subjects_is_refused(place: Path) -> None:
    change_summary(place / "train-report", model_fingerprint="of another")
    with pytest.raises(ReportError, match="trained on b"):
        calibrate(place / "model", place / "train-report", place / "calibrated")


def test_the_report_may_order_the_modalities_differently(place: Path) -> None:
    scores = place / "validation-report/scores.csv"
    scores.write_text(scores.read_text().replace("t1+t2", "t2+t1"))
    calibrate(place / "model", place / "validation-report", place / "calibrated")
    _, description = load_model(place / "calibrated")
    assert description.expected_error(("t1", "t2"), "t1") is not None


def test_a_second_calibration_replaces_the_first(place: Path) -> None:
    calibrate(place / "model", place / "validation-report", place / "once")
    calibrate(place / "once", place / "validation-report", place / "twice")
    assert (place / "twice/card.md").read_text() == (place / "once/card.md").read_text()


def test_a_report_of_other_modalities_is_refused(place: Path) -> None:
    scores = place / "validation-report/scores.csv"
    scores.write_text(scores.read_text().replace("t2", "us"))
    with pytest.raises(ReportError, match="it measures us"):
        calibrate(place / "model", place / "validation-report", place / "calibrated")


@pytest.mark.parametrize(
    ("file", "content"),
    [
        ("summary.json", None),
        ("summary.json", "{}"),
        ("summary.json", "[]"),
        ("scores.csv", None),
        ("scores.csv", "subject\na\n"),
        ("scores.csv", "subject,shown,target,method,psnr_db\na,t1,t2,model,nan\n"),
        ("scores.csv", "subject,shown,target,method,psnr_db\n"),
    ],
)
def test_a_broken_report_is_one_line_and_leaves_nothing(place: Path, file: str, content: str | None) -> None:
    broken = place / "validation-report" / file
    broken.unlink()
    if content is not None:
        broken.write_text(content)
    result = invoke(place)
    assert result.exit_code == 1
    assert result.stderr.startswith("error: unreadable report in")
    assert result.stderr.count("\n") == 1
    assert not (place / "calibrated").exists()


def test_the_verb_prints_the_errors(place: Path) -> None:
    result = invoke(place)
    assert result.exit_code == 0, result.stderr
    assert "t1+t2: t1 " in result.stdout
    again = invoke(place, "--overwrite", "--json")
    assert json.loads(again.stdout)["split"] == "validation"
    assert "--overwrite" in invoke(place).stderr


def invoke(place: Path, *more: str) -> Result:
    folders = ["--model", str(place / "model"), "--report", str(place / "validation-report")]
    return CliRunner().invoke(app, ["calibrate", *folders, "--out", str(place / "calibrated"), *more])

"""Errors of each voxel: learnt from subjects that a fold held out, kept with the model, and written with its images."""

from __future__ import annotations

import json
import logging
import shutil
from dataclasses import replace
from pathlib import Path

import nibabel as nib
import numpy as np
import pytest
from tiny_models import MODALITIES, head, save_tiny_model, tiny_description, tiny_model, write_tiny_cohort
from typer.testing import CliRunner

from anymod.cli import app
from anymod.cohorts import Cohort, read_cohort, write_cohort
from anymod.errors import ModelFolderError, ReportError
from anymod.evaluation.calibration import with_section
from anymod.evaluation.protocol import PROTOCOL_VERSION
from anymod.evaluation.voxel_errors import Coverage, Sample, _groups, learn_voxel_errors
from anymod.models import VOXEL_ERRORS, RealisticSettings, load_model, read_card, read_voxel_errors, save_model
from anymod.synthesis import SynthesisOptions, Synthesizer
from anymod.volumes import Volume, content_fingerprint, read_volume, write_volume

NAMES = ("a", "b", "c")


@pytest.fixture(scope="module")
def cohort(tmp_path_factory: pytest.TempPathFactory) -> Cohort:
    """Return a cohort of two folds; subject `a` has a lesion."""
    root = tmp_path_factory.mktemp("cohort")
    made = write_tiny_cohort(root, dict.fromkeys(NAMES, ("t1", "t2")), {"a": "0", "b": "0", "c": "1"})
    label = (np.arange(head(0).data.size) % 3 == 0).reshape(head(0).shape) & (head(0).data > 0)
    write_volume(root / "label.nii.gz", Volume(label.astype(np.uint8), head(0).grid))
    subjects = (replace(made.subjects[0], label="label.nii.gz"), *made.subjects[1:])
    write_cohort(replace(made, subjects=subjects), root)
    return read_cohort(root)


@pytest.fixture(scope="module")
def folds(cohort: Cohort, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Return what a cross-validation leaves of both folds: models that were trained on the other fold's subjects."""
    out = tmp_path_factory.mktemp("folds")
    for fold, others in (("0", "c"), ("1", "ab")):
        images = {
            name: [content_fingerprint(read_volume(cohort.path(cohort.subject(name), each))) for each in ("t1", "t2")]
            for name in others
        }
        training = {"cohort": "tiny", "subjects": list(others), "images": images}
        save_tiny_model(out / f"fold-{fold}/run/model", training=training)
        write_report_of(out / f"fold-{fold}")
    return out


def write_report_of(fold: Path) -> None:
    """Write as much of a report as says which model it measured."""
    (fold / "report").mkdir()
    fingerprint = load_model(fold / "run/model")[1].fingerprint()
    facts = {"protocol": "standard", "protocol_version": PROTOCOL_VERSION, "model_fingerprint": fingerprint}
    (fold / "report/summary.json").write_text(json.dumps(facts))
    (fold / "report/scores.csv").write_text("subject\n")


@pytest.fixture(scope="module")
def learnt(cohort: Cohort, folds: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Return a model that has learnt its errors by command."""
    folder = tmp_path_factory.mktemp("learnt")
    save_tiny_model(folder / "model")
    asked = ["calibrate", "--model", folder / "model", "--cohort", cohort.root, "--crossvalidation", folds]
    result = CliRunner().invoke(app, [*map(str, asked), "--out", str(folder / "out"), "--quiet"])
    assert result.exit_code == 0, result.stderr
    assert "from 3 held-out subjects" in result.stdout
    return folder / "out"


def test_the_folder_knows_every_cell_and_the_card_how_often_it_was_right(learnt: Path) -> None:
    errors = read_voxel_errors(learnt, Synthesizer.from_folder(learnt, "cpu").description.fingerprint())
    assert errors is not None
    assert errors.subjects == NAMES
    assert {shown: set(targets) for shown, targets in errors.errors.items()} == {
        shown: {"t1", "t2"} for shown in ("t1", "t2", "t1+t2")
    }
    assert "## Errors of each voxel" in read_card(learnt)
    assert "| inside of lesions" in read_card(learnt)


def test_errors_of_voxels_are_covered(cohort: Cohort, folds: Path, tmp_path: Path) -> None:
    """Of an untrained model, whose errors depend on the true image alone, by subjects that were left out.

    A flow to realistic images does not change the means, so the folds need none.
    """
    network = tiny_model(realistic=RealisticSettings(widths=(8,), condition=8))
    save_model(tmp_path / "model", network, tiny_description(network), "A test's model.\n")
    _, coverage = learn_voxel_errors(tmp_path / "model", folds, cohort, tmp_path / "out", device="cpu")
    assert [(each.where, each.subjects) for each in coverage] == [("outside of lesions", 3), ("inside of lesions", 1)]
    assert all(isinstance(each, Coverage) and 0.4 < each.one < each.two <= 1 for each in coverage)


def test_a_synthesis_has_a_deviation_for_each_voxel_in_raw_units(learnt: Path) -> None:
    synthesizer = Synthesizer.from_folder(learnt, "cpu")
    subject = {"t1": head(5)}
    result = synthesizer.synthesize(subject, SynthesisOptions(("t2",)))
    inside = head(5).data > 0
    deviation = result.standard_deviations["t2"].data
    assert (deviation[~inside] == 0).all() and (deviation[inside] > 0).all()
    assert np.ptp(deviation[inside]) > 0
    scaled = Synthesizer(synthesizer.model, synthesizer.description).synthesize(subject, SynthesisOptions(("t2",)))
    assert not scaled.standard_deviations
    own, brighter = (
        synthesizer.synthesize({"t1": Volume(gain * head(5).data, head(5).grid)}, SynthesisOptions(("t1",)))
        for gain in (1, 7)
    )
    np.testing.assert_allclose(
        brighter.standard_deviations["t1"].data, 7 * own.standard_deviations["t1"].data, rtol=1e-3
    )
    assert "flair" not in synthesizer.synthesize(subject).standard_deviations  # the folds had no flair


def test_deviations_of_samples_are_added(learnt: Path) -> None:
    synthesizer = Synthesizer.from_folder(learnt, "cpu")
    options = SynthesisOptions(("t2",), samples=3, temperature=0.5)
    both = synthesizer.synthesize({"t1": head(5)}, options).standard_deviations["t2"].data
    alone = Synthesizer(synthesizer.model, synthesizer.description)
    samples = alone.synthesize({"t1": head(5)}, options).standard_deviations["t2"].data
    inside = head(5).data > 0
    assert (both[inside] > samples[inside]).all()


def test_a_fold_whose_model_has_seen_its_subjects_is_refused(cohort: Cohort, folds: Path, tmp_path: Path) -> None:
    shutil.copytree(folds / "fold-1", tmp_path / "cv/fold-0")
    with pytest.raises(ReportError, match="it was trained on a"):
        learn_voxel_errors(save_tiny_model(tmp_path / "model"), tmp_path / "cv", cohort, tmp_path / "out", device="cpu")
    assert not (tmp_path / "out").exists()


def test_without_folds_or_with_another_recipe_nothing_is_written(cohort: Cohort, folds: Path, tmp_path: Path) -> None:
    model = save_tiny_model(tmp_path / "model", targets="percentile", slice_axis="axial")
    with pytest.raises(ReportError, match="no cross-validation"):
        learn_voxel_errors(model, tmp_path, cohort, tmp_path / "out", device="cpu")
    for changes, what in (
        ({"count": 2}, "modalities"),
        ({"spacing_mm": 2.0}, "spacing_mm"),
        ({"slice_axis": "all"}, "slice_axis"),
    ):
        other = save_tiny_model(tmp_path / what, **changes)
        with pytest.raises(ReportError, match=f"another recipe.*another {what}|another recipe.*other {what}"):
            learn_voxel_errors(other, folds, cohort, tmp_path / "out", device="cpu")
    shutil.copytree(folds, tmp_path / "unfinished")
    save_tiny_model(tmp_path / "unfinished/fold-0/run/model", spacing_mm=2.0)
    with pytest.raises(ReportError, match="its report measures another model"):
        learn_voxel_errors(model, tmp_path / "unfinished", cohort, tmp_path / "out", device="cpu")
    assert not (tmp_path / "out").exists()


def test_subjects_are_left_out_in_few_groups() -> None:
    sample = Sample(np.ones((2, 1)), np.array([0.1, 0.2]), np.ones(2), np.zeros(2, bool))
    known = {str(number): sample for number in range(23)}
    groups = _groups(known)
    assert len(groups) == 10 and {name for group in groups for name in group} == set(known)
    assert _groups(dict.fromkeys("ab", sample)) == [["a"], ["b"]]


def test_a_continued_run_notices_that_errors_were_learnt(learnt: Path, tmp_path: Path) -> None:
    cohort = write_tiny_cohort(tmp_path / "cohort", {"p": ("t1",)})
    asked = ["impute", "--cohort", cohort.root, "--out", tmp_path / "filled", "--target", "t2", "--quiet", "--model"]
    plain = CliRunner().invoke(app, [*map(str, asked), str(save_tiny_model(tmp_path / "plain"))])
    assert plain.exit_code == 0, plain.stderr
    again = CliRunner().invoke(app, [*map(str, asked), str(learnt)])
    assert again.exit_code == 0, again.stderr
    assert (tmp_path / "filled/p/t2_sd.nii.gz").is_file()
    described = nib.load(learnt_map(learnt, tmp_path)).header["descrip"].item().decode()
    assert "deviation t2 from t1" in described and "sample" not in described


def learnt_map(model: Path, folder: Path) -> Path:
    write_volume(folder / "t1.nii.gz", head(3))
    asked = ["synthesize", "--model", model, "--input", f"t1={folder / 't1.nii.gz'}", "--target", "t2"]
    result = CliRunner().invoke(app, [*map(str, asked), "--out", str(folder / "one"), "--quiet"])
    assert result.exit_code == 0, result.stderr
    return folder / "one/t2_sd.nii.gz"


def test_errors_of_other_weights_or_unreadable_ones_are_refused(learnt: Path, tmp_path: Path) -> None:
    shutil.copytree(learnt, tmp_path / "model")
    path = tmp_path / "model" / VOXEL_ERRORS
    content = json.loads(path.read_text())
    for change, why in (
        ({"model": "0"}, "belong to other weights"),
        ({"modalities": ["t1"]}, "other modalities"),
        ({"errors": {"t1": {"t2": {**content["errors"]["t1"]["t2"], "weights": [1.0]}}}}, "needs 8 weights"),
        ({"errors": {"t1": {"t2": {**content["errors"]["t1"]["t2"], "factor": 0}}}}, "greater than 0"),
    ):
        path.write_text(json.dumps({**content, **change}))
        with pytest.raises(ModelFolderError, match=why):
            Synthesizer.from_folder(tmp_path / "model", "cpu")
    path.write_text("[1]")
    with pytest.raises(ModelFolderError, match="unreadable errors"):
        Synthesizer.from_folder(tmp_path / "model", "cpu")


def test_a_section_of_a_card_is_replaced_and_others_stay() -> None:
    card = "# Card\n\n## Errors\n\nold\n\n## Other\n\nkept\n"
    assert with_section(card, "## Errors", "\nnew\n") == "# Card\n\n## Other\n\nkept\n\n## Errors\n\nnew\n"
    assert with_section("# Card\n", "## Errors", "\nnew\n") == "# Card\n\n## Errors\n\nnew\n"


def test_the_names_of_the_model_decide_the_order(learnt: Path, caplog: pytest.LogCaptureFixture) -> None:
    with caplog.at_level(logging.WARNING):
        synthesizer = Synthesizer.from_folder(learnt, "cpu")
    seen = synthesizer.synthesize({"t2": head(1), "t1": head(2)}, SynthesisOptions(MODALITIES[:2]))
    same = synthesizer.synthesize({"t1": head(2), "t2": head(1)}, SynthesisOptions(MODALITIES[:2]))
    for name in MODALITIES[:2]:
        np.testing.assert_array_equal(seen.standard_deviations[name].data, same.standard_deviations[name].data)

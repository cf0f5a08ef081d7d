"""The protocol `authors`: scores of a reference slice, the background rule, and a report."""

from __future__ import annotations

import csv
import json
import math
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
import torch
from skimage.metrics import structural_similarity
from tiny_models import save_tiny_model, write_tiny_cohort

from anymod.cohorts import Cohort
from anymod.core.fidelity import row_ssim
from anymod.errors import CohortError
from anymod.evaluation import EvaluationOptions, evaluate, evaluate_dorent2024, write_dorent2024_report
from anymod.evaluation.dorent2024 import as_bytes, slice_scores
from anymod.models import load_model
from anymod.models.dorent2024 import first_foreground
from anymod.slices import open_cache
from anymod.synthesis import SynthesisOptions, draw_images

SUBJECTS = {"a": ("t1", "t2", "flair"), "b": ("t1", "flair")}
OPTIONS = EvaluationOptions(device="cpu")


@pytest.fixture(scope="module")
def model(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return save_tiny_model(tmp_path_factory.mktemp("models") / "model")


@pytest.fixture(scope="module")
def cohort(tmp_path_factory: pytest.TempPathFactory) -> Cohort:
    return write_tiny_cohort(tmp_path_factory.mktemp("cohorts") / "cohort", SUBJECTS)


def test_a_slice_is_scored_as_the_authors_score_it(shared: Path) -> None:
    with np.load(shared / "reference" / "eval_vectors.npz") as theirs:
        truth, image = (as_bytes(torch.from_numpy(theirs[name])) for name in ("target", "output"))
        np.testing.assert_array_equal(truth.numpy(), theirs["target_q"])
        np.testing.assert_array_equal(image.numpy(), theirs["output_q"])
        psnr_db, ssim, l1 = slice_scores(image, truth)
        assert psnr_db == pytest.approx(float(theirs["psnr"]), abs=1e-9)
        assert ssim == pytest.approx(float(theirs["ssim_rows"]), abs=1e-9)
        assert l1 == pytest.approx(float(theirs["l1"]), abs=1e-12)


def test_ssim_by_rows_is_scikit_images_with_rows_as_channels() -> None:
    first, second = np.random.default_rng(0).integers(0, 256, (2, 11, 23)).astype(float)
    expected = structural_similarity(first, second, data_range=200.0, channel_axis=0)
    assert row_ssim(torch.from_numpy(first), torch.from_numpy(second), 200.0) == pytest.approx(expected, abs=1e-12)


def test_equal_images_and_a_truth_of_one_value() -> None:
    ramp = torch.arange(64.0).reshape(8, 8)
    assert slice_scores(ramp, ramp) == (100.0, pytest.approx(1.0), 0.0)
    psnr_db, ssim, l1 = slice_scores(ramp, torch.full((8, 8), 3.0))
    assert math.isnan(psnr_db) and math.isnan(ssim) and l1 > 0


def test_scores_follow_from_their_recipe(model: Path, cohort: Cohort, tmp_path: Path) -> None:
    """Computed step by step: the first given image decides the background, and blank images count as shown."""
    found = evaluate_dorent2024(
        model, cohort, replace(OPTIONS, show=("flair,t1",), draws=SynthesisOptions(seed=4)), tmp_path / "cache"
    ).scores
    assert {score.subject for score in found} == {"a", "b"} and {score.shown for score in found} == {"flair+t1"}
    network, cache = load_model(model)[0], open_cache(tmp_path / "cache")
    every = range(cache.slice_count(0))
    batch = cache.read([0] * len(every), list(every), 0)
    row = torch.tensor([True, False, True]).expand(len(every), -1)
    draws = SynthesisOptions(temperature=0.7, seed=4, noise="slice")
    with torch.inference_mode():
        images, _ = draw_images(network.encode(batch.images, row), row, (0, 1, 2), draws, list(every))
    images = torch.where(first_foreground(batch.images[:, :, 0], (2, 0))[:, None], images, -1.0)
    truths = as_bytes(batch.targets)
    expected = {
        (number, target): slice_scores(as_bytes(images)[number, place], truths[number, place])
        for number in every
        for place, target in enumerate(("t1", "t2", "flair"))
        if truths[number, place].any()
    }
    mine = {(each.slice, each.target): (each.psnr_db, each.row_ssim, each.l1) for each in found if each.subject == "a"}
    assert mine.keys() == expected.keys()
    for cell, values in mine.items():
        np.testing.assert_allclose(values, expected[cell], rtol=1e-4)


def test_the_order_of_what_is_given_decides_the_background(shared: Path) -> None:
    with np.load(shared / "reference" / "vectors.npz") as vectors:
        images = torch.from_numpy(np.stack([vectors[f"x/{name}"][:1, 0] for name in ("us", "t2")], axis=1))
        inside = first_foreground(images, (1, 0))
        theirs = torch.from_numpy(vectors["order/t2,us/img"])
        assert bool((theirs[:, 0][~inside] == -1).all()) and bool((theirs[:, 0][inside] > -1).all())


def test_the_report_holds_slices_and_means(model: Path, cohort: Cohort, tmp_path: Path) -> None:
    evaluation = evaluate_dorent2024(model, cohort, OPTIONS)
    content = write_dorent2024_report(evaluation, tmp_path)
    assert {path.name for path in tmp_path.iterdir()} == {"scores.csv", "summary.csv", "summary.md", "summary.json"}
    rows = list(csv.DictReader((tmp_path / "scores.csv").read_text().splitlines()))
    cell = [row for row in rows if (row["shown"], row["target"]) == ("t1", "flair")]
    line = next(each for each in content["summary"] if (each["shown"], each["target"]) == ("t1", "flair"))
    values = np.array([float(row["psnr_db"]) for row in cell])
    assert line["slices"] == len(cell) and line["kind"] == "hidden"
    np.testing.assert_allclose([line["psnr_db"], line["psnr_db_deviation"]], [values.mean(), values.std()], rtol=1e-4)
    of_subjects = [np.mean([float(row["psnr_db"]) for row in cell if row["subject"] == name]) for name in "ab"]
    assert line["psnr_db_of_subjects"] == pytest.approx(np.mean(of_subjects), rel=1e-4)
    assert json.loads((tmp_path / "summary.json").read_text())["draws"]["temperature"] == 0.7
    assert "SSIM by rows" in (tmp_path / "summary.md").read_text()


def test_both_protocols_share_a_cache(model: Path, tmp_path: Path) -> None:
    subjects = {"x": ("t1", "t2"), "a": ("t1", "t2")}
    cohort = write_tiny_cohort(tmp_path / "cohort", subjects, {"x": "train"})
    evaluate(model, cohort, OPTIONS, tmp_path / "cache")
    found = evaluate_dorent2024(model, cohort, OPTIONS, tmp_path / "cache")
    assert {score.subject for score in found.scores} == {"a"}


def test_a_subset_that_no_subject_has_is_an_error(model: Path, cohort: Cohort) -> None:
    only_b = replace(cohort, subjects=tuple(each for each in cohort.subjects if each.name == "b"))
    with pytest.raises(CohortError, match="no subject has all images of a requested subset"):
        evaluate_dorent2024(model, only_b, replace(OPTIONS, show=("t2",)))

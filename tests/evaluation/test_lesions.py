"""Scores of lesions, by hand, and their way into a report."""

from __future__ import annotations

import csv
import math
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
import torch
from tiny_models import head, save_tiny_model, write_tiny_cohort
from torch import Tensor

from anymod.evaluation import EvaluationOptions, evaluate, write_report
from anymod.evaluation.lesions import Lesion, LesionScore, lesion_table
from anymod.volumes import Volume, write_volume

ABOUT = ("a", "t1", "t2", "hidden", "model")
EVERYWHERE = torch.ones(5, 20, 20, dtype=torch.bool)


@pytest.fixture
def lesion() -> Lesion:
    """Return a lesion of 3 x 4 x 4 voxels of 3 mm: its surroundings reach two voxels."""
    label = torch.zeros(5, 20, 20, dtype=torch.bool)
    label[1:4, 8:12, 8:12] = True
    return Lesion.of(label, 3.0)


def image(inside: float, lesion: Lesion, noise: float = 0.1) -> Tensor:
    """Return an image with a mean of exactly 0 and a deviation of `noise` around the lesion, and a constant inside."""
    made = torch.randn(lesion.label.shape, generator=torch.Generator().manual_seed(0), dtype=torch.float64)
    around = made[lesion.ring]
    made[lesion.ring] = noise * (around - around.mean()) / around.std()
    made[lesion.label] = inside
    return made


def test_surroundings_reach_six_millimetres(lesion: Lesion) -> None:
    assert int(lesion.ring.sum()) == 5 * 8 * 8 - 3 * 4 * 4
    part = lesion.at([0, 2])
    assert (int(part.label.sum()), int(part.ring.sum())) == (16, 8 * 8 * 2 - 16)


def test_contrast_noise_error_and_dice_are_those_of_definition(lesion: Lesion) -> None:
    truth, made = image(0.5, lesion), image(-0.2, lesion, noise=0.05)
    found = lesion.score(ABOUT, made, truth, EVERYWHERE, displayed=3.0)
    assert found is not None
    assert (found.voxels, found.rmse) == (48, pytest.approx(0.7))
    assert (found.contrast, found.true_contrast) == (pytest.approx(-0.2), pytest.approx(0.5))
    assert (found.noise, found.true_noise) == (pytest.approx(0.05), pytest.approx(0.1))
    assert found.ratio == pytest.approx((-0.2 / 0.05) / (0.5 / 0.1))
    assert found.bright_dice < 0.1  # nothing of the lesion is bright
    same = lesion.score(ABOUT, truth, truth, EVERYWHERE, displayed=3.0)
    assert same is not None
    assert (same.ratio, same.bright_dice, same.rmse) == (1, 1, 0)


def test_a_flat_image_has_erased_the_lesion(lesion: Lesion) -> None:
    found = lesion.score(ABOUT, torch.zeros(5, 20, 20), image(0.5, lesion), EVERYWHERE, displayed=3.0)
    assert found is not None
    assert found.ratio == 0


def test_the_largest_contrast_of_the_shown_images_tells_whether_a_lesion_is_displayed(lesion: Lesion) -> None:
    images = [image(0.2, lesion), image(-0.4, lesion)]
    assert lesion.displayed(images, [EVERYWHERE] * 2) == pytest.approx(4)
    assert lesion.displayed(images, [EVERYWHERE, ~EVERYWHERE]) == pytest.approx(2)
    assert lesion.displayed([], []) == 0


def test_a_lesion_outside_of_what_counts_has_no_score(lesion: Lesion) -> None:
    region = EVERYWHERE & ~lesion.label
    assert lesion.score(ABOUT, image(0, lesion), image(0, lesion), region, displayed=3.0) is None


def test_only_hidden_targets_count_and_only_visible_lesions_have_a_sign() -> None:
    score = LesionScore(*ABOUT, 48, 0.4, 0.3, 0.5, 0.1, 0.1, 3.0, math.nan)
    rows = [score, replace(score, subject="b", contrast=-0.3), replace(score, subject="b", displayed=0.5, rmse=0.2)]
    table = lesion_table([*rows, replace(score, kind="shown", rmse=9.0)], ("model",), seed=0)
    cells = [cell.strip() for cell in table.splitlines()[2].split("|")]
    assert cells[1:3] == ["all", "model"]
    assert cells[3].startswith("0.350")  # 0.4 of a, 0.3 of b
    assert cells[4].startswith("0.50")  # right in a, wrong in b
    assert cells[6] == "nan"


@pytest.mark.slow
def test_a_report_holds_the_lesions_of_subjects_with_labels(tmp_path: Path) -> None:
    cohort = write_tiny_cohort(tmp_path / "cohort", dict.fromkeys("xab", ("t1", "t2")), {"x": "train"})
    grid = head(0).grid
    label = np.zeros(grid.shape, np.float32)
    label[6:10, 6:10, 2:5] = 1
    write_volume(cohort.root / "label.nii.gz", Volume(label, grid))
    subjects = tuple(replace(each, label="label.nii.gz" if each.name == "a" else None) for each in cohort.subjects)
    cohort = replace(cohort, subjects=subjects)
    model = save_tiny_model(tmp_path / "model")
    evaluation = evaluate(model, cohort, EvaluationOptions(device="cpu", show=("t1",)))
    (tmp_path / "report").mkdir()
    write_report(evaluation, tmp_path / "report", figures=0)
    with (tmp_path / "report/lesions.csv").open() as stream:
        rows = list(csv.DictReader(stream))
    assert {row["subject"] for row in rows} == {"a"}
    assert {row["method"] for row in rows} == {"model", "mean-image", "affine-regression", "spatial-regression"}
    assert "## Lesions in hidden targets" in (tmp_path / "report/summary.md").read_text()

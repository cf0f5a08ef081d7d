"""Example slices: which planes are drawn, how, and in which frame."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
from matplotlib.image import imread

from anymod.figures import Case, Example, draw_demo, draw_example, draw_extremes, draw_validation

LIME = np.array([50, 205, 50]) / 255


def plane(level: float) -> np.ndarray:
    return np.full((12, 10), level)


@pytest.fixture
def example() -> Example:
    """Return a subject with t1 and t2, whose right half is foreground, predicted from each of them."""
    inside = np.zeros((12, 10), dtype=bool)
    inside[6:] = True
    predictions = {"t1": {"t1": plane(0.1), "t2": plane(0.5)}, "t2": {"t1": plane(0.4), "t2": plane(0.2)}}
    return Example("a", {"t1": plane(0.1), "t2": plane(0.2)}, {"t1": inside, "t2": inside}, predictions)


def has_frame(path: Path) -> bool:
    return bool((np.abs(imread(path)[..., :3] - LIME).max(-1) < 0.02).any())


def test_the_error_is_absolute_and_black_outside(example: Example) -> None:
    error = example.error("t1", "t2").pixels
    assert error.shape == (10, 9)  # turned, and cut to the foreground and a margin
    np.testing.assert_allclose(error[:, :6], 0.3)
    assert np.isnan(error[:, 6:]).all()


def test_the_error_is_black_where_nothing_was_predicted(example: Example) -> None:
    deviation = plane(0.1)
    deviation[9:] = np.nan
    example.deviations["t1"] = {"t2": deviation}
    assert np.isnan(example.error("t1", "t2").pixels[:, :3]).all()
    assert not np.isnan(example.error("t2", "t1").pixels[:, :3]).any()


def test_a_truth_and_its_predictions_share_one_window(example: Example) -> None:
    assert example.truth("t2").colours == example.prediction("t1", "t2").colours
    assert example.prediction("t1", "t2").colours != example.prediction("t1", "t1").colours


def test_a_frame_marks_what_was_shown(example: Example, tmp_path: Path) -> None:
    assert example.prediction("t1", "t1").marked and not example.prediction("t1", "t2").marked
    draw_example(tmp_path / "both.png", example)
    assert has_frame(tmp_path / "both.png")
    draw_extremes(tmp_path / "case.png", [Case("t2, best", example, "t1", "t2")], ["t1", "t2"])
    assert has_frame(tmp_path / "case.png")


def test_a_validation_subject_without_a_modality_has_its_prediction_alone(tmp_path: Path) -> None:
    inside = np.ones((12, 10), dtype=bool)
    lacking = Example("b", {"t1": plane(0.1)}, {"t1": inside}, {"t1": {"t1": plane(0.1), "t2": plane(0.9)}})
    draw_validation(tmp_path / "look.png", [lacking], ["t1", "t2"])
    picture = imread(tmp_path / "look.png")[..., :3]
    assert has_frame(tmp_path / "look.png")
    column = 0.62 * picture.shape[1]  # inside the third of four cells, the missing truth
    assert (picture[100:250, int(column) : int(column) + 60] == 1).all()


def test_the_demo_shows_error_and_deviation_of_what_was_hidden(example: Example, tmp_path: Path) -> None:
    example.deviations["t1"] = {"t1": plane(0.0), "t2": plane(0.25)}
    draw_demo(tmp_path / "one.png", example)
    example.deviations["t2"] = example.deviations["t1"]
    draw_demo(tmp_path / "two.png", example)
    assert imread(tmp_path / "two.png").shape[0] > imread(tmp_path / "one.png").shape[0] + 200

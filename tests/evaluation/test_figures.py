"""Picture grids: which cases they show, and where."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest

from anymod.evaluation import figures
from anymod.evaluation.scores import Example, Score

MODALITIES = ("t1", "t2")


def score(subject: str, shown: str, target: str, psnr: float, method: str = "model") -> Score:
    kind = "shown" if target in shown.split("+") else "hidden"
    return Score(subject, shown, target, kind, method, psnr, 0.5, 0.5, 0.1, psnr, 0.1, 1.0, 3)


def example(subject: str, level: float) -> Example:
    plane, inside = np.full((12, 10), level), np.ones((12, 10), dtype=bool)
    syntheses = {(subset, target): np.full((12, 10), level + subset / 100) for subset in (1, 2, 3) for target in (0, 1)}
    return Example(subject, {0: plane, 1: plane + 0.1}, {0: inside, 1: inside}, syntheses)


def test_the_best_and_the_worst_hidden_case_of_each_target_are_drawn(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    scores = [
        score("a", "t1", "t2", 20.0),
        score("b", "t1", "t2", 15.0),
        score("a", "t1", "t2", 30.0, "affine-regression"),  # a reference's
        score("a", "t1+t2", "t2", 40.0),  # not hidden
        score("b", "t2", "t1", 18.0),
    ]
    drawn = []
    monkeypatch.setattr(figures, "draw_grid", lambda path, cells, page: drawn.append((path, cells, page)))
    figures.draw_extremes(tmp_path / "x.png", [example("a", 0.1), example("b", 0.3)], scores, MODALITIES)
    ((_, cells, page),) = drawn
    assert page.rows == [
        "t1, best\nb\n18.0 dB",
        "t1, worst\nb\n18.0 dB",
        "t2, best\na\n20.0 dB",
        "t2, worst\nb\n15.0 dB",
    ]
    best = cells[2]
    assert best[0].marked and best[1] is None
    np.testing.assert_allclose([best[number].pixels.mean() for number in (0, 2, 3)], [0.1, 0.2, 0.11])
    np.testing.assert_allclose(best[4].pixels, 0.09)


def test_extremes_are_written_where_something_was_hidden(tmp_path: Path) -> None:
    figures.draw_extremes(tmp_path / "none.png", [example("a", 0.1)], [score("a", "t1", "t1", 20.0)], MODALITIES)
    assert not (tmp_path / "none.png").exists()
    figures.draw_extremes(tmp_path / "one.png", [example("a", 0.1)], [score("a", "t1", "t2", 20.0)], MODALITIES)
    assert (tmp_path / "one.png").stat().st_size > 1000

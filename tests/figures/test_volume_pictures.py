"""Pictures of whole volumes: what is drawn beside the synthetic images."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest

from anymod.figures import volumes
from anymod.figures.grid import Page
from anymod.volumes import Grid, Volume

GRID = Grid((6, 7, 8), np.eye(4))
INSIDE = np.pad(np.ones((4, 5, 6), bool), 1)


def drawn(deviation: np.ndarray, monkeypatch: pytest.MonkeyPatch) -> Page:
    """Return the page of a preview of one target with its standard deviation."""
    pages: list[Page] = []
    monkeypatch.setattr(volumes, "draw_grid", lambda path, cells, page: pages.append(page))
    image = Volume(np.random.default_rng(0).random(GRID.shape, np.float32), GRID)
    deviations = {"t2": Volume(deviation.astype(np.float32), GRID)}
    volumes.draw_synthesis(Path("preview.png"), {"t1": image}, {"t2": image}, deviations, INSIDE)
    return pages[0]


@pytest.mark.parametrize("value", [0.0, 12.5])
def test_a_constant_deviation_is_not_drawn(value: float, monkeypatch: pytest.MonkeyPatch) -> None:
    page = drawn(np.where(INSIDE, value * (1 + 1e-6 * np.indices(GRID.shape)[0]), 0), monkeypatch)
    assert list(page.columns) == ["t1\nshown", "t2\nsynthetic"]
    assert "deviation" not in page.note


def test_a_deviation_that_varies_is_drawn(monkeypatch: pytest.MonkeyPatch) -> None:
    page = drawn(np.where(INSIDE, np.indices(GRID.shape)[0], 0), monkeypatch)
    assert list(page.columns)[-1] == "t2\nstandard deviation"
    assert "Standard deviation" in page.note

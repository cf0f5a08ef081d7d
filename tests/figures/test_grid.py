"""Planes in radiological display, and grids of pictures."""

from __future__ import annotations

from pathlib import Path

import numpy as np
from matplotlib.image import imread

from anymod.figures.grid import Colours, Page, Picture, draw_grid, window
from anymod.figures.planes import as_displayed, surroundings, three_planes
from anymod.volumes import Grid, Volume, orient

GREYS = Colours("gray", 0.0, 1.0)


def landmarks() -> Volume:
    """Return a volume in RAS with one bright voxel in each plane: far right, far front, far up from the middle."""
    data = np.zeros((7, 9, 11), np.float32)
    data[6, 4, 5], data[3, 8, 5], data[3, 4, 10] = 1, 2, 3  # right, front, top
    return Volume(data, Grid(data.shape, np.diag([1.0, 2.0, 3.0, 1.0])))


def place(pixels: np.ndarray, value: float) -> tuple[int, int]:
    row, column = np.argwhere(pixels == value)[0]
    return int(row), int(column)


def test_the_patients_right_is_on_the_left_and_the_front_at_the_top() -> None:
    plane = np.zeros((7, 9))
    plane[6, 4], plane[3, 8] = 1, 2
    assert as_displayed(plane).shape == (9, 7)
    assert place(as_displayed(plane), 1) == (4, 0)
    assert place(as_displayed(plane), 2) == (0, 3)


def test_three_planes_are_turned_alike_whatever_the_orientation_on_disk() -> None:
    everywhere = np.ones((7, 9, 11), bool)
    for orientation in ("RAS", "LPS", "SPR"):
        volume = orient(landmarks(), orientation)
        planes = three_planes(volume, orient(Volume(everywhere, landmarks().grid), orientation).data)
        assert {name: aspect for name, (_, aspect) in planes.items()} == {"axial": 2.0, "coronal": 3.0, "sagittal": 1.5}
        assert place(planes["axial"][0], 1) == (4, 0)
        assert place(planes["coronal"][0], 3) == (0, 3)
        assert place(planes["sagittal"][0], 2) == (5, 0)
        assert place(planes["sagittal"][0], 3) == (0, 4)


def test_pictures_are_cut_to_the_foreground_with_a_margin() -> None:
    inside = np.zeros((30, 30), bool)
    inside[10:20, 1] = True
    assert surroundings(inside) == (slice(7, 23), slice(0, 5))
    assert surroundings(np.zeros((4, 4), bool)) == (slice(0, 4), slice(0, 4))


def test_a_window_is_not_spoilt_by_a_few_bright_voxels() -> None:
    values = np.linspace(0, 1, 10_000)
    values[-10:] = 1e6
    colours = window(values, np.ones(10_000, bool))
    assert 0 < colours.low < 0.01
    assert 0.99 < colours.high < 1.0
    assert window(values, np.zeros(10_000, bool)).high == 1.0
    assert window(np.ones(3), np.ones(3, bool)).high > 1.0


def test_the_grid_is_drawn_with_gaps_frames_and_black_where_there_is_nothing(tmp_path: Path) -> None:
    empty = Picture(np.full((20, 10), np.nan), Colours("viridis", 0.0, 1.0, "a scale"))
    bright = Picture(np.ones((20, 10)), GREYS, marked=True, sides=("R", "L"))
    draw_grid(tmp_path / "grid.png", [[bright, None], [None, empty]], Page("title", ["a", "b"], ["c", "d"], "note"))
    picture = imread(tmp_path / "grid.png")[..., :3]
    lime = np.array([50, 205, 50]) / 255
    assert (np.abs(picture - lime).max(-1) < 0.02).any()
    assert ((picture == 0).all(-1)).mean() > 0.05
    assert [path.name for path in tmp_path.iterdir()] == ["grid.png"]

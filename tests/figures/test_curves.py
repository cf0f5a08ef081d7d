"""Curves of a run's numbers."""

from __future__ import annotations

from pathlib import Path

from matplotlib.image import imread

from anymod.figures.curves import write_curves


def test_a_panel_is_drawn_for_each_kind_of_number(tmp_path: Path) -> None:
    metrics = tmp_path / "metrics.csv"
    metrics.write_text("step,reconstruction,validation_hidden_psnr_db\n0,0.5,\n1,0.25,12.0\n")
    write_curves(metrics, tmp_path / "two.png")
    metrics.write_text("step,reconstruction\n0,0.5\n")
    write_curves(metrics, tmp_path / "one.png")
    assert imread(tmp_path / "two.png").shape[1] == 2 * imread(tmp_path / "one.png").shape[1]


def test_no_number_yet_is_no_picture(tmp_path: Path) -> None:
    (tmp_path / "metrics.csv").write_text("step\n")
    write_curves(tmp_path / "metrics.csv", tmp_path / "none.png")
    assert not (tmp_path / "none.png").exists()

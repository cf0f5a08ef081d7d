"""Metrics that survive a resume, checkpoints that survive a crash."""

from __future__ import annotations

import csv
import os
from collections.abc import Callable
from pathlib import Path

import pytest
import torch

from anymod.errors import OutputError
from anymod.training.checkpoints import load_state, save_state

pytestmark = pytest.mark.filterwarnings("ignore::DeprecationWarning")


def test_a_resumed_run_drops_rows_beyond_its_start_and_keeps_new_columns(tmp_path: Path) -> None:
    from anymod.training.records import Records

    first = Records(tmp_path, 0)
    for step in range(4):
        first.add(step, {"loss": step / 2})
    first.close()
    second = Records(tmp_path, 2)
    second.add(2, {"loss": 7.0, "psnr": 20.0})
    second.close()
    with (tmp_path / "metrics.csv").open(newline="") as stream:
        rows = list(csv.DictReader(stream))
    assert [row["step"] for row in rows] == ["0", "1", "2"]
    assert rows[2] == {"step": "2", "loss": "7", "psnr": "20"}
    assert rows[0]["psnr"] == ""


@pytest.mark.parametrize(
    ("damage", "kept"),
    [
        (lambda text: text.replace(b"1,0.5", b"\0\xff"), ["0", "2", "4"]),
        (lambda text: text.replace(b"1,0.5", b"1,0.5,3"), ["0", "2", "4"]),
        (lambda text: text.replace(b"1,0.5", b"1,0..5"), ["0", "2", "4"]),
        (lambda text: text.replace(b"1,0.5", b'"1,0.5'), ["0", "2", "4"]),
        (lambda text: text[:-4], ["0", "1", "4"]),
        (lambda text: b"\0" * 200_000, ["4"]),
        (lambda text: text.replace(b"step", b"s"), ["4"]),
    ],
)
def test_a_resumed_run_leaves_damaged_rows_out(
    tmp_path: Path, caplog: pytest.LogCaptureFixture, damage: Callable[[bytes], bytes], kept: list[str]
) -> None:
    from anymod.training.records import Records

    first = Records(tmp_path, 0)
    for step in range(3):
        first.add(step, {"loss": step / 2})
    first.close()
    path = tmp_path / "metrics.csv"
    path.write_bytes(damage(path.read_bytes()))
    second = Records(tmp_path, 4)
    second.add(4, {"loss": 7.0})
    second.close()
    with path.open(newline="") as stream:
        assert [row["step"] for row in csv.DictReader(stream)] == kept
    assert "metrics.csv is damaged" in caplog.text


def test_a_run_that_ends_before_its_first_row_is_not_damaged(tmp_path: Path, caplog: pytest.LogCaptureFixture) -> None:
    from anymod.training.records import Records

    for _ in range(2):
        Records(tmp_path, 0).close()
    assert not caplog.text


@pytest.mark.skipif(os.name == "nt", reason="Windows has no limit on the size of files")
def test_where_a_checkpoint_does_not_fit_the_old_one_is_kept(tmp_path: Path) -> None:
    import resource

    for step in (1, 2):
        save_state(tmp_path, {"step": step})
    soft, hard = resource.getrlimit(resource.RLIMIT_FSIZE)
    resource.setrlimit(resource.RLIMIT_FSIZE, (2**16, hard))
    try:
        with pytest.raises(OutputError, match=r"cannot write in .*last\.pt: File too large; check space"):
            save_state(tmp_path, {"step": 3, "weights": torch.zeros(2**20)})
    finally:
        resource.setrlimit(resource.RLIMIT_FSIZE, (soft, hard))
    state = load_state(tmp_path)
    assert state is not None and state["step"] == 2
    assert {path.name for path in tmp_path.iterdir()} == {"last.pt", "before.pt"}


def test_the_newest_state_is_read_and_the_one_before_kept(tmp_path: Path) -> None:
    for step in (1, 2, 3):
        save_state(tmp_path, {"step": step, "weights": torch.full((2,), float(step))})
    state = load_state(tmp_path)
    assert state is not None
    assert state["step"] == 3
    assert sorted(path.name for path in tmp_path.iterdir()) == ["before.pt", "last.pt"]


def test_no_checkpoint_is_no_state(tmp_path: Path) -> None:
    assert load_state(tmp_path) is None


def test_a_damaged_newest_falls_back_with_a_warning(tmp_path: Path, caplog: pytest.LogCaptureFixture) -> None:
    save_state(tmp_path, {"step": 1})
    save_state(tmp_path, {"step": 2})
    (tmp_path / "last.pt").write_bytes(b"half")
    state = load_state(tmp_path)
    assert state == {"step": 1}
    assert "continuing from the previous one" in caplog.text


def test_if_nothing_can_be_read_that_is_an_error(tmp_path: Path) -> None:
    (tmp_path / "last.pt").write_bytes(b"half")
    with pytest.raises(OutputError, match="unreadable checkpoints"):
        load_state(tmp_path)

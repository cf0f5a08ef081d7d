"""Tables as text and as files."""

from __future__ import annotations

import math
from pathlib import Path

from anymod.reports import Mean, format_mean, json_rows, markdown_table, write_rows

ROWS = [{"subject": "a", "psnr_db": 20.1234567}, {"subject": "b", "psnr_db": math.nan}]


def test_numbers_have_six_digits_and_nan_is_an_empty_cell(tmp_path: Path) -> None:
    write_rows(tmp_path / "scores.csv", ROWS)
    assert (tmp_path / "scores.csv").read_text() == "subject,psnr_db\na,20.1235\nb,\n"


def test_json_has_no_number_that_it_cannot_hold() -> None:
    assert json_rows([*ROWS, {"psnr_db": math.inf}]) == [ROWS[0], {"subject": "b", "psnr_db": None}, {"psnr_db": None}]


def test_labels_align_left_and_numbers_right() -> None:
    assert markdown_table(["method", "SSIM"], [["m", "1"], ["mean-image", "0.25"]], labels=1).splitlines() == [
        "| method     | SSIM |",
        "| ---------- | ---: |",
        "| m          |    1 |",
        "| mean-image | 0.25 |",
    ]


def test_a_mean_is_printed_with_its_interval_if_it_has_one() -> None:
    assert format_mean(Mean(1.0, 0.5, 1.25, 4), ".2f") == "1.00 [0.50, 1.25]"
    assert format_mean(Mean(1.0, math.nan, math.nan, 1), "+.1f") == "+1.0"

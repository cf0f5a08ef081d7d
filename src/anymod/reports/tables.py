"""Tables as files and as text."""

from __future__ import annotations

import csv
import io
import math
from collections.abc import Sequence
from pathlib import Path
from typing import Any

from anymod.files import write_text
from anymod.reports.intervals import Mean


def write_rows(path: Path, rows: Sequence[dict[str, Any]], columns: Sequence[str]) -> None:
    """Write rows as CSV, six digits of each number, nothing for NaN."""
    text = io.StringIO()
    writer = csv.DictWriter(text, columns, lineterminator="\n")
    writer.writeheader()
    for row in rows:
        writer.writerow({key: _as_cell(value) for key, value in row.items()})
    write_text(path, text.getvalue())


def _as_cell(value: Any) -> Any:
    if not isinstance(value, float):
        return value
    return "" if math.isnan(value) else f"{value:.6g}"


def plain(value: Any) -> Any:
    """Return the value, None for a number that JSON cannot hold."""
    return None if isinstance(value, float) and not math.isfinite(value) else value


def aligned(rows: Sequence[Sequence[str]]) -> list[str]:
    """Return the rows of a Markdown table with its columns padded, so that it can be read as text too."""
    widths = [max(len(row[place]) for row in rows) for place in range(len(rows[0]))]
    rulers = rows[1]
    text = []
    for row in rows:
        cells = []
        for cell, ruler, width in zip(row, rulers, widths, strict=True):
            to_right = ruler.endswith(":")
            filled = ("-" * (width - 1) + (":" if to_right else "-")) if row is rulers else cell
            cells.append(filled.rjust(width) if to_right else filled.ljust(width))
        text.append("| " + " | ".join(cells) + " |")
    return text


def format_mean(mean: Mean, digits: int) -> str:
    """Return `value [low, high]`, or the value alone where there is no interval."""
    if math.isnan(mean.low):
        return f"{mean.value:.{digits}f}"
    return f"{mean.value:.{digits}f} [{mean.low:.{digits}f}, {mean.high:.{digits}f}]"

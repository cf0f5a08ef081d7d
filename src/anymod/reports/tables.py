"""Tables as CSV files and as Markdown."""

from __future__ import annotations

import csv
import io
import math
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

from anymod.files import write_text
from anymod.reports.intervals import Mean


def write_rows(path: Path, rows: Sequence[Mapping[str, Any]]) -> None:
    """Write rows with the same keys (at least one row) as CSV; numbers have six significant digits, and NaN is an empty cell."""
    text = io.StringIO()
    writer = csv.DictWriter(text, list(rows[0]), lineterminator="\n")
    writer.writeheader()
    for row in rows:
        writer.writerow({key: _as_cell(value) for key, value in row.items()})
    write_text(path, text.getvalue())


def _as_cell(value: Any) -> Any:
    if not isinstance(value, float):
        return value
    return "" if math.isnan(value) else f"{value:.6g}"


def json_rows(rows: Sequence[Mapping[str, Any]]) -> list[dict[str, Any]]:
    """Return the rows with None for each number that JSON cannot hold."""
    return [
        {key: None if isinstance(value, float) and not math.isfinite(value) else value for key, value in row.items()}
        for row in rows
    ]


def markdown_table(header: Sequence[str], rows: Sequence[Sequence[str]], labels: int) -> str:
    """Return a Markdown table that is also readable as text: the first `labels` columns align left, the others right."""
    widths = [max(map(len, column)) for column in zip(header, *rows, strict=True)]
    rulers = ["-" * width if place < labels else "-" * (width - 1) + ":" for place, width in enumerate(widths)]
    lines = []
    for row in (header, rulers, *rows):
        cells = [
            cell.ljust(width) if place < labels else cell.rjust(width)
            for place, (cell, width) in enumerate(zip(row, widths, strict=True))
        ]
        lines.append("| " + " | ".join(cells) + " |")
    return "\n".join(lines)


def format_mean(mean: Mean, spec: str) -> str:
    """Return `value [low, high]`, or the value alone if there is no interval; `spec` formats each number (`.2f`, `+.2f`)."""
    if math.isnan(mean.low):
        return f"{mean.value:{spec}}"
    return f"{mean.value:{spec}} [{mean.low:{spec}}, {mean.high:{spec}}]"

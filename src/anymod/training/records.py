"""Records of a run: `metrics.csv` and TensorBoard events."""

from __future__ import annotations

import csv
import logging
from pathlib import Path

from torch.utils.tensorboard import SummaryWriter

from anymod.files import atomic_write

logger = logging.getLogger(__name__)


class Records:
    """Rows of named numbers by step, in a CSV file and in TensorBoard. A resumed run drops rows from its first step on."""

    def __init__(self, folder: Path, start: int) -> None:
        self.path = folder / "metrics.csv"
        self._rows = [row for row in _read(self.path) if int(row["step"]) < start]
        self._events = SummaryWriter(str(folder / "tensorboard"), purge_step=start or None)

    def add(self, step: int, values: dict[str, float]) -> None:
        """Add one row; columns may be new."""
        self._rows.append({"step": str(step), **{name: f"{value:.6g}" for name, value in values.items()}})
        for name, value in values.items():
            self._events.add_scalar(name, value, step)

    def write(self) -> None:
        """Write all rows, whole or not at all; columns keep the order of their first appearance."""
        columns = list(dict.fromkeys(name for row in self._rows for name in row))
        with atomic_write(self.path) as temporary, temporary.open("w", newline="", encoding="utf-8") as stream:
            writer = csv.DictWriter(stream, columns)
            writer.writeheader()
            writer.writerows(self._rows)
        self._events.flush()

    def close(self) -> None:
        """Write the rows and close the files."""
        self.write()
        self._events.close()


def _read(path: Path) -> list[dict[str, str]]:
    """Return the rows of a file that `Records` wrote; damaged rows are left out, with a warning."""
    if not path.is_file() or not path.read_bytes().strip():  # before the first recorded step
        return []
    # Nothing in the file is quoted; the module csv would fail at some damage.
    columns, *lines = [line.split(",") for line in path.read_text("utf-8", errors="replace").splitlines()] or [[]]
    rows = [row for line in lines if (row := _row(columns, line))]
    if len(rows) < len(lines) or "step" not in columns:
        logger.warning("%s is damaged; what cannot be read is left out", path)
    return rows


def _row(columns: list[str], line: list[str]) -> dict[str, str]:
    """Return the numbers in one line by column, without empty cells; nothing if the line is damaged."""
    try:
        row = {name: value for name, value in zip(columns, line, strict=True) if value}
        int(row["step"])
        for value in row.values():
            float(value)
    except (KeyError, ValueError):
        return {}
    return row

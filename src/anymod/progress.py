"""How work that takes long is shown: a bar with the time left on a terminal, plain lines in a log, nothing when quiet."""

from __future__ import annotations

import logging
import time
from collections.abc import Iterable, Iterator
from typing import TypeVar

from rich.console import Console
from rich.progress import BarColumn, MofNCompleteColumn, Progress, TextColumn, TimeElapsedColumn, TimeRemainingColumn

Item = TypeVar("Item")
SECONDS_BETWEEN_LINES = 15.0  # in a log

logger = logging.getLogger(__name__)


def track(items: Iterable[Item], description: str, total: int, *, done: int = 0) -> Iterator[Item]:
    """Yield the items and show how many of `total` are done (`done` of them before the first); results never go to stdout.

    Shown on a terminal as a bar, elsewhere as INFO lines of this module's logger; both are silent where INFO is.
    """
    if not logger.isEnabledFor(logging.INFO):
        yield from items
        return
    console = Console(stderr=True)
    if not console.is_terminal:
        yield from _log_lines(items, description, total, done)
        return
    columns = (
        TextColumn("{task.description}"),
        BarColumn(),
        MofNCompleteColumn(),
        TimeElapsedColumn(),
        TimeRemainingColumn(),
    )
    with Progress(*columns, console=console) as bar:
        task = bar.add_task(description, total=total, completed=done)
        for item in items:
            yield item
            bar.advance(task)


def _log_lines(items: Iterable[Item], description: str, total: int, done: int) -> Iterator[Item]:
    start = last = time.monotonic()
    for count, item in enumerate(items, start=1):
        yield item
        now = time.monotonic()
        if now - last >= SECONDS_BETWEEN_LINES or done + count == total:
            left = (now - start) / count * (total - done - count)
            logger.info("%s: %d of %d, %s left", description, done + count, total, format_seconds(left))
            last = now


def format_seconds(seconds: float) -> str:
    """Return a duration as h:mm:ss."""
    whole = round(seconds)
    return f"{whole // 3600}:{whole // 60 % 60:02d}:{whole % 60:02d}"

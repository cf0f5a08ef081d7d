"""Checkpoints of a run: the newest and the previous one, each written whole and read without running code."""

from __future__ import annotations

import logging
import pickle
from pathlib import Path
from typing import Any

import torch

from anymod.errors import OutputError
from anymod.files import atomic_write

NEWEST, BEFORE, BEST = "last.pt", "before.pt", "best.pt"

logger = logging.getLogger(__name__)


def save_state(folder: Path, state: dict[str, Any]) -> None:
    """Write `state` as the newest checkpoint of a folder and keep the previous one."""
    with atomic_write(folder / NEWEST) as temporary:
        with temporary.open("wb") as stream:  # torch gives no reason for a failure to write to a path
            torch.save(state, stream)
        if (folder / NEWEST).exists():
            (folder / NEWEST).replace(folder / BEFORE)


def load_state(folder: Path) -> dict[str, Any] | None:
    """Return the newest readable checkpoint, with a warning if it is the previous one; None where there is none.

    Uses torch's weights-only loader. Raises OutputError if checkpoints exist and none can be read.
    """
    problems = []
    for name in (NEWEST, BEFORE):
        path = folder / name
        if not path.is_file():
            continue
        try:
            state = torch.load(path, map_location="cpu", weights_only=True)
        except (RuntimeError, EOFError, OSError, ValueError, KeyError, pickle.UnpicklingError) as error:
            problems.append(f"{name}: {str(error).splitlines()[0] if str(error) else type(error).__name__}")
            continue
        if problems:
            logger.warning(
                "the newest checkpoint cannot be read (%s); continuing from the previous one", "; ".join(problems)
            )
        return state
    if problems:
        raise OutputError("unreadable checkpoints", folder, "; ".join(problems), "start again with --overwrite")
    return None

"""Optional JSON files of a model folder."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any, TypeVar

from anymod.configuration import Settings, validate
from anymod.errors import ModelFolderError

Content = TypeVar("Content", bound=Settings)


def read_stored(path: Path, kind: type[Content], what: str, most_bytes: int) -> Content | None:
    """Return the content of a file that holds `what`, None if there is no file; raise ModelFolderError if it cannot be read."""
    if not path.exists():
        return None
    problem, remedy = f"unreadable {what}", "copy the whole model folder again, or remove the file"
    try:
        if not path.is_file() or path.stat().st_size > most_bytes:
            raise ModelFolderError(problem, path, "it is no JSON file of usual size", remedy)
        content: Any = json.loads(path.read_text("utf-8"))
    except (OSError, ValueError, RecursionError) as error:
        raise ModelFolderError(problem, path, str(error), remedy) from error
    if not isinstance(content, dict):
        raise ModelFolderError(problem, path, "its top level is no mapping", remedy)
    return validate(kind, content, path, error=ModelFolderError)

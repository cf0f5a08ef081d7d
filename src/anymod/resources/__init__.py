"""What comes with the package: model folders."""

from __future__ import annotations

from importlib.resources import files
from pathlib import Path

__all__ = ["bundled_models"]


def bundled_models() -> dict[str, Path]:
    """Return the folder of each bundled model by name, in the order of the alphabet."""
    folders = Path(str(files("anymod") / "resources" / "models")).glob("*/model.yaml")
    return {file.parent.name: file.parent for file in sorted(folders)}

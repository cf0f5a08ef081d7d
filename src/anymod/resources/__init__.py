"""Files of the package: bundled model folders, the weights of LPIPS, and the example for exported models."""

from __future__ import annotations

from importlib.resources import files
from pathlib import Path

__all__ = ["EXPORT_EXAMPLE", "LPIPS", "bundled_models"]

EXPORT_EXAMPLE = Path(str(files("anymod") / "resources" / "export_example.py"))
LPIPS = Path(str(files("anymod") / "resources" / "lpips_alexnet.safetensors"))
"""AlexNet's features and the heads of LPIPS, half precision; the file's metadata says where they come from."""


def bundled_models() -> dict[str, Path]:
    """Return the folder of each bundled model by name, in alphabetical order."""
    folders = Path(str(files("anymod") / "resources" / "models")).glob("*/model.yaml")
    return {file.parent.name: file.parent for file in sorted(folders)}

"""Rooms know models only by their interface."""

from __future__ import annotations

import ast
import re
from pathlib import Path

import pytest

SOURCE = Path(__file__).parents[1] / "src/anymod"
ROOMS = ("training", "synthesis", "evaluation", "engines")
CONCRETE = re.compile(r"mmhvae|dorent2024|mvae|mmgan|resvit", re.IGNORECASE)
"""Names of architectures; a module of the protocol `dorent2024` may be called so."""
FILES = sorted(path for room in ROOMS for suffix in (".py", ".pyi") for path in (SOURCE / room).rglob("*" + suffix))


def concrete_models(code: str) -> list[str]:
    """Return imports from models/ and isinstance checks that name an architecture."""
    found = []
    for node in ast.walk(ast.parse(code)):
        if isinstance(node, ast.ImportFrom) and (node.module or "").startswith("anymod.models"):
            found += [f"{node.module}.{each.name}" for each in node.names]
        elif isinstance(node, ast.Call) and ast.unparse(node.func) == "isinstance":
            found.append(ast.unparse(node))
    return [name for name in found if CONCRETE.search(name)]


@pytest.mark.parametrize("path", FILES, ids=lambda path: str(path.relative_to(SOURCE)))
def test_no_room_knows_a_concrete_model(path: Path) -> None:
    assert concrete_models(path.read_text(encoding="utf-8")) == []


def test_a_concrete_model_is_noticed() -> None:
    code = "from anymod.models import MMHVAE, load_model\nassert isinstance(network, MMHVAE)\n"
    assert concrete_models(code) == ["anymod.models.MMHVAE", "isinstance(network, MMHVAE)"]

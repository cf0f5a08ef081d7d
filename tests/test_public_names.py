"""What `import anymod` offers, and what it costs."""

from __future__ import annotations

import importlib
import subprocess
import sys
from pathlib import Path

import pytest

import anymod

HEAVY = ("torch", "SimpleITK", "nibabel", "matplotlib", "scipy", "pytorch_lightning")


def test_the_public_names_are_these() -> None:
    assert anymod.__all__ == [
        "AnymodError",
        "Cohort",
        "Synthesizer",
        "Volume",
        "load_model",
        "read_cohort",
        "read_volume",
        "train",
        "write_volume",
    ]
    assert sorted(dir(anymod)) == sorted(anymod.__all__)


@pytest.mark.parametrize("name", anymod.__all__)
def test_every_public_name_can_be_had(name: str) -> None:
    assert getattr(anymod, name) is not None


def test_an_unknown_name_is_an_attribute_error() -> None:
    with pytest.raises(AttributeError, match="utils"):
        _ = anymod.utils


@pytest.mark.parametrize("statement", ["import anymod", "import anymod.cli", "import anymod.errors"])
def test_importing_loads_nothing_heavy(statement: str) -> None:
    code = f"import sys; {statement}; print([name for name in {HEAVY} if name in sys.modules])"
    assert subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True).stdout == "[]\n"


ROOMS = sorted(path.parent.name for path in Path(anymod.__file__).parent.glob("*/__init__.pyi"))


@pytest.mark.parametrize("room", ROOMS)
def test_every_name_that_a_room_lists_can_be_had(room: str) -> None:
    module = importlib.import_module(f"anymod.{room}")
    assert module.__all__
    assert all(getattr(module, name) is not None for name in module.__all__)


@pytest.mark.slow
def test_rooms_without_tensors_load_no_torch() -> None:
    code = """
import importlib, pkgutil, sys
for room in ("volumes", "cohorts", "simulation", "preparation"):
    package = importlib.import_module(f"anymod.{room}")
    for name in package.__all__:
        getattr(package, name)
    for module in pkgutil.walk_packages(package.__path__, f"{package.__name__}."):
        importlib.import_module(module.name)
        assert "torch" not in sys.modules, module.name
"""
    subprocess.run([sys.executable, "-c", code], check=True)

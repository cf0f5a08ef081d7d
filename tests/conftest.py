"""Fixtures that every room's tests may use."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path

import pytest
from hypothesis import settings

# The same examples in every run, and few of them; a slow machine is no failure.
settings.register_profile("repeatable", derandomize=True, deadline=None, max_examples=20)
settings.load_profile("repeatable")


@pytest.fixture(scope="session")
def shared() -> Path:
    """Return the folder of reference vectors and real images beside the repository; a plain clone has none."""
    folder = Path(__file__).resolve().parents[2] / "shared"
    if not folder.is_dir():
        pytest.skip("../shared (reference vectors and real images) is not beside this clone")
    return folder


@pytest.fixture
def blank_pictures(monkeypatch: pytest.MonkeyPatch) -> None:
    """Save every figure as one blank pixel: drawing takes most of the time of a tiny run."""
    from matplotlib.figure import Figure
    from PIL import Image

    def save(figure: Figure, target: object, **options: object) -> None:
        Image.new("L", (1, 1)).save(target, "PNG")

    monkeypatch.setattr(Figure, "savefig", save)


@pytest.fixture(scope="module")
def few_frames() -> Iterator[None]:
    """Let simulated probes sweep 20 frames rather than 120: two seconds a subject rather than ten."""
    from anymod.simulation import patients

    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(patients, "PROBES", tuple(replace(probe, frames=20) for probe in patients.PROBES))
        yield

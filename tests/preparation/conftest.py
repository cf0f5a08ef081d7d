"""Phantom archives: trees of small image files, made in code."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest
from cohort_phantoms import make_cohort  # noqa: F401

from anymod.volumes import Grid, Volume, write_volume


def head(seed: int, shape: tuple[int, int, int] = (12, 10, 8)) -> np.ndarray:
    """Return a head [X, Y, Z] of whole numbers on background 0."""
    data = np.zeros(shape, dtype=np.float32)
    size = tuple(edge - 4 for edge in shape)
    data[2:-2, 2:-2, 2:-2] = np.random.default_rng(seed).uniform(50, 250, size).round()
    return data


@pytest.fixture
def write_image() -> Callable[..., Path]:
    """Return a function (path, data or seed, affine) that writes a NIfTI file and returns its path."""

    def write(path: Path, data: np.ndarray | int = 0, affine: np.ndarray | None = None) -> Path:
        values = head(data) if isinstance(data, int) else data
        write_volume(path, Volume(values, Grid(values.shape, np.eye(4) if affine is None else affine)))
        return path

    return write


@pytest.fixture
def archive(tmp_path: Path, write_image: Callable[..., Path]) -> Path:
    """Return a tree of three subjects: p1 has t1, t2, mask and seg, p2 t1 alone, p3 t2 and t1."""
    raw = tmp_path / "raw"
    for seed, name in enumerate(("p1/t1", "p1/scans/t2", "p2/t1", "p3/t1", "p3/deep/er/t2")):
        write_image(raw / f"{name}.nii.gz", seed)
    write_image(raw / "p1/mask.nii.gz", (head(0) > 0).astype(np.int16))
    write_image(raw / "p1/seg.nii.gz", (head(0) > 200).astype(np.int16))
    return raw

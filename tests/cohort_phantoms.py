"""Phantom cohorts: small heads of two tissues, made in code."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from pathlib import Path

import numpy as np
import pytest

from anymod.cohorts import Cohort, Modality, Subject, default_group, write_cohort
from anymod.volumes import Grid, Volume, write_volume

SHAPE = (12, 10, 8)
AFFINE = np.diag([1.0, 1.0, 2.0, 1.0])
CohortMaker = Callable[..., Cohort]


def phantom(seed: int) -> np.ndarray:
    """Return a head [12, 10, 8]: background 0, values from 50 to 250 inside a box that keeps off the borders."""
    data = np.zeros(SHAPE, dtype=np.float32)
    data[2:10, 2:8, 1:7] = np.random.default_rng(seed).uniform(50, 250, (8, 6, 6)).round()
    return data


def tissue() -> np.ndarray:
    """Return labels [12, 10, 8]: white matter (2 on the left, 41 on the right) inside cortex (3)."""
    labels = np.zeros(SHAPE, dtype=np.int16)
    labels[2:10, 2:8, 1:7] = 3
    labels[3:6, 3:7, 2:6] = 2
    labels[6:9, 3:7, 2:6] = 41
    return labels


@pytest.fixture
def make_cohort(tmp_path: Path) -> CohortMaker:
    """Return a function (observed modalities of each subject, splits, maps, medians) -> a cohort on disk."""

    def make(
        observed: Mapping[str, tuple[str, ...]],
        splits: Mapping[str, str] | None = None,
        extras: Mapping[str, np.ndarray] | None = None,
        medians: Mapping[str, float] | None = None,
        folder: str = "cohort",
    ) -> Cohort:
        root, subjects = tmp_path / folder, []
        for number, (name, modalities) in enumerate(observed.items()):
            images = {modality: phantom(10 * number + len(modality)) for modality in modalities}
            files = {}
            for column, data in {**images, **(extras or {})}.items():
                files[column] = f"subjects/{name}/{column}.nii.gz"
                write_volume(root / files[column], Volume(data, Grid(SHAPE, AFFINE)))
            paths = {modality: files.pop(modality) for modality in modalities}
            subjects.append(Subject(name, (splits or {}).get(name, "train"), paths, **files))
        names = sorted({modality for modalities in observed.values() for modality in modalities})
        kinds = tuple(Modality(name, default_group(name), (medians or {}).get(name)) for name in names)
        return write_cohort(Cohort(root, "phantoms", kinds, tuple(subjects)), root)

    return make


@pytest.fixture
def tissue_map() -> np.ndarray:
    """Return the phantom's tissue labels."""
    return tissue()

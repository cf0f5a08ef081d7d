"""A cohort of small phantoms, incomplete on purpose, and a recipe that trains on it in seconds."""

from __future__ import annotations

from pathlib import Path

import numpy as np

from anymod.cohorts import Cohort, Modality, Subject, read_cohort, write_cohort
from anymod.training import Recipe
from anymod.volumes import Grid, Volume, write_volume

MODALITIES = ("t1", "t2", "us")
OBSERVED = {"a": ("t1", "t2", "us"), "b": ("t1", "us"), "c": ("t2",), "v": ("t1", "t2", "us")}


def make_cohort(folder: Path) -> Cohort:
    axes = np.meshgrid(*(np.linspace(-1, 1, side) for side in (16, 16, 8)), indexing="ij")
    ball = sum(axis**2 for axis in axes) < 0.8
    subjects = []
    for index, (name, observed) in enumerate(OBSERVED.items()):
        texture = np.random.default_rng(index).random((16, 16, 8))
        paths = {}
        for number, modality in enumerate(MODALITIES):
            if modality in observed:
                data = np.where(ball, 100 + 50 * number * axes[number] + 20 * texture, 0).astype(np.float32)
                paths[modality] = f"subjects/{name}/{modality}.nii.gz"
                write_volume(folder / paths[modality], Volume(data, Grid((16, 16, 8), np.diag([2.0, 2, 2, 1]))))
        subjects.append(Subject(name, "validation" if name == "v" else "train", paths))
    groups = {"us": "us"}
    modalities = tuple(Modality(name, groups.get(name, "mr")) for name in MODALITIES)
    write_cohort(Cohort(folder, "phantoms", modalities, tuple(subjects)), folder)
    return read_cohort(folder)


def make_recipe(**training: object) -> Recipe:
    settings = {"widths": [4, 6], "image_size": [16, 16], "unshuffle": 2, "head_channels": 3, "head_blocks": 0}
    content = {
        "model": {"settings": settings},
        "data": {"spacing_mm": 2.0, "augmentation": {"intensity_probability": 0.5}},
        "objective": {"draws": 2, "adversarial_weight": 0.1, "discriminator_start": 1, "adversarial_start": 2},
        "training": {
            "steps": 6,
            "batch_size": 4,
            "discriminator_width": 4,
            "discriminator_depth": 1,
            "checkpoint_every": 2,
            "validate_every": 3,
            "log_every": 1,
            **training,
        },
    }
    return Recipe.model_validate(content, strict=False)

"""A model small enough to run in milliseconds, untrained, and subjects for it to look at; several rooms' tests use them."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import torch

from anymod import __version__
from anymod.cohorts import Cohort, Modality, Subject, write_cohort
from anymod.models import MMHVAE, MMHVAESettings, ModelDescription, ModelModality, save_model
from anymod.volumes import Grid, IntensityRule, Volume, write_volume

MODALITIES = ("t1", "t2", "flair")
SETTINGS = MMHVAESettings(widths=(4, 4), image_size=(16, 16), unshuffle=2, head_channels=4, head_blocks=0)
GRID = Grid((16, 18, 6), np.diag([1.0, 1.0, 1.0, 1.0]))


def tiny_model(count: int = len(MODALITIES), **changes: object) -> MMHVAE:
    """Return an untrained network of the first modalities whose weights are always the same."""
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(0)
        return MMHVAE(MODALITIES[:count], SETTINGS.model_copy(update=changes)).eval().requires_grad_(False)


def tiny_description(model: MMHVAE, **changes: object) -> ModelDescription:
    """Return what belongs to it: 1 mm voxels, slices of 16 x 16, typical raw values up to 100, 200 and 300."""
    content = {
        "anymod": __version__,
        "architecture": "mmhvae",
        "settings": model.settings.model_dump(mode="json"),
        "modalities": tuple(
            ModelModality(name=name, group="mr", low=0.0, high=100.0 * place)
            for place, name in enumerate(model.spec.modalities, start=1)
        ),
        "spacing_mm": 1.0,
        "image_size": (16, 16),
        "intensity": IntensityRule(),
        "targets": "percentile",
        "training": {},
    }
    return ModelDescription(**{**content, **changes})


def save_tiny_model(folder: Path, count: int = len(MODALITIES), **changes: object) -> Path:
    """Write the tiny model of the first modalities and return its folder."""
    model = tiny_model(count)
    save_model(folder, model, tiny_description(model, **changes), "A test's model.\n")
    return folder


def head(seed: int, grid: Grid = GRID) -> Volume:
    """Return an ellipsoid of smooth noise in 50 to 150, background 0."""
    draws = np.random.default_rng(seed)
    places = np.stack(np.meshgrid(*(np.linspace(-1, 1, size) for size in grid.shape), indexing="ij"))
    waves = sum(np.cos(draws.uniform(-4, 4, 3) @ places.reshape(3, -1) + draws.uniform(0, 6)) for _ in range(4))
    inside = (places**2).sum(0) < 0.9
    return Volume(np.where(inside, 100 + 12 * waves.reshape(grid.shape), 0).astype(np.float32), grid)


def write_tiny_cohort(root: Path, subjects: dict[str, tuple[str, ...]], splits: dict[str, str] | None = None) -> Cohort:
    """Write subjects with the modalities each has (split `test` unless told); modality k is a fixed affine map of the first."""
    listed = []
    for number, (name, observed) in enumerate(subjects.items()):
        anatomy = head(number)
        paths = {}
        for place, modality in enumerate(MODALITIES):
            if modality in observed:
                paths[modality] = f"subjects/{name}/{modality}.nii.gz"
                data = np.where(anatomy.data > 0, (1 + place) * anatomy.data + 10 * place, 0).astype(np.float32)
                write_volume(root / paths[modality], Volume(data, anatomy.grid))
        listed.append(Subject(name, (splits or {}).get(name, "test"), paths))
    modalities = tuple(Modality(name, "mr") for name in MODALITIES)
    return write_cohort(Cohort(root, "tiny", modalities, tuple(listed)), root)

"""A training step of the trainer's own, and a cohort, both of noise; imported by the scripts beside it."""

from __future__ import annotations

import math
from collections.abc import Callable
from contextlib import nullcontext
from pathlib import Path
from typing import Any


def training_step(model: Any, flags: Any, size: tuple[int, int], optimizer: Any = None) -> Callable[[], None]:
    """Return a step on a batch that has everything: encoded once, each draw backward, then the optimizer (one that moves nothing).

    Shape: flags (draw, row, modality), what is shown. Absolute error and divergence, no adversary.
    """
    import torch

    from anymod.core.batch import Batch
    from anymod.core.noise import noise_of_rows
    from anymod.models import Draws
    from anymod.training.adversary import build_discriminators
    from anymod.training.step import Judges, Update, model_step

    draws, rows, modalities = flags.shape
    images = torch.rand(rows, modalities, 1, *size) * 1.99 - 0.99
    foreground = torch.ones(rows, modalities, *size, dtype=torch.bool)
    observed = torch.ones(rows, modalities, dtype=torch.bool)
    batch = Batch(images, images[:, :, 0], foreground, observed, foreground[:, 0], ("phantom",) * rows)
    silent = Judges(build_discriminators(modalities, 2, 1), 0.0, everything=False)
    noise = noise_of_rows(torch.Generator().manual_seed(0), slice(0, rows), rows)
    asked = Draws(flags, [noise] * draws, observed, step=0)
    optimizer = optimizer or torch.optim.SGD(model.parameters(), lr=0.0)
    update = Update(0, math.inf, nullcontext)

    def run() -> None:
        model_step(model, optimizer, batch, asked, silent, update)

    return run


def phantom_cache(folder: Path, modalities: tuple[str, ...], subjects: int, side: int, slices: int = 48) -> Any:
    """Return the slices of a cohort whose subjects have every modality, for slices of side x side; all files lie in the folder."""
    import numpy as np

    from anymod.cohorts import Cohort, Modality, Subject, write_cohort
    from anymod.slices import CacheSettings, build_cache
    from anymod.volumes import Grid, Volume, write_volume

    listed = []
    for number in range(subjects):
        paths = {name: f"subjects/{number}/{name}.nii.gz" for name in modalities}
        for place, path in enumerate(paths.values()):
            data = np.random.default_rng([number, place]).integers(1, 100, (side, side, slices)).astype(np.float32)
            data[[0, -1]] = data[:, [0, -1]] = data[:, :, [0, -1]] = 0
            write_volume(folder / path, Volume(data, Grid(data.shape, np.eye(4))))
        listed.append(Subject(f"s{number}", "train", paths))
    kinds = tuple(Modality(name, "mr") for name in modalities)
    cohort = write_cohort(Cohort(folder, "phantoms", kinds, tuple(listed)), folder)
    return build_cache(cohort, cohort.subjects, CacheSettings(image_size=(side, side)), folder / "cache")

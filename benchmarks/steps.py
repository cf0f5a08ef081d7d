"""A training step of the trainer's own on images of noise; imported by the scripts beside it."""

from __future__ import annotations

import math
from collections.abc import Callable
from contextlib import nullcontext
from typing import Any


def training_step(model: Any, flags: Any, size: tuple[int, int], optimizer: Any = None) -> Callable[[], None]:
    """Return a step on a batch that has everything: encoded once, each draw backward, then the optimizer (one that moves nothing).

    Shape: flags (draw, row, modality), what is shown. Absolute error and divergence, no adversary.
    """
    import torch

    from anymod.cohorts import Batch
    from anymod.core.noise import fresh_noise
    from anymod.core.objectives import absolute_error
    from anymod.models import Objective
    from anymod.training.adversary import build_critics
    from anymod.training.step import Adversary, StepPlan, Update, model_step

    draws, rows, modalities = flags.shape
    images = torch.rand(rows, modalities, 1, *size) * 1.99 - 0.99
    foreground = torch.ones(rows, modalities, *size, dtype=torch.bool)
    observed = torch.ones(rows, modalities, dtype=torch.bool)
    batch = Batch(images, images[:, :, 0], foreground, observed, foreground[:, 0], ("phantom",) * rows)
    silent = Adversary(build_critics(modalities, 2, 1), 0.0, everything=False)
    noise = fresh_noise(torch.Generator().manual_seed(0))
    plan = StepPlan(flags, [noise] * draws, Objective(absolute_error, 1e-3), silent)
    optimizer = optimizer or torch.optim.SGD(model.parameters(), lr=0.0)
    update = Update(0, math.inf, nullcontext)

    def run() -> None:
        model_step(model, optimizer, batch, plan, update)

    return run

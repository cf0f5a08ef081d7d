"""Training: a thin loop on Lightning Fabric around our step, curriculum, objective and adversary."""

from __future__ import annotations

from anymod.training.recipe import Recipe, read_recipe
from anymod.training.start import train

__all__ = ["Recipe", "read_recipe", "train"]

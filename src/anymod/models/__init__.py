"""Whole networks behind one small interface, and models as folders."""

from __future__ import annotations

from anymod.models.authors import AuthorsMMHVAE
from anymod.models.folder import (
    CARD,
    DEFAULT_MODEL,
    DESCRIPTION,
    WEIGHTS,
    Calibration,
    ModelDescription,
    ModelModality,
    find_model,
    load_model,
    read_card,
    save_model,
)
from anymod.models.interface import Decode, Objective, Outcome, UnifiedModel, masked, shown_foreground
from anymod.models.mmhvae import AUTHORS, MMHVAE, MMHVAESettings
from anymod.models.registry import ARCHITECTURES, build_model

__all__ = [
    "ARCHITECTURES",
    "AUTHORS",
    "CARD",
    "DEFAULT_MODEL",
    "DESCRIPTION",
    "MMHVAE",
    "WEIGHTS",
    "AuthorsMMHVAE",
    "Calibration",
    "Decode",
    "MMHVAESettings",
    "ModelDescription",
    "ModelModality",
    "Objective",
    "Outcome",
    "UnifiedModel",
    "build_model",
    "find_model",
    "load_model",
    "masked",
    "read_card",
    "save_model",
    "shown_foreground",
]

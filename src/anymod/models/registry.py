"""The closed list of architectures: a model folder names one of these and can name nothing else."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from anymod.configuration import validate
from anymod.errors import AnymodError, ConfigurationError
from anymod.models.dorent2024 import AuthorsMMHVAE
from anymod.models.interface import UnifiedModel
from anymod.models.mmhvae import MMHVAE, MMHVAESettings

ARCHITECTURES = {"mmhvae": (MMHVAE, MMHVAESettings), "authors": (AuthorsMMHVAE, MMHVAESettings)}


def build_model(
    architecture: str,
    modalities: Sequence[str],
    settings: dict[str, Any],
    where: str,
    *,
    error: type[AnymodError] = ConfigurationError,
) -> UnifiedModel:
    """Return an untrained network; raise `error` that names `where` for an unknown architecture or settings that do not fit."""
    if architecture not in ARCHITECTURES:
        raise error(
            "unknown architecture", where, f"'{architecture}' does not exist", f"known are {', '.join(ARCHITECTURES)}"
        )
    network, settings_type = ARCHITECTURES[architecture]
    shape = validate(settings_type, settings, where, error=error)
    try:
        return network(tuple(modalities), shape)
    except ValueError as problem:
        raise error("unusable modalities", where, str(problem), "list each modality once") from problem

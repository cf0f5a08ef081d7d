"""The closed list of architectures: a recipe or a model folder names one of these and can name nothing else."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Annotated, Any, Literal

from pydantic import BeforeValidator, Discriminator, Tag, model_validator

from anymod.configuration import Settings, validate
from anymod.errors import AnymodError, ConfigurationError
from anymod.models.interface import Network
from anymod.models.levels import INVERSE_DEVIATIONS
from anymod.models.mmhvae import MMHVAE
from anymod.models.mmhvae_settings import MMHVAEObjective, MMHVAESettings


def newer_name(architecture: Any) -> Any:
    """Return today's name of an architecture that model folders and recipes of version 0.1 may call otherwise."""
    return "dorent2024" if architecture == "authors" else architecture


class _Section(Settings):
    """Settings and objective that both architectures share."""

    architecture: str
    settings: MMHVAESettings = MMHVAESettings()
    objective: MMHVAEObjective = MMHVAEObjective()

    @model_validator(mode="after")
    def _weighs_every_level(self) -> _Section:
        self.objective.check_levels(len(self.settings.widths))
        if self.objective.learn == "realistic" and self.settings.realistic is None:
            raise ValueError("objective.learn realistic needs settings.realistic, such as settings.realistic={}")
        return self


class MMHVAEModel(_Section):
    """The hierarchical mixture of products of experts."""

    architecture: Literal["mmhvae"] = "mmhvae"

    def build(self, modalities: Sequence[str]) -> Network:
        """Return an untrained network; raise ValueError where it cannot have these modalities."""
        return MMHVAE(modalities, self.settings, self.objective)


class Dorent2024Model(_Section):
    """The hierarchy with the published code's fusion of experts (deviations A1 and A2); configs/paper.yaml has the paper's settings."""

    architecture: Annotated[Literal["dorent2024"], BeforeValidator(newer_name)] = "dorent2024"

    def build(self, modalities: Sequence[str]) -> Network:
        """Return an untrained network; raise ValueError where it cannot have these modalities."""
        return MMHVAE(modalities, self.settings, self.objective, INVERSE_DEVIATIONS)


ARCHITECTURES: dict[str, type[MMHVAEModel] | type[Dorent2024Model]] = {
    "mmhvae": MMHVAEModel,
    "dorent2024": Dorent2024Model,
}


def _architecture(section: Any) -> Any:
    if isinstance(section, dict):
        name = newer_name(section.get("architecture", "mmhvae"))
        return name if isinstance(name, str) else None
    return getattr(section, "architecture", None)


Model = Annotated[
    Annotated[MMHVAEModel, Tag("mmhvae")] | Annotated[Dorent2024Model, Tag("dorent2024")],
    Discriminator(
        _architecture,
        custom_error_type="architecture",
        custom_error_message=f"its architecture must be {' or '.join(ARCHITECTURES)}",
    ),
]
"""The section `model` of a recipe: an architecture with its settings and its objective."""


def default_model() -> MMHVAEModel:
    """Return the section `model` of a recipe that gives none."""
    return MMHVAEModel()


def build_model(
    architecture: str,
    modalities: Sequence[str],
    settings: dict[str, Any],
    where: str,
    *,
    error: type[AnymodError] = ConfigurationError,
) -> Network:
    """Return an untrained network; raise `error` that names `where` for an unknown architecture or settings that do not fit."""
    architecture = newer_name(architecture)
    if architecture not in ARCHITECTURES:
        known = ", ".join(ARCHITECTURES)
        raise error("unknown architecture", where, f"'{architecture}' does not exist", f"known are {known}")
    section = validate(
        ARCHITECTURES[architecture], {"architecture": architecture, "settings": settings}, where, error=error
    )
    return built(section, modalities, where, error=error)


def built(
    section: MMHVAEModel | Dorent2024Model, modalities: Sequence[str], where: str, *, error: type[AnymodError]
) -> Network:
    """Return the untrained network of a section `model`; raise `error` where the modalities cannot be used."""
    try:
        return section.build(modalities)
    except ValueError as problem:
        raise error(
            "unusable modalities", where, str(problem), "list each modality once, or change the section model"
        ) from problem

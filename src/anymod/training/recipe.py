"""A training recipe: the YAML file that `anymod train --config` reads. Every default of training lives here, once."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import Annotated, Literal

from pydantic import Field, model_validator

from anymod.configuration import Settings, apply_assignments, read_yaml, validate
from anymod.errors import ConfigurationError
from anymod.models import MMHVAESettings
from anymod.slices import AugmentationSettings, CacheSettings
from anymod.volumes import IntensityRule

LEAST_JUDGED = 3
"""Pixels along an axis that a discriminator's strided layers must leave: its last two layers take one each."""


class ModelSection(Settings):
    """Which network."""

    architecture: Literal["mmhvae", "authors"] = "mmhvae"
    settings: MMHVAESettings = MMHVAESettings()


class DataSection(Settings):
    """How a cohort's images become slices."""

    spacing_mm: float = Field(
        default=2.0, gt=0, description="of the isotropic grid that images are resampled to, in mm"
    )
    intensity: IntensityRule = IntensityRule()
    targets: Literal["percentile", "harmonized"] = "percentile"
    min_foreground: float = Field(default=0.05, ge=0, lt=1, description="share of a slice below which it is left out")
    labelled_share: float = Field(
        default=0.0,
        ge=0,
        le=0.9,
        description="of a batch, drawn among slices that label maps mark, so that rare lesions are seen",
    )
    repeats: dict[str, Annotated[int, Field(ge=1)]] = Field(
        default={},
        description="globs of subjects' names, and how often their slices come in an epoch: few real subjects among many simulated",
    )
    augmentation: AugmentationSettings = AugmentationSettings()
    loader_processes: int = Field(
        default=0, ge=0, description="processes that read ahead; 0 reads in the training process"
    )


class ObjectiveSection(Settings):
    """What is minimized (method, section 7): reconstruction + kl_weight x KL + adversarial_weight x R."""

    likelihood: Literal["laplace", "normal"] = Field(
        default="laplace", description="absolute or squared error (deviation T1)"
    )
    shown_targets: Literal["clean", "as_shown"] = Field(
        default="clean",
        description="what the image of a shown modality is compared with: the subject's, or what the network saw, gamma and bias field"
        " of the augmentation included",
    )
    label_weight: float = Field(
        default=1.0, ge=1, le=100, description="how often a voxel counts that a label map marks, such as a tumour's"
    )
    kl_weight: float = Field(
        default=1e-3, ge=0, description="per nat, pixel and modality; authors: 0.002 on this scale"
    )
    level_weights: tuple[Annotated[float, Field(ge=0)], ...] = Field(
        default=(), description="how much a nat of each level counts, finest first; none given: all 1"
    )
    kl_warmup_steps: int = Field(default=500, ge=0, description="linear rise of kl_weight from 0")
    draws: int = Field(
        default=1, ge=1, description="subsets a row shows in one step, stratified over its tickets; authors: 3"
    )
    mixed_ticket: bool = Field(
        default=True, description="also draw subsets across groups (method, section 8); paper: false"
    )
    adversarial_weight: float = Field(default=0.0, ge=0, description="of R; authors: 0.1 or 0.05 on this scale")
    adversarial_start: int = Field(default=0, ge=0, description="step at which the networks begin to see R")
    discriminator_start: int = Field(default=0, ge=0, description="step at which the discriminators begin to learn")
    adversarial_subsets: Literal["partial", "all"] = Field(
        default="partial", description="R from every drawn subset, or only where something observed is hidden (authors)"
    )


class TrainingSection(Settings):
    """How long, how fast, how exactly."""

    start_from: str | None = Field(
        default=None, description="model folder or bundled model whose weights to begin with; null: random ones"
    )
    steps: int = Field(default=6000, ge=1)
    batch_size: int = Field(default=16, ge=1, description="slices a step, over all processes")
    learning_rate: float = Field(default=2e-3, gt=0, description="Adamax; falls along a cosine")
    final_learning_rate: float = Field(default=1e-4, ge=0)
    gradient_norm: float = Field(default=1.0, gt=0, description="longer gradients are shortened to this")
    averaging: float = Field(
        default=0.998, ge=0, lt=1, description="decay of the running mean of the weights, which is what ships"
    )
    precision: Literal["32-true", "bf16-mixed"] = "32-true"
    discriminator_width: int = Field(
        default=32, ge=1, description="channels of a discriminator's first layer; authors: 64"
    )
    discriminator_depth: int = Field(default=3, ge=1, description="strided layers; 3 judges patches, authors: 6")
    discriminator_learning_rate: float = Field(default=2e-4, gt=0, description="Adam")
    log_every: int = Field(default=20, ge=1, description="steps between rows of metrics.csv")
    validate_every: int = Field(
        default=500, ge=1, description="steps between looks at the validation subjects, with a picture"
    )
    checkpoint_every: int = Field(default=100, ge=1, description="steps between checkpoints")
    select: Literal["last", "best"] = Field(default="last", description="which weights become the model folder")
    seed: int = 0


class Recipe(Settings):
    """Everything that decides a training, apart from the cohort."""

    model: ModelSection = ModelSection()
    data: DataSection = DataSection()
    objective: ObjectiveSection = ObjectiveSection()
    training: TrainingSection = TrainingSection()

    @model_validator(mode="after")
    def _consistent(self) -> Recipe:
        if self.objective.adversarial_start < self.objective.discriminator_start:
            raise ValueError(
                "objective.adversarial_start comes before objective.discriminator_start: nobody could judge yet"
            )
        if self.objective.shown_targets == "as_shown" and self.data.targets == "harmonized":
            raise ValueError(
                "objective.shown_targets as_shown compares on the input's scale: choose data.targets percentile"
            )
        depths = len(self.model.settings.widths)
        if self.objective.level_weights and len(self.objective.level_weights) != depths:
            raise ValueError(f"objective.level_weights needs one number for each of the {depths} model.settings.widths")
        smallest = LEAST_JUDGED * 2**self.training.discriminator_depth
        size = self.model.settings.image_size
        if self.objective.adversarial_weight > 0 and min(size) < smallest:
            raise ValueError(
                f"training.discriminator_depth {self.training.discriminator_depth} needs slices of at least {smallest} pixels, "
                f"model.settings.image_size is {size}"
            )
        return self

    @property
    def cache_settings(self) -> CacheSettings:
        """Return what the slice cache depends on."""
        return CacheSettings(
            spacing_mm=self.data.spacing_mm,
            image_size=self.model.settings.image_size,
            intensity=self.data.intensity,
            targets=self.data.targets,
            min_foreground=self.data.min_foreground,
        )


def read_recipe(path: Path, assignments: Sequence[str] = ()) -> Recipe:
    """Return the recipe in a YAML file with each `section.key=value` laid over it; ConfigurationError names what does not fit."""
    content = apply_assignments(read_yaml(path, error=ConfigurationError), assignments, error=ConfigurationError)
    return validate(Recipe, content, path, error=ConfigurationError, assignments=assignments)

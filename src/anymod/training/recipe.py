"""A training recipe: the YAML file that `anymod train --config` reads."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import Annotated, Any, Literal

from pydantic import Field, model_validator

from anymod.configuration import Settings, apply_assignments, merged, read_yaml, renamed, validate
from anymod.errors import ConfigurationError
from anymod.models import Model, default_model
from anymod.slices import AugmentationSettings, CacheSettings
from anymod.slices.records import SliceAxis
from anymod.volumes import IntensityRule

OLDER_NAMES = {
    **{
        f"objective.{name}": f"model.objective.{name}"
        for name in ("likelihood", "label_weight", "kl_weight", "level_weights", "kl_warmup_steps")
    },
    "objective.critic_start": "objective.discriminator_start",
    **{f"training.critic_{name}": f"training.discriminator_{name}" for name in ("width", "depth", "learning_rate")},
    "training.gradient_norm": "training.max_gradient_norm",
    "training.averaging": "training.ema_decay",
}
"""Names of version 0.1 and what they are called now."""
MOST_EXTENSIONS = 8
LEAST_JUDGED = 3
"""Pixels along an axis that a discriminator's strided layers must leave: its last two layers take one each."""


class DataSection(Settings):
    """Slices of a cohort's images."""

    spacing_mm: float = Field(
        default=2.0, ge=0.01, le=100, description="of the isotropic grid that images are resampled to, in mm"
    )
    slice_axis: SliceAxis = Field(
        default="axial",
        description="slices that the network sees: axial, or all (also coronal and sagittal; a synthesis is the mean of the three)",
    )
    intensity: IntensityRule = IntensityRule()
    targets: Literal["percentile", "harmonized"] = "percentile"
    min_foreground: float = Field(
        default=0.05, ge=0, lt=1, description="smallest foreground share of a slice that is used"
    )
    labelled_share: float = Field(
        default=0.0,
        ge=0,
        le=0.9,
        description="share of a batch that is drawn from slices with a label, so that rare lesions are seen",
    )
    transplants: float = Field(
        default=0.0,
        ge=0,
        le=1,
        description="probability that a slice without a label gets the labelled lesion of another subject, where one fits",
    )
    repeats: dict[str, Annotated[int, Field(ge=1)]] = Field(
        default={},
        description="patterns of subject names, and how often their slices come in an epoch, for few real among many simulated subjects",
    )
    augmentation: AugmentationSettings = AugmentationSettings()
    loader_processes: int = Field(
        default=0, ge=0, le=256, description="processes that read ahead; with 0 the training process reads"
    )


class ObjectiveSection(Settings):
    """What every architecture is trained for: subsets to draw, and the adversary (method, sections 6 and 8)."""

    shown_targets: Literal["clean", "as_shown"] = Field(
        default="clean",
        description="what the image of a shown modality is compared with: the subject's image, or the augmented one that the network"
        " saw",
    )
    draws: int = Field(
        default=1,
        ge=1,
        le=100,
        description="subsets a row shows in one step, stratified over its tickets; published code: 3",
    )
    mixed_ticket: bool = Field(
        default=True, description="also draw subsets across groups (method, section 8); paper: false"
    )
    full_share: float | None = Field(
        default=None,
        ge=0,
        lt=1,
        description="probability of the ticket that shows everything observed; null: as likely as each other ticket",
    )
    perceptual_weight: float = Field(
        default=0.0,
        ge=0,
        description="of the mean LPIPS of hidden targets, for images that look sharper; 0.05 was tried",
    )
    adversarial_weight: float = Field(
        default=0.0, ge=0, description="of the adversarial term; published code: 0.1 or 0.05 on this scale"
    )
    real_kinds: list[str] = Field(
        default=[],
        description="kinds of subjects (column kind of subjects.csv) whose images the discriminators learn as real, such as [scan]"
        " in a cohort with simulated ones; empty: all",
    )
    adversarial_start: int = Field(default=0, ge=0, description="step at which the adversarial term begins to count")
    discriminator_start: int = Field(default=0, ge=0, description="step at which the discriminators begin to learn")
    adversarial_subsets: Literal["partial", "all"] = Field(
        default="partial",
        description="judge the images of every drawn subset, or only of those that hide something observed (published code)",
    )


class TrainingSection(Settings):
    """Length, speed and precision of a training."""

    start_from: str | None = Field(
        default=None, description="model folder or bundled model with the initial weights; null: random ones"
    )
    steps: int = Field(default=6000, ge=1)
    batch_size: int = Field(default=16, ge=1, le=65536, description="slices in a step, over all processes")
    learning_rate: float = Field(default=2e-3, gt=0, description="of Adamax; falls along a cosine")
    final_learning_rate: float = Field(default=1e-4, ge=0)
    max_gradient_norm: float = Field(default=1.0, gt=0, description="longer gradients are clipped to this norm")
    ema_decay: float = Field(
        default=0.998,
        ge=0,
        lt=1,
        description="of the exponential moving average of the weights, which becomes the model folder",
    )
    precision: Literal["32-true", "bf16-mixed"] = "32-true"
    discriminator_width: int = Field(
        default=32, ge=1, le=4096, description="channels of a discriminator's first layer; published code: 64"
    )
    discriminator_depth: int = Field(
        default=3, ge=1, le=16, description="strided layers of a discriminator; 3 judges patches; published code: 6"
    )
    discriminator_learning_rate: float = Field(default=2e-4, gt=0, description="of Adam")
    log_every: int = Field(default=20, ge=1, description="steps between rows of metrics.csv")
    validate_every: int = Field(default=500, ge=1, description="steps between validations, each with a picture")
    checkpoint_every: int = Field(default=100, ge=1, description="steps between checkpoints")
    select: Literal["last", "best"] = Field(
        default="last",
        description="weights that become the model folder: the last, or those with the best validation score",
    )
    half_weights: bool = Field(
        default=False,
        description="store the model's weights in half precision: half the size; the network still computes in float32",
    )
    seed: int = 0


class Recipe(Settings):
    """Everything that determines a training, apart from the cohort."""

    model: Model = Field(default_factory=default_model)
    data: DataSection = DataSection()
    objective: ObjectiveSection = ObjectiveSection()
    training: TrainingSection = TrainingSection()

    @model_validator(mode="after")
    def _consistent(self) -> Recipe:
        if self.objective.adversarial_start < self.objective.discriminator_start:
            raise ValueError(
                "objective.adversarial_start comes before objective.discriminator_start, when no discriminator has learnt"
            )
        if self.objective.shown_targets == "as_shown" and self.data.targets == "harmonized":
            raise ValueError(
                "objective.shown_targets as_shown compares on the scale of the input: choose data.targets percentile"
            )
        self._check_realistic()
        if self.data.slice_axis == "all" and self.model.settings.top == "vector":
            raise ValueError("data.slice_axis all makes slices of several sizes: choose model.settings.top map")
        smallest = LEAST_JUDGED * 2**self.training.discriminator_depth
        size = self.model.settings.image_size
        if self.objective.adversarial_weight > 0 and min(size) < smallest:
            raise ValueError(
                f"training.discriminator_depth {self.training.discriminator_depth} needs slices of at least {smallest} pixels, "
                f"model.settings.image_size is {size}"
            )
        return self

    def _check_realistic(self) -> None:
        """Raise ValueError where the flow to realistic images and what is learnt do not fit."""
        learns = self.model.objective.learn == "realistic"
        if not learns and self.model.settings.realistic is not None:
            raise ValueError(
                "model.settings.realistic is learnt alone: set model.objective.learn to realistic, or leave it out"
            )
        if learns and self.training.start_from is None:
            raise ValueError(
                "model.objective.learn realistic learns on top of a trained network: name it in training.start_from"
            )
        if learns and self.training.select == "best":
            raise ValueError(
                "model.objective.learn realistic does not change validation scores: choose training.select last"
            )
        if learns and (self.objective.adversarial_weight > 0 or self.objective.perceptual_weight > 0):
            raise ValueError(
                "model.objective.learn realistic has no other term: set objective.adversarial_weight and perceptual_weight to 0"
            )

    @property
    def cache_settings(self) -> CacheSettings:
        """Settings of the slice cache."""
        return CacheSettings(
            spacing_mm=self.data.spacing_mm,
            image_size=self.model.settings.image_size,
            slice_axis=self.data.slice_axis,
            intensity=self.data.intensity,
            targets=self.data.targets,
            min_foreground=self.data.min_foreground,
        )


def read_recipe(path: Path, assignments: Sequence[str] = ()) -> Recipe:
    """Return the recipe in a YAML file, laid over the one that its `extends` names, with each `section.key=value` laid over both.

    Raises ConfigurationError that names what does not fit.
    """
    changes = [
        f"{OLDER_NAMES.get(name, name)}{equals}{value}"
        for name, equals, value in (each.partition("=") for each in assignments)
    ]
    content = apply_assignments(_read_extended(path), changes, error=ConfigurationError)
    content = renamed(
        content, OLDER_NAMES, path, error=ConfigurationError
    )  # such as --set 'objective={kl_weight: 0.1}'
    return validate(Recipe, content, path, error=ConfigurationError, assignments=changes)


def _read_extended(path: Path, depth: int = 0) -> dict[str, Any]:
    content = renamed(read_yaml(path, error=ConfigurationError), OLDER_NAMES, path, error=ConfigurationError)
    base = content.pop("extends", None)
    if base is None:
        return content
    if not isinstance(base, str):
        raise ConfigurationError("invalid value", path, "'extends' is no file name", "write extends: lean.yaml")
    if depth == MOST_EXTENSIONS:
        why = f"more than {MOST_EXTENSIONS} recipes extend one another"
        raise ConfigurationError("endless recipe", path, why, "let the last one stand alone")
    return merged(_read_extended(path.parent / base, depth + 1), content)

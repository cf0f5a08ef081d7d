"""What a user can choose about an evaluation."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import Annotated

from anymod.compute import Compute
from anymod.configuration import option
from anymod.synthesis import SynthesisOptions


@dataclass(frozen=True)
class EvaluationOptions(Compute):
    """What is measured and how."""

    split: Annotated[str, option("Subjects to measure.", "SPLIT")] = "test"
    training_split: Annotated[str, option("Subjects that the simple predictors are fitted on.", "SPLIT")] = "train"
    show: Annotated[
        tuple[str, ...] | None,
        option("Show only this subset, such as t1,flair; repeat for more. Default: every subset.", "NAMES"),
    ] = None
    spacing_mm: Annotated[
        float | None,
        option(
            "Voxel size at which images are scored. Default: the model's. Give one to compare models with different ones.",
            ge=0.1,
            le=20,
        ),
    ] = None
    figures: Annotated[int, option("Number of subjects to draw pictures of.", ge=0)] = 4
    draws: SynthesisOptions = field(default_factory=SynthesisOptions)

    @property
    def seed(self) -> int:
        """Seed of the model's draws and of the bootstrap."""
        return self.draws.seed

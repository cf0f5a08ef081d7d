"""What a user can choose about an evaluation."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import Annotated

from pydantic import Field

from anymod.compute import Compute
from anymod.synthesis import SynthesisOptions


@dataclass(frozen=True)
class EvaluationOptions(Compute):
    """What is measured and how."""

    split: Annotated[str, Field(title="SPLIT", description="Subjects to measure.")] = "test"
    training_split: Annotated[
        str, Field(title="SPLIT", description="Subjects that the reference predictors are fitted on.")
    ] = "train"
    show: Annotated[
        tuple[str, ...] | None,
        Field(title="T1+FLAIR", description="Show only this subset; repeat. Without it, every subset of a subject."),
    ] = None
    figures: Annotated[int, Field(ge=0, description="Subjects to draw pictures of.")] = 4
    draws: SynthesisOptions = field(default_factory=SynthesisOptions)

    @property
    def seed(self) -> int:
        """Seed of the model's draws and of the bootstrap."""
        return self.draws.seed

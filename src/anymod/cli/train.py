"""The verb `anymod train`."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from typing import Annotated

import typer
from pydantic import Field

from anymod.cli.verbs import CohortFolder, Out, Overwrite, Verb
from anymod.compute import Compute


@dataclass(frozen=True)
class Train(Verb):
    """Writes checkpoints, curves, pictures and a model folder to DIR, and prints where the model is.

    Example:
      anymod train --config configs/lean.yaml --cohort cohort --out run
    """

    daily = ("config", "cohort", "out", "changes", "fold", "resume", "processes", "overwrite")
    left_out = ("backend", "workers", "scheduler")
    flags = {"changes": "--set"}

    config: Annotated[Path, Field(title="FILE", description="Recipe, such as configs/lean.yaml.")]
    cohort: CohortFolder
    out: Out
    compute: Compute
    changes: Annotated[
        tuple[str, ...], Field(title="SECTION.KEY=VALUE", description="Change a value of the recipe; repeat.")
    ] = ()
    fold: Annotated[int | None, Field(ge=0, title="K", description="Train on all folds of the cohort but this.")] = None
    resume: Annotated[bool, Field(description="Continue the run in --out, or begin it.")] = False
    processes: Annotated[int, Field(ge=1, description="Processes (or GPUs) that share each batch.")] = 1
    seed: Annotated[int | None, Field(ge=0, description="Short for --set training.seed=N.")] = None
    overwrite: Overwrite = False

    def run(self) -> None:
        """Train the model and print its folder."""
        from anymod.cohorts import read_cohort
        from anymod.training import read_recipe, train  # loads torch

        seed = [] if self.seed is None else [f"training.seed={self.seed}"]
        recipe = read_recipe(self.config, [*self.changes, *seed])
        cohort = read_cohort(self.cohort)
        if self.fold is not None:
            cohort = cohort.held_out(self.fold)
        model = train(
            recipe,
            cohort,
            self.out,
            resume=self.resume,
            overwrite=self.overwrite,
            device=self.compute.device,
            processes=self.processes,
        )
        if model is not None:
            typer.echo(model)

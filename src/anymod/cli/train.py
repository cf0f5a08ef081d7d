"""The verb `anymod train`."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from typing import Annotated

from anymod.cli.verbs import CohortFolder, Out, Overwrite, Verb, say
from anymod.compute import Compute
from anymod.configuration import option


@dataclass(frozen=True)
class Train(Verb):
    """Writes checkpoints, curves, pictures and a model folder to DIR, and prints where the model is.

    Example:
      anymod train --config configs/lean.yaml --cohort cohort --out run
    """

    daily = ("config", "cohort", "out", "changes", "fold", "resume", "processes", "overwrite")
    left_out = ("backend", "workers", "scheduler")
    flags = {"changes": "--set"}
    excluding = {"--fold": ("--all-folds",)}

    config: Annotated[Path, option("Recipe, such as configs/lean.yaml.", "FILE")]
    cohort: CohortFolder
    out: Out
    compute: Compute
    changes: Annotated[tuple[str, ...], option("Change a value of the recipe; repeat.", "SECTION.KEY=VALUE")] = ()
    fold: Annotated[int | None, option("Leave out this fold and train on the others.", "K", ge=0)] = None
    all_folds: Annotated[bool, option("Train on the subjects of all folds.")] = False
    resume: Annotated[bool, option("Continue the run in --out, or begin it.")] = False
    processes: Annotated[int, option("Processes (or GPUs) that share each batch.", ge=1)] = 1
    seed: Annotated[int | None, option("Seed of all random draws; short for --set training.seed=N.", ge=0)] = None
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
        elif self.all_folds:
            cohort = cohort.with_all_folds()
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
            say(str(model))

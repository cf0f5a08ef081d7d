"""The verb `anymod crossvalidate`."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from typing import Annotated

from anymod.cli.verbs import CohortFolder, Out, Verb, say
from anymod.configuration import option
from anymod.evaluation.options import EvaluationOptions


@dataclass(frozen=True)
class Crossvalidate(Verb):
    """Trains a model without each fold of a cohort, measures it there, and says by how much the models are better than simple predictors.
    Each fold gets a run and a report below DIR. The same command goes on where it was stopped, and commands with different --fold may run
    side by side. With training.start_from=before/fold-{fold}/run/model each fold goes on from its own model of an earlier stage.

    Example:
      anymod crossvalidate --config configs/lean.yaml --cohort cohort --out folds
    """

    daily = ("config", "cohort", "out", "changes", "folds", "mirror", "figures")
    left_out = ("targets", "noise", "chunk", "split", "training_split", "strict", "scheduler")
    flags = {"changes": "--set", "folds": "--fold"}

    config: Annotated[Path, option("Recipe, such as configs/lean.yaml.", "FILE")]
    cohort: CohortFolder
    out: Out
    options: EvaluationOptions
    changes: Annotated[tuple[str, ...], option("Change a value of the recipe; repeat.", "SECTION.KEY=VALUE")] = ()
    folds: Annotated[tuple[int, ...], option("Only this fold; repeat for more.", "K")] = ()

    def run(self) -> None:
        """Train and measure, and print the differences over all subsets."""
        from anymod.cohorts import read_cohort
        from anymod.evaluation.crossvalidation import cross_validate  # loads torch
        from anymod.training import read_recipe

        recipe = read_recipe(self.config, list(self.changes))
        cross_validate(recipe, read_cohort(self.cohort), self.out, self.options, folds=self.folds)
        say((self.out / "summary.md").read_text("utf-8").partition("\n## By shown subset")[0])

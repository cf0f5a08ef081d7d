"""The verb `anymod impute`."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Annotated

from anymod.cli.verbs import STANDARD_MODEL, CohortFolder, Json, Model, Out, Overwrite, Verb, end_with, print_result
from anymod.compute import Compute
from anymod.configuration import Names, option
from anymod.synthesis import SynthesisOptions


@dataclass(frozen=True)
class Impute(Verb):
    """Writes DIR/<subject>/<target>.nii.gz on each subject's own grid; subjects that lack no image are skipped. The same command continues
    an interrupted run. Ends with status 1 if a subject failed; the others are written.

    Example:
      anymod impute --cohort cohort --out imputed
    """

    daily = ("model", "cohort", "out", "split", "show", "targets", "samples", "overwrite")
    flags = {"targets": "--target"}

    cohort: CohortFolder
    out: Out
    options: SynthesisOptions
    compute: Compute
    model: Model = STANDARD_MODEL
    split: Annotated[str | None, option("Only the subjects of this split.", "SPLIT")] = None
    show: Annotated[Names | None, option("Show only these modalities, such as t1,flair; hide the others.", "NAMES")] = (
        None
    )
    overwrite: Overwrite = False
    json: Json = False

    def run(self) -> None:
        """Fill in the subjects and print how many there were."""
        from anymod.cohorts import read_cohort
        from anymod.synthesis import CohortRequest, synthesize_cohort  # loads torch

        cohort, compute = read_cohort(self.cohort), self.compute
        outcome = synthesize_cohort(
            cohort,
            cohort.of_split(self.split) if self.split else cohort.subjects,
            CohortRequest(self.model, self.options, self.show, compute.device, compute.backend),
            self.out,
            overwrite=self.overwrite,
            workers=compute.workers,
            scheduler=compute.scheduler,
        )
        counts = [len(each) for each in (outcome.written, outcome.finished, outcome.skipped, outcome.failures)]
        text = "written {}, finished before {}, complete already {}, failed {}".format(*counts)
        print_result(vars(outcome), text, as_json=self.json)
        end_with(outcome.failures)

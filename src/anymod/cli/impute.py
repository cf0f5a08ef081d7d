"""The verb `anymod impute`."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Annotated

from anymod.cli.verbs import ChosenModel, CohortFolder, Json, Out, Overwrite, Verb, end_with, print_result
from anymod.compute import Compute
from anymod.configuration import Names, option
from anymod.shards import Sharing
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
    sharing: Sharing
    model: ChosenModel = None
    split: Annotated[str | None, option("Only the subjects of this split.", "SPLIT")] = None
    show: Annotated[Names | None, option("Show only these modalities, such as t1,flair; hide the others.", "NAMES")] = (
        None
    )
    overwrite: Overwrite = False
    json: Json = False

    def run(self) -> None:
        """Fill in the subjects and print how many there were."""
        from anymod.cohorts import read_cohort
        from anymod.models import bundled_model_for  # loads torch
        from anymod.synthesis import (
            CohortRequest,
            merge_synthesized,
            synthesize_cohort,
            synthesize_shard,
        )

        cohort, compute, sharing = read_cohort(self.cohort), self.compute, self.sharing
        subjects = cohort.of_split(self.split) if self.split else cohort.subjects
        model = self.model or bundled_model_for(cohort.modality_names)
        request = CohortRequest(model, self.options, self.show, compute.device, compute.backend)
        given, overwrite = (cohort, subjects, request), self.overwrite
        if sharing.shard is not None:
            outcome = synthesize_shard(*given, (self.out, sharing.shard), compute, overwrite=overwrite)
        elif sharing.merge is not None:
            outcome = merge_synthesized(*given, (self.out, sharing.merge), overwrite=overwrite)
        else:
            workers, scheduler = compute.workers, compute.scheduler
            outcome = synthesize_cohort(*given, self.out, overwrite=overwrite, workers=workers, scheduler=scheduler)
        counts = [len(each) for each in (outcome.written, outcome.finished, outcome.skipped, outcome.failures)]
        text = "written {}, finished before {}, complete already {}, failed {}".format(*counts)
        print_result(vars(outcome), text, as_json=self.json)
        end_with(outcome.failures)

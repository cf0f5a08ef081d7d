"""The verb `anymod evaluate`."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Literal

from anymod.cli.verbs import ChosenModel, CohortFolder, Json, Out, Overwrite, Verb, print_result
from anymod.configuration import option
from anymod.evaluation import EvaluationOptions
from anymod.shards import Sharing, discard, is_finished, read_parts

if TYPE_CHECKING:
    from anymod.cohorts import Cohort


@dataclass(frozen=True)
class Evaluate(Verb):
    """Synthesizes every modality from every subset of the subject's images. The simple predictors are the mean value of the modality and
    linear regressions on the shown images, at the same voxel or with its surroundings, all fitted on the training subjects of the same
    kind, or stored with the model where there are none. Scores are in units of the cohort, so that models can be compared.

    --protocol dorent2024 scores slices as the paper's authors do, for comparison with their tables only: one draw at temperature 0.7, no
    simple predictors and no pictures.

    Example:
      anymod evaluate --model run/model --cohort cohort --out report
    """

    daily = ("model", "cohort", "out", "split", "show", "fold", "protocol", "overwrite")
    left_out = ("targets", "noise", "chunk")
    excluding = {
        f"--protocol {name}": (
            "--temperature",
            "--samples",
            "--mirror",
            "--realistic",
            "--figures",
            "--spacing",
            "--training-split",
            "--shard",
            "--merge",
        )
        for name in ("dorent2024", "authors")
    } | {"--fold": ("--split", "--training-split")}

    cohort: CohortFolder
    out: Out
    options: EvaluationOptions
    sharing: Sharing
    model: ChosenModel = None
    fold: Annotated[
        int | None, option("Measure this fold; the simple predictors are fitted on the others.", "K", ge=0)
    ] = None
    protocol: Annotated[
        Literal["standard", "dorent2024", "authors"],  # authors: the older name of dorent2024
        option("How to score.", "standard|dorent2024"),
    ] = "standard"
    cache: Annotated[Path | None, option("Folder that keeps the resampled slices for further evaluations.", "DIR")] = (
        None
    )
    overwrite: Overwrite = False
    json: Json = False

    def run(self) -> None:
        """Measure the model, write the report and print its tables."""
        from anymod.cohorts import read_cohort
        from anymod.evaluation import (  # loads torch
            dorent2024_text,
            evaluate,
            evaluate_dorent2024,
            printed_text,
            write_dorent2024_report,
            write_report,
        )
        from anymod.folders import staged_folder
        from anymod.models import bundled_model_for, find_model

        cohort = read_cohort(self.cohort)
        if self.fold is not None:
            cohort = cohort.held_out(self.fold)
        model = self.model or bundled_model_for(cohort.modality_names)
        if self.sharing != Sharing():
            self._shared(model, cohort)
            return
        with staged_folder(self.out, overwrite=self.overwrite, keep=(cohort.root, find_model(model))) as folder:
            if self.protocol == "standard":
                evaluation = evaluate(model, cohort, self.options, self.cache)
                content = write_report(evaluation, folder, figures=self.options.figures)
                text = printed_text(evaluation)
            else:
                by_slice = evaluate_dorent2024(model, cohort, self.options, self.cache)
                content, text = write_dorent2024_report(by_slice, folder), dorent2024_text(by_slice)
        print_result(content, text, as_json=self.json)

    def _shared(self, model: Path, cohort: Cohort) -> None:
        """Measure a share of the subjects, or merge all shares, and write and print the report."""
        from anymod.evaluation import evaluate, printed_text, write_report  # loads torch
        from anymod.evaluation.sharding import (
            finish_evaluation,
            gather_figures,
            merged_evaluation,
            request_of,
            share_of,
        )
        from anymod.folders import staged_folder
        from anymod.models import find_model

        (shard, merge), options = (self.sharing.shard, self.sharing.merge), self.options
        count = shard.total if shard is not None else merge or 1
        request = request_of(model, cohort, options, count)
        names = [subject.name for subject in cohort.of_split(options.split)]
        if shard is not None and is_finished(shard, self.out, request) and not self.overwrite:
            return
        parts = [] if shard is not None else read_parts(self.out, count, request, names)
        place = self.out if shard is None else shard.folder(self.out)
        with staged_folder(place, overwrite=self.overwrite, keep=(cohort.root, find_model(model))) as folder:
            if shard is not None:
                evaluation = evaluate(model, share_of(cohort, options, shard), options, self.cache)
            else:
                evaluation = merged_evaluation(model, cohort, options, parts)
            content = write_report(evaluation, folder, figures=options.figures if shard is not None else 0)
            gather_figures(parts, folder, options.figures)
            if shard is not None:
                finish_evaluation(folder, evaluation, request, shard.share(names))
        discard(parts)
        print_result(content, printed_text(evaluation), as_json=self.json)

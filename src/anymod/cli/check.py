"""The verb `anymod check`."""

from __future__ import annotations

import logging
from dataclasses import dataclass
from pathlib import Path
from typing import Annotated

from anymod.cli.verbs import Json, Verb, print_result, say
from anymod.compute import Workers
from anymod.configuration import option
from anymod.slices.typical import Typical, read_typical
from anymod.synthesis.options import Strict

logger = logging.getLogger(__name__)


@dataclass(frozen=True)
class Check(Verb):
    """Prints a table with the share of foreground and the lowest and highest value of each image, and one line for each problem: subject,
    the file and the remedy. Writes COHORT/report.html with a picture of every image. Ends with status 1 if there is a problem.

    With --model, images that are unlike those that the model was trained on are notes, or with --strict problems.

    Example:
      anymod check cohort
    """

    flags = {"cohort": "COHORT"}

    cohort: Annotated[Path, option("Folder with a cohort.yaml.")]
    work: Workers
    model: Annotated[Path | None, option("Model to compare the images with.", "MODEL")] = None
    strict: Strict = False
    json: Json = False

    def run(self) -> None:
        """Check the cohort, print what was found, and write the page with pictures."""
        from anymod.errors import OutputError
        from anymod.preparation import check_cohort, write_report

        report = check_cohort(
            self.cohort, self.work.workers, self.work.scheduler, typical=self._typical(), strict=self.strict
        )
        lines = (finding.line() for finding in report.all_findings)
        print_result(report.as_json(), "\n".join([report.table(), *lines]), as_json=self.json)
        try:
            page = write_report(report, self.cohort)
        except OutputError as error:  # a cohort that may only be read
            logger.warning("no page with pictures: %s: %s", error.where, error.why)
        else:
            if not self.json:
                say(f"pictures: {page}")
        problem = report.error(self.cohort)
        if problem is not None:
            raise problem

    def _typical(self) -> Typical | None:
        """Return what the training images of the chosen model look like."""
        if self.model is None:
            return None
        from anymod.errors import ModelFolderError
        from anymod.models import find_model  # loads torch

        typical = read_typical(find_model(self.model))
        if typical is None:
            why = "it does not say what its training images look like"
            remedy = "add that with 'anymod calibrate --cohort', or leave out --model"
            raise ModelFolderError("nothing to compare with", self.model, why, remedy)
        return typical

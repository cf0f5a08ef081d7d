"""The verb `anymod check`."""

from __future__ import annotations

import logging
from dataclasses import dataclass
from pathlib import Path
from typing import Annotated

from anymod.cli.verbs import Json, Verb, print_result, say
from anymod.compute import Workers
from anymod.configuration import option

logger = logging.getLogger(__name__)


@dataclass(frozen=True)
class Check(Verb):
    """Prints a table with the share of foreground and the lowest and highest value of each image, and one line for each problem: subject,
    the file and the remedy. Writes COHORT/report.html with a picture of every image. Ends with status 1 if there is a problem.

    Example:
      anymod check cohort
    """

    flags = {"cohort": "COHORT"}

    cohort: Annotated[Path, option("Folder with a cohort.yaml.")]
    work: Workers
    json: Json = False

    def run(self) -> None:
        """Check the cohort, print what was found, and write the page with pictures."""
        from anymod.errors import OutputError
        from anymod.preparation import check_cohort, write_report

        report = check_cohort(self.cohort, self.work.workers, self.work.scheduler)
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

"""`anymod check`: every file of a cohort read and looked at."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

from anymod.cli.options import QuietOption, SchedulerOption, VerboseOption, WorkersOption, configure


def check(
    cohort: Annotated[Path, typer.Argument(metavar="COHORT", help="Folder with a cohort.yaml.")],
    as_json: Annotated[bool, typer.Option("--json", help="Print JSON.")] = False,
    workers: WorkersOption = 1,
    scheduler: SchedulerOption = None,
    quiet: QuietOption = False,
    verbose: VerboseOption = False,
) -> None:
    """Read every file of a cohort, print what was found and write COHORT/report.html.

    Exit status 1 when something is wrong; each problem is one line that names subject, file and remedy.

    Example: anymod check cohort
    """
    configure(quiet, verbose)
    from anymod.errors import CohortError
    from anymod.files import json_text
    from anymod.preparation import check_cohort, write_report

    report = check_cohort(cohort, workers, scheduler)
    if as_json:
        typer.echo(json_text(report.as_json()))
    else:
        typer.echo(report.table())
        for finding in report.all_findings:
            typer.echo(finding.line())
    page = write_report(report, cohort)
    if not as_json:
        typer.echo(f"pictures: {page}")
    if report.problems:
        count = len(report.problems)
        raise CohortError(f"{count} problem{'s' * (count > 1)}", cohort, "listed above", "mend them and check again")

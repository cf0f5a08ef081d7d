"""The verb `anymod prepare`."""

from __future__ import annotations

from dataclasses import dataclass

from anymod.cli.verbs import Out, Overwrite, Verb, end_with, say
from anymod.preparation import PreparationOptions, Source
from anymod.shards import Sharing


@dataclass(frozen=True)
class Prepare(Verb):
    """Finds the files of each subject, checks them, splits the subjects, and writes NIfTI files that all other verbs read.

    A subject is named after the first folder below --raw, or by --subject-from. Its images must share a grid. --resample-to puts them on
    one, by the positions in their files, by --transform-pattern, or by alignment with --register; archives whose images do not share a
    grid are resampled by default. A subject that cannot be used is left out and named in failures.json. The exit status is 1 in that
    case, and if the check finds a problem.
    The same command continues an interrupted run.

    Example:
      anymod prepare --raw scans --pattern t1='**/t1.nii.gz' \\
        --pattern flair='**/flair.nii.gz' --out cohort
    """

    daily = ("raw", "patterns", "out", "name", "resample_to", "register", "spacing_mm", "overwrite")
    flags = {
        "name": "--source",
        "patterns": "--pattern",
        "transform_patterns": "--transform-pattern",
        "list_file": "--split-list",
        "seed": "--split-seed",
    }

    source: Source
    out: Out
    options: PreparationOptions
    sharing: Sharing
    overwrite: Overwrite = False

    def run(self) -> None:
        """Write the cohort and print what was found."""
        from anymod.preparation import REPORT, merge_source, prepare_source, prepare_source_shard

        given = (self.source, self.options, self.out)
        if self.sharing.shard is not None:
            end_with(prepare_source_shard(*given, self.sharing.shard, overwrite=self.overwrite))
            return
        if self.sharing.merge is not None:
            prepared = merge_source(*given, self.sharing.merge, overwrite=self.overwrite)
        else:
            prepared = prepare_source(*given, overwrite=self.overwrite)
        say("\n".join([prepared.table(), *prepared.notes]))
        for finding in prepared.report.all_findings:
            say(finding.line())
        say(f"cohort: {self.out}\npictures: {self.out / REPORT}")
        problem = prepared.report.error(self.out)
        if problem is not None and not prepared.left_out:
            raise problem
        end_with(prepared.left_out)

"""Imputation in shares: each fills in some of the subjects, and the merge puts them into one folder."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import Any

from anymod.cohorts import Cohort, Subject
from anymod.compute import Workers
from anymod.errors import OutputError
from anymod.executors import FAILURES
from anymod.files import read_json, write_json
from anymod.folders import REQUEST, staged_folder
from anymod.models import find_model
from anymod.shards import Shard, discard, finish, gather, read_parts
from anymod.synthesis.cohort import CohortOutcome, CohortRequest, model_digest, synthesize_cohort


def synthesize_shard(
    cohort: Cohort,
    subjects: Sequence[Subject],
    request: CohortRequest,
    place: tuple[Path, Shard],
    work: Workers,
    *,
    overwrite: bool = False,
) -> CohortOutcome:
    """Fill in a share of the subjects in the folder of the shard, `place` = (out, shard). See `synthesize_cohort`."""
    out, shard = place
    folder, chosen = shard.folder(out), shard.share(subjects)
    outcome = synthesize_cohort(
        cohort, chosen, request, folder, overwrite=overwrite, workers=work.workers, scheduler=work.scheduler
    )
    content = {"outcome": vars(outcome), "request": read_json(folder / REQUEST)}
    finish(folder, _request(cohort, request, shard.total), [subject.name for subject in chosen], content)
    return outcome


def merge_synthesized(
    cohort: Cohort,
    subjects: Sequence[Subject],
    request: CohortRequest,
    place: tuple[Path, int],
    *,
    overwrite: bool = False,
) -> CohortOutcome:
    """Put the subjects of all shards, `place` = (out, number of shards), into `out`; return what became of them.

    Raises OutputError if a shard is missing or was made otherwise, such as by another engine.
    """
    (out, count), names = place, [subject.name for subject in subjects]
    parts = read_parts(out, count, _request(cohort, request, count), names)
    requests = [part.content["request"] for part in parts]
    if any(each != requests[0] for each in requests):
        why = "another engine made its images, or another version of the model"
        raise OutputError("cannot merge", out, why, "give the same --backend to all shards")
    outcomes = [part.content["outcome"] for part in parts]
    failures = {name: why for outcome in outcomes for name, why in outcome["failures"].items()}
    with staged_folder(out, overwrite=overwrite, keep=(cohort.root, find_model(request.model))) as folder:
        for part in parts:
            for name in (*part.content["outcome"]["written"], *part.content["outcome"]["finished"]):
                gather(part, name, folder)
        if failures:
            write_json(folder / FAILURES, {"failures": {name: failures[name] for name in names if name in failures}})
        write_json(folder / REQUEST, requests[0])
    discard(parts)
    written, finished, skipped = (
        [name for name in names if any(name in each[kind] for each in outcomes)]
        for kind in ("written", "finished", "skipped")
    )
    return CohortOutcome(written, finished, skipped, failures)


def _request(cohort: Cohort, request: CohortRequest, count: int) -> dict[str, Any]:
    """Return what all shards must have in common; the engine, which `auto` chooses on each machine, is compared by the merge."""
    return {
        "cohort": cohort.name,
        "model": model_digest(request.model),
        "show": request.show,
        "targets": request.options.targets,
        **request.options.draws(),
        "shards": count,
    }

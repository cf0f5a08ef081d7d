"""Preparation in shares: each converts some of the subjects, and the merge makes the cohort."""

from __future__ import annotations

from dataclasses import asdict
from pathlib import Path

from anymod.errors import CohortError
from anymod.executors import FAILURES, subject_executor
from anymod.files import write_json
from anymod.folders import continued_folder
from anymod.preparation.aligning import REGISTRATION
from anymod.preparation.converting import from_record
from anymod.preparation.pipeline import Plan, Prepared, convert_subjects, prepared_cohort, write_prepared
from anymod.shards import Shard, discard, finish, gather, is_finished, read_parts


def prepare_shard(plan: Plan, out: Path, shard: Shard, *, overwrite: bool = False) -> dict[str, str]:
    """Convert a share of the subjects into the shard's folder; return why subjects were left out. See `prepare_cohort`."""
    chosen = shard.share(plan.found)
    request = {**plan.request, "shards": shard.total}
    if is_finished(shard, out, request) and not overwrite:
        return {}
    with (
        subject_executor(plan.options.workers, plan.options.scheduler) as executor,
        continued_folder(shard.folder(out), request, overwrite=overwrite, keep=plan.keep) as building,
    ):
        outcomes = convert_subjects(plan, chosen, building, executor)
        content = {"converted": [asdict(each) for each in outcomes.results.values()], "left_out": outcomes.reasons()}
        finish(building, request, [subject.name for subject in chosen], content)
    return outcomes.reasons()


def merge_prepared(plan: Plan, out: Path, count: int, *, overwrite: bool = False) -> Prepared:
    """Write the cohort of `count` finished shards to `out`; it equals the one that `prepare_cohort` writes.

    Raises:
        OutputError: A shard is missing or was made otherwise.
        CohortError: No subject could be used.
    """
    names = [subject.name for subject in plan.found]
    parts = read_parts(out, count, {**plan.request, "shards": count}, names)
    converted = {each["name"]: from_record(each) for part in parts for each in part.content["converted"]}
    reasons = {name: why for part in parts for name, why in part.content["left_out"].items()}
    if not converted:
        first, why = next(iter(reasons.items()))
        raise CohortError(
            "no subject can be used", f"subject '{first}'", why, "mend the files, and run the shards again"
        )
    left_out = {name: reasons[name] for name in names if name in reasons}
    with continued_folder(out, plan.request, overwrite=overwrite, keep=plan.keep) as building:
        for part in parts:
            for place in ("subjects", REGISTRATION):
                gather(part, place, building)
        if left_out:
            write_json(building / FAILURES, {"failures": left_out})
        in_order = [converted[name] for name in names if name in converted]
        report = write_prepared(plan, building, out.absolute().name, in_order)
    discard(parts)
    return prepared_cohort(plan, out, left_out, report)

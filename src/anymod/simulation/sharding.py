"""Simulation in shares: each simulates some of the subjects, and the merge makes the cohort."""

from __future__ import annotations

from pathlib import Path

from anymod.cohorts import Cohort, read_cohort, write_cohort
from anymod.compute import Workers
from anymod.executors import for_each_subject, subject_executor
from anymod.folders import continued_folder
from anymod.shards import Shard, discard, finish, gather, is_finished, read_parts
from anymod.simulation.cohort import Simulation, write_subject


def simulate_shard(simulation: Simulation, out: Path, shard: Shard, work: Workers, *, overwrite: bool = False) -> Path:
    """Simulate a share of the subjects and return the shard's folder. See `simulate_cohort`."""
    chosen = shard.share(list(simulation.splits))
    request = {**simulation.request, "shards": shard.total}
    if is_finished(shard, out, request) and not overwrite:
        return shard.folder(out)
    with (
        subject_executor(work.workers, work.scheduler) as executor,
        continued_folder(shard.folder(out), request, overwrite=overwrite, keep=simulation.keep) as folder,
    ):
        tasks = {name: task for name, task in simulation.tasks(folder).items() if name in chosen}
        for_each_subject(executor, write_subject, tasks, "simulating", stop_on=(Exception,))
        finish(folder, request, chosen, {})
    return shard.folder(out)


def merge_simulated(simulation: Simulation, out: Path, count: int, *, overwrite: bool = False) -> Cohort:
    """Write the cohort of `count` finished shards to `out`; it equals the one that `simulate_cohort` writes.

    Raises OutputError if a shard is missing or was made otherwise.
    """
    parts = read_parts(out, count, {**simulation.request, "shards": count}, list(simulation.splits))
    with continued_folder(out, simulation.request, overwrite=overwrite, keep=simulation.keep) as folder:
        for part in parts:
            gather(part, "subjects", folder)
        write_cohort(simulation.cohort(folder, out.resolve().name), folder)
    discard(parts)
    return read_cohort(out)

"""The batches of a training, read in order by this process, or ahead by worker processes."""

from __future__ import annotations

import multiprocessing
import signal
from collections.abc import Iterator
from contextlib import contextmanager

from torch.utils.data import DataLoader, Dataset

from anymod.core.batch import Batch
from anymod.processes import begin_worker
from anymod.slices import BatchPlan, SliceCache, augment, transplant
from anymod.training.recipe import Recipe


class StepBatches(Dataset[Batch]):
    """The batch of each step, read and augmented; a function of (seed, step), the same in every process."""

    def __init__(self, cache: SliceCache, plan: BatchPlan, recipe: Recipe, rows: slice) -> None:
        self.cache, self.plan, self.recipe, self.rows = cache, plan, recipe, rows

    def __getitem__(self, step: int) -> Batch:
        """Return this process's rows of one step's batch."""
        subjects, positions = self.plan.rows(step)
        context = self.recipe.model.settings.context_slices
        batch = self.cache.read(subjects[self.rows], positions[self.rows], context)
        data, seed = self.recipe.data, self.recipe.training.seed
        if data.transplants:
            donors = self.cache.read(*self.plan.donors(step), context)
            batch = transplant(batch, donors, data.transplants, seed, step, first_row=self.rows.start)
        batch = augment(batch, seed, step, data.augmentation, first_row=self.rows.start)
        return batch.with_shown_targets() if self.recipe.objective.shown_targets == "as_shown" else batch


@contextmanager
def reading(source: StepBatches, steps: range, processes: int) -> Iterator[Iterator[Batch]]:
    """Yield the batches of some steps in order. Worker processes read ahead; with 0 this process reads."""
    others = set(multiprocessing.active_children())
    batches = iter(
        DataLoader(
            source,
            batch_size=None,
            sampler=steps,
            num_workers=processes,
            persistent_workers=processes > 0,
            multiprocessing_context="spawn" if processes else None,
            worker_init_fn=_begin_reading if processes else None,
        )
    )
    try:
        yield batches
    except Exception:
        raise
    except BaseException:  # Ctrl-C, SIGTERM: torch would wait several seconds for each reader
        _kill(set(multiprocessing.active_children()) - others)
        raise


def _begin_reading(_: int) -> None:
    """Let a reader end with its parent, and not by a SIGTERM to the whole group: the parent may need it to finish its step."""
    signal.signal(signal.SIGTERM, signal.SIG_IGN)
    begin_worker()


def _kill(readers: set[multiprocessing.process.BaseProcess]) -> None:
    before = signal.signal(signal.SIGCHLD, signal.SIG_DFL)  # torch reports the death of a reader as an error
    for reader in readers:
        reader.kill()
    for reader in readers:
        reader.join()
    signal.signal(signal.SIGCHLD, before)

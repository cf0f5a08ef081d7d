"""How busy the loader keeps a fast processor, which is simulated: it sleeps for the length of a step after each batch.

    python benchmarks/loader.py --config configs/paper.yaml --processes 1 --processes 2

Reads batches as the trainer does, by the recipe's size and augmentation, from a cohort of noise with four modalities. A processor is busy
for the share of time that it sleeps; what a step really takes it does not matter here. "0 ms" is the loader alone.
"""

from __future__ import annotations

import tempfile
import time
from pathlib import Path
from typing import Annotated

import typer
from steps import phantom_cache

from anymod.slices import BatchPlan
from anymod.training.reading import StepBatches, reading
from anymod.training.recipe import read_recipe

MODALITIES = ("us", "t2", "cet1", "flair")
FIRST = 10  # batches that do not count


def seconds(source: StepBatches, processes: int, batches: int, step: float) -> float:
    """Return how long so many batches take somebody who sleeps for `step` seconds after each."""
    with reading(source, range(FIRST + batches), processes) as waiting:
        for _ in range(FIRST):
            next(waiting)
            time.sleep(step)
        start = time.perf_counter()
        for _ in waiting:
            time.sleep(step)
        return time.perf_counter() - start


def main(
    config: Annotated[Path, typer.Option(help="Recipe.")] = Path("configs/paper.yaml"),
    processes: Annotated[list[int] | None, typer.Option(help="Loader processes; may be repeated.")] = None,
    step: Annotated[list[float] | None, typer.Option(help="Milliseconds of a step; may be repeated.")] = None,
    subjects: Annotated[int, typer.Option()] = 8,
    batches: Annotated[int, typer.Option()] = 100,
) -> None:
    """Print a line for each number of processes and length of a step."""
    recipe = read_recipe(config)
    side = recipe.model.settings.image_size[0]
    with tempfile.TemporaryDirectory() as folder:
        cache = phantom_cache(Path(folder), MODALITIES, subjects, side)
        size = recipe.training.batch_size
        source = StepBatches(cache, BatchPlan(cache, size, seed=0), recipe, slice(0, size))
        print(f"{size} slices of {side} x {side} a step")
        print("| processes | step [ms] | a batch takes [ms] | busy |\n| --- | --- | --- | --- |")
        for count in processes or [1]:
            for length in (0.0, *(step or [25.0, 50.0, 100.0])):
                took = seconds(source, count, batches, length / 1000) / batches
                print(f"| {count} | {length:g} | {1000 * took:.1f} | {length / 10 / took:.1f} % |", flush=True)


if __name__ == "__main__":
    typer.run(main)

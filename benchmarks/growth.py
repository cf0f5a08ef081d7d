"""What grows with what: time and memory against modalities, shown images, subsets of a step, size of image and volume, and subjects.

    python benchmarks/growth.py --threads 1 --out docs/results/speed

Writes `growth.csv` and `growth.png`. Each point runs in a process of its own: seconds are the median of five runs after one that does not
count, memory is what the process needed beyond its imports (Linux). Networks: the lean one of `MMHVAESettings`, untrained.
"""

from __future__ import annotations

import csv
import json
import statistics
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable
from pathlib import Path
from typing import Annotated, Any

import typer
from turns import forget_peak, peak_mib

SIDE = 96
RUNS = 5
MODALITIES, SUBSETS, SIDES, SLICES, SUBJECTS = (
    (1, 2, 4, 8, 16),
    (1, 2, 4, 8, 16, 32),
    (64, 96, 128, 192, 256, 384, 512),
    (20, 40, 80, 160, 320),
    (10, 100, 1000, 10_000),
)
BATCHES = 200  # of 16 rows that the loader reads
AXES = {
    "one shown": ("modalities of the model", MODALITIES),
    "all shown": ("modalities, all shown", MODALITIES),
    "training step": ("subsets of a step", SUBSETS),
    "side": ("side of the image, pixels", SIDES),
    "file to file": ("slices of a volume", SLICES),
    "loader": ("subjects of the cohort", SUBJECTS),
}


def network(count: int, side: int) -> Any:
    """Return an untrained network of so many modalities."""
    from anymod.models import MMHVAE, MMHVAESettings

    return MMHVAE(tuple(f"m{number}" for number in range(count)), MMHVAESettings(image_size=(side, side)))


def synthesis(count: int, shown: int, side: int) -> Callable[[], None]:
    """Return what makes one image of one slice from `shown` of `count` modalities."""
    import torch

    from anymod.core.noise import MEAN

    model = network(count, side).eval()
    images = torch.rand(1, count, 1, side, side) * 2 - 1
    flags = torch.arange(count).lt(shown)[None]

    @torch.inference_mode()
    def run() -> None:
        model.encode(images, flags).decode(flags, (count - 1,), MEAN)

    return run


def training_step(subsets: int) -> Callable[[], None]:
    """Return a step on four slices of four modalities that draws so many subsets of two of them."""
    import torch
    from steps import training_step as step

    turns = (torch.roll(torch.tensor([True, True, False, False]), turn) for turn in range(subsets))
    return step(network(4, SIDE), torch.stack([shown.expand(4, -1) for shown in turns]), (SIDE, SIDE))


def whole_volume(slices: int, folder: Path) -> Callable[[], Any]:
    """Return what makes four volumes of so many slices from four, from files to files."""
    from speed import volume

    from anymod.models import MMHVAESettings

    return volume(MMHVAESettings(image_size=(SIDE, SIDE)), folder, slices=slices)[0]


def loader(subjects: int, folder: Path) -> Callable[[], None]:
    """Return what reads `BATCHES` batches of 16 slices in random order from the cache of a cohort of small volumes."""
    import numpy as np

    from anymod.cohorts import Cohort, Modality, Subject, write_cohort
    from anymod.slices import BatchPlan, CacheSettings, build_cache, open_cache
    from anymod.volumes import Grid, Volume, write_volume

    listed, generator = [], np.random.default_rng(0)
    for number in range(subjects):
        data = generator.integers(1, 100, (16, 16, 4)).astype(np.float32)
        data[[0, -1]] = data[:, [0, -1]] = 0
        path = f"subjects/{number}/a.nii.gz"
        write_volume(folder / path, Volume(data, Grid(data.shape, np.eye(4))))
        listed.append(Subject(f"s{number}", "train", {"a": path}))
    cohort = write_cohort(Cohort(folder, "phantoms", (Modality("a", "mr"),), tuple(listed)), folder)
    build_cache(cohort, cohort.subjects, CacheSettings(image_size=(16, 16)), folder / "cache")
    cache = open_cache(folder / "cache")
    plan = BatchPlan(cache, 16, seed=0)

    def run() -> None:
        for step in range(BATCHES):
            cache.read(*plan.rows(step), 0)

    return run


def prepared(axis: str, value: int, folder: Path) -> Callable[[], Any]:
    """Return what is timed at one point of an axis."""
    return {
        "one shown": lambda: synthesis(value, 1, SIDE),
        "all shown": lambda: synthesis(value, value, SIDE),
        "training step": lambda: training_step(value),
        "side": lambda: synthesis(4, 4, value),
        "file to file": lambda: whole_volume(value, folder),
        "loader": lambda: loader(value, folder),
    }[axis]()


def measure(axis: str, value: int, threads: int) -> dict[str, Any]:
    """Return seconds and memory of one point, measured in this process."""
    import torch

    import anymod.models
    import anymod.synthesis  # noqa: F401 (belongs to the imports)
    from anymod.memory import keep_freed_memory

    keep_freed_memory()  # as the command line does
    torch.set_num_threads(threads)
    torch.manual_seed(0)
    forget_peak()
    imports = peak_mib()
    with tempfile.TemporaryDirectory() as folder:
        run = prepared(axis, value, Path(folder))
        forget_peak()  # of the set-up
        run()
        seconds = []
        for _ in range(RUNS):
            start = time.perf_counter()
            run()
            seconds.append(time.perf_counter() - start)
    return {"axis": axis, "value": value, "seconds": statistics.median(seconds), "mib": peak_mib() - imports}


def draw(path: Path, rows: list[dict[str, Any]]) -> None:
    """Draw time and memory of each axis, both logarithmic, beside a line that grows as the axis does."""
    from matplotlib.figure import Figure
    from matplotlib.ticker import FuncFormatter, LogLocator, NullFormatter, NullLocator

    figure = Figure((2.9 * len(AXES), 5.6), layout="constrained")
    for column, (axis, (label, _)) in enumerate(AXES.items()):
        points = [row for row in rows if row["axis"] == axis]
        values = [row["value"] for row in points]
        for line, (key, name) in enumerate((("seconds", "seconds"), ("mib", "MiB above the imports"))):
            plot = figure.add_subplot(2, len(AXES), 1 + line * len(AXES) + column)
            measured = [row[key] for row in points]
            plot.loglog(values, measured, "o-", color="#1f4e79")
            plot.loglog(values, [measured[0] * value / values[0] for value in values], ":", color="0.6")
            plot.set_xticks(values, [f"{value:g}" for value in values], rotation=45)
            plot.yaxis.set_major_locator(LogLocator(subs=(1, 2, 5)))
            plot.yaxis.set_major_formatter(FuncFormatter(lambda number, _: f"{number:g}"))
            plot.yaxis.set_minor_formatter(NullFormatter())
            plot.xaxis.set_minor_locator(NullLocator())
            plot.set_xlabel(label)
            plot.set_ylabel(name if column == 0 else "")
            if line == 0:
                plot.set_title(axis, fontsize=10)
    figure.savefig(path, dpi=80)


def main(
    out: Annotated[Path, typer.Option(help="Folder for growth.csv and growth.png.")] = Path("docs/results/speed"),
    threads: Annotated[int, typer.Option(min=1, help="Threads of torch.")] = 1,
    only: Annotated[str, typer.Option(help="Only axes whose name contains this; writes nothing.")] = "",
    point: Annotated[str | None, typer.Option(hidden=True)] = None,
) -> None:
    """Measure every point, print a table, write it and draw it."""
    if point is not None:
        axis, _, value = point.partition(":")
        print(json.dumps(measure(axis, int(value), threads)))
        return
    rows = []
    for axis, (_, values) in AXES.items():
        for value in values if only in axis else ():
            command = [sys.executable, __file__, "--threads", str(threads), "--point", f"{axis}:{value}"]
            output = subprocess.run(command, check=True, capture_output=True, text=True).stdout  # noqa: S603
            rows.append(json.loads(output.splitlines()[-1]))
            print("| {axis} | {value} | {seconds:.4f} | {mib:.0f} |".format(**rows[-1]), flush=True)
    if only:
        return
    out.mkdir(parents=True, exist_ok=True)
    with (out / "growth.csv").open("w", newline="") as file:
        writer = csv.DictWriter(file, list(rows[0]), lineterminator="\n")
        writer.writeheader()
        writer.writerows({**row, "seconds": f"{row['seconds']:.5f}", "mib": f"{row['mib']:.1f}"} for row in rows)
    draw(out / "growth.png", rows)


if __name__ == "__main__":
    typer.run(main)

"""How near alignment comes to movements that are known: target registration error by how far images were moved apart.

Each simulated subject's T2 is turned and shifted at random about the middle of what the ultrasound looks at, so that points of the
ultrasound's foreground lie a given distance apart in the mean, and then aligned to its ultrasound and to its T1.

    anymod simulate --out pairs --modalities us,t1,t2 --spacing 1 --missing 0 --subjects 6 --seed 21
    python benchmarks/registration.py --cohort pairs
"""

from __future__ import annotations

import json
import statistics
import time
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Annotated, Any

import typer

MOVED, FIXED = "t2", ("t1", "us")
APART_MM = (2.0, 4.0, 8.0, 12.0, 16.0)
DEGREES_PER_MM = 0.6  # of rotation about each axis, at most, for each millimetre of shift
POINTS = 200
SUCCESS_MM = 2.0


@dataclass(frozen=True)
class Row:
    """Over subjects: median and largest error [mm] by pair and initial distance, how many ended below 2 mm, what was doubted."""

    pair: str
    apart_mm: float
    median_mm: float
    largest_mm: float
    below_2_mm: int
    subjects: int
    doubted_of_the_good: int
    doubted_of_the_bad: int
    seconds: float


def apart(first: Any, second: Any, points: Any) -> float:
    """Return the mean distance [mm] between where two transforms put points [n, 3], LPS."""
    import numpy as np

    ends = [[each.TransformPoint(point) for point in points.tolist()] for each in (first, second)]
    return float(np.linalg.norm(np.subtract(ends[0], ends[1]), axis=1).mean())


def draw_movement(middle: Any, points: Any, apart_mm: float, generator: Any) -> Any:
    """Return a random rigid movement about `middle` that puts points [n, 3] `apart_mm` away in the mean."""
    import numpy as np
    import SimpleITK as sitk

    direction = generator.standard_normal(3)
    direction /= np.linalg.norm(direction)
    angles = np.radians(DEGREES_PER_MM) * generator.uniform(-1, 1, 3)
    still, size = sitk.Transform(), apart_mm
    for _ in range(20):  # the mean distance grows almost linearly with the size
        movement = sitk.Euler3DTransform(middle.tolist(), *(size * angles).tolist(), (size * direction).tolist())
        size *= apart_mm / apart(movement, still, points)
    return movement


def measure(cohort_folder: Path, seed: int) -> list[Row]:
    """Return a row for each pair and initial distance."""
    import numpy as np

    from anymod import read_volume
    from anymod.cohorts import default_group, read_cohort
    from anymod.registration import align_modalities
    from anymod.volumes import foreground_of, resample

    cohort, results = read_cohort(cohort_folder), []
    for number, subject in enumerate(cohort.subjects):
        moving = read_volume(cohort.path(subject, MOVED))
        places = np.argwhere(foreground_of(read_volume(cohort.path(subject, "us")).data))
        generator = np.random.default_rng((seed, number))
        points = moving.grid.to_world(places[generator.integers(len(places), size=POINTS)]) * (-1, -1, 1)
        for apart_mm in APART_MM:
            truth = draw_movement(points.mean(axis=0), points, apart_mm, generator)
            moved = resample(moving, moving.grid, transform=truth.GetInverse())
            for name in FIXED:
                begun = time.perf_counter()
                fixed = read_volume(cohort.path(subject, name))
                found = align_modalities(fixed, moved, (default_group(name), "mr"))
                taken = time.perf_counter() - begun
                results.append((name, apart_mm, apart(found.transform, truth, points), bool(found.doubt), taken))
    return [_row(name, apart_mm, results) for name in FIXED for apart_mm in APART_MM]


def _row(name: str, apart_mm: float, results: list[tuple[str, float, float, bool, float]]) -> Row:
    own = [result for result in results if result[:2] == (name, apart_mm)]
    errors = [error for _, _, error, _, _ in own]
    return Row(
        pair=f"{MOVED} to {name}",
        apart_mm=apart_mm,
        median_mm=statistics.median(errors),
        largest_mm=max(errors),
        below_2_mm=sum(error < SUCCESS_MM for error in errors),
        subjects=len(own),
        doubted_of_the_good=sum(doubt for _, _, error, doubt, _ in own if error < SUCCESS_MM),
        doubted_of_the_bad=sum(doubt for _, _, error, doubt, _ in own if error >= SUCCESS_MM),
        seconds=statistics.median(taken for *_, taken in own),
    )


def main(
    cohort: Annotated[Path, typer.Option(help="Simulated subjects that have us, t1 and t2.")],
    seed: Annotated[int, typer.Option(help="Movements follow from it.")] = 0,
    out: Annotated[Path | None, typer.Option(help="JSON file to write, too.")] = None,
) -> None:
    """Print the table."""
    rows = measure(cohort, seed)
    print("| pair | moved apart [mm] | error: median, largest [mm] | below 2 mm | doubted: good, bad | seconds |")
    print("| --- | --- | --- | --- | --- | --- |")
    for row in rows:
        bad = row.subjects - row.below_2_mm
        doubts = f"{row.doubted_of_the_good} of {row.below_2_mm}, {row.doubted_of_the_bad} of {bad}"
        print(
            f"| {row.pair} | {row.apart_mm:g} | {row.median_mm:.2f}, {row.largest_mm:.2f} | {row.below_2_mm} of {row.subjects} "
            f"| {doubts} | {row.seconds:.0f} |"
        )
    if out is not None:
        out.write_text(json.dumps([asdict(row) for row in rows], indent=2) + "\n")


if __name__ == "__main__":
    typer.run(main)

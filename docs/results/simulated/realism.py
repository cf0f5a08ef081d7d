"""Is simulated ultrasound like the real thing? Numbers of both side by side, and a picture.

    python docs/results/simulated/realism.py --real DATA/us-resect --simulated COHORT --out docs/results/simulated

COHORT: `anymod simulate` with us at 0.5 mm. Prints, for each measure, median and range over the volumes of each kind, and whether the
simulated median lies inside of the real range. All measures are taken inside of the fan, 1.5 mm from its border:

- grey levels: percentiles of the stored numbers (0 to 255)
- speckle: standard deviation over mean in cubes of 3.5 mm, the median of all cubes
- bright structures: 99th percentile over the median
- correlation after 1 mm: of what a Gaussian of 2 mm leaves, along the axis where it is lowest and where it is highest
- power above 0.5 per mm: share of the power within axial planes at wavelengths below 2 mm
"""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import numpy as np
import torch
import typer
from scipy import ndimage

from anymod import read_volume
from anymod.cohorts import read_cohort
from anymod.core.texture import BANDS, radial_power
from anymod.synthesis.pictures import Cell, Colours, Page, Picture, draw_grid
from anymod.synthesis.planes import three_planes
from anymod.types import Array
from anymod.volumes import Volume

COLUMNS = 6  # volumes of each kind in the picture
GREYS = Colours("gray", 0.0, 130.0)


def main(
    real: Annotated[Path, typer.Option(help="Folder with case-*/us.nii.gz, about 0.5 mm.")],
    simulated: Annotated[Path, typer.Option(help="Cohort with us at 0.5 mm.")],
    out: Annotated[Path, typer.Option(help="Folder for the picture.")],
) -> None:
    """Print the table and draw the picture."""
    cohort = read_cohort(simulated)
    kinds = {
        "real": [read_volume(path) for path in sorted(real.glob("case-*/us.nii.gz"))],
        "simulated": [read_volume(cohort.path(each, "us")) for each in cohort.subjects if "us" in each.paths],
    }
    rows = {kind: [measures(volume) for volume in volumes] for kind, volumes in kinds.items()}
    print("| measure | real: median (range) | simulated: median (range) | inside |\n| --- | --- | --- | --- |")
    for name in rows["real"][0]:
        theirs, ours = ([row[name] for row in rows[kind]] for kind in ("real", "simulated"))
        inside = min(theirs) <= np.median(ours) <= max(theirs)
        print(f"| {name} | {summary(theirs)} | {summary(ours)} | {'yes' if inside else 'no'} |")
    draw(out / "realism.png", kinds)


def measures(volume: Volume) -> dict[str, float]:
    """Return the measures of one volume by name."""
    data = volume.data.astype(np.float32)
    fan = data > 0
    inside = ndimage.binary_erosion(fan, iterations=round(1.5 / volume.spacing_mm[0]))
    low, middle, high, top = np.percentile(data[inside], (5, 50, 95, 99))
    cube = [round(3.5 / size) for size in volume.spacing_mm]
    mean, square = ndimage.uniform_filter(data, cube), ndimage.uniform_filter(data**2, cube)
    spread = np.sqrt(np.maximum(square - mean**2, 0)) / np.maximum(mean, 1)
    fine = data - ndimage.gaussian_filter(data, [2.0 / size for size in volume.spacing_mm])
    kept = sorted(correlation(fine, inside, axis, round(1.0 / size)) for axis, size in enumerate(volume.spacing_mm))
    stack, mask = (torch.from_numpy(np.ascontiguousarray(each.transpose(2, 0, 1))) for each in (data, inside))
    power = radial_power(stack, mask)
    band_per_mm = 0.5 / volume.spacing_mm[0] / BANDS
    return {
        "grey level, 5th percentile": float(low),
        "median": float(middle),
        "95th": float(high),
        "99th": float(top),
        "speckle": float(np.median(spread[inside])),
        "bright structures": float(top / middle),
        "correlation after 1 mm, lowest axis": kept[0],
        "highest axis": kept[-1],
        "power above 0.5 per mm": float(power[round(0.5 / band_per_mm) :].sum() / power.sum()),
    }


def correlation(values: Array, inside: Array, axis: int, lag: int) -> float:
    """Return the correlation of values `lag` voxels apart along an axis, where both lie inside."""
    first, second = (
        [slice(None)] * axis + [part] + [slice(None)] * (2 - axis) for part in (slice(0, -lag), slice(lag, None))
    )
    both = inside[tuple(first)] & inside[tuple(second)]
    return float(np.corrcoef(values[tuple(first)][both], values[tuple(second)][both])[0, 1])


def summary(values: list[float]) -> str:
    """Return median and range in a few digits."""
    digits = 2 if max(values) < 10 else 0
    return f"{np.median(values):.{digits}f} ({min(values):.{digits}f} to {max(values):.{digits}f})"


def draw(path: Path, kinds: dict[str, list[Volume]]) -> None:
    """Write two rows of each kind: an axial and a coronal plane through the middle of each fan."""
    cells: list[list[Cell]] = []
    for volumes in kinds.values():
        planes = [three_planes(volume, volume.data > 0) for volume in volumes[:COLUMNS]]
        for name in ("axial", "coronal"):
            cells.append([Picture(each[name][0], GREYS, each[name][1]) for each in planes])
    rows = [f"{kind}\n{plane}" for kind in kinds for plane in ("axial", "coronal")]
    note = "One window for all. RESECT (Xiao et al. 2017, CC BY 4.0) above, simulated below."
    draw_grid(path, cells, Page("Intra-operative ultrasound, real and simulated", rows, [""] * COLUMNS, note))


if __name__ == "__main__":
    typer.run(main)

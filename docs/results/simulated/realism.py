"""Are simulated ultrasound and MR like the real thing? Numbers of both side by side, and a picture.

    python docs/results/simulated/realism.py --real DATA/us-resect --simulated COHORT --real-mr DATA/mr-four-contrasts \\
        --simulated-mr HEADS --without met-00110,ms-19,brats18-2013-2,gli-00006,case-02 --out docs/results/simulated

COHORT: `anymod simulate` with us at 0.5 mm; HEADS: whole brains with t1, cet1, t2, flair at 1 mm. Prints, for each measure, median and
range over the volumes of each kind, and whether the simulated median lies inside of the real range.

Ultrasound, inside of the fan, 1.5 mm from its border:

- grey levels: percentiles of the stored numbers (0 to 255)
- speckle: standard deviation over mean in cubes of 3.5 mm, the median of all cubes
- bright structures: 99th percentile over the median; folds over their surroundings: 98th percentile of what an opening of 3.5 mm takes
  away, over the median (real volumes have no labels, so this stands for the contrast of folds to white matter)
- Nakagami m: of grey levels in cubes of 3.5 mm, the median of all cubes. As displayed: how the scanner compresses the envelope is not
  known, so m is larger than the envelope's own (1 for Rayleigh's law)
- correlation after 1 mm: of what a Gaussian of 2 mm leaves, along the axis where it is lowest and where it is highest
- speckle width: full width at half height of the same, in cubes of 12 mm, across the direction where it is narrowest (along the beam) and
  where it is widest, in the half of the cubes nearer to the array and in the other; the array is where the border of the fan is brightest
- power above 0.5 per mm: share of the power within axial planes at wavelengths below 2 mm

MR, from classes of T1 (three clusters of the brain's values, 3 mm from its border, each image smoothed by 0.7 mm):

- grey and fluid over white matter: quotients of medians in voxels that surely belong to one class
- noise over white matter: standard deviation of the second difference within white matter, made free of smooth change (Immerkaer 1996)
"""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import numpy as np
import torch
import typer
from PIL import Image
from scipy import ndimage
from scipy.cluster.vq import kmeans

from anymod import read_volume
from anymod.arrays import Array
from anymod.cohorts import read_cohort
from anymod.core.texture import BANDS, radial_power
from anymod.errors import CohortError
from anymod.figures.grid import Cell, Colours, Page, Picture, draw_grid
from anymod.figures.planes import three_planes
from anymod.volumes import Volume

CONTRASTS = ("t1", "cet1", "t2", "flair")
COLUMNS = 6  # volumes of each kind in the picture
GREYS = Colours("gray", 0.0, 130.0)


Rows = list[dict[str, float]]


def main(
    real: Annotated[Path, typer.Option(help="Folder with case-*/us.nii.gz, about 0.5 mm.")],
    simulated: Annotated[Path, typer.Option(help="Cohort with us at 0.5 mm.")],
    real_mr: Annotated[Path, typer.Option(help="Folder with */t1.nii.gz, cet1, t2, flair, about 1 mm.")],
    simulated_mr: Annotated[Path, typer.Option(help="Cohort with t1, cet1, t2, flair at 1 mm.")],
    out: Annotated[Path, typer.Option(help="Folder for the picture.")],
    without: Annotated[str, typer.Option(help="Names of real folders to leave out, such as test subjects.")] = "",
) -> None:
    """Print the tables and draw the picture."""
    cohort, left_out = read_cohort(simulated), without.split(",")
    kinds = {
        "real": [
            read_volume(path) for path in sorted(real.glob("case-*/us.nii.gz")) if path.parent.name not in left_out
        ],
        "simulated": [read_volume(cohort.path(each, "us")) for each in cohort.subjects if "us" in each.paths],
    }
    print_table(*([ultrasound_measures(volume) for volume in volumes] for volumes in kinds.values()))
    heads = read_cohort(simulated_mr)
    complete = [each for each in heads.subjects if set(CONTRASTS) <= set(each.paths)]
    if not complete:
        raise CohortError(
            "nothing to compare", simulated_mr, "no subject has all contrasts", "simulate with --missing 0"
        )
    ours = [[read_volume(heads.path(each, name)) for name in CONTRASTS] for each in complete]
    folders = sorted(path for path in real_mr.iterdir() if path.is_dir() and path.name not in left_out)
    theirs = [[read_volume(folder / f"{name}.nii.gz") for name in CONTRASTS] for folder in folders]
    print_table([mr_measures(each) for each in theirs], [mr_measures(each) for each in ours])
    draw(out / "realism.png", kinds)


def print_table(real: Rows, simulated: Rows) -> None:
    """Print one line for each measure."""
    print("| measure | real: median (range) | simulated: median (range) | inside |\n| --- | --- | --- | --- |")
    for name in real[0]:
        theirs, ours = ([row[name] for row in rows] for rows in (real, simulated))
        inside = min(theirs) <= np.median(ours) <= max(theirs)
        print(f"| {name} | {summary(theirs)} | {summary(ours)} | {'yes' if inside else 'no'} |")
    print()


def ultrasound_measures(volume: Volume) -> dict[str, float]:
    """Return the measures of one ultrasound volume by name."""
    data = volume.data.astype(np.float32)
    sizes = np.array(volume.spacing_mm)
    inside = ndimage.binary_erosion(data > 0, iterations=round(1.5 / sizes[0]))
    low, middle, high, top = np.percentile(data[inside], (5, 50, 95, 99))
    cube = [round(3.5 / size) for size in sizes]
    mean, square = ndimage.uniform_filter(data, cube), ndimage.uniform_filter(data**2, cube)
    spread = np.sqrt(np.maximum(square - mean**2, 0)) / np.maximum(mean, 1)
    thin = data - ndimage.grey_opening(ndimage.gaussian_filter(data, 0.5 / sizes), cube)
    fine = data - ndimage.gaussian_filter(data, 2.0 / sizes)
    kept = sorted(correlation(fine, inside, axis, round(1.0 / size)) for axis, size in enumerate(sizes))
    stack, mask = (torch.from_numpy(np.ascontiguousarray(each.transpose(2, 0, 1))) for each in (data, inside))
    power = radial_power(stack, mask)
    band_per_mm = 0.5 / sizes[0] / BANDS
    return {
        "grey level, 5th percentile": float(low),
        "median": float(middle),
        "95th": float(high),
        "99th": float(top),
        "speckle": float(np.median(spread[inside])),
        "bright structures": float(top / middle),
        "folds over their surroundings": float(np.percentile(thin[inside], 98) / middle),
        "Nakagami m": nakagami(data, inside, cube),
        "correlation after 1 mm, lowest axis": kept[0],
        "highest axis": kept[-1],
        **speckle_widths(fine, data, inside, sizes),
        "power above 0.5 per mm": float(power[round(0.5 / band_per_mm) :].sum() / power.sum()),
    }


def cubes_inside(inside: Array, cube: list[int]) -> list[tuple[slice, ...]]:
    """Return the cubes, side by side, that lie inside wholly."""
    starts = np.ndindex(*(size // side for size, side in zip(inside.shape, cube, strict=True)))
    boxes = (
        tuple(slice(n * side, (n + 1) * side) for n, side in zip(numbers, cube, strict=True)) for numbers in starts
    )
    return [box for box in boxes if inside[box].all()]


def nakagami(data: Array, inside: Array, cube: list[int]) -> float:
    """Return the median over cubes of Nakagami's m by moments: E[I]^2 / Var I of I, the squared grey level."""
    squares = [data[box] ** 2 for box in cubes_inside(inside, cube)]
    return float(np.median([each.mean() ** 2 / max(each.var(), 1e-6) for each in squares]))


def speckle_widths(fine: Array, data: Array, inside: Array, sizes: Array) -> dict[str, float]:
    """Return the narrowest and the widest full width at half height [mm], medians over the cubes near to the array and far from it."""
    border = (data > 0) & ~inside
    array = np.argwhere(border & (data >= np.percentile(data[border], 97))).mean(axis=0)
    boxes = cubes_inside(inside, [round(12.0 / size) for size in sizes])
    away = np.array([np.linalg.norm((np.mean([(s.start, s.stop) for s in box], 1) - array) * sizes) for box in boxes])
    directions = np.random.default_rng(0).standard_normal((200, 3))
    directions /= np.linalg.norm(directions, axis=1, keepdims=True)
    lags = np.arange(0.0, 4.0, 0.1)
    widths = []
    for box in boxes:
        field = fine[box] - fine[box].mean()
        around = np.fft.fftshift(np.fft.ifftn(np.abs(np.fft.fftn(field)) ** 2).real)
        places = np.array(field.shape)[:, None, None] // 2 + (directions.T / sizes[:, None])[:, :, None] * lags
        profiles = ndimage.map_coordinates(around / around.max(), places, order=1)
        fallen = np.maximum.accumulate(profiles < 0.5, axis=1)
        widths.append(2 * lags[np.minimum((~fallen).sum(axis=1), len(lags) - 1)])
    near = away <= np.median(away)
    least, most = (np.percentile(widths, percentile, axis=1) for percentile in (5, 95))
    return {
        f"speckle width {which}, {where} [mm]": float(np.median(values[part]))
        for which, values in (("along the beam", least), ("across", most))
        for where, part in (("near", near), ("far", ~near))
    }


def mr_measures(images: list[Volume]) -> dict[str, float]:
    """Return the measures of one head (images in the order of CONTRASTS) by name."""
    sizes = np.array(images[0].spacing_mm)
    smooth = [ndimage.gaussian_filter(image.data.astype(np.float32), 0.7 / sizes) for image in images]
    inside = ndimage.binary_erosion(images[0].data > 0, iterations=3)
    fluid, grey, white = three_classes(smooth[0], inside)
    measured = {}
    for name, image, calm in zip(CONTRASTS, images, smooth, strict=True):
        reference = float(np.median(calm[white]))
        measured[f"{name}: grey over white"] = float(np.median(calm[grey])) / reference
        measured[f"{name}: fluid over white"] = float(np.median(calm[fluid])) / reference
        measured[f"{name}: noise over white"] = noise(image.data.astype(np.float32), white) / reference
    return measured


def three_classes(values: Array, inside: Array) -> list[Array]:
    """Return the voxels that surely belong to the darkest, middle and brightest of three clusters (k-means) of the values inside."""
    sample = values[inside]
    means, _ = kmeans(sample.astype(np.float64), np.percentile(sample, (5.0, 40.0, 75.0)))
    means = np.sort(means)
    sure = np.diff(means).min() / 4  # as near to its mean as a quarter of what lies between two
    return [inside & (np.abs(values - mean) < sure) for mean in means]


def noise(values: Array, where: Array) -> float:
    """Return the standard deviation of noise within planes, from a mask that smooth images do not pass (Immerkaer 1996)."""
    kernel = np.array([[1, -2, 1], [-2, 4, -2], [1, -2, 1]], np.float32)[:, :, None]
    return float(np.median(np.abs(ndimage.convolve(values, kernel)[where])) / 0.6745 / 6)


def correlation(values: Array, inside: Array, axis: int, lag: int) -> float:
    """Return the correlation of values `lag` voxels apart along an axis, where both lie inside."""
    first, second = (
        [slice(None)] * axis + [part] + [slice(None)] * (2 - axis) for part in (slice(0, -lag), slice(lag, None))
    )
    both = inside[tuple(first)] & inside[tuple(second)]
    return float(np.corrcoef(values[tuple(first)][both], values[tuple(second)][both])[0, 1])


def summary(values: list[float]) -> str:
    """Return median and range in a few digits."""
    digits = 3 if max(values) < 0.1 else 2 if max(values) < 10 else 0
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
    Image.open(path).convert("L").quantize(64, dither=Image.Dither.NONE).save(
        path, optimize=True
    )  # a third of the size


if __name__ == "__main__":
    typer.run(main)

"""Prints how often right inputs raise a warning and ten kinds of wrong ones do, each subject compared with the others only.

rates.py --data DATA
DATA holds mr-four-contrasts, mr-three-contrasts and us-resect. Takes about five minutes on one core.
"""

from __future__ import annotations

import argparse
import logging
from collections import defaultdict
from collections.abc import Iterator, Sequence
from pathlib import Path

import numpy as np

from anymod.cohorts import SubjectImages
from anymod.errors import VolumeError
from anymod.slices.looks import Look
from anymod.slices.typical import Typical, remarks
from anymod.volumes import Grid, Volume, foreground_box, orient, read_volume

Images = dict[str, Volume]
NAMES = ("t1", "cet1", "t2", "flair", "us")
TEST_ONLY = {
    "met-00110",
    "ms-19",
    "brats18-2013-2",
    "gli-00006",
    "brats2013-0001",
    "case-02",
}  # nothing is chosen by these
STRIPPED, WHOLE, ULTRASOUND = "mr-four-contrasts", "mr-three-contrasts", "us-resect"
TYPICAL_SETS = {"stripped heads": (STRIPPED,), "stripped and whole heads": (STRIPPED, WHOLE)}
COARSE_MM = 5.0
ALL = "right: all images of the subject"


def read(folder: Path) -> Images:
    """Return the images of one subject."""
    return {name: read_volume(path) for name in NAMES if (path := folder / f"{name}.nii.gz").is_file()}


def changed(image: Volume, data: np.ndarray) -> Volume:
    """Return other data on the grid of an image."""
    return Volume(np.ascontiguousarray(data, dtype=np.float32), image.grid)


def flipped(image: Volume, *world_axes: int) -> Volume:
    """Return an image whose data run the other way along some axes of the world, under the same header."""
    directions = np.abs(image.affine[:3, :3]) / image.spacing_mm
    return changed(image, np.flip(image.data, [int(directions[axis].argmax()) for axis in world_axes]))


def coarse(image: Volume) -> Volume:
    """Return the image in voxels of about 5 mm."""
    steps = [max(1, round(COARSE_MM / size)) for size in image.spacing_mm]
    counts = [size // step for size, step in zip(image.shape, steps, strict=True)]
    cut = image.data[tuple(slice(count * step) for count, step in zip(counts, steps, strict=True))]
    blocks = [each for pair in zip(counts, steps, strict=True) for each in pair]
    affine = image.affine.copy()
    affine[:3, 3] = image.grid.to_world((np.array(steps) - 1) / 2)
    affine[:3, :3] *= steps
    data = cut.reshape(blocks).mean((1, 3, 5))
    return Volume(data.astype(np.float32), Grid(data.shape, affine))


def moved_onto(other: Volume, image: Volume) -> Volume:
    """Return another patient's image on the grid of `image`, heads centred on each other."""
    turned = orient(other, image.grid.orientation)
    part = turned.data[foreground_box(turned.data != 0)]
    out = np.zeros(image.shape, np.float32)
    there, here = [], []
    for side, size, whole in zip(foreground_box(image.data != 0), part.shape, image.shape, strict=True):
        start = round((side.start + side.stop - size) / 2)
        first, last = max(0, -start), min(size, whole - start)
        there.append(slice(start + first, start + last))
        here.append(slice(first, last))
    out[tuple(there)] = part[tuple(here)]
    return changed(image, out)


def cases(own: Images, others: Sequence[Images], sweep: Volume, seed: int) -> Iterator[tuple[str, Images]]:
    """Yield right and wrong inputs made of one subject's images, of two other patients', and of an ultrasound volume."""
    random, t1, flair = np.random.default_rng(seed), own["t1"], own["flair"]
    yield ALL, own
    yield from (("right: one image", {name: image}) for name, image in own.items())
    yield from (
        ("right: t1 and flair, t1 and t2", {"t1": t1, name: own[name]}) for name in ("flair", "t2") if name in own
    )
    yield "t1 and flair exchanged: all images", {**own, "t1": flair, "flair": t1}
    yield "t1 and flair exchanged: only these", {"t1": flair, "flair": t1}
    if "t2" in own:
        yield "t2 as t1: alone", {"t1": own["t2"]}
        yield "t2 as t1: with flair", {"t1": own["t2"], "flair": flair}
        yield (
            "t2 as t1: all other images",
            {**{name: each for name, each in own.items() if name != "t2"}, "t1": own["t2"]},
        )
        yield "one file under two names", {"t1": own["t2"], "t2": own["t2"]}
    for axes in ((2,), (1, 2), (0, 2)):
        yield "upside down", {name: flipped(image, *axes) for name, image in own.items()}
        yield "upside down: t1 alone", {"t1": flipped(t1, *axes)}
    for name in {"t2", "flair"} & own.keys():
        yield "one of two mirrored", {"t1": t1, name: flipped(own[name], 0)}
        for other in others:
            if name in other:
                yield "two patients", {"t1": t1, name: moved_onto(other[name], t1)}
    head = t1.data != 0
    yield "noise", {"t1": changed(t1, random.normal(100, 20, t1.shape))}
    yield "noise", {"t1": changed(t1, np.where(head, random.uniform(1, 200, t1.shape), 0))}
    yield "noise", {"t1": changed(t1, np.where(head, random.normal(100, 20, t1.shape), 0)), "flair": flair}
    yield "ultrasound as t1", {"t1": sweep}
    yield f"{COARSE_MM:g} mm voxels", {name: coarse(image) for name, image in own.items()}
    yield f"{COARSE_MM:g} mm voxels", {"t1": coarse(t1)}
    inside = tuple(slice(size // 4, size - size // 4) for size in t1.shape)
    for values in (100 + random.normal(0, 5, t1.shape), np.linspace(50, 150, t1.shape[2]) * np.ones(t1.shape)):
        box = np.zeros(t1.shape)
        box[inside] = values[inside]
        yield "a box", {"t1": changed(t1, box)}


def look(images: Images) -> Look | None:
    """Return the look of images; None where they are refused anyway."""
    try:
        return Look.of(SubjectImages.of(images))
    except VolumeError:
        return None


def patient(name: str) -> str:
    """Return the patient of a subject: ms-long-01 and ms-long-01b are one."""
    return name.removesuffix("b") if name.startswith("ms-long") else name


def main() -> None:
    """Print the table."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--data", type=Path, required=True)
    data = parser.parse_args().data
    logging.disable(logging.WARNING)
    folders = {
        kind: sorted(each for each in (data / kind).iterdir() if each.is_dir() and each.name not in TEST_ONLY)
        for kind in (STRIPPED, WHOLE, ULTRASOUND)
    }
    sweeps = [read(folder)["us"] for folder in folders[ULTRASOUND]]
    right: dict[tuple[str, str], Look] = {}
    made: dict[tuple[str, str], list[tuple[str, Look | None]]] = defaultdict(list)
    for kind in (STRIPPED, WHOLE):
        for number, folder in enumerate(folders[kind]):
            others = [read(folders[kind][(number + step) % len(folders[kind])]) for step in (1, 3)]
            for case, images in cases(read(folder), others, sweeps[number % len(sweeps)], number):
                made[kind, folder.name].append((case, look(images)))
            right[kind, folder.name] = next(found for case, found in made[kind, folder.name] if case == ALL and found)
    columns = {}
    for title, kinds in TYPICAL_SETS.items():
        counts: dict[str, list[int]] = defaultdict(lambda: [0, 0])
        for (kind, name), own_cases in made.items():
            others = [each for key, each in right.items() if key[0] in kinds and patient(key[1]) != patient(name)]
            typical = Typical.of(others)
            for case, found in own_cases if kind in kinds else [("a whole head", right[kind, name])]:
                counts[case][0] += found is None or bool(remarks(found, typical))
                counts[case][1] += 1
        columns[title] = counts
    own = [Look.of(SubjectImages.of({"us": sweep})) for sweep in sweeps]
    warned = [remarks(each, Typical.of([other for other in own if other is not each])) for each in own]
    print(f"| input | {' | '.join(columns)} |\n| --- | --- | --- |")
    for case in dict.fromkeys(case for counts in columns.values() for case in counts):
        cells = [f"{counts[case][0]} of {counts[case][1]}" if case in counts else "" for counts in columns.values()]
        print(f"| {case} | {' | '.join(cells)} |")
    print(
        f"\nUltrasound compared with ultrasound: {sum(map(bool, warned))} of {len(warned)} right volumes raise a warning."
    )


if __name__ == "__main__":
    main()

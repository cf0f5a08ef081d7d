"""Print how far each alignment of a prepared cohort moves points 50 mm from its centre, in the mean: python movements.py COHORT."""

from __future__ import annotations

import sys
from pathlib import Path

import numpy as np

from anymod.volumes import read_transform

DISTANCE_MM, POINTS = 50.0, 500


def main(cohort: Path) -> None:
    """Print a row for each subject."""
    directions = np.random.default_rng(0).standard_normal((POINTS, 3))
    around = DISTANCE_MM * directions / np.linalg.norm(directions, axis=1, keepdims=True)
    for folder in sorted((cohort / "registration").iterdir()):
        cells = []
        for file in sorted(folder.glob("*.tfm")):
            transform = read_transform(file)
            points = around + np.array(transform.GetFixedParameters()[:3])
            moved = np.array([transform.TransformPoint(point) for point in points.tolist()]) - points
            cells.append(f"{file.stem} {np.linalg.norm(moved, axis=1).mean():.2f}")
        print(f"{folder.name}: {', '.join(cells)}")


if __name__ == "__main__":
    main(Path(sys.argv[1]))

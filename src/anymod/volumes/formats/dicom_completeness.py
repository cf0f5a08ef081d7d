"""Whether a DICOM series is complete, as far as its headers and the positions of its slices show."""

from __future__ import annotations

import itertools
from collections.abc import Sequence
from pathlib import Path

from anymod.errors import VolumeError
from anymod.volumes.formats.dicom_frames import Frame

WIDE = 1.5  # distance between slices over that in the header; gaps between slices are seldom half a slice
EXPORT_AGAIN = "export the series again, complete and by itself"


def check_complete(ordered: Sequence[Frame], distance_mm: float, source: Path) -> tuple[str, ...]:
    """Return notes on signs that slices are missing; raise VolumeError where they certainly are.

    Slices missing at the end leave no trace unless the header counts them.

    Args:
        ordered: The frames, sorted by position, equally far apart.
        distance_mm: Distance between neighbouring slices.
        source: Folder or file for errors.
    """
    count = len(ordered)
    slices = max(frame.slices for frame in ordered)
    if slices > count:
        why = f"its header counts {slices} slices, and {count} are here"
        raise VolumeError("missing slices", source, why, EXPORT_AGAIN)
    notes = []
    images = max(frame.images for frame in ordered)
    if images > count:
        notes.append(f"its header counts {images} images of this acquisition, and {count} are here")
    told = ordered[0].thickness_mm
    is_wide = count > 1 and 0 < told * WIDE < distance_mm
    step = _number_step(ordered)
    first, last = ordered[0].number, ordered[-1].number
    if step > 1 and is_wide:
        why = f"its images are numbered {first} to {last} in steps of {step}, {distance_mm:.3g} mm apart, and the header says {told:.3g} mm"
        raise VolumeError("missing slices", source, why, EXPORT_AGAIN)
    if is_wide:
        notes.append(f"its slices lie {distance_mm:.3g} mm apart, and the header says {told:.3g} mm; are some missing?")
    if step > 1:
        notes.append(f"its images are numbered {first} to {last} in steps of {step}; are some missing?")
    if step == 1 and first is not None and last is not None and min(first, last) > 1:
        notes.append(f"its images are numbered {first} to {last}; are those before missing?")
    return tuple(notes)


def _number_step(ordered: Sequence[Frame]) -> int:
    """Return the constant step between the numbers of neighbouring images, 0 if there is none."""
    numbers = [frame.number for frame in ordered if frame.number is not None]
    steps = {abs(after - before) for before, after in itertools.pairwise(numbers)}
    return steps.pop() if len(numbers) == len(ordered) and len(steps) == 1 else 0

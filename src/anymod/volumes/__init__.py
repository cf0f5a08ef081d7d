"""One image: an array with its place in the world. Formats in and out, grids, foreground, intensities. Loads no torch."""

from __future__ import annotations

import importlib
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from anymod.volumes.canonical import foreground_centre_mm, model_grid
    from anymod.volumes.checks import check_image
    from anymod.volumes.foreground import background_of, foreground_of
    from anymod.volumes.grid import Grid, Volume
    from anymod.volumes.intensity import (
        IntensityRange,
        IntensityRule,
        core_median,
        measure_harmonized_range,
        measure_range,
        scale,
        unscale,
    )
    from anymod.volumes.orientation import orient, orient_grid
    from anymod.volumes.reading import image_fingerprint, inspect_volume, read_labels, read_volume
    from anymod.volumes.resampling import resample
    from anymod.volumes.transforms import read_transform
    from anymod.volumes.writing import write_volume

__all__ = [
    "Grid",
    "IntensityRange",
    "IntensityRule",
    "Volume",
    "background_of",
    "check_image",
    "core_median",
    "foreground_centre_mm",
    "foreground_of",
    "image_fingerprint",
    "inspect_volume",
    "measure_harmonized_range",
    "measure_range",
    "model_grid",
    "orient",
    "orient_grid",
    "read_labels",
    "read_transform",
    "read_volume",
    "resample",
    "scale",
    "unscale",
    "write_volume",
]

_HOMES = {
    "Grid": "grid",
    "IntensityRange": "intensity",
    "IntensityRule": "intensity",
    "Volume": "grid",
    "background_of": "foreground",
    "check_image": "checks",
    "core_median": "intensity",
    "foreground_centre_mm": "canonical",
    "foreground_of": "foreground",
    "image_fingerprint": "reading",
    "inspect_volume": "reading",
    "measure_harmonized_range": "intensity",
    "measure_range": "intensity",
    "model_grid": "canonical",
    "orient": "orientation",
    "orient_grid": "orientation",
    "read_labels": "reading",
    "read_transform": "transforms",
    "read_volume": "reading",
    "resample": "resampling",
    "scale": "intensity",
    "unscale": "intensity",
    "write_volume": "writing",
}


def __getattr__(name: str) -> Any:
    """Load a public name when it is first asked for: SimpleITK and nibabel are slow to load."""
    if name not in _HOMES:
        raise AttributeError(f"module 'anymod.volumes' has no attribute '{name}'")
    return getattr(importlib.import_module(f"anymod.volumes.{_HOMES[name]}"), name)

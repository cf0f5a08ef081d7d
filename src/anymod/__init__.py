"""anymod: one model, trained on incomplete multimodal images, that synthesizes every missing image from whatever is there."""

from __future__ import annotations

import importlib
from typing import Any

__version__ = "0.2.0"

_HOMES = {
    "AnymodError": "errors",
    "Cohort": "cohorts",
    "Synthesizer": "synthesis",
    "Volume": "volumes",
    "load_model": "models",
    "read_cohort": "cohorts",
    "read_volume": "volumes",
    "train": "training",
    "write_volume": "volumes",
}
__all__ = [
    "AnymodError",
    "Cohort",
    "Synthesizer",
    "Volume",
    "__version__",
    "load_model",
    "read_cohort",
    "read_volume",
    "train",
    "write_volume",
]


def __getattr__(name: str) -> Any:
    """Load a public name from its room when it is first asked for, so that `import anymod` loads no torch."""
    if name not in _HOMES:
        raise AttributeError(f"module 'anymod' has no attribute '{name}'")
    return getattr(importlib.import_module(f"anymod.{_HOMES[name]}"), name)


def __dir__() -> list[str]:
    return __all__

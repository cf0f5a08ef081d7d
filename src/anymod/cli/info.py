"""The verb `anymod info`."""

from __future__ import annotations

import platform
from dataclasses import dataclass
from importlib import metadata
from typing import Any

from anymod import __version__
from anymod.cli.verbs import Json, Verb, print_result
from anymod.resources import bundled_models

PACKAGES = (
    "torch",
    "numpy",
    "nibabel",
    "SimpleITK",
    "pydicom",
    "safetensors",
    "pydantic",
    "pytorch-lightning",
    "tensorboard",
    "distributed",
)


@dataclass(frozen=True)
class Info(Verb):
    """Loads none of the packages, so it answers in an instant and also where torch is broken.

    Example:
      anymod info
    """

    daily = ("json", "quiet", "verbose")

    json: Json = False

    def run(self) -> None:
        """Print the facts."""
        facts = gather_facts()
        lines = [f"{name:<18} {facts[name]}" for name in ("anymod", "python", "platform")]
        lines += [f"{name:<18} {version or 'not installed'}" for name, version in facts["packages"].items()]
        lines.append(f"{'bundled models':<18} {', '.join(facts['models']) or 'none'}")
        print_result(facts, "\n".join(lines), as_json=self.json)


def gather_facts() -> dict[str, Any]:
    """Return versions and bundled models; nothing is imported for it, so a broken torch can be seen too."""
    return {
        "anymod": __version__,
        "python": platform.python_version(),
        "platform": platform.platform(),
        "packages": {name: installed_version(name) for name in PACKAGES},
        "models": list(bundled_models()),
    }


def installed_version(package: str) -> str | None:
    """Return a distribution's version, or None where it is not installed."""
    try:
        return metadata.version(package)
    except metadata.PackageNotFoundError:
        return None

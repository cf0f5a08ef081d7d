"""`anymod info`: what is installed, in under a second."""

from __future__ import annotations

import platform
from importlib import metadata
from typing import Annotated, Any

import typer

from anymod import __version__
from anymod.files import json_text
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


def info(as_json: Annotated[bool, typer.Option("--json", help="Print JSON.")] = False) -> None:
    """Show the versions and the bundled models.

    Example: anymod info
    """
    facts = gather_facts()
    if as_json:
        typer.echo(json_text(facts))
        return
    for name in ("anymod", "python", "platform"):
        typer.echo(f"{name:<18} {facts[name]}")
    for name, version in facts["packages"].items():
        typer.echo(f"{name:<18} {version or 'not installed'}")
    typer.echo(f"{'bundled models':<18} {', '.join(facts['models']) or 'none'}")


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

"""The device to compute on."""

from __future__ import annotations

import torch

from anymod.errors import ConfigurationError


def resolve_device(name: str) -> torch.device:
    """Return the device of `auto`, `cpu`, `cuda`, `cuda:N` or `mps`; raise ConfigurationError for one that does not exist."""
    if name == "auto":
        name = "cuda" if torch.cuda.is_available() else "mps" if torch.backends.mps.is_available() else "cpu"
    device = torch.device(name)
    found = {
        "cuda": (device.index or 0) < torch.cuda.device_count(),
        "mps": torch.backends.mps.is_available(),
        "cpu": True,
    }
    if not found.get(device.type, False):
        raise ConfigurationError("no such device", f"--device {name}", "torch does not find it", "use --device auto")
    return device

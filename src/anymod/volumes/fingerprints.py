"""Fingerprint of an image's content, by which the same image is recognized in another file, folder or cohort."""

from __future__ import annotations

import hashlib
import json

import numpy as np

from anymod.volumes.grid import Volume
from anymod.volumes.orientation import orient

DIGITS = 16  # 64 bits: two different images never share them by chance


def content_fingerprint(volume: Volume) -> str:
    """Return 16 hexadecimal digits of a SHA-256 over the voxels, turned to RAS.

    The file's name, format and compression, the type of its numbers, the order of its axes and the header's position do not matter.
    A resampled or rescaled image has another fingerprint.
    """
    data = np.ascontiguousarray(orient(volume, "RAS").data, dtype="<f4")
    data = data + np.float32(0)  # -0 becomes 0
    return hashlib.sha256(json.dumps(data.shape).encode() + data.tobytes()).hexdigest()[:DIGITS]

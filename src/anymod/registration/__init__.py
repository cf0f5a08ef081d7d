"""Alignment: the one place that finds how two images of a patient lie to one another."""

from __future__ import annotations

from anymod.registration.alignment import Alignment, Kind, Measure, align, align_modalities
from anymod.registration.checkerboard import draw_checkerboard

__all__ = ["Alignment", "Kind", "Measure", "align", "align_modalities", "draw_checkerboard"]

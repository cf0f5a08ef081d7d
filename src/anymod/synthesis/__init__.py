"""Filling in: files or a cohort in, volumes on their own grids out."""

from __future__ import annotations

from anymod.synthesis.cohort import CohortOutcome, CohortRequest, synthesize_cohort
from anymod.synthesis.device import resolve_device
from anymod.synthesis.drawing import draw_images, encoded, with_content
from anymod.synthesis.engines import Backend, backend_name
from anymod.synthesis.files import Inputs, synthesize_files
from anymod.synthesis.options import USUAL_TEMPERATURE, SynthesisOptions
from anymod.synthesis.synthesizer import Synthesis, Synthesizer, slices_at_once

__all__ = [
    "USUAL_TEMPERATURE",
    "Backend",
    "CohortOutcome",
    "CohortRequest",
    "Inputs",
    "Synthesis",
    "SynthesisOptions",
    "Synthesizer",
    "backend_name",
    "draw_images",
    "encoded",
    "resolve_device",
    "slices_at_once",
    "synthesize_cohort",
    "synthesize_files",
    "with_content",
]

"""Patients with known truth: anatomy, tumour and magnetic resonance images from tissue parameters and signal equations.

The way of a subject: an anatomy (procedural, or a FreeSurfer label map) gives tissue fractions; a tumour pushes and replaces some of
them; a protocol's signal equations turn fractions into images. Each is a function of (seed, index, settings).
"""

from __future__ import annotations

from anymod.simulation.cohort import simulate_cohort
from anymod.simulation.patients import Patient, SimulatedSubject, simulate_subject
from anymod.simulation.settings import SimulationSettings

__all__ = ["Patient", "SimulatedSubject", "SimulationSettings", "simulate_cohort", "simulate_subject"]

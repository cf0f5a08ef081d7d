"""Simulated patients with known truth: anatomy, tumour, MR images and ultrasound.

An anatomy (procedural, or from a FreeSurfer label map) gives tissue fractions. A tumour displaces and replaces some of them. Signal
equations and acoustics turn fractions into images. Each step is a function of (seed, index, settings).
"""

import lazy_loader as lazy

__getattr__, __dir__, __all__ = lazy.attach_stub(__name__, __file__)

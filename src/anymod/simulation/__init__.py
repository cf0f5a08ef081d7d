"""Patients with known truth: anatomy, tumour and magnetic resonance images from tissue parameters and signal equations.

The way of a subject: an anatomy (procedural, or a FreeSurfer label map) gives tissue fractions; a tumour pushes and replaces some of
them; a protocol's signal equations turn fractions into images. Each is a function of (seed, index, settings).
"""

import lazy_loader as lazy

__getattr__, __dir__, __all__ = lazy.attach_stub(__name__, __file__)

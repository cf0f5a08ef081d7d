"""Demonstrations: a simulated patient from hidden images to a figure, and previews of simulated subjects."""

import lazy_loader as lazy

__getattr__, __dir__, __all__ = lazy.attach_stub(__name__, __file__)

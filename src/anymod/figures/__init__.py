"""Figures: planes in radiological display, grids of pictures, checkerboards, curves, thumbnails."""

import lazy_loader as lazy

__getattr__, __dir__, __all__ = lazy.attach_stub(__name__, __file__)

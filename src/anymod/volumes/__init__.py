"""One image: an array with its place in the world. Formats in and out, grids, foreground, intensities. Loads no torch."""

import lazy_loader as lazy

__getattr__, __dir__, __all__ = lazy.attach_stub(__name__, __file__)

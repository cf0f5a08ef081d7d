"""One image: an array and its position in the world. File formats, grids, foreground, intensities. Loads no torch."""

import lazy_loader as lazy

__getattr__, __dir__, __all__ = lazy.attach_stub(__name__, __file__)

"""The way from volumes to what a network sees, and back: slices of a cohort on disk, batches and their augmentation."""

import lazy_loader as lazy

__getattr__, __dir__, __all__ = lazy.attach_stub(__name__, __file__)

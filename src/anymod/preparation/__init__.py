"""Preparation of a cohort from a folder or a known archive, and the check of any cohort. Loads no torch."""

import lazy_loader as lazy

__getattr__, __dir__, __all__ = lazy.attach_stub(__name__, __file__)

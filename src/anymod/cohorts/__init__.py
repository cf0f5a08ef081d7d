"""Cohorts of subjects: the cohort folder, its table and its splits. Loads no torch."""

import lazy_loader as lazy

__getattr__, __dir__, __all__ = lazy.attach_stub(__name__, __file__)

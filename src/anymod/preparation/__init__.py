"""From archives to a cohort: one short file for each source, one pipeline for all, and the check of any cohort. Loads no torch."""

import lazy_loader as lazy

__getattr__, __dir__, __all__ = lazy.attach_stub(__name__, __file__)

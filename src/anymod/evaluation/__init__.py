"""Evaluation of a model against simple reference predictors, and calibration of its errors."""

import lazy_loader as lazy

__getattr__, __dir__, __all__ = lazy.attach_stub(__name__, __file__)

"""Training: a thin loop on Lightning Fabric around our step, schedules, objective and adversary."""

import lazy_loader as lazy

__getattr__, __dir__, __all__ = lazy.attach_stub(__name__, __file__)

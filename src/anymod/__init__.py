"""anymod: train one model on incomplete multimodal images; synthesize every missing image from the available ones."""

import lazy_loader as lazy

__version__ = "0.2.0"
__getattr__, __dir__, __all__ = lazy.attach_stub(__name__, __file__)  # `import anymod` loads no torch

"""Models as graphs: export, and runtimes that compute them (torch, ONNX Runtime, OpenVINO)."""

import lazy_loader as lazy

__getattr__, __dir__, __all__ = lazy.attach_stub(__name__, __file__)

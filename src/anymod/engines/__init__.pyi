from .backends import Backend as Backend, with_backend as with_backend
from .device import resolve_device as resolve_device
from .export import export_model as export_model

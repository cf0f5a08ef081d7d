from .alignment import Alignment as Alignment
from .alignment import Measure as Measure
from .alignment import align as align
from .alignment import align_modalities as align_modalities
from .kind import Kind as Kind

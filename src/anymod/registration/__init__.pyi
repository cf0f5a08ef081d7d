from .alignment import Alignment as Alignment, align as align, align_modalities as align_modalities
from .kind import Kind as Kind

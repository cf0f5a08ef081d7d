"""The type of NumPy arrays; apart from `types`, so that rooms without tensors load no torch."""

from __future__ import annotations

from typing import Any, TypeAlias

import numpy as np

Array: TypeAlias = np.ndarray[Any, np.dtype[Any]]

"""What a model's training inputs look like, and what is unusual about other inputs.

Every question has a score, higher for stranger inputs, and is asked of each training subject too, compared with the others (leave one out).
An input is unusual where its score exceeds all of theirs by a margin. So a question that training subjects do not answer alike, such as
which side of an ultrasound volume is up, raises no warning.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping, Sequence
from functools import cached_property
from itertools import combinations
from pathlib import Path
from typing import Literal, get_args

import numpy as np
from pydantic import Field

from anymod import __version__
from anymod.arrays import Array
from anymod.configuration import Settings
from anymod.slices.looks import BINS, Look

Group = Literal["contrast", "posture", "shape", "voxels"]
GROUPS: tuple[Group, ...] = get_args(Group)

FEWEST = 3  # training subjects with an image, to compare others with them
MOST = 32  # training subjects that are kept
NEIGHBOURS = 2  # an input is as far from the training subjects as from the nearest two: they may be of several kinds
FARTHEST = 6.0  # counted of one number's distance
MARGIN = {"contrast": 1.6, "shape": 1.6, "voxels": 1.6}
FLOORS = {"contrast": 0.05, "posture": 0.03, "shape": 0.08, "voxels": 0.08}
"""Least scale of a number: smaller differences than this are chance in small cohorts."""


class Typical(Settings):
    """Looks of training subjects."""

    format: Literal[1] = 1
    anymod: str = __version__
    looks: tuple[Look, ...]

"""Kinds of alignment; loads neither torch nor SimpleITK."""

from typing import Literal

Kind = Literal["rigid", "affine"]

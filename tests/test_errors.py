"""The error tree: one line each, also after a journey between processes."""

from __future__ import annotations

import pickle
from pathlib import Path

import pytest

from anymod import errors

KINDS = [kind for kind in vars(errors).values() if isinstance(kind, type) and issubclass(kind, errors.AnymodError)]


def test_text_gives_what_where_why_and_remedy() -> None:
    error = errors.VolumeError("truncated image", Path("a.nii.gz"), "the data end too early", "copy the file again")
    assert str(error) == "truncated image in a.nii.gz: the data end too early; copy the file again"
    assert (error.what, error.where, error.remedy) == ("truncated image", Path("a.nii.gz"), "copy the file again")


def test_text_is_one_line_whatever_its_parts_hold() -> None:
    error = errors.CohortError("unreadable\r\ntable", "x", "line 1\n    line 2", "mend it\n")
    assert str(error) == "unreadable table in x: line 1 line 2; mend it"


@pytest.mark.parametrize("kind", KINDS)
def test_every_error_survives_pickling(kind: type[errors.AnymodError]) -> None:
    copied = pickle.loads(pickle.dumps(kind("what", "where", "why", "remedy")))  # noqa: S301 - our own bytes
    assert type(copied) is kind
    assert str(copied) == "what in where: why; remedy"


def test_grid_errors_are_volume_errors() -> None:
    assert issubclass(errors.GridError, errors.VolumeError)


def test_the_tree_at_the_top_of_the_module_names_every_error() -> None:
    assert all(kind.__name__ in str(errors.__doc__) for kind in KINDS)

"""What the demo shows."""

from __future__ import annotations

import numpy as np
import pytest

from anymod.errors import ModelFolderError
from anymod.evaluation.demonstration import _slice_of_interest, shown_ways


@pytest.mark.parametrize(
    ("names", "ways"),
    [
        (("t1", "cet1", "t2", "flair"), [("t1",), ("t2", "flair"), ("t1", "t2", "flair")]),
        (("us", "t2"), [("us",)]),
        (("us", "t2", "cet1", "flair"), [("us",), ("t2", "cet1", "flair"), ("us", "t2")]),
        (("a", "b", "c"), [("a",), ("a", "b")]),
    ],
)
def test_every_way_hides_something(names: tuple[str, ...], ways: list[tuple[str, ...]]) -> None:
    assert shown_ways(names) == ways


def test_a_model_of_one_modality_has_nothing_to_hide() -> None:
    with pytest.raises(ModelFolderError):
        shown_ways(("t1",))


def test_the_slice_shown_has_most_of_the_tumours_rim() -> None:
    label = np.zeros((4, 4, 5), np.int16)
    assert _slice_of_interest(label) == 2
    label[:, :, 1] = 2
    assert _slice_of_interest(label) == 1
    label[0, 0, 3] = 4
    assert _slice_of_interest(label) == 3

"""The demo: shown subsets, patient and slice."""

from __future__ import annotations

import numpy as np
import pytest

from anymod.demo.demonstration import _enhancing_patient, _slice_of_interest, shown_ways
from anymod.errors import ModelFolderError
from anymod.simulation import Patient, SimulationSettings


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


def test_the_patient_has_a_tumour_that_enhances() -> None:
    settings = SimulationSettings(tumours=1.0, spacing_mm=8.0)
    for seed in range(3):
        tumour = Patient.draw(seed, _enhancing_patient(seed, settings), settings).tumour
        assert tumour is not None
        assert tumour.rim_mm > 0

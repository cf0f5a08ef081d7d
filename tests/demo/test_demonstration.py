"""The demo: shown subsets, patient and slice."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest

from anymod.cohorts import Cohort
from anymod.demo.demonstration import PATIENT, _enhancing_patient, _slice_of_interest, shown_ways
from anymod.errors import ModelFolderError
from anymod.simulation import Patient, SimulationSettings
from anymod.slices import CacheSettings, build_cache


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


def test_the_slice_drawn_has_most_of_the_tumours_rim(make_cohort: Callable[..., Cohort], tmp_path: Path) -> None:
    # The foreground begins at the second slice of the volume, which is the first of the cache.
    label, settings = np.zeros((12, 10, 8), np.int16), CacheSettings(image_size=(12, 10))

    def chosen(name: str) -> int:
        cohort = make_cohort({PATIENT: ("t1", "t2")}, extras={"label": label}, folder=name)
        number = _slice_of_interest(cohort, settings)
        cache = build_cache(cohort, cohort.subjects, settings, tmp_path / f"{name}-cache")
        shown = cache.read([0], [number], 0).label[0].numpy()
        np.testing.assert_array_equal(shown, label[:, :, number + 1] != 0)
        return number

    assert chosen("healthy") == 3
    label[4:7, 4:7, 2] = 2
    assert chosen("oedema") == 1
    label[5, 5, 6] = 4
    assert chosen("rim") == 5


def test_the_patient_has_a_tumour_that_enhances() -> None:
    settings = SimulationSettings(tumours=1.0, spacing_mm=8.0)
    for seed in range(3):
        tumour = Patient.draw(seed, _enhancing_patient(seed, settings), settings).tumour
        assert tumour is not None
        assert tumour.rim_mm > 0

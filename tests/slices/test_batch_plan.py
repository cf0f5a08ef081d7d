"""The plan: each slice once an epoch, subjects mixed, the same for the same (seed, step)."""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
from hypothesis import given, settings, strategies as st

from anymod.cohorts import Cohort
from anymod.errors import CohortError, ConfigurationError
from anymod.slices import BatchPlan, CacheSettings, SliceCache, build_cache, check_repeats
from anymod.slices.records import SubjectSlices


def cache_of(usable: list[tuple[int, int]], labelled: int = 0) -> SliceCache:
    """Return a cache without files: for each subject, how many slices show modality 0 and how many modality 1.

    The last `labelled` slices of each are marked by its label map.
    """
    records = []
    for number, counts in enumerate(usable):
        total = max(*counts, 1)
        fractions = tuple(tuple(0.5 if place < count else 0.0 for count in counts) for place in range(total))
        records.append(
            SubjectSlices(
                name=f"s{number}",
                key="",
                scales=(None, None),
                slice_ranges=None,
                white_matter=(None, None),
                foreground_fractions=fractions,
                union_fractions=tuple(max(row) for row in fractions),
                labelled=tuple(place >= total - labelled for place in range(total)),
                cut_off=0.0,
            )
        )
    chosen = CacheSettings(image_size=(4, 4))
    return SliceCache(Path(), "", chosen, ("t1", "us"), (None, None), ("train",) * len(records), tuple(records))


COUNTS = st.lists(st.tuples(st.integers(1, 9), st.integers(0, 9)), min_size=1, max_size=4)


@given(COUNTS, st.integers(1, 20), st.integers(0, 2**40))
@settings(max_examples=30, deadline=None)
def test_each_slice_comes_exactly_once_an_epoch(counts: list[tuple[int, int]], batch_size: int, seed: int) -> None:
    cache = cache_of(counts)
    plan = BatchPlan(cache, batch_size, seed)
    total = plan.slices_per_epoch
    epochs = 3
    rows = [pair for step in range(-(-epochs * total // batch_size)) for pair in zip(*plan.rows(step), strict=True)]
    every = {(subject, position) for subject in range(len(counts)) for position in cache.usable(subject)}
    for epoch in range(epochs):
        assert Counter(rows[epoch * total : (epoch + 1) * total]) == Counter(every)


@given(st.integers(0, 1000), st.integers(0, 2**40))
@settings(max_examples=20, deadline=None)
def test_rows_depend_on_seed_and_step_alone(step: int, seed: int) -> None:
    cache = cache_of([(5, 0), (7, 2)])
    plan = BatchPlan(cache, 4, seed)
    plan.rows(3)
    np.testing.assert_array_equal(plan.rows(step), BatchPlan(cache, 4, seed).rows(step))


def test_batches_mix_subjects_and_seeds_differ() -> None:
    plan = BatchPlan(cache_of([(40, 0)] * 4), 16, seed=0)
    assert all(len(set(plan.rows(step)[0])) >= 3 for step in range(10))
    assert not np.array_equal(plan.rows(0), BatchPlan(cache_of([(40, 0)] * 4), 16, seed=1).rows(0))
    assert not np.array_equal(plan.rows(0), plan.rows(10))


def test_real_slices_show_the_modality_and_come_in_turn() -> None:
    plan = BatchPlan(cache_of([(9, 0), (6, 3), (4, 2)]), 4, seed=0)
    rows = [pair for step in range(5) for pair in zip(*plan.real_slices(step, 1, 2), strict=True)]
    assert Counter(rows[:5]) == Counter([(1, 0), (1, 1), (1, 2), (2, 0), (2, 1)])
    np.testing.assert_array_equal(plan.real_slices(7, 0, 3), plan.real_slices(7, 0, 3))


def test_no_real_slices_where_no_subject_has_the_modality() -> None:
    subjects, slices = BatchPlan(cache_of([(9, 0)]), 4, seed=0).real_slices(0, 1, 3)
    assert len(subjects) == len(slices) == 0


def test_plan_may_hold_some_of_the_subjects() -> None:
    plan = BatchPlan(cache_of([(9, 0), (6, 3), (4, 2)]), 4, seed=0, subjects=[2])
    assert plan.slices_per_epoch == 4
    assert set(plan.rows(1)[0]) == {2}


def test_some_subjects_come_more_often() -> None:
    cache = cache_of([(9, 0), (6, 0), (2, 1)], labelled=1)
    plan = BatchPlan(cache, 4, seed=0, repeats={"s1": 3, "s[12]": 2})
    assert plan.slices_per_epoch == 9 + 3 * 6 + 2 * 2
    rows = [tuple(pair) for step in range(31) for pair in zip(*plan.rows(step), strict=True)]
    assert Counter(subject for subject, _ in rows) == {0: 4 * 9, 1: 4 * 18, 2: 4 * 4}
    assert set(Counter(pair for pair in rows if pair[0] == 1).values()) == {12}
    plan = BatchPlan(cache, 6, seed=0, labelled_share=0.5, repeats={"s1": 3, "s2": 2})
    first = [int(subject) for step in range(2) for subject in plan.rows(step)[0][:3]]
    assert Counter(first) == {0: 1, 1: 3, 2: 2}


def test_a_repeat_of_nobody_is_refused() -> None:
    with pytest.raises(ConfigurationError, match=r"data\.repeats.*'real-\*' fits no subject"):
        check_repeats(["s0", "s1"], {"s1": 3, "real-*": 2})


def test_a_repeat_of_subjects_that_are_held_out_changes_nothing() -> None:
    check_repeats(["s0", "s1"], {"s1": 3})
    plan = BatchPlan(cache_of([(9, 0), (6, 0)]), 4, seed=0, subjects=[0], repeats={"s1": 3})
    assert plan.slices_per_epoch == 9


def test_a_share_of_each_batch_is_labelled_and_all_labelled_slices_come_equally_often() -> None:
    plan = BatchPlan(cache_of([(9, 0), (6, 0)], labelled=2), 8, seed=0, labelled_share=0.5)
    labelled = [(0, 7), (0, 8), (1, 4), (1, 5)]
    rows = [list(zip(*plan.rows(step), strict=True)) for step in range(15)]
    assert Counter(pair for batch in rows for pair in batch[:4]) == Counter(15 * labelled)
    assert set(Counter(pair for batch in rows for pair in batch[4:]).values()) == {4}  # 15 slices, 4 epochs
    assert plan.slices_per_epoch == 15


def test_labelled_slices_that_are_not_usable_are_left_out() -> None:
    cache = cache_of([(9, 0)], labelled=5)  # slices 4 to 8
    record = cache.records[0].model_copy(update={"union_fractions": (0.5,) * 6 + (0.001,) * 3})
    plan = BatchPlan(replace(cache, records=(record,)), 4, seed=0, labelled_share=0.5)
    assert {int(position) for step in range(4) for position in plan.rows(step)[1][:2]} == {4, 5}


def test_donors_are_labelled_slices_in_turn() -> None:
    plan = BatchPlan(cache_of([(9, 0), (6, 0)], labelled=2), 4, seed=0)
    assert {pair for step in range(2) for pair in zip(*map(list, plan.donors(step)), strict=True)} == {
        (0, 7),
        (0, 8),
        (1, 4),
        (1, 5),
    }


def test_a_labelled_share_without_labels_is_refused() -> None:
    with pytest.raises(CohortError, match=r"no labelled slices .*data\.labelled_share"):
        BatchPlan(cache_of([(9, 0)]), 8, seed=0, labelled_share=0.5)
    assert BatchPlan(cache_of([(9, 0)]), 8, seed=0).slices_per_epoch == 9


def test_real_slices_are_those_of_real_subjects() -> None:
    plan = BatchPlan(cache_of([(9, 0), (6, 3), (4, 2)]), 4, seed=0, real=[1])
    assert set(plan.real_slices(0, 0, 12)[0]) == {1}
    assert {int(subject) for step in range(9) for subject in plan.rows(step)[0]} == {0, 1, 2}
    assert len(BatchPlan(cache_of([(9, 0)]), 4, seed=0, real=[]).real_slices(0, 0, 3)[0]) == 0


def test_plan_without_usable_slices_is_refused() -> None:
    with pytest.raises(CohortError, match="no usable slices"):
        BatchPlan(cache_of([(0, 0)]), 4, seed=0)
    with pytest.raises(ValueError, match="batch_size is 0"):
        BatchPlan(cache_of([(3, 0)]), 0, seed=0)


def test_plan_and_cache_work_together(make_cohort: Callable[..., Cohort]) -> None:
    cohort = make_cohort({"a": ("t1", "us"), "b": ("us",)})
    cache = build_cache(cohort, cohort.subjects, CacheSettings(image_size=(12, 10)), cohort.root.parent / "cache")
    plan = BatchPlan(cache, 6, seed=0)
    batch = cache.read(*plan.rows(0), context=1)
    assert batch.images.shape == (6, 2, 3, 12, 10)
    assert bool(cache.read(*plan.real_slices(0, 0, 5), context=0).observed[:, 0].all())

"""The interval of a mean over subjects."""

from __future__ import annotations

import math

import numpy as np
import pytest
from scipy.stats import bootstrap, ttest_1samp

from anymod.reports import bootstrap_mean, subject_means

VALUES = np.random.default_rng(0).normal(30, 2, 25)


def test_it_agrees_with_scipys_percentile_interval() -> None:
    ours = bootstrap_mean(VALUES, 0)
    theirs = bootstrap(
        (VALUES,), np.mean, method="percentile", n_resamples=5000, rng=np.random.default_rng(1)
    ).confidence_interval
    assert ours.value == pytest.approx(VALUES.mean())
    assert (ours.low, ours.high) == pytest.approx((theirs.low, theirs.high), abs=0.08)
    assert ours.count == 25


def test_it_agrees_with_the_normal_distribution_for_many_subjects() -> None:
    many = np.random.default_rng(1).normal(0, 1, 400)
    mean = bootstrap_mean(many, 0)
    half = 1.96 * many.std() / 20
    assert (mean.low, mean.high) == pytest.approx((many.mean() - half, many.mean() + half), abs=0.01)


def test_few_subjects_have_the_interval_of_student_s_t() -> None:
    mean = bootstrap_mean([1.0, 2.0, 4.5], 0)
    low, high = ttest_1samp([1.0, 2.0, 4.5], 0).confidence_interval(0.95)
    assert (mean.low, mean.high) == pytest.approx((low, high))
    assert (mean.value, mean.count) == (2.5, 3)


@pytest.mark.parametrize("count", [2, 3, 5, 9])
def test_the_interval_of_few_subjects_contains_the_mean_as_often_as_it_says(count: int) -> None:
    draws = np.random.default_rng(count).normal(0, 1, (400, count))
    means = [bootstrap_mean(values, 0) for values in draws]
    assert np.mean([mean.low <= 0 <= mean.high for mean in means]) == pytest.approx(0.95, abs=0.03)


def test_a_seed_names_one_interval() -> None:
    assert bootstrap_mean(VALUES, 3) == bootstrap_mean(VALUES, 3)
    assert bootstrap_mean(VALUES, 3) != bootstrap_mean(VALUES, 4)


def test_equal_values_have_no_width() -> None:
    mean = bootstrap_mean(np.full(5, 2.0), 0)
    assert (mean.value, mean.low, mean.high) == (2.0, 2.0, 2.0)


def test_one_subject_has_a_mean_and_no_interval() -> None:
    mean = bootstrap_mean(np.array([7.0]), 0)
    assert mean.value == 7.0
    assert math.isnan(mean.low)
    assert math.isnan(mean.high)
    assert math.isnan(bootstrap_mean(np.array([]), 0).value)


def test_two_methods_are_resampled_alike() -> None:
    """The interval of a shifted method is the shifted interval, so differences are paired."""
    first, second = bootstrap_mean(VALUES, 0), bootstrap_mean(VALUES + 1, 0)
    assert second.low - first.low == pytest.approx(1.0)


def test_each_subject_counts_once_in_order_of_names_and_nan_does_not_count() -> None:
    values = [("b", 4.0), ("a", 1.0), ("a", 3.0), ("a", math.nan)]
    assert subject_means(values) == [2.0, 4.0]
    assert math.isnan(subject_means([("a", math.nan)])[0])

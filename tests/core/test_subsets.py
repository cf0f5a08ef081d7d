"""Subsets: weights, frequencies, names (method, section 8, check 17)."""

from __future__ import annotations

from collections import Counter
from math import sqrt

import pytest
import torch
from formulas import subset_weights
from hypothesis import given, settings, strategies as st

from anymod.core.subsets import as_mask, as_row, draw_subsets, non_empty_subsets, parse_subset, subset_name

NAMES = ("us", "t2", "cet1", "flair")
GROUPS = ("us", "mr", "mr", "mr")
US, T2, CET1, FLAIR = 1, 2, 4, 8
ALL = 15


@pytest.mark.parametrize("observed", range(1, 16))
@pytest.mark.parametrize("mixed", [False, True])
def test_weights_sum_to_one_and_stay_inside_what_is_observed(observed: int, mixed: bool) -> None:
    weights = subset_weights(observed, GROUPS, mixed=mixed)
    assert sum(weights.values()) == pytest.approx(1, abs=1e-12)
    assert all(subset and subset & observed == subset for subset in weights)


def test_with_everything_observed_the_weights_are_the_papers_thirds() -> None:
    weights = subset_weights(ALL, GROUPS, mixed=False)
    expected = {ALL: 1 / 3, US: 1 / 3, **dict.fromkeys([2, 4, 6, 8, 10, 12, 14], 1 / 21)}
    assert weights == pytest.approx(expected)
    assert len(weights) == 9


def test_with_one_group_half_is_everything_and_half_a_uniform_part() -> None:
    weights = subset_weights(T2 | CET1, GROUPS, mixed=False)
    assert weights == pytest.approx({T2: 1 / 6, CET1: 1 / 6, T2 | CET1: 1 / 2 + 1 / 6})
    assert subset_weights(US, GROUPS, mixed=False) == {US: pytest.approx(1)}


def test_the_mixed_ticket_reaches_every_subset() -> None:
    assert set(subset_weights(ALL, GROUPS, mixed=True)) == set(range(1, 16))
    assert US | T2 not in subset_weights(ALL, GROUPS, mixed=False)


@pytest.mark.parametrize("mixed", [False, True])
@pytest.mark.parametrize("observed", [ALL, US | T2 | FLAIR, T2 | CET1])
def test_frequencies_of_draws_match_the_weights(observed: int, mixed: bool) -> None:
    count = 4000
    rows = torch.tensor([as_row(observed, 4)]).repeat(count, 1)
    drawn = draw_subsets(rows, GROUPS, 1, torch.Generator().manual_seed(0), mixed=mixed)
    frequencies = Counter(as_mask(row) for row in drawn[0].tolist())
    weights = subset_weights(observed, GROUPS, mixed=mixed)
    assert set(frequencies) <= set(weights)
    for subset, weight in weights.items():
        assert abs(frequencies[subset] / count - weight) < 5 * sqrt(weight * (1 - weight) / count) + 1e-9


def test_as_many_draws_as_tickets_use_each_ticket_once() -> None:
    rows = torch.ones(50, 4, dtype=torch.bool)
    drawn = draw_subsets(rows, GROUPS, 3, torch.Generator().manual_seed(1), mixed=False)
    for row in drawn.transpose(0, 1).tolist():
        masks = [as_mask(shown) for shown in row]
        assert ALL in masks
        assert US in masks
        assert sum(mask & US == 0 for mask in masks) == 1


def test_the_share_of_everything_observed_can_be_set_and_the_other_tickets_share_the_rest() -> None:
    count = 6000
    rows = torch.ones(count, 4, dtype=torch.bool)
    drawn = draw_subsets(rows, GROUPS, 2, torch.Generator().manual_seed(0), mixed=False, full_share=0.1)
    frequencies = Counter(as_mask(row) for row in drawn.flatten(0, 1).tolist())
    for subset, weight in {ALL: 0.1, US: 0.45, T2: 0.45 / 7}.items():
        assert abs(frequencies[subset] / (2 * count) - weight) < 5 * sqrt(weight * (1 - weight) / count)
    pairs = [{as_mask(row) for row in pair} for pair in drawn.transpose(0, 1).tolist()]
    assert not any(pair == {US} for pair in pairs)  # the other tickets are still gone through in turn


@given(st.lists(st.integers(1, 31), min_size=1, max_size=6), st.integers(1, 5), st.integers(0, 1000))
@settings(max_examples=30, deadline=None)
def test_a_draw_never_shows_what_is_not_observed_and_never_nothing(masks: list[int], draws: int, seed: int) -> None:
    observed = torch.tensor([as_row(mask, 5) for mask in masks])
    groups = ("a", "b", "a", "c", "b")
    drawn = draw_subsets(observed, groups, draws, torch.Generator().manual_seed(seed), mixed=True)
    assert drawn.shape == (draws, len(masks), 5)
    assert not (drawn & ~observed).any()
    assert drawn.any(2).all()


def test_a_row_that_observes_nothing_is_refused() -> None:
    with pytest.raises(ValueError, match="observes no modality"):
        draw_subsets(torch.zeros(1, 4, dtype=torch.bool), GROUPS, 1, torch.Generator(), mixed=True)


def test_subsets_are_enumerated_by_size() -> None:
    assert non_empty_subsets(0b1011) == [1, 2, 8, 3, 9, 10, 11]
    assert non_empty_subsets(0) == []


@pytest.mark.parametrize("mask", range(1, 16))
def test_names_and_masks_are_a_round_trip(mask: int) -> None:
    assert parse_subset(subset_name(mask, NAMES), NAMES) == mask


def test_names_come_in_the_models_order_whatever_the_users() -> None:
    assert subset_name(parse_subset("flair,us", NAMES), NAMES) == "us+flair"


@pytest.mark.parametrize("name", ["", "t1", "us+us", "us+"])
def test_a_name_that_is_no_subset_is_refused(name: str) -> None:
    with pytest.raises(ValueError, match="no subset"):
        parse_subset(name, NAMES)

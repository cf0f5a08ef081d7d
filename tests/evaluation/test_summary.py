"""Means over subjects: each subject counts once, and hidden and shown targets are kept apart."""

from __future__ import annotations

from dataclasses import replace

import pytest

from anymod.evaluation.scores import Score
from anymod.evaluation.summary import ALL, SummaryLine, comparable, differences, summarize


def score(subject: str, shown: str, target: str, method: str, psnr_db: float) -> Score:
    kind = "shown" if target in shown.split("+") else "hidden"
    return Score(
        subject, shown, target, kind, method, float(psnr_db), 0.5, 0.5, 0.1, 0.3, 0.5, 0.2, float(psnr_db), 0.4, 0.9, 10
    )


def both(subject: str, shown: str, target: str, model: float, reference: float) -> list[Score]:
    return [
        score(subject, shown, target, "model", model),
        score(subject, shown, target, "mean-image", reference),
    ]


MODALITIES = ("t1", "t2")
SCORES = [
    *both("a", "t1", "t2", 20, 10),
    *both("a", "t1", "t1", 90, 10),
    *both("a", "t2", "t1", 24, 12),
    *both("b", "t1", "t2", 30, 14),
]


def line(lines: list[SummaryLine], *key: str) -> SummaryLine:
    return next(each for each in lines if (each.shown, each.target, each.kind, each.method) == key)


def test_hidden_and_shown_targets_are_never_averaged_together() -> None:
    lines = summarize(SCORES, 0, MODALITIES)
    assert line(lines, ALL, ALL, "shown", "model").means["psnr_db"].value == 90
    assert line(lines, ALL, ALL, "hidden", "model").means["psnr_db"].value == pytest.approx((22 + 30) / 2)
    assert {each.kind for each in lines} == {"hidden", "shown"}


def test_every_subject_counts_once_however_many_cells_it_has() -> None:
    overall = line(summarize(SCORES, 0, MODALITIES), ALL, ALL, "hidden", "mean-image").means["psnr_db"]
    assert overall.value == pytest.approx((11 + 14) / 2)
    assert overall.count == 2


def test_a_score_that_a_cell_lacks_does_not_count() -> None:
    scores = [*SCORES[:-2], *(replace(each, through_plane=float("nan")) for each in SCORES[-2:])]
    mean = line(summarize(scores, 0, MODALITIES), ALL, ALL, "hidden", "model").means["through_plane"]
    assert (mean.value, mean.count) == (0.9, 1)
    assert line(summarize(scores, 0, MODALITIES), ALL, ALL, "hidden", "model").means["psnr_db"].count == 2


def test_a_cell_is_the_mean_over_the_subjects_that_have_it() -> None:
    lines = summarize(SCORES, 0, MODALITIES)
    assert line(lines, "t1", "t2", "hidden", "model").means["psnr_db"].value == 25
    assert line(lines, "t2", "t1", "hidden", "model").means["psnr_db"].count == 1
    assert line(lines, ALL, "t2", "hidden", "model").means["psnr_db"].value == 25


def test_methods_are_compared_on_the_same_cells() -> None:
    with_one_more = [*SCORES, score("b", "t2", "t1", "model", 0.0)]
    assert comparable(with_one_more) == SCORES
    assert line(summarize(with_one_more, 0, MODALITIES), ALL, ALL, "hidden", "model").means["psnr_db"].value == 26


def test_the_difference_to_a_reference_is_paired() -> None:
    difference = differences(SCORES, "hidden", "psnr_db", 0)
    assert list(difference) == ["mean-image"]
    assert difference["mean-image"].value == pytest.approx(((22 - 11) + (30 - 14)) / 2)
    assert (difference["mean-image"].low + difference["mean-image"].high) / 2 == pytest.approx(13.5)


def test_lines_come_in_the_models_order() -> None:
    lines = [each for each in summarize(SCORES, 0, ("t2", "t1")) if each.kind == "hidden" and each.method == "model"]
    assert [(each.shown, each.target) for each in lines] == [
        ("t2", "t1"),
        ("t1", "t2"),
        (ALL, "t2"),
        (ALL, "t1"),
        (ALL, ALL),
    ]

"""Which cases a report shows."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest
from tiny_models import tiny_description, tiny_model

from anymod.evaluation import Evaluation, EvaluationOptions
from anymod.evaluation.protocol import Origin
from anymod.evaluation.report import extremes
from anymod.evaluation.scores import Score
from anymod.figures import Example


def score(subject: str, shown: str, target: str, psnr: float, method: str = "model") -> Score:
    kind = "shown" if target in shown.split("+") else "hidden"
    return Score(subject, shown, target, kind, method, psnr, 0.5, 0.5, 0.1, 0.3, 0.5, 0.2, psnr, 0.1, 1.0, 3)


SCORES = [
    score("a", "t1", "t2", 20.0),
    score("b", "t1", "t2", 15.0),
    score("a", "t1", "t2", 30.0, "affine-regression"),
    score("a", "t1+t2", "t2", 40.0),  # not hidden
    score("b", "t2", "t1", 18.0),
]


@pytest.fixture
def evaluation() -> Evaluation:
    examples = [Example(name, {"t1": np.zeros((2, 2))}, {}, {}) for name in "ab"]
    origin = Origin(tiny_description(tiny_model()), "tiny", EvaluationOptions())
    return Evaluation(SCORES, examples, origin, "2 subjects")


def test_the_best_and_the_worst_hidden_case_of_each_target_are_shown(evaluation: Evaluation) -> None:
    assert [(case.label, case.example.subject, case.shown, case.target) for case in extremes(evaluation)] == [
        ("t1, best\nb\n18.0 dB", "b", "t2", "t1"),
        ("t1, worst\nb\n18.0 dB", "b", "t2", "t1"),
        ("t2, best\na\n20.0 dB", "a", "t1", "t2"),
        ("t2, worst\nb\n15.0 dB", "b", "t1", "t2"),
    ]


def test_without_a_hidden_target_there_is_no_case(evaluation: Evaluation) -> None:
    evaluation = replace(evaluation, scores=SCORES[3:4])
    assert extremes(evaluation) == []

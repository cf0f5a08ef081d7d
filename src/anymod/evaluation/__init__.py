"""How good a model is, beside references that make a number mean something."""

from __future__ import annotations

from anymod.evaluation.as_authors import authors_text, evaluate_as_authors, write_authors_report
from anymod.evaluation.bootstrap import Mean, bootstrap_mean
from anymod.evaluation.calibration import calibrate
from anymod.evaluation.demonstration import Demonstration, demonstrate
from anymod.evaluation.protocol import Evaluation, EvaluationOptions, evaluate
from anymod.evaluation.regression import TrainingMoments
from anymod.evaluation.report import overall_text, printed_text, write_report
from anymod.evaluation.scores import Score, score_subject
from anymod.evaluation.summary import SummaryLine, summarize

__all__ = [
    "Demonstration",
    "Evaluation",
    "EvaluationOptions",
    "Mean",
    "Score",
    "SummaryLine",
    "TrainingMoments",
    "authors_text",
    "bootstrap_mean",
    "calibrate",
    "demonstrate",
    "evaluate",
    "evaluate_as_authors",
    "overall_text",
    "printed_text",
    "score_subject",
    "summarize",
    "write_authors_report",
    "write_report",
]

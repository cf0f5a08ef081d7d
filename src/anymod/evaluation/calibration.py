"""Calibration: the errors of an evaluation report, by shown subset and target, stored in the model folder."""

from __future__ import annotations

import csv
import io
import json
import logging
import shutil
from collections import defaultdict
from collections.abc import Iterable, Mapping
from pathlib import Path
from typing import Any

import numpy as np

from anymod.configuration import write_yaml
from anymod.core.fidelity import squared_error_of
from anymod.core.subsets import parse_subset
from anymod.errors import ReportError
from anymod.evaluation.scores import MODEL
from anymod.files import write_text
from anymod.folders import staged_folder
from anymod.models import CARD, DESCRIPTION, WEIGHTS, Calibration, ModelDescription, find_model, load_model, read_card
from anymod.texts import read_text

HEADING = "## Expected errors"
MOST_BYTES = 2**30  # of a table of scores: 1000 subjects with four modalities have 24 million

logger = logging.getLogger(__name__)


def calibrate(model: str | Path, report: Path, out: Path, *, overwrite: bool = False) -> Calibration:
    """Write a copy of a model folder (or bundled model) with the errors in a report of `anymod evaluate`; return them.

    The report may measure another model, for example one trained by the same recipe without some subjects.

    Raises ReportError if the report cannot be read, has other modalities than the model, or measures subjects on which its own model was
    trained, whose errors are too small.
    """
    folder = find_model(model)
    _, description = load_model(folder)  # checks that the folder is complete and unaltered
    calibration = _read_report(report)
    unknown = {*calibration.errors, *(target for errors in calibration.errors.values() for target in errors)}
    unknown = {name for names in unknown for name in names.split("+")} - set(description.names)
    if unknown:
        why = f"it measures {', '.join(sorted(unknown))}, and the model knows {', '.join(description.names)}"
        raise ReportError("another model's report", report, why, "give a report of a model with these modalities")
    _check_subjects(description, calibration, report)
    errors = {_in_order(shown, description): errors for shown, errors in calibration.errors.items()}
    calibration = calibration.model_copy(update={"errors": errors})
    with staged_folder(out, overwrite=overwrite, keep=(folder, report)) as staged:
        shutil.copyfile(folder / WEIGHTS, staged / WEIGHTS)
        card = read_card(folder).partition(f"\n{HEADING}\n")[0]  # without the section of an earlier calibration
        write_text(staged / CARD, card + _card_lines(calibration))
        changed = description.model_copy(update={"calibration": calibration})
        write_yaml(staged / DESCRIPTION, changed.model_dump(mode="json"))
    return calibration


def calibration_of(facts: Mapping[str, Any], rows: Iterable[Mapping[str, str]]) -> Calibration:
    """Return the root mean squared error over subjects, each counting once, from `summary.json` and the rows of `scores.csv`."""
    squared: dict[str, dict[str, list[float]]] = defaultdict(lambda: defaultdict(list))
    subjects = set()
    for row in rows:
        if row["method"] == MODEL:
            subjects.add(row["subject"])
            squared[row["shown"]][row["target"]].append(squared_error_of(float(row["psnr_db"])))
    errors = {
        shown: {target: round(float(np.sqrt(np.mean(values))), 5) for target, values in targets.items()}
        for shown, targets in squared.items()
    }
    return Calibration(
        cohort=facts["cohort"],
        split=facts["split"],
        subjects=tuple(sorted(subjects)),
        model=facts["model_fingerprint"],
        errors=errors,
    )


def _in_order(shown: str, description: ModelDescription) -> str:
    """Return the names of a subset in the order of the model's modalities, which may differ from that of the report."""
    return description.subset_name(parse_subset(shown, description.names))


def _read_report(report: Path) -> Calibration:
    try:
        facts = json.loads(read_text(report / "summary.json"))
        scores = read_text(report / "scores.csv", MOST_BYTES)
        return calibration_of(facts, csv.DictReader(io.StringIO(scores)))
    except (OSError, ValueError, TypeError, KeyError) as error:  # a ValidationError of pydantic is a ValueError
        remedy = "give a folder that 'anymod evaluate --out' wrote"
        raise ReportError("unreadable report", report, str(error), remedy) from error


def _check_subjects(description: ModelDescription, calibration: Calibration, report: Path) -> None:
    """Raise ReportError if the model was trained on subjects of the report; warn if the report measures another model."""
    if calibration.model != description.fingerprint():
        logger.warning("%s measures another model (or this one in another precision)", report)
        return
    training = description.training
    trained_on = set(training.get("subjects", ())) if training.get("cohort") == calibration.cohort else set()
    known = sorted(trained_on & set(calibration.subjects))
    if known:
        why = f"the model was trained on {known[0]}, so its errors there are too small"
        raise ReportError("training subjects", report, why, "evaluate with --split validation, and give that report")


def _card_lines(calibration: Calibration) -> str:
    return f"""
{HEADING}

`model.yaml` holds the root mean squared error of each target from each shown subset, on {len(calibration.subjects)} subjects of
split "{calibration.split}" of cohort "{calibration.cohort}". `anymod synthesize --samples` adds it to the standard deviation of the
samples. It is one number per image and does not say where the image is wrong.
"""

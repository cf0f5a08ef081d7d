"""Calibration: the errors of an evaluation report, by shown subset and target, stored in the model folder."""

from __future__ import annotations

import csv
import io
import json
import logging
from collections import defaultdict
from collections.abc import Iterable, Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import numpy as np

from anymod.configuration import write_yaml
from anymod.core.fidelity import squared_error_of
from anymod.core.subsets import parse_subset
from anymod.errors import ReportError
from anymod.evaluation.protocol import PROTOCOL_VERSION
from anymod.evaluation.scores import MODEL
from anymod.files import write_text
from anymod.folders import staged_folder
from anymod.models import (
    CARD,
    DESCRIPTION,
    Calibration,
    ModelDescription,
    copy_model,
    find_model,
    load_model,
    read_card,
)
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
    facts, rows = read_report(report)
    _check_modalities(description, rows, report)
    with _reading(report):
        calibration = calibration_of(facts, rows)
    _check_subjects(description, facts, calibration, report)
    gains = _gains(description, facts, report)
    errors = {
        _in_order(shown, description): {target: round(error * gains[target], 5) for target, error in errors.items()}
        for shown, errors in calibration.errors.items()
    }
    calibration = calibration.model_copy(update={"errors": errors})
    with staged_folder(out, overwrite=overwrite, keep=(folder, report)) as staged:
        copy_model(folder, staged)
        write_text(staged / CARD, with_section(read_card(folder), HEADING, _card_lines(calibration)))
        changed = description.model_copy(update={"calibration": calibration})
        write_yaml(staged / DESCRIPTION, changed.model_dump(mode="json"))
    return calibration


def calibration_of(facts: Mapping[str, Any], rows: Iterable[Mapping[str, str]]) -> Calibration:
    """Return the root mean squared error over subjects, each counting once, from `summary.json` and the rows of `scores.csv`.

    Errors are in units of the measured model, [-1, 1].
    """
    squared: dict[str, dict[str, list[float]]] = defaultdict(lambda: defaultdict(list))
    subjects = set()
    for row in rows:
        if row["method"] == MODEL:
            subjects.add(row["subject"])
            gain = float(facts["model_units_per_unit"][row["subject"]][row["target"]])
            squared[row["shown"]][row["target"]].append(squared_error_of(float(row["psnr_db"])) * gain**2)
    errors = {
        shown: {target: round(float(np.sqrt(np.mean(values))), 5) for target, values in targets.items()}
        for shown, targets in squared.items()
    }
    return Calibration(
        cohort=facts["cohort"],
        split=facts["split"],
        subjects=tuple(sorted(subjects)),
        model=facts["model_fingerprint"],
        draws=facts["draws"],
        errors=errors,
    )


def with_section(card: str, heading: str, text: str) -> str:
    """Return a model card with a section of this heading at its end, instead of an earlier one."""
    before, _, rest = card.partition(f"\n{heading}\n")
    following = rest.find("\n## ")
    return before + ("" if following < 0 else rest[following:]) + f"\n{heading}\n" + text


def _in_order(shown: str, description: ModelDescription) -> str:
    """Return the names of a subset in the order of the model's modalities, which may differ from that of the report."""
    return description.subset_name(parse_subset(shown, description.names))


def read_report(report: Path) -> tuple[dict[str, Any], list[dict[str, str]]]:
    """Return the content of `summary.json` and the rows of `scores.csv`; raise ReportError for another protocol or version of it."""
    with _reading(report):
        facts = json.loads(read_text(report / "summary.json"))
        protocol, version = facts["protocol"], facts.get("protocol_version", 1)
    if (protocol, version) != ("standard", PROTOCOL_VERSION):
        why = f"it holds protocol {protocol}, version {version}, and not standard, version {PROTOCOL_VERSION}"
        raise ReportError("another protocol", report, why, "run 'anymod evaluate' again, and give that report")
    with _reading(report):
        return facts, list(csv.DictReader(io.StringIO(read_text(report / "scores.csv", MOST_BYTES))))


def _check_modalities(description: ModelDescription, rows: Iterable[Mapping[str, str]], report: Path) -> None:
    with _reading(report):
        measured = {name for row in rows for name in (*row["shown"].split("+"), row["target"])}
    unknown = measured - set(description.names)
    if unknown:
        why = f"it measures {', '.join(sorted(unknown))}, and the model knows {', '.join(description.names)}"
        raise ReportError("another model's report", report, why, "give a report of a model with these modalities")


@contextmanager
def _reading(report: Path) -> Iterator[None]:
    """Turn whatever is wrong with the files of a report into a ReportError."""
    try:
        yield
    except (
        OSError,
        ValueError,
        TypeError,
        KeyError,
        AttributeError,
    ) as error:  # a ValidationError of pydantic is a ValueError
        remedy = "give a folder that 'anymod evaluate --out' wrote"
        raise ReportError("unreadable report", report, str(error), remedy) from error


def _check_subjects(
    description: ModelDescription, facts: Mapping[str, Any], calibration: Calibration, report: Path
) -> None:
    """Raise ReportError if the measured model was trained on subjects of the report; warn if it is another model than this one.

    The report says what it found when it compared the images' fingerprints; they are compared again with those of this model.
    """
    with _reading(report):
        known = list(facts["training_subjects"])
        images = {name: list(facts["images"][name].values()) for name in calibration.subjects}
    if calibration.model != description.fingerprint():
        logger.warning("%s measures another model (or this one in another precision)", report)
    else:
        known += description.trained_on(calibration.cohort, images)
        if "images" not in description.training:
            logger.warning(
                "the model holds no fingerprints of its training images: its subjects are known by name only"
            )
    if facts.get("draws", {}).get("realistic"):
        why = "it measures realistic images, whose errors are larger than those of the means"
        raise ReportError("realistic images", report, why, "evaluate without --realistic, and give that report")
    if known:
        why = f"the model was trained on {min(known)}, so its errors there are too small"
        raise ReportError("training subjects", report, why, "evaluate with --split validation, and give that report")


def _gains(description: ModelDescription, facts: Mapping[str, Any], report: Path) -> dict[str, float]:
    """Return how many units of this model are one unit of the measured one, by target.

    Raises ReportError if the two scale images by different rules.
    """
    with _reading(report):
        theirs, ours = dict(facts["model_scale"]), description.scale()
        before, after = theirs.pop("constants"), ours.pop("constants")
        if theirs != ours:
            why = "the model that it measures scales images by another rule"
            raise ReportError("another intensity scale", report, why, "give a report of a model of the same recipe")
        return {
            name: after[name] / before[name] if after[name] and before.get(name) else 1.0 for name in description.names
        }


def _card_lines(calibration: Calibration) -> str:
    draws = ", ".join(f"{name} {value}" for name, value in calibration.draws.items())
    return f"""
`model.yaml` holds the root mean squared error of each target from each shown subset, on {len(calibration.subjects)} subjects of
split "{calibration.split}" of cohort "{calibration.cohort}" (images drawn with {draws}).
`anymod synthesize --samples` adds it to the standard deviation of the samples. It is one number per image and does not say where
the image is wrong.
"""

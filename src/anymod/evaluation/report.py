"""A report folder: `scores.csv`, `summary.csv`, `summary.md`, `summary.json`, `best-and-worst.png`, `figures/`."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import asdict
from pathlib import Path
from typing import Any

from anymod.core.fidelity import DATA_RANGE
from anymod.evaluation.lesions import BRIGHT, RING_MM, VISIBLE, lesion_table
from anymod.evaluation.protocol import PROTOCOL_VERSION, Evaluation
from anymod.evaluation.reference_images import MEAN_IMAGE
from anymod.evaluation.scores import METHODS, MODEL
from anymod.evaluation.summary import ALL, METRICS, SummaryLine, differences, summarize
from anymod.evaluation.tally import SCALES
from anymod.figures.examples import Case, draw_example, draw_extremes
from anymod.files import write_json, write_text
from anymod.reports.intervals import INTERVALS
from anymod.reports.tables import format_mean, json_rows, markdown_table, write_rows

PRINTED = ("psnr_db", "ssim", "lpips", "structure_psnr_db", "spectrum_error")
"""Columns that fit on a terminal."""
KINDS = {"hidden": "Hidden targets (synthesized from other modalities)", "shown": "Shown targets (reconstructed)"}


def write_report(evaluation: Evaluation, folder: Path, *, figures: int) -> dict[str, Any]:
    """Write the report into an existing folder; return the content of `summary.json`.

    Figures show the first `figures` subjects, and the best and the worst case of each target; with `figures` 0 there are none.
    """
    names = evaluation.origin.description.names
    lines = _lines(evaluation)
    rows = [_as_row(line) for line in lines]
    write_rows(folder / "scores.csv", [asdict(score) for score in evaluation.scores])
    write_rows(folder / "summary.csv", rows)
    if evaluation.lesions:
        write_rows(folder / "lesions.csv", [asdict(lesion) for lesion in evaluation.lesions])
    write_text(folder / "summary.md", summary_text(evaluation, lines))
    facts = {**evaluation.origin.facts(evaluation.scores), "references_fitted_on": evaluation.training}
    content = {"protocol": "standard", **facts, **_scale_facts(evaluation), "summary": json_rows(rows)}
    write_json(folder / "summary.json", content)
    for example in [each for each in evaluation.examples if each.predictions][:figures]:
        draw_example(folder / "figures" / f"{example.subject}.png", example)
    cases = extremes(evaluation) if figures else []
    if cases:
        draw_extremes(folder / "best-and-worst.png", cases, names)
    return {"format": 1, **content}


def _scale_facts(evaluation: Evaluation) -> dict[str, Any]:
    """Return the version of the protocol, its units, and what `anymod calibrate` needs to return to those of the model."""
    description = evaluation.origin.description
    return {
        "protocol_version": PROTOCOL_VERSION,
        "data_range": DATA_RANGE,
        "ms_ssim": {"scales": SCALES, "beyond_border": "background"},
        "spacing_mm": evaluation.spacing_mm,
        "unit_constants": evaluation.constants,
        "images": evaluation.fingerprints,
        "training_subjects": description.trained_on(
            evaluation.origin.cohort, {name: images.values() for name, images in evaluation.fingerprints.items()}
        ),
        "model_scale": description.scale(),
        "model_units_per_unit": evaluation.factors,
    }


def extremes(evaluation: Evaluation) -> list[Case]:
    """Return the best and the worst case of each hidden target by the model's PSNR."""
    examples = {example.subject: example for example in evaluation.examples}
    cases = []
    for target in evaluation.origin.description.names:
        key = ("hidden", MODEL, target)
        hidden = [each for each in evaluation.scores if (each.kind, each.method, each.target) == key]
        for name, choose in (("best", max), ("worst", min)) if hidden else ():
            score = choose(hidden, key=lambda each: each.psnr_db)
            label = f"{target}, {name}\n{score.subject}\n{score.psnr_db:.1f} dB"
            cases.append(Case(label, examples[score.subject], score.shown, target))
    return cases


def summary_text(evaluation: Evaluation, lines: Sequence[SummaryLine]) -> str:
    """Return the report's page in Markdown."""
    draws = evaluation.origin.options.draws.draws()
    parts = [
        f"# Evaluation, protocol standard, version {PROTOCOL_VERSION}",
        "",
        evaluation.origin.text(evaluation.scores),
        f"References fitted on {evaluation.training}.",
        "Images drawn with " + ", ".join(f"{name} {value}" for name, value in draws.items()) + ".",
        "",
        f"Means over subjects with 95 % intervals ({INTERVALS}), in voxels of {evaluation.spacing_mm:g} mm, inside the target's foreground"
        " where at least one shown image has foreground too. Intensities in [-1, 1], data range 2, in units of the cohort: the core of"
        f" each image lies at {_constants_text(evaluation)} of the range. Reports of the same version, cohort, splits and voxel size can"
        " be compared, whatever the model. PSNR of equal images is 100 dB. SSIM is two-dimensional"
        f" (Gaussian window, sigma 1.5 pixels), MS-SSIM has {SCALES} scales; both see background beyond the border of a slice. Structure is"
        " the PSNR after the best affine map of a volume's intensities; the difference to PSNR is an error of scale. Spectrum error is the"
        " largest relative deviation of the power spectrum within slices, up to half the Nyquist frequency (0: as fine as the truth)."
        " Through plane is the change from slice to slice divided by the true one (1: as in the truth; larger: slices do not fit together)."
        " LPIPS (AlexNet, version 0.1, every fourth slice), HaarPSI and GMSD say how different two slices look. Higher is better, except"
        " for MAE, LPIPS, GMSD, spectrum error and through plane.",
        "",
    ]
    for kind, title in KINDS.items():
        chosen = [line for line in lines if line.kind == kind]
        if chosen:
            parts += [f"## {title}", "", _overall_text(evaluation, chosen), ""]
            parts += ["### By target, over all shown subsets", "", _table(_select(chosen, overall=False)), ""]
            parts += ["### By shown subset", "", _table([line for line in chosen if line.shown != ALL]), ""]
    if evaluation.lesions:
        parts += ["## Lesions in hidden targets", "", *_lesion_text(evaluation), ""]
    return "\n".join(parts)


def _lesion_text(evaluation: Evaluation) -> list[str]:
    text = (
        f"Inside the label map and up to {RING_MM:g} mm around it. Error inside is the root mean squared error. Sign and"
        f" contrast-to-noise count where the truth and a shown image display the lesion with a contrast-to-noise ratio of {VISIBLE:g}"
        f" or more. Bright voxels are {BRIGHT:g} standard deviations above the true surroundings."
    )
    return [text, "", lesion_table(evaluation.lesions, METHODS, evaluation.origin.options.seed)]


def _constants_text(evaluation: Evaluation) -> str:
    return ", ".join(f"{constant:.2f} ({name})" for name, constant in evaluation.constants.items())


def printed_text(evaluation: Evaluation) -> str:
    """Return the text for a terminal: how the references were fitted, then the tables over all shown subsets."""
    lines, facts = _lines(evaluation), evaluation.origin.facts(evaluation.scores)
    parts = [f"{facts['subjects']} subject(s) of split '{facts['split']}'; references fitted on {evaluation.training}"]
    for kind, title in KINDS.items():
        chosen = [line for line in lines if line.kind == kind]
        if chosen:
            overall = _overall_text(evaluation, chosen, PRINTED)
            parts += [f"\n{title}", overall, "", _table(_select(chosen, overall=False), PRINTED)]
    return "\n".join(parts)


def _overall_text(evaluation: Evaluation, lines: Sequence[SummaryLine], metrics: Sequence[str] = tuple(METRICS)) -> str:
    """Return the table over all subsets and targets of one kind, and the differences between the model and its references."""
    overall = _select(lines, overall=True)
    if not overall:
        return "No cell has a row of every method."
    text, kind = [_table(overall, metrics)], overall[0].kind
    for method, mean in differences(evaluation.scores, kind, "psnr_db", evaluation.origin.options.seed).items():
        if kind == "hidden" or method == MEAN_IMAGE:  # the regressions copy a shown target
            text.append(f"\nModel minus {method}, same subjects: {format_mean(mean, '+.2f')} dB.")
    return "\n".join(text)


def _lines(evaluation: Evaluation) -> list[SummaryLine]:
    return summarize(evaluation.scores, evaluation.origin.options.seed, evaluation.origin.description.names)


def _select(lines: Sequence[SummaryLine], *, overall: bool) -> list[SummaryLine]:
    return [line for line in lines if line.shown == ALL and (line.target == ALL) == overall]


def _table(lines: Sequence[SummaryLine], metrics: Sequence[str] = tuple(METRICS)) -> str:
    """Return a Markdown table without the columns `shown` and `target` where they are `all` in every line."""
    labels = [name for name in ("shown", "target") if any(getattr(line, name) != ALL for line in lines)] + ["method"]
    header = [*labels, *(METRICS[metric][0] for metric in metrics), "subjects"]
    rows = []
    for line in lines:
        cells = [format_mean(line.means[metric], METRICS[metric][1]) for metric in metrics]
        rows.append([*(getattr(line, name) for name in labels), *cells, str(line.means["psnr_db"].count)])
    return markdown_table(header, rows, len(labels))


def _as_row(line: SummaryLine) -> dict[str, Any]:
    row: dict[str, Any] = {"shown": line.shown, "target": line.target, "kind": line.kind, "method": line.method}
    row["subjects"] = line.means["psnr_db"].count
    for metric, mean in line.means.items():
        row.update({metric: mean.value, f"{metric}_low": mean.low, f"{metric}_high": mean.high})
    return row

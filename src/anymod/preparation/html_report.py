"""`report.html`: the findings of a check with a picture of every image, in one self-contained file."""

from __future__ import annotations

import base64
from collections.abc import Iterable, Sequence
from html import escape
from pathlib import Path

from anymod import __version__
from anymod.files import write_text
from anymod.preparation.findings import CheckReport, Finding, ImageFacts, SubjectFacts, describe_image

REPORT = "report.html"
STYLE = """
body { font: 15px/1.4 system-ui, sans-serif; margin: 2em auto; max-width: 75em; padding: 0 1em; }
h2 { border-top: 1px solid #ccc; padding-top: .7em; margin-bottom: 0; }
figure { display: inline-block; margin: .5em 1em .5em 0; vertical-align: bottom; }
figcaption { font-size: 13px; color: #444; }
img { background: #000; max-height: 16em; display: block; }
.alignment { display: block; } .alignment img { max-height: none; }
svg { display: block; background: #eee; width: 144px; height: 36px; } path { fill: #456; }
table { border-collapse: collapse; } td, th { padding: .1em .8em .1em 0; text-align: left; font-size: 14px; }
.problem { color: #a00000; } .note { color: #7a5c00; } .absent { color: #777; }
"""


def write_report(report: CheckReport, folder: Path) -> Path:
    """Write the report into a folder and return its path."""
    path = folder / REPORT
    write_text(path, report_html(report))
    return path


def report_html(report: CheckReport) -> str:
    """Return the page; every text from the cohort is escaped, and the page may neither run scripts nor load anything."""
    title = f"Cohort {escape(report.cohort)}"
    count, problems = len(report.subjects), len(report.problems)
    body = [
        f"<h1>{title}</h1>",
        f"<p>{count} subject{'s' * (count != 1)}, {problems} problem{'s' * (problems != 1)}. "
        "Under each image: the share of the volume that is foreground, the raw range of the foreground "
        "(minimum to percentile 99.95), and its histogram over that range. "
        "The pictures show the axial slice in the middle of the foreground, with the front up "
        f"and the patient's right side on the left. Written by anymod {escape(__version__)}.</p>",
        _findings_html(report.all_findings),
        _table_html(report),
        *(_subject_html(subject, report.modalities, number) for number, subject in enumerate(report.subjects)),
    ]
    policy = "default-src 'none'; img-src data:; style-src 'unsafe-inline'"
    return (
        '<!doctype html>\n<html lang="en"><head><meta charset="utf-8">'
        f'<meta http-equiv="Content-Security-Policy" content="{policy}">'
        f"<title>{title}</title><style>{STYLE}</style></head>\n<body>\n" + "\n".join(body) + "\n</body></html>\n"
    )


def _table_html(report: CheckReport) -> str:
    """Return a table of the images that each subject has, with links to the subjects."""
    rows = ["".join(f"<th>{escape(name)}</th>" for name in ("subject", "split", "grid", *report.modalities))]
    for number, subject in enumerate(report.subjects):
        there = {image.modality for image in subject.images}
        link = f'<a href="#subject-{number}">{escape(subject.name)}</a>'
        cells = [link, escape(subject.split), escape(subject.grid or "-")]
        cells += ["yes" if name in there else '<span class="absent">-</span>' for name in report.modalities]
        rows.append("".join(f"<td>{cell}</td>" for cell in cells))
    return "<table>" + "".join(f"<tr>{row}</tr>" for row in rows) + "</table>"


def _subject_html(subject: SubjectFacts, modalities: Iterable[str], number: int) -> str:
    facts = {image.modality: image for image in subject.images}
    figures = [
        _image_html(facts[name]) if name in facts else f'<figure class="absent">no {escape(name)}</figure>'
        for name in modalities
    ]
    place = f"{escape(subject.split)}, {escape(subject.grid or 'no grid')}"
    heading = f'<h2 id="subject-{number}">{escape(subject.name)}</h2><p>{place}</p>'
    figures += [_figure_html(png, words, "alignment", "alignment") for words, png in subject.alignments]
    return heading + _findings_html(subject.findings) + "".join(figures)


def _image_html(facts: ImageFacts) -> str:
    caption = f"{facts.modality}: {describe_image(facts)}"
    return _figure_html(facts.preview, caption, facts.modality, below=_histogram_html(facts.histogram))


def _histogram_html(shares: Sequence[float]) -> str:
    """Return a bar chart of the shares; the highest bar fills the height."""
    if not shares:
        return ""
    highest = max(shares) or 1.0
    bars = "".join(f"M{place},1V{1 - share / highest:.3f}h1V1z" for place, share in enumerate(shares))
    return f'<svg viewBox="0 0 {len(shares)} 1" preserveAspectRatio="none"><path d="{bars}"/></svg>'


def _figure_html(png: bytes, caption: str, name: str, kind: str = "image", below: str = "") -> str:
    picture = base64.b64encode(png).decode("ascii")
    words = f"<figcaption>{escape(caption)}{below}</figcaption>"
    return f'<figure class="{kind}"><img alt="{escape(name)}" src="data:image/png;base64,{picture}">{words}</figure>'


def _findings_html(findings: Iterable[Finding]) -> str:
    items = "".join(f'<li class="{finding.level}">{escape(finding.line())}</li>' for finding in findings)
    return f"<ul>{items}</ul>" if items else ""

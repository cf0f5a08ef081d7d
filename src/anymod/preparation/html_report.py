"""`report.html`: what a check found with a picture of every image, in one file that loads nothing from elsewhere."""

from __future__ import annotations

import base64
from collections.abc import Iterable
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
.problem { color: #a00000; } .note { color: #7a5c00; } .absent { color: #777; }
"""


def write_report(report: CheckReport, folder: Path) -> Path:
    """Write the report into a folder and return its path."""
    path = folder / REPORT
    write_text(path, report_html(report))
    return path


def report_html(report: CheckReport) -> str:
    """Return the page; every text from the cohort is escaped, and the page may run no script and load nothing."""
    title = f"Cohort {escape(report.cohort)}"
    count, problems = len(report.subjects), len(report.problems)
    body = [
        f"<h1>{title}</h1>",
        f"<p>{count} subject{'s' * (count != 1)}, {problems} problem{'s' * (problems != 1)}. "
        "Under each image: which part of the volume is foreground, and the foreground's raw range "
        "(minimum to percentile 99.95). Pictures: the axial slice in the middle of the foreground, front up, "
        f"the patient's right side on the left. Written by anymod {escape(__version__)}.</p>",
        _findings_html(report.findings),
        *(_subject_html(subject, report.modalities) for subject in report.subjects),
    ]
    policy = "default-src 'none'; img-src data:; style-src 'unsafe-inline'"
    return (
        '<!doctype html>\n<html lang="en"><head><meta charset="utf-8">'
        f'<meta http-equiv="Content-Security-Policy" content="{policy}">'
        f"<title>{title}</title><style>{STYLE}</style></head>\n<body>\n" + "\n".join(body) + "\n</body></html>\n"
    )


def _subject_html(subject: SubjectFacts, modalities: Iterable[str]) -> str:
    facts = {image.modality: image for image in subject.images}
    figures = [
        _image_html(facts[name]) if name in facts else f'<figure class="absent">no {escape(name)}</figure>'
        for name in modalities
    ]
    heading = f"<h2>{escape(subject.name)}</h2><p>{escape(subject.split)}, {escape(subject.grid or 'no grid')}</p>"
    figures += [_figure_html(png, words, "alignment") for words, png in subject.alignments]
    return heading + _findings_html(subject.findings) + "".join(figures)


def _image_html(facts: ImageFacts) -> str:
    return _figure_html(facts.preview, f"{facts.modality}: {describe_image(facts)}", facts.modality)


def _figure_html(png: bytes, caption: str, name: str) -> str:
    picture = base64.b64encode(png).decode("ascii")
    words = f"<figcaption>{escape(caption)}</figcaption>"
    return f'<figure><img alt="{escape(name)}" src="data:image/png;base64,{picture}">{words}</figure>'


def _findings_html(findings: Iterable[Finding]) -> str:
    items = "".join(f'<li class="{finding.level}">{escape(finding.line())}</li>' for finding in findings)
    return f"<ul>{items}</ul>" if items else ""

"""The check: each thing that is wrong becomes one line, and one bad subject hides no other."""

from __future__ import annotations

import io
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path

import matplotlib.image
import numpy as np
import pytest

from anymod.cohorts import Cohort, Modality, Subject, read_cohort, write_cohort
from anymod.errors import CohortError
from anymod.figures.thumbnails import preview_png
from anymod.files import write_json
from anymod.preparation import CheckReport, Finding, check_cohort, write_report
from anymod.preparation.aligning import AlignmentRow, write_table
from anymod.preparation.checking import _unchecked
from anymod.preparation.findings import ImageFacts, SubjectFacts
from anymod.preparation.html_report import report_html
from anymod.volumes import Grid, IntensityRange, Volume, read_volume

WriteImage = Callable[..., Path]


@pytest.fixture
def cohort(tmp_path: Path, write_image: WriteImage) -> Cohort:
    """Return a sound cohort: a has t1, t2 and a mask, b has t1."""
    root = tmp_path / "cohort"
    for seed, name in enumerate(("a/t1", "a/t2", "b/t1")):
        write_image(root / f"subjects/{name}.nii.gz", seed)
    write_image(root / "subjects/a/mask.nii.gz", (read_volume(root / "subjects/a/t1.nii.gz").data > 0).astype(np.int16))
    subjects = (
        Subject("a", "train", {name: f"subjects/a/{name}.nii.gz" for name in ("t1", "t2")}, "subjects/a/mask.nii.gz"),
        Subject("b", "test", {"t1": "subjects/b/t1.nii.gz"}),
    )
    return write_cohort(Cohort(root, "tiny", (Modality("t1", "mr"), Modality("t2", "mr")), subjects), root)


def problem_lines(cohort: Cohort) -> list[str]:
    return [finding.line() for finding in check_cohort(cohort.root).problems]


def test_sound_cohort_has_no_findings(cohort: Cohort) -> None:
    report = check_cohort(cohort.root)
    assert report.all_findings == ()
    assert [image.modality for image in report.subjects[0].images] == ["t1", "t2"]
    data = read_volume(cohort.path(cohort.subjects[1], "t1")).data
    facts = report.subjects[1].images[0]
    assert facts.foreground_fraction == pytest.approx((data > 0).mean())
    assert (facts.low, facts.high) == (data[data > 0].min(), pytest.approx(np.percentile(data[data > 0], 99.95)))
    assert report.table().splitlines()[2].split()[:2] == ["b", "test"]


def test_subjects_that_were_left_out_are_reported(cohort: Cohort) -> None:
    write_json(cohort.root / "failures.json", {"failures": {"c": "no t1 <here>"}})
    report = check_cohort(cohort.root)
    assert [finding.line().split(";")[0] for finding in report.all_findings] == [
        "note: subject 'c': left out: no t1 <here>"
    ]
    assert "left out: no t1 &lt;here&gt;" in report_html(report)


@pytest.mark.parametrize("text", ["{", "[]", '{"failures": 3}', "{}", "[" * 100_000])
def test_a_record_of_subjects_left_out_that_cannot_be_read_is_a_problem(cohort: Cohort, text: str) -> None:
    (cohort.root / "failures.json").write_text(text)
    (line,) = problem_lines(cohort)
    assert line.startswith("problem: failures.json: it cannot be read")


def test_each_bad_file_is_a_line_and_hides_no_other(cohort: Cohort) -> None:
    whole = (cohort.root / "subjects/a/t1.nii.gz").read_bytes()
    (cohort.root / "subjects/a/t1.nii.gz").write_bytes(whole[: len(whole) // 2])
    (cohort.root / "subjects/b/t1.nii.gz").unlink()
    lines = problem_lines(cohort)
    assert len(lines) == 2
    assert lines[0].startswith("problem: subject 'a', subjects/a/t1.nii.gz: ")
    assert lines[1].startswith("problem: subject 'b', subjects/b/t1.nii.gz: ")
    assert [image.modality for image in check_cohort(cohort.root).subjects[0].images] == ["t2"]


def test_path_outside_of_the_cohort_is_a_problem(cohort: Cohort) -> None:
    table = cohort.root / "subjects.csv"
    table.write_text(table.read_text().replace("subjects/b/t1.nii.gz", "../t1.nii.gz"))
    (line,) = problem_lines(cohort)
    assert "path outside its folder" in line


def test_different_grids_are_a_problem(cohort: Cohort, write_image: WriteImage) -> None:
    write_image(cohort.root / "subjects/a/t2.nii.gz", 1, np.diag([1, 1, 2.0, 1]))
    (line,) = problem_lines(cohort)
    assert "different grids" in line and "--resample-to" in line


def test_same_image_in_two_splits_is_a_problem(cohort: Cohort) -> None:
    (cohort.root / "subjects/b/t1.nii.gz").write_bytes((cohort.root / "subjects/a/t1.nii.gz").read_bytes())
    (line,) = problem_lines(cohort)
    assert "subject 'b'" in line and "those of t1 of subject 'a', which is in another split (train, here test)" in line


def test_constant_image_empty_mask_and_wrong_spacing_are_problems(cohort: Cohort, write_image: WriteImage) -> None:
    write_image(cohort.root / "subjects/b/t1.nii.gz", np.full((4, 4, 4), 3.0, np.float32))
    write_image(cohort.root / "subjects/a/mask.nii.gz", np.zeros((12, 10, 8), np.int16))
    description = cohort.root / "cohort.yaml"
    description.write_text(description.read_text().replace("spacing_mm: null", "spacing_mm: [2.0, 2.0, 2.0]"))
    lines = "\n".join(problem_lines(cohort))
    assert "all voxels are 3" in lines
    assert "the mask is empty" in lines
    assert "cohort.yaml says (2.0, 2.0, 2.0)" in lines


def test_odd_images_are_notes_only(cohort: Cohort, write_image: WriteImage) -> None:
    rng = np.random.default_rng(0)
    noisy = rng.uniform(1, 2, (20, 20, 20)).astype(np.float32)
    noisy[5, 5, 5] = 100
    for name, data in {"t1": noisy, "t2": 3 - noisy.clip(1, 2), "mask": np.ones(noisy.shape, np.int16)}.items():
        write_image(cohort.root / f"subjects/a/{name}.nii.gz", data)
    labels = np.zeros((12, 10, 8), np.float32)
    labels[3:6, 3:6, 3:6] = rng.integers(1, 4, (3, 3, 3))
    write_image(cohort.root / "subjects/b/t1.nii.gz", labels, np.diag([1, 1, 12.0, 1]))
    report = check_cohort(cohort.root)
    text = "\n".join(finding.line() for finding in report.all_findings)
    assert report.problems == ()
    assert "subjects/a/t1.nii.gz: 100.0 % of the volume is foreground" in text
    assert "subjects/a/t1.nii.gz: its maximum is 99 times its 99.95th percentile" in text
    assert "subjects/b/t1.nii.gz: voxels of 1 x 1 x 12 mm are very long" in text
    assert "subjects/b/t1.nii.gz: its foreground has fewer than 16 different values" in text


def test_cohort_without_training_subjects_is_noted(cohort: Cohort) -> None:
    table = cohort.root / "subjects.csv"
    table.write_text(table.read_text().replace("a,train", "a,test"))
    assert "no subject of the cohort is for training" in check_cohort(cohort.root).findings[0].text


def test_broken_table_stops_the_check(cohort: Cohort) -> None:
    (cohort.root / "subjects.csv").write_text("subject,spilt\n")
    with pytest.raises(CohortError, match="did you mean 'split'"):
        check_cohort(cohort.root)


def test_page_escapes_every_text_and_loads_nothing(cohort: Cohort) -> None:
    hostile = "<script>alert('x')</script>"
    finding = Finding("problem", hostile, hostile, hostile, hostile)
    image = ImageFacts(hostile, 0.5, 0.0, 1.0, "", b"png")
    subject = SubjectFacts(hostile, hostile, hostile, (image,), (finding,))
    page = report_html(CheckReport(hostile, (hostile, "t2"), (subject,), (finding,)))
    assert "<script" not in page and "alert(" in page
    assert "http" not in page.replace("http-equiv", "")
    assert write_report(check_cohort(cohort.root), cohort.root).read_text().count("<img") == 3


def test_the_page_begins_with_what_is_wrong_and_what_is_there(cohort: Cohort) -> None:
    report = check_cohort(cohort.root)
    noted = Finding("note", "a", "", "something to look at", "look")
    page = report_html(replace(report, findings=(noted,)))
    assert page.index("something to look at") < page.index("<table>") < page.index("<h2")
    assert page.count("<tr>") == 1 + len(report.subjects)
    assert '<a href="#subject-0">' in page and 'id="subject-0"' in page
    shares = report.subjects[0].images[0].histogram
    assert sum(shares) == pytest.approx(1.0)
    assert page.count("<svg") == sum(len(subject.images) for subject in report.subjects)


def test_alignments_are_shown_and_doubts_reported(cohort: Cohort) -> None:
    row = AlignmentRow("a", "t2", "mutual-information", 0.4, 0.1, 3.25, 0.05, 0.9, "it is flat")
    write_table([row], cohort.root)
    (cohort.root / row.picture).parent.mkdir(parents=True)
    (cohort.root / row.picture).write_bytes(b"png")
    report = check_cohort(cohort.root)
    assert any("the alignment of t2 is in doubt: it is flat" in finding.line() for finding in report.all_findings)
    assert "t2 aligned: moved by up to 3.2 mm" in report_html(report)


def test_preview_has_the_front_up_and_the_right_side_on_the_left() -> None:
    data = np.zeros((9, 7, 5), dtype=np.float32)
    data[1:8, 1:6, 1:4] = 10
    data[7, 5, 2] = 100  # to the right and front in RAS
    volume = Volume(data, Grid(data.shape, np.eye(4)))
    pixels = matplotlib.image.imread(io.BytesIO(preview_png(volume, data > 0, IntensityRange(0.0, 100.0))))[..., 0]
    assert pixels.shape == (7, 9)
    assert np.unravel_index(pixels.argmax(), pixels.shape) == (1, 1)


def test_json_has_no_pictures(cohort: Cohort) -> None:
    content = check_cohort(cohort.root).as_json()
    assert content["problems"] == 0
    assert "preview" not in content["subjects"][0]["images"][0]
    assert read_cohort(cohort.root).name == content["cohort"]


def test_worker_that_died_is_its_subject_s_finding(cohort: Cohort) -> None:
    facts = _unchecked(cohort.subjects[1], "MemoryError: no room")
    assert facts.findings[0].line().startswith("problem: subject 'b': it could not be checked: MemoryError: no room; ")
    assert "b" in CheckReport("tiny", ("t1",), (facts,), ()).table()

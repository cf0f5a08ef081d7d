"""The cohort folder: what is read, what is refused, what comes back."""

from __future__ import annotations

import hashlib
import json
import shutil
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
import SimpleITK as sitk
from hypothesis import HealthCheck, given, settings, strategies as st

from anymod.cohorts import Cohort, Modality, Subject, default_group, read_cohort, write_cohort
from anymod.errors import AnymodError, CohortError, ModalityError
from anymod.files import sha256

DESCRIPTION = "format: 1\nname: tiny\nmodalities:\n  - {name: t1}\n  - {name: us}\n"
TABLE = (
    "subject,split,t1,us,mask\na,train,subjects/a/t1.nii.gz,,subjects/a/mask.nii.gz\nb,test,,subjects/b/us.nii.gz,\n"
)


def write_tiny(folder: Path, *, description: str = DESCRIPTION, table: str = TABLE) -> Path:
    for name in ("a/t1", "a/mask", "b/us"):
        path = folder / "subjects" / f"{name}.nii.gz"
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_bytes(name.encode())
    (folder / "cohort.yaml").write_text(description)
    (folder / "subjects.csv").write_text(table)
    return folder


def test_cohort_holds_what_its_two_files_say(tmp_path: Path) -> None:
    cohort = read_cohort(write_tiny(tmp_path))
    assert cohort.modalities == (Modality("t1", "mr"), Modality("us", "us"))
    assert cohort.subject("a") == Subject("a", "train", {"t1": "subjects/a/t1.nii.gz"}, mask="subjects/a/mask.nii.gz")
    assert cohort.subject("b").observed == ("us",)
    assert [subject.name for subject in cohort.of_split("test", "validation")] == ["b"]


def test_written_cohort_reads_back_equal(tmp_path: Path) -> None:
    cohort = replace(
        read_cohort(write_tiny(tmp_path)),
        modalities=(Modality("t1", "mr", 0.6), Modality("us", "us")),
        spacing_mm=(1.0, 1.0, 3.0),
        reference="t1",
        provenance={"source": "tests", "größe": [1, 2]},
    )
    assert write_cohort(cohort, tmp_path) == cohort
    assert read_cohort(tmp_path) == cohort


@pytest.mark.parametrize(
    ("table", "message"),
    [
        (TABLE.replace("mask\n", "maks\n"), "unknown column .* 'maks' is no known column; did you mean 'mask'"),
        (TABLE.replace("us,mask", "t1,mask"), "duplicate column .* 't1'"),
        ("subject,split,t1\na,train,subjects/a/t1.nii.gz\n", "missing column .* 'us'"),
        (TABLE.replace("\nb,", "\n,"), "the row with 'test' names no subject"),
        (TABLE.replace("\nb,", "\na,"), "duplicate subject .* more than once: 'a'"),
        (TABLE.replace("subjects/b", "../b"), "path outside its folder"),
        (TABLE.replace("subjects/b", "/etc"), "path outside its folder"),
        (TABLE.replace("subjects/b/us", "subjects/b/gone"), "missing file .*gone.* us of subject 'b'"),
        (TABLE.replace("subjects/b/us.nii.gz", ""), "subject 'b' has no image of any modality"),
        (TABLE.replace("b,test", "b,tset"), "unknown split .* 'tset' .*did you mean 'test'"),
        (TABLE.replace("b,test", "../b,test"), "unusable subject name"),
        (TABLE.replace("mask\n", "kind\n").replace("subjects/a/mask", "a/b"), "unusable kind .* 'a/b.nii.gz'"),
        (TABLE.replace("b,test,", "b,test"), "row 3 has 4 fields for 5 columns"),
        (TABLE.replace("subjects/b/us", "subjects/a/t1"), "file listed twice"),
        ("subject,split,t1,us\n", "empty cohort"),
        ("", "empty table"),
        (TABLE.replace("a,train", '"a,train'), "unreadable table"),
        (TABLE.replace("a,train", "a\0,train"), "control characters"),
    ],
)
def test_wrong_table_is_refused_in_one_line(tmp_path: Path, table: str, message: str) -> None:
    with pytest.raises(CohortError, match=message) as caught:
        read_cohort(write_tiny(tmp_path, table=table))
    assert "\n" not in str(caught.value)


@pytest.mark.parametrize(
    ("description", "message"),
    [
        (DESCRIPTION + "spacing: 1\n", "'spacing' does not exist; did you mean 'spacing_mm'"),
        (DESCRIPTION.replace("{name: us}", "{name: us, gruop: x}"), "'modalities.1.gruop' does not exist"),
        (DESCRIPTION.replace("format: 1", "format: 2"), "'format'"),
        (DESCRIPTION.replace("us}", "t1}"), "duplicate modality"),
        (DESCRIPTION.replace("us}", "mask}"), "unusable modality name .* is a column of its own"),
        (DESCRIPTION.replace("us}", "kind}"), "unusable modality name .* is a column of its own"),
        (DESCRIPTION.replace("us}", "a+b}"), "unusable modality name"),
        (DESCRIPTION + "reference: t2\n", "reference 't2' is not listed"),
        (DESCRIPTION.replace("us}", "us, harmonized_median: 1.5}"), "harmonized_median of 'us' is 1.5"),
        (DESCRIPTION.replace("modalities:\n  - {name: t1}\n  - {name: us}", "modalities: []"), "there are 0"),
        ("[1, 2]", "no mapping"),
        ("a: [", "unreadable YAML"),
    ],
)
def test_wrong_description_is_refused(tmp_path: Path, description: str, message: str) -> None:
    with pytest.raises(CohortError, match=message):
        read_cohort(write_tiny(tmp_path, description=description))


def test_absent_folder_and_absent_files_are_refused(tmp_path: Path) -> None:
    with pytest.raises(CohortError, match="no such folder"):
        read_cohort(tmp_path / "nowhere")
    with pytest.raises(CohortError, match=r"cohort\.yaml"):
        read_cohort(tmp_path)
    (write_tiny(tmp_path) / "subjects.csv").unlink()
    with pytest.raises(CohortError, match=r"subjects\.csv"):
        read_cohort(tmp_path)


def test_link_that_leads_out_of_the_folder_is_refused(tmp_path: Path) -> None:
    folder = write_tiny(tmp_path / "cohort")
    outside = tmp_path / "outside.nii.gz"
    outside.write_bytes(b"x")
    (folder / "subjects/b/us.nii.gz").unlink()
    (folder / "subjects/b/us.nii.gz").symlink_to(outside)
    with pytest.raises(CohortError, match="path outside its folder"):
        read_cohort(folder)


def test_table_of_a_spreadsheet_program_is_read(tmp_path: Path) -> None:
    table = "\ufeff" + TABLE.replace("\n", "\r\n") + "\r\n"
    assert len(read_cohort(write_tiny(tmp_path, table=table)).subjects) == 2


def test_rows_and_columns_of_empty_cells_are_ignored(tmp_path: Path) -> None:
    header, first, second, _ = TABLE.split("\n")
    table = f"{header},,\n{first},,\n,,,,,,\n{second},,\n,,,,,,\n , ,,,,,\n"
    assert read_cohort(write_tiny(tmp_path, table=table)).subjects == read_cohort(write_tiny(tmp_path)).subjects


def test_patients_of_the_table_come_before_those_of_the_names(tmp_path: Path) -> None:
    table = (
        TABLE.replace("mask\n", "mask,patient\n")
        .replace("mask.nii.gz\n", "mask.nii.gz,p1\n")
        .replace("us.nii.gz,\n", "us.nii.gz,,\n")
    )
    cohort = read_cohort(write_tiny(tmp_path, table=table))
    assert cohort.patients == {"a": "p1", "b": "b"}
    assert write_cohort(cohort, tmp_path) == cohort


def test_kind_is_written_and_read_if_a_subject_has_one(tmp_path: Path) -> None:
    cohort = read_cohort(write_tiny(tmp_path))
    kinds = replace(cohort, subjects=(replace(cohort.subject("a"), kind="whole head"), cohort.subject("b")))
    assert write_cohort(kinds, tmp_path) == kinds
    write_cohort(cohort, tmp_path)
    assert "kind" not in (tmp_path / "subjects.csv").read_text()


@pytest.mark.parametrize(
    "name", ["us", "US", "iUS", "ius", "us_pre", "Us-1", "3DUS", "ioUS", "Ultrasound", "us2", "B-mode", "t_us"]
)
def test_ultrasound_is_known_by_its_common_names(name: str) -> None:
    assert default_group(name) == "us"


@pytest.mark.parametrize("name", ["t1", "T1", "focus", "pus", "cet1", "thus", "us1x", "dust", "echo2"])
def test_other_names_are_magnetic_resonance(name: str) -> None:
    assert default_group(name) == "mr"


def test_names_that_differ_in_capitals_only_are_refused(tmp_path: Path) -> None:
    with pytest.raises(CohortError, match="duplicate modality"):
        read_cohort(write_tiny(tmp_path, description=DESCRIPTION.replace("us}", "T1}")))


def test_unknown_names_propose_the_nearest(tmp_path: Path) -> None:
    cohort = read_cohort(write_tiny(tmp_path))
    with pytest.raises(CohortError, match="unknown subject"):
        cohort.subject("c")
    with pytest.raises(ModalityError, match="unknown modality"):
        cohort.modality("t2")
    with pytest.raises(CohortError, match="unknown split"):
        cohort.of_split("training!")
    with pytest.raises(CohortError, match="it has no us"):
        cohort.path(cohort.subject("a"), "us")


@pytest.mark.parametrize("name", ["t1.mhd", "t1.nhdr"])
def test_fingerprint_follows_the_voxels_beside_a_header(tmp_path: Path, name: str) -> None:
    cohort = Cohort(tmp_path, "tiny", (Modality("t1", "mr"),), (Subject("a", "train", {"t1": name}),))
    prints = []
    for value in (1, 2):
        sitk.WriteImage(sitk.GetImageFromArray(np.full((2, 3, 4), value, np.int16)), str(tmp_path / name))
        prints.append(cohort.fingerprint())
    assert prints[0] != prints[1]


def test_fingerprint_of_nifti_images_is_that_of_their_bytes(make_cohort: Callable[..., Cohort]) -> None:
    cohort = make_cohort({"a": ("t1",)}, extras={"mask": np.ones((12, 10, 8), np.int16)})
    contents = {column: sha256(cohort.path(cohort.subjects[0], column)) for column in ("mask", "t1")}
    assert (
        cohort.subject_fingerprint(cohort.subjects[0])[1] == hashlib.sha256(json.dumps(contents).encode()).hexdigest()
    )


def test_fingerprint_follows_content_not_place(make_cohort: Callable[..., Cohort]) -> None:
    first, second = (make_cohort({"a": ("t1",), "b": ("us",)}, folder=name) for name in ("one", "two"))
    assert first.fingerprint() == second.fingerprint()
    shutil.copyfile(first.root / "subjects/a/t1.nii.gz", second.root / "subjects/b/us.nii.gz")
    assert first.fingerprint() != second.fingerprint()
    moved = replace(first, subjects=(first.subjects[0], replace(first.subjects[1], split="test")))
    assert moved.fingerprint() != first.fingerprint()


def test_cohort_that_breaks_the_rules_is_not_written(tmp_path: Path) -> None:
    cohort = read_cohort(write_tiny(tmp_path / "good"))
    broken = Cohort(tmp_path, "broken", cohort.modalities, (*cohort.subjects, cohort.subjects[0]))
    with pytest.raises(CohortError, match="duplicate subject"):
        write_cohort(broken, tmp_path / "bad")
    assert not (tmp_path / "bad").exists()


@given(garbage=st.binary(max_size=80), which=st.sampled_from(["cohort.yaml", "subjects.csv"]), whole=st.booleans())
@settings(max_examples=60, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
def test_garbage_in_a_text_file_never_escapes_the_error_tree(
    tmp_path: Path, garbage: bytes, which: str, whole: bool
) -> None:
    path = write_tiny(tmp_path) / which
    path.write_bytes(garbage if whole else path.read_bytes() + garbage)
    try:
        read_cohort(tmp_path)
    except AnymodError as error:
        assert error.remedy

"""From an archive to a cohort: values kept, grids shared or refused, nothing half-written."""

from __future__ import annotations

import json
import shutil
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path

import nibabel as nib
import numpy as np
import pytest
import SimpleITK as sitk
from moved_phantom import phantom
from scipy import ndimage

from anymod.cohorts import Cohort, read_cohort
from anymod.errors import (
    AnymodError,
    CohortError,
    ConfigurationError,
    GridError,
    ModalityError,
    OutputError,
    VolumeError,
)
from anymod.preparation import (
    FoundSubject,
    PreparationOptions,
    SplitChoice,
    find_subjects,
    pipeline,
    prepare_cohort,
)
from anymod.preparation.aligning import read_rows, with_maps
from anymod.preparation.converting import ConversionTask, ConvertedSubject, compact, convert_subject
from anymod.volumes import Volume, read_labels, read_transform, read_volume

PATTERNS = {"t1": "**/t1.nii.gz", "t2": "**/t2.nii.gz", "mask": "**/mask.nii.gz", "label": "**/seg.nii.gz"}
WriteImage = Callable[..., Path]


def prepare(raw: Path, patterns: dict[str, str] | None = None, overwrite: bool = False, **options: object) -> Cohort:
    """Return the cohort beside `raw`; a subject that cannot be used is an error unless strict=False is given."""
    options = {"strict": True} | options
    patterns = patterns or PATTERNS
    modalities = tuple(name for name in patterns if name not in ("mask", "label", "tissue"))
    chosen = PreparationOptions(modalities, **options)  # type: ignore[arg-type]
    out = raw.parent / "cohort"
    return prepare_cohort(find_subjects(raw, patterns), chosen, out, {"source": "folder"}, overwrite=overwrite).cohort


def test_cohort_holds_what_the_archive_held(archive: Path) -> None:
    cohort = prepare(archive)
    assert cohort == read_cohort(archive.parent / "cohort")
    assert [subject.observed for subject in cohort.subjects] == [("t1", "t2"), ("t1",), ("t1", "t2")]
    first = cohort.subject("p1")
    assert (first.mask, first.label, first.tissue) == ("subjects/p1/mask.nii.gz", "subjects/p1/label.nii.gz", None)
    source, written = archive / "p1/scans/t2.nii.gz", cohort.path(first, "t2")
    np.testing.assert_array_equal(read_volume(written).data, read_volume(source).data)
    assert nib.load(written).get_data_dtype() == np.int16
    assert str(source) in (cohort.root / "sources.csv").read_text()
    assert not list(archive.parent.glob(".writing-*"))


def test_fractions_stay_float_and_large_numbers_too() -> None:
    for data in (np.array([0.5, 1], np.float32), np.array([4e4, 1], np.float32)):
        assert compact(data) is data
    assert compact(np.array([-3, 32767], np.float32)).dtype == np.int16


def test_splits_are_drawn_or_named_or_listed(archive: Path, tmp_path: Path) -> None:
    assert {subject.split for subject in prepare(archive).subjects} >= {"train", "test"}
    named = prepare(archive, overwrite=True, splits=SplitChoice(test_subjects=("p3",), validation=0.0))
    assert [subject.split for subject in named.subjects] == ["train", "train", "test"]
    (tmp_path / "list.csv").write_text("subject,split\np1,0\np2,1\np3,2\n")
    listed = prepare(archive, overwrite=True, splits=SplitChoice(list_file=tmp_path / "list.csv"))
    assert [subject.split for subject in listed.subjects] == ["0", "1", "2"]


def test_different_grids_are_refused_and_the_option_named(archive: Path, write_image: WriteImage) -> None:
    write_image(archive / "p3/t1.nii.gz", 7, np.diag([1.5, 1, 1, 1]))
    with pytest.raises(GridError, match=r"different grids in subject 'p3'.*--resample-to t1"):
        prepare(archive)
    assert not (archive.parent / "cohort").exists()
    assert not list(archive.parent.glob(".writing-*"))


def test_resample_to_puts_images_and_labels_on_one_grid(archive: Path, write_image: WriteImage) -> None:
    shift = np.eye(4)
    shift[0, 3] = 1.0  # one voxel to the right
    volume = read_volume(archive / "p1/scans/t2.nii.gz")
    write_image(archive / "p1/scans/t2.nii.gz", volume.data, shift)
    cohort = prepare(archive, resample_to="t2")
    subject = cohort.subject("p1")
    t1, t2 = (read_volume(cohort.path(subject, name)) for name in ("t1", "t2"))
    assert t1.grid.same_as(t2.grid)
    np.testing.assert_allclose(t1.data[:-1], read_volume(archive / "p1/t1.nii.gz").data[1:], atol=1e-3)
    assert cohort.reference == "t2"
    assert cohort.subject("p2").observed == ("t1",)


def test_what_a_scan_did_not_cover_gets_its_background(archive: Path, write_image: WriteImage) -> None:
    shifted = np.eye(4)
    shifted[0, 3] = 3.0
    data = read_volume(archive / "p3/t1.nii.gz").data
    write_image(archive / "p3/t1.nii.gz", data - 500.5, shifted)
    cohort = prepare(archive, resample_to="t2")
    assert (read_volume(cohort.path(cohort.subject("p3"), "t1")).data[:3] == -500.5).all()


def test_images_that_lie_apart_are_refused(archive: Path, write_image: WriteImage) -> None:
    far = np.eye(4)
    far[0, 3] = 500.0
    write_image(archive / "p3/t1.nii.gz", 3, far)
    with pytest.raises(VolumeError, match=r"no overlap in .*p3/t1\.nii\.gz"):
        prepare(archive, resample_to="t2")


def test_spacing_makes_voxels_cubic(archive: Path) -> None:
    cohort = prepare(archive, spacing_mm=2.0)
    volume = read_volume(cohort.path(cohort.subject("p2"), "t1"))
    assert volume.spacing_mm == pytest.approx((2, 2, 2))
    assert volume.grid.orientation == "RAS"
    assert cohort.spacing_mm == (2.0, 2.0, 2.0)


def test_each_bad_subject_is_reported_and_nothing_is_left(archive: Path, caplog: pytest.LogCaptureFixture) -> None:
    for name in ("p2/t1.nii.gz", "p3/t1.nii.gz"):
        (archive / name).write_bytes((archive / name).read_bytes()[:150])
    with pytest.raises(CohortError, match=r"2 of 3 subjects cannot be used, the first for: .*p2/t1\.nii\.gz"):
        prepare(archive)
    assert "subject p2" in caplog.text and "subject p3" in caplog.text
    assert sorted(entry.name for entry in archive.parent.iterdir()) == ["raw"]


def test_an_existing_result_is_kept_without_overwrite(archive: Path) -> None:
    before = prepare(archive)
    with pytest.raises(OutputError, match="--overwrite"):
        prepare(archive)
    (archive / "p2/t1.nii.gz").write_bytes(b"broken")
    with pytest.raises(AnymodError):
        prepare(archive, overwrite=True)
    assert read_cohort(before.root) == before


def test_a_place_that_cannot_be_written_is_an_error(archive: Path, tmp_path: Path) -> None:
    (tmp_path / "file").touch()
    found, options = find_subjects(archive, PATTERNS), PreparationOptions(("t1", "t2"))
    with pytest.raises(OutputError, match="cannot write"):
        prepare_cohort(found, options, tmp_path / "file" / "cohort", {})
    with pytest.raises(OutputError, match="a file is in the way"):
        prepare_cohort(found, options, tmp_path / "file", {})


def test_unknown_reference_is_refused(archive: Path) -> None:
    with pytest.raises(ModalityError, match="'flair' has no pattern"):
        prepare(archive, resample_to="flair")


def visits(*names: str) -> list[FoundSubject]:
    return [FoundSubject(name, {"t1": Path("x")} | ({"t2": Path("y")} if "2" in name else {})) for name in names]


@pytest.mark.parametrize("seed", range(5))
def test_visits_of_a_patient_stay_together(seed: int) -> None:
    found = visits(*(f"sub-{patient}_ses-{visit}" for patient in range(10) for visit in "ab"))
    splits = SplitChoice(seed=seed, validation=0.2, test=0.3).of(found)
    assert all(splits[f"sub-{patient}_ses-a"] == splits[f"sub-{patient}_ses-b"] for patient in range(10))
    assert list(splits.values()).count("test") == 6


def test_a_cohort_may_have_test_subjects_only() -> None:
    found = visits("a", "b", "c2")
    assert set(SplitChoice(test=1.0).of(found).values()) == {"test"}
    with pytest.raises(CohortError, match="unusable fractions"):
        SplitChoice(test=1.0, validation=0.1).of(found)


def test_naming_one_visit_of_a_patient_for_the_test_is_refused() -> None:
    found = visits("sub-1_ses-a", "sub-1_ses-b", "sub-2", "sub-3", "sub-4")
    with pytest.raises(CohortError, match="'sub-1_ses-b' is another visit"):
        SplitChoice(test_subjects=("sub-1_ses-a",)).of(found)
    assert SplitChoice(test_subjects=("sub-1_ses-a", "sub-1_ses-b")).of(found)["sub-1_ses-b"] == "test"


def test_a_bad_subject_is_left_out_and_reported(archive: Path, caplog: pytest.LogCaptureFixture) -> None:
    (archive / "p2/t1.nii.gz").write_bytes((archive / "p2/t1.nii.gz").read_bytes()[:150])
    prepared = prepare_cohort(
        find_subjects(archive, PATTERNS), PreparationOptions(("t1", "t2")), archive.parent / "cohort", {}
    )
    assert [subject.name for subject in prepared.cohort.subjects] == ["p1", "p3"]
    assert list(prepared.left_out) == ["p2"]
    assert "p2/t1.nii.gz" in json.loads((prepared.cohort.root / "failures.json").read_text())["failures"]["p2"]
    assert "subject p2: " in caplog.text
    assert not (prepared.cohort.root / "subjects/p2").exists()


def test_nothing_is_written_where_no_subject_can_be_used(archive: Path) -> None:
    for file in archive.rglob("*.nii.gz"):
        file.write_bytes(b"broken")
    with pytest.raises(CohortError, match="3 of 3 subjects cannot be used"):
        prepare(archive, strict=False)
    assert sorted(entry.name for entry in archive.parent.iterdir()) == ["raw"]


def test_registration_undoes_a_movement_and_maps_follow_their_image(archive: Path, write_image: WriteImage) -> None:
    still, shift = phantom(), np.eye(4)
    shift[:3, 3] = (3.0, -2.0, 1.0)  # the file says that the head lies elsewhere
    write_image(archive / "p1/t1.nii.gz", still.data, still.affine)
    write_image(archive / "p1/scans/t2.nii.gz", still.data, shift @ still.affine)
    write_image(archive / "p1/seg.nii.gz", (still.data > 150).astype(np.int16), shift @ still.affine)
    for other in ("p2", "p3"):
        shutil.rmtree(archive / other)
    patterns = {name: glob for name, glob in PATTERNS.items() if name != "mask"}
    splits = SplitChoice(validation=0.0, test=0.0)
    cohort = prepare(archive, patterns, resample_to="t1", register="rigid", splits=splits)
    subject = cohort.subject("p1")
    t2, label = read_volume(cohort.path(subject, "t2")).data, read_labels(cohort.path(subject, "label")).data
    inside = ndimage.binary_erosion(still.data > 0, iterations=4)
    assert np.corrcoef(t2[inside], still.data[inside])[0, 1] > 0.98
    assert (label[inside] == (still.data > 150)[inside]).mean() > 0.97
    (row,) = read_rows(cohort.root)
    assert (row.subject, row.column, row.doubt) == ("p1", "t2", "")
    assert row.moved_mm == pytest.approx(np.sqrt(14), abs=0.5)
    assert (cohort.root / row.picture).is_file()
    found = read_transform(cohort.root / "registration/p1/t2.tfm").TransformPoint((-5.0, 8.0, 12.0))
    assert found == pytest.approx((-8.0, 10.0, 13.0), abs=0.3)  # LPS: x and y change their sign


def test_an_interrupted_preparation_can_be_continued(archive: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    done: list[str] = []

    def interrupted(task: ConversionTask) -> ConvertedSubject:
        if len(done) == 2:
            raise KeyboardInterrupt
        done.append(task.found.name)
        return convert_subject(task)

    monkeypatch.setattr(pipeline, "convert_subject", interrupted)
    with pytest.raises(KeyboardInterrupt):
        prepare(archive)
    assert not (archive.parent / "cohort").exists()
    half = archive.parent / ".unfinished-cohort/subjects/p3/t1.nii.gz"
    half.parent.mkdir()
    half.write_bytes(b"half")
    monkeypatch.undo()
    written = {path: path.stat().st_mtime_ns for path in (archive.parent / ".unfinished-cohort/subjects/p1").iterdir()}
    cohort = prepare(archive)
    for path, when in written.items():
        assert (cohort.root / "subjects/p1" / path.name).stat().st_mtime_ns == when
    assert cohort.fingerprint() == prepare(archive, overwrite=True).fingerprint()
    assert sorted(entry.name for entry in archive.parent.iterdir()) == ["cohort", "raw"]
    assert not [entry for entry in cohort.root.iterdir() if entry.name.startswith(".")]


def test_unfinished_work_is_not_mixed_with_changed_files(archive: Path, write_image: WriteImage) -> None:
    unfinished = archive.parent / ".unfinished-cohort"
    unfinished.mkdir()
    (unfinished / "request.json").write_text("{}")
    with pytest.raises(OutputError, match="cannot continue"):
        prepare(archive)
    prepare(archive, overwrite=True)


def two_moved(archive: Path, write_image: WriteImage, label_shift: float) -> None:
    """Give p1 a t2 and a label of the same shape that lie elsewhere; the label `label_shift` mm further."""
    still, shift = phantom(), np.eye(4)
    shift[:3, 3] = (3.0, -2.0, 1.0)
    write_image(archive / "p1/t1.nii.gz", still.data, still.affine)
    write_image(archive / "p1/scans/t2.nii.gz", still.data, shift @ still.affine)
    shift[0, 3] += label_shift
    write_image(archive / "p1/seg.nii.gz", (still.data > 150).astype(np.int16), shift @ still.affine)
    for other in ("p2", "p3"):
        shutil.rmtree(archive / other)


def test_a_map_that_fits_no_image_is_refused(archive: Path, write_image: WriteImage) -> None:
    two_moved(archive, write_image, 5.0)
    patterns = {name: glob for name, glob in PATTERNS.items() if name != "mask"}
    with pytest.raises(VolumeError, match=r"unclear where a map belongs.*--transform-pattern label="):
        prepare(archive, patterns, resample_to="t1", register="rigid", splits=SplitChoice(validation=0.0, test=0.0))


def test_a_map_follows_a_transform_that_was_given(archive: Path, write_image: WriteImage) -> None:
    two_moved(archive, write_image, 0.0)
    t2 = read_volume(archive / "p1/scans/t2.nii.gz")
    there = {"t1": phantom(), "t2": t2, "label": Volume((t2.data > 150).astype(np.int16), t2.grid)}
    given = sitk.TranslationTransform(3, [-3.0, 2.0, 1.0])
    assert with_maps(there, {"t2": given}, "t1")["label"] is given


def test_no_space_is_no_fault_of_a_subject(archive: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    def full(task: ConversionTask) -> ConvertedSubject:
        if task.found.name == "p2":
            raise OutputError("cannot write", "p2", "No space left on device", "check space and permissions")
        return convert_subject(task)

    monkeypatch.setattr(pipeline, "convert_subject", full)
    with pytest.raises(OutputError, match="No space left"):
        prepare(archive, strict=False)
    assert (archive.parent / ".unfinished-cohort/.finished/p1.json").is_file()
    monkeypatch.undo()
    assert len(prepare(archive, strict=False).subjects) == 3


def test_a_cluster_that_does_not_answer_costs_no_finished_work(archive: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    def interrupted(task: ConversionTask) -> ConvertedSubject:
        if task.found.name == "p2":
            raise KeyboardInterrupt
        return convert_subject(task)

    with monkeypatch.context() as patched, pytest.raises(KeyboardInterrupt):
        patched.setattr(pipeline, "convert_subject", interrupted)
        prepare(archive)

    @contextmanager
    def silent(workers: int, scheduler: str | None) -> Iterator[None]:
        raise ConfigurationError("no cluster", "--scheduler", "no scheduler answers", "check the address")
        yield

    with monkeypatch.context() as patched, pytest.raises(ConfigurationError):
        patched.setattr(pipeline, "subject_executor", silent)
        prepare(archive)
    assert (archive.parent / ".unfinished-cohort/.finished/p1.json").is_file()


def test_a_source_that_is_not_there_is_one_bad_subject(archive: Path) -> None:
    (archive / "p2/t1.nii.gz").unlink()
    (archive / "p2/t1.nii.gz").symlink_to(archive / "nowhere")
    found = find_subjects(archive, {"t1": "**/t1*"})
    prepared = prepare_cohort(found, PreparationOptions(("t1",)), archive.parent / "cohort", {})
    assert list(prepared.left_out) == ["p2"]

"""A DICOM series becomes a volume in the right place, or one line that says what is wrong with it."""

from __future__ import annotations

import logging
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pydicom
import pytest
import SimpleITK as sitk
from dicom_phantom import MR_STORAGE, SLICES, VOXELS, dataset, one_slice, save, with_pixels
from pydicom.dataset import Dataset, FileDataset
from pydicom.uid import UID, generate_uid

from anymod.errors import VolumeError
from anymod.volumes import image_fingerprint, read_labels, read_volume

pytestmark = pytest.mark.usefixtures("no_sandbox")


def refused(path: Path, pattern: str) -> str:
    """Assert that a series is refused by one line, and return it."""
    with pytest.raises(VolumeError, match=pattern) as caught:
        read_volume(path)
    assert "\n" not in str(caught.value)
    assert path.name in str(caught.value) or str(path.parent) in str(caught.value)
    return str(caught.value)


def test_slices_are_sorted_by_position_and_lie_where_the_standard_says(tmp_path: Path):
    volume = read_volume(save(tmp_path / "series"))
    np.testing.assert_array_equal(volume.data, VOXELS)
    # Part 3, C.7.6.2.1.1: position + row direction * column spacing * column + column direction * row spacing * row.
    lps = np.array([10, -20, 35]) + np.array([0.8, 0.6, 0]) * 0.5 * 3 + np.array([-0.6, 0.8, 0]) * 1.5 * 4
    np.testing.assert_allclose(volume.grid.to_world(np.array([3, 4, 2])), lps * (-1, -1, 1), atol=1e-9)
    assert volume.spacing_mm == pytest.approx((0.5, 1.5, 2.5))
    assert volume.notes == ()
    np.testing.assert_array_equal(read_labels(tmp_path / "series").data, VOXELS)


def test_a_series_has_one_fingerprint_whichever_of_its_files_is_given(tmp_path: Path):
    folder = save(tmp_path / "series")
    first = image_fingerprint(folder)
    assert {image_fingerprint(file) for file in folder.iterdir()} == {first}
    save(folder, lambda index, made: setattr(made, "PixelData", made.PixelData[::-1]), range(3, 4))
    assert image_fingerprint(folder) != first


def test_the_geometry_is_that_of_simpleitk(tmp_path: Path):
    volume = read_volume(save(tmp_path / "series"))
    theirs = sitk.ReadImage(sitk.ImageSeriesReader.GetGDCMSeriesFileNames(str(tmp_path / "series")))
    np.testing.assert_array_equal(volume.data, sitk.GetArrayFromImage(theirs).T)
    point = np.array(theirs.TransformIndexToPhysicalPoint((5, 4, 3))) * (-1, -1, 1)
    np.testing.assert_allclose(volume.grid.to_world(np.array([5, 4, 3])), point, atol=1e-6)


def test_one_file_stands_for_its_series(tmp_path: Path):
    save(tmp_path / "series")
    other = one_slice(0)
    other.SeriesInstanceUID, other.SeriesDescription = "1.2.3.5", "scout\nline"
    other.PhotometricInterpretation = "RGB"  # what else lies in the folder need not be readable
    other.save_as(tmp_path / "series" / "other.dcm")
    np.testing.assert_array_equal(read_volume(tmp_path / "series" / "2.dcm").data, VOXELS)
    message = refused(tmp_path / "series", "several series")
    assert "'T1 axial' (4 files, such as 0.dcm)" in message
    assert "'scoutline' (1 files, such as other.dcm)" in message


def test_rescaling_is_applied_slice_by_slice(tmp_path: Path):
    def change(index: int, made: FileDataset) -> None:
        made.RescaleSlope, made.RescaleIntercept = 0.5 + index, -100

    expected = VOXELS * (0.5 + np.arange(SLICES)) - 100
    np.testing.assert_allclose(read_volume(save(tmp_path / "series", change)).data, expected)


def test_unused_high_bits_are_cleared(tmp_path: Path):
    def change(index: int, made: FileDataset) -> None:
        made.BitsStored, made.HighBit, made.PixelRepresentation = 12, 11, 0
        made.PixelData = (VOXELS[:, :, index].T | 0x3000).astype("<u2").tobytes()

    np.testing.assert_array_equal(read_volume(save(tmp_path / "series", change)).data, VOXELS)


def test_run_length_compression_is_read(tmp_path: Path):
    def change(index: int, made: FileDataset) -> None:
        made.SOPClassUID, made.SOPInstanceUID = MR_STORAGE, generate_uid(entropy_srcs=[str(index)])
        made.compress(pydicom.uid.RLELossless, generate_instance_uid=False)

    np.testing.assert_array_equal(read_volume(save(tmp_path / "series", change)).data, VOXELS)


def test_a_missing_slice_is_named(tmp_path: Path):
    save(tmp_path / "series", indices=range(SLICES))
    (tmp_path / "series" / "2.dcm").unlink()  # the second by position
    message = refused(tmp_path / "series", "missing slices")
    assert "0.dcm and 4.dcm are 5 mm apart and others" in message


def test_two_images_at_one_position_are_refused(tmp_path: Path):
    save(tmp_path / "series")
    one_slice(2).save_as(tmp_path / "series" / "copy.dcm")
    refused(tmp_path / "series", "same position")


def test_all_images_at_one_position_are_refused(tmp_path: Path):
    refused(
        save(tmp_path / "series", lambda i, made: setattr(made, "ImagePositionPatient", [0, 0, 0])), "same position"
    )


@pytest.mark.parametrize(
    ("field", "value", "pattern"),
    [
        ("Rows", 3, "differ in size"),
        ("ImageOrientationPatient", [1, 0, 0, 0, 0, 1], "not parallel"),
        ("PixelSpacing", [2.0, 2.0], "pixel spacing"),
    ],
)
def test_images_that_are_no_slices_of_one_volume_are_refused(tmp_path: Path, field: str, value: object, pattern: str):
    def change(index: int, made: FileDataset) -> None:
        if index == 1:
            setattr(made, field, value)

    refused(save(tmp_path / "series", change), pattern)


def test_a_tilted_gantry_is_straightened_and_noted(tmp_path: Path, caplog: pytest.LogCaptureFixture):
    def change(index: int, made: FileDataset) -> None:
        made.ImageOrientationPatient = [1, 0, 0, 0, 1, 0]
        made.ImagePositionPatient = [0, -0.7 * index, 2.5 * index]

    with caplog.at_level(logging.WARNING):
        volume = read_volume(save(tmp_path / "series", change))
    assert "tilted" in caplog.text
    assert "right angles" in caplog.text
    axes = volume.affine[:3, :3] / volume.spacing_mm
    np.testing.assert_allclose(axes.T @ axes, np.eye(3), atol=1e-9)


def test_slices_off_a_line_are_refused(tmp_path: Path):
    def change(index: int, made: FileDataset) -> None:
        made.ImageOrientationPatient = [1, 0, 0, 0, 1, 0]
        made.ImagePositionPatient = [3.0 * (index == 2), 0, 2.5 * index]

    refused(save(tmp_path / "series", change), "off a line")


def jpeg(made: FileDataset) -> None:
    """Make the pixels look like JPEG 2000."""
    made.file_meta.TransferSyntaxUID = pydicom.uid.JPEG2000Lossless
    made.PixelData = pydicom.encaps.encapsulate([b"abcd"])
    made["PixelData"].is_undefined_length = True


@pytest.mark.parametrize(
    ("change", "pattern"),
    [
        (lambda i, made: jpeg(made), "JPEG 2000"),
        (lambda i, made: setattr(made.file_meta, "TransferSyntaxUID", UID("1.2.3.4.5")), "transfer syntax is 1.2.3"),
        (lambda i, made: setattr(made, "PixelData", made.PixelData[:-2]), "truncated"),
        (lambda i, made: made.pop("PixelData"), "no pixel data"),
        (lambda i, made: made.pop("PixelSpacing"), "no PixelSpacing"),
        (lambda i, made: made.pop("ImagePositionPatient"), "no ImagePositionPatient"),
        (lambda i, made: setattr(made, "PixelSpacing", [0, 1]), "impossible"),
        (lambda i, made: setattr(made, "PhotometricInterpretation", "RGB"), "RGB"),
        (lambda i, made: setattr(made, "PhotometricInterpretation", "MONOCHROME1"), "MONOCHROME1"),
        (lambda i, made: setattr(made, "SamplesPerPixel", 3), "grey"),
        (lambda i, made: setattr(made, "BitsAllocated", 12), "12 bits"),
        (lambda i, made: setattr(made, "HighBit", 13), "lowest"),
        (lambda i, made: setattr(made, "Rows", 60000), "truncated"),
        (lambda i, made: setattr(made, "NumberOfFrames", 4000000), "truncated"),
        (lambda i, made: made.pop("Rows"), "ends before its image"),
    ],
)
def test_what_cannot_be_read_is_refused(tmp_path: Path, change: Callable, pattern: str):
    refused(save(tmp_path / "series", change), pattern)


def test_a_deflated_file_is_refused_before_it_is_expanded(tmp_path: Path):
    path = save(tmp_path / "series") / "0.dcm"
    content = path.read_bytes()
    syntax = b"\x02\x00\x10\x00UI\x14\x001.2.840.10008.1.2.1\0"
    assert syntax in content
    path.write_bytes(content.replace(syntax, b"\x02\x00\x10\x00UI\x16\x001.2.840.10008.1.2.1.99"))
    refused(tmp_path / "series", "deflated")


def test_several_frames_without_geometry_are_refused(tmp_path: Path):
    made = with_pixels(one_slice(0), np.moveaxis(VOXELS, 2, 0))
    made.NumberOfFrames = 4
    made.save_as(tmp_path / "a.dcm")
    refused(tmp_path / "a.dcm", "several frames and no positions")


def test_an_enhanced_file_with_geometry_for_each_frame_is_read(tmp_path: Path):
    order = [2, 0, 3, 1]
    made = with_pixels(one_slice(0), np.moveaxis(VOXELS, 2, 0).transpose(0, 2, 1)[order])
    made.NumberOfFrames = 4
    made.PerFrameFunctionalGroupsSequence = []
    for index in order:
        position = Dataset()
        position.ImagePositionPatient = one_slice(index).ImagePositionPatient
        frame = Dataset()
        frame.PlanePositionSequence = [position]
        made.PerFrameFunctionalGroupsSequence.append(frame)
    shared, measures, plane = Dataset(), Dataset(), Dataset()
    measures.PixelSpacing, plane.ImageOrientationPatient = made.PixelSpacing, made.ImageOrientationPatient
    shared.PixelMeasuresSequence, shared.PlaneOrientationSequence = [measures], [plane]
    made.SharedFunctionalGroupsSequence = [shared]
    for keyword in ("PixelSpacing", "ImageOrientationPatient", "ImagePositionPatient"):
        delattr(made, keyword)
    made.save_as(tmp_path / "a.dcm")
    volume = read_volume(tmp_path / "a.dcm")
    np.testing.assert_array_equal(volume.data, VOXELS)
    assert volume.spacing_mm == pytest.approx((0.5, 1.5, 2.5))


def test_one_slice_takes_its_thickness_from_the_header(tmp_path: Path):
    assert read_volume(save(tmp_path / "series", indices=range(1))).spacing_mm == pytest.approx((0.5, 1.5, 2.5))
    refused(save(tmp_path / "other", lambda i, made: made.pop("SliceThickness"), range(1)), "thickness")


def test_objects_without_pixels_and_other_files_do_not_disturb(tmp_path: Path):
    save(tmp_path / "series")
    report = dataset(storage="1.2.840.10008.5.1.4.1.1.88.11")
    report.SeriesInstanceUID = "1.2.9"
    report.save_as(tmp_path / "series" / "report.dcm")
    (tmp_path / "series" / "notes.txt").write_text("hello")
    (tmp_path / "series" / "DICOMDIR").write_bytes(bytes(128) + b"DICM../../etc")
    np.testing.assert_array_equal(read_volume(tmp_path / "series").data, VOXELS)
    refused(tmp_path / "series" / "report.dcm", "without pixels")


def test_a_folder_without_images(tmp_path: Path):
    refused(tmp_path, "no DICOM image")


def test_a_forged_length_allocates_nothing(tmp_path: Path):
    path = save(tmp_path / "series") / "0.dcm"
    content = bytearray(path.read_bytes())
    at = content.index(b"\xe0\x7f\x10\x00OW\0\0") + 8
    content[at : at + 4] = (0xFFFFFFF0).to_bytes(4, "little")
    path.write_bytes(bytes(content[:-10]))
    refused(tmp_path / "series", "truncated|damaged")


def test_nothing_is_written_anywhere(tmp_path: Path):
    save(tmp_path / "series")
    before = sorted(tmp_path.rglob("*"))
    read_volume(tmp_path / "series")
    assert sorted(tmp_path.rglob("*")) == before


def test_burnt_in_text_is_noted(tmp_path: Path, caplog: pytest.LogCaptureFixture):
    series = save(tmp_path / "series", lambda i, made: setattr(made, "BurnedInAnnotation", "YES" if i == 2 else "NO"))
    read_volume(series)
    assert "burnt into its pixels" in caplog.text


def test_no_name_of_a_patient_is_reported(tmp_path: Path, caplog: pytest.LogCaptureFixture):
    caplog.set_level(logging.DEBUG)
    volume = read_volume(save(tmp_path / "series", lambda i, made: setattr(made, "BurnedInAnnotation", "YES")))
    why = refused(save(tmp_path / "other", lambda i, made: made.pop("PixelSpacing")), "has no PixelSpacing")
    assert not any("Ärger" in text or "bel^" in text for text in (str(volume), caplog.text, why))

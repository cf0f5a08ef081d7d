"""DICOM files without a preamble, and series that are not complete: nothing is dropped in silence."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest
from dicom_phantom import SLICES, VOXELS, save
from pydicom.dataset import Dataset, FileDataset
from pydicom.filebase import DicomBytesIO
from pydicom.filewriter import write_dataset

from anymod.errors import VolumeError
from anymod.volumes import read_volume

pytestmark = pytest.mark.usefixtures("no_sandbox")
ENCODINGS = [(True, True), (False, True), (False, False)]  # implicit, little-endian


def make_bare(path: Path, implicit: bool = True, little: bool = True) -> None:
    """Rewrite a DICOM file as its data set alone."""
    from pydicom import dcmread

    read = dcmread(path)
    if not little:
        read["PixelData"].value = np.frombuffer(read.PixelData, "<i2").astype(">i2").tobytes()
    content = DicomBytesIO()
    content.is_little_endian, content.is_implicit_VR = little, implicit
    write_dataset(content, Dataset(dict(read.items())))
    path.write_bytes(content.getvalue())


@pytest.mark.parametrize(("implicit", "little"), ENCODINGS)
def test_files_without_preamble_are_read(tmp_path: Path, implicit: bool, little: bool):
    series = save(tmp_path / "series")
    for file in series.iterdir():
        make_bare(file, implicit, little)
    np.testing.assert_array_equal(read_volume(series).data, VOXELS)
    np.testing.assert_array_equal(read_volume(series / "0.dcm").data, VOXELS)


def test_a_series_of_both_kinds_is_read_whole(tmp_path: Path):
    series = save(tmp_path / "series")
    for file in sorted(series.iterdir())[::2]:
        make_bare(file)
    np.testing.assert_array_equal(read_volume(series).data, VOXELS)


def test_a_meta_header_without_preamble_is_read(tmp_path: Path):
    series = save(tmp_path / "series")
    for file in series.iterdir():
        file.write_bytes(file.read_bytes()[132:])
    np.testing.assert_array_equal(read_volume(series).data, VOXELS)


@pytest.mark.parametrize("content", [b"", b"\0" * 400, b"<html>not found</html>"])
def test_a_slice_that_is_no_dicom_file_is_refused_by_name(tmp_path: Path, content: bytes):
    series = save(tmp_path / "series")
    (series / "9.dcm").write_bytes(content)
    with pytest.raises(VolumeError, match=r"9\.dcm: it is named like a DICOM file"):
        read_volume(series)


def test_a_truncated_data_set_is_refused_by_name(tmp_path: Path):
    series = save(tmp_path / "series")
    for file in series.iterdir():
        make_bare(file)
    (series / "0.dcm").write_bytes((series / "0.dcm").read_bytes()[:-20])
    with pytest.raises(VolumeError, match=r"0\.dcm"):
        read_volume(series)


def test_a_few_bytes_like_the_start_of_a_data_set_are_no_image(tmp_path: Path):
    (tmp_path / "a.bin").write_bytes(b"\x08\0")
    with pytest.raises(VolumeError, match="no known format"):
        read_volume(tmp_path / "a.bin")


def numbered(start: int, step: int) -> Callable[[int, FileDataset], None]:
    """Return a change that numbers the images."""
    return lambda index, made: setattr(made, "InstanceNumber", start + step * index)


def test_a_complete_series_has_no_notes(tmp_path: Path):
    assert read_volume(save(tmp_path / "series", numbered(1, 1))).notes == ()
    assert read_volume(save(tmp_path / "reversed", numbered(SLICES, -1))).notes == ()


@pytest.mark.parametrize(
    ("change", "note"),
    [
        (numbered(5, 1), "numbered 5 to 8; are those before missing"),
        (numbered(1, 2), "in steps of 2"),
        (
            lambda index, made: setattr(made, "ImagesInAcquisition", 8),
            "counts 8 images of this acquisition, and 4 are here",
        ),
        (lambda index, made: setattr(made, "SliceThickness", 1.25), "2.5 mm apart, and the header says 1.25 mm"),
    ],
)
def test_signs_of_missing_slices_are_noted(tmp_path: Path, change: Callable, note: str):
    (found,) = read_volume(save(tmp_path / "series", change)).notes
    assert note in found


def test_counts_of_the_header_are_believed(tmp_path: Path):
    series = save(tmp_path / "series", lambda index, made: setattr(made, "NumberOfSlices", 6))
    with pytest.raises(VolumeError, match="counts 6 slices, and 4 are here"):
        read_volume(series)


def test_every_second_slice_is_missing(tmp_path: Path):
    def change(index: int, made: FileDataset) -> None:
        made.InstanceNumber, made.SpacingBetweenSlices = 1 + 2 * index, 1.25

    with pytest.raises(VolumeError, match=r"steps of 2.*header says 1\.25 mm"):
        read_volume(save(tmp_path / "series", change))

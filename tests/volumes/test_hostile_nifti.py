"""Every row of the table of hostile NIfTI files: what cannot be trusted gives one line that names the file and a remedy."""

from __future__ import annotations

import gzip
import logging
import os
from collections.abc import Callable
from pathlib import Path

import nibabel as nib
import numpy as np
import pytest

from anymod.errors import VolumeError
from anymod.volumes import Grid, Volume, read_labels, read_volume, write_volume

SHAPE = (6, 7, 8)
AFFINE = np.array([[-1.0, 0, 0, 10], [0, 1.0, 0, -20], [0, 0, 1.0, 30], [0, 0, 0, 1]])


def image(dtype: str = "i2") -> nib.Nifti1Image:
    """Return an image of positive values with both transforms set."""
    data = np.random.default_rng(0).integers(1, 100, SHAPE).astype(dtype)
    made = nib.Nifti1Image(data, AFFINE, dtype=data.dtype)
    made.set_sform(AFFINE, 1)
    made.set_qform(AFFINE, 1)
    return made


def plain_bytes(dtype: str = "i2") -> bytearray:
    """Return the bytes of an uncompressed .nii file."""
    return bytearray(image(dtype).to_bytes())


def with_fields(**fields: object) -> bytes:
    """Return a .nii file with some header fields replaced by raw values."""
    content = plain_bytes()
    header = np.frombuffer(content, dtype=nib.nifti1.header_dtype, count=1)
    header = header.copy()
    for name, value in fields.items():
        header[name] = value
    content[:348] = header.tobytes()
    return bytes(content)


def refused(path: Path, content: bytes, pattern: str) -> None:
    """Assert that a file of this content is refused by one line that names it."""
    path.write_bytes(content)
    with pytest.raises(VolumeError, match=pattern) as caught:
        read_volume(path)
    message = str(caught.value)
    assert str(path) in message
    assert "\n" not in message
    assert ";" in message


def accepted_with_note(path: Path, content: bytes, pattern: str, caplog: pytest.LogCaptureFixture):
    """Assert that a file is read with a warning, and return the volume."""
    path.write_bytes(content)
    with caplog.at_level(logging.WARNING):
        volume = read_volume(path)
    assert len(volume.notes) == 1
    assert pattern in volume.notes[0]
    assert f"{path}: {volume.notes[0]}" in caplog.text
    return volume


def test_gzip_cut_in_half(tmp_path: Path):
    content = gzip.compress(plain_bytes())
    refused(tmp_path / "a.nii.gz", content[: len(content) // 2], "truncated")


@pytest.mark.parametrize("lost", [1, 4, 9])
def test_gzip_that_lost_its_last_bytes(tmp_path: Path, lost: int):
    refused(tmp_path / "a.nii.gz", gzip.compress(plain_bytes())[:-lost], "truncated")


def test_gzip_with_a_flipped_bit_fails_its_checksum(tmp_path: Path):
    content = bytearray(gzip.compress(plain_bytes(), compresslevel=0))
    content[-40] ^= 1
    refused(tmp_path / "a.nii.gz", bytes(content), "damaged")


def test_voxels_shorter_than_the_header_says(tmp_path: Path):
    refused(tmp_path / "a.nii", bytes(plain_bytes()[:-100]), "cannot hold")


def test_voxels_shorter_than_the_header_says_inside_of_gzip(tmp_path: Path):
    refused(tmp_path / "a.nii.gz", gzip.compress(plain_bytes()[:-100]), "holds 572 of 672 bytes")


def test_vox_offset_past_the_end(tmp_path: Path):
    refused(tmp_path / "a.nii", with_fields(vox_offset=1e6), "past the end")
    refused(tmp_path / "b.nii.gz", gzip.compress(with_fields(vox_offset=1e5)), "holds 0 of")


@pytest.mark.parametrize("offset", [-16, 100, np.nan, np.inf, 352.5])
def test_vox_offset_that_is_none(tmp_path: Path, offset: float):
    refused(tmp_path / "a.nii", with_fields(vox_offset=offset), "cannot start")


def test_broken_magic(tmp_path: Path):
    refused(tmp_path / "a.nii", with_fields(magic=b"xxx"), "magic")
    refused(tmp_path / "b.nii", with_fields(magic=b"ni1"), "separate")


@pytest.mark.parametrize("name", ["a.nii", "a.nii.gz"])
def test_header_claims_more_than_the_file_can_hold(tmp_path: Path, name: str):
    content = with_fields(dim=[3, 30000, 30000, 30000, 1, 1, 1, 1])
    refused(tmp_path / name, gzip.compress(content) if name.endswith("gz") else content, "claims 54000000000")


def test_gzip_bomb_is_refused_before_it_is_expanded(tmp_path: Path):
    header = with_fields(dim=[3, 1000, 1000, 200, 1, 1, 1, 1])[:352]
    # A gzip file may be several one after the other: 400 million zeros from one compressed million.
    (tmp_path / "a.nii.gz").write_bytes(gzip.compress(header) + gzip.compress(bytes(10**6)) * 400)
    with pytest.raises(VolumeError, match="suspicious compression"):
        read_volume(tmp_path / "a.nii.gz")


def test_what_follows_the_voxels_is_not_expanded_without_end(tmp_path: Path):
    content = bytes(plain_bytes())
    refused(tmp_path / "a.nii", content + bytes(2**24 + 1), "more than 16777216 follow")
    refused(tmp_path / "a.nii.gz", gzip.compress(content) + gzip.compress(bytes(10**6)) * 400, "16777216 follow")


@pytest.mark.parametrize(
    "dim",
    [[3, 0, 7, 8, 1, 1, 1, 1], [3, -6, 7, 8, 1, 1, 1, 1], [0, 6, 7, 8, 1, 1, 1, 1], [3, 6, 7, 8, 1, 1, 1, 1][::-1]],
)
def test_sizes_that_are_none(tmp_path: Path, dim: list[int]):
    refused(tmp_path / "a.nii", with_fields(dim=dim), "sizes|dimensions|read")


def test_sform_of_zeros_falls_back_to_the_qform(tmp_path: Path, caplog: pytest.LogCaptureFixture):
    content = with_fields(srow_x=0, srow_y=0, srow_z=0)
    volume = accepted_with_note(tmp_path / "a.nii", content, "qform was used", caplog)
    np.testing.assert_allclose(volume.affine, AFFINE, atol=1e-5)


def test_sform_of_zeros_without_a_qform(tmp_path: Path):
    refused(tmp_path / "a.nii", with_fields(srow_x=0, srow_y=0, srow_z=0, qform_code=0), "no qform")


@pytest.mark.parametrize("value", [np.nan, np.inf])
def test_sform_that_is_not_finite(tmp_path: Path, value: float):
    refused(tmp_path / "a.nii", with_fields(srow_y=value), "NaN")


def test_slightly_sheared_axes_are_left_alone(tmp_path: Path):
    (tmp_path / "a.nii").write_bytes(with_fields(srow_x=[-1, 0.0005, 0, 10], qform_code=0))
    assert read_volume(tmp_path / "a.nii").notes == ()


def test_sheared_sform_is_resampled_to_right_angles_and_says_so(tmp_path: Path, caplog: pytest.LogCaptureFixture):
    content = with_fields(srow_x=[-1, 0.3, 0, 10], qform_code=0)
    volume = accepted_with_note(tmp_path / "a.nii", content, "not perpendicular", caplog)
    axes = volume.affine[:3, :3] / volume.spacing_mm
    np.testing.assert_allclose(axes.T @ axes, np.eye(3), atol=1e-9)
    # The point where the brightest voxel was is still bright: nothing was moved.
    sheared = np.array([[-1, 0.3, 0, 10], [0, 1, 0, -20], [0, 0, 1, 30], [0, 0, 0, 1]])
    middle = sheared @ [*(np.array(SHAPE) - 1) / 2, 1]
    np.testing.assert_allclose(volume.grid.corners_mm().mean(axis=0), middle[:3], atol=1e-6)
    assert read_labels(tmp_path / "a.nii").data.dtype == np.int32


def test_axes_almost_in_one_plane_are_refused(tmp_path: Path):
    refused(tmp_path / "a.nii", with_fields(srow_x=[-1, 3.0, 0, 10]), "one plane")


def test_disagreeing_transforms_take_the_sform_and_say_so(tmp_path: Path, caplog: pytest.LogCaptureFixture):
    content = with_fields(srow_x=[-2, 0, 0, 10], srow_y=[0, 2, 0, -20], srow_z=[0, 0, 2, 30])
    volume = accepted_with_note(tmp_path / "a.nii", content, "disagree", caplog)
    assert volume.spacing_mm == (2.0, 2.0, 2.0)


def test_quaternion_a_little_too_long_is_normalised(tmp_path: Path):
    (tmp_path / "a.nii").write_bytes(with_fields(sform_code=0, quatern_b=0, quatern_c=1.0005, quatern_d=0))
    np.testing.assert_allclose(
        read_volume(tmp_path / "a.nii").affine[:3, :3], np.diag([-1, 1, -1.0]) @ np.diag([1, 1, -1]), atol=1e-2
    )


def test_quaternion_far_too_long(tmp_path: Path):
    refused(tmp_path / "a.nii", with_fields(sform_code=0, quatern_c=2.0), "quaternion")


def test_a_broken_qform_beside_a_good_sform_is_only_noted(tmp_path: Path, caplog: pytest.LogCaptureFixture):
    accepted_with_note(tmp_path / "a.nii", with_fields(quatern_c=2.0), "quaternion", caplog)


@pytest.mark.parametrize("pixdim", [0, np.nan, -np.inf])
def test_qform_without_voxel_sizes(tmp_path: Path, pixdim: float):
    content = with_fields(sform_code=0, pixdim=[1, pixdim, 1, 1, 1, 1, 1, 1])
    refused(tmp_path / "a.nii", content, "voxel sizes")


def test_no_orientation_at_all_is_noted(tmp_path: Path, caplog: pytest.LogCaptureFixture):
    content = with_fields(sform_code=0, qform_code=0)
    volume = accepted_with_note(tmp_path / "a.nii", content, "no orientation", caplog)
    np.testing.assert_allclose(volume.affine, nib.Nifti1Image.from_bytes(content).affine)


def test_lengths_in_metres_become_millimetres(tmp_path: Path, caplog: pytest.LogCaptureFixture):
    rows = {"srow_x": [-0.1, 0, 0, 0], "srow_y": [0, 0.1, 0, 0], "srow_z": [0, 0, 0.1, 0]}
    content = with_fields(xyzt_units=1, qform_code=0, **rows)
    volume = accepted_with_note(tmp_path / "a.nii", content, "factor 1000", caplog)
    assert volume.spacing_mm == pytest.approx((100, 100, 100))


@pytest.mark.parametrize("slope", [np.nan, np.inf, -np.inf])
def test_scaling_that_is_no_number_is_ignored_and_noted(tmp_path: Path, slope: float, caplog: pytest.LogCaptureFixture):
    volume = accepted_with_note(tmp_path / "a.nii", with_fields(scl_slope=slope), "ignored", caplog)
    np.testing.assert_array_equal(volume.data, image().dataobj)


def test_scaling_is_applied(tmp_path: Path):
    (tmp_path / "a.nii").write_bytes(with_fields(scl_slope=0.025, scl_inter=-4.75))
    np.testing.assert_allclose(
        read_volume(tmp_path / "a.nii").data, np.asarray(image().dataobj) * 0.025 - 4.75, atol=1e-6
    )


def test_four_dimensions_with_one_volume_are_squeezed(tmp_path: Path):
    (tmp_path / "a.nii").write_bytes(with_fields(dim=[4, 6, 7, 8, 1, 1, 1, 1]))
    np.testing.assert_array_equal(read_volume(tmp_path / "a.nii").data, image().dataobj)


def test_several_volumes_are_refused(tmp_path: Path):
    refused(tmp_path / "a.nii", with_fields(dim=[4, 6, 7, 2, 4, 1, 1, 1]), "4-D with 4 volumes")


def test_one_slice_is_a_volume(tmp_path: Path):
    (tmp_path / "a.nii").write_bytes(with_fields(dim=[2, 6, 56, 1, 1, 1, 1, 1]))
    assert read_volume(tmp_path / "a.nii").shape == (6, 56, 1)


@pytest.mark.parametrize(
    ("code", "what"),
    [
        (128, "RGB"),
        (2304, "RGBA"),
        (32, "complex"),
        (1792, "complex"),
        (1, "one-bit"),
        (1536, "128-bit"),
        (0, "no known type"),
        (77, "unknown type 77"),
    ],
)
def test_voxels_that_are_no_real_numbers(tmp_path: Path, code: int, what: str):
    refused(tmp_path / "a.nii", with_fields(datatype=code), what)


@pytest.mark.parametrize("value", [np.nan, np.inf, -np.inf])
def test_voxels_that_are_not_finite_are_counted(tmp_path: Path, value: float):
    made = np.asarray(image("f4").dataobj).copy()
    made[0, 0, :3] = value
    refused(tmp_path / "a.nii", nib.Nifti1Image(made, AFFINE).to_bytes(), "3 of 336 voxels")


def test_values_too_large_for_float32(tmp_path: Path):
    made = np.asarray(image("f8").dataobj) * 1e300
    refused(tmp_path / "a.nii", nib.Nifti1Image(made, AFFINE).to_bytes(), "infinite")
    refused(tmp_path / "b.nii", nib.Nifti1Image(made / 1e265, AFFINE).to_bytes(), "values run from")


def test_a_constant_image_is_refused_and_a_constant_label_map_is_not(tmp_path: Path):
    content = nib.Nifti1Image(np.zeros(SHAPE, np.int16), AFFINE).to_bytes()
    refused(tmp_path / "a.nii", content, "all voxels are 0")
    assert not read_labels(tmp_path / "a.nii").data.any()


def test_labels_must_be_whole_numbers(tmp_path: Path):
    half = nib.Nifti1Image(np.full(SHAPE, 0.5, np.float32), AFFINE).to_bytes()
    large = nib.Nifti1Image(np.full(SHAPE, 3e9, np.float64), AFFINE).to_bytes()
    for content, why in ((half, "whole"), (large, "32 bits")):
        (tmp_path / "a.nii").write_bytes(content)
        with pytest.raises(VolumeError, match=why):
            read_labels(tmp_path / "a.nii")


def test_a_plain_file_named_gz_and_a_gzip_named_nii_are_read_by_content(tmp_path: Path):
    (tmp_path / "a.nii.gz").write_bytes(plain_bytes())
    (tmp_path / "b.nii").write_bytes(gzip.compress(plain_bytes()))
    np.testing.assert_array_equal(read_volume(tmp_path / "a.nii.gz").data, read_volume(tmp_path / "b.nii").data)


def test_gzip_of_several_members_is_read(tmp_path: Path):
    content = bytes(plain_bytes())
    (tmp_path / "a.nii.gz").write_bytes(gzip.compress(content[:500]) + gzip.compress(content[500:]) + bytes(20))
    np.testing.assert_array_equal(read_volume(tmp_path / "a.nii.gz").data, image().dataobj)


@pytest.mark.parametrize("name", ["a.nii", "a.nii.gz", "a.mha", "a.nrrd", "a"])
def test_an_empty_file(tmp_path: Path, name: str):
    refused(tmp_path / name, b"", "empty")


@pytest.mark.parametrize("name", ["a.nii.gz", "a.nii", "a.png"])
def test_a_file_that_is_no_image(tmp_path: Path, name: str):
    refused(tmp_path / name, b"a letter to a friend\n" * 100, "no NIfTI|no image")


def test_a_file_that_is_not_there(tmp_path: Path):
    with pytest.raises(VolumeError, match="does not exist"):
        read_volume(tmp_path / "a.nii")
    with pytest.raises(VolumeError, match="no such file"):
        read_volume("a\0b")


def test_a_pipe_is_refused_and_not_waited_for(tmp_path: Path):
    os.mkfifo(tmp_path / "a.nii")
    with pytest.raises(VolumeError, match="regular"):
        read_volume(tmp_path / "a.nii")


@pytest.mark.parametrize("dtype", ["u1", "i1", "i2", "u2", "i4", "u4", "i8", "u8", "f4", "f8"])
@pytest.mark.parametrize("make", [nib.Nifti1Image, nib.Nifti2Image])
@pytest.mark.parametrize("order", ["<", ">"])
def test_every_type_and_byte_order_reads_as_nibabel_reads_it(tmp_path: Path, dtype: str, make: Callable, order: str):
    header = make.header_class(endianness=order)
    header.set_data_dtype(np.dtype(dtype).newbyteorder(order))
    data = np.random.default_rng(1).integers(0, 100, SHAPE).astype(dtype)
    made = make(data, AFFINE, header)
    nib.save(made, tmp_path / "a.nii.gz")
    volume = read_volume(tmp_path / "a.nii.gz")
    np.testing.assert_array_equal(volume.data, data)
    np.testing.assert_array_equal(volume.affine, AFFINE)
    np.testing.assert_array_equal(read_labels(tmp_path / "a.nii.gz").data, data)


def test_reading_takes_no_more_memory_than_three_times_the_volume(tmp_path: Path):
    import tracemalloc

    data = np.random.default_rng(0).normal(size=(128, 128, 64)).astype(np.float32)
    nib.save(nib.Nifti1Image(data, AFFINE), tmp_path / "a.nii")
    read_volume(tmp_path / "a.nii")
    tracemalloc.start()
    read_volume(tmp_path / "a.nii")
    peak = tracemalloc.get_traced_memory()[1]
    tracemalloc.stop()
    assert peak < 3 * data.nbytes


def test_the_real_images_are_read_as_nibabel_reads_them(shared: Path):
    for name in ("mr-three-contrasts/brats2013-0001/cet1.nii.gz", "us-resect/case-04/us.nii.gz"):
        path = shared / "data" / name
        volume, theirs = read_volume(path), nib.load(path)
        np.testing.assert_allclose(volume.data, theirs.get_fdata(dtype=np.float32), rtol=1e-6)
        np.testing.assert_array_equal(volume.affine, theirs.affine)
        assert volume.notes == ()


def test_micrometres_over_numbers_in_millimetres_are_refused(tmp_path: Path):
    refused(tmp_path / "a.nii", with_fields(xyzt_units=3), "longest side is 0.008 mm.*unit of length")


@pytest.mark.parametrize(("edge", "word"), [(900.0, "unit of length"), (2000 / 7, "very long")])
def test_unlikely_voxels_are_noted(tmp_path: Path, edge: float, word: str, caplog: pytest.LogCaptureFixture):
    rows = {"srow_x": [-1, 0, 0, 0], "srow_y": [0, 1, 0, 0], "srow_z": [0, 0, edge, 0]}
    (tmp_path / "a.nii").write_bytes(with_fields(qform_code=0, **rows))
    notes = read_volume(tmp_path / "a.nii").notes
    assert any(word in note for note in notes)
    assert notes[0] in caplog.text


def test_one_thick_slice_is_not_noted(tmp_path: Path):
    nib.save(
        nib.Nifti1Image(np.arange(48, dtype=np.int16).reshape(6, 8, 1), np.diag([1, 1, 30.0, 1])), tmp_path / "a.nii"
    )
    assert read_volume(tmp_path / "a.nii").notes == ()


def test_the_grid_of_a_sheared_file_is_kept(tmp_path: Path):
    (tmp_path / "a.nii").write_bytes(with_fields(srow_x=[-1, 0.3, 0, 10], qform_code=0))
    volume = read_volume(tmp_path / "a.nii")
    assert volume.file_grid is not None
    assert volume.file_grid.shape == SHAPE
    np.testing.assert_allclose(volume.file_grid.affine[0], [-1, 0.3, 0, 10], atol=1e-6)


@pytest.mark.parametrize(("sform", "qform", "expected"), [(4, 1, 4), (2, 0, 2), (0, 3, 3), (5, 5, 5), (77, 1, 1)])
def test_the_space_of_the_coordinates_is_written_as_read(tmp_path: Path, sform: int, qform: int, expected: int):
    (tmp_path / "a.nii").write_bytes(with_fields(sform_code=sform, qform_code=qform))
    write_volume(tmp_path / "b.nii", read_volume(tmp_path / "a.nii"))
    header = nib.load(tmp_path / "b.nii").header
    assert (int(header["sform_code"]), int(header["qform_code"])) == (expected, expected)


def test_a_sheared_grid_is_written_without_a_qform(tmp_path: Path):
    affine = np.array([[1, 0.3, 0, 0], [0, 1, 0, 0], [0, 0, 1, 0], [0, 0, 0, 1]])
    write_volume(tmp_path / "a.nii", Volume(np.arange(24, dtype=np.float32).reshape(2, 3, 4), Grid((2, 3, 4), affine)))
    header = nib.load(tmp_path / "a.nii").header
    assert int(header["qform_code"]) == 0
    np.testing.assert_allclose(header.get_sform(), affine, atol=1e-7)


@pytest.mark.skipif(os.name == "nt", reason="names are Unicode there")
def test_a_name_that_is_not_utf_8_is_read(tmp_path: Path):
    path = Path(os.fsdecode(os.fsencode(tmp_path) + b"/M\xfcller.nii"))
    path.write_bytes(plain_bytes())
    assert read_volume(path).source == str(path)


def test_a_name_with_decomposed_umlauts_is_named(tmp_path: Path):
    (tmp_path / "Mu\u0308ller.nii").write_bytes(plain_bytes())
    if not (tmp_path / "M\u00fcller.nii").exists():  # some file systems know both
        with pytest.raises(VolumeError, match=r"spells the name as 'Mu\\u0308ller.nii'; rename it"):
            read_volume(tmp_path / "M\u00fcller.nii")
    assert read_volume(tmp_path / "Mu\u0308ller.nii").shape == SHAPE

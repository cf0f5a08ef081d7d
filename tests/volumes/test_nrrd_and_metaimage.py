"""NRRD and MetaImage files are read as SimpleITK wrote them, and files that it misreads or crashes on are refused (decision 8)."""

from __future__ import annotations

import zlib
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest
import SimpleITK as sitk

from anymod.errors import VolumeError
from anymod.volumes import read_labels, read_volume

PIXELS = (
    *(sitk.sitkUInt8, sitk.sitkInt8, sitk.sitkUInt16, sitk.sitkInt32, sitk.sitkUInt32),
    *(sitk.sitkInt64, sitk.sitkUInt64, sitk.sitkFloat32, sitk.sitkFloat64),
)
NAMES = ("a.mha", "a.mhd", "a.nrrd", "a.nhdr")


def oblique_image(pixel: int = sitk.sitkInt16, size: tuple[int, ...] = (5, 6, 7)) -> sitk.Image:
    """Return an image with unequal spacing and slanted axes."""
    data = np.random.default_rng(0).integers(1, 100, size[::-1])
    image = sitk.Cast(sitk.GetImageFromArray(data), pixel)
    image.SetSpacing((0.5, 1.5, 2.5)[: len(size)])
    image.SetOrigin((10, -20, 30)[: len(size)])
    if len(size) == 3:
        turn = sitk.Euler3DTransform()
        turn.SetRotation(0.1, 0.2, 0.3)
        image.SetDirection(turn.GetMatrix())
    return image


def written(path: Path, *, compressed: bool = False, image: sitk.Image | None = None) -> Path:
    """Write the oblique image with SimpleITK."""
    sitk.WriteImage(oblique_image() if image is None else image, str(path), compressed)
    return path


def refused(path: Path, pattern: str) -> None:
    """Assert that a file is refused by one line that names it."""
    with pytest.raises(VolumeError, match=pattern) as caught:
        read_volume(path)
    assert str(path) in str(caught.value)
    assert "\n" not in str(caught.value)


def edited(path: Path, old: bytes, new: bytes) -> Path:
    """Replace bytes of a header."""
    content = path.read_bytes()
    assert old in content
    path.write_bytes(content.replace(old, new, 1))
    return path


@pytest.mark.parametrize("name", NAMES)
@pytest.mark.parametrize("compressed", [False, True])
def test_values_and_geometry_are_those_that_simpleitk_wrote(tmp_path: Path, name: str, compressed: bool):
    image = oblique_image()
    volume = read_volume(written(tmp_path / name, compressed=compressed))
    np.testing.assert_array_equal(volume.data, sitk.GetArrayFromImage(image).T)
    for index in ((0, 0, 0), (4, 5, 6), (1, 3, 2)):
        theirs = np.array(image.TransformIndexToPhysicalPoint(index)) * (-1, -1, 1)
        np.testing.assert_allclose(volume.grid.to_world(np.array(index)), theirs, atol=1e-5)
    np.testing.assert_array_equal(read_labels(tmp_path / name).data, volume.data)
    assert volume.notes == ()


@pytest.mark.parametrize("pixel", PIXELS)
@pytest.mark.parametrize("name", ["a.mha", "a.nrrd"])
def test_every_type_is_read(tmp_path: Path, pixel: int, name: str):
    image = oblique_image(pixel)
    volume = read_volume(written(tmp_path / name, image=image))
    np.testing.assert_array_equal(volume.data, sitk.GetArrayFromImage(image).T)


@pytest.mark.parametrize("name", ["a.mha", "a.nrrd"])
def test_a_single_slice_is_a_volume(tmp_path: Path, name: str):
    volume = read_volume(written(tmp_path / name, image=oblique_image(size=(5, 6))))
    assert volume.shape == (5, 6, 1)
    assert volume.spacing_mm == (0.5, 1.5, 1.0)


@pytest.mark.parametrize("name", ["a.mha", "a.nrrd"])
@pytest.mark.parametrize("compressed", [False, True])
@pytest.mark.parametrize("share", [0.99, 0.8])
def test_a_truncated_file_is_refused(tmp_path: Path, name: str, compressed: bool, share: float):
    path = written(tmp_path / name, compressed=compressed)
    content = path.read_bytes()
    path.write_bytes(content[: int(len(content) * share)])
    refused(path, "truncated|ends|cannot hold|damaged")


@pytest.mark.parametrize(("name", "data"), [("a.mhd", "a.raw"), ("a.nhdr", "a.raw")])
def test_truncated_data_beside_the_header_are_refused(tmp_path: Path, name: str, data: str):
    path = written(tmp_path / name)
    content = (tmp_path / data).read_bytes()
    (tmp_path / data).write_bytes(content[:-1])
    refused(path, "cannot hold")
    (tmp_path / data).unlink()
    refused(path, "missing data file")


@pytest.mark.parametrize("place", ["../a.raw", "/etc/passwd", "sub/../../a.raw"])
def test_data_outside_of_the_folder_are_refused(tmp_path: Path, place: str):
    (tmp_path / "in").mkdir()
    written(tmp_path / "a.mhd")
    for name, old in (("a.mhd", b"ElementDataFile = a.raw"), ("a.nhdr", b"data file: a.raw")):
        path = edited(written(tmp_path / "in" / name), old, old.split(b"a.raw")[0] + place.encode())
        refused(path, "outside")


def test_a_link_out_of_the_folder_is_refused(tmp_path: Path):
    (tmp_path / "in").mkdir()
    path = written(tmp_path / "in" / "a.mhd")
    (tmp_path / "in" / "a.raw").rename(tmp_path / "b.raw")
    (tmp_path / "in" / "a.raw").symlink_to(tmp_path / "b.raw")
    refused(path, "outside")


@pytest.mark.parametrize(
    ("old", "new", "pattern"),
    [
        (b"DimSize = 5 6 7", b"DimSize = 50000 60000 70000", "cannot hold"),
        (b"DimSize = 5 6 7", b"DimSize = 5 6 0", "no voxels"),
        (b"DimSize = 5 6 7", b"DimSize = 5 6 seven", "DimSize"),
        (b"DimSize = 5 6 7", b"DimSize = 5 6", "DimSize"),
        (b"NDims = 3", b"NDims = 9", "NDims"),
        (b"NDims = 3", b"NDims = 3 3", "NDims"),
        (b"MET_SHORT", b"MET_STRING", "type"),
        (b"BinaryData = True", b"BinaryData = False", "text"),
        (b"Offset = 10", b"Offset = nan", "finite"),
        (b"ElementSpacing = 0.5", b"ElementSpacing = 0", "impossible"),
        (b"ElementSpacing", b"Elementspaces", "no 'ElementSpacing'"),
        (b"ElementType = MET_SHORT", b"ElementType = MET_SHORT\nElementNumberOfChannels = 3", "3 channels"),
        (b"ElementType = MET_SHORT", b"ElementType = MET_SHORT\nHeaderSize = 100000", "past the end"),
        (b"ElementType = MET_SHORT", b"ElementType = MET_SHORT\nHeaderSize = -7", "HeaderSize"),
        (b"ElementDataFile = LOCAL", b"ElementDataFile = LIST", "many files"),
        (b"ElementDataFile = LOCAL", b"ElementDataFile = slice%03d.raw 1 7 1", "many files"),
        (b"CompressedData = False", b"CompressedData = True", "damaged"),
        (b"CompressedData = False", b"CompressedData = 2", "not True or False"),
        (b"NDims = 3", b"NDims = 99999", "NDims"),  # SimpleITK crashes
        (b"ElementDataFile = LOCAL", b"ElementDataFile = %s%n.raw 1 7 1", "many files"),  # SimpleITK crashes
    ],
)
def test_a_malformed_metaimage_header_is_refused(tmp_path: Path, old: bytes, new: bytes, pattern: str):
    refused(edited(written(tmp_path / "a.mha"), old, new), pattern)


def recompressed(path: Path, change: Callable[[bytes], bytes]) -> Path:
    """Replace the compressed stream of a MetaImage file, and its size in the header; return the path."""
    content = path.read_bytes()
    size = content.split(b"CompressedDataSize = ")[1].split(b"\n")[0]
    stream = change(content[-int(size) :])
    path.write_bytes(content[: -int(size)].replace(size, str(len(stream)).encode(), 1) + stream)
    return path


@pytest.mark.parametrize(
    ("change", "pattern"),
    [
        (lambda stream: stream[:-20], "end too early"),
        (lambda stream: stream[:-2] + b"xx", "damaged"),  # the checksum
        (lambda stream: stream[:60] + bytes([stream[60] ^ 1]) + stream[61:], "damaged"),
        (lambda stream: zlib.compress(zlib.decompress(stream)[:-50]), "holds 370 of 420 bytes"),
    ],
)
def test_damage_in_a_compressed_metaimage_is_refused(tmp_path: Path, change: Callable, pattern: str):
    path = recompressed(written(tmp_path / "a.mha", compressed=True), change)
    assert sitk.GetArrayFromImage(sitk.ReadImage(str(path))).shape == (7, 6, 5)  # SimpleITK reads it with wrong voxels
    refused(path, pattern)


def test_the_claimed_size_of_a_compressed_metaimage_is_checked_and_not_needed(tmp_path: Path):
    path = written(tmp_path / "a.mha", compressed=True)
    size = b"CompressedDataSize = " + path.read_bytes().split(b"CompressedDataSize = ")[1].split(b"\n")[0]
    edited(path, size + b"\n", b"")
    np.testing.assert_array_equal(read_volume(path).data, sitk.GetArrayFromImage(oblique_image()).T)
    refused(edited(path, b"CompressedData =", b"CompressedDataSize = 9999999\nCompressedData ="), "claims 9999999")


@pytest.mark.parametrize(
    ("old", "new", "pattern"),
    [
        (b"sizes: 5 6 7", b"sizes: 50000 60000 70000", "cannot hold"),
        (b"sizes: 5 6 7", b"sizes: -5 6 7", "no voxels"),
        (b"sizes: 5 6 7", b"sizes: 5 6", "dimension"),
        (b"type: short", b"type: block", "type"),
        (b"encoding: raw", b"encoding: bzip2", "encoding"),
        (b"encoding: raw", b"encoding: gzip", "damaged"),
        (b"endian: little", b"endian: middle", "endian"),
        (b"space: left-posterior-superior", b"space: scanner-xyz", "space"),
        (b"space origin: (10,", b"space origin: (nan,", "finite"),
        (b"space directions: (", b"space directions: none (", "space directions"),
        (b"encoding: raw", b"encoding: raw\nline skip: 3", "skips"),
        (b"encoding: raw", b"encoding: raw\nbyte skip: 90000", "past the end"),
        (b"encoding: raw", b'encoding: raw\nspace units: "cm" "cm" "cm"', "cm"),
        (b"\n\n", b"\n", "no 'field: value'|no empty line"),
    ],
)
def test_a_malformed_nrrd_header_is_refused(tmp_path: Path, old: bytes, new: bytes, pattern: str):
    refused(edited(written(tmp_path / "a.nrrd"), old, new), pattern)


def test_several_volumes_in_a_nrrd_are_refused(tmp_path: Path):
    path = tmp_path / "a.nrrd"
    header = b"NRRD0005\ntype: uchar\ndimension: 4\nspace: RAS\nsizes: 2 3 4 5\nencoding: raw\n"
    directions = b"space directions: none (1,0,0) (0,1,0) (0,0,2)\n\n"
    path.write_bytes(header + directions + bytes(range(120)))
    refused(path, "4-D with 2 volumes")
    path.write_bytes(header.replace(b": 2 3", b": 1 6") + directions + bytes(range(120)))
    volume = read_volume(path)
    assert volume.shape == (6, 4, 5)
    assert volume.grid.orientation == "RAS"


def test_a_nrrd_without_orientation_is_noted(tmp_path: Path):
    header = b"NRRD0004\n# a comment\ntype: uchar\ndimension: 3\nsizes: 3 4 5\nspacings: 1 2 3\nencoding: raw\nkey:=value\n\n"
    (tmp_path / "a.nrrd").write_bytes(header + bytes(range(60)))
    volume = read_volume(tmp_path / "a.nrrd")
    assert "no orientation" in volume.notes[0]
    assert volume.spacing_mm == (1, 2, 3)


def test_a_very_long_line_in_a_nrrd_header_is_harmless(tmp_path: Path):
    path = edited(written(tmp_path / "a.nrrd"), b"kinds: ", b"kinds: " + b"A" * 3000)  # SimpleITK crashes
    assert read_volume(path).shape == (5, 6, 7)


def test_the_last_bytes_of_a_file_can_be_the_voxels(tmp_path: Path):
    plain = read_volume(written(tmp_path / "a.nrrd"))
    edited(tmp_path / "a.nrrd", b"encoding: raw", b"encoding: raw\nbyte skip: -1")
    np.testing.assert_array_equal(read_volume(tmp_path / "a.nrrd").data, plain.data)
    path = edited(written(tmp_path / "a.mha"), b"ElementType", b"HeaderSize = -1\nElementType")
    np.testing.assert_array_equal(read_volume(path).data, plain.data)
    path.write_bytes(path.read_bytes()[:-50])
    refused(path, "cannot hold")


def test_a_small_compressed_claim_of_gigabytes_is_refused(tmp_path: Path):
    path = edited(written(tmp_path / "a.mha", compressed=True), b"DimSize = 5 6 7", b"DimSize = 500 600 700")
    refused(path, "cannot hold")

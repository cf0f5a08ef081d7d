"""Whatever the bytes, a reader returns a volume or raises AnymodError: no other exception, no hang, no huge allocation."""

from __future__ import annotations

import functools
import gzip
import tempfile
import tracemalloc
from collections.abc import Iterator
from pathlib import Path

import nibabel as nib
import numpy as np
import pytest
import SimpleITK as sitk
from dicom_phantom import one_slice
from hypothesis import example, given, settings, strategies as st

from anymod.errors import AnymodError
from anymod.volumes import Volume, image_fingerprint, read_labels, read_volume, write_volume
from anymod.volumes.formats import sandbox_child
from anymod.volumes.grid import Grid


@pytest.fixture(scope="module", autouse=True)
def _same_process() -> Iterator[None]:
    """Parse DICOM in this process: a child process would hide the crashes that these tests look for."""
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr("anymod.volumes.reading.parse_in_sandbox", sandbox_child.parse)
        yield


NAMES = ("a.nii", "a.nii.gz", "a.mha", "a.mhd", "a.nrrd", "a.nhdr", "a.dcm", "a")
LARGEST_ALLOCATION = (
    2**28 * 6
)  # a label map of 256 MiB made float32 or int32 is the worst that a small file may ask for


def try_everything(name: str, content: bytes) -> None:
    """Read a file of this content in every way; only AnymodError may come out, in one line."""
    with tempfile.TemporaryDirectory() as folder:
        path = Path(folder) / name
        path.write_bytes(content)
        for read in (read_volume, read_labels, image_fingerprint):
            for place in (path, path.parent):
                try:
                    read(place)
                except AnymodError as error:
                    assert "\n" not in str(error)


@functools.cache
def valid_files() -> dict[str, bytes]:
    """Return one small valid file of each format."""
    data = np.random.default_rng(0).integers(1, 100, (4, 5, 6)).astype(np.int16)
    nifti = nib.Nifti1Image(data, np.diag([-1.0, 1, 2, 1]))
    files = {"a.nii": nifti.to_bytes(), "b.nii.gz": gzip.compress(nifti.to_bytes())}
    files["c.nii"] = nib.Nifti2Image(data, np.diag([-1.0, 1, 2, 1])).to_bytes()
    with tempfile.TemporaryDirectory() as folder:
        for name, compressed in (("a.mha", False), ("b.mha", True), ("a.nrrd", False), ("b.nrrd", True)):
            sitk.WriteImage(sitk.GetImageFromArray(data.T), f"{folder}/{name}", compressed)
            files[name] = Path(folder, name).read_bytes()
        one_slice(0).save_as(f"{folder}/a.dcm")
        files["a.dcm"] = Path(folder, "a.dcm").read_bytes()
    return files


@pytest.mark.parametrize("name", ["a.nii", "b.nii.gz", "c.nii", "a.mha", "b.mha", "a.nrrd", "b.nrrd", "a.dcm"])
def test_the_files_that_are_mutated_are_valid(name: str, tmp_path: Path):
    (tmp_path / name).write_bytes(valid_files()[name])
    assert read_volume(tmp_path / name).shape in ((4, 5, 6), (6, 5, 1))


@given(st.sampled_from(NAMES), st.binary(max_size=600))
@example("a.dcm", bytes(128) + b"DICM")
@example("a.dcm", bytes(128) + b"DICM" + b"\x02\x00\x10\x00UI\xff\xff" * 9)
@example("a.nii.gz", b"\x1f\x8b")
@example("a.nrrd", b"NRRD0004\n\n")
@settings(max_examples=60, deadline=5000)
def test_garbage_gives_an_anymod_error(name: str, content: bytes):
    try_everything(name, content)


BEGINNINGS = (
    b"NRRD0005\n",
    b"NDims = 3\n",
    bytes(128) + b"DICM",
    b"\x5c\x01\0\0" + bytes(340) + b"n+1\0",
    b"\x1f\x8b\x08\0",
)


@given(st.sampled_from(BEGINNINGS), st.binary(max_size=400))
@settings(max_examples=60, deadline=5000)
def test_garbage_behind_a_good_beginning_gives_an_anymod_error(beginning: bytes, content: bytes):
    try_everything("a", beginning + content)


def mutated(content: bytes, seed: int) -> bytes:
    """Return the bytes with a few of them changed, cut out, doubled or cut off."""
    draw = np.random.default_rng(seed)
    changed = bytearray(content)
    for _ in range(draw.integers(1, 7)):
        at = int(draw.integers(len(changed) if draw.random() < 0.5 else min(400, len(changed))))
        kind = draw.integers(5)
        if kind <= 1:
            changed[at] = draw.choice((0, 1, 127, 128, 255, draw.integers(256)))
        elif kind == 2:
            changed[at : at + 4] = draw.bytes(4)
        elif kind == 3:
            del changed[at : at + draw.integers(1, 9)]
        else:
            changed[at:at] = changed[at : at + draw.integers(1, 9)]
        changed = changed or bytearray(b"x")
    return bytes(changed[: draw.integers(len(changed))]) if draw.random() < 0.2 else bytes(changed)


@given(
    st.sampled_from(("a.nii", "b.nii.gz", "c.nii", "a.mha", "b.mha", "a.nrrd", "b.nrrd", "a.dcm")),
    st.integers(0, 2**32),
)
@settings(max_examples=150, deadline=5000)
def test_a_mutated_file_gives_a_volume_or_an_anymod_error(name: str, seed: int):
    try_everything(name, mutated(valid_files()[name], seed))


TEXTS = (
    b"5 5 5",
    b"-1",
    b"nan",
    b"9" * 400,
    b"1e999 0 0",
    b"(1,2)",
    b"none",
    b"",
    b"\xff\0",
    b"LIST",
    b"../x",
    b"a.mha",
    b"%d",
)
TEXT_FIELDS = st.sampled_from(TEXTS)


@given(st.sampled_from(("a.mha", "a.nrrd")), st.integers(0, 30), TEXT_FIELDS)
@settings(max_examples=80, deadline=5000)
def test_a_header_line_with_another_value_gives_a_volume_or_an_anymod_error(name: str, line: int, value: bytes):
    lines = valid_files()[name].split(b"\n")
    line %= 12
    separator = b": " if name.endswith("nrrd") else b" = "
    lines[line] = lines[line].split(separator)[0] + separator + value
    try_everything(name, b"\n".join(lines))


@given(st.lists(st.integers(-(2**15), 2**15 - 1), min_size=8, max_size=8), st.booleans())
@settings(max_examples=40, deadline=5000)
def test_no_sizes_in_a_header_allocate_what_the_file_does_not_hold(dim: list[int], packed: bool):
    content = bytearray(valid_files()["a.nii"])
    content[40:56] = np.array([3, *dim[1:]], "<i2").tobytes()
    tracemalloc.start()
    try:
        try_everything("a.nii.gz", gzip.compress(bytes(content)) if packed else bytes(content))
        assert tracemalloc.get_traced_memory()[1] < LARGEST_ALLOCATION
    finally:
        tracemalloc.stop()


finite = st.floats(-500, 500, allow_nan=False).map(np.float32).map(float)


@given(
    st.tuples(*[st.floats(-180, 180)] * 3),
    st.tuples(*[st.floats(0.5, 20)] * 3),
    st.tuples(finite, finite, finite),
    st.booleans(),
)
@settings(max_examples=40, deadline=5000)
def test_any_affine_with_right_angles_is_written_and_read_the_same(degrees, steps, origin, mirrored):
    from scipy.spatial.transform import Rotation

    affine = np.eye(4)
    affine[:3, :3] = Rotation.from_euler("xyz", degrees, degrees=True).as_matrix() * steps
    affine[0] *= -1 if mirrored else 1
    affine[:3, 3] = origin
    volume = Volume(np.arange(24, dtype=np.float32).reshape(2, 3, 4), Grid((2, 3, 4), affine))
    with tempfile.TemporaryDirectory() as folder:
        write_volume(Path(folder) / "a.nii.gz", volume)
        back = read_volume(Path(folder) / "a.nii.gz")
    assert back.grid.same_as(volume.grid, tolerance_mm=1e-3)
    assert all("very long" in note for note in back.notes)
    np.testing.assert_array_equal(back.data, volume.data)


@given(st.lists(st.floats(width=32), min_size=12, max_size=12), st.integers(0, 2), st.integers(0, 2))
@settings(max_examples=80, deadline=5000)
def test_any_numbers_as_transforms_give_a_volume_or_an_anymod_error(rows: list[float], sform: int, qform: int):
    content = bytearray(valid_files()["a.nii"])
    content[252:256] = np.array([qform, sform], "<i2").tobytes()
    content[280:328] = np.array(rows, "<f4").tobytes()
    content[256:280] = np.array(rows[:6], "<f4").tobytes()
    try_everything("a.nii", bytes(content))

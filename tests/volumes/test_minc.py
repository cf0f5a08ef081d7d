"""MINC 1 and 2: files of the MINC tools, oblique geometry by known points, and files that are not what they claim."""

from __future__ import annotations

import gzip
import sys
from collections.abc import Callable
from contextlib import suppress
from pathlib import Path

import h5py
import nibabel
import numpy as np
import pytest
from hypothesis import HealthCheck, given, settings, strategies as st

from anymod.errors import AnymodError, VolumeError
from anymod.volumes import orient, read_labels, read_volume
from anymod.volumes.formats.minc import parse_minc
from anymod.volumes.formats.sandbox import parse_in_sandbox

pytestmark = pytest.mark.usefixtures("no_sandbox")

SAMPLES = (
    Path(nibabel.__file__).parent / "tests" / "data"
)  # made by the MINC tools; their figures by mincstats and mincinfo
needs_samples = pytest.mark.skipif(not (SAMPLES / "tiny.mnc").is_file(), reason="nibabel came without its test data")


def minc2(
    path: Path, voxels: np.ndarray, *, steps=(3.0, 2.0, 1.5), starts=(10.0, -20.0, 5.0), cosines=None, **more
) -> Path:
    """Write voxels [z, y, x] as MINC 2, steps and starts [mm] in the order z, y, x; `more` are options of the data set."""
    names = ("zspace", "yspace", "xspace")
    with h5py.File(path, "w") as file:
        for number, name in enumerate(names):
            dimension = file.create_dataset(f"minc-2.0/dimensions/{name}", data=np.int32(0))
            dimension.attrs["step"], dimension.attrs["start"] = steps[number], starts[number]
            dimension.attrs["spacing"] = np.bytes_("regular__")
            if cosines is not None:
                dimension.attrs["direction_cosines"] = np.asarray(cosines[number])
        if "shape" in more:
            image = file.create_dataset("minc-2.0/image/0/image", dtype=voxels.dtype, **more)
        else:
            image = file.create_dataset("minc-2.0/image/0/image", data=voxels, **more)
        image.attrs["dimorder"] = np.bytes_(",".join(names))
        for name, value in (("image-max", voxels.max()), ("image-min", voxels.min())):
            file.create_dataset(f"minc-2.0/image/0/{name}", data=float(value))
        if voxels.dtype.kind in "iu":
            image.attrs["valid_range"] = [float(voxels.min()), float(voxels.max())]
    return path


def ramp(dtype: str = "i2") -> np.ndarray:
    return np.arange(4 * 5 * 6).reshape(4, 5, 6).astype(dtype)


@needs_samples
@pytest.mark.parametrize(
    ("name", "shape", "spacing", "first", "low", "high", "mean"),
    [
        ("tiny.mnc", (10, 20, 20), (2, 2, 2), (-20, -20, -10), 0.20784314, 0.74901961, 0.60602819),
        ("minc1_1_scale.mnc", (10, 20, 20), (2, 2, 2), (-20, -20, -10), 0.2082842439, 0.2094327615, 0.2091292083),
        ("minc2_1_scale.mnc", (10, 20, 20), (2, 2, 2), (-20, -20, -10), 0.2082842439, 0.2094327615, 0.2091292083),
        ("small.mnc", (18, 28, 29), (9, 8, 7), (-98, -134, -72), 0.1185331417, 92.87690699, 31.2127952),
    ],
)
def test_files_of_the_minc_tools(name, shape, spacing, first, low, high, mean):
    volume = read_volume(SAMPLES / name)
    assert volume.shape == shape and volume.data.dtype == np.float32
    np.testing.assert_allclose(volume.spacing_mm, spacing)
    np.testing.assert_allclose(volume.grid.affine[:3, 3], first)
    np.testing.assert_allclose([volume.data.min(), volume.data.max(), volume.data.mean()], [low, high, mean], rtol=1e-5)
    # Their x runs to the right, y to the front, z upwards: turned to RAS, the axes are x, y, z.
    assert orient(volume, "RAS").shape == shape[::-1]


@needs_samples
def test_gzipped_minc_1_reads_alike(tmp_path: Path):
    packed = tmp_path / "tiny.mnc.gz"
    packed.write_bytes(gzip.compress((SAMPLES / "tiny.mnc").read_bytes()))
    np.testing.assert_array_equal(read_volume(packed).data, read_volume(SAMPLES / "tiny.mnc").data)


@needs_samples
@pytest.mark.parametrize(
    ("name", "why"),
    [
        ("minc1_4d.mnc", "several volumes"),
        ("minc2-4d-d.mnc", "several volumes"),
        ("minc1-no-att.mnc", "has no step"),
    ],
)
def test_several_volumes_and_missing_steps_are_refused(name: str, why: str):
    with pytest.raises(VolumeError, match=why):
        read_volume(SAMPLES / name)


def test_an_oblique_voxel_lies_where_its_cosines_say(tmp_path: Path):
    tilt = np.radians(20.0)
    x, y, z = (1.0, 0, 0), (0, np.cos(tilt), np.sin(tilt)), (0, -np.sin(tilt), np.cos(tilt))
    path = minc2(tmp_path / "a.mnc", ramp(), steps=(3.0, -2.0, 1.5), cosines=(z, y, x))
    volume = read_volume(path)
    # By hand: voxel (k, j, i) lies at (start + index * step) along each cosine.
    k, j, i = 2, 3, 1
    along = 10.0 + 3.0 * k, -20.0 - 2.0 * j, 5.0 + 1.5 * i
    world = along[0] * np.array(z) + along[1] * np.array(y) + along[2] * np.array(x)
    np.testing.assert_allclose(volume.grid.affine @ [k, j, i, 1], [*world, 1], atol=1e-9)
    assert volume.data[k, j, i] == ramp()[k, j, i]


def test_labels_and_float_images(tmp_path: Path):
    assert read_labels(minc2(tmp_path / "l.mnc", ramp("u1"))).data.dtype == np.int32
    image = np.random.default_rng(0).normal(size=(4, 5, 6)).astype("f4")
    np.testing.assert_array_equal(read_volume(minc2(tmp_path / "f.mnc", image)).data, image)


def test_what_a_small_file_claims_is_not_believed(tmp_path: Path):
    huge = minc2(tmp_path / "huge.mnc", ramp(), shape=(30000, 30000, 30000), chunks=(64, 64, 64))
    assert huge.stat().st_size < 2**16
    with pytest.raises(VolumeError, match="are more than"):
        read_volume(huge)
    bomb = minc2(tmp_path / "bomb.mnc", ramp(), shape=(900, 900, 900), chunks=(64, 64, 64))
    with pytest.raises(VolumeError, match="expand to"):
        read_volume(bomb)


def test_other_hdf5_and_irregular_spacing_are_refused(tmp_path: Path):
    with h5py.File(tmp_path / "other.mnc", "w") as file:
        file["data"] = np.zeros(3)
    with pytest.raises(VolumeError, match="unreadable MINC"):
        read_volume(tmp_path / "other.mnc")
    path = minc2(tmp_path / "a.mnc", ramp())
    with h5py.File(path, "r+") as file:
        file["minc-2.0/dimensions/zspace"].attrs["spacing"] = np.bytes_("irregular")
    with pytest.raises(VolumeError, match="Irregular"):
        read_volume(path)


def altered(path: Path, change: Callable[[h5py.File], None]) -> Path:
    minc2(path, ramp())
    with h5py.File(path, "r+") as file:
        change(file)
    return path


def irregular(file: h5py.File) -> None:
    file["minc-2.0/dimensions/zspace"].attrs["spacing"] = "irregular"  # as h5py stores text, not as MINC's tools do


def long_direction(file: h5py.File) -> None:
    file["minc-2.0/dimensions/yspace"].attrs["direction_cosines"] = [0.0, 2.0, 0.0]


def scales_of_no_dimension(file: h5py.File) -> None:
    for name in ("image-max", "image-min"):
        del file[f"minc-2.0/image/0/{name}"]
        file[f"minc-2.0/image/0/{name}"] = np.arange(4.0)


def kept_elsewhere(file: h5py.File) -> None:
    place = "minc-2.0/image/0/image"
    attributes = dict(file[place].attrs)
    del file[place]
    secret = Path(file.filename).with_name("secret.txt")
    secret.write_bytes(b"password=hunter2;" * 100)
    image = file.create_dataset(place, (4, 5, 6), "i2", external=[(str(secret), 0, 240)])
    image.attrs.update(attributes)


def linked(file: h5py.File) -> None:
    place = "minc-2.0/image/0/image"
    other = minc2(Path(file.filename).with_name("other.mnc"), ramp())
    del file[place]
    file[place] = h5py.ExternalLink(str(other), place)


@pytest.mark.parametrize(
    ("change", "why"),
    [
        (irregular, "zspace is spaced 'irregular'"),
        (long_direction, "not a vector of length 1"),
        (scales_of_no_dimension, "which dimension it runs along"),
        (kept_elsewhere, "kept in another file"),
        (linked, "is a link"),
    ],
)
def test_what_would_be_read_wrongly_or_from_elsewhere_is_refused(
    tmp_path: Path, change: Callable[[h5py.File], None], why: str
):
    with pytest.raises(VolumeError, match=why):
        read_volume(altered(tmp_path / "a.mnc", change))


@needs_samples
def test_a_gzip_bomb_and_packed_minc_2_are_refused(tmp_path: Path, monkeypatch: pytest.MonkeyPatch):
    bomb = tmp_path / "bomb.mnc.gz"
    bomb.write_bytes(gzip.compress((SAMPLES / "tiny.mnc").read_bytes() + bytes(2**22)))
    monkeypatch.setattr("anymod.volumes.formats.minc.BOMB_BYTES", 2**20)
    with pytest.raises(VolumeError, match="expand to"):
        parse_minc(bomb)
    packed = tmp_path / "packed.mnc.gz"
    packed.write_bytes(gzip.compress(minc2(tmp_path / "a.mnc", ramp()).read_bytes()))
    with pytest.raises(VolumeError, match="decompress it"):
        read_volume(packed)


def test_without_h5py_the_error_names_the_extra(tmp_path: Path, monkeypatch: pytest.MonkeyPatch):
    path = minc2(tmp_path / "a.mnc", ramp())
    monkeypatch.setitem(sys.modules, "h5py", None)
    with pytest.raises(VolumeError, match="h5py is not installed") as error:
        parse_minc(path)
    assert "anymod[minc]" in str(error.value)


def damaged(path: Path, sample: str, data: st.DataObject) -> Path:
    content = bytearray((SAMPLES / sample).read_bytes())
    for _ in range(data.draw(st.integers(0, 8))):
        content[data.draw(st.integers(0, len(content) - 1))] = data.draw(st.integers(0, 255))
    path.write_bytes(content[: data.draw(st.integers(1, len(content)) | st.just(len(content)))])
    return path


@needs_samples
@given(st.data())
@settings(max_examples=60, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
def test_damaged_minc_1_ends_in_a_clear_error_or_is_read(tmp_path: Path, data: st.DataObject):
    with suppress(AnymodError):
        parse_minc(damaged(tmp_path / "damaged.mnc", "tiny.mnc", data)).values()


@pytest.mark.slow
@needs_samples
@given(st.data())
@settings(max_examples=8, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
def test_damaged_minc_2_never_ends_the_program(tmp_path: Path, data: st.DataObject):
    with suppress(AnymodError):  # a library in C: only its child may die
        parse_in_sandbox(damaged(tmp_path / "damaged.mnc", "minc2_1_scale.mnc", data))

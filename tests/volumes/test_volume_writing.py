"""What is written is read back the same, whole or not at all."""

from __future__ import annotations

import pickle
import types
from pathlib import Path

import nibabel as nib
import numpy as np
import pytest

from anymod import volumes
from anymod.errors import OutputError, VolumeError
from anymod.volumes import Grid, Volume, read_labels, read_volume, write_volume

AFFINE = np.array([[-0.9, 0.1, 0, 31], [0.1, 0.9, 0, -40.5], [0, 0, 2.5, 17.25], [0, 0, 0, 1]])


def noise(shape: tuple[int, int, int] = (5, 6, 7)) -> Volume:
    """Return float32 noise on an oblique grid."""
    data = np.random.default_rng(0).normal(size=shape).astype(np.float32)
    return Volume(data, Grid(shape, AFFINE))


@pytest.mark.parametrize("name", ["a.nii.gz", "deep/er/a.nii"])
def test_an_image_comes_back_as_it_was(tmp_path: Path, name: str):
    volume = noise()
    write_volume(tmp_path / name, volume)
    back = read_volume(tmp_path / name)
    np.testing.assert_array_equal(back.data, volume.data)
    assert back.data.dtype == np.float32
    assert back.grid.same_as(volume.grid, tolerance_mm=1e-4)
    assert back.notes == ()
    assert back.source == str(tmp_path / name)


def test_sform_and_qform_say_the_same(tmp_path: Path):
    write_volume(tmp_path / "a.nii.gz", noise())
    header = nib.load(tmp_path / "a.nii.gz").header
    np.testing.assert_allclose(header.get_qform(), header.get_sform(), atol=1e-4)
    assert int(header["qform_code"]) == int(header["sform_code"]) == 1
    assert header.get_xyzt_units()[0] == "mm"


def test_any_memory_order_and_a_view_can_be_written(tmp_path: Path):
    data = np.ascontiguousarray(noise((7, 6, 5)).data).transpose(2, 1, 0)[:, ::-1]
    volume = Volume(data, Grid((5, 6, 7), AFFINE))
    write_volume(tmp_path / "a.nii.gz", volume)
    np.testing.assert_array_equal(read_volume(tmp_path / "a.nii.gz").data, data)


@pytest.mark.parametrize(
    ("values", "stored"),
    [
        (np.array([0, 530, -3]), np.int16),
        (np.array([0, 70000, 3]), np.int32),
        (np.array([True, False, True]), np.int16),
    ],
)
def test_labels_are_written_as_the_smallest_type_of_the_contract(tmp_path: Path, values: np.ndarray, stored: type):
    volume = Volume(values.reshape(3, 1, 1), Grid((3, 1, 1), np.eye(4)))
    write_volume(tmp_path / "a.nii.gz", volume)
    assert nib.load(tmp_path / "a.nii.gz").get_data_dtype() == stored
    assert read_labels(tmp_path / "a.nii.gz").data.ravel().tolist() == values.astype(int).tolist()


def test_the_description_is_kept_and_cut_at_79_bytes(tmp_path: Path):
    write_volume(tmp_path / "a.nii.gz", noise(), "synthetic " * 10)
    assert bytes(nib.load(tmp_path / "a.nii.gz").header["descrip"]) == (b"synthetic " * 10)[:79] + b"\0"


def test_the_same_volume_gives_the_same_bytes(tmp_path: Path):
    write_volume(tmp_path / "a.nii.gz", noise())
    write_volume(tmp_path / "b.nii.gz", noise())
    assert (tmp_path / "a.nii.gz").read_bytes() == (tmp_path / "b.nii.gz").read_bytes()


def test_nan_is_not_written_and_leaves_no_file(tmp_path: Path):
    volume = noise()
    volume.data[0, 0, 0] = np.nan
    with pytest.raises(VolumeError, match="NaN"):
        write_volume(tmp_path / "a.nii.gz", volume)
    assert list(tmp_path.iterdir()) == []


@pytest.mark.parametrize("name", ["a.mha", "a", "a.nii.gz.txt"])
def test_other_names_are_refused(tmp_path: Path, name: str):
    with pytest.raises(OutputError, match="name"):
        write_volume(tmp_path / name, noise())


def test_a_disk_that_fails_leaves_no_file(tmp_path: Path, monkeypatch: pytest.MonkeyPatch):
    def fail(image: nib.Nifti1Image, path: Path) -> None:
        Path(path).write_bytes(b"half")
        raise OSError(28, "No space left on device")

    monkeypatch.setattr(nib, "save", fail)
    with pytest.raises(OutputError, match="No space left"):
        write_volume(tmp_path / "a.nii.gz", noise())
    assert list(tmp_path.iterdir()) == []


def test_a_file_that_reads_back_differently_does_not_count_as_written(tmp_path: Path, monkeypatch: pytest.MonkeyPatch):
    save = nib.save
    changed = nib.Nifti1Image(noise().data + 1, AFFINE)
    monkeypatch.setattr(nib, "save", lambda image, path: save(changed, path))
    with pytest.raises(OutputError, match="reads back"):
        write_volume(tmp_path / "a.nii.gz", noise())
    assert list(tmp_path.iterdir()) == []


def test_the_room_offers_what_it_says_and_no_module_hides_a_function():
    assert volumes.__all__ == sorted(volumes.__all__)
    for name in volumes.__all__:
        assert not isinstance(getattr(volumes, name), types.ModuleType)
    with pytest.raises(AttributeError, match="nothing"):
        _ = volumes.nothing


def test_a_volume_can_be_sent_to_another_process():
    volume = noise()
    back = pickle.loads(pickle.dumps(volume))  # noqa: S301
    assert back.grid.same_as(volume.grid, 0.0)
    np.testing.assert_array_equal(back.data, volume.data)

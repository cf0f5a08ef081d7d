"""From files to files: what is written, what it says of itself, and that a failure leaves nothing."""

from __future__ import annotations

import json
from pathlib import Path

import nibabel as nib
import numpy as np
import pytest
from matplotlib.image import imread
from scipy import ndimage
from tiny_models import GRID, head, save_tiny_model

from anymod.errors import AnymodError, OutputError, VolumeError
from anymod.files import sha256
from anymod.folders import staged_folder
from anymod.synthesis import Inputs, SynthesisOptions, synthesize_files
from anymod.volumes import Grid, Volume, read_volume, write_volume


@pytest.fixture
def model(tmp_path: Path) -> Path:
    return save_tiny_model(tmp_path / "model")


@pytest.fixture
def t1(tmp_path: Path) -> Path:
    write_volume(tmp_path / "t1.nii.gz", head(0))
    return tmp_path / "t1.nii.gz"


def test_files_are_written_on_the_inputs_grid_and_say_that_they_are_synthetic(
    tmp_path: Path, model: Path, t1: Path
) -> None:
    options = SynthesisOptions(temperature=0.7, samples=2)
    record = synthesize_files(model, Inputs({"t1": t1}), tmp_path / "out", options, device="cpu")
    images = {"t2.nii.gz", "t2_sd.nii.gz", "flair.nii.gz", "flair_sd.nii.gz"}
    assert {path.name for path in (tmp_path / "out").iterdir()} == images | {"synthesis.json", "preview.png"}
    assert set(record["outputs"]) == images
    for name in images:
        stored = nib.load(tmp_path / "out" / name)
        assert stored.header["descrip"].tobytes().startswith(b"anymod synthetic ")
        assert read_volume(tmp_path / "out" / name).grid.same_as(GRID)


@pytest.mark.usefixtures("blank_pictures")
def test_a_sheared_image_is_filled_in_on_its_own_grid(tmp_path: Path, model: Path) -> None:
    affine = GRID.affine @ np.array([[1, 0.08, 0, 0], [0, 1, -0.05, 0], [0, 0, 1, 0], [0, 0, 0, 1]])
    sheared = Volume(head(0).data, Grid(GRID.shape, affine, space=4))
    write_volume(tmp_path / "sheared.nii.gz", sheared)
    synthesize_files(model, Inputs({"t1": tmp_path / "sheared.nii.gz"}), tmp_path / "out", device="cpu")
    made = nib.load(tmp_path / "out/t2.nii.gz")
    assert made.shape == GRID.shape
    np.testing.assert_allclose(made.affine, affine, atol=1e-5)
    assert int(made.header["sform_code"]) == 4
    inside, filled = sheared.data > 0, made.get_fdata() != 0
    assert filled[inside].mean() > 0.99
    assert not filled[~ndimage.binary_dilation(inside, np.ones((3, 3, 3)))].any()


def test_the_record_tells_how_the_images_were_made(tmp_path: Path, model: Path, t1: Path) -> None:
    synthesize_files(model, Inputs({"t1": t1}), tmp_path / "out", SynthesisOptions(("t2",), seed=5), device="cpu")
    record = json.loads((tmp_path / "out" / "synthesis.json").read_text())
    assert record["format"] == 1
    assert record["shown"] == ["t1"]
    assert record["targets"] == ["t2"]
    assert record["seed"] == 5
    assert record["temperature"] == 0.0
    assert record["inputs_sha256"] == {"t1": sha256(t1)}
    assert record["model_sha256"] == sha256(model / "weights.safetensors")
    assert record["device"] == "cpu"
    assert set(record["seconds"]) == {"read", "prepare", "network", "restore", "write"}


def test_a_synthetic_image_that_is_fed_back_is_told(
    tmp_path: Path, model: Path, t1: Path, caplog: pytest.LogCaptureFixture
) -> None:
    synthesize_files(model, Inputs({"t1": t1}), tmp_path / "out", SynthesisOptions(("t2",)), device="cpu")
    assert "synthetic" not in caplog.text
    synthesize_files(model, Inputs({"t2": tmp_path / "out/t2.nii.gz"}), tmp_path / "again", device="cpu")
    assert "out/t2.nii.gz: it is a synthetic image, not a scan" in caplog.text


def test_the_preview_shows_three_planes_of_everything(tmp_path: Path, model: Path, t1: Path) -> None:
    synthesize_files(model, Inputs({"t1": t1}), tmp_path / "out", device="cpu")
    picture = imread(tmp_path / "out" / "preview.png")
    assert picture.shape[1] > 500
    assert picture[..., :3].std() > 0.1


def test_a_result_is_not_touched_without_overwrite(tmp_path: Path, model: Path, t1: Path) -> None:
    (tmp_path / "out").mkdir()
    (tmp_path / "out" / "precious.txt").write_text("mine")
    with pytest.raises(OutputError, match="--overwrite"):
        synthesize_files(model, Inputs({"t1": t1}), tmp_path / "out", device="cpu")
    synthesize_files(model, Inputs({"t1": t1}), tmp_path / "out", device="cpu", overwrite=True)
    assert not (tmp_path / "out" / "precious.txt").exists()


def test_a_failure_leaves_no_folder_and_an_old_result_alone(tmp_path: Path, model: Path) -> None:
    (tmp_path / "broken.nii.gz").write_bytes(b"nothing of the kind")
    (tmp_path / "old").mkdir()
    (tmp_path / "old" / "t2.nii.gz").write_bytes(b"old")
    inputs = Inputs({"t1": tmp_path / "broken.nii.gz"})
    before = sorted(path.name for path in tmp_path.iterdir())
    for out, overwrite in (("new", False), ("old", True)):
        with pytest.raises(VolumeError, match=r"broken\.nii\.gz"):
            synthesize_files(model, inputs, tmp_path / out, device="cpu", overwrite=overwrite)
    assert sorted(path.name for path in tmp_path.iterdir()) == before
    assert (tmp_path / "old" / "t2.nii.gz").read_bytes() == b"old"


@pytest.mark.parametrize("wrong", ["grid", "file", "modality", "model"])
def test_what_cannot_be_used_is_one_line_that_names_it(tmp_path: Path, model: Path, t1: Path, wrong: str) -> None:
    other = Grid((16, 18, 7), np.eye(4))
    write_volume(tmp_path / "t2.nii.gz", head(1, other))
    inputs = {
        "grid": Inputs({"t1": t1, "t2": tmp_path / "t2.nii.gz"}),
        "file": Inputs({"t1": tmp_path / "gone.nii.gz"}),
        "modality": Inputs({"pd": t1}),
        "model": Inputs({"t1": t1}),
    }[wrong]
    name = {"grid": "t2.nii.gz", "file": "gone.nii.gz", "modality": "pd", "model": "no-such-model"}[wrong]
    with pytest.raises(AnymodError) as caught:
        synthesize_files("no-such-model" if wrong == "model" else model, inputs, tmp_path / "out", device="cpu")
    assert name in str(caught.value)
    assert "\n" not in str(caught.value)
    assert not (tmp_path / "out").exists()


def test_a_mask_file_limits_the_images(tmp_path: Path, model: Path, t1: Path) -> None:
    mask = np.zeros(GRID.shape, np.int16)
    mask[5:10, 5:10] = 1
    write_volume(tmp_path / "mask.nii.gz", Volume(mask, GRID))
    inputs = Inputs({"t1": t1}, tmp_path / "mask.nii.gz")
    synthesize_files(model, inputs, tmp_path / "out", SynthesisOptions(("t2",)), device="cpu")
    assert (read_volume(tmp_path / "out" / "t2.nii.gz").data[mask == 0] == 0).all()


def test_a_staged_folder_appears_when_it_is_whole(tmp_path: Path) -> None:
    with staged_folder(tmp_path / "out", overwrite=False) as folder:
        (folder / "a").write_text("1")
        assert not (tmp_path / "out" / "a").exists()
    assert [path.name for path in tmp_path.rglob("*")] == ["out", "a"]
    with pytest.raises(KeyboardInterrupt), staged_folder(tmp_path / "other", overwrite=False) as folder:
        (folder / "a").write_text("1")
        raise KeyboardInterrupt
    assert [path.name for path in tmp_path.iterdir()] == ["out"]

"""Images that a model does not know are noticed; those like its training images raise no warning."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
from asymmetric_heads import SIDE, SPACING_MM, Images, patient, volume

from anymod.cohorts import SubjectImages
from anymod.errors import ModelFolderError, VolumeError
from anymod.slices.looks import Look
from anymod.slices.typical import MOST, TYPICAL, Typical, check_remarks, read_typical, remarks, write_typical
from anymod.volumes import Grid, Volume


def look(images: Images) -> Look:
    return Look.of(SubjectImages.of(images))


@pytest.fixture(scope="module")
def typical() -> Typical:
    return Typical.of([look(patient(seed)) for seed in range(8)])


def told(typical: Typical, images: Images) -> str:
    return "; ".join(remarks(look(images), typical))


def mapped(images: Images, change: object) -> Images:
    return {name: volume(change(image.data)) for name, image in images.items()}  # type: ignore[operator]


@pytest.mark.parametrize("names", [("t1", "t2", "flair"), ("t1",), ("t2", "flair")])
def test_images_like_those_of_the_training_raise_no_warning(typical: Typical, names: tuple[str, ...]) -> None:
    images = patient(20)
    assert told(typical, {name: images[name] for name in names}) == ""


def test_neither_units_nor_orientation_nor_background_matter() -> None:
    images = patient(20)
    turned = {
        name: Volume(
            np.pad(100 * image.data, 3)[::-1, :, ::-1].transpose(2, 0, 1),
            Grid((SIDE + 6,) * 3, np.array([[0, -7.0, 0, 9], [0, 0, 7, 8], [-7, 0, 0, 7], [0, 0, 0, 1]])),
        )
        for name, image in images.items()
    }
    first, second = look(images), look(turned)
    for name in images:
        assert second.images[name].posture == pytest.approx(first.images[name].posture, abs=2e-3)
        assert second.images[name].contrast == pytest.approx(first.images[name].contrast, abs=2e-2)
    assert second.pairs["t1+t2"].match == pytest.approx(first.pairs["t1+t2"].match, abs=2e-2)


def test_exchanged_names(typical: Typical) -> None:
    images = patient(20)
    found = told(typical, {"t1": images["t2"], "t2": images["t1"]})
    assert "given as t1, looks like t2" in found
    assert "given as t2, looks like t1" in found


def test_a_wrong_name(typical: Typical) -> None:
    assert "given as t1, looks like t2" in told(typical, {"t1": patient(20)["t2"]})


def test_upside_down(typical: Typical) -> None:
    assert told(typical, mapped(patient(20), lambda data: data[:, :, ::-1])) == "the head looks upside down"


def test_one_of_two_mirrored(typical: Typical) -> None:
    images = patient(20)
    found = told(typical, {"t1": images["t1"], "t2": volume(images["t2"].data[::-1])})
    assert found == "one of t1 and t2 looks mirrored"


def test_two_patients(typical: Typical) -> None:
    assert "t1 and t2 do not" in told(typical, {"t1": patient(20)["t1"], "t2": patient(21)["t2"]})


def test_noise(typical: Typical) -> None:
    inside = patient(20)["t1"].data > 0
    noise = np.random.default_rng(0).uniform(50, 150, inside.shape)
    assert told(typical, {"t1": volume(np.where(inside, noise, 0))})


def test_a_box(typical: Typical) -> None:
    data = np.zeros((SIDE,) * 3)
    data[6:18, 6:18, 6:18] = np.linspace(1, 2, 12)
    assert "t1: length in mm 84, in training 147 to 147" in told(typical, {"t1": volume(data)})


def test_a_head_of_another_size(typical: Typical) -> None:
    images = {name: volume(image.data, 10.0) for name, image in patient(20).items()}
    assert "volume of the foreground in mL" in told(typical, images)


def test_voxels_of_another_size(typical: Typical) -> None:
    coarse = mapped(patient(20), lambda data: data.reshape((SIDE // 2, 2) * 3).mean((1, 3, 5)))
    coarse = {name: volume(image.data, 2 * SPACING_MM) for name, image in coarse.items()}
    assert "t1: shortest voxel edge in mm 14, in training 7 to 7" in told(typical, coarse)


def test_one_image_under_two_names_is_noticed_without_a_model() -> None:
    image = patient(20)["t1"]
    copy = volume(np.round(image.data, 2))  # stored with other rounding
    assert remarks(look({"t1": image, "flair": copy}), None) == ("flair and t1 are the same image",)
    assert remarks(look(patient(20)), None) == ()


@pytest.mark.parametrize("shape", [(1, 1, 1), (3, 50, 1), (41, 2, 7)])
def test_any_shape_has_a_look(shape: tuple[int, int, int]) -> None:
    data = np.arange(1, 1 + np.prod(shape), dtype=np.float32).reshape(shape)
    grid = Grid(shape, np.eye(4))
    found = Look.of(SubjectImages({"a": Volume(data, grid), "b": Volume(data, grid)}, dict.fromkeys("ab", data > 0)))
    assert set(found.pairs) == {"a+b"}
    empty = SubjectImages({"a": Volume(data, grid)}, {"a": np.zeros(shape, bool)})
    assert Look.of(empty).images["a"].shape[-1] == 0


def test_too_few_training_subjects_and_unknown_images_raise_no_warning() -> None:
    few = Typical.of([look(patient(seed)) for seed in range(2)])
    assert told(few, mapped(patient(20), lambda data: data[:, :, ::-1])) == ""
    assert told(few, {"us": patient(20)["t2"]}) == ""


def test_the_file_keeps_what_is_written(tmp_path: Path) -> None:
    looks = [look({"t1": patient(seed)["t1"]}) for seed in range(4)]
    assert read_typical(tmp_path) is None
    write_typical(tmp_path, looks[:3])
    assert not (tmp_path / TYPICAL).exists()  # too few to compare with
    write_typical(tmp_path, looks)
    assert read_typical(tmp_path) == Typical.of(looks)
    assert len(Typical.of(looks * 10).looks) == MOST
    for content in (
        '{"format": 2}',
        "[",
        '{"format": 1, "anymod": "1", "looks": [{"images": {"t1": 1}, "pairs": {}}]}',
    ):
        (tmp_path / TYPICAL).write_text(content)
        with pytest.raises(ModelFolderError, match="unreadable file"):
            read_typical(tmp_path)


def test_strict_refuses_in_one_line() -> None:
    check_remarks((), "a.nii")
    with pytest.raises(VolumeError, match=r"unusual images in a\.nii: noise; check the files"):
        check_remarks(("noise",), "a.nii")

"""Model folders: written, read, and refused where they cannot be trusted."""

from __future__ import annotations

from pathlib import Path

import pytest
import torch
import yaml
from safetensors.torch import load_file, save_file
from small_models import MODALITIES, SMALL, make_batch, make_model, synthesize
from tiny_models import tiny_description, tiny_model

from anymod.errors import ModalityError, ModelFolderError
from anymod.files import sha256
from anymod.models import ModelDescription, ModelModality, bundled_model_for, load_model, save_model
from anymod.volumes import IntensityRule


def description() -> ModelDescription:
    return ModelDescription(
        anymod="0",
        architecture="mmhvae",
        settings=SMALL.model_dump(mode="json"),
        modalities=tuple(ModelModality(name=name, group="mr", low=0.0, high=100.0) for name in MODALITIES),
        spacing_mm=2.0,
        image_size=(16, 24),
        intensity=IntensityRule(),
        targets="percentile",
        training={"cohort": "phantoms"},
    )


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    save_model(tmp_path / "model", make_model(), description(), "# card\n")
    return tmp_path / "model"


@pytest.mark.parametrize(
    ("architecture", "fingerprint"),
    [
        ("authors", "850dd71ab4309f509b98f710d12c41283dae72be2b5543a64625496654931518"),
        ("mmhvae", "422b0cae8402991204be1c1b15648575db76a1d4e58eac03e68a4b0874e97e68"),
    ],
)
def test_fingerprints_are_those_of_version_0_1(architecture: str, fingerprint: str) -> None:
    modalities = tuple(ModelModality(name=name, group="mr", low=0.0, high=100.0) for name in ("t1", "t2"))
    content = {"architecture": architecture, "settings": {"widths": [8, 16]}, "modalities": modalities}
    found = ModelDescription(**{**dict(description()), **content, "weights_sha256": "ab"})
    assert found.fingerprint() == fingerprint


CORE = {"anchor": "core", "upper_percentile": 99.95, "scope": "volume"}


@pytest.mark.parametrize("change", [{"intensity": CORE}, {"targets": "harmonized"}])
def test_white_matter_without_its_place_is_refused(folder: Path, change: dict[str, object]) -> None:
    edit(folder, **change)
    with pytest.raises(ModelFolderError, match=r"need the harmonized_median of"):
        load_model(folder)


def test_the_model_for_real_heads_loads_and_scales_by_the_core() -> None:
    folder = Path(__file__).parents[2] / "docs/results/real-mr/model"
    _, found = load_model(folder)
    assert found.names == ("t1", "cet1", "t2", "flair")
    assert found.intensity.anchor == "core"
    assert all(each.harmonized_median for each in found.modalities)
    assert not {"brats18-2013-2", "brats2013-0001", "met-00110", "ms-19"} & set(found.training["subjects"])


def edit(folder: Path, **changes: object) -> None:
    content = yaml.safe_load((folder / "model.yaml").read_text())
    (folder / "model.yaml").write_text(yaml.safe_dump({**content, **changes}))


def test_a_loaded_model_computes_what_the_saved_one_did(folder: Path) -> None:
    model, found = load_model(folder)
    batch = make_batch(torch.ones(1, 3, dtype=torch.bool))
    images = [synthesize(each, batch.images, batch.observed, (0, 2)) for each in (model, make_model())]
    assert torch.equal(*images)
    assert found.names == MODALITIES
    assert not any(parameter.requires_grad for parameter in model.parameters())


def test_half_precision_weights_take_half_the_space_and_load_as_float32(folder: Path, tmp_path: Path) -> None:
    save_model(tmp_path / "half", make_model(), description(), "", half=True)
    sizes = [(place / "weights.safetensors").stat().st_size for place in (tmp_path / "half", folder)]
    assert sizes[0] < 0.7 * sizes[1]
    model, _ = load_model(tmp_path / "half")
    assert {parameter.dtype for parameter in model.parameters()} == {torch.float32}


def test_no_folder_no_description_no_weights(folder: Path, tmp_path: Path) -> None:
    with pytest.raises(ModelFolderError, match="no such folder"):
        load_model(tmp_path / "nowhere")
    with pytest.raises(ModelFolderError, match=r"no model\.yaml"):
        load_model(tmp_path)
    (folder / "weights.safetensors").unlink()
    with pytest.raises(ModelFolderError, match="file is missing"):
        load_model(folder)


def test_altered_weights_are_refused(folder: Path) -> None:
    path = folder / "weights.safetensors"
    content = bytearray(path.read_bytes())
    content[-1] ^= 1
    path.write_bytes(content)
    with pytest.raises(ModelFolderError, match="SHA-256"):
        load_model(folder)


def test_weights_of_another_network_are_refused(folder: Path) -> None:
    path = folder / "weights.safetensors"
    tensors = load_file(path)
    tensors.popitem()
    save_file(tensors, path)
    edit(folder, weights_sha256=sha256(path))
    with pytest.raises(ModelFolderError, match="differ from the architecture"):
        load_model(folder)


def test_weights_that_are_no_floating_point_numbers_are_refused(folder: Path) -> None:
    path = folder / "weights.safetensors"
    save_file({name: tensor.to(torch.int32) for name, tensor in load_file(path).items()}, path)
    edit(folder, weights_sha256=sha256(path))
    with pytest.raises(ModelFolderError, match="hold I32"):
        load_model(folder)


def test_what_is_no_safetensors_file_is_refused(folder: Path) -> None:
    path = folder / "weights.safetensors"
    path.write_bytes(b"\x80\x04pickle")
    edit(folder, weights_sha256=sha256(path))
    with pytest.raises(ModelFolderError, match="unreadable weights"):
        load_model(folder)


@pytest.mark.parametrize(
    ("changes", "message"),
    [
        ({"architecture": "os.system"}, "unknown architecture"),
        ({"intensitty": 1}, "did you mean 'intensity'"),
        ({"format": 2}, "format"),
        ({"settings": {"widths": [3]}}, "widths"),
        (
            {"modalities": [{"name": "t1", "group": "mr", "low": 0.0, "high": 1.0} for _ in "12"]},
            "different modalities",
        ),
        ({"modalities": [{"name": "t1", "group": "mr", "low": 1.0, "high": 1.0}]}, r"modalities\.0.*low is below high"),
    ],
)
def test_a_description_that_is_not_understood_is_refused(
    folder: Path, changes: dict[str, object], message: str
) -> None:
    edit(folder, **changes)
    with pytest.raises(ModelFolderError, match=message):
        load_model(folder)


def test_an_unknown_modality_is_named_with_the_known_ones() -> None:
    with pytest.raises(ModalityError, match="knows us, t2, flair"):
        description().position("pd")


@pytest.mark.parametrize("name", ["../../escaped/x", "/etc/x", "a/b", "..", "", "t1\n"])
def test_a_modality_whose_name_could_leave_a_folder_is_refused(folder: Path, name: str) -> None:
    modalities = yaml.safe_load((folder / "model.yaml").read_text())["modalities"]
    edit(folder, modalities=[{**modalities[0], "name": name}, *modalities[1:]])
    with pytest.raises(ModelFolderError, match=r"modalities\.0\.name"):
        load_model(folder)


@pytest.mark.parametrize(
    ("changes", "field"),
    [
        ({"spacing_mm": 1e-9}, "spacing_mm"),
        ({"spacing_mm": 1e9}, "spacing_mm"),
        ({"image_size": [40000, 40000]}, r"image_size\.0"),
        ({"image_size": [16, -4]}, r"image_size\.1"),
        ({"settings": {"image_size": [40000, 16]}}, r"settings\.image_size\.0"),
        ({"settings": {"image_size": [-4, 16]}}, r"settings\.image_size\.0"),
        ({"settings": {"head_blocks": 10**6}}, r"settings\.head_blocks"),
        ({"settings": {"widths": [10**6, 10**6]}}, r"settings\.widths\.0"),
        ({"settings": {"widths": [8] * 1000}}, r"settings\.widths"),
        ({"settings": {"expansion": 10**9}}, r"settings\.expansion"),
        ({"settings": {"head_channels": 10**9}}, r"settings\.head_channels"),
        ({"modalities": [{"name": "t1", "group": "mr", "low": 0.0, "high": 1e300}]}, r"modalities\.0\.high"),
        ({"modalities": [{"name": f"m{n}", "group": "mr", "low": 0.0, "high": 1.0} for n in range(999)]}, "modalities"),
    ],
)
def test_absurd_numbers_are_refused_by_the_name_of_their_field(
    folder: Path, changes: dict[str, object], field: str
) -> None:
    edit(folder, **changes)
    with pytest.raises(ModelFolderError, match=rf"invalid value in .*model\.yaml: '{field}'"):
        load_model(folder)


@pytest.mark.parametrize("number", [float("nan"), float("inf")])
def test_weights_that_are_not_finite_are_refused(folder: Path, number: float) -> None:
    weights = load_file(folder / "weights.safetensors")
    first = next(iter(weights))
    weights[first].view(-1)[0] = number
    save_file(weights, folder / "weights.safetensors")
    edit(folder, weights_sha256=sha256(folder / "weights.safetensors"))
    with pytest.raises(ModelFolderError, match=rf"broken weights in {folder}.*'{first}' holds numbers"):
        load_model(folder)


def test_training_subjects_are_known_by_their_images_and_those_without_fingerprints_by_name() -> None:
    training = {"cohort": "ours", "subjects": ["a", "b"], "images": {"a": ["1", "2"]}}
    description = tiny_description(tiny_model(), training=training)
    measured = {"a": ["9"], "b": ["8"], "c": ["2", "7"], "d": ["6"]}
    assert description.trained_on("ours", measured) == ["b", "c"]  # c is the a of the training
    assert description.trained_on("theirs", measured) == ["c"]


def test_the_bundled_model_that_knows_the_images_is_chosen() -> None:
    assert bundled_model_for(["t1", "flair"]) == Path("simulated-mr")
    assert bundled_model_for(["t2"]) == Path("simulated-mr")  # both know it
    assert bundled_model_for(["us", "t2"]) == Path("simulated-us")
    with pytest.raises(ModelFolderError, match="pd: no bundled model knows any"):
        bundled_model_for(["pd"])

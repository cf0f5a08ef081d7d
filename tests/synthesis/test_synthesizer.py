"""Volumes in, volumes out: grids, units, foreground, chunks, and what is refused."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace

import numpy as np
import pytest
import torch
from tiny_models import GRID, MODALITIES, head, tiny_description, tiny_model
from torch import Tensor

from anymod.cohorts import SubjectImages
from anymod.core.noise import Draw
from anymod.engines import resolve_device
from anymod.errors import ConfigurationError, GridError, ModalityError, ModelFolderError, VolumeError
from anymod.models import InputSpec, ModelModality, RealisticSettings
from anymod.models.folder import Calibration
from anymod.synthesis import SynthesisOptions, Synthesizer
from anymod.volumes import Grid, Volume, orient


@pytest.fixture(scope="module")
def synthesizer() -> Synthesizer:
    model = tiny_model()
    return Synthesizer(model, tiny_description(model))


def oblique(volume: Volume, degrees: float = 12.0) -> Volume:
    """Return the volume with its axes turned about the third world axis."""
    angle = np.deg2rad(degrees)
    turn = np.eye(4)
    turn[:2, :2] = [[np.cos(angle), -np.sin(angle)], [np.sin(angle), np.cos(angle)]]
    return Volume(volume.data, Grid(volume.shape, turn @ volume.affine))


@pytest.mark.parametrize("orientation", ["RAS", "LPS", "LIA", "PIR", "SAL"])
def test_orientation_changes_neither_result_nor_grid(synthesizer: Synthesizer, orientation: str) -> None:
    plain = synthesizer.synthesize({"t1": head(0)})
    turned = orient(head(0), orientation)
    result = synthesizer.synthesize({"t1": turned})
    for name in ("t2", "flair"):
        assert result.images[name].grid.same_as(turned.grid)
        np.testing.assert_allclose(orient(result.images[name], "RAS").data, plain.images[name].data, atol=1e-3)


def test_oblique_axes_and_unequal_spacing_come_back_on_the_same_grid(synthesizer: Synthesizer) -> None:
    grid = Grid((20, 12, 5), np.diag([0.7, 1.4, 3.0, 1.0]))
    image = oblique(head(1, grid))
    result = synthesizer.synthesize({"t1": image})
    assert result.images["t2"].grid is image.grid
    inside = image.data > 0
    assert (result.images["t2"].data[~inside] == 0).all()
    assert (result.images["t2"].data[inside] > 0).mean() > 0.99


@pytest.mark.parametrize("options", [{}, {"temperature": 0.7}, {"temperature": 0.7, "noise": "slice"}])
def test_chunks_do_not_change_the_result(synthesizer: Synthesizer, options: dict[str, object]) -> None:
    results = [
        synthesizer.synthesize({"t1": head(0), "t2": head(1)}, SynthesisOptions(chunk=chunk, **options))
        for chunk in (1, 4, 100)
    ]
    for result in results[1:]:
        np.testing.assert_allclose(result.images["flair"].data, results[0].images["flair"].data, rtol=1e-4, atol=1e-3)


def test_several_samples_give_mean_and_spread_of_single_ones(synthesizer: Synthesizer) -> None:
    options = SynthesisOptions(("t2",), temperature=0.7, samples=3)
    result = synthesizer.synthesize({"t1": head(0)}, options)
    assert result.standard_deviations["t2"].data.max() > 0
    assert (result.standard_deviations["t2"].data[head(0).data == 0] == 0).all()
    first = synthesizer.synthesize({"t1": head(0)}, replace(options, samples=1)).images["t2"]
    within = np.abs(first.data - result.images["t2"].data) <= 2 * result.standard_deviations["t2"].data + 1e-3
    assert within.all()  # of three numbers none is further than 2/sqrt(3) of their deviation from the mean


REALISTIC_MODEL = tiny_model(realistic=RealisticSettings(widths=(8,), condition=8))


def test_realistic_images_differ_by_seed_and_know_no_errors() -> None:
    errors = {"errors": {"t1": {"t2": 0.3}}, "cohort": "c", "split": "test", "subjects": ("a",), "model": "m"}
    description = tiny_description(REALISTIC_MODEL, calibration=Calibration(**errors))
    synthesizer = Synthesizer(REALISTIC_MODEL, description)
    options = SynthesisOptions(("t2",), realistic=True)
    first, second = (synthesizer.synthesize({"t1": head(0)}, replace(options, seed=seed)) for seed in (0, 1))
    mean = synthesizer.synthesize({"t1": head(0)}, SynthesisOptions(("t2",)))
    assert mean.expected_errors and not mean.realistic
    assert first.realistic and not first.expected_errors and not first.standard_deviations  # those of means are smaller
    inside = head(0).data > 0
    change = (first.images["t2"].data - mean.images["t2"].data)[inside]
    assert 1 < change.std() < 6  # the untrained flow adds noise of 0.05 of [-1, 1], where 1 is 100 raw units
    assert not np.array_equal(first.images["t2"].data, second.images["t2"].data)
    several = synthesizer.synthesize({"t1": head(0)}, replace(options, samples=3))
    assert several.standard_deviations["t2"].data[inside].mean() > 1


def test_realistic_images_are_refused_by_a_model_that_has_not_learnt_them(synthesizer: Synthesizer) -> None:
    with pytest.raises(ModelFolderError, match="--realistic: the model of t1\\+t2\\+flair has not learnt them"):
        synthesizer.synthesize({"t1": head(0)}, SynthesisOptions(realistic=True))


def test_a_hidden_target_has_typical_units_and_a_shown_one_its_own(synthesizer: Synthesizer) -> None:
    image = Volume(head(0).data * 7, GRID)
    result = synthesizer.synthesize({"t1": image}, SynthesisOptions(("t1", "t2")))
    inside = image.data > 0
    assert result.units["t2"] == (0.0, 200.0)
    assert result.units["t1"][0] == pytest.approx(image.data[inside].min())
    made = result.images["t1"].data[inside]
    assert image.data[inside].min() - 1e-2 <= made.min() <= made.max() <= image.data.max() + 1e-2


def test_harmonized_images_are_on_their_common_scale_but_ultrasound_on_its_own() -> None:
    modalities = [{**each.model_dump(), "harmonized_median": 0.5} for each in tiny_description(tiny_model()).modalities]
    modalities[0]["group"] = "us"
    description = tiny_description(
        tiny_model(), targets="harmonized", modalities=tuple(ModelModality(**each) for each in modalities)
    )
    image = Volume(head(0).data * 7, GRID)
    images = {"t1": image, "t2": image}
    units = Synthesizer(tiny_model(), description).synthesize(images, SynthesisOptions(MODALITIES)).units
    assert units["t2"] == (0.0, 200.0) and units["flair"] == (0.0, 300.0)
    assert units["t1"][0] == pytest.approx(image.data[image.data > 0].min())


@dataclass(frozen=True)
class Sizes:
    """A model that answers with a hundredth of its slices' rows and columns."""

    spec: InputSpec
    size: tuple[int, ...] = ()

    def encode(self, images: Tensor, shown: Tensor) -> Sizes:
        return replace(self, size=tuple(images.shape[-2:]))

    def decode(self, shown: Tensor, targets: Sequence[int], draw: Draw) -> Tensor:
        return torch.full((len(shown), len(targets), *self.size), sum(self.size) / 100)


@pytest.mark.parametrize(
    ("options", "expected"),
    [
        ({}, (32 + 20 + 20) / 3),  # 16 x 16 axial, 16 x 4 coronal, 4 x 16 sagittal
        ({"mirror": True}, (32 + 20 + 20) / 3),
        ({"temperature": 0.7}, 32),
    ],
)
def test_the_mean_over_the_axes_that_a_model_has_learnt(options: dict[str, object], expected: float) -> None:
    description = tiny_description(tiny_model(), slice_axis="all")
    synthesizer = Synthesizer(Sizes(InputSpec(MODALITIES, (16, 16), stride=4)), description)
    image = synthesizer.synthesize({"t1": head(0)}, SynthesisOptions(("t2",), **options)).images["t2"].data
    inside = head(0).data > 0
    assert (image[~inside] == 0).all()
    np.testing.assert_allclose(image[inside], 200 * (expected / 100 + 255 / 256) / (1 + 255 / 256), rtol=1e-5)


def test_a_shown_targets_background_is_its_own(synthesizer: Synthesizer) -> None:
    image = Volume(head(0).data - 50, GRID)  # background -50
    result = synthesizer.synthesize({"t1": image}, SynthesisOptions(("t1", "t2")))
    outside = image.data == -50
    assert (result.images["t1"].data[outside] == -50).all()
    assert (result.images["t2"].data[outside] == 0).all()


def test_a_hidden_targets_background_is_the_training_cohorts() -> None:
    modalities = [each.model_copy(update={"background": -7.0}) for each in tiny_description(tiny_model()).modalities]
    description = tiny_description(tiny_model(), modalities=tuple(modalities))
    result = Synthesizer(tiny_model(), description).synthesize({"t1": head(0)}, SynthesisOptions(("t2",)))
    assert (result.images["t2"].data[head(0).data == 0] == -7).all()


def test_what_is_not_shown_does_not_exist_for_the_result(synthesizer: Synthesizer) -> None:
    alone = synthesizer.synthesize({"t1": head(0)}, SynthesisOptions(("flair",)))
    masked = synthesizer.synthesize({"t1": head(0)}, SynthesisOptions(("flair",)), Volume(head(0).data > 0, GRID))
    np.testing.assert_array_equal(alone.images["flair"].data, masked.images["flair"].data)


def test_a_mask_decides_where_images_are_made(synthesizer: Synthesizer) -> None:
    mask = np.zeros(GRID.shape, dtype=np.int16)
    mask[4:12, 4:12, 2:4] = 1
    result = synthesizer.synthesize({"t1": head(0)}, mask=Volume(mask, GRID))
    assert (result.images["t2"].data[mask == 0] == 0).all()
    assert (result.images["t2"].data[mask == 1] > 0).any()


def test_a_head_larger_than_the_training_slices_is_not_cut(synthesizer: Synthesizer) -> None:
    grid = Grid((40, 30, 3), np.eye(4))
    result = synthesizer.synthesize({"t1": head(0, grid)})
    assert result.cut_off == 0
    assert (result.images["t2"].data[head(0, grid).data > 0] > 0).mean() > 0.99


def test_context_slices_reach_the_network() -> None:
    model = tiny_model(context_slices=1)
    synthesizer = Synthesizer(model, tiny_description(model))
    changed = head(0).data.copy()
    changed[:, :, 3] = changed[::-1, :, 3]  # mirrored: the range stays
    first, second = (
        synthesizer.synthesize({"t1": Volume(data, GRID)}, SynthesisOptions(("t2",))).images["t2"].data
        for data in (head(0).data, changed)
    )
    differs = np.abs(first - second).max((0, 1)) > 1e-4
    assert differs.tolist() == [False, False, True, True, True, False]


def test_a_slicewise_rule_forgets_the_slices_brightness() -> None:
    model = tiny_model()
    synthesizer = Synthesizer(model, tiny_description(model, intensity={"scope": "slice"}))
    dimmed = head(0).data * np.linspace(0.5, 1.5, 6, dtype=np.float32)
    first, second = (
        synthesizer.synthesize({"t1": Volume(data, GRID)}, SynthesisOptions(("t2",))).images["t2"].data
        for data in (head(0).data, dimmed)
    )
    np.testing.assert_allclose(first, second, rtol=1e-3, atol=0.05)


def test_everything_shown_leaves_nothing_unless_it_is_named(synthesizer: Synthesizer) -> None:
    everything = dict.fromkeys(MODALITIES, head(0))
    with pytest.raises(ModalityError, match=r"every modality is shown; .*--target"):
        synthesizer.synthesize(everything)
    assert list(synthesizer.synthesize(everything, SynthesisOptions(("t2",))).images) == ["t2"]


@pytest.mark.parametrize(("shown", "targets"), [({"pd"}, None), ({"t1"}, ("ct",)), (set(), None)])
def test_unknown_modalities_and_none_are_refused(
    synthesizer: Synthesizer, shown: set[str], targets: tuple[str, ...] | None
) -> None:
    with pytest.raises(ModalityError):
        synthesizer.synthesize(dict.fromkeys(shown, head(0)), SynthesisOptions(targets))


def test_different_grids_are_refused_with_the_remedy(synthesizer: Synthesizer) -> None:
    moved = np.eye(4)
    moved[0, 3] = 1.0
    with pytest.raises(GridError, match=r"at another place; .*--resample-to t1"):
        synthesizer.synthesize({"t1": head(0), "t2": Volume(head(1).data, Grid(GRID.shape, moved))})
    with pytest.raises(GridError, match="mask has"):
        synthesizer.synthesize({"t1": head(0)}, mask=Volume(np.ones((3, 3, 3), np.int16), Grid((3, 3, 3), np.eye(4))))


@pytest.mark.parametrize("value", [np.nan, np.inf, 1.0])
def test_an_image_that_shows_nothing_is_refused(synthesizer: Synthesizer, value: float) -> None:
    data = np.ones(GRID.shape, np.float32)
    data[0, 0, 0] = value
    with pytest.raises(VolumeError):
        synthesizer.synthesize({"t1": Volume(data, GRID)})


def test_an_empty_mask_is_refused(synthesizer: Synthesizer) -> None:
    with pytest.raises(VolumeError, match="it marks no voxel"):
        synthesizer.synthesize({"t1": head(0)}, mask=Volume(np.zeros(GRID.shape, np.int16), GRID))


def test_the_same_grid_is_reached_without_blurring(synthesizer: Synthesizer) -> None:
    """A model that returned its input would give it back: the way to the model's grid and back copies values."""

    for image in (head(0), orient(head(0), "LIP")):
        images = SubjectImages.of({"t1": image})
        seen = synthesizer.see(images)
        back = seen.view.to_own_grid(seen.planes[:, 0], seen.union, images.union)
        np.testing.assert_allclose(back.data, image.data, atol=1e-3)


def test_a_device_that_is_not_there_is_told() -> None:
    assert resolve_device("cpu") == torch.device("cpu")
    assert resolve_device("auto").type in ("cpu", "cuda", "mps")
    with pytest.raises(ConfigurationError, match="--device cuda:99"):
        resolve_device("cuda:99")

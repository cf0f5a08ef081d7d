"""Known points in millimetres stay where they belong, whatever the orientation, spacing and slant of the grids."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest
from hypothesis import given, settings, strategies as st

from anymod.errors import GridError
from anymod.volumes import Grid, Volume, model_grid, orient, orient_grid, resample

ORIENTATIONS = ("RAS", "LPS", "LAS", "LIA", "LIP", "ASL")


def rotation(degrees: tuple[float, float, float]) -> np.ndarray:
    """Return a rotation about the three axes, one after the other."""
    matrix = np.eye(3)
    for axis, angle in enumerate(np.radians(degrees)):
        i, j = (axis + 1) % 3, (axis + 2) % 3
        turn = np.eye(3)
        turn[[i, i, j, j], [i, j, i, j]] = np.cos(angle), -np.sin(angle), np.sin(angle), np.cos(angle)
        matrix = turn @ matrix
    return matrix


def oblique_grid(
    orientation: str = "RAS",
    degrees: tuple[float, float, float] = (0.0, 0.0, 0.0),
    shape: tuple[int, int, int] = (40, 44, 36),
    spacing: tuple[float, float, float] = (1.0, 1.0, 1.0),
) -> Grid:
    """Return a grid whose middle lies at (5, -12, 20) mm."""
    affine = np.eye(4)
    affine[:3, :3] = rotation(degrees) * spacing
    affine[:3, 3] = (5, -12, 20) - affine[:3, :3] @ ((np.array(shape) - 1) / 2)
    return orient_grid(Grid(shape, affine), orientation)


def middle_mm(grid: Grid) -> np.ndarray:
    """Return the world position of the middle of a box of voxels."""
    return grid.corners_mm().mean(axis=0)


def world_ramp(grid: Grid) -> Volume:
    """Return a volume whose value is a linear function of the world position: x + 10 y + 100 z, in mm."""
    points = grid.to_world(np.stack(np.meshgrid(*map(np.arange, grid.shape), indexing="ij"), axis=-1))
    return Volume((points @ (1.0, 10.0, 100.0)).astype(np.float32), grid)


def ball_at(grid: Grid, centre_mm: np.ndarray, radius_mm: float) -> Volume:
    """Return a smooth ball (a Gaussian of the distance in mm)."""
    points = grid.to_world(np.stack(np.meshgrid(*map(np.arange, grid.shape), indexing="ij"), axis=-1))
    squared = ((points - centre_mm) ** 2).sum(axis=-1)
    return Volume(np.exp(-squared / (2 * radius_mm**2)).astype(np.float32), grid)


def mass_centre_mm(volume: Volume) -> np.ndarray:
    """Return the world position of the centre of mass."""
    weights = volume.data / volume.data.sum(dtype=np.float64)
    indices = np.stack(np.meshgrid(*map(np.arange, volume.shape), indexing="ij"), axis=-1)
    return volume.grid.to_world((weights[..., None] * indices).sum(axis=(0, 1, 2)))


def test_a_voxel_index_maps_to_the_world_position_computed_by_hand():
    grid = Grid((4, 5, 6), np.array([[-2.0, 0, 0, 10], [0, 0, 3, -20], [0, 4, 0, 30], [0, 0, 0, 1]]))
    assert grid.to_world(np.array([1, 2, 3])).tolist() == [8.0, -11.0, 38.0]
    assert grid.to_indices(np.array([8.0, -11.0, 38.0])).tolist() == pytest.approx([1, 2, 3])
    assert grid.orientation == "LSA"
    assert grid.spacing_mm == (2.0, 4.0, 3.0)


def test_grids_that_differ_by_a_tenth_of_a_millimetre_are_not_the_same():
    grid = oblique_grid()
    moved = grid.affine.copy()
    moved[0, 3] += 0.1
    assert grid.same_as(grid)
    assert not grid.same_as(Grid(grid.shape, moved))
    assert not grid.same_as(orient_grid(grid, "LPS"))


def test_one_slice_of_another_thickness_is_another_grid():
    thin, thick = np.eye(4), np.diag([1.0, 1, 5, 1])
    assert not Grid((8, 8, 1), thin).same_as(Grid((8, 8, 1), thick))


@pytest.mark.parametrize("orientation", ORIENTATIONS)
def test_orienting_keeps_every_voxel_at_its_place(orientation: str):
    volume = world_ramp(oblique_grid(orientation, (10, -15, 20), (5, 6, 7), (1, 2, 3)))
    turned = orient(volume, "RAS")
    assert turned.grid.orientation == "RAS"
    np.testing.assert_allclose(turned.data, world_ramp(turned.grid).data, atol=1e-2)
    np.testing.assert_array_equal(orient(turned, orientation).data, volume.data)


@pytest.mark.parametrize("orientation", ["", "RAX", "RLA", "RASS", "ras"])
def test_an_orientation_that_is_none_is_refused(orientation: str):
    with pytest.raises(ValueError, match="orientation"):
        orient_grid(oblique_grid(), orientation)


@pytest.mark.parametrize("orientation", ORIENTATIONS)
@pytest.mark.parametrize("degrees", [(0, 0, 0), (12, -17, 25)])
def test_a_point_in_millimetres_stays_on_the_way_to_the_model_and_back(orientation: str, degrees: tuple):
    grid = oblique_grid(orientation, degrees, spacing=(1.0, 0.8, 1.3))
    point = np.array([8.0, -9.0, 17.0])
    volume = ball_at(grid, point, 3.0)
    shown = resample(volume, model_grid(grid, 1.1, (48, 64, 48)))
    back = resample(shown, grid)
    np.testing.assert_allclose(mass_centre_mm(shown), point, atol=0.05)
    np.testing.assert_allclose(mass_centre_mm(back), point, atol=0.05)
    assert back.data.dtype == np.float32


@pytest.mark.parametrize("orientation", ORIENTATIONS)
def test_a_linear_image_is_interpolated_exactly_between_oblique_grids(orientation: str):
    grid = oblique_grid(orientation, (20, 10, -30))
    inside = oblique_grid("RAS", (5, 0, 0), (10, 10, 10), (0.7, 0.9, 1.0))
    np.testing.assert_allclose(resample(world_ramp(grid), inside).data, world_ramp(inside).data, atol=2e-2)


@given(
    st.sampled_from(ORIENTATIONS),
    st.tuples(*[st.floats(-40, 40)] * 3),
    st.tuples(*[st.integers(1, 12)] * 3),
    st.tuples(*[st.floats(0.4, 11)] * 3),
)
@settings(max_examples=25, deadline=None)
def test_a_model_grid_is_canonical_and_covers_the_box(orientation, degrees, shape, spacing):
    grid = oblique_grid(orientation, degrees, shape, spacing)
    shown = model_grid(grid, 1.3)
    canonical = orient_grid(grid, "RAS")
    assert shown.spacing_mm == pytest.approx((1.3, 1.3, 1.3))
    np.testing.assert_allclose(
        shown.affine[:3, :3] / shown.spacing_mm, canonical.affine[:3, :3] / canonical.spacing_mm, atol=1e-9
    )
    extent = np.array(canonical.shape) * canonical.spacing_mm
    assert (np.array(shown.shape) * 1.3 >= extent - 1e-2).all()
    assert np.linalg.norm(middle_mm(shown) - middle_mm(grid)) <= 1.3


@pytest.mark.parametrize("orientation", ORIENTATIONS)
def test_where_the_spacing_is_kept_the_voxels_are_copied_and_not_blurred(orientation: str):
    grid = orient_grid(oblique_grid("RAS", (3, 4, 5), (15, 17, 9)), orientation)
    volume = Volume(np.random.default_rng(0).normal(size=grid.shape).astype(np.float32), grid)
    shown = model_grid(grid, 1.0, (32, 24, 9))
    back = resample(resample(volume, shown), grid)
    np.testing.assert_array_equal(back.data, volume.data)


@pytest.mark.parametrize("size", [15, 16, 17, 18])
def test_where_the_spacing_is_kept_the_centre_gives_way_in_one_direction_whatever_the_size(size: int):
    grid = Grid((16, 15, 9), np.eye(4))
    moved = middle_mm(model_grid(grid, 1.0, (size, size, size))) - middle_mm(grid)
    assert moved.tolist() == [-0.5 if (size - own) % 2 else 0.0 for own in grid.shape]


@pytest.mark.parametrize("rounded", [1 - 1e-7, 1.0, 1 + 1e-7])
def test_a_rounded_spacing_adds_no_voxel(rounded: float):
    assert model_grid(Grid((100, 50, 30), np.diag([1.2 * rounded, 1.0, 2.0, 1.0])), 1.2).shape == (100, 42, 50)


def test_three_millimetre_slices_keep_their_number_when_native():
    grid = oblique_grid("LPS", shape=(40, 44, 10), spacing=(1.0, 1.0, 3.0))
    assert model_grid(grid, None).shape == (40, 44, 10)
    assert model_grid(grid, 1.0).shape == (40, 44, 30)


def test_one_thick_slice_goes_to_the_model_and_back():
    grid = oblique_grid("LIA", shape=(30, 1, 28), spacing=(1.0, 5.0, 1.0))
    volume = ball_at(grid, middle_mm(grid), 4.0)
    shown = resample(volume, model_grid(grid, 1.0))
    assert shown.shape == (30, 5, 28)
    assert shown.data.min() >= 0
    np.testing.assert_allclose(resample(shown, grid).data, volume.data, atol=0.02)


@pytest.mark.parametrize("orientation", ["LPS", "LIA"])
def test_a_smooth_phantom_survives_the_way_to_a_coarser_model_grid(orientation: str):
    grid = oblique_grid(orientation, (5, 8, -11), (48, 48, 48))
    volume = ball_at(grid, middle_mm(grid) + np.array([4, -3, 2]), 8.0)
    back = resample(resample(volume, model_grid(grid, 1.5)), grid)
    assert np.abs(back.data - volume.data).max() < 0.06


def test_detail_finer_than_the_new_voxels_is_averaged_and_does_not_alias():
    grid = Grid((64, 64, 8), np.eye(4))
    stripes = np.zeros(grid.shape, dtype=np.float32)
    stripes[::2] = 1.0
    coarse = resample(Volume(stripes, grid), model_grid(grid, 4.0))
    np.testing.assert_allclose(coarse.data[2:-2], 0.5, atol=0.02)


def test_labels_keep_their_values_and_type():
    grid = oblique_grid("LPS", (10, 20, 30), (20, 20, 20))
    labels = np.random.default_rng(0).choice(np.array([0, 3, 530], dtype=np.int32), size=grid.shape)
    result = resample(Volume(labels, grid), model_grid(grid, 2.3), labels=True)
    assert result.data.dtype == np.int32
    assert set(np.unique(result.data)) <= {0, 3, 530}


def test_voxels_outside_get_the_value_asked_for():
    grid = Grid((4, 4, 4), np.eye(4))
    volume = Volume(np.ones(grid.shape, dtype=np.float32), grid)
    result = resample(volume, model_grid(grid, 1.0, (8, 8, 4)), outside=-1.0)
    assert (result.data == -1).sum() == 8 * 8 * 4 - 64
    assert result.data[2:6, 2:6].min() == 1


def test_resampling_leaves_its_input_alone():
    grid = oblique_grid("LPS", shape=(12, 12, 12))
    volume = world_ramp(grid)
    before = volume.data.copy()
    resample(volume, model_grid(grid, 2.7))
    np.testing.assert_array_equal(volume.data, before)


def test_a_volume_and_its_grid_must_have_one_shape():
    with pytest.raises(ValueError, match="cannot lie"):
        replace(world_ramp(oblique_grid(shape=(3, 4, 5))), data=np.zeros((3, 4, 6)))


@pytest.mark.parametrize("affine", [np.zeros((4, 4)), np.full((4, 4), np.nan), np.eye(3)])
def test_a_grid_needs_an_affine_that_can_be_inverted(affine: np.ndarray):
    with pytest.raises(ValueError, match="affine"):
        Grid((2, 2, 2), affine)


@pytest.mark.parametrize("shape", [None, (4096, 4096, 4096)])
def test_grid_that_no_machine_holds_is_refused(shape: tuple[int, int, int] | None) -> None:
    with pytest.raises(GridError, match="voxels are more than"):
        model_grid(Grid((200, 200, 200), np.eye(4)), 0.01, shape)

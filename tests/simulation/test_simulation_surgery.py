"""Brain shift: the transform that is written is the displacement that was simulated, and the maps and landmarks agree with it."""

from __future__ import annotations

import csv
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
import SimpleITK as sitk
from hypothesis import given, settings, strategies as st
from scipy import ndimage

from anymod.simulation import SimulatedSubject, SimulationSettings, simulate_cohort, simulate_subject
from anymod.simulation.acoustics import Medium
from anymod.simulation.craniotomy import box_axes
from anymod.simulation.surgery import BrainShift, find_landmarks
from anymod.simulation.tumour import COARSE_MM
from anymod.simulation.ultrasound import PROBES, Chance, Pose, sweep
from anymod.volumes import read_labels, read_volume

pytestmark = pytest.mark.slow

LPS = np.array([-1.0, -1.0, 1.0])
AXES = tuple(middle + np.arange(-48.0, 49.0, 6.0) for middle in (20.0, -10.0, 30.0))
DOWN = Pose(np.array([20.0, -10.0, 70.0]), np.array([0.0, 0.0, -1.0]), np.array([1.0, 0, 0]), np.array([0.0, -1.0, 0]))
SETTINGS = SimulationSettings(
    modalities=("us", "t2"), spacing_mm=1.5, tumours=1.0, missing=0.0, acoustic_mm=2.0, shift_mm=10.0
)


def drawn(seed: int, largest_mm: float = 10.0) -> BrainShift:
    return BrainShift.draw(AXES, DOWN, largest_mm, np.random.default_rng(seed))


@pytest.fixture(scope="module")
def subject(few_frames: None) -> SimulatedSubject:
    return simulate_subject(7, 1, SETTINGS)


@given(st.integers(0, 10_000), st.lists(st.floats(-47, 45), min_size=3, max_size=3))
@settings(max_examples=10, deadline=None)
def test_itk_moves_points_as_the_simulation_did(seed: int, offset: list[float]) -> None:
    shift = drawn(seed)
    point = np.array([20.0, -10.0, 30.0]) + offset
    ours = point + shift.at(list(point[:, None]))[:, 0]
    theirs = LPS * shift.transform().TransformPoint((LPS * point).tolist())
    np.testing.assert_allclose(ours, theirs, atol=1e-4)
    np.testing.assert_allclose(shift.origin_of(ours), point, atol=1e-3)


def test_one_node_moves_its_surroundings_by_the_cubic_b_spline() -> None:
    coefficients = np.zeros((3, 7, 7, 7))
    coefficients[0, 3, 3, 3] = 9.0
    shift = BrainShift(np.zeros(3), coefficients, 1.0)
    at_node, next_to_it = shift.at([np.array([72.0, 96.0]), np.array([72.0, 72.0]), np.array([72.0, 72.0])]).T
    np.testing.assert_allclose(at_node, [9 * (2 / 3) ** 3, 0, 0], rtol=1e-5)
    np.testing.assert_allclose(next_to_it, [9 * (2 / 3) ** 2 / 6, 0, 0], rtol=1e-5)


@pytest.mark.parametrize("seed", range(4))
def test_a_shift_is_as_long_as_asked_and_folds_nothing(seed: int) -> None:
    coarse = box_axes(PROBES[seed % 2], DOWN, COARSE_MM)
    shift = BrainShift.draw(coarse, DOWN, 15.0, np.random.default_rng(seed))
    followed = replace(DOWN, contact=shift.origin_of(DOWN.contact))
    points = np.meshgrid(*box_axes(PROBES[seed % 2], followed, 2.0), indexing="ij")
    displacement = shift.at(points)
    longest = np.sqrt((displacement**2).sum(axis=0)).max()
    assert 0.3 * 15 <= shift.longest_mm <= 15
    assert 0.5 * shift.longest_mm < longest < 1.03 * shift.longest_mm
    assert np.ravel(shift.moved(list(followed.contact[:, None]))) == pytest.approx(DOWN.contact, abs=0.01)
    slopes = np.stack([np.stack(np.gradient(each, 2.0)) for each in displacement])  # [component, axis, X, Y, Z]
    jacobian = np.linalg.det(np.moveaxis(slopes, (0, 1), (-2, -1)) + np.eye(3))
    assert jacobian.min() > 0.05


def test_most_brains_sink() -> None:
    # Tissue that has sunk by d lay further out before: u points outwards at the opening.
    outward = [-float(np.ravel(drawn(seed).at(list(DOWN.contact[:, None]))) @ DOWN.inward) for seed in range(60)]
    assert 0.6 < np.mean(np.array(outward) > 0) < 0.9
    assert np.mean(outward) > 1.0


def test_an_echo_comes_from_where_the_tissue_has_moved_to() -> None:
    axes = tuple(np.arange(-80.0, 81.0, 0.5) if axis == 2 else np.array([-200.0, 200.0]) for axis in range(3))
    dark = np.full((2, 2, len(axes[2])), 1e-6, np.float32)
    power = dark.copy()
    power[..., np.abs(axes[2] - 40) < 1.1] = 1.0  # a bright layer, 30 mm below the array
    seen = Medium(power, np.full_like(dark, 1.6), np.full_like(dark, 0.6))
    probe = replace(PROBES[1], frames=20)
    quiet = Chance(0.0, (0.0, 0.0), -300.0, -300.0)

    def depth_of_layer(by_mm: float) -> float:
        def moved(points: tuple[np.ndarray, ...]) -> tuple[np.ndarray, ...]:
            return points[0], points[1], points[2] + by_mm

        brightness, beams = sweep(probe, DOWN, seen, axes, quiet, np.random.default_rng(0), moved)
        middle = brightness[:, len(beams.beam) // 2, 8:12].mean(1)
        deep = beams.depth > 10
        return float(np.average(beams.depth[deep], weights=(middle[deep] == middle[deep].max()) + 0.0))

    assert depth_of_layer(0.0) == pytest.approx(30.0, abs=1.2)
    assert depth_of_layer(5.0) == pytest.approx(35.0, abs=1.2)  # what is met at z lay at z + 5: it has sunk


def test_the_transform_carries_the_mr_map_onto_the_ultrasound(subject: SimulatedSubject) -> None:
    surgery = subject.surgery
    assert surgery is not None
    fixed = itk_image(surgery.tissue.data, subject)
    moved = sitk.Resample(
        itk_image(subject.tissue.data, subject), fixed, surgery.shift.transform(), sitk.sitkNearestNeighbor, 0
    )
    ours, theirs = surgery.tissue.data, sitk.GetArrayFromImage(moved).T

    # More than a voxel from any boundary, where rounding to the nearest voxel decides nothing.
    def away(labels: np.ndarray) -> np.ndarray:
        return (labels > 0) & (ndimage.maximum_filter(labels, 3) == ndimage.minimum_filter(labels, 3))

    assert (ours == theirs)[away(ours) & away(theirs)].mean() > 0.998
    unmoved, seen = subject.tissue.data, ours > 0
    assert (ours == theirs)[seen].mean() > (ours == unmoved)[seen].mean() + 0.05  # there was something to undo


def itk_image(data: np.ndarray, subject: SimulatedSubject) -> sitk.Image:
    affine = subject.images["us"].grid.affine
    image = sitk.GetImageFromArray(data.T)
    image.SetSpacing([float(affine[axis, axis]) for axis in range(3)])
    image.SetOrigin((LPS * affine[:3, 3]).tolist())
    image.SetDirection(np.diag(LPS).ravel().tolist())
    return image


def test_landmarks_agree_with_both_label_maps(subject: SimulatedSubject) -> None:
    surgery = subject.surgery
    assert surgery is not None
    us, mr = surgery.landmarks[:, 0], surgery.landmarks[:, 1]
    assert len(us) >= 10 and np.linalg.norm(us - mr, axis=1).max() > 2
    # Distances to the nearest fluid and the nearest brain, in voxels, negative in fluid: the same at both ends of a pair.
    start = subject.images["us"].grid.affine[:3, 3]
    ends = []
    for volume, points in ((surgery.tissue, us), (subject.tissue, mr)):
        fluid = np.isin(volume.data, (4, 24, 43, 0))
        distance = ndimage.distance_transform_edt(~fluid) - ndimage.distance_transform_edt(fluid)
        ends.append(ndimage.map_coordinates(distance, (points - start).T / SETTINGS.spacing_mm, order=1))
    apart = np.abs(ends[0] - ends[1])
    assert np.median(apart) < 0.4 and apart.max() < 1.6
    unmoved = ndimage.map_coordinates(distance, (us - start).T / SETTINGS.spacing_mm, order=1)
    assert np.abs(ends[0] - unmoved).mean() > 2 * apart.mean()


def test_landmarks_lie_at_corners_and_apart() -> None:
    axes = tuple(np.arange(0.0, 40.0) for _ in range(3))
    fluid = np.zeros((40, 40, 40), np.float32)
    fluid[10:30, 10:30, 10:30] = 1  # a cube has eight corners
    found = find_landmarks(fluid, np.ones(fluid.shape, bool), axes)
    corners = np.array(np.meshgrid(*[[9.5, 29.5]] * 3)).reshape(3, -1).T
    nearest = np.linalg.norm(found[:, None] - corners[None], axis=2)
    assert len(found) >= 8
    assert (nearest[:8].min(axis=1) < 5).all() and len(set(nearest[:8].argmin(axis=1))) == 8
    assert len(find_landmarks(np.zeros_like(fluid), np.ones(fluid.shape, bool), axes)) == 0
    half = np.ones(fluid.shape, bool)
    half[:, :, 20:] = False  # cuts the cube's edges, where no corner is
    below = find_landmarks(fluid, half, axes)
    assert (below[:4, 2] < 15).all() and not (below[:, 2] == 19).any()


def test_the_tumour_moves_with_the_brain(subject: SimulatedSubject) -> None:
    surgery = subject.surgery
    assert surgery is not None
    seen = surgery.tissue.data > 0
    moved = sitk.Resample(
        itk_image(subject.label.data, subject),
        itk_image(surgery.label.data, subject),
        surgery.shift.transform(),
        sitk.sitkNearestNeighbor,
        0,
    )

    def dice(ours: np.ndarray) -> float:
        theirs = surgery.label.data > 0  # type: ignore[union-attr]
        return float(2 * (theirs & (ours > 0) & seen).sum() / (theirs.sum() + ((ours > 0) & seen).sum()))

    assert dice(sitk.GetArrayFromImage(moved).T) > 0.95
    assert dice(subject.label.data) < 0.93


def test_the_ultrasound_shows_the_brain_where_it_has_moved_to(subject: SimulatedSubject) -> None:
    surgery = subject.surgery
    assert surgery is not None
    image, seen = subject.images["us"].data.astype(float), surgery.tissue.data > 0

    def contrast(tissue: np.ndarray) -> float:
        """Return how much brighter the tumour's rim and solid part are than white matter, by the given map."""
        label = surgery.label.data if tissue is surgery.tissue.data else subject.label.data  # type: ignore[union-attr]
        tumour = seen & (label == 4)
        white = seen & np.isin(tissue, (2, 41))
        return float(image[tumour].mean() - image[white].mean())

    assert (surgery.label.data == 4).sum() > 500
    assert contrast(surgery.tissue.data) > contrast(subject.tissue.data) + 0.5


@pytest.mark.usefixtures("few_frames")
def test_a_shifted_cohort_tells_its_truth_in_files(tmp_path: Path) -> None:
    coarse = SETTINGS.model_copy(update={"spacing_mm": 2.0, "crop_to_us": True})
    cohort = simulate_cohort(tmp_path / "c", 1, 7, coarse)
    folder = cohort.root / "subjects/sim-0000"
    written = sitk.ReadTransform(str(folder / "us_to_mr.tfm"))
    with (folder / "landmarks.csv").open() as stream:
        rows = list(csv.DictReader(stream))
    assert len(rows) > 5
    for row in rows:
        us, mr = (np.array([float(row[f"{which}_{axis}"]) for axis in "xyz"]) for which in ("us", "mr"))
        np.testing.assert_allclose(LPS * written.TransformPoint((LPS * us).tolist()), mr, atol=1e-3)
    assert read_labels(folder / "us_label.nii.gz").grid.same_as(read_labels(folder / "label.nii.gz").grid)
    seen = read_volume(folder / "us.nii.gz").data > 0
    assert not read_volume(folder / "t2.nii.gz").data[~seen].any()
    assert not read_labels(folder / "us_tissue.nii.gz").data[~seen].any()


def test_a_shift_without_ultrasound_is_refused() -> None:
    with pytest.raises(ValueError, match="need ultrasound"):
        SimulationSettings(shift_mm=5.0)

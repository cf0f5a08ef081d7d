"""Ultrasound: geometry by known points, speckle and attenuation by their distributions, and a subject whose probe sees its tumour."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest
from hypothesis import given, settings, strategies as st
from scipy import ndimage

from anymod.simulation import Patient, SimulationSettings, simulate_subject
from anymod.simulation.acoustics import Medium, fold_sheet, medium, opened
from anymod.simulation.craniotomy import box_axes
from anymod.simulation.patients import hold_probe
from anymod.simulation.tissues import Tissue
from anymod.simulation.ultrasound import (
    AXIAL_STEP_MM,
    GLINTS_PER_MM3,
    INTERFACE_GAIN,
    PROBES,
    WHITE_MATTER_GREY,
    Beams,
    Chance,
    Pose,
    Probe,
    beam_coordinates,
    compounded,
    glints,
    interface_echoes,
    kept_of_noise,
    sweep,
    world_coordinates,
)

pytestmark = pytest.mark.slow

QUIET = Chance(0.0, (0.0, 0.0), -300.0, -300.0)
DOWN = Pose(np.array([3.0, -5.0, 40.0]), np.array([0.0, 0.0, -1.0]), np.array([1.0, 0, 0]), np.array([0.0, -1.0, 0]))
# Fewer frames and a range that nothing leaves: what is black or white says nothing of a distribution.
LINEAR = replace(PROBES[1], dynamic_range_db=1000.0, frames=20)


def test_known_points_have_known_beams():
    probe = replace(PROBES[0], radius_mm=20.0)
    points = np.array(
        [
            [3.0, -5.0, 30.0],
            [3.0, -5.0, 20.0],
            [3.0 + 30 * np.sin(0.2), -5.0, 60 - 30 * np.cos(0.2)],
            [3.0, -35.0, 30.0],
        ]
    )
    depth, beam, frame = beam_coordinates(probe, DOWN, tuple(points.T))
    np.testing.assert_allclose(depth[:3], [10, 20, 10], atol=1e-4)
    np.testing.assert_allclose(beam, [0, 0, np.degrees(0.2), 0], atol=1e-4)
    np.testing.assert_allclose(frame, [0, 0, 0, 45], atol=1e-4)


@given(st.sampled_from(PROBES), st.floats(0.5, 70), st.floats(-30, 30), st.floats(-30, 30), st.integers(0, 10_000))
@settings(max_examples=50)
def test_world_and_beam_coordinates_undo_each_other(probe: Probe, depth: float, beam: float, frame: float, seed: int):
    turn = np.linalg.qr(np.random.default_rng(seed).standard_normal((3, 3)))[0]
    pose = Pose(np.array([10.0, -40.0, 55.0]), turn[0], turn[1], turn[2])
    there = world_coordinates(probe, pose, np.array([depth]), np.array([beam]), np.array([frame]))
    back = beam_coordinates(probe, pose, there)
    np.testing.assert_allclose(np.concatenate(back), [depth, beam, frame], atol=2e-3)


def uniform_medium(attenuation: float) -> tuple[Medium, tuple[np.ndarray, np.ndarray, np.ndarray]]:
    axes = tuple(np.array([-200.0, 200.0]) for _ in range(3))
    ones = np.ones((2, 2, 2), np.float32)
    return Medium(ones, 1.6 * ones, attenuation * ones), axes  # type: ignore[return-value]


@pytest.fixture
def without_glints(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("anymod.simulation.ultrasound.GLINTS_PER_MM3", 0.0)


def echoes_db(probe: Probe, attenuation: float) -> tuple[np.ndarray, Beams]:
    """Return the envelope in dB relative to white matter's mean power, [depth, beam, frame]."""
    seen, axes = uniform_medium(attenuation)
    brightness, beams = sweep(probe, DOWN, seen, axes, QUIET, np.random.default_rng(0))
    return (brightness - WHITE_MATTER_GREY) * probe.dynamic_range_db, beams


@pytest.mark.usefixtures("without_glints")
def test_speckle_is_rayleigh_distributed_and_keeps_its_power():
    decibels, beams = echoes_db(LINEAR, 0.6)
    deep = 10 ** (decibels[beams.depth > 50] / 20)  # beyond the clutter of the near field
    assert (deep**2).mean() == pytest.approx(1.0, rel=0.03)
    assert deep.mean() == pytest.approx(np.sqrt(np.pi) / 2, rel=0.02)
    assert decibels[beams.depth > 50].std() == pytest.approx(5.57, rel=0.03)  # of 20 log10 of a Rayleigh variable


@pytest.mark.usefixtures("without_glints")
def test_what_attenuates_more_than_the_scanner_thinks_grows_darker_with_depth():
    decibels, beams = echoes_db(LINEAR, 0.8)
    part = beams.depth > 45
    slope = np.polyfit(beams.depth[part], 10 * np.log10((10 ** (decibels[part] / 10)).mean((1, 2))), 1)[0]
    assert slope == pytest.approx(-2 * LINEAR.frequency_mhz * 0.2 / 10, rel=0.05)


@pytest.mark.usefixtures("without_glints")
def test_speckle_is_narrowest_across_at_the_focus_and_alike_along_the_beam():
    probe = replace(LINEAR, focus_mm=20.0)
    decibels, beams = echoes_db(probe, 0.6)

    def kept(depth: float, axis: int, lag_mm: float, step_mm: float) -> float:
        envelope = 10 ** (decibels[np.abs(beams.depth - depth) < 4] / 20)
        lag = max(1, round(lag_mm / step_mm))
        first, second = np.delete(envelope, np.s_[-lag:], axis), np.delete(envelope, np.s_[:lag], axis)
        return float(np.corrcoef(first.ravel(), second.ravel())[0, 1])

    steps = [np.radians(beams.beam[1] - beams.beam[0]) * (probe.radius_mm + depth) for depth in (20, 62)]
    assert kept(62, 1, 0.9, steps[1]) > kept(20, 1, 0.9, steps[0]) + 0.1
    assert kept(62, 0, 0.12, 0.12) == pytest.approx(kept(20, 0, 0.12, 0.12), abs=0.05)


@pytest.mark.parametrize("sigma", [0.4, 1.0, 3.0])
def test_what_a_filter_leaves_of_noise(sigma: float):
    noise = np.random.default_rng(0).standard_normal(400_000)
    assert ndimage.gaussian_filter1d(noise, sigma).std() == pytest.approx(kept_of_noise(sigma), rel=0.02)


def test_a_surface_that_faces_the_beam_sends_most_back():
    beams = Beams.of(LINEAR)
    depth, middle = beams.depth[:, None, None], len(beams.beam) // 2
    across = np.sin(np.radians(beams.beam))[None, :, None] * (LINEAR.radius_mm + depth)
    facing = np.broadcast_to(1.6 + 0.001 * depth, (len(beams.depth), len(beams.beam), 1))
    tilted = 1.6 + 0.001 * (depth + across) / np.sqrt(2)
    echo, weaker = (interface_echoes(each, beams, LINEAR)[100, middle, 0] for each in (facing, tilted))
    assert echo == pytest.approx(INTERFACE_GAIN * 0.001 / (2 * 1.6), rel=0.02)
    assert weaker / echo == pytest.approx(2**-0.5 * 2**-2, rel=0.05)  # less change along the beam, and cos^4


def test_the_volume_holds_what_the_sweep_saw_and_nothing_else():
    axes = tuple(np.arange(-60.0, 61.0, 2.0) + centre for centre in (3.0, -5.0, 10.0))
    brightness, beams = np.full((3, 3, 3), 0.5, np.float32), Beams.of(LINEAR)
    small = Beams(
        beams.depth[[0, len(beams.depth) // 2, -1]],
        beams.beam[[0, len(beams.beam) // 2, -1]],
        np.array([-22.0, 0.0, 22.0]),
    )
    image = compounded(replace(LINEAR, frames=3), DOWN, brightness, small, axes, np.random.default_rng(0))
    x, y, z = np.meshgrid(*axes, indexing="ij")
    depth, beam, frame = beam_coordinates(LINEAR, DOWN, (x, y, z))
    surely = (depth > 1) & (depth < 69) & (abs(beam) < 20) & (abs(frame) < 21)
    never = (depth < 0.4) | (depth > 70.1) | (abs(beam) > 26) | (abs(frame) > 22.1)
    assert (image[surely] == 128).all() and surely.sum() > 1000
    assert (image[never] == 0).all()


def test_an_opening_removes_what_is_thinner_than_the_ball():
    x, y, z = np.meshgrid(*(np.arange(-15.0, 16.0),) * 3, indexing="ij")
    ball, sheet = x**2 + y**2 + z**2 <= 8**2, np.abs(x - 12) <= 1
    kept = opened(ball | sheet, 8.0, 1.0)
    assert kept[15, 15, 15] and kept[15 + 7, 15, 15]
    assert not kept[27].any()
    assert not opened(np.zeros((4, 4, 4), bool), 4.0, 1.0).any()
    assert opened(np.ones((4, 4, 4), bool), 4.0, 1.0).all()


def test_glints_are_equally_dense_at_every_depth_and_lie_across_the_beam():
    probe = replace(PROBES[0], frames=60)
    beams = Beams.of(probe)
    amplitude = glints(np.random.default_rng(0), beams, probe)
    summit = amplitude == ndimage.maximum_filter(amplitude, (1, 9, 1))
    steps = [np.radians(each[1] - each[0]) for each in (beams.beam, beams.frame)]
    for part in (beams.depth < 25, beams.depth > 50):
        volume = AXIAL_STEP_MM * steps[0] * steps[1] * (probe.radius_mm + beams.depth[part]) ** 2
        volume = float(volume.sum()) * amplitude.shape[1] * amplitude.shape[2]
        assert (summit & (amplitude > 0))[part].sum() / volume == pytest.approx(GLINTS_PER_MM3, rel=0.05)
    kept = [
        np.corrcoef(np.delete(amplitude, -1, axis).ravel(), np.delete(amplitude, 0, axis).ravel())[0, 1]
        for axis in range(3)
    ]
    assert kept[1] > 0.9 and max(kept[0], kept[2]) < 0.05


AXES = tuple(0.5 * np.arange(60.0) for _ in range(3))


def two_walls(*, cortex: float, fluid: float) -> np.ndarray:
    """Return tissues [tissue, X, Y, Z] at 0.5 mm: white matter, and across x, about 14.75 mm, cortex of that width [mm] around fluid."""
    off = np.abs(AXES[0] - 14.75)
    fractions = np.zeros((len(Tissue), 60, 60, 60), np.float32)
    fractions[Tissue.CSF, off < fluid / 2] = 1
    fractions[Tissue.GREY, (off >= fluid / 2) & (off < fluid / 2 + cortex)] = 1
    fractions[Tissue.WHITE] = 1 - fractions[Tissue.CSF] - fractions[Tissue.GREY]
    return fractions


def mean_power(fractions: np.ndarray, part: slice) -> float:
    # Mean echoes, not medians: a sheet is strong here and weak there.
    return float(np.mean(medium(fractions, AXES, 0.5, seed=0, index=0).power[part]))


@pytest.mark.parametrize("fluid", [0.0, 2.0])
def test_a_fold_holds_a_bright_sheet_with_fluid_or_without(fluid: float):
    fractions = two_walls(cortex=2.5, fluid=fluid)
    assert mean_power(fractions, np.s_[29:31]) > 30 * mean_power(fractions, np.s_[5:20])
    seen = medium(fractions, AXES, 0.5, seed=0, index=0)
    assert seen.attenuation[29, 30, 30] > 0.4  # a fold spares no sound


@pytest.mark.parametrize(("cortex", "fluid"), [(0.0, 12.0), (0.0, 3.0), (2.5, 12.0)])
def test_wide_fluid_and_a_horn_between_white_matter_are_dark(cortex: float, fluid: float):
    fractions = two_walls(cortex=cortex, fluid=fluid)
    middle = np.s_[29:31]
    assert mean_power(fractions, np.s_[2:8]) > 100 * mean_power(fractions, middle)
    assert medium(fractions, AXES, 0.5, seed=0, index=0).attenuation[29, 30, 30] < 0.05


def test_a_jagged_ventricle_has_no_sheets_along_its_wall():
    x, y, z = np.meshgrid(*AXES, indexing="ij")
    steps = [np.floor(along) + 0.5 - 15 for along in (x, y, z)]  # a ball of a label map at 1 mm
    fractions = np.zeros((len(Tissue), 60, 60, 60), np.float32)
    ball = sum(step**2 for step in steps) < 9**2
    fractions[Tissue.CSF, ball] = 1
    fractions[Tissue.WHITE] = 1 - fractions[Tissue.CSF]
    around = ndimage.binary_dilation(ball, iterations=2) & ~ndimage.binary_erosion(ball, iterations=2)
    seen = medium(fractions, AXES, 0.5, seed=0, index=0)
    assert seen.power[around].max() < 3 * seen.power[:8].max()


def test_the_sheet_is_one_unbroken_surface_in_the_middle_of_its_banks():
    sheet = fold_sheet(two_walls(cortex=3.0, fluid=0.0), 0.5)
    bright = sheet > 0.5
    assert bright[29:31].all() and not bright[:28].any() and not bright[32:].any()
    np.testing.assert_allclose(sheet, sheet[::-1], atol=1e-5)
    one_bank = two_walls(cortex=3.0, fluid=0.0)[:, :30]
    assert not fold_sheet(one_bank, 0.5)[:28].any()
    assert not fold_sheet(np.zeros((len(Tissue), 8, 8, 8), np.float32), 0.5).any()


SETTINGS = SimulationSettings(modalities=("us", "t2"), tumours=1.0, missing=0.0, acoustic_mm=2.0)


@pytest.mark.usefixtures("few_frames")
def test_the_probe_stands_outside_of_the_brain_and_looks_at_the_tumour():
    subject = simulate_subject(3, 1, SETTINGS)
    probe, pose = subject.probe  # type: ignore[misc]
    offset = np.asarray(subject.tumour.centre) - pose.contact  # type: ignore[union-attr]
    np.testing.assert_allclose(offset / np.linalg.norm(offset), pose.inward, atol=1e-6)
    frame = np.stack([pose.inward, pose.lateral, pose.elevation])
    np.testing.assert_allclose(frame @ frame.T, np.eye(3), atol=1e-9)
    image = subject.images["us"]
    assert image.shape == (48, 48, 32) and image.grid == subject.images["t2"].grid
    assert image.data.dtype == np.int16 and 0 < image.data.max() <= 255
    inside = image.data > 0
    assert 0.2 < inside.mean() < 0.8
    seen = (subject.label.data > 0) & inside
    assert seen.sum() > 0.5 * (subject.label.data > 0).sum() > 0
    x, y, z = box_axes(probe, pose, 2.0)
    np.testing.assert_allclose(image.grid.affine[:3, 3], [x[0], y[0], z[0]])


@pytest.mark.usefixtures("few_frames")
def test_a_subject_is_the_same_again_and_its_probe_can_be_named():
    first, again = (simulate_subject(3, 2, SETTINGS.model_copy(update={"tumours": 0.0})) for _ in range(2))
    np.testing.assert_array_equal(first.images["us"].data, again.images["us"].data)
    assert first.tumour is None and first.probe is not None
    for probe in PROBES:
        named = SETTINGS.model_copy(update={"probe": probe.name})
        assert hold_probe(Patient.draw(3, 2, named), 3, 2, named)[0].name == probe.name


def test_ultrasound_of_a_closed_skull_is_refused():
    with pytest.raises(ValueError, match="opened skull"):
        SimulationSettings(modalities=("us",), whole_head=True)

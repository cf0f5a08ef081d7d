"""Alignment finds movements that are known, in millimetres, and doubts what it cannot know."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
import SimpleITK as sitk
from matplotlib.image import imread
from moved_phantom import SIZE, SPACING, farthest_error, known_movement, moved, phantom
from scipy import ndimage

from anymod.errors import VolumeError
from anymod.figures.checkerboard import draw_checkerboard
from anymod.registration import align, align_modalities, alignment, linear_combination, mutual_information
from anymod.registration.alignment import Alignment
from anymod.registration.levels import Level, Sampled
from anymod.volumes import Grid, Volume, orient


@pytest.mark.parametrize(("kind", "within_mm"), [("rigid", 0.3), ("affine", 1.0)])
def test_a_known_movement_between_contrasts_is_found(kind: str, within_mm: float) -> None:
    truth, still = known_movement(kind), phantom()
    other = moved(Volume(np.where(still.data > 0, 260 - still.data, 0), still.grid), truth)  # bright is dark
    found = align(still, other, "mutual-information", kind)  # type: ignore[arg-type]
    assert farthest_error(sitk.Transform(), truth) > 6
    assert farthest_error(found.transform, truth) < within_mm
    assert found.doubt == ""
    assert found.gained > 0
    assert found.moved_mm == pytest.approx(farthest_error(sitk.Transform(), found.transform), rel=0.6)


@pytest.mark.slow
@pytest.mark.parametrize("ultrasound_is_fixed", [True, False])
def test_patches_need_no_relation_of_grey_levels_over_the_whole(ultrasound_is_fixed: bool) -> None:
    truth, still = known_movement(), phantom(blob_voxels=1.5)
    sign = np.where(np.arange(SIZE[0]) < SIZE[0] // 2, 1, -1)[:, None, None]  # bright is bright here and dark there
    other = Volume(np.where(still.data > 0, 130 + sign * (still.data - 130), 0).astype(np.float32), still.grid)
    if ultrasound_is_fixed:
        found = align_modalities(other, moved(still, truth), ("us", "mr"))
    else:
        found = align_modalities(still, moved(other, truth), ("mr", "us"))
    assert found.measure == "linear-combination"
    assert farthest_error(found.transform, truth) < 0.7
    assert found.doubt == ""


def test_the_way_that_axes_run_does_not_matter() -> None:
    truth, still = known_movement(), phantom()
    other = moved(still, truth)
    one, turned = align(still, other), align(orient(still, "LPI"), orient(other, "SAR"))
    assert farthest_error(one.transform, turned.transform) < 0.1


def test_every_call_finds_the_same(monkeypatch: pytest.MonkeyPatch) -> None:
    still, other = phantom(), moved(phantom(), known_movement())
    for most in (mutual_information.MOST_SAMPLES, 5000):  # all voxels, and a sample of them
        monkeypatch.setattr(mutual_information, "MOST_SAMPLES", most)
        first, second = (align(still, other).transform.GetParameters() for _ in range(2))
        assert first == second


def test_a_search_that_ends_lower_than_it_began_is_undone(monkeypatch: pytest.MonkeyPatch) -> None:
    def astray(level: Level, transform: sitk.Transform) -> None:
        transform.SetParameters((0.0, 0.0, 0.5, 9.0, 9.0, 9.0))

    monkeypatch.setitem(alignment.MEASURES, "mutual-information", (mutual_information.similarity, astray))
    found = align(phantom(), phantom())
    assert found.moved_mm == found.gained == 0


def test_images_of_different_patients_are_doubted() -> None:
    assert align(phantom(0), moved(phantom(7), known_movement())).doubt != ""


def test_images_that_do_not_meet_are_refused() -> None:
    still = phantom()
    far = still.affine.copy()
    far[0, 3] += 500
    with pytest.raises(VolumeError, match="nothing to align"):
        align(still, Volume(still.data, Grid(SIZE, far)))


@pytest.mark.parametrize(
    ("change", "words"),
    [
        ({"overlap": 0.1}, "10 % of the smaller"),
        ({"moved_mm": 90.0}, "by 90 mm"),
        ({"sharpness": 0.0}, "about as similar"),
        ({}, ""),
    ],
)
def test_each_reason_for_doubt_is_told(change: dict[str, float], words: str) -> None:
    good = {"similarity": 0.5, "gained": 0.1, "moved_mm": 4.0, "sharpness": 0.5, "overlap": 0.9}
    doubt = Alignment("mutual-information", sitk.Transform(), **(good | change)).doubt  # type: ignore[arg-type]
    assert words in doubt
    assert bool(doubt) == bool(words)


def test_images_of_one_kind_are_compared_over_the_whole() -> None:
    still, other = phantom(), moved(phantom(), known_movement())
    assert align_modalities(still, other, ("mr", "mr")).measure == "mutual-information"
    assert align_modalities(still, other, ("us", "us")).measure == "mutual-information"


def test_single_dark_voxels_inside_are_no_border() -> None:
    still = phantom()
    whole = Sampled.of(still, SPACING).inside
    still.data[np.random.default_rng(0).random(SIZE) < 0.01] = 0
    assert Sampled.of(still, SPACING).inside.sum() > 0.95 * whole.sum()


def test_a_patch_is_explained_as_least_squares_explains_it() -> None:
    generator = np.random.default_rng(4)
    sound, other = (ndimage.gaussian_filter(generator.standard_normal((9, 9, 9)), 1).astype(np.float32) for _ in "ab")
    everywhere, one = np.ones(sound.shape, bool), np.zeros(sound.shape, bool)
    one[4, 4, 4] = True
    edges = np.sqrt(sum(part**2 for part in np.gradient(other)))
    size = 2 * round(linear_combination.PATCH_MM / 2.0 / 2) + 1
    patch = (slice(4 - size // 2, 5 + size // 2),) * 3
    regressors = np.stack([np.ones(size**3), other[patch].ravel(), edges[patch].ravel()], axis=1)
    y = sound[patch].ravel()
    residual = y - regressors @ np.linalg.lstsq(regressors, y, rcond=None)[0]
    terms = linear_combination.explained(sound, other, everywhere, 2.0)
    assert terms.variance[4, 4, 4] == pytest.approx(y.var(), rel=1e-3)
    assert terms.explained[4, 4, 4] == pytest.approx(y.var() - residual.var(), rel=0.02)


def test_moving_an_image_away_does_not_pay() -> None:
    still = phantom()
    level = Level(Sampled.of(still, 2.0), Sampled.of(still, 2.0))
    values = [
        linear_combination.similarity(level, sitk.TranslationTransform(3, [shift, 0.0, 0.0]))
        for shift in (0, 10, 25, 200)
    ]
    assert values[0] > 0.95
    assert values[0] > values[1] > values[2] > values[3] == 0


def test_the_checkerboard_shows_three_planes_before_and_after(tmp_path: Path) -> None:
    still, truth = phantom(), known_movement()
    draw_checkerboard(tmp_path / "board.png", still, moved(still, truth), truth, "a subject")
    picture = imread(tmp_path / "board.png")
    assert picture.shape[1] > 500
    assert picture[..., :3].std() > 0.1

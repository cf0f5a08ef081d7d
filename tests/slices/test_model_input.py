"""The same head gives the same slices and the same images, however a file stores it."""

from __future__ import annotations

from dataclasses import dataclass
from itertools import permutations, product
from pathlib import Path

import numpy as np
import pytest
from hypothesis import given, settings, strategies as st
from tiny_models import tiny_description, tiny_model, write_tiny_cohort

from anymod.cohorts import SubjectImages, read_subject_images
from anymod.slices import CacheSettings, build_cache
from anymod.synthesis import SynthesisOptions, Synthesizer
from anymod.volumes import Grid, IntensityRule, Volume, orient

TOLERANCE = 1e-4  # of the range
SHAPE = (20, 17, 11)
SPACING = (1.0, 1.3, 2.0)
ORIENTATIONS = tuple(
    "".join(pair[side] for pair, side in zip(axes, sides, strict=True))
    for axes in permutations(("RL", "AP", "SI"))
    for sides in product((0, 1), repeat=3)
)
RULES = (IntensityRule(), IntensityRule(anchor="core", lower_percentile=2.0), IntensityRule(scope="slice"))


def subject(slab: bool, masked: bool) -> dict[str, np.ndarray]:
    """Return images t1 and t2 (background -3, a few voxels below it) and a label, which touch every side of their box.

    With a mask the background is anything.
    """
    draws = np.random.default_rng(0)
    places = np.stack(np.meshgrid(*(np.linspace(-1, 1, size) for size in SHAPE), indexing="ij"))
    radius = (places[: 2 if slab else 3] ** 2).sum(0)
    inside = (radius <= 1) | (np.sort(np.abs(places), axis=0)[1] < 0.1)
    waves = np.cos(3 * places[0] + 2 * places[1] - 4 * places[2])
    outside = draws.uniform(0, 400, SHAPE) if masked else np.full(SHAPE, -3.0)
    content = {"t1": 100 + 40 * waves, "t2": 150 - 60 * waves}
    arrays = {name: np.where(inside, data, outside).astype(np.float32) for name, data in content.items()}
    arrays["t1"][10, 8, 5] = -20.0
    arrays["label"] = ((radius < 0.2) & inside).astype(np.int16)
    if masked:
        arrays["mask"] = inside.astype(np.int16)
    return arrays


@dataclass(frozen=True)
class Stored:
    """How a file stores a subject: background added before and after each axis, orientation, slant and place in the scanner."""

    before: tuple[int, int, int] = (2, 2, 2)
    after: tuple[int, int, int] = (2, 2, 2)
    orientation: str = "RAS"
    degrees: tuple[float, float, float] = (0.0, 0.0, 0.0)
    origin_mm: tuple[float, float, float] = (0.0, 0.0, 0.0)

    def volumes(self, arrays: dict[str, np.ndarray], spacing: tuple[float, ...] = SPACING) -> dict[str, Volume]:
        affine = np.eye(4)
        affine[:3, :3] = rotation(self.degrees) * spacing
        affine[:3, 3] = self.origin_mm
        widths = list(zip(self.before, self.after, strict=True))
        grid = Grid(tuple(size + sum(more) for size, more in zip(SHAPE, widths, strict=True)), affine)
        stored = {}
        for name, data in arrays.items():
            fill = 0 if name in ("label", "mask") or "mask" in arrays else -3
            turned = orient(Volume(np.pad(data, widths, constant_values=fill), grid), self.orientation)
            in_file = Grid(turned.shape, turned.affine.astype(np.float32))  # as a NIfTI header holds it
            stored[name] = Volume(np.ascontiguousarray(turned.data), in_file, name)
        return stored

    def taken_out(self, volume: Volume) -> np.ndarray:
        data = orient(volume, "RAS").data
        return data[tuple(slice(first, first + size) for first, size in zip(self.before, SHAPE, strict=True))]


def rotation(degrees: tuple[float, float, float]) -> np.ndarray:
    matrix = np.eye(3)
    for axis, angle in enumerate(np.radians(degrees)):
        i, j = (axis + 1) % 3, (axis + 2) % 3
        turn = np.eye(3)
        turn[[i, i, j, j], [i, j, i, j]] = np.cos(angle), -np.sin(angle), np.sin(angle), np.cos(angle)
        matrix = turn @ matrix
    return matrix


margins = st.tuples(*[st.integers(0, 3)] * 3)
files = st.builds(
    Stored,
    margins,
    margins,
    st.sampled_from(ORIENTATIONS),
    st.tuples(*[st.floats(-14, 14)] * 3),
    st.tuples(*[st.floats(-200, 200)] * 3),
)


def synthesizer(rule: IntensityRule, spacing_mm: float, context: int = 0) -> Synthesizer:
    model = tiny_model(context_slices=context)
    modalities = tuple(
        each.model_copy(update={"harmonized_median": 0.5}) for each in tiny_description(model).modalities
    )
    return Synthesizer(model, tiny_description(model, intensity=rule, spacing_mm=spacing_mm, modalities=modalities))


@pytest.mark.slow
@given(files, st.sampled_from(RULES), st.sampled_from([1.0, 2.0, 0.9]), st.booleans(), st.booleans())
@settings(max_examples=30)
def test_the_way_a_file_stores_a_head_changes_no_slice(
    stored: Stored, rule: IntensityRule, spacing_mm: float, slab: bool, masked: bool
) -> None:
    chosen = synthesizer(rule, spacing_mm, context=1)
    arrays = subject(slab, masked)
    seen, expected = (chosen.see(SubjectImages.of(each.volumes(arrays))) for each in (stored, Stored()))
    np.testing.assert_array_equal(seen.foreground, expected.foreground)
    np.testing.assert_array_equal(seen.label, expected.label)
    every = np.arange(len(seen.planes))
    rows, expected_rows = chosen.rows(seen, every)[0], chosen.rows(expected, every)[0]
    np.testing.assert_allclose(rows, expected_rows, atol=2 * TOLERANCE)


@pytest.mark.slow
@given(files, st.sampled_from(RULES), st.sampled_from([1.0, 2.0]), st.booleans())
@settings(max_examples=8)
def test_the_way_a_file_stores_a_head_changes_no_synthetic_image(
    stored: Stored, rule: IntensityRule, spacing_mm: float, masked: bool
) -> None:
    chosen, arrays = synthesizer(rule, spacing_mm, context=1), subject(False, masked)
    del arrays["label"]
    options = SynthesisOptions(("t1", "flair"), temperature=0.7, samples=2, noise="slice")
    made, expected = [], []
    for way, images in ((stored, made), (Stored(), expected)):
        volumes = way.volumes(arrays)
        mask = volumes.pop("mask", None)
        result = chosen.synthesize(volumes, options, mask)
        assert result.images["flair"].grid is volumes["t1"].grid
        for part in (result.images, result.standard_deviations):
            images += [way.taken_out(part[name]) / np.ptp(result.units[name]) for name in ("t1", "flair")]
    for image, other in zip(made, expected, strict=True):
        np.testing.assert_allclose(image, other, atol=TOLERANCE)


def test_slices_are_centred_on_the_foreground_and_cover_it() -> None:
    seen = synthesizer(IntensityRule(), 1.0).see(SubjectImages.of(Stored().volumes(subject(False, False))))
    assert seen.view.grid.shape == (20, 24, 22)  # 20 by 22.1 by 22 mm, in multiples of the network's stride of 4
    middle = np.array([2 + 9.5, (2 + 8) * 1.3, (2 + 5) * 2.0])
    assert np.abs(seen.view.grid.corners_mm().mean(axis=0) - middle).max() <= 0.5
    assert seen.union.any((1, 2)).all()
    assert seen.cut_off < 0.02


@pytest.mark.parametrize("degrees", [(0, 0, 0), (12, -9, 7)])
@pytest.mark.parametrize("orientation", ["RAS", "LPS", "PIR"])
def test_a_point_in_millimetres_stays_on_the_way_there_and_back(orientation: str, degrees: tuple) -> None:
    stored = Stored(orientation=orientation, degrees=degrees, origin_mm=(5, -12, 20))
    volumes = stored.volumes({"t1": subject(False, False)["t1"]}, (1.0, 1.0, 1.0))
    image = volumes["t1"]
    point = np.array([5, -12, 20]) + rotation(degrees) @ [12.0, 10.0, 8.0]
    everywhere = np.stack(np.meshgrid(*map(np.arange, image.shape), indexing="ij"), axis=-1)
    ball = np.exp(-((image.grid.to_world(everywhere) - point) ** 2).sum(-1) / 8)
    images = SubjectImages.of({"t1": Volume((1e-6 + ball).astype(np.float32), image.grid)})
    images = SubjectImages(images.volumes, {"t1": np.ones(image.shape, dtype=bool)})
    seen = synthesizer(IntensityRule(), 1.2).see(images)
    planes = seen.planes[:, 0].transpose(1, 2, 0)
    back = seen.view.to_own_grid(seen.planes[:, 0], seen.union, images.union)
    for volume in (Volume(planes, seen.view.grid), back):
        indices = np.stack(np.meshgrid(*map(np.arange, volume.shape), indexing="ij"), axis=-1)
        weights = volume.data / volume.data.sum(dtype=np.float64)
        np.testing.assert_allclose(
            (weights[..., None] * volume.grid.to_world(indices)).sum((0, 1, 2)), point, atol=0.05
        )


@pytest.mark.parametrize("thickness_mm", [0.1, 1.0, 5.0])
def test_a_single_slice_is_seen_at_its_own_brightness(thickness_mm: float) -> None:
    data = np.full((16, 16, 1), 80.0, dtype=np.float32)
    data[:8] = 60.0
    data[[0, -1]], data[:, [0, -1]] = 0, 0
    image = Volume(data, Grid(data.shape, np.diag([1.0, 1.0, thickness_mm, 1.0])))
    seen = synthesizer(IntensityRule(), 1.0).see(SubjectImages.of({"t1": image}))
    assert seen.foreground[:, 0].sum() == max(1, thickness_mm) * 14 * 14
    values = seen.planes[seen.foreground]
    assert np.minimum(np.abs(values - 60), np.abs(values - 80)).max() < 1e-4


def test_what_lies_outside_a_mask_changes_nothing() -> None:
    arrays = subject(False, True)
    stripped = {**arrays, **{name: np.where(arrays["mask"], arrays[name], 0) for name in ("t1", "t2")}}
    chosen = synthesizer(IntensityRule(), 2.0)
    whole, alone = (chosen.see(SubjectImages.of(Stored().volumes(each))) for each in (arrays, stripped))
    np.testing.assert_array_equal(whole.planes, alone.planes)


@pytest.mark.parametrize("context", [0, 1])
@pytest.mark.parametrize("rule", RULES)
def test_training_and_synthesis_see_the_same(tmp_path: Path, rule: IntensityRule, context: int) -> None:
    cohort = write_tiny_cohort(tmp_path / "cohort", {"a": ("t1", "t2"), "b": ("t1",)}, {"a": "train", "b": "train"})
    cache = build_cache(
        cohort, cohort.subjects, CacheSettings(spacing_mm=1.4, image_size=(16, 16), intensity=rule), tmp_path / "cache"
    )
    model = tiny_model(context_slices=context)
    constants = [constant or 0.5 for constant in cache.harmonized_medians]
    modalities = [
        each.model_copy(update={"harmonized_median": constant})
        for each, constant in zip(tiny_description(model).modalities, constants, strict=True)
    ]
    description = tiny_description(model, intensity=rule, spacing_mm=1.4, modalities=tuple(modalities))
    chosen = Synthesizer(model, description)
    for number, name in enumerate("ab"):
        seen = chosen.see(read_subject_images(cohort, cohort.subject(name)))
        every = np.arange(cache.slice_count(number))
        batch, (images, shown, foreground) = cache.read([number] * len(every), every, context), chosen.rows(seen, every)
        np.testing.assert_array_equal(batch.images, images)
        np.testing.assert_array_equal(batch.foreground, foreground)
        np.testing.assert_array_equal(batch.observed, shown)

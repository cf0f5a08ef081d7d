"""The slice cache: what is read is what the images hold, scaled by the rule, absent where the subject lacks it."""

from __future__ import annotations

import json
import pickle
import subprocess
import sys
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from hypothesis import HealthCheck, given, settings, strategies as st

from anymod.cohorts import Cohort
from anymod.errors import AnymodError, CohortError, GridError, OutputError, VolumeError
from anymod.processes import machine
from anymod.slices import CacheSettings, SliceCache, build_cache, check_same_slices, open_cache
from anymod.volumes import (
    Grid,
    IntensityRule,
    Volume,
    anchored_range,
    core_median,
    foreground_of,
    measure_range,
    read_labels,
    read_volume,
    scale,
    write_volume,
)

SETTINGS = CacheSettings(image_size=(12, 10))
FLOOR = -255 / 256
MakeCohort = Callable[..., Cohort]


def build(cohort: Cohort, chosen: CacheSettings = SETTINGS) -> SliceCache:
    return build_cache(cohort, cohort.subjects, chosen, cohort.root.parent / "cache")


def test_slices_are_the_volume_scaled_by_the_rule(make_cohort: MakeCohort) -> None:
    cohort = make_cohort({"a": ("t1", "t2")})
    batch = build(cohort).read([0, 0], [2, 4], context=0)  # the first slice of the volume has no foreground
    data = read_volume(cohort.path(cohort.subjects[0], "t1")).data
    foreground = foreground_of(data)
    expected = scale(data, measure_range(data, foreground, 99.95), foreground)
    assert batch.images.shape == (2, 2, 1, 12, 10)
    np.testing.assert_allclose(batch.images[:, 0, 0].numpy(), expected.transpose(2, 0, 1)[[3, 5]], atol=1e-6)
    np.testing.assert_array_equal(batch.foreground[:, 0].numpy(), foreground.transpose(2, 0, 1)[[3, 5]])
    torch.testing.assert_close(batch.targets, batch.images[:, :, 0])
    assert batch.subjects == ("a", "a")


@given(st.lists(st.sets(st.sampled_from(["t1", "t2", "us"]), min_size=1), min_size=1, max_size=3))
@settings(max_examples=8, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
def test_absent_modalities_are_background_and_not_observed(make_cohort: MakeCohort, patterns: list[set[str]]) -> None:
    observed = {f"s{number}": tuple(sorted(pattern)) for number, pattern in enumerate(patterns)}
    cohort = make_cohort(observed)
    cache = build(cohort)
    batch = cache.read(range(len(patterns)), [3] * len(patterns), context=1)
    for row, pattern in enumerate(patterns):
        for column, modality in enumerate(cohort.modality_names):
            there = modality in pattern
            assert bool(batch.observed[row, column]) is there
            assert bool(batch.foreground[row, column].any()) is there
            assert bool((batch.images[row, column] == -1).all()) is not there
    inside = batch.images[:, :, 1][batch.foreground]
    assert (inside >= FLOOR).all() and (inside <= 1).all()
    assert (batch.images[:, :, 1][~batch.foreground] == -1).all()
    assert (batch.targets[~batch.foreground] == -1).all()


def test_neighbours_stand_around_the_slice_and_repeat_at_the_ends(make_cohort: MakeCohort) -> None:
    cache = build(make_cohort({"a": ("t1",)}))
    wide = cache.read([0, 0, 0], [0, 3, 5], context=2).images[:, 0]
    single = cache.read([0] * 6, list(range(6)), context=0).images[:, 0, 0]
    for row, neighbours in enumerate([[0, 0, 0, 1, 2], [1, 2, 3, 4, 5], [3, 4, 5, 5, 5]]):
        assert torch.equal(wide[row], single[neighbours])


def test_mask_is_the_foreground_where_the_background_is_not_zero(make_cohort: MakeCohort) -> None:
    mask = np.zeros((12, 10, 8), dtype=np.int16)
    mask[4:8, 4:6, 2:5] = 1
    cohort = make_cohort({"a": ("t1",)}, extras={"mask": mask})
    path = cohort.path(cohort.subjects[0], "t1")
    volume = read_volume(path)
    write_volume(path, Volume(volume.data - 75.5, volume.grid))
    batch = build(cohort).read([0], [1], context=0)
    np.testing.assert_array_equal(batch.foreground[0, 0].numpy(), mask[:, :, 3] == 1)
    assert (batch.images[0, 0, 0][~batch.foreground[0, 0]] == -1).all()


def test_the_background_of_each_image_is_known(make_cohort: MakeCohort) -> None:
    cohort = make_cohort({"a": ("t1",), "b": ("t1", "us")})
    for subject, below in zip(cohort.subjects, (100, 50), strict=True):
        volume = read_volume(cohort.path(subject, "t1"))
        write_volume(cohort.path(subject, "t1"), Volume(volume.data - below, volume.grid))
    cache = build(cohort)
    assert [[scale and scale.background for scale in record.scales] for record in cache.records] == [
        [-100, None],
        [-50, 0],
    ]
    assert cache.typical_backgrounds([0, 1]) == {"t1": -75, "us": 0}


def test_slices_that_a_label_map_marks_are_known(make_cohort: MakeCohort) -> None:
    label = np.zeros((12, 10, 8), dtype=np.int16)
    label[5, 5, 2] = label[6, 4, 5] = 4
    cache = build(make_cohort({"a": ("t1",)}, extras={"label": label}))
    assert np.flatnonzero(cache.records[0].labelled).tolist() == [1, 4]
    np.testing.assert_array_equal(cache.read([0] * 6, range(6), 0).label.numpy(), label.transpose(2, 0, 1)[1:7] != 0)
    assert open_cache(cache.folder).records == cache.records
    assert not any(build(make_cohort({"a": ("t1",)}, folder="without")).records[0].labelled)


def test_a_cache_deletes_nothing_that_it_did_not_make(make_cohort: MakeCohort) -> None:
    cohort = make_cohort({"a": ("t1",)})
    images = cohort.root / "subjects"
    with pytest.raises(OutputError, match=r"'t1\.nii\.gz', which no slice cache made; choose another folder"):
        build_cache(cohort, cohort.subjects, SETTINGS, images)
    assert [path.name for path in (images / "a").iterdir()] == ["t1.nii.gz"]


def test_planes_run_to_the_right_and_to_the_front_whatever_the_file_does(make_cohort: MakeCohort) -> None:
    cohort = make_cohort({"a": ("t1",)})
    expected = build(cohort).read([0], [2], context=0)
    path = cohort.path(cohort.subjects[0], "t1")
    volume = read_volume(path)
    flipped = volume.affine @ np.array([[0, -1, 0, 11], [0, 0, -1, 9], [1.0, 0, 0, 0], [0, 0, 0, 1]])
    turned = volume.data.transpose(2, 0, 1)[:, ::-1, ::-1]
    write_volume(path, Volume(np.ascontiguousarray(turned), Grid((8, 12, 10), flipped)))
    assert torch.equal(build(cohort).read([0], [2], context=0).images, expected.images)


def test_smaller_slices_are_cut_about_the_foreground_with_a_warning(
    make_cohort: MakeCohort, caplog: pytest.LogCaptureFixture
) -> None:
    cache = build(make_cohort({"a": ("t1",)}), CacheSettings(image_size=(4, 6)))
    assert cache.records[0].cut_off == pytest.approx(0.5)
    assert "50 % of the foreground" in caplog.text
    assert bool(cache.read([0], [3], context=0).foreground.all())


def test_larger_slices_and_voxels_keep_the_background(make_cohort: MakeCohort) -> None:
    cache = build(make_cohort({"a": ("t1",)}), CacheSettings(image_size=(16, 8), spacing_mm=2.0))
    batch = cache.read([0], [3], context=0)
    assert cache.slice_count(0) == 6
    assert int(batch.foreground.sum()) == 4 * 3
    assert (batch.images[0, 0, 0][~batch.foreground[0, 0]] == -1).all()


def test_slices_with_almost_no_foreground_are_not_usable(make_cohort: MakeCohort) -> None:
    cohort = make_cohort({"a": ("t1",)})
    assert build(cohort).usable(0).tolist() == [0, 1, 2, 3, 4, 5]
    assert build(cohort, CacheSettings(image_size=(12, 10), min_foreground=0.41)).usable(0).tolist() == []
    assert build(cohort, CacheSettings(image_size=(12, 10), min_foreground=0.0)).usable(0, 0).tolist() == [
        0,
        1,
        2,
        3,
        4,
        5,
    ]


def test_slice_scope_gives_each_slice_its_own_range_and_targets_the_volume_s(make_cohort: MakeCohort) -> None:
    cohort = make_cohort({"a": ("t1",)})
    rule = IntensityRule(scope="slice", upper_percentile=100.0)
    cache = build(cohort, CacheSettings(image_size=(12, 10), intensity=rule))
    batch = cache.read([0, 0], [2, 5], context=0)
    for row in range(2):
        inside = batch.images[row, 0, 0][batch.foreground[row, 0]]
        assert inside.min() == pytest.approx(FLOOR, abs=1e-6)
        assert inside.max() == pytest.approx(1.0, abs=1e-6)
    assert not torch.equal(batch.targets, batch.images[:, :, 0])


def test_slice_of_one_value_is_background_in_slice_scope(make_cohort: MakeCohort) -> None:
    cohort = make_cohort({"a": ("t1",)})
    path = cohort.path(cohort.subjects[0], "t1")
    volume = read_volume(path)
    data = volume.data.copy()
    data[2:10, 2:8, 3] = 80
    write_volume(path, Volume(data, volume.grid))
    cache = build(cohort, CacheSettings(image_size=(12, 10), intensity=IntensityRule(scope="slice")))
    assert (cache.read([0], [2], context=0).images == -1).all()


def test_harmonized_white_matter_lies_at_the_constant(make_cohort: MakeCohort, tissue_map: np.ndarray) -> None:
    cohort = make_cohort({"a": ("t1", "us")}, extras={"tissue": tissue_map}, medians={"t1": 0.6})
    cache = build(cohort, CacheSettings(image_size=(12, 10), targets="harmonized"))
    batch = cache.read([0] * 6, range(6), context=0)
    white = torch.from_numpy(np.isin(tissue_map, (2, 41)).transpose(2, 0, 1)[1:7])
    # An even count of voxels: the median of torch is the lower one, NumPy's the mean of two.
    assert np.median(batch.targets[:, 0][white].numpy()) == pytest.approx(2 * 0.6 - 1, abs=1e-5)
    assert batch.targets[:, 0][batch.foreground[:, 0]].min() == pytest.approx(-1.0, abs=1e-6)
    torch.testing.assert_close(batch.targets[:, 1], batch.images[:, 1, 0])
    assert cache.harmonized_medians == (0.6, None)


def test_harmonized_range_is_the_one_of_the_volumes_room(make_cohort: MakeCohort, tissue_map: np.ndarray) -> None:
    cohort = make_cohort({"a": ("t1",)}, extras={"tissue": tissue_map}, medians={"t1": 0.6})
    cache = build(cohort, CacheSettings(image_size=(12, 10), targets="harmonized"))
    data = read_volume(cohort.path(cohort.subjects[0], "t1")).data
    labels = read_labels(cohort.path(cohort.subjects[0], "tissue")).data
    median = float(np.median(data[np.isin(labels, (2, 41))]))
    assert cache.target_range(0, 0) == anchored_range(float(data[data > 0].min()), median, 0.6)


def test_constants_are_measured_on_training_subjects_alone(make_cohort: MakeCohort, tissue_map: np.ndarray) -> None:
    cohort = make_cohort({"a": ("t1",), "b": ("t1",), "c": ("t1",)}, {"c": "validation"}, extras={"tissue": tissue_map})
    cache = build(cohort, CacheSettings(image_size=(12, 10), targets="harmonized"))
    shares = [record.white_matter[0].share for record in cache.records if record.white_matter[0]]
    assert cache.harmonized_medians[0] == pytest.approx((shares[0] + shares[1]) / 2)


def test_harmonized_targets_without_white_matter_are_refused(make_cohort: MakeCohort) -> None:
    harmonized = CacheSettings(image_size=(12, 10), targets="harmonized")
    with pytest.raises(
        CohortError,
        match=r"no tissue map in subject 'a'.*--white-matter auto' makes one.*, or choose targets: percentile",
    ):
        build(make_cohort({"a": ("t1",)}), harmonized)
    grey = np.full((12, 10, 8), 3, dtype=np.int16)
    with pytest.raises(CohortError, match="no white matter in subject 'a'"):
        build(make_cohort({"a": ("t1",)}, extras={"tissue": grey}, folder="grey"), harmonized)


@pytest.mark.parametrize("lowest", [0.0, 5.0])
def test_an_anchored_core_lies_at_the_constant_in_inputs_and_targets(make_cohort: MakeCohort, lowest: float) -> None:
    cohort = make_cohort({"a": ("t1", "us"), "b": ("t1",)}, medians={"t1": 0.4})
    rule = IntensityRule(anchor="core", lower_percentile=lowest)
    cache = build(cohort, CacheSettings(image_size=(12, 10), intensity=rule))
    for subject in (0, 1):
        volume = read_volume(cohort.path(cohort.subjects[subject], "t1"))
        foreground = foreground_of(volume.data)
        median = core_median(volume.data, foreground, volume.spacing_mm)
        expected = anchored_range(float(np.percentile(volume.data[foreground], lowest)), median, 0.4, FLOOR)
        batch = cache.read([subject] * 6, range(6), context=0)
        scaled = scale(volume.data, expected, foreground).transpose(2, 0, 1)[1:7]
        np.testing.assert_allclose(batch.images[:, 0, 0].numpy(), scaled, atol=1e-6)
        torch.testing.assert_close(batch.targets, batch.images[:, :, 0])
    plain = build(
        make_cohort({"a": ("t1", "us")}, folder="plain"),
        CacheSettings(image_size=(12, 10), intensity=IntensityRule(lower_percentile=lowest)),
    )
    assert cache.input_range(0, 1) == plain.input_range(0, 1)  # ultrasound keeps the percentile
    assert cache.harmonized_medians == (0.4, None)


def test_the_core_s_constant_is_measured_on_training_subjects(make_cohort: MakeCohort) -> None:
    cohort = make_cohort({"a": ("t1",), "b": ("t1",), "c": ("t1",)}, {"c": "validation"})
    cache = build(cohort, CacheSettings(image_size=(12, 10), intensity=IntensityRule(anchor="core")))
    shares = [record.scales[0].core.share for record in cache.records]
    assert cache.harmonized_medians[0] == pytest.approx((shares[0] + shares[1]) / 2)
    assert open_cache(cache.folder).input_range(2, 0) == cache.input_range(2, 0)


def test_another_constant_is_another_cache(make_cohort: MakeCohort) -> None:
    chosen = CacheSettings(image_size=(12, 10), intensity=IntensityRule(anchor="core"))
    cohort = make_cohort({"a": ("t1",)}, medians={"t1": 0.4})
    cache = build(cohort, chosen)
    check_same_slices(cohort, cohort.subjects, chosen, cache.folder)
    moved = replace(cohort, modalities=tuple(replace(each, harmonized_median=0.5) for each in cohort.modalities))
    with pytest.raises(CohortError, match="harmonized_median"):
        check_same_slices(moved, cohort.subjects, chosen, cache.folder)


def test_tissue_maps_and_cores_can_scale_targets_and_inputs(make_cohort: MakeCohort, tissue_map: np.ndarray) -> None:
    cohort = make_cohort({"a": ("t1",)}, extras={"tissue": tissue_map})
    rule = IntensityRule(anchor="core")
    cache = build(cohort, CacheSettings(image_size=(12, 10), intensity=rule, targets="harmonized"))
    record, inputs, targets = cache.records[0], cache.input_range(0, 0), cache.target_range(0, 0)
    assert record.scales[0].core and record.white_matter[0] and inputs and targets
    assert cache.harmonized_medians[0] == record.white_matter[0].share
    for anchor, found in ((record.scales[0].core, inputs), (record.white_matter[0], targets)):
        assert (anchor.median - found.low) / (found.high - found.low) == pytest.approx(cache.harmonized_medians[0])


def test_typical_ranges_are_medians_over_subjects(make_cohort: MakeCohort) -> None:
    cache = build(make_cohort({"a": ("t1",), "b": ("t1", "t2"), "c": ("t1",)}))
    highs = sorted(record.scales[0].range[1] for record in cache.records)
    assert cache.typical_ranges()["t1"].high == highs[1]
    assert set(cache.typical_ranges([0])) == {"t1"}


def test_reopened_cache_reads_the_same(make_cohort: MakeCohort) -> None:
    cache = build(make_cohort({"a": ("t1", "t2"), "b": ("t2",)}, {"b": "validation"}))
    expected = cache.read([0, 1], [3, 4], context=1)
    for other in (open_cache(cache.folder), pickle.loads(pickle.dumps(cache))):  # noqa: S301
        assert other == cache
        assert torch.equal(other.read([0, 1], [3, 4], context=1).images, expected.images)
    assert open_cache(cache.folder).of_split("validation") == (1,)


def test_unchanged_subjects_are_not_sliced_again(make_cohort: MakeCohort) -> None:
    cohort = make_cohort({"a": ("t1",), "b": ("t1",)})
    cache = build(cohort)
    before = [(cache.folder / name / "images.npy").stat().st_mtime_ns for name in "ab"]
    path = cohort.path(cohort.subjects[1], "t1")
    volume = read_volume(path)
    write_volume(path, Volume(volume.data + (volume.data > 0), volume.grid))
    again = build(cohort)
    after = [(cache.folder / name / "images.npy").stat().st_mtime_ns for name in "ab"]
    assert before[0] == after[0]
    assert before[1] < after[1]
    assert again.fingerprint != cache.fingerprint
    assert build(cohort, CacheSettings(image_size=(12, 12))).read([0], [1], context=0).images.shape[-1] == 12


def test_a_modality_of_another_group_is_sliced_again(make_cohort: MakeCohort) -> None:
    cohort, rule = (
        make_cohort({"a": ("t1",)}),
        CacheSettings(image_size=(12, 10), intensity=IntensityRule(anchor="core")),
    )
    before = build(cohort, rule)
    other = replace(cohort, modalities=(replace(cohort.modalities[0], group="us"),))
    with pytest.raises(CohortError, match="groups differ"):
        check_same_slices(other, other.subjects, rule, before.folder)
    scales = [cache.records[0].scales[0] for cache in (before, build(other, rule))]
    assert [scale is not None and scale.core is not None for scale in scales] == [True, False]


def test_broken_record_is_made_again(make_cohort: MakeCohort) -> None:
    cohort = make_cohort({"a": ("t1",)})
    cache = build(cohort)
    (cache.folder / "a" / "subject.json").write_text("{")
    assert build(cohort) == cache


def test_what_a_killed_build_left_is_removed(make_cohort: MakeCohort, tmp_path: Path) -> None:
    with subprocess.Popen([sys.executable, "-c", ""]) as ended:
        pass
    (tmp_path / f"cache/.writing-{ended.pid}@{machine()}@x").mkdir(parents=True)
    build(make_cohort({"a": ("t1",)}))
    assert not list((tmp_path / "cache").glob(".*"))


def test_one_bad_subject_fails_the_build_after_the_others(make_cohort: MakeCohort) -> None:
    cohort = make_cohort({"a": ("t1",), "b": ("t1",)})
    path = cohort.path(cohort.subjects[0], "t1")
    path.write_bytes(path.read_bytes()[:200])
    with pytest.raises(VolumeError):
        build(cohort)
    assert (cohort.root.parent / "cache" / "b" / "subject.json").is_file()
    assert not (cohort.root.parent / "cache" / "index.json").exists()
    assert not list((cohort.root.parent / "cache").glob(".*"))


def test_images_on_different_grids_are_refused(make_cohort: MakeCohort) -> None:
    cohort = make_cohort({"a": ("t1", "t2")})
    path = cohort.path(cohort.subjects[0], "t2")
    volume = read_volume(path)
    write_volume(path, Volume(volume.data, Grid(volume.shape, np.diag([1.0, 1.0, 3.0, 1.0]))))
    with pytest.raises(GridError, match=r"subject 'a': t1 has .* t2 .*has .*--resample-to t1"):
        build(cohort)


def test_empty_mask_is_refused(make_cohort: MakeCohort) -> None:
    with pytest.raises(VolumeError, match=r"empty mask in .*mask\.nii\.gz"):
        build(make_cohort({"a": ("t1",)}, extras={"mask": np.zeros((12, 10, 8), dtype=np.int16)}))


def test_cache_that_is_none_or_incomplete_is_refused(make_cohort: MakeCohort, tmp_path: Path) -> None:
    with pytest.raises(CohortError, match="no such file"):
        open_cache(tmp_path)
    cohort = make_cohort({"a": ("t1",)})
    cache = build(cohort)
    (cache.folder / "a" / "foreground.npy").unlink()
    with pytest.raises(CohortError, match="missing file"):
        open_cache(cache.folder)
    index = json.loads((cache.folder / "index.json").read_text())
    (cache.folder / "index.json").write_text(json.dumps({**index, "modalites": []}))
    with pytest.raises(AnymodError, match="unknown key"):
        open_cache(cache.folder)
    with pytest.raises(CohortError, match="no subjects"):
        build_cache(cohort, [], SETTINGS, tmp_path / "none")


def test_slices_of_an_earlier_rule_are_made_again_or_left_alone(
    make_cohort: MakeCohort, monkeypatch: pytest.MonkeyPatch
) -> None:
    cohort = make_cohort({"a": ("t1",)})
    cache = build(cohort)
    monkeypatch.setattr("anymod.slices.building.RULE", 99)
    with pytest.raises(CohortError, match="slices of another version"):
        check_same_slices(cohort, cohort.subjects, SETTINGS, cache.folder)
    monkeypatch.setattr("anymod.slices.slicing.RULE", 99)
    assert build(cohort).fingerprint != cache.fingerprint


@pytest.mark.slow
def test_two_workers_build_what_one_builds(make_cohort: MakeCohort) -> None:
    cohort = make_cohort({"a": ("t1",), "b": ("t1",)})
    one = build(cohort)
    two = build_cache(cohort, cohort.subjects, SETTINGS, cohort.root.parent / "other", workers=2)
    assert (two.records, two.fingerprint) == (one.records, one.fingerprint)


def test_the_same_cohort_fits_its_cache_and_a_folder_without_one(make_cohort: MakeCohort, tmp_path: Path) -> None:
    cohort = make_cohort({"a": ("t1",), "b": ("t1",)})
    check_same_slices(cohort, cohort.subjects, SETTINGS, tmp_path / "none")
    cache = build(cohort)
    before = (cache.folder / "index.json").read_text()
    check_same_slices(cohort, cohort.subjects, SETTINGS, cache.folder)
    assert (cache.folder / "index.json").read_text() == before


@pytest.mark.parametrize(
    ("other", "message"),
    [
        ({"observed": {"a": ("t1",), "b": ("t1", "t2")}}, "modalities differ"),
        ({"observed": {"a": ("t1",)}}, "subjects differ"),
        ({"observed": {"a": ("t1",), "b": ("t1",)}, "splits": {"b": "validation"}}, "splits differ"),
        (
            {"observed": {"a": ("t1",), "b": ("t1",)}, "extras": {"mask": np.ones((12, 10, 8), np.int16)}},
            "files, settings or groups differ",
        ),
    ],
)
def test_another_cohort_does_not_fit(make_cohort: MakeCohort, other: dict[str, Any], message: str) -> None:
    cache = build(make_cohort({"a": ("t1",), "b": ("t1",)}))
    cohort = make_cohort(**other, folder="other")
    with pytest.raises(CohortError, match=message):
        check_same_slices(cohort, cohort.subjects, SETTINGS, cache.folder)


def open_files() -> int:
    return len(list(Path("/dev/fd").iterdir()))


@pytest.mark.skipif(not Path("/dev/fd").is_dir(), reason="this system does not list open files")
def test_reading_holds_no_file_open(make_cohort: MakeCohort) -> None:
    cache = build(make_cohort({name: ("t1",) for name in "abcd"}))
    every = [0, 1, 2, 3, 0, 3, 1]
    before = open_files()
    together = cache.read(every, [3] * len(every), context=0).images
    assert open_files() == before
    for row, subject in enumerate(every):
        assert torch.equal(cache.read([subject], [3], context=0).images[0], together[row])


def test_a_file_that_ends_too_early_is_told(make_cohort: MakeCohort) -> None:
    cache = build(make_cohort({"a": ("t1",)}))
    file = cache.folder / "a/images.npy"
    file.write_bytes(file.read_bytes()[:-4])
    cache.read([0], [0], context=0)
    with pytest.raises(CohortError, match=r"a/images\.npy: it ends too early"):
        cache.read([0], [cache.slice_count(0) - 1], context=0)

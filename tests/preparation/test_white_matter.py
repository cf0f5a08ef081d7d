"""White matter of subjects without a tissue map: estimated close to the truth in simulated heads, refused in doubt, or by SynthSeg."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace
from functools import lru_cache
from pathlib import Path

import numpy as np
import pytest

from anymod.cohorts import read_cohort
from anymod.errors import MissingExtraError, VolumeError
from anymod.preparation import FoundSubject, PreparationOptions, find_subjects, pipeline, prepare_cohort
from anymod.preparation.white_matter import LEFT, RIGHT, estimate_white_matter, tissue_map
from anymod.simulation import SimulatedSubject, SimulationSettings, simulate_subject
from anymod.slices import CacheSettings, build_cache
from anymod.volumes import Grid, Volume, foreground_of, orient, read_labels, write_volume

WHITE = (LEFT, RIGHT)


@lru_cache(maxsize=4)
def simulated(index: int = 0) -> SimulatedSubject:
    settings = SimulationSettings(modalities=("t1", "t2", "flair"), missing=0.0, tumours=1.0)
    return simulate_subject(77, index, settings)


@lru_cache(maxsize=1)
def estimated() -> Volume:
    t1 = simulated().images["t1"]
    return estimate_white_matter(t1, foreground_of(t1.data))


@pytest.fixture
def rough(monkeypatch: pytest.MonkeyPatch) -> None:
    """Fit the receive field roughly, for tests of anything else: the fit takes nearly all the time."""
    monkeypatch.setattr("anymod.preparation.white_matter.ITERATIONS", (1, 1, 1))


def error_of(found: Volume, truth: Volume, image: Volume) -> float:
    """Return the relative error of an image's median in estimated white matter."""
    medians = [float(np.median(image.data[np.isin(labels.data, WHITE)])) for labels in (found, truth)]
    return abs(medians[0] / medians[1] - 1)


@pytest.mark.slow
def test_the_median_is_that_of_true_white_matter_in_every_contrast() -> None:
    subject = simulated()
    for name, image in subject.images.items():
        # At 2 mm the map's white matter contains some of its border, which the estimate leaves out; it is brighter in T2.
        assert error_of(estimated(), subject.tissue, image) < {"t1": 0.04, "t2": 0.08, "flair": 0.04}[name]


@pytest.mark.slow
def test_a_strong_receive_field_is_removed(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("anymod.preparation.white_matter.ITERATIONS", (5, 5, 5))  # enough for a ramp
    subject = simulated()
    t1 = subject.images["t1"]
    foreground = foreground_of(t1.data)
    ramp = np.exp(np.linspace(-0.5, 0.5, t1.shape[1]))[None, :, None]
    shaded = replace(t1, data=np.where(foreground, t1.data * ramp, 0).astype(np.float32))
    found, truth = (
        np.isin(labels.data, WHITE) for labels in (estimate_white_matter(shaded, foreground), subject.tissue)
    )
    overlap = 2 * (found & truth).sum() / (found.sum() + truth.sum())
    assert (found & truth).sum() / found.sum() > 0.9  # hardly anything else
    assert overlap > 0.4  # its border is left out on purpose
    front, back = (part[:, half].sum() for part in (found,) for half in (slice(60, None), slice(None, 60)))
    assert min(front, back) > 0.25 * max(front, back)


@pytest.mark.slow
@pytest.mark.usefixtures("rough")
def test_right_is_the_patients_right_in_any_orientation() -> None:
    t1 = orient(simulated().images["t1"], "PIL")
    for labels in (estimated(), estimate_white_matter(t1, foreground_of(t1.data))):
        columns = [np.flatnonzero((orient(labels, "RAS").data == side).any(axis=(1, 2))) for side in WHITE]
        assert columns[0].max() < columns[1].min()  # RAS: the first axis runs to the right


@pytest.mark.slow
@pytest.mark.usefixtures("rough")
def test_implausible_estimates_are_refused() -> None:
    settings = SimulationSettings(modalities=("t1",), missing=0.0, whole_head=True, spacing_mm=8.0)
    whole = simulate_subject(77, 0, settings).images["t1"]
    with pytest.raises(VolumeError, match="skull-stripped brain"):
        estimate_white_matter(whole, foreground_of(whole.data))
    t1 = simulated().images["t1"]
    foreground = foreground_of(t1.data)
    sparse = np.where(foreground, 100 + 900 * np.random.default_rng(0).random(t1.shape) ** 6, 0)
    flat = np.where(foreground, 100, 0)
    for data, why in ((sparse, "brightest class"), (flat, "not form three classes")):
        with pytest.raises(VolumeError, match=why):
            estimate_white_matter(replace(t1, data=data.astype(np.float32)), foreground)


def test_a_foreground_without_an_inside_is_refused() -> None:
    t1 = simulated().images["t1"]
    porous = foreground_of(t1.data) & (np.indices(t1.shape).sum(0) % 2 == 0)
    with pytest.raises(VolumeError, match="too thin to have an inside"):
        estimate_white_matter(t1, porous)


@pytest.mark.slow
@pytest.mark.usefixtures("rough")
def test_white_matter_is_found_before_images_are_cut_to_a_small_grid(tmp_path: Path) -> None:
    """Ultrasound shows a corner of the brain, where T1 alone would not give a plausible estimate."""
    t1 = simulated().images["t1"]
    box = tuple(slice(size // 3, size // 2) for size in t1.shape)
    affine = t1.affine.copy()
    affine[:3, 3] = t1.affine[:3, :3] @ np.array([part.start for part in box]) + t1.affine[:3, 3]
    small = Volume(t1.data[box], Grid(t1.data[box].shape, affine))
    write_volume(tmp_path / "raw/p0/us.nii.gz", small)
    write_volume(tmp_path / "raw/p0/t1.nii.gz", t1)
    found = find_subjects(tmp_path / "raw", {"us": "**/us.nii.gz", "t1": "**/t1.nii.gz"})
    chosen = PreparationOptions(("us", "t1"), resample_to="us", white_matter="estimate", strict=True)
    prepare_cohort(found, chosen, tmp_path / "cohort", {})
    tissue = read_labels(tmp_path / "cohort/subjects/p0/tissue.nii.gz")
    assert tissue.grid.same_as(small.grid)
    assert (tissue.data == estimated().data[box]).mean() > 0.95
    assert tissue.data.any()


@pytest.mark.slow
@pytest.mark.usefixtures("rough")
def test_auto_is_one_method_for_all_subjects(
    tmp_path: Path, program: Callable[[str], None], monkeypatch: pytest.MonkeyPatch
) -> None:
    """An interrupted preparation starts again if SynthSeg has been installed since, because it is another request."""
    found = archive(tmp_path / "raw", ("t1",))
    with monkeypatch.context() as patch:
        patch.setattr(pipeline, "write_cohort", lambda *_: 1 / 0)
        with pytest.raises(ZeroDivisionError):
            prepare_cohort(found, options(white_matter="auto"), tmp_path / "cohort", {})
    write_volume(tmp_path / "truth.nii.gz", simulated().tissue)
    program(f'cp {tmp_path}/truth.nii.gz "$4"')
    prepare_cohort(found, options(white_matter="auto"), tmp_path / "cohort", {}, overwrite=True)
    lines = (tmp_path / "cohort/sources.csv").read_text().splitlines()
    assert {line.split(",")[2] for line in lines if ",tissue," in line} == {"mri_synthseg"}


def test_without_t1_there_is_no_estimate() -> None:
    with pytest.raises(VolumeError, match="it has t2, and no t1"):
        tissue_map({"t2": simulated().images["t2"]}, "estimate")


@pytest.fixture
def program(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Callable[[str], None]:
    """Return a function that puts an `mri_synthseg` of these lines of shell on the search path."""

    def put(lines: str) -> None:
        file = tmp_path / "bin/mri_synthseg"
        file.parent.mkdir(exist_ok=True)
        file.write_text(f"#!/bin/sh\n{lines}\n")
        file.chmod(0o755)
        monkeypatch.setenv("PATH", str(file.parent), prepend=":")

    return put


def test_synthseg_is_called_and_its_labels_are_put_on_the_grid(tmp_path: Path, program: Callable[[str], None]) -> None:
    truth = simulated().tissue
    write_volume(tmp_path / "truth.nii.gz", orient(truth, "LPS"))
    program(f'echo "$@" > {tmp_path}/call; cp {tmp_path}/truth.nii.gz "$4"')
    found, maker = tissue_map({"us": simulated().images["t1"], "t2": simulated().images["t2"]}, "auto")
    assert maker == "mri_synthseg"
    np.testing.assert_array_equal(found.data, truth.data)
    assert (tmp_path / "call").read_text().split()[::2] == ["--i", "--o", "--cpu", "1"]


@pytest.mark.parametrize(("lines", "why"), [("echo no licence >&2; exit 3", "status 3 (no licence)"), ("", "status 0")])
def test_a_synthseg_that_fails_is_one_line(program: Callable[[str], None], lines: str, why: str) -> None:
    program(lines)
    with pytest.raises(VolumeError) as caught:
        tissue_map({"t1": simulated().images["t1"]}, "synthseg")
    assert why in str(caught.value)


def archive(root: Path, *observed: tuple[str, ...]) -> tuple[FoundSubject, ...]:
    """Write a subject p0, p1, ... for each tuple of modalities, and return the subjects."""
    for index, names in enumerate(observed):
        for name in names:
            write_volume(root / f"p{index}" / f"{name}.nii.gz", simulated(index).images[name])
    return find_subjects(root, {name: f"**/{name}.nii.gz" for name in sorted(set().union(*observed))})


def options(**changes: object) -> PreparationOptions:
    return PreparationOptions(("t1", "t2"), **changes)  # type: ignore[arg-type]


@pytest.mark.slow
@pytest.mark.usefixtures("rough")
def test_a_cohort_without_maps_can_be_harmonized(tmp_path: Path, caplog: pytest.LogCaptureFixture) -> None:
    found = archive(tmp_path / "raw", ("t1", "t2"), ("t2",))
    prepare_cohort(found, options(white_matter="estimate"), tmp_path / "cohort", {})
    assert "subject p1: no white matter" in caplog.text
    cohort = read_cohort(tmp_path / "cohort")
    assert [subject.tissue is not None for subject in cohort.subjects] == [True, False]
    assert "white matter estimated from t1" in (tmp_path / "cohort/sources.csv").read_text()
    assert set(np.unique(read_labels(tmp_path / "cohort/subjects/p0/tissue.nii.gz").data)) == {0, *WHITE}
    settings = CacheSettings(spacing_mm=4.0, image_size=(48, 56), targets="harmonized")
    cache = build_cache(cohort, cohort.subjects[:1], settings, tmp_path / "cache")
    assert all(median is not None for median in cache.harmonized_medians)


def test_strict_refuses_a_subject_without_white_matter(tmp_path: Path) -> None:
    found = archive(tmp_path / "raw", ("t2",))
    with pytest.raises(VolumeError, match="no white matter"):
        prepare_cohort(found, options(white_matter="estimate", strict=True), tmp_path / "cohort", {})
    assert not (tmp_path / "cohort").exists()


def test_missing_synthseg_is_an_error_before_anything_is_written(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("PATH", str(tmp_path))
    found = archive(tmp_path / "raw", ("t1",))
    with pytest.raises(MissingExtraError, match="mri_synthseg"):
        prepare_cohort(found, options(white_matter="synthseg"), tmp_path / "cohort", {})
    assert list(tmp_path.iterdir()) == [tmp_path / "raw"]

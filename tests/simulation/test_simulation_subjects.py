"""One simulated subject: what it holds, that it repeats, that its images agree with its truth."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest

from anymod.errors import AnymodError, ModalityError, VolumeError
from anymod.simulation import SimulatedSubject, SimulationSettings, simulate_subject
from anymod.simulation.anatomy import ProceduralAnatomy
from anymod.simulation.label_anatomy import LabelAnatomy
from anymod.simulation.mr import resolved
from anymod.simulation.patients import grid_axes
from anymod.simulation.tissues import Tissue
from anymod.volumes import Grid, Volume, write_volume

COARSE = SimulationSettings(spacing_mm=4.0, tumours=1.0, modalities=("t1", "cet1", "t2", "flair", "pd"))


@pytest.fixture(scope="module")
def subject() -> SimulatedSubject:
    return simulate_subject(0, 0, COARSE)


def median(subject: SimulatedSubject, modality: str, where: np.ndarray) -> float:
    return float(np.median(subject.images[modality].data[where]))


def test_images_share_one_grid_of_the_asked_spacing(subject: SimulatedSubject) -> None:
    assert set(subject.images) == {"t1", "cet1", "t2", "flair", "pd"}
    for volume in (*subject.images.values(), subject.label, subject.tissue):
        assert volume.grid.same_as(subject.tissue.grid)
        assert volume.spacing_mm == (4.0, 4.0, 4.0)
        assert volume.data.dtype == np.int16


def test_background_is_exactly_0_and_the_brain_above_it(subject: SimulatedSubject) -> None:
    brain = subject.tissue.data > 0
    for volume in subject.images.values():
        assert (volume.data[brain] > 0).all()
        assert ((volume.data == 0) | brain | (volume.data > 0)).all()
        foreground = volume.data > 0
        assert np.array_equal(foreground, subject.images["t1"].data > 0)
        assert not foreground[[0, -1]].any()


def test_tumour_labels_lie_on_lesion_tissue(subject: SimulatedSubject) -> None:
    label, tissue = subject.label.data, subject.tissue.data
    assert set(np.unique(label)) <= {0, 1, 2, 4}
    assert (label > 0).any()
    assert np.array_equal(label > 0, np.isin(tissue, (25, 57)))


def test_images_show_the_tissues_in_their_order(subject: SimulatedSubject) -> None:
    tissue = subject.tissue.data
    white, grey, fluid = (np.isin(tissue, values) for values in ((2, 41), (3, 42), (24,)))
    assert median(subject, "t1", white) > median(subject, "t1", grey) > median(subject, "t1", fluid)
    assert median(subject, "t2", fluid) > median(subject, "t2", grey) > median(subject, "t2", white)
    assert median(subject, "flair", fluid) < median(subject, "flair", white)


def test_the_same_seed_and_index_repeat_the_subject(subject: SimulatedSubject) -> None:
    again = simulate_subject(0, 0, COARSE)
    for modality, volume in subject.images.items():
        assert np.array_equal(volume.data, again.images[modality].data)
    assert again.protocol == subject.protocol


def test_another_index_is_another_subject(subject: SimulatedSubject) -> None:
    other = simulate_subject(0, 1, COARSE)
    assert (other.tissue.data != subject.tissue.data).mean() > 0.02


def test_leaving_modalities_out_changes_no_other_image(subject: SimulatedSubject) -> None:
    alone = simulate_subject(0, 0, COARSE.model_copy(update={"modalities": ("flair",)}))
    assert np.array_equal(alone.images["flair"].data, subject.images["flair"].data)


def test_a_rate_of_0_leaves_no_tumour() -> None:
    healthy = simulate_subject(0, 0, COARSE.model_copy(update={"tumours": 0.0}))
    assert healthy.tumour is None
    assert not healthy.label.data.any()


def test_whole_head_keeps_the_scalp_and_noise_in_air() -> None:
    head = simulate_subject(0, 2, SimulationSettings(spacing_mm=6.0, whole_head=True, tumours=0.0, modalities=("t1",)))
    assert {165, 258} <= set(np.unique(head.tissue.data))
    air = head.images["t1"].data[head.tissue.data == 0]
    assert (air > 0).all()
    assert air.std() > 0


def test_fractions_sum_to_one_and_make_a_plausible_brain() -> None:
    axes = grid_axes(COARSE)
    fractions = ProceduralAnatomy(3, 0).fractions(axes, 4.0)
    assert np.allclose(fractions.sum(axis=0), 1.0, atol=1e-5)
    assert fractions.min() > -1e-6
    litres = {tissue: float(fractions[tissue].sum()) * 64e-6 for tissue in Tissue}
    assert 0.4 < litres[Tissue.GREY] < 0.95
    assert 0.25 < litres[Tissue.WHITE] < 0.75
    assert 0.015 < litres[Tissue.DEEP_GREY] < 0.06


def test_unknown_modality_is_answered_with_the_nearest() -> None:
    with pytest.raises(ModalityError, match="did you mean 'flair'"):
        SimulationSettings(modalities=("fleir",))


@pytest.mark.parametrize("values", [{"spacing_mm": -1.0}, {"missing": 1.0}, {"tumours": 1.5}, {"colour": 1}])
def test_bad_settings_are_refused(values: dict[str, float]) -> None:
    with pytest.raises(ValueError, match=next(iter(values))):
        SimulationSettings.model_validate(values)


def label_map(folder: Path, values: np.ndarray) -> Path:
    affine = np.diag([4.0, 4.0, 4.0, 1.0])
    write_volume(folder / "head.nii.gz", Volume(values.astype(np.int16), Grid(values.shape, affine)))
    return folder


def test_a_label_map_gives_its_tissues(tmp_path: Path) -> None:
    values = np.zeros((36, 44, 36), np.int16)
    values[4:32, 4:40, 4:32] = 24
    values[5:18, 5:39, 5:31], values[18:31, 5:39, 5:31] = 3, 42
    values[8:17, 8:36, 8:28], values[19:28, 8:36, 8:28] = 2, 41
    settings = SimulationSettings(spacing_mm=5.0, anatomy=label_map(tmp_path, values), tumours=0.0)
    subject = simulate_subject(0, 0, settings)
    assert {2, 3, 24, 41, 42} <= set(np.unique(subject.tissue.data))
    white = np.isin(subject.tissue.data, (2, 41))
    assert median(subject, "t1", white) > median(subject, "t1", np.isin(subject.tissue.data, (3, 42)))


def test_an_empty_label_map_is_an_error(tmp_path: Path) -> None:
    settings = SimulationSettings(spacing_mm=5.0, anatomy=label_map(tmp_path, np.zeros((8, 8, 8))))
    with pytest.raises(AnymodError):
        simulate_subject(0, 0, settings)


def test_a_folder_without_label_maps_is_an_error(tmp_path: Path) -> None:
    with pytest.raises(VolumeError, match="no label map"):
        simulate_subject(0, 0, SimulationSettings(anatomy=tmp_path))


@pytest.mark.slow
def test_real_label_maps_become_brains(shared: Path) -> None:
    settings = SimulationSettings(spacing_mm=4.0, anatomy=shared / "data" / "anatomy-labels", tumours=1.0)
    subject = simulate_subject(0, 0, settings)
    litres = np.isin(subject.tissue.data, (2, 41, 3, 42)).sum() * 64e-6
    assert 0.6 < litres < 1.6
    assert subject.label.data.any()


def test_the_falx_stands_between_the_hemispheres_and_spares_the_callosum() -> None:
    axes = (np.arange(-12.0, 13.0), np.arange(-100.0, 70.0, 2.0), np.arange(-20.0, 90.0, 2.0))
    fractions = ProceduralAnatomy(3, 0).fractions(axes, 1.0)
    sheet = fractions[Tissue.DURA]
    above = sheet[:, (axes[1] > -60) & (axes[1] < 30)][:, :, axes[2] > 55]
    assert above.max() > 0.6 and np.median(above.sum(axis=0).max(axis=1)) > 0.6
    thickness = sheet.sum(axis=0)
    assert 0.8 < np.percentile(thickness[thickness > 0.5], 50) < 2.0  # mm
    joined = fractions[Tissue.WHITE, 12] > 0.9  # the callosum, at the midline
    assert joined.sum() > 50 and sheet[12][joined].max() < 0.05


@pytest.mark.parametrize("gap", [2, 3, 4])
def test_label_maps_get_a_falx_between_their_hemispheres(tmp_path: Path, gap: int) -> None:
    values = np.zeros((40, 40, 40), np.int16)
    values[4:18, 5:35, 5:35], values[18 + gap : 36, 5:35, 5:35] = 2, 41
    values[18 : 18 + gap, 5:35, 5:35] = 24
    values[18 : 18 + gap, 5:35, 5:10] = 14  # the third ventricle has none
    write_volume(tmp_path / "head.nii.gz", Volume(values, Grid(values.shape, np.eye(4))))
    anatomy = LabelAnatomy(tmp_path / "head.nii.gz", 0, 0)
    axes = tuple(np.arange(-30.0, 30.0) + middle for middle in (0.0, -18.0, 12.0))
    dura = anatomy.fractions(axes, 1.0)[Tissue.DURA]
    assert 500 < dura.sum() < 1100  # 30 by 25 voxels, one thick, moved and scaled


def test_images_are_as_fine_as_their_point_spread_function() -> None:
    signal = np.zeros((41, 41, 41), np.float32)
    signal[20, 20, 20] = 1
    seen = resolved(signal, (3.0, 3.0, 5.0), 1.0)
    half = seen[20, 20, 20] / 2
    widths = [
        np.interp(half, line[20:31][::-1], np.arange(10, -1, -1.0)) * 2 for line in (seen[:, 20, 20], seen[20, 20])
    ]
    # Beyond the voxel's own millimetre: sqrt(9 - 1) and sqrt(25 - 1).
    np.testing.assert_allclose(widths, [8**0.5, 24**0.5], rtol=0.06)

"""Scores of one volume: chunks change nothing, and each score has its known value."""

from __future__ import annotations

import math

import numpy as np
import pytest
import torch
from torch.nn.functional import pad

from anymod.core.fidelity import ms_ssim, psnr, ssim
from anymod.evaluation.tally import Tally


def stack(seed: int) -> torch.Tensor:
    return torch.rand(6, 24, 24, generator=torch.Generator().manual_seed(seed)) * 2 - 1


def test_a_volume_in_chunks_scores_as_a_whole() -> None:
    inside = stack(2) > 0
    inside[4] = False
    truth, prediction = (torch.where(inside, stack(seed), -1.0) for seed in (0, 1))
    tally = Tally()
    for part in (slice(0, 1), slice(1, 5), slice(5, 6)):
        tally.add(prediction[part], truth[part], inside[part])
    values = tally.values()
    error = (prediction - truth)[inside]
    assert values["psnr_db"] == pytest.approx(psnr(float(error.square().mean())))
    assert values["mae"] == pytest.approx(float(error.abs().mean()))
    wide = [pad(each, (20,) * 4, value=value) for each, value in ((prediction, -1), (truth, -1), (inside, False))]
    assert values["ssim"] == pytest.approx(ssim(*wide), rel=1e-5)
    assert values["ms_ssim"] == pytest.approx(ms_ssim(*wide, scales=3), rel=1e-5)
    assert values["slices"] == 5


def test_background_around_the_slices_changes_no_score() -> None:
    """So models whose slices have other sizes have the same scales of MS-SSIM and the same border."""
    inside = stack(2) > 0
    values = []
    for margin in (0, 4, 24):
        tally, around = Tally(), (margin,) * 4
        tally.add(pad(stack(0), around), pad(stack(1), around), pad(inside, around))
        values.append(tally.values())
    for name in ("psnr_db", "ssim", "ms_ssim", "mae", "lpips", "haarpsi", "gmsd", "through_plane"):
        assert values[1][name] == pytest.approx(values[0][name], rel=1e-5)
        assert values[2][name] == pytest.approx(values[0][name], rel=1e-5)


def test_what_lies_outside_never_counts() -> None:
    inside = torch.zeros(6, 24, 24, dtype=torch.bool)
    inside[:, 6:18, 6:18] = True
    values = []
    for outside in (-1.0, 0.7):
        tally = Tally()
        tally.add(torch.where(inside, stack(0), outside), stack(1), inside)
        values.append(tally.values())
    assert values[0] == values[1]


def test_structure_is_what_the_best_affine_map_leaves() -> None:
    prediction, truth, inside = stack(0), stack(1) + 0.5 * stack(0), stack(2) > 0
    tally = Tally()
    for part in (slice(0, 2), slice(2, 6)):
        tally.add(prediction[part], truth[part], inside[part])
    gain, offset = np.polyfit(prediction[inside].double(), truth[inside].double(), 1)
    left = float((gain * prediction + offset - truth)[inside].double().square().mean())
    assert tally.values()["structure_psnr_db"] == pytest.approx(psnr(left))
    assert tally.values()["structure_psnr_db"] > tally.values()["psnr_db"]


def test_an_error_of_scale_leaves_the_structure_perfect() -> None:
    inside = torch.ones(6, 24, 24, dtype=torch.bool)
    tally = Tally()
    tally.add(-0.3 * stack(0).double() + 0.2, stack(0).double(), inside)
    assert tally.values()["structure_psnr_db"] == 100
    assert tally.values()["psnr_db"] < 20


def test_a_constant_prediction_has_the_structure_of_the_mean() -> None:
    inside = torch.ones(6, 24, 24, dtype=torch.bool)
    tally = Tally()
    tally.add(torch.full((6, 24, 24), 0.9), stack(0), inside)
    variance = float(stack(0).double().var(unbiased=False))
    assert tally.values()["structure_psnr_db"] == pytest.approx(psnr(variance), rel=1e-6)


def test_equal_images_count_as_100_db() -> None:
    tally = Tally()
    tally.add(stack(0), stack(0), torch.ones(6, 24, 24, dtype=torch.bool))
    assert tally.values()["psnr_db"] == 100
    assert math.isclose(tally.values()["ssim"], 1.0, rel_tol=1e-6)


def test_a_tally_of_nothing_stays_empty() -> None:
    tally = Tally()
    tally.add(stack(0), stack(1), torch.zeros(6, 24, 24, dtype=torch.bool))
    assert (tally.voxels, tally.slices, tally.predicted_change, float(tally.true_power.sum())) == (0, 0, 0, 0)


def test_texture_scores_ignore_where_the_texture_is() -> None:
    inside = torch.ones(6, 24, 24, dtype=torch.bool)
    wide = torch.nn.functional.interpolate(stack(0)[None], size=(24, 24), mode="bilinear")[0]
    blurred = torch.nn.functional.avg_pool2d(wide, 5, stride=1, padding=2)
    values = {}
    for name, prediction in {"moved": wide.roll(7, dims=1), "blurred": blurred, "flat": torch.zeros_like(wide)}.items():
        tally = Tally()
        for part in (slice(0, 2), slice(2, 6)):
            tally.add(prediction[part], wide[part], inside[part])
        values[name] = tally.values()
    assert values["moved"]["spectrum_error"] == pytest.approx(0, abs=1e-6)
    assert values["moved"]["through_plane"] == pytest.approx(1)
    assert values["blurred"]["spectrum_error"] > 0.8
    assert 0 < values["blurred"]["through_plane"] < 0.5
    assert (values["flat"]["spectrum_error"], values["flat"]["through_plane"]) == (1.0, 0.0)


def test_the_change_across_a_chunk_s_border_counts() -> None:
    inside = torch.ones(4, 24, 24, dtype=torch.bool)
    truth = torch.tensor([0.0, 0.1, 0.4, 0.8])[:, None, None].expand(4, 24, 24)
    prediction = torch.tensor([0.0, 0.0, 0.6, 0.6])[:, None, None].expand(4, 24, 24)
    for parts in ([slice(0, 4)], [slice(0, 2), slice(2, 4)], [slice(place, place + 1) for place in range(4)]):
        tally = Tally()
        for part in parts:
            tally.add(prediction[part], truth[part], inside[part])
        assert tally.values()["through_plane"] == pytest.approx(0.6 / 0.8)

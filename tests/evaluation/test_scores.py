"""One subject measured: which rows there are, and that chunks change nothing."""

from __future__ import annotations

import math

import pytest
import torch

from anymod.core.fidelity import mean_absolute_error, ms_ssim, psnr, ssim
from anymod.evaluation.scores import LARGEST_PSNR_DB, Tally


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
    assert values["psnr_db"] == pytest.approx(psnr(prediction, truth, inside))
    assert values["mae"] == pytest.approx(mean_absolute_error(prediction, truth, inside))
    assert values["ssim"] == pytest.approx(ssim(prediction, truth, inside), rel=1e-5)
    assert values["ms_ssim"] == pytest.approx(ms_ssim(prediction, truth, inside), rel=1e-5)
    assert values["slices"] == 5


def test_what_lies_outside_never_counts() -> None:
    inside = torch.zeros(6, 24, 24, dtype=torch.bool)
    inside[:, 6:18, 6:18] = True
    values = []
    for outside in (-1.0, 0.7):
        tally = Tally()
        tally.add(torch.where(inside, stack(0), outside), stack(1), inside)
        values.append(tally.values())
    assert values[0] == values[1]


def test_equal_images_count_as_100_db() -> None:
    tally = Tally()
    tally.add(stack(0), stack(0), torch.ones(6, 24, 24, dtype=torch.bool))
    assert tally.values()["psnr_db"] == LARGEST_PSNR_DB
    assert math.isclose(tally.values()["ssim"], 1.0, rel_tol=1e-6)


def test_a_tally_of_nothing_stays_empty() -> None:
    tally = Tally()
    tally.add(stack(0), stack(1), torch.zeros(6, 24, 24, dtype=torch.bool))
    assert tally == Tally()

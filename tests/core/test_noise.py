"""Noise: shared along a volume, or shared out among processes."""

from __future__ import annotations

import torch
from formulas import fresh_noise

from anymod.core.noise import noise_of_rows, shared_noise


def test_shared_noise_depends_on_seed_stream_and_level_alone() -> None:
    noise = shared_noise(1, "sample", 0)
    first = noise(2, (4, 3, 5, 5))
    assert first.shape == (1, 3, 5, 5)
    assert torch.equal(first, noise(2, (9, 3, 5, 5)))
    for other in (shared_noise(2, "sample", 0), shared_noise(1, "sample", 1)):
        assert not torch.equal(first, other(2, (4, 3, 5, 5)))
    assert not torch.equal(first, noise(1, (4, 3, 5, 5)))


def test_processes_that_share_a_batch_draw_what_one_would() -> None:
    def generator() -> torch.Generator:
        return torch.Generator().manual_seed(0)

    whole = fresh_noise(generator())(1, (4, 2))
    parts = [noise_of_rows(generator(), slice(2 * rank, 2 * rank + 2), 4)(1, (2, 2)) for rank in range(2)]
    assert torch.equal(whole, torch.cat(parts))

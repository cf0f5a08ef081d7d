"""Draws as functions of (seed, stream, step)."""

from __future__ import annotations

import numpy as np
import torch

from anymod.randomness import derive_seed, numpy_generator, torch_generator


def test_a_seed_is_the_same_on_every_machine_and_in_every_version() -> None:
    assert derive_seed(0, "subsets", 7) == 1370146497923825413


def test_every_part_of_the_stream_matters() -> None:
    seeds = {derive_seed(0), derive_seed(1), derive_seed(0, "a"), derive_seed(0, "a", 1), derive_seed(0, 1, "a")}
    assert len(seeds) == 5


def test_seeds_fit_a_signed_64_bit_integer() -> None:
    assert all(0 <= derive_seed(seed, "stream") < 2**63 for seed in range(1000))


def test_a_stream_repeats_and_another_step_differs() -> None:
    first, again, other = (numpy_generator(3, "slices", step).random(8) for step in (0, 0, 1))
    assert np.array_equal(first, again)
    assert not np.array_equal(first, other)


def test_a_torch_stream_leaves_the_global_generator_alone() -> None:
    before = torch.random.get_rng_state()
    first, again = (torch.randn(4, generator=torch_generator(5, "noise", 2)) for _ in range(2))
    assert torch.equal(first, again)
    assert torch.equal(torch.random.get_rng_state(), before)

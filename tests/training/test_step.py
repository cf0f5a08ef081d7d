"""One step: gradients of several draws, updates, refusals."""

from __future__ import annotations

import math
from contextlib import nullcontext

import pytest
import torch
from torch import nn

from anymod.core.batch import Batch
from anymod.core.noise import shared_noise
from anymod.errors import DivergenceError
from anymod.models import MMHVAE, Draws, MMHVAESettings
from anymod.training.adversary import build_discriminators
from anymod.training.step import Judges, Update, model_step

SMALL = MMHVAESettings(widths=(4, 6), image_size=(16, 16), unshuffle=2, head_channels=3, head_blocks=0)
SILENT = Judges(build_discriminators(2, 4, 1), 0.0, everything=False)


def update(average=None) -> Update:
    return Update(step=3, max_gradient_norm=1.0, autocast=nullcontext, average=average)


def small_model() -> MMHVAE:
    with torch.random.fork_rng():
        torch.manual_seed(0)
        return MMHVAE(("a", "b"), SMALL)


def small_batch() -> Batch:
    images = torch.rand(2, 2, 1, 16, 16, generator=torch.Generator().manual_seed(0))
    observed = torch.ones(2, 2, dtype=torch.bool)
    everywhere = torch.ones(2, 2, 16, 16, dtype=torch.bool)
    return Batch(images, images[:, :, 0].clone(), everywhere, observed, everywhere[:, 0], ("p", "q"))


def draws_of(shown: torch.Tensor, *, everything: bool = True) -> Draws:
    return Draws(shown, [shared_noise(0, "x")] * len(shown), torch.full((2, 2), everything), step=10)


def test_a_step_encodes_each_image_once_for_all_draws() -> None:
    shown = torch.tensor([[[True, False], [True, False]], [[True, False], [False, True]], [[True, True], [True, True]]])
    model, rows = small_model(), []
    for encoder in model.encoders:
        encoder.register_forward_hook(lambda module, given, maps: rows.append(len(given[0])))
    optimizer = torch.optim.SGD(model.parameters(), lr=0.0)
    model_step(model, optimizer, small_batch(), draws_of(shown), SILENT, update())
    assert rows == [2, 2]
    assert all(parameter.grad is not None for parameter in model.encoders.parameters())


def test_a_step_reports_the_means_over_draws() -> None:
    shown = torch.tensor([[[True, False], [True, True]], [[False, True], [True, False]]])
    model, batch = small_model(), small_batch()
    alone = [next(model.losses(batch, draws_of(each[None]))).terms["reconstruction"].item() for each in shown]
    optimizer = torch.optim.SGD(model.parameters(), lr=0.0)
    report = model_step(model, optimizer, batch, draws_of(shown), SILENT, Update(0, math.inf, nullcontext))
    assert report.terms["reconstruction"] == pytest.approx(sum(alone) / 2, rel=1e-5)
    assert alone[0] != pytest.approx(alone[1], rel=1e-3)


def test_gradients_are_shortened_and_their_norm_reported() -> None:
    parameter = nn.Parameter(torch.tensor([3.0, 4.0]))
    parameter.grad = torch.tensor([30.0, 40.0])
    norm = update().apply([parameter], torch.optim.SGD([parameter], lr=1.0), {"a": torch.tensor(1.0)}, ("p",))
    assert norm == pytest.approx(50)
    assert parameter.tolist() == pytest.approx([3.0 - 0.6, 4.0 - 0.8], abs=1e-4)


def test_processes_average_their_gradients_and_unused_parameters_count_as_zero() -> None:
    used, unused = nn.Parameter(torch.zeros(2)), nn.Parameter(torch.zeros(3))
    used.grad = torch.tensor([0.2, 0.4])
    seen = []

    def average(flat: torch.Tensor) -> torch.Tensor:
        seen.append(flat.tolist())
        return flat / 2

    optimizer = torch.optim.SGD([used, unused], lr=1.0)
    update(average).apply([used, unused], optimizer, {"a": torch.tensor(0.5)}, ("p",))
    assert seen == [pytest.approx([0.5, 0.2, 0.4, 0, 0, 0])]
    assert used.tolist() == pytest.approx([-0.1, -0.2])
    assert unused.tolist() == [0, 0, 0]
    assert update(lambda flat: flat / 2).mean({"a": torch.tensor(3.0), "b": torch.tensor(1.0)}) == {"a": 1.5, "b": 0.5}


@pytest.mark.parametrize("bad", [math.nan, math.inf])
def test_what_is_not_finite_is_refused_before_the_weights_change(bad: float) -> None:
    parameter = nn.Parameter(torch.ones(1))
    parameter.grad = torch.tensor([1.0])
    terms = {"reconstruction": torch.tensor(1.0), "divergence": torch.tensor(bad)}
    with pytest.raises(DivergenceError, match=r"step 3: divergence not finite for subjects p, q"):
        update().apply([parameter], torch.optim.SGD([parameter], lr=1.0), terms, ("p", "q", "p"))
    assert parameter.item() == 1


def test_the_report_names_every_term_and_level() -> None:
    model, adversary = small_model(), Judges(SILENT.discriminators, 0.5, True)
    draws = draws_of(torch.tensor([[[True, False], [True, False]]]))
    report = model_step(model, torch.optim.Adamax(model.parameters()), small_batch(), draws, adversary, update())
    assert set(report.terms) == {"reconstruction", "divergence", "adversary", "nats_level_1", "nats_level_2"}
    assert [len(fake) for fake in report.fakes] == [0, 2]

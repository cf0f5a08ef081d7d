"""One step: gradients of several draws, updates, refusals."""

from __future__ import annotations

import math
from contextlib import nullcontext
from dataclasses import replace

import pytest
import torch
from torch import nn

from anymod.core.batch import Batch
from anymod.core.noise import shared_noise
from anymod.core.objectives import absolute_error
from anymod.errors import DivergenceError
from anymod.models import MMHVAE, MMHVAESettings, Objective
from anymod.training.adversary import build_discriminators
from anymod.training.step import Adversary, StepPlan, Update, batch_as_shown, model_step

SMALL = MMHVAESettings(widths=(4, 6), image_size=(16, 16), unshuffle=2, head_channels=3, head_blocks=0)
SILENT = Adversary(build_discriminators(2, 4, 1), 0.0, everything=False)


def update(average=None) -> Update:
    return Update(step=3, gradient_norm=1.0, autocast=nullcontext, average=average)


def small_model() -> MMHVAE:
    with torch.random.fork_rng():
        torch.manual_seed(0)
        return MMHVAE(("a", "b"), SMALL)


def small_batch() -> Batch:
    images = torch.rand(2, 2, 1, 16, 16, generator=torch.Generator().manual_seed(0))
    observed = torch.ones(2, 2, dtype=torch.bool)
    everywhere = torch.ones(2, 2, 16, 16, dtype=torch.bool)
    return Batch(images, images[:, :, 0].clone(), everywhere, observed, everywhere[:, 0], ("p", "q"))


def test_draws_one_after_the_other_give_the_gradient_of_all_at_once() -> None:
    shown = torch.tensor([[[True, False], [True, True]], [[False, True], [True, False]]])
    noise, objective, batch = shared_noise(0, "x"), Objective(absolute_error, 0.1), small_batch()
    together, apart = small_model(), small_model()
    sum(together.losses(batch, shown, noise, objective).terms.values()).backward()
    plan = StepPlan(shown, [noise, noise], objective, SILENT)
    optimizer = torch.optim.SGD(apart.parameters(), lr=0.0)
    model_step(apart, optimizer, batch, plan, Update(0, math.inf, nullcontext))
    for ours, theirs in zip(apart.parameters(), together.parameters(), strict=True):
        torch.testing.assert_close(ours.grad, theirs.grad, atol=1e-6, rtol=1e-4)


def test_a_step_encodes_each_image_once_for_all_draws() -> None:
    shown = torch.tensor([[[True, False], [True, False]], [[True, False], [False, True]], [[True, True], [True, True]]])
    model, rows = small_model(), []
    for encoder in model.encoders:
        encoder.register_forward_hook(lambda module, given, maps: rows.append(len(given[0])))
    plan = StepPlan(shown, [shared_noise(0, "x")] * 3, Objective(absolute_error, 0.1), SILENT)
    model_step(model, torch.optim.SGD(model.parameters(), lr=0.0), small_batch(), plan, update())
    assert rows == [2, 2]


def test_shown_targets_may_be_what_the_network_saw() -> None:
    batch = small_batch()
    images = torch.stack([batch.images[:, :, 0] - 1, batch.images[:, :, 0] / 2, batch.images[:, :, 0] + 1], dim=2)
    batch = replace(batch, images=images, observed=torch.tensor([[True, True], [True, False]]))
    shown = torch.tensor([[True, False], [True, True]])  # the last one is a slip: nobody observed it
    compared = batch_as_shown(batch, shown)
    torch.testing.assert_close(compared.targets[:, 0], images[:, 0, 1])  # the slice itself, not a neighbour
    torch.testing.assert_close(compared.targets[:, 1], batch.targets[:, 1])
    assert compared.images is batch.images


def test_each_draw_is_compared_with_what_it_showed() -> None:
    shown = torch.tensor([[[True, False], [True, True]], [[False, True], [True, False]]])
    noise, objective, batch = shared_noise(0, "x"), Objective(absolute_error, 0.1), small_batch()
    batch = replace(batch, targets=batch.targets.square())
    model, report = small_model(), []
    for as_shown in (False, True):
        plan = StepPlan(shown, [noise, noise], objective, SILENT, as_shown)
        optimizer = torch.optim.SGD(model.parameters(), lr=0.0)
        report.append(model_step(model, optimizer, batch, plan, Update(0, math.inf, nullcontext)).terms)
    compared = [batch_as_shown(batch, each) for each in shown]
    expected = [
        float(small_model().losses(each, draw[None], noise, objective).terms["reconstruction"].detach())
        for each, draw in zip(compared, shown, strict=True)
    ]
    assert report[1]["reconstruction"] == pytest.approx(sum(expected) / 2, rel=1e-5)
    assert report[0]["reconstruction"] != pytest.approx(report[1]["reconstruction"], rel=1e-3)


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


@pytest.mark.parametrize("bad", [math.nan, math.inf])
def test_what_is_not_finite_is_refused_before_the_weights_change(bad: float) -> None:
    parameter = nn.Parameter(torch.ones(1))
    parameter.grad = torch.tensor([1.0])
    terms = {"reconstruction": torch.tensor(1.0), "divergence": torch.tensor(bad)}
    with pytest.raises(DivergenceError, match=r"step 3: divergence not finite for subjects p, q"):
        update().apply([parameter], torch.optim.SGD([parameter], lr=1.0), terms, ("p", "q", "p"))
    assert parameter.item() == 1


def test_the_report_names_every_term_and_level() -> None:
    model, noise = small_model(), shared_noise(0, "x")
    shown = torch.tensor([[[True, False], [True, False]]])
    plan = StepPlan(
        shown, [noise], Objective(absolute_error, 0.1, unobserved=True), Adversary(SILENT.discriminators, 0.5, True)
    )
    report = model_step(model, torch.optim.Adamax(model.parameters()), small_batch(), plan, update())
    assert set(report.terms) == {"reconstruction", "divergence", "adversary", "nats_level_1", "nats_level_2"}
    assert [len(fake) for fake in report.fakes] == [0, 2]

"""Who is judged, on what, and against which real slices (method, section 6)."""

from __future__ import annotations

import pytest
import torch
from torch import nn

from anymod.training.adversary import (
    build_discriminators,
    discriminators_term,
    fakes_of,
    judged_rows,
    model_term,
    real_of,
)

OBSERVED = torch.tensor([[True, True, False], [True, True, False], [True, False, False]])
SHOWN = torch.tensor([[True, True, False], [True, False, False], [True, False, False]])


class Mean(nn.Module):
    """A discriminator that returns the mean of each slice."""

    def forward(self, image: torch.Tensor) -> torch.Tensor:
        return image.mean((1, 2))


def test_rows_that_hide_something_are_judged_and_rows_with_one_image() -> None:
    assert judged_rows(SHOWN, OBSERVED, everything=False).tolist() == [False, True, True]
    assert judged_rows(SHOWN, OBSERVED, everything=True).tolist() == [True, True, True]


def test_the_model_is_judged_on_modalities_that_the_subject_lacks() -> None:
    images = torch.zeros(3, 3, 4, 4, requires_grad=True)
    discriminators = nn.ModuleList(Mean() for _ in range(3))
    term = model_term(discriminators, images, judged_rows(SHOWN, OBSERVED, everything=False))
    assert term.item() == pytest.approx(2 / 3)  # two of three rows are judged, each by 1
    term.backward()
    assert images.grad is not None
    assert images.grad.flatten(2).ne(0).any(2).tolist() == [[False] * 3, [True] * 3, [True] * 3]


def test_without_a_judged_row_the_term_is_zero() -> None:
    assert model_term(build_discriminators(3, 4, 1), torch.zeros(1, 3, 8, 8), torch.tensor([False])) == 0


def test_fakes_are_images_of_what_was_not_shown_without_gradient() -> None:
    images = torch.arange(9.0).reshape(3, 3, 1, 1).requires_grad_()
    fakes = fakes_of(images, SHOWN)
    assert [fake.flatten().tolist() for fake in fakes] == [[], [4.0, 7.0], [2.0, 5.0, 8.0]]
    assert not any(fake.requires_grad for fake in fakes)


def test_real_slices_are_observed_and_not_empty() -> None:
    targets = torch.arange(9.0).reshape(3, 3, 1, 1)
    foreground = OBSERVED[:, :, None, None].clone()
    foreground[0, 0] = False
    everyone = torch.tensor([True] * 3)
    found = real_of(targets, OBSERVED, foreground, everyone)
    assert [real.flatten().tolist() for real in found] == [[3.0, 6.0], [1.0, 4.0], []]
    found = real_of(targets, OBSERVED, foreground, torch.tensor([True, False, True]))  # the second row is simulated
    assert [real.flatten().tolist() for real in found] == [[6.0], [1.0], []]


def test_discriminators_are_scored_where_there_are_real_slices_and_fakes() -> None:
    discriminators = nn.ModuleList([Mean(), Mean()])
    real, fakes = [torch.zeros(2, 4, 4), torch.zeros(0, 4, 4)], [torch.full((1, 4, 4), 2.0), torch.ones(1, 4, 4)]
    assert discriminators_term(discriminators, real, fakes).item() == 1.0 + 4.0

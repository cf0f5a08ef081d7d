"""LPIPS, HaarPSI and GMSD against the values of their reference implementations, and on images of their own."""

from __future__ import annotations

import json
import math
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest
import torch
from torch import Tensor

from anymod.core.perception import gmsd, haarpsi, lpips
from anymod.models.perception import lpips_weights

Measure = Callable[[Tensor, Tensor, Tensor], float]


def reference(metrics: Path, name: str) -> tuple[Tensor, Tensor, dict[str, float]]:
    """Return a distorted copy of the reference image and that image, (1, h, w) in [-1, 1], and what piq and lpips make of them."""
    values = np.load(metrics / "metrics_piq.npz")
    known = {key.split(".")[0]: float(values[key]) for key in values if key.endswith(f".{name}")}
    known["lpips"] = json.loads((metrics / "lpips_values.json").read_text())[f"lpips_alex.{name}"]
    copy, image = (torch.from_numpy(values[key])[None] * 2 - 1 for key in (name, "a"))
    return copy, image, known


@pytest.mark.parametrize("name", ["noisy", "blurred"])
def test_values_are_those_of_the_reference_implementations(shared: Path, name: str) -> None:
    copy, image, known = reference(shared / "metrics", name)
    everywhere = torch.ones_like(image, dtype=torch.bool)
    assert haarpsi(copy, image, everywhere) == pytest.approx(known["haarpsi"], abs=1e-5)
    assert gmsd(copy, image, everywhere) == pytest.approx(known["gmsd"], abs=1e-7)
    assert lpips(copy, image, everywhere, lpips_weights()) == pytest.approx(known["lpips"], rel=1e-3)  # half precision


def head(seed: int) -> tuple[Tensor, Tensor]:
    """Return three slices of smooth noise and a foreground that one of them lacks."""
    noise = torch.randn(3, 1, 12, 14, generator=torch.Generator().manual_seed(seed))
    images = torch.nn.functional.interpolate(noise, (48, 56), mode="bicubic")[:, 0].clamp(-2, 2) / 2
    inside = torch.zeros(3, 48, 56, dtype=torch.bool)
    inside[:2, 8:40, 10:44] = True
    return images, inside


def blurred(images: Tensor) -> Tensor:
    return torch.nn.functional.avg_pool2d(images[:, None], 5, 1, 2)[:, 0]


def test_equal_images_have_the_best_value_and_more_blur_a_worse_one() -> None:
    images, inside = head(0)
    once, twice = blurred(images), blurred(blurred(images))
    for measure, best in ((haarpsi, 1.0), (gmsd, 0.0), (with_weights, 0.0)):
        values = [measure(each, images, inside) for each in (images, once, twice)]
        assert values[0] == pytest.approx(best, abs=1e-5)
        assert abs(values[0] - values[1]) > 0.01
        assert abs(values[0] - values[2]) > abs(values[0] - values[1])


def with_weights(prediction: Tensor, target: Tensor, foreground: Tensor) -> float:
    return lpips(prediction, target, foreground, lpips_weights())


@pytest.mark.parametrize("measure", [haarpsi, gmsd, with_weights])
def test_only_the_foreground_counts_and_slices_without_it_do_not(measure: Measure) -> None:
    images, inside = head(1)
    prediction, other = blurred(images), torch.where(inside, blurred(images), 0.7)
    value = measure(prediction, images, inside)
    assert measure(other, images, inside) == value
    assert measure(prediction[:2], images[:2], inside[:2]) == pytest.approx(value)
    assert math.isnan(measure(prediction[2:], images[2:], inside[2:]))


@pytest.mark.parametrize("measure", [haarpsi, gmsd, with_weights])
def test_background_around_the_image_changes_nothing(measure: Measure) -> None:
    images, inside = head(2)
    wide = [torch.nn.functional.pad(each, (8, 8, 4, 12)) for each in (blurred(images), images, inside)]
    assert measure(*wide) == pytest.approx(measure(blurred(images), images, inside), rel=1e-5)

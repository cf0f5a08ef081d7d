"""Samples of a chunk: their moments, their noise, and what a blank image says."""

from __future__ import annotations

import pytest
import torch
from tiny_models import tiny_model

from anymod.core.foregrounds import with_content
from anymod.core.noise import MEAN, USUAL_TEMPERATURE
from anymod.models import RealisticSettings
from anymod.synthesis import SynthesisOptions, draw_images, encoded
from anymod.synthesis.drawing import RunningMoments


def decoder(rows: int = 2) -> tuple[object, torch.Tensor]:
    """Return what decodes `rows` slices of the tiny model, and everything shown."""
    images = torch.rand(rows, 3, 1, 16, 16, generator=torch.Generator().manual_seed(1)) * 2 - 1
    shown = torch.ones(rows, 3, dtype=torch.bool)
    return encoded(tiny_model(), images, shown), shown


def test_running_moments_are_those_of_all_images_at_once() -> None:
    images = torch.randn(7, 2, 3, generator=torch.Generator().manual_seed(0), dtype=torch.float64)
    moments = RunningMoments()
    for image in images:
        moments.add(image)
    torch.testing.assert_close(moments.mean, images.mean(0))
    torch.testing.assert_close(moments.standard_deviation(), images.std(0))


def test_one_image_has_no_deviation() -> None:
    moments = RunningMoments()
    moments.add(torch.ones(2))
    assert moments.standard_deviation().tolist() == [0.0, 0.0]


def test_at_temperature_0_the_seed_does_not_matter() -> None:
    decode, shown = decoder()
    first, second = (draw_images(decode, shown, (0,), SynthesisOptions(seed=seed), [0, 1])[0] for seed in (1, 2))
    assert torch.equal(first, second)


@pytest.mark.parametrize("noise", ["volume", "slice"])
def test_a_seed_names_one_image_and_another_seed_another(noise: str) -> None:
    decode, shown = decoder()
    first, again, other = (
        draw_images(decode, shown, (0, 2), SynthesisOptions(temperature=1.0, seed=seed, noise=noise), [3, 4])[0]
        for seed in (1, 1, 2)
    )
    assert torch.equal(first, again)
    assert not torch.allclose(first, other)


def test_the_noise_of_realistic_images_changes_slowly_along_the_volume_whatever_the_chunks() -> None:
    # Untrained, the flow adds the noise to the mean.
    model = tiny_model(realistic=RealisticSettings(widths=(8,), condition=8))
    slices = list(range(40))
    images, shown = torch.zeros(len(slices), 3, 1, 16, 16), torch.tensor([[False, True, True]] * len(slices))
    options = SynthesisOptions(realistic=True)
    realistic, _ = draw_images(encoded(model, images, shown), shown, (0,), options, slices)
    noise = (realistic - draw_images(encoded(model, images, shown), shown, (0,), SynthesisOptions(), slices)[0])[:, 0]
    noise = noise.flatten(1) / 0.05
    assert float(noise.std()) == pytest.approx(1, abs=0.05)
    for apart, correlation in ((1, 2 / 3), (2, 1 / 6), (3, 0.0)):
        assert float((noise[apart:] * noise[:-apart]).mean()) == pytest.approx(correlation, abs=0.05)
    part, _ = draw_images(encoded(model, images[:5], shown[:5]), shown[:5], (0,), options, slices[7:12])
    torch.testing.assert_close(part, realistic[7:12])


def test_equal_slices_come_out_equal_with_shared_noise_and_differ_with_noise_for_each() -> None:
    images = torch.zeros(2, 3, 1, 16, 16)
    shown = torch.ones(2, 3, dtype=torch.bool)
    decode = encoded(tiny_model(), images, shown)
    for noise, equal in (("volume", True), ("slice", False)):
        options = SynthesisOptions(temperature=1.0, noise=noise)
        mean, _ = draw_images(decode, shown, (0,), options, [0, 1])
        assert torch.allclose(mean[0], mean[1], atol=1e-6) is equal


def test_the_spread_grows_with_temperature() -> None:
    decode, shown = decoder()
    spreads = [
        draw_images(decode, shown, (0,), SynthesisOptions(temperature=t, samples=6), [0, 1])[1].mean()
        for t in (1e-5, 1e-4, 1e-3)
    ]
    assert 0 < spreads[0] < spreads[1] < spreads[2]


def test_a_blank_image_is_not_shown_unless_all_are_blank() -> None:
    foreground = torch.zeros(2, 3, 4, 4, dtype=torch.bool)
    foreground[0, 1] = True
    shown = torch.tensor([[True, True, False]] * 2)
    assert with_content(shown, foreground).tolist() == [[False, True, False], [True, True, False]]


def test_a_mirrored_head_gives_the_mirrored_image() -> None:
    images = torch.rand(2, 3, 1, 16, 16, generator=torch.Generator().manual_seed(1)) * 2 - 1
    shown = torch.tensor([[True, True, False], [True, False, False]])
    plain = encoded(tiny_model(), images, shown).decode(shown, (0, 2), MEAN)
    turned = encoded(tiny_model(), images.flip(-2), shown).decode(shown, (0, 2), MEAN)
    both = encoded(tiny_model(), images, shown, mirror=True).decode(shown, (0, 2), MEAN)
    torch.testing.assert_close(both, (plain + turned.flip(2)) / 2)
    assert not torch.allclose(both, plain)
    other = encoded(tiny_model(), images.flip(-2), shown, mirror=True).decode(shown, (0, 2), MEAN)
    torch.testing.assert_close(other, both.flip(2))


def test_the_mirror_image_of_sagittal_slices_has_the_neighbours_exchanged() -> None:
    images = torch.rand(2, 3, 3, 16, 16, generator=torch.Generator().manual_seed(1)) * 2 - 1
    shown = torch.tensor([[True, True, False], [True, False, False]])
    model = tiny_model(context_slices=1)
    plain = encoded(model, images, shown).decode(shown, (0, 2), MEAN)
    turned = encoded(model, images.flip(2), shown).decode(shown, (0, 2), MEAN)
    both = encoded(model, images, shown, mirror=True, axis="sagittal").decode(shown, (0, 2), MEAN)
    torch.testing.assert_close(both, (plain + turned) / 2)
    assert not torch.allclose(both, plain)


@pytest.mark.parametrize(
    "wrong",
    [
        {"temperature": -1.0},
        {"temperature": float("nan")},
        {"samples": 0},
        {"chunk": 0},
        {"samples": 2, "temperature": 0.0},
        {"mirror": True, "temperature": 0.5},
    ],
)
def test_options_that_make_no_sense_are_refused(wrong: dict[str, object]) -> None:
    with pytest.raises(ValueError):
        SynthesisOptions(**wrong)


def test_several_samples_are_drawn_at_a_temperature_above_0_unless_one_is_given() -> None:
    assert SynthesisOptions().temperature == 0.0
    assert SynthesisOptions(samples=2).temperature == USUAL_TEMPERATURE
    assert SynthesisOptions(samples=2, temperature=0.3).temperature == 0.3

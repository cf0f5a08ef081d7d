"""Contrasts as a radiologist expects them on every scanner, and noise with the moments it should have."""

from __future__ import annotations

import math

import numpy as np
import pytest

from anymod.simulation.mr import bias_field, rician, tissue_signals
from anymod.simulation.protocols import MODALITIES, draw_protocol
from anymod.simulation.tissues import Tissue

AXES = (np.arange(-80.0, 80, 8), np.arange(-80.0, 80, 8), np.arange(-80.0, 80, 8))


def signals(seed: int, modality: str) -> dict[str, float]:
    protocol = draw_protocol(np.random.default_rng(seed), MODALITIES)
    dose = 1.0 if modality == "cet1" else 0.0
    values = tissue_signals(protocol.acquisitions[modality], protocol.field_tesla, contrast_dose=dose).signal
    return {tissue.name: float(values[tissue]) for tissue in Tissue}


@pytest.mark.parametrize("seed", range(12))
def test_t1_shows_white_above_grey_above_fluid(seed: int) -> None:
    s = signals(seed, "t1")
    assert s["WHITE"] > s["DEEP_GREY"] > s["GREY"] > s["NECROSIS"] > s["CSF"]
    assert s["OEDEMA"] < s["WHITE"]
    assert s["FAT"] > s["WHITE"] > s["BONE"]


@pytest.mark.parametrize("seed", range(12))
def test_t2_shows_fluid_above_grey_above_white(seed: int) -> None:
    s = signals(seed, "t2")
    assert s["CSF"] > s["NECROSIS"] > s["OEDEMA"] > s["GREY"] > s["WHITE"] > s["PALLIDUM"]
    assert s["VESSEL"] < s["WHITE"]  # flow void


@pytest.mark.parametrize("seed", range(12))
def test_flair_darkens_fluid_and_brightens_oedema(seed: int) -> None:
    s = signals(seed, "flair")
    assert s["CSF"] < 0.7 * s["WHITE"]  # in real images, partial volume included, 0.51 to 0.93 (docs/results/simulated)
    assert s["OEDEMA"] > 1.2 * max(s["GREY"], s["WHITE"])


@pytest.mark.parametrize("seed", range(12))
def test_contrast_agent_lights_rim_and_vessels_but_not_the_core(seed: int) -> None:
    before, after = signals(seed, "t1"), signals(seed, "cet1")
    assert after["ENHANCING"] > 1.2 * after["WHITE"] > after["NECROSIS"]
    assert after["VESSEL"] > after["WHITE"]
    assert before["ENHANCING"] < before["WHITE"]


def test_rician_noise_has_rician_second_moment() -> None:
    signal = np.full(200_000, 3.0, np.float32)
    noisy = rician(np.random.default_rng(0), signal, 0.8)
    # E[m^2] = s^2 + 2 sigma^2
    assert float(np.mean(noisy.astype(float) ** 2)) == pytest.approx(9.0 + 2 * 0.64, rel=0.005)


def test_rician_noise_without_signal_is_rayleigh() -> None:
    noisy = rician(np.random.default_rng(1), np.zeros(200_000, np.float32), 0.5)
    assert float(noisy.mean()) == pytest.approx(0.5 * math.sqrt(math.pi / 2), rel=0.005)
    assert float(noisy.var()) == pytest.approx(0.25 * (2 - math.pi / 2), rel=0.01)


def test_bias_field_is_positive_and_smooth() -> None:
    field = bias_field(np.random.default_rng(2), AXES, 0.1)
    assert field.min() > 0.5
    assert field.max() < 2.0
    assert np.abs(np.diff(field, axis=0)).max() < 0.1


def test_leaving_a_modality_out_changes_no_other_protocol() -> None:
    all_of_them = draw_protocol(np.random.default_rng(5), MODALITIES)
    two = draw_protocol(np.random.default_rng(5), ("t2", "flair"))
    assert two.acquisitions["flair"] == all_of_them.acquisitions["flair"]

"""Signal equations against closed forms and brute force."""

from __future__ import annotations

import math

import numpy as np
import pytest

from anymod.simulation.signals import InversionRecovery, Mprage, SpinEcho, SpoiledGradientEcho, with_contrast_agent
from anymod.simulation.tissues import SUBSTANCES, Relaxation, Tissue

WHITE = Relaxation(t1=800.0, t2=70.0, t2_star=50.0)


def test_spin_echo_at_one_t1_and_one_t2() -> None:
    assert SpinEcho(800.0, 70.0).signal(WHITE) == pytest.approx((1 - math.exp(-1)) * math.exp(-1), rel=1e-12)


def test_spin_echo_with_long_repetition_and_no_echo_time_is_the_proton_density() -> None:
    assert SpinEcho(1e9, 0.0).signal(WHITE) == pytest.approx(1.0)


def test_spoiled_gradient_echo_with_a_right_angle_is_saturation_recovery() -> None:
    signal = SpoiledGradientEcho(400.0, 0.0, 90.0).signal(WHITE)
    assert signal == pytest.approx(1 - math.exp(-0.5), rel=1e-12)


def test_spoiled_gradient_echo_is_brightest_at_the_ernst_angle() -> None:
    ernst = math.degrees(math.acos(math.exp(-20.0 / WHITE.t1)))
    brightest = SpoiledGradientEcho(20.0, 2.0, ernst).signal(WHITE)
    assert all(SpoiledGradientEcho(20.0, 2.0, ernst + change).signal(WHITE) < brightest for change in (-0.5, 0.5))


def test_inversion_recovery_nulls_the_tissue_it_was_set_for() -> None:
    fluid = Relaxation(4000.0, 2000.0, 1000.0)
    sequence = InversionRecovery(9000.0, 100.0, 0.0).nulling(fluid.t1)
    assert sequence.signal(fluid) == pytest.approx(0.0, abs=1e-12)
    assert sequence.signal(WHITE) > 0.1


def test_inversion_recovery_without_wait_is_inverted_saturation_recovery() -> None:
    signal = InversionRecovery(800.0, 0.0, 0.0).signal(WHITE)
    assert signal == pytest.approx(1 - math.exp(-1), rel=1e-12)


def test_mprage_equals_a_simulation_pulse_by_pulse() -> None:
    sequence = Mprage(2000.0, 3.0, 9.0, 950.0, pulse_spacing_ms=8.0, pulses=120)
    cosine = math.cos(math.radians(9.0))
    magnetization, measured = 1.0, 0.0

    def recover(value: float, time_ms: float) -> float:
        return 1 + (value - 1) * math.exp(-time_ms / WHITE.t1)

    for _ in range(30):  # cycles, until steady
        magnetization = recover(-magnetization, 950.0 - 60 * 8.0)
        for pulse in range(120):
            if pulse == 60:
                measured = abs(magnetization) * math.sin(math.radians(9.0)) * math.exp(-3.0 / WHITE.t2_star)
            magnetization = recover(magnetization * cosine, 8.0)
        magnetization = recover(magnetization, 2000.0 - 950.0 - 60 * 8.0)
    assert sequence.signal(WHITE) == pytest.approx(measured, rel=1e-9)


def test_contrast_agent_adds_rates() -> None:
    enhanced = with_contrast_agent(Relaxation(1000.0, 100.0, 50.0), 1.0, 1.5)
    assert 1000 / enhanced.t1 == pytest.approx(1.0 + 5.2)
    assert 1000 / enhanced.t2 == pytest.approx(10.0 + 6.1)


def test_no_contrast_agent_changes_nothing() -> None:
    same = with_contrast_agent(WHITE, 0.0, 3.0)
    assert np.allclose([same.t1, same.t2, same.t2_star], [WHITE.t1, WHITE.t2, WHITE.t2_star])


@pytest.mark.parametrize("tissue", [t for t in Tissue if t is not Tissue.AIR])
def test_every_tissue_has_times_in_physical_order(tissue: Tissue) -> None:
    for times in (SUBSTANCES[tissue].at_1_5_tesla, SUBSTANCES[tissue].at_3_tesla):
        assert 0 < times.t2_star <= times.t2 <= times.t1
    assert SUBSTANCES[tissue].at_3_tesla.t1 >= SUBSTANCES[tissue].at_1_5_tesla.t1
    assert 0 < SUBSTANCES[tissue].density <= 1

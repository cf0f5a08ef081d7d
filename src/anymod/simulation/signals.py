"""Signal equations of MR sequences: transverse magnetization relative to the equilibrium of water. Times in ms, flip angles in degrees."""

from __future__ import annotations

import math
from dataclasses import dataclass, replace

from anymod.simulation.tissues import Relaxation

# Relaxivities of gadobutrol in plasma at 37 °C [l/(mmol s)]: Rohrer et al., Invest Radiol 40:715 (2005), as quoted by the package dcmri.
# r2 at 3 T is not confirmed: dcmri gives 7.4. Szomolanyi et al., Invest Radiol 54:559 (2019), measured r1 of 4.78 and 4.97.
RELAXIVITY_1 = {1.5: 5.2, 3.0: 5.0}
RELAXIVITY_2 = {1.5: 6.1, 3.0: 7.1}


@dataclass(frozen=True)
class SpinEcho:
    """(Turbo) spin echo: S = (1 - exp(-TR/T1)) exp(-TE/T2), for an effective TE much shorter than TR."""

    repetition_ms: float
    echo_ms: float

    def signal(self, relaxation: Relaxation) -> float:
        """Return the signal for a proton density of 1."""
        return -math.expm1(-self.repetition_ms / relaxation.t1) * math.exp(-self.echo_ms / relaxation.t2)


@dataclass(frozen=True)
class InversionRecovery:
    """Inversion recovery spin echo, magnitude: S = |1 - 2 exp(-TI/T1) + exp(-TR/T1)| exp(-TE/T2)."""

    repetition_ms: float
    echo_ms: float
    inversion_ms: float

    def signal(self, relaxation: Relaxation) -> float:
        """Return the signal for a proton density of 1."""
        recovered = 1 - 2 * math.exp(-self.inversion_ms / relaxation.t1) + math.exp(-self.repetition_ms / relaxation.t1)
        return abs(recovered) * math.exp(-self.echo_ms / relaxation.t2)

    def nulling(self, t1: float) -> InversionRecovery:
        """Return the same sequence with the inversion time at which a tissue with this T1 [ms] gives no signal."""
        null = t1 * math.log(2 / (1 + math.exp(-self.repetition_ms / t1)))
        return replace(self, inversion_ms=null)


@dataclass(frozen=True)
class SpoiledGradientEcho:
    """Spoiled gradient echo in its steady state (Ernst): S = sin a (1 - E1) / (1 - E1 cos a) exp(-TE/T2*), E1 = exp(-TR/T1)."""

    repetition_ms: float
    echo_ms: float
    flip_degrees: float

    def signal(self, relaxation: Relaxation) -> float:
        """Return the signal for a proton density of 1."""
        kept = math.exp(-self.repetition_ms / relaxation.t1)
        angle = math.radians(self.flip_degrees)
        steady = math.sin(angle) * (1 - kept) / (1 - kept * math.cos(angle))
        return steady * math.exp(-self.echo_ms / relaxation.t2_star)


@dataclass(frozen=True)
class Mprage:
    """MPRAGE: inversion, delay, train of small flips, delay; the signal is that of the middle pulse in the steady state of the cycle.

    Each part of the cycle maps the longitudinal magnetization m to gain * m + offset. The steady state is the fixed point of the cycle
    (Marques et al., NeuroImage 49:1271, 2010, for one train). `inversion_ms` lasts from the inversion to the middle of the train.
    """

    repetition_ms: float
    echo_ms: float
    flip_degrees: float
    inversion_ms: float
    pulse_spacing_ms: float = 8.0
    pulses: int = 160

    def signal(self, relaxation: Relaxation) -> float:
        """Return the magnitude of the signal for a proton density of 1."""
        half = self.pulses // 2
        before = self.inversion_ms - half * self.pulse_spacing_ms
        after = self.repetition_ms - before - self.pulses * self.pulse_spacing_ms
        to_middle = self._then((-1.0, 0.0), self._recovery(before, relaxation.t1), self._train(half, relaxation.t1))
        onwards = self._then(self._train(self.pulses - half, relaxation.t1), self._recovery(after, relaxation.t1))
        gain, offset = self._then(to_middle, onwards)
        start = offset / (1 - gain)
        middle = to_middle[0] * start + to_middle[1]
        return abs(middle) * math.sin(math.radians(self.flip_degrees)) * math.exp(-self.echo_ms / relaxation.t2_star)

    @staticmethod
    def _then(*maps: tuple[float, float]) -> tuple[float, float]:
        gain, offset = 1.0, 0.0
        for next_gain, next_offset in maps:
            gain, offset = next_gain * gain, next_gain * offset + next_offset
        return gain, offset

    @staticmethod
    def _recovery(time_ms: float, t1: float) -> tuple[float, float]:
        kept = math.exp(-time_ms / t1)
        return kept, 1 - kept

    def _train(self, pulses: int, t1: float) -> tuple[float, float]:
        recovery, regained = self._recovery(self.pulse_spacing_ms, t1)
        gain = recovery * math.cos(math.radians(self.flip_degrees))  # flip, then recover
        return gain**pulses, regained * (1 - gain**pulses) / (1 - gain)


Sequence = SpinEcho | InversionRecovery | SpoiledGradientEcho | Mprage


def with_contrast_agent(relaxation: Relaxation, concentration: float, field_tesla: float) -> Relaxation:
    """Return the relaxation times with a `concentration` [mmol/l] of gadobutrol: 1/T' = 1/T + r c, for T1, T2 and T2*."""
    rate_1 = RELAXIVITY_1[field_tesla] * concentration / 1000.0  # 1/ms
    rate_2 = RELAXIVITY_2[field_tesla] * concentration / 1000.0
    return Relaxation(
        1 / (1 / relaxation.t1 + rate_1), 1 / (1 / relaxation.t2 + rate_2), 1 / (1 / relaxation.t2_star + rate_2)
    )

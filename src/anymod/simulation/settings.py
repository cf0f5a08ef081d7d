"""Settings of a simulated cohort."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated, Literal

from pydantic import Field, field_validator, model_validator

from anymod.configuration import Names, Settings, nearest, option
from anymod.errors import ModalityError
from anymod.simulation.protocols import MODALITIES as MAGNETIC

MODALITIES = (*MAGNETIC, "us")
MISSING = 0.3
# All 104 ReMIND subjects in the paper (Dorent et al., arXiv 2410.19378) have ultrasound, 98 contrast-enhanced T1, 66 T2, 21 FLAIR.
REMIND_MISSING = {"us": 0.0, "cet1": 1 - 98 / 104, "t2": 1 - 66 / 104, "flair": 1 - 21 / 104}


class SimulationSettings(Settings):
    """Settings of simulated subjects."""

    modalities: Annotated[
        Names, option("Any of us, t1, cet1, t2, flair, pd; with us, all images cover its field of view.", "NAMES")
    ] = ("t1", "cet1", "t2", "flair")
    spacing_mm: Annotated[float, option("Edge of the cubic voxels.", ge=0.5, le=8.0)] = 2.0
    tumours: Annotated[float, option("Fraction of the subjects that have a tumour.", ge=0.0, le=1.0)] = 0.7
    missing: Annotated[
        float | dict[str, float] | None,
        option(
            "Probability that a subject lacks a modality: one number, or one per modality such as t2=0.4,flair=0.8"
            " (0 for the others). Without it 0.3, or the rates of the ReMIND database with us.",
            "RATES",
        ),
    ] = None
    complete_test: Annotated[bool, option("Give every test subject all modalities.")] = False
    whole_head: Annotated[bool, option("Keep skull and scalp.")] = False
    anatomy: Annotated[
        Path | None, option("FreeSurfer label maps to simulate from; without it, heads are generated.", "DIR")
    ] = None
    shift_mm: Annotated[
        float, option("Largest displacement of the brain from MR to us; the truth is written too.", ge=0.0, le=15.0)
    ] = 0.0
    crop_to_us: Annotated[bool, option("Set MR to 0 outside the ultrasound's field of view.")] = False
    probe: Annotated[Literal["any", "remind-like", "resect-like"], option("Ultrasound probe to simulate.")] = "any"
    acoustic_mm: float = Field(default=0.5, ge=0.25, le=4.0)  # spacing of the tissue that ultrasound is simulated in
    validation: Annotated[float, option("Fraction of the subjects for validation.", ge=0.0)] = 0.15
    test: Annotated[float, option("Fraction of the subjects for the test.", ge=0.0)] = 0.15

    @field_validator("missing", mode="before")
    @classmethod
    def _probabilities(cls, value: object) -> object:
        value = _rates(value) if isinstance(value, str) else value
        for rate in value.values() if isinstance(value, dict) else [] if value is None else [value]:
            if isinstance(rate, bool) or not isinstance(rate, int | float) or not 0 <= rate < 1:
                raise ValueError(f"{rate!r} is not a probability from 0 to below 1")
        return value

    @model_validator(mode="after")
    def _known_modalities(self) -> SimulationSettings:
        check_modalities(self.modalities)
        if "us" in self.modalities and self.whole_head:
            raise ValueError("ultrasound needs an opened skull: leave out 'us' or the whole head")
        if "us" not in self.modalities and (self.shift_mm or self.crop_to_us):
            raise ValueError("brain shift and cropping need ultrasound: add 'us' to the modalities")
        if isinstance(self.missing, dict):
            for name in self.missing:
                if name not in self.modalities:
                    raise ValueError(f"'{name}' in missing is not simulated: {nearest(name, self.modalities)}")
        return self

    def missing_rate(self, modality: str) -> float:
        """Return the probability that a modality is missing; by default 0.3, or the rates of `REMIND_MISSING` with ultrasound."""
        if isinstance(self.missing, dict):
            return self.missing.get(modality, 0.0)
        if self.missing is not None:
            return self.missing
        return REMIND_MISSING.get(modality, MISSING) if "us" in self.modalities else MISSING


def check_modalities(modalities: tuple[str, ...]) -> None:
    """Raise ModalityError unless `modalities` are one or more different names that can be simulated."""
    if not modalities:
        raise ModalityError("no modality", "--modalities", "none is given", f"choose from {', '.join(MODALITIES)}")
    for modality in modalities:
        if modality not in MODALITIES:
            why = f"'{modality}' cannot be simulated"
            raise ModalityError("unknown modality", "--modalities", why, nearest(modality, MODALITIES))
    if len(set(modalities)) < len(modalities):
        raise ModalityError("duplicate modality", "--modalities", "one is given twice", "give each once")


def _rates(text: str) -> float | dict[str, float]:
    """Return the number in a text, or the numbers by name of a text such as `t2=0.4,flair=0.8`."""
    if "=" not in text:
        return _number(text)
    rates: dict[str, float] = {}
    for part in text.split(","):
        name, equals, value = map(str.strip, part.partition("="))
        if not equals or name in rates:
            raise ValueError("write each modality once, such as t2=0.4,flair=0.8")
        rates[name] = _number(value)
    return rates


def _number(text: str) -> float:
    try:
        return float(text)
    except ValueError:
        raise ValueError(f"'{text}' is not a probability from 0 to below 1") from None

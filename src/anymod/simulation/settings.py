"""Settings of a simulated cohort."""

from __future__ import annotations

from pathlib import Path
from typing import Literal

from pydantic import Field, field_validator, model_validator

from anymod.configuration import Settings, nearest
from anymod.errors import ModalityError
from anymod.simulation.protocols import MODALITIES as MAGNETIC

MODALITIES = (*MAGNETIC, "us")
MISSING = 0.3
# All 104 ReMIND subjects in the paper (Dorent et al., arXiv 2410.19378) have ultrasound, 98 contrast-enhanced T1, 66 T2, 21 FLAIR.
REMIND_MISSING = {"us": 0.0, "cet1": 1 - 98 / 104, "t2": 1 - 66 / 104, "flair": 1 - 21 / 104}


class SimulationSettings(Settings):
    """How subjects are simulated."""

    modalities: tuple[str, ...] = ("t1", "cet1", "t2", "flair")
    spacing_mm: float = Field(default=2.0, ge=0.5, le=8.0)  # isotropic; 2 mm keeps gyri and takes about 2 s per subject
    tumours: float = Field(default=0.7, ge=0.0, le=1.0)  # share of subjects that have one
    # Probability that a modality of a subject is not observed: of all, of some (0 for the others), or None: see missing_rate.
    missing: float | dict[str, float] | None = None
    complete_test: bool = False  # test subjects have every modality
    whole_head: bool = False  # False: skull-stripped, background exactly 0
    anatomy: Path | None = None  # folder of FreeSurfer label maps; None: procedural
    shift_mm: float = Field(default=0.0, ge=0.0, le=15.0)  # largest displacement of the brain before the ultrasound
    crop_to_us: bool = False  # MR images are 0 where the ultrasound did not look
    probe: Literal["any", "remind-like", "resect-like"] = "any"  # for ultrasound; any: drawn per subject
    acoustic_mm: float = Field(default=0.5, ge=0.25, le=4.0)  # spacing of the tissue that ultrasound is simulated in
    validation: float = Field(default=0.15, ge=0.0, lt=1.0)
    test: float = Field(default=0.15, ge=0.0, lt=1.0)

    @field_validator("missing", mode="before")
    @classmethod
    def _probabilities(cls, value: object) -> object:
        for rate in value.values() if isinstance(value, dict) else [] if value is None else [value]:
            if isinstance(rate, bool) or not isinstance(rate, int | float) or not 0 <= rate < 1:
                raise ValueError(f"{rate!r} is no probability from 0 to below 1")
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
                    raise ValueError(
                        f"missing names '{name}', which is not simulated: {nearest(name, self.modalities)}"
                    )
        return self

    def missing_rate(self, modality: str) -> float:
        """Return the probability that a modality is missing; by default 0.3, or the rates of `REMIND_MISSING` with ultrasound."""
        if isinstance(self.missing, dict):
            return self.missing.get(modality, 0.0)
        if self.missing is not None:
            return self.missing
        return REMIND_MISSING.get(modality, MISSING) if "us" in self.modalities else MISSING


def check_modalities(modalities: tuple[str, ...]) -> None:
    """Raise ModalityError unless these are one or more different modalities that can be simulated."""
    if not modalities:
        raise ModalityError("no modality", "--modalities", "none is named", f"name some of {', '.join(MODALITIES)}")
    for modality in modalities:
        if modality not in MODALITIES:
            why = f"'{modality}' cannot be simulated"
            raise ModalityError("unknown modality", "--modalities", why, nearest(modality, MODALITIES))
    if len(set(modalities)) < len(modalities):
        raise ModalityError("duplicate modality", "--modalities", "one is named twice", "name each once")

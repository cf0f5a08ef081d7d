"""What a simulated cohort is asked to be."""

from __future__ import annotations

from pathlib import Path
from typing import Literal

from pydantic import Field, model_validator

from anymod.configuration import Settings, nearest
from anymod.errors import ModalityError
from anymod.simulation.protocols import MODALITIES as MAGNETIC

MODALITIES = (*MAGNETIC, "us")


class SimulationSettings(Settings):
    """How subjects are simulated."""

    modalities: tuple[str, ...] = ("t1", "cet1", "t2", "flair")
    spacing_mm: float = Field(default=2.0, ge=0.5, le=8.0)  # isotropic; 2 mm keeps gyri and takes about 2 s per subject
    tumours: float = Field(default=0.7, ge=0.0, le=1.0)  # share of subjects that have one
    missing: float = Field(default=0.3, ge=0.0, lt=1.0)  # probability that a modality of a subject is not observed
    complete_test: bool = False  # test subjects have every modality
    whole_head: bool = False  # False: skull-stripped, background exactly 0
    anatomy: Path | None = None  # folder of FreeSurfer label maps; None: procedural
    probe: Literal["any", "remind-like", "resect-like"] = "any"  # for ultrasound; any: drawn per subject
    validation: float = Field(default=0.15, ge=0.0, lt=1.0)
    test: float = Field(default=0.15, ge=0.0, lt=1.0)

    @model_validator(mode="after")
    def _known_modalities(self) -> SimulationSettings:
        check_modalities(self.modalities)
        if "us" in self.modalities and self.whole_head:
            raise ValueError("ultrasound looks at an opened skull: leave out 'us', or the whole head")
        return self


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

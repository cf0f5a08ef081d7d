"""A model as a folder: `model.yaml`, `weights.safetensors`, `card.md`. Nothing in it can run code."""

from __future__ import annotations

import hashlib
import json
import logging
import shutil
from collections.abc import Collection, Mapping
from pathlib import Path
from typing import Annotated, Any, Literal

import torch
from pydantic import Field, model_validator
from safetensors import SafetensorError, safe_open
from safetensors.torch import save
from torch import Tensor

from anymod.cohorts.schema import MODALITY_NAME
from anymod.configuration import Settings, read_yaml, validate, write_yaml
from anymod.core.subsets import subset_name
from anymod.errors import ModalityError, ModelFolderError
from anymod.files import atomic_write, sha256, write_text
from anymod.models.interface import Network, Pixels
from anymod.models.registry import build_model, newer_name
from anymod.resources import bundled_models
from anymod.texts import read_text
from anymod.volumes import IntensityRule

DESCRIPTION, WEIGHTS, CARD = "model.yaml", "weights.safetensors", "card.md"
REFERENCES, TYPICAL, VOXEL_ERRORS = "references.json", "typical.json", "voxel_errors.json"
OPTIONAL = (REFERENCES, TYPICAL, VOXEL_ERRORS)

logger = logging.getLogger(__name__)


RawValue = Annotated[float, Field(ge=-1e30, le=1e30)]  # as in an image (volumes/checks.py)


class ModelModality(Settings):
    """A modality of the model, with its raw intensities."""

    name: str = Field(pattern=f"^{MODALITY_NAME.pattern}$", description="also part of a file name")
    group: str
    low: RawValue = Field(description="median over training subjects of the raw value that means the least foreground")
    high: RawValue = Field(description="median over training subjects of the raw value that means 1")
    background: RawValue = Field(
        default=0.0, description="median over training subjects of the raw value outside the foreground"
    )
    harmonized_median: float | None = Field(
        default=None, gt=0, lt=1, description="c_m: where the median of white matter, or of the core, lies in [0, 1]"
    )

    @model_validator(mode="after")
    def _is_a_range(self) -> ModelModality:
        if not self.low < self.high:
            raise ValueError("a range's low is below high")
        return self


class Calibration(Settings):
    """Errors of a model's images on subjects that it was not trained on (`anymod calibrate`)."""

    cohort: str
    split: str
    subjects: tuple[str, ...] = Field(min_length=1)
    model: str = Field(description="fingerprint of the model that was measured")
    draws: dict[str, Any] = Field(
        default_factory=dict, description="temperature, samples, mirror and so on of the images that were measured"
    )
    errors: dict[str, dict[str, float]] = Field(
        description="root mean squared error over the foreground, images in [-1, 1], by what is shown (t1+flair) and target"
    )


class ModelDescription(Settings):
    """Everything needed to use the weights on a volume, and their origin."""

    format: Literal[1] = 1
    anymod: str
    architecture: str = Field(description="as the file spells it: the fingerprints of older folders stay the same")
    settings: dict[str, Any]
    modalities: tuple[ModelModality, ...] = Field(min_length=1, max_length=16)
    spacing_mm: float = Field(ge=0.01, le=100, description="of the model's isotropic grid")
    image_size: tuple[Pixels, Pixels] = Field(description="rows and columns of a training slice")
    slice_axis: Literal["axial", "all"] = Field(
        default="axial", description="slices that the network has learnt: axial, or those along each axis"
    )
    orientation: Literal["RAS", "LPS"] = Field(default="RAS", description="directions of rows, columns and slices")
    intensity: IntensityRule
    targets: Literal["percentile", "harmonized"]
    training: dict[str, Any] = Field(
        description="cohort's name and fingerprint, subjects and the fingerprints of their images, steps, seed"
    )
    weights_sha256: str = ""
    calibration: Calibration | None = None

    @model_validator(mode="after")
    def _knows_where_white_matter_lies(self) -> ModelDescription:
        # The authors have not published theirs: an evaluation then measures its own.
        harmonized = self.targets == "harmonized" and newer_name(self.architecture) != "dorent2024"
        for modality in self.modalities:
            needed = (harmonized and modality.group != "us") or self.intensity.has_core(modality.group)
            if needed and modality.harmonized_median is None:
                raise ValueError(f"anchor core and harmonized targets need the harmonized_median of {modality.name}")
        return self

    @property
    def names(self) -> tuple[str, ...]:
        """Return the modalities' names in the model's order."""
        return tuple(modality.name for modality in self.modalities)

    @property
    def realistic(self) -> bool:
        """Whether the model has learnt to make images that look real."""
        return self.settings.get("realistic") is not None

    @property
    def mean_settings(self) -> dict[str, Any]:
        """Settings of the network that makes posterior means, without the flow to realistic images.

        Nor those that are empty, which the folders of earlier versions may lack.
        """
        return {name: value for name, value in self.settings.items() if name != "realistic" and value not in (None, {})}

    def fingerprint(self) -> str:
        """Return a SHA-256 of everything that shapes the images: weights, network, grid and intensities."""
        content = self.model_dump(mode="json", exclude={"anymod", "training", "calibration"})
        return hashlib.sha256(json.dumps(content, sort_keys=True).encode()).hexdigest()

    def trained_on(self, cohort: str, subjects: Mapping[str, Collection[str]]) -> list[str]:
        """Return which subjects the model was trained on, given the content fingerprints of each one's images.

        A subject is recognized by any of its images, whatever it is called. Training subjects of which the model knows no fingerprints,
        such as those of a model of an earlier version, are recognized by the names of cohort and subject.
        """
        images = self.training.get("images", {})
        known = {fingerprint for each in images.values() for fingerprint in each}
        same = self.training.get("cohort") == cohort
        names = set(self.training.get("subjects", ())) - set(images) if same else set()
        return [name for name, found in subjects.items() if name in names or not known.isdisjoint(found)]

    def scale(self) -> dict[str, Any]:
        """Return what decides the units of the model's images; models that have the same differ in their constants c_m at most."""
        return {
            "intensity": self.intensity.model_dump(mode="json"),
            "targets": self.targets,
            "constants": {modality.name: modality.harmonized_median for modality in self.modalities},
        }

    def expected_error(self, shown: Collection[str], target: str) -> float | None:
        """Return the root mean squared error to expect of a target, images in [-1, 1]; None where it was not measured."""
        if self.calibration is None:
            return None
        in_order = "+".join(name for name in self.names if name in shown)
        return self.calibration.errors.get(in_order, {}).get(target)

    def position(self, modality: str) -> int:
        """Return a modality's place in the model's order; raise ModalityError for one it does not know."""
        if modality not in self.names:
            remedy = f"this model knows {', '.join(self.names)}"
            raise ModalityError("unknown modality", modality, "the model was not trained on it", remedy)
        return self.names.index(modality)

    def subset_name(self, mask: int) -> str:
        """Return the names of a bit mask of modalities, joined by `+` in the model's order."""
        return subset_name(mask, self.names)


def save_model(folder: Path, model: Network, description: ModelDescription, card: str, *, half: bool = False) -> None:
    """Write a model into a folder. The description is written last: a folder without it is incomplete.

    `half` stores float16: half the size; the network still computes in float32.
    """
    tensors = {
        name: (tensor.half() if half else tensor).detach().cpu().contiguous()
        for name, tensor in model.state_dict().items()
    }
    with atomic_write(folder / WEIGHTS) as temporary:
        temporary.write_bytes(save(tensors))  # save_file makes files that only their owner can read
    write_text(folder / CARD, card)
    content = description.model_copy(update={"weights_sha256": sha256(folder / WEIGHTS)}).model_dump(mode="json")
    write_yaml(folder / DESCRIPTION, content)


def copy_model(folder: Path, copy: Path) -> None:
    """Copy the files of a model folder, and no others, into an existing folder."""
    for name in (WEIGHTS, CARD, *OPTIONAL, DESCRIPTION):
        if (folder / name).is_file():
            shutil.copyfile(folder / name, copy / name)


def load_model(name: str | Path, device: str | torch.device = "cpu") -> tuple[Network, ModelDescription]:
    """Return the network, ready to synthesize, and its description, from a folder or a bundled model's name.

    Raises ModelFolderError where the folder is missing or incomplete, where the weights' SHA-256 is not the one written down, or where
    names or shapes differ from those of the architecture; all this is checked before the weights are read.
    """
    folder = find_model(name)
    content = read_yaml(folder / DESCRIPTION, error=ModelFolderError)
    description = validate(ModelDescription, content, folder / DESCRIPTION, error=ModelFolderError)
    with torch.device("meta"):
        model = build_model(
            description.architecture,
            description.names,
            description.settings,
            str(folder / DESCRIPTION),
            error=ModelFolderError,
        )
    weights = _read_weights(folder / WEIGHTS, description.weights_sha256, model.state_dict())
    model.load_state_dict(weights, assign=True)
    return model.to(device).eval().requires_grad_(False), description


def read_card(folder: Path) -> str:
    """Return a model's card; raise ModelFolderError where it is missing."""
    try:
        return read_text(folder / CARD)
    except (OSError, ValueError) as error:
        raise ModelFolderError("no card", folder / CARD, str(error), "copy the whole model folder again") from error


def find_model(name: str | Path) -> Path:
    """Return the folder of a path or of a bundled model's name; raise ModelFolderError where there is none."""
    folder, bundled = Path(name), bundled_models()
    if (folder / DESCRIPTION).is_file():
        return folder
    if str(name) in bundled:
        return bundled[str(name)]
    why = "it has no model.yaml" if folder.is_dir() else "there is no such folder and no bundled model of this name"
    raise ModelFolderError(
        "no model", name, why, f"give a model folder or one of: {', '.join(bundled) or 'none bundled'}"
    )


def bundled_model_for(names: Collection[str]) -> Path:
    """Return the name of the bundled model that knows most of these modalities, of several the first in alphabetical order.

    Raises ModelFolderError if none knows any.
    """
    known = {
        name: {each["name"] for each in read_yaml(folder / DESCRIPTION, error=ModelFolderError)["modalities"]}
        for name, folder in bundled_models().items()
    }
    chosen = max(known, key=lambda name: len(known[name].intersection(names)))
    if known[chosen].isdisjoint(names):
        why = "no bundled model knows any of these modalities"
        raise ModelFolderError("no model", ", ".join(names), why, "give one with --model")
    logger.info("model: %s (bundled)", chosen)
    return Path(chosen)


def _read_weights(path: Path, expected_sha256: str, expected: Mapping[str, Tensor]) -> dict[str, Tensor]:
    if not path.is_file():
        raise ModelFolderError("no weights", path, "the file is missing", "copy the whole model folder again")
    if sha256(path) != expected_sha256:
        raise ModelFolderError(
            "altered weights", path, "their SHA-256 is not the one in model.yaml", "copy the folder again"
        )
    try:
        with safe_open(path, framework="pt") as stream:
            shapes = {name: tuple(stream.get_slice(name).get_shape()) for name in stream.keys()}  # noqa: SIM118 (no mapping)
            if shapes != {name: tuple(tensor.shape) for name, tensor in expected.items()}:
                remedy = "model.yaml and weights belong to different models; copy the folder again"
                raise ModelFolderError("wrong weights", path, "names or shapes differ from the architecture's", remedy)
            kinds = {stream.get_slice(name).get_dtype() for name in shapes} - {"F16", "BF16", "F32"}
            if kinds:
                why = f"they hold {', '.join(sorted(kinds))} instead of floating-point numbers"
                raise ModelFolderError("wrong weights", path, why, "copy the folder again")
            weights = {name: stream.get_tensor(name).float() for name in shapes}
    except SafetensorError as error:
        raise ModelFolderError("unreadable weights", path, str(error), "copy the folder again") from error
    broken = next((name for name, tensor in weights.items() if not tensor.isfinite().all()), None)
    if broken is not None:
        why = f"'{broken}' holds numbers that are not finite"
        raise ModelFolderError("broken weights", path, why, "train the model again, or take an earlier checkpoint")
    return weights

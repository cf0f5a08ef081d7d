"""Errors to expect in each voxel, in a model folder: by shown subset and target, the weights of `anymod.core.error_model`."""

from __future__ import annotations

import hashlib
from collections.abc import Collection, Sequence
from pathlib import Path
from typing import Annotated, Literal

import numpy as np
import torch
from pydantic import Field, model_validator

from anymod import __version__
from anymod.arrays import Array
from anymod.configuration import Settings
from anymod.core.error_model import error_features, feature_count
from anymod.errors import ModelFolderError
from anymod.files import write_json
from anymod.models.folder import VOXEL_ERRORS
from anymod.models.stored import read_stored

MOST_BYTES = 16_000_000  # four modalities have 0.1 million
Finite = Annotated[float, Field(allow_inf_nan=False)]


class VoxelError(Settings):
    """The errors of one target from one subset: weights of the features, the factor, and the range of logarithms that were seen."""

    weights: tuple[Finite, ...] = Field(min_length=1, max_length=200)
    factor: float = Field(gt=0, le=1000)
    lowest: float = Field(ge=-20, le=5)
    highest: float = Field(ge=-20, le=5)

    @model_validator(mode="after")
    def _is_a_range(self) -> VoxelError:
        if self.lowest > self.highest:
            raise ValueError("lowest is above highest")
        return self

    def expected(self, features: Array) -> Array:
        """Return expected absolute errors (n,) of voxels with features (n, f)."""
        return np.exp(np.clip(features @ np.array(self.weights), self.lowest, self.highest))


class VoxelErrors(Settings):
    """The content of `voxel_errors.json`: errors of images in [-1, 1] by names of the shown images (`t1+flair`) and target."""

    format: Literal[1] = 1
    anymod: str = __version__
    model: str = Field(description="fingerprint of the model that they belong to")
    subjects: tuple[str, ...] = Field(min_length=1)
    modalities: tuple[str, ...] = Field(min_length=1, max_length=16)
    errors: dict[str, dict[str, VoxelError]]

    @model_validator(mode="after")
    def _fits(self) -> VoxelErrors:
        for shown, targets in self.errors.items():
            names = shown.split("+")
            if not {*names, *targets} <= set(self.modalities) or len(set(names)) != len(names):
                raise ValueError(f"'{shown}' names other modalities")
            for target, error in targets.items():
                if len(error.weights) != feature_count(1 + len(names)):
                    raise ValueError(f"{target} from {shown} needs {feature_count(1 + len(names))} weights")
        return self

    def digest(self) -> str:
        """Return the SHA-256 of all that shapes the maps."""
        return hashlib.sha256(self.model_dump_json(include={"modalities", "errors"}).encode()).hexdigest()

    def deviation(
        self, shown: Collection[str], target: str, prediction: Array, images: Sequence[Array], inside: Array
    ) -> Array | None:
        """Return the standard deviation (slice, h, w) to expect of a prediction, 0 outside; None where it was not measured.

        Args:
            shown: Names of the shown images.
            target: Name of the target.
            prediction: Scaled to [-1, 1], (slice, h, w).
            images: The shown images in the model's order, scaled for the network, each (slice, h, w).
            inside: Where a shown image has foreground, (slice, h, w).
        """
        error = self.errors.get("+".join(name for name in self.modalities if name in shown), {}).get(target)
        if error is None:
            return None
        stacks = torch.from_numpy(np.stack([prediction, *images]).astype(np.float32))
        features = error_features(stacks, torch.from_numpy(inside)).numpy()[:, inside].T
        deviation = np.zeros(prediction.shape, np.float32)
        deviation[inside] = error.factor * error.expected(features)
        return deviation


def write_voxel_errors(folder: Path, errors: VoxelErrors) -> None:
    """Write `voxel_errors.json` into a model folder."""
    write_json(folder / VOXEL_ERRORS, errors.model_dump(mode="json", exclude={"format", "anymod"}))


def read_voxel_errors(folder: Path, fingerprint: str) -> VoxelErrors | None:
    """Return the errors in a model folder, None if it has none; raise ModelFolderError if they cannot be read or are another model's."""
    path = folder / VOXEL_ERRORS
    errors = read_stored(path, VoxelErrors, "errors", MOST_BYTES)
    if errors is not None and errors.model != fingerprint:
        remedy = "run 'anymod calibrate --crossvalidation' again, or remove the file"
        raise ModelFolderError("another model's errors", path, "they belong to other weights", remedy)
    return errors

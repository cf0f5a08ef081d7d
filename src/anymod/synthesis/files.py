"""Synthesis of one subject from image files to image files, with a record of how they were made."""

from __future__ import annotations

import logging
import time
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import numpy as np
import torch

from anymod.engines.backends import Backend
from anymod.figures.volumes import draw_synthesis
from anymod.files import write_json
from anymod.folders import staged_folder
from anymod.models import find_model
from anymod.slices.building import MOST_CUT_OFF
from anymod.slices.model_input import RULE
from anymod.synthesis.options import SynthesisOptions
from anymod.synthesis.synthesizer import Synthesis, Synthesizer
from anymod.volumes import Volume, foreground_of, image_fingerprint, read_labels, read_volume, resample, write_volume
from anymod.volumes.formats.nifti import SYNTHETIC

RECORD, PREVIEW = "synthesis.json", "preview.png"

logger = logging.getLogger(__name__)


@dataclass(frozen=True)
class Inputs:
    """Files of one subject: an image per shown modality, and a mask of their foreground or None."""

    images: dict[str, Path]
    mask: Path | None = None
    subject: str = ""
    _hashes: dict[str, str] = field(default_factory=dict, compare=False, repr=False)

    @property
    def files(self) -> dict[str, Path]:
        """All files by modality, and the mask."""
        return {**self.images, **({"mask": self.mask} if self.mask is not None else {})}

    def fingerprints(self) -> dict[str, str]:
        """Return the SHA-256 of each image; that of a DICOM series covers all its files."""
        if not self._hashes:
            self._hashes.update({name: image_fingerprint(path) for name, path in self.files.items()})
        return self._hashes


def synthesize_files(
    model: str | Path,
    inputs: Inputs,
    out: Path,
    options: SynthesisOptions | None = None,
    *,
    device: str = "auto",
    backend: Backend = "torch",
    overwrite: bool = False,
) -> dict[str, Any]:
    """Write each target as `out`/<target>.nii.gz with `synthesis.json` and `preview.png`; return the content of the JSON.

    Raises an AnymodError and writes nothing if a file, a modality, a grid or the model cannot be used.
    """
    synthesizer = Synthesizer.from_folder(model, device, backend)
    synthesizer.targets(tuple(inputs.images), (options or SynthesisOptions()).targets)
    keep = (find_model(model), *inputs.files.values())
    with staged_folder(out, overwrite=overwrite, keep=keep) as folder:
        return write_subject(synthesizer, find_model(model).name, inputs, options or SynthesisOptions(), folder)


def write_subject(
    synthesizer: Synthesizer, model_name: str, inputs: Inputs, options: SynthesisOptions, folder: Path
) -> dict[str, Any]:
    """Synthesize one subject into an existing folder; write the record last and return it."""
    start = time.perf_counter()
    volumes = {name: read_volume(path) for name, path in inputs.images.items()}
    mask = None if inputs.mask is None else read_labels(inputs.mask)
    reading = round(time.perf_counter() - start, 3)
    synthesis = synthesizer.synthesize(volumes, options, mask)
    if synthesis.cut_off > MOST_CUT_OFF:
        text = "%s: %.0f %% of the foreground lies outside what the model can see and stays background"
        logger.warning(text, inputs.subject or "the subject", 100 * synthesis.cut_off)
    if synthesis.unusual:
        logger.warning("%s: unusual images: %s", inputs.subject or "the subject", "; ".join(synthesis.unusual))
    start = time.perf_counter()
    outputs = _write_images(synthesis, folder)
    _draw_preview(folder / PREVIEW, volumes, mask, synthesis)
    seconds = {"read": reading, **synthesis.seconds, "write": round(time.perf_counter() - start, 3)}
    record = {
        **identity(synthesizer, inputs, options),
        "model_name": model_name,
        "files": {name: str(path) for name, path in inputs.files.items()},
        "targets": list(synthesis.images),
        "outputs": outputs,
        "grid": {"shape": list(synthesis.grid.shape), "affine": synthesis.grid.affine.tolist()},
        "units": {name: {"low": low, "high": high} for name, (low, high) in synthesis.units.items()},
        "expected_errors": {name: synthesis.expected_errors.get(name) for name in synthesis.images},
        "foreground_not_seen": round(synthesis.cut_off, 4),
        "unusual": list(synthesis.unusual),
        "compared_with_training_images": synthesizer.typical is not None,
        "notes": {name: list(volume.notes) for name, volume in volumes.items() if volume.notes},
        "device": str(synthesizer.device),
        "torch": torch.__version__,
        "seconds": seconds,
        "notice": "Synthetic images, not acquired. Research use only; not for diagnosis.",
    }
    write_json(folder / RECORD, record)
    return record


def _draw_preview(path: Path, volumes: dict[str, Volume], mask: Volume | None, synthesis: Synthesis) -> None:
    marked = None if mask is None else mask.data
    foreground = np.logical_or.reduce(
        [foreground_of(volume.data, marked, volume.spacing_mm) for volume in volumes.values()]
    )
    shown = {name: volumes[name] for name in synthesis.shown}
    grid = next(iter(shown.values())).grid  # with right angles, which that of the files need not have
    images, deviations = (
        {name: resample(volume, grid) for name, volume in each.items()}
        for each in (synthesis.images, synthesis.standard_deviations)
    )
    draw_synthesis(path, shown, images, deviations, foreground, realistic=synthesis.realistic)


def identity(synthesizer: Synthesizer, inputs: Inputs, options: SynthesisOptions) -> dict[str, Any]:
    """Return everything that determines a subject's images: equal identities give equal images."""
    description = synthesizer.description
    shown = [name for name in description.names if name in inputs.images]
    wanted = synthesizer.targets(shown, options.targets)
    return {
        "subject": inputs.subject,
        "shown": shown,
        "wanted": list(wanted),
        **options.draws(),
        "backend": synthesizer.backend,
        "model_sha256": description.weights_sha256,
        "model_fingerprint": description.fingerprint(),
        "voxel_errors": None if synthesizer.voxel_errors is None else synthesizer.voxel_errors.digest(),
        "scaled_errors": {name: description.expected_error(shown, name) for name in wanted},
        "inputs_sha256": inputs.fingerprints(),
        "slicing_rule": RULE,
    }


def _write_images(synthesis: Synthesis, folder: Path) -> list[str]:
    """Write targets and standard deviations; the NIfTI field `descrip` says what each file is."""
    source = "+".join(synthesis.shown)
    named: dict[str, tuple[Volume, str]] = {}
    for target, volume in synthesis.images.items():
        kind = "realistic image" if synthesis.realistic else "image"
        named[f"{target}.nii.gz"] = (volume, f"{SYNTHETIC} {kind} {target} from {source}")
    for target, volume in synthesis.standard_deviations.items():
        kind = "deviation" if synthesis.errors_known(target) else "sample deviation"
        named[f"{target}_sd.nii.gz"] = (volume, f"{SYNTHETIC} {kind} {target} from {source}")
    for name, (volume, description) in named.items():
        write_volume(folder / name, volume, description)
    return list(named)

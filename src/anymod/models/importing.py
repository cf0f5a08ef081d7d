"""Import of the published weights into a model folder, without running anything in their file."""

from __future__ import annotations

import json
import os
import subprocess
import sys
import tempfile
from pathlib import Path
from typing import Literal

from safetensors.torch import load_file
from torch import Tensor

from anymod import __version__
from anymod.cohorts import default_group
from anymod.errors import ModelFolderError
from anymod.files import sha256
from anymod.folders import staged_folder
from anymod.models.dorent2024 import translated
from anymod.models.folder import ModelDescription, ModelModality, save_model
from anymod.volumes import IntensityRule

SPACING_MM = 0.5  # of their volumes (deviation D3)
BRIGHTEST_US = 255.0  # of stored B-mode images
TOO_MUCH = "reading it takes more time or memory than such files should"
LONGEST_SECONDS = 600  # of wall time, for busy machines and slow disks
GIVE_THEIRS = "give the file of a plain state_dict, such as CP_main_1000.pth"


def import_weights(
    file: Path,
    out: Path,
    *,
    image_size: tuple[int, int] | None = None,
    spacing_mm: float = SPACING_MM,
    orientation: Literal["RAS", "LPS"] = "LPS",
    overwrite: bool = False,
) -> ModelDescription:
    """Write a model folder with the weights of the authors' network; return its description.

    Args:
        file: The published `state_dict`: names to float32 tensors.
        out: Folder to create.
        image_size: Rows and columns of a slice; needed only where it is not square.
        spacing_mm: Of the isotropic grid that slices are taken from.
        orientation: Directions that rows, columns and slices run to.
        overwrite: Replace what `out` holds.

    Raises ModelFolderError where the file holds anything but tensors, or one is missing, too many, or of another shape or type.
    """
    tensors = _read(file)
    try:
        model = translated(tensors, image_size)
        modalities = tuple(
            ModelModality(name=name, group=default_group(name), low=0.0, high=BRIGHTEST_US if name == "us" else 1.0)
            for name in model.spec.modalities
        )
    except ValueError as problem:
        raise ModelFolderError("other weights", file, str(problem), GIVE_THEIRS) from problem
    description = ModelDescription(
        anymod=__version__,
        architecture="dorent2024",
        settings=model.settings.model_dump(mode="json"),
        modalities=modalities,
        spacing_mm=spacing_mm,
        image_size=model.settings.image_size,
        orientation=orientation,
        intensity=IntensityRule(),  # theirs: minimum and 99.95th percentile of the volume's foreground (deviation A9)
        targets="harmonized",
        training={"imported_from": file.name, "imported_sha256": sha256(file)},
    )
    with staged_folder(out, overwrite=overwrite, keep=(file,)) as folder:
        save_model(folder, model, description, _card(description))
    return description


def _read(file: Path) -> dict[str, Tensor]:
    """Return the float32 tensors of a file by name, read by a child process with limits; refuse any other file."""
    if not file.is_file():
        raise ModelFolderError("no weights", file, "there is no such file", GIVE_THEIRS)
    with tempfile.TemporaryDirectory(prefix="anymod-") as folder:
        out = Path(folder) / "weights.safetensors"
        command = [sys.executable, "-P", "-m", f"{__package__}.importing_child", str(file.absolute()), str(out)]
        environment = {**os.environ, "OMP_NUM_THREADS": "1", "OPENBLAS_NUM_THREADS": "1"}  # stacks count as memory
        try:
            child = subprocess.run(  # noqa: S603 (this interpreter, this package, and paths)
                command, check=True, capture_output=True, env=environment, timeout=LONGEST_SECONDS
            )
        except subprocess.SubprocessError:
            raise ModelFolderError("unreadable weights", file, TOO_MUCH, GIVE_THEIRS) from None
        answer = json.loads(child.stdout)
        if "error" in answer:
            raise ModelFolderError("unreadable weights", file, answer["error"], GIVE_THEIRS)
        tensors = load_file(out)
    return {
        name: tensors[name] for name in answer["names"]
    }  # in the order of the file, which is that of the modalities


def _card(description: ModelDescription) -> str:
    height, width = description.image_size
    rows, columns = (_DIRECTIONS[letter] for letter in description.orientation[:2])
    return f"""# Model card

Weights of the paper's authors (Dorent et al.; ReubenDo/MMHVAE) for {", ".join(description.names)}, imported from
`{description.training["imported_from"]}` by anymod {description.anymod}. Their repository states training data and licence.

- **Intended use**: research. Not a medical device; a synthetic image is an estimate and can miss or invent pathology.
- **Input**: ultrasound of an operation, and MR aligned to it and cut to its fan (`anymod prepare --resample-to us --cut-to us`), at
  {description.spacing_mm:g} mm; slices of {height} x {width}, rows to the patient's {rows}, columns to the {columns}. These directions
  are what the authors' scripts do to the archive's files as we read them; they were not compared with slices of theirs. What does not
  fit into a slice stays background; a warning says how much.
- **Output**: MR on the authors' harmonized scale, 0 to 1, whose constants are not published; ultrasound on its own scale, or 0 to 255.
- **Differences** from their scripts: outputs cover the union of the images given, not the first one's foreground; one noise a volume.
- The standard deviation of samples is not a calibrated uncertainty (`anymod calibrate` adds measured errors).
"""


_DIRECTIONS = {"R": "right", "L": "left", "A": "front", "P": "back"}

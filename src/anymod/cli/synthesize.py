"""The verb `anymod synthesize`."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from typing import Annotated

from anymod.cli.verbs import ChosenModel, Json, Out, Overwrite, Verb, print_result
from anymod.compute import Compute
from anymod.configuration import option
from anymod.synthesis import SynthesisOptions


@dataclass(frozen=True)
class Synthesize(Verb):
    """Writes DIR/<target>.nii.gz on the grid of the inputs, and synthesis.json. For a whole cohort, use anymod impute.

    Example:
      anymod synthesize --input t1=t1.nii.gz --input flair=flair.nii.gz \\
        --target t2 --out filled
    """

    daily = ("model", "inputs", "mask", "out", "targets", "samples", "temperature", "overwrite")
    left_out = ("workers", "scheduler")
    flags = {"inputs": "--input", "targets": "--target"}

    inputs: Annotated[dict[str, Path], option("Modality and its file; repeat for each image.", "NAME=FILE")]
    out: Out
    options: SynthesisOptions
    compute: Compute
    model: ChosenModel = None
    mask: Annotated[Path | None, option("Foreground mask; found automatically by default.", "FILE")] = None
    overwrite: Overwrite = False
    json: Json = False

    def run(self) -> None:
        """Write the images and print their files."""
        from anymod.models import bundled_model_for  # loads torch
        from anymod.synthesis import Inputs, synthesize_files

        record = synthesize_files(
            self.model or bundled_model_for((*self.inputs, *(self.options.targets or ()))),
            Inputs(self.inputs, self.mask),
            self.out,
            self.options,
            device=self.compute.device,
            backend=self.compute.backend,
            overwrite=self.overwrite,
        )
        print_result(record, "\n".join(str(self.out / name) for name in record["outputs"]), as_json=self.json)

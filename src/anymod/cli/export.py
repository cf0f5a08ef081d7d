"""The verb `anymod export`."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Annotated

from anymod.cli.verbs import Json, Model, Out, Overwrite, Verb, print_result
from anymod.compute import Compute, GraphFormat
from anymod.configuration import option


@dataclass(frozen=True)
class Export(Verb):
    """The graph takes any subset of the images and is compared with torch before it is kept; a description and an example lie beside it.
    Needs the packages of anymod[export].

    Example:
      anymod export --model simulated-mr --format onnx --out exported
    """

    left_out = ("device", "backend", "workers", "scheduler")

    model: Model
    format: Annotated[GraphFormat, option("What to write.")]
    out: Out
    compute: Compute
    overwrite: Overwrite = False
    json: Json = False

    def run(self) -> None:
        """Export the model and print how far its images are from torch's."""
        from anymod.engines import export_model  # loads torch

        content = export_model(self.model, self.out, self.format, overwrite=self.overwrite)
        difference = f"differs from torch by at most {content['largest_difference_from_torch']:.1e}"
        print_result(content, f"{self.out / content['graph']}: {difference}", as_json=self.json)

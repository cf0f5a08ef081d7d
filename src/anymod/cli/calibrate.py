"""The verb `anymod calibrate`."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from typing import Annotated

from anymod.cli.verbs import Json, Model, Out, Overwrite, Verb, print_result
from anymod.configuration import option


@dataclass(frozen=True)
class Calibrate(Verb):
    """The copy knows the errors in a report of anymod evaluate; its standard deviations (anymod synthesize --samples) include them.

    Example:
      anymod calibrate --model run/model --report report --out calibrated
    """

    model: Model
    report: Annotated[Path, option("Report on subjects that the model was not trained on.", "DIR")]
    out: Out
    overwrite: Overwrite = False
    json: Json = False

    def run(self) -> None:
        """Write the calibrated copy and print the errors."""
        from anymod.evaluation import calibrate  # loads torch

        calibration = calibrate(self.model, self.report, self.out, overwrite=self.overwrite)
        lines = [f"root mean squared error on {len(calibration.subjects)} subjects, of images in [-1, 1]:"]
        for shown, errors in calibration.errors.items():
            lines.append(f"{shown}: " + ", ".join(f"{target} {error:.3f}" for target, error in errors.items()))
        print_result(calibration.model_dump(mode="json"), "\n".join(lines), as_json=self.json)

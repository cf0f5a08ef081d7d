"""The verb `anymod calibrate`."""

from __future__ import annotations

from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Annotated

from anymod.cli.verbs import Json, Model, Out, Overwrite, Verb, print_result
from anymod.configuration import option


@dataclass(frozen=True)
class Calibrate(Verb):
    """With --report, the copy knows the errors in a report of anymod evaluate; its standard deviations (anymod synthesize --samples)
    include them. With --crossvalidation, it knows how large the error of each voxel is likely to be, and anymod synthesize writes that.
    With --cohort alone, it knows its training images: what they look like, so that others are noticed, and what the simple predictors of
    anymod evaluate need. anymod train writes that, too.

    Example:
      anymod calibrate --model run/model --report report --out calibrated
    """

    excluding = {"--report": ("--cohort", "--crossvalidation")}

    model: Model
    out: Out
    report: Annotated[Path | None, option("Report on subjects that the model was not trained on.", "DIR")] = None
    cohort: Annotated[
        Path | None, option("Cohort that the model was trained on, or that of --crossvalidation.", "DIR")
    ] = None
    crossvalidation: Annotated[
        Path | None, option("What anymod crossvalidate wrote for the same recipe and --cohort.", "DIR")
    ] = None
    overwrite: Overwrite = False
    json: Json = False

    def __post_init__(self) -> None:
        super().__post_init__()
        if self.report is None and self.cohort is None:
            raise ValueError("give --report or --cohort")

    def run(self) -> None:
        """Write the copy and print what it knows."""
        if self.cohort is not None and self.crossvalidation is not None:
            self._learn_errors(self.cohort, self.crossvalidation)
        elif self.cohort is not None:
            self._learn_images(self.cohort)
        if self.report is not None:
            self._calibrate(self.report)

    def _calibrate(self, report: Path) -> None:
        from anymod.evaluation import calibrate  # loads torch

        calibration = calibrate(self.model, report, self.out, overwrite=self.overwrite)
        lines = [f"root mean squared error on {len(calibration.subjects)} subjects, of images in [-1, 1]:"]
        for shown, errors in calibration.errors.items():
            lines.append(f"{shown}: " + ", ".join(f"{target} {error:.3f}" for target, error in errors.items()))
        print_result(calibration.model_dump(mode="json"), "\n".join(lines), as_json=self.json)

    def _learn_errors(self, cohort: Path, crossvalidation: Path) -> None:
        from anymod.cohorts import read_cohort
        from anymod.evaluation.voxel_errors import learn_voxel_errors  # loads torch

        errors, coverage = learn_voxel_errors(
            self.model, crossvalidation, read_cohort(cohort), self.out, overwrite=self.overwrite
        )
        lines = [f"{self.out} knows the errors of each voxel, from {len(errors.subjects)} held-out subjects"]
        lines += [f"{each.where}: {each.one:.0%} within one, {each.two:.0%} within two deviations" for each in coverage]
        content = {"subjects": list(errors.subjects), "coverage": [asdict(each) for each in coverage]}
        print_result(content, "\n".join(lines), as_json=self.json)

    def _learn_images(self, cohort: Path) -> None:
        from anymod.cohorts import read_cohort
        from anymod.evaluation.training_images import learn_training_images  # loads torch

        count = learn_training_images(self.model, read_cohort(cohort), self.out, overwrite=self.overwrite)
        text = f"{self.out} knows the images of {count} training subjects"
        print_result({"subjects": count}, text, as_json=self.json)

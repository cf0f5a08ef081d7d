"""The verb `anymod demo`."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

from anymod.cli.verbs import Model, Out, Overwrite, Seed, Verb, say
from anymod.compute import Compute


@dataclass(frozen=True)
class Demo(Verb):
    """Needs no data and takes a minute or two. Look at DIR/demo.png afterwards.

    Example:
      anymod demo --out demo
    """

    out: Out
    compute: Compute
    model: Model = Path("simulated-us")
    seed: Seed = 0
    overwrite: Overwrite = False

    def run(self) -> None:
        """Make the demonstration, print the scores and where to look."""
        from anymod.demo import demonstrate
        from anymod.evaluation import printed_text  # loads torch
        from anymod.folders import staged_folder
        from anymod.models import find_model

        with staged_folder(self.out, overwrite=self.overwrite, keep=(find_model(self.model),)) as folder:
            result = demonstrate(self.model, folder, self.seed, self.compute)
        say(printed_text(result.evaluation))
        say(f"\nLook at {self.out / result.figure.relative_to(folder)}")
        for place in result.folders:
            say(f"Volumes in {self.out / place.relative_to(folder)}")

"""The verb `anymod simulate`."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from typing import Annotated

import typer

from anymod.cli.verbs import Overwrite, Seed, Verb, say
from anymod.compute import Workers
from anymod.configuration import option
from anymod.shards import Sharing
from anymod.simulation import SimulationSettings


@dataclass(frozen=True)
class Simulate(Verb):
    """Writes MR images (with us, ultrasound of an operation too), tumour labels and tissue maps.
    The same command continues an interrupted run.

    Example:
      anymod simulate --subjects 8 --seed 0 --out cohort
    """

    daily = ("out", "subjects", "seed", "modalities", "missing", "spacing_mm", "preview", "overwrite")
    flags = {"shift_mm": "--brain-shift"}
    excluding = {"--preview": ("--out",)}

    settings: SimulationSettings
    work: Workers
    sharing: Sharing
    out: Annotated[Path | None, option("Folder to create.", "DIR")] = None
    preview: Annotated[
        Path | None, option("Draw the first subject, in seconds, instead of making a cohort.", "PNG")
    ] = None
    subjects: Annotated[int, option("Number of subjects.", ge=1)] = 8
    seed: Seed = 0
    overwrite: Overwrite = False

    def run(self) -> None:
        """Write the cohort, or the picture of a subject."""
        from anymod.demo.preview import preview
        from anymod.simulation import Simulation, merge_simulated, simulate_cohort, simulate_shard

        if self.preview is not None:
            preview(self.preview, self.seed, self.settings, overwrite=self.overwrite)
            say(f"the first subject is drawn in {self.preview}")
            return
        if self.out is None:
            raise typer.BadParameter("give --out, or --preview")
        if self.sharing.shard is not None:
            simulation = Simulation.of(self.subjects, self.seed, self.settings)
            shard = self.sharing.shard
            say(f"shard: {simulate_shard(simulation, self.out, shard, self.work, overwrite=self.overwrite)}")
            return
        if self.sharing.merge is not None:
            simulation = Simulation.of(self.subjects, self.seed, self.settings)
            cohort = merge_simulated(simulation, self.out, self.sharing.merge, overwrite=self.overwrite)
        else:
            cohort = simulate_cohort(
                self.out,
                self.subjects,
                self.seed,
                self.settings,
                workers=self.work.workers,
                scheduler=self.work.scheduler,
                overwrite=self.overwrite,
            )
        counts = {name: sum(name in each.paths for each in cohort.subjects) for name in cohort.modality_names}
        observed = ", ".join(f"{name} {count}" for name, count in counts.items())
        say(f"{len(cohort.subjects)} subjects in {self.out} ({observed})")

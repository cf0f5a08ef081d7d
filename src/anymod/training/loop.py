"""The training loop: networks, optimizers and schedules from the first step to the last, resumable at any step."""

from __future__ import annotations

import logging
from collections.abc import Iterator
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path
from typing import Any, cast

import torch
from torch import nn
from torch.optim.swa_utils import AveragedModel, get_ema_multi_avg_fn

from anymod.cohorts import Cohort
from anymod.core.batch import Batch
from anymod.core.noise import Noise, noise_of_rows
from anymod.errors import CohortError, ConfigurationError, OutputError
from anymod.figures.curves import write_curves
from anymod.files import atomic_write
from anymod.folders import replaced_folder
from anymod.models import Draws, Network, built
from anymod.processes import Terminated, sigterm_noted
from anymod.progress import track
from anymod.randomness import derive_seed, torch_generator
from anymod.slices import BatchPlan, SliceCache, check_repeats
from anymod.slices.references import References
from anymod.training.adversary import build_discriminators, real_of, real_subjects
from anymod.training.checkpoints import BEST, load_state, save_state
from anymod.training.model_writing import FinishedTraining, write_model
from anymod.training.reading import StepBatches, reading
from anymod.training.recipe import Recipe
from anymod.training.records import Records
from anymod.training.schedules import adversarial_weight, discriminators_learn, learning_rate, subsets_of_step
from anymod.training.starting_weights import take_weights
from anymod.training.step import Judges, Update, discriminators_step, model_step
from anymod.training.validation import ValidationSlices, validate

SCORE_UNITS = "cohort"  # of the best validation score; checkpoints of earlier versions hold it in units of their recipe
MOST_SEEN = 4000  # slices that the network sees before its first step
CHECKPOINTS, MODEL, PICTURES = "checkpoints", "model", "pictures"

logger = logging.getLogger(__name__)


@dataclass(frozen=True)
class Share:
    """The part of the work that this process does: its rank among `count` processes, its device, and Fabric to communicate and cast."""

    rank: int
    count: int
    device: torch.device
    fabric: Any

    def any(self, here: bool) -> bool:
        """Return whether a statement holds in any of the processes."""
        if self.count == 1:
            return here
        there = self.fabric.all_reduce(torch.tensor(float(here), device=self.device), reduce_op="sum")
        return bool(there > 0)

    def rows(self, total: int) -> slice:
        """Return this process's rows of a batch of `total`."""
        each = total // self.count
        return slice(self.rank * each, (self.rank + 1) * each)


class Run:
    """Networks, optimizers and the number of the next step: everything that a checkpoint holds."""

    def __init__(self, recipe: Recipe, cohort: Cohort, cache: SliceCache, out: Path, share: Share) -> None:
        self.recipe, self.cohort, self.cache, self.out, self.share = recipe, cohort, cache, out, share
        settings = recipe.training
        self.groups = tuple(modality.group for modality in cohort.modalities)
        data, train = recipe.data, cache.of_split("train")
        self.real = real_subjects(cohort, recipe.objective)
        real = [place for place in train if cache.subjects[place] in self.real]
        check_repeats((subject.name for subject in cohort.subjects), data.repeats)
        self.plan = BatchPlan(cache, settings.batch_size, settings.seed, train, data.labelled_share, data.repeats, real)
        if data.transplants:
            self.plan.require_labels("transplants")
        with torch.random.fork_rng(devices=[]):
            torch.manual_seed(derive_seed(settings.seed, "weights"))
            model = built(recipe.model, cohort.modality_names, "model", error=ConfigurationError)
            discriminators = build_discriminators(
                len(self.groups), settings.discriminator_width, settings.discriminator_depth
            )
        self.model: Network = model.to(share.device)
        self.discriminators: nn.ModuleList = discriminators.to(share.device)
        self.optimizer = torch.optim.Adamax(self.model.parameters(), lr=settings.learning_rate)
        self.discriminator_optimizer = torch.optim.Adam(
            self.discriminators.parameters(), lr=settings.discriminator_learning_rate
        )
        self.averaged = AveragedModel(self.model, multi_avg_fn=get_ema_multi_avg_fn(settings.ema_decay))
        self.started_from: str | None = None
        self.seen_before: dict[str, list[str]] = {}
        """Fingerprints of the images that the initial weights were trained on, by subject."""
        self.step = 0
        self.best = -float("inf")
        subjects = cache.of_split("validation")
        context = recipe.model.settings.context_slices
        self.validation = ValidationSlices(cache, subjects, context) if subjects else None

    @property
    def smoothed(self) -> Network:
        """Network with the exponential moving average of the weights, which becomes the model folder."""
        return cast(Network, self.averaged.module)

    def state(self) -> dict[str, Any]:
        """Return everything that `load` needs to continue exactly."""
        parts = {name: part.state_dict() for name, part in self._parts().items()}
        return {
            "step": self.step,
            "best": self.best,
            "best_in": SCORE_UNITS,
            "groups": list(self.groups),
            "slices": self.cache.fingerprint,
            "started_from": self.started_from,
            "seen_before": self.seen_before,
            **parts,
        }

    def load(self, state: dict[str, Any]) -> None:
        """Continue from a state; raise CohortError if that run began with other images or groups, OutputError if version 0.1 made it."""
        if "slices" not in state:
            why = "an earlier version of anymod made its checkpoints"
            raise OutputError("cannot resume", self.out, why, "choose another --out")
        if tuple(state["groups"]) != self.groups:
            why = "the groups of its modalities differ from those of the run"
            raise CohortError("another cohort", self.cohort.root, why, "give the same cohort, or choose another --out")
        if state["slices"] != self.cache.fingerprint:
            why = "its files differ from those of the run"
            raise CohortError("another cohort", self.cohort.root, why, "give the same cohort, or choose another --out")
        self.step, self.best, self.started_from = state["step"], state["best"], state["started_from"]
        if "seen_before" in state:
            self.seen_before = state["seen_before"]
        elif self.started_from is not None:
            logger.warning("an earlier version began this run: what its initial weights were trained on is not known")
        if state.get("best_in") != SCORE_UNITS and self.best > -float("inf"):
            logger.warning(
                "an earlier version measured the best validation score in other units; the next one counts as best"
            )
            self.best = -float("inf")
        for name, part in self._parts().items():
            part.load_state_dict(state[name])

    def _parts(self) -> dict[str, Any]:
        return {
            "model": self.model,
            "discriminators": self.discriminators,
            "optimizer": self.optimizer,
            "discriminator_optimizer": self.discriminator_optimizer,
            "averaged": self.averaged,
        }

    def train(self, records: Records | None) -> None:
        """Train from the current step to the last; only the process that has `records` writes files.

        After SIGTERM, the step is finished and saved, and `Terminated` is raised.
        """
        settings = self.recipe.training
        rows = self.share.rows(settings.batch_size)
        source = StepBatches(self.cache, self.plan, self.recipe, rows)
        steps, processes = range(self.step, settings.steps), self.recipe.data.loader_processes
        with sigterm_noted() as asked_to_end, reading(source, steps, processes) as batches:
            for batch in track(batches, "training", settings.steps, done=self.step):
                values = self.advance(batch.to(self.share.device))
                self.step += 1
                validates = self.step % settings.validate_every == 0 or self.step == settings.steps
                if validates:
                    values |= self._validate(records)
                ends_early = self.share.any(asked_to_end()) and self.step < settings.steps
                if records is not None:
                    self._record(records, values, validated=validates, save=ends_early)
                if ends_early:
                    if records is not None:
                        logger.warning("SIGTERM: saved the checkpoint of step %d; continue with --resume", self.step)
                    raise Terminated

    def _record(self, records: Records, values: dict[str, float], *, validated: bool, save: bool) -> None:
        """Record the numbers of the step, and write curves and checkpoint, where each is due."""
        settings = self.recipe.training
        if validated or self.step % settings.log_every == 0:
            records.add(self.step - 1, values)
        if validated:
            records.write()
            write_curves(records.path, self.out / PICTURES / "curves.png")
        if save or self.step % settings.checkpoint_every == 0 or self.step == settings.steps:
            records.write()
            save_state(self.out / CHECKPOINTS, self.state())

    def advance(self, batch: Batch) -> dict[str, float]:
        """Take one step of the network and, once they learn, of the discriminators; return the numbers to record."""
        recipe, step = self.recipe, self.step
        rows = self.share.rows(recipe.training.batch_size)
        rate = learning_rate(step, recipe.training)
        for group in self.optimizer.param_groups:
            group["lr"] = rate
        learns = discriminators_learn(step, recipe.objective)
        weight = adversarial_weight(step, recipe.objective)
        objective = recipe.objective
        judges = Judges(
            self.discriminators, weight, objective.adversarial_subsets == "all", objective.perceptual_weight
        )
        shown = self._shown(step)[:, rows].to(self.share.device)
        noises = [self._noise(step, draw, rows) for draw in range(len(shown))]
        update = self._update(step)
        wanted = torch.ones_like(batch.observed) if learns else batch.observed
        report = model_step(self.model, self.optimizer, batch, Draws(shown, noises, wanted, step), judges, update)
        self.averaged.update_parameters(self.model)
        values = {**report.terms, "gradient_norm": report.gradient_norm, "learning_rate": rate}
        if learns:
            real = self._real(batch)
            values["discriminators"] = discriminators_step(
                self.discriminators, self.discriminator_optimizer, real, report.fakes, update, batch.subjects
            )
        return values

    def _shown(self, step: int) -> torch.Tensor:
        """Return the subsets that the rows of the whole batch show: all processes draw the same, then each takes its rows."""
        subjects, _ = self.plan.rows(step)
        observed = torch.tensor([self.cache.records[int(subject)].observed for subject in subjects])
        return subsets_of_step(observed, self.groups, step, self.recipe.objective, self.recipe.training.seed)

    def _noise(self, step: int, draw: int, rows: slice) -> Noise:
        seed, device = self.recipe.training.seed, self.share.device
        return noise_of_rows(
            torch_generator(seed, "noise", step, draw, device=device), rows, self.recipe.training.batch_size
        )

    def _update(self, step: int) -> Update:
        fabric = self.share.fabric
        average = (lambda tensor: fabric.all_reduce(tensor, reduce_op="mean")) if self.share.count > 1 else None
        return Update(step, self.recipe.training.max_gradient_norm, fabric.autocast, average)

    def _real(self, batch: Batch) -> list[torch.Tensor]:
        """Return real slices of each modality: from the batch, or from other subjects where the batch has none."""
        flags = torch.tensor([name in self.real for name in batch.subjects], device=batch.observed.device)
        real = real_of(batch.targets, batch.observed, batch.foreground, flags)
        for number, slices in enumerate(real):
            if not len(slices):
                subjects, positions = self.plan.real_slices(self.step, number, len(batch.subjects))
                if len(subjects):
                    read = self.cache.read(subjects, positions, 0).targets[:, number]
                    real[number] = read.to(self.share.device)
        return real

    def _validate(self, records: Records | None) -> dict[str, float]:
        """Score the validation subjects and write the current model folder; the other processes wait."""
        values: dict[str, float] = {}
        if records is not None:
            if self.validation is not None:
                model = self.smoothed.eval()
                picture = self.out / PICTURES / f"step-{self.step:07d}.png"
                values = validate(model, self.validation, self.share.device, picture)
                text = ", ".join(f"{name} {value:.2f}" for name, value in values.items())
                logger.info("step %d: %s", self.step, text)
            self._write_model(values.get("validation_hidden_psnr_db"))
        self.share.fabric.barrier()
        return values

    @cached_property
    def _references(self) -> References:
        places = self.cache.of_split("train")
        kinds = [self.cohort.subject(self.cache.subjects[place]).kind for place in places]
        return References.of(self.cache, places, kinds)

    def _write_model(self, quality: float | None) -> None:
        """Write the model folder, unless the recipe selects the best model and this one is not better."""
        better = quality is not None and quality > self.best
        if better and quality is not None:
            self.best = quality
            save_best(self.out / CHECKPOINTS, self.smoothed, self.step)
        if better or quality is None or self.recipe.training.select == "last":
            training = FinishedTraining(
                self.recipe, self.cohort, self.cache, self._references, self.step, self.started_from, self.seen_before
            )
            with replaced_folder(self.out / MODEL) as folder:
                write_model(folder, self.smoothed, training)


def save_best(folder: Path, model: Network, step: int) -> None:
    """Save the weights with the best validation score."""
    with atomic_write(folder / BEST) as temporary, temporary.open("wb") as stream:
        torch.save({"step": step, "model": model.state_dict()}, stream)


def resume(run: Run) -> None:
    """Continue from the newest checkpoint of the run's folder; without one, begin with the weights that the recipe names."""
    state = load_state(run.out / CHECKPOINTS)
    if state is not None:
        run.load(state)
    elif run.recipe.training.start_from is not None:
        start = take_weights(run.model, run.recipe, run.cohort.modality_names)
        run.started_from, run.seen_before = start.weights_sha256, dict(start.training.get("images", {}))
        if start.training.get("subjects") and not run.seen_before:
            logger.warning("%s does not say which images it was trained on", run.recipe.training.start_from)
    if state is None:
        run.model.see(_first_slices(run))


def _first_slices(run: Run) -> Iterator[Batch]:
    """Yield the slices of the first epoch, at most `MOST_SEEN`, as they are before augmentation."""
    steps = -(-min(run.plan.slices_per_epoch, MOST_SEEN) // run.plan.batch_size)
    context = run.recipe.model.settings.context_slices
    for step in track(range(steps), "seeing slices", steps):
        yield run.cache.read(*run.plan.rows(step), context).to(run.share.device)

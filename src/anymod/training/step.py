"""One update of the networks and of the discriminators; gradients add up over draws and are averaged over processes."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator, Sequence
from dataclasses import dataclass, replace
from typing import Any

import torch
from torch import Tensor, nn

from anymod.core.batch import Batch
from anymod.core.noise import Noise
from anymod.errors import DivergenceError
from anymod.models import Objective, UnifiedModel
from anymod.training.adversary import discriminators_term, fakes_of, judged_rows, model_term
from anymod.types import ShownPerDraw


@dataclass(frozen=True)
class Update:
    """How gradients become an update: averaged over processes, shortened to `gradient_norm`, refused where not finite."""

    step: int
    gradient_norm: float
    autocast: Callable[[], Any]
    average: Callable[[Tensor], Tensor] | None = None
    """Averages a tensor over the processes; None where there is one."""

    def apply(
        self,
        parameters: Iterable[nn.Parameter] | Iterator[nn.Parameter],
        optimizer: torch.optim.Optimizer,
        terms: dict[str, Tensor],
        subjects: tuple[str, ...],
    ) -> float:
        """Take one optimizer step; return the gradient's norm before it was shortened.

        A parameter that nothing in the batch used gets a gradient of 0 rather than none, so that one process and several do the same.
        Raises DivergenceError, in every process alike, that names step, terms and subjects.
        """
        held = list(parameters)
        for parameter in held:
            if parameter.grad is None:
                parameter.grad = torch.zeros_like(parameter)
        gradients = [parameter.grad for parameter in held if parameter.grad is not None]
        total = torch.stack(list(terms.values())).sum()
        if self.average is not None:
            flat = self.average(torch.cat([total[None], *(gradient.flatten() for gradient in gradients)]))
            total, rest = flat[0], flat[1:]
            parts = rest.split([gradient.numel() for gradient in gradients])
            for gradient, part in zip(gradients, parts, strict=True):
                gradient.copy_(part.view_as(gradient))
        norm = nn.utils.clip_grad_norm_(held, self.gradient_norm)
        if not bool(torch.isfinite(norm + total)):
            raise self._diverged(terms, subjects)
        optimizer.step()
        return float(norm)

    def _diverged(self, terms: dict[str, Tensor], subjects: tuple[str, ...]) -> DivergenceError:
        bad = [name for name, term in terms.items() if not bool(torch.isfinite(term))] or ["gradient"]
        why = f"{', '.join(bad)} not finite for subjects {', '.join(dict.fromkeys(subjects))}"
        remedy = "look at these subjects with 'anymod check', or lower training.learning_rate, and go on with --resume"
        return DivergenceError("training diverged", f"step {self.step}", why, remedy)


@dataclass(frozen=True)
class Adversary:
    """The discriminators, how much their word weighs now, and whether every subset is judged."""

    discriminators: nn.ModuleList
    weight: float
    everything: bool


@dataclass(frozen=True)
class StepPlan:
    """What a step does: the subsets its rows show, (k, b, m), the noise of each draw, and what is minimized.

    With `as_shown` a shown image is compared with what the network saw of it, the augmentation's changes of brightness included.
    """

    shown_per_draw: ShownPerDraw
    noises: Sequence[Noise]
    objective: Objective
    adversary: Adversary
    as_shown: bool = False


@dataclass(frozen=True)
class StepReport:
    """Weighted loss terms, nats per pixel and modality of each level, the gradient's norm, and the fakes per modality."""

    terms: dict[str, float]
    gradient_norm: float
    fakes: list[Tensor]


def batch_as_shown(batch: Batch, shown: Tensor) -> Batch:
    """Return the batch with the images themselves as targets of what `shown` (b, m) shows; hidden ones keep theirs."""
    middle = batch.images[:, :, batch.images.shape[2] // 2]
    return replace(batch, targets=torch.where((shown & batch.observed)[:, :, None, None], middle, batch.targets))


def model_step(
    model: UnifiedModel, optimizer: torch.optim.Optimizer, batch: Batch, plan: StepPlan, update: Update
) -> StepReport:
    """Update the model once: the images encoded once, the gradients of the draws added up one after the other.

    So memory is that of one draw, and of the encoders.
    """
    optimizer.zero_grad(set_to_none=True)
    draws = len(plan.shown_per_draw)
    totals: dict[str, Tensor] = {}
    measured: dict[str, Tensor] = {}
    fakes = []
    with update.autocast():
        encoding, carry_on = model.encoded_for_draws(batch.images, plan.shown_per_draw.any(0))
    for shown, noise in zip(plan.shown_per_draw, plan.noises, strict=True):
        with update.autocast():
            compared = batch_as_shown(batch, shown) if plan.as_shown else batch
            outcome = model.losses(compared, shown[None], noise, plan.objective, encoding)
            terms = dict(outcome.terms)
            if plan.adversary.weight > 0:
                rows = judged_rows(shown, batch.observed, everything=plan.adversary.everything)
                judged = model_term(plan.adversary.discriminators, outcome.images[0], rows)
                terms["adversary"] = plan.adversary.weight * judged
        (torch.stack(list(terms.values())).sum() / draws).backward()
        _add(totals, terms, draws)
        _add(measured, {f"nats_level_{number}": nats for number, nats in outcome.divergences.items()}, draws)
        fakes.append(fakes_of(outcome.images[0], shown))
    carry_on()
    norm = update.apply(model.parameters(), optimizer, totals, batch.subjects)
    pooled = [torch.cat(modality) for modality in zip(*fakes, strict=True)]
    return StepReport({name: float(value) for name, value in {**totals, **measured}.items()}, norm, pooled)


def _add(totals: dict[str, Tensor], values: dict[str, Tensor], draws: int) -> None:
    """Add each value's share of a mean over draws to its total."""
    for name, value in values.items():
        totals[name] = totals.get(name, torch.zeros_like(value.detach())) + value.detach() / draws


def discriminators_step(
    discriminators: nn.ModuleList,
    optimizer: torch.optim.Optimizer,
    real: list[Tensor],
    fakes: list[Tensor],
    update: Update,
    subjects: tuple[str, ...],
) -> float:
    """Update the discriminators once; return their loss."""
    optimizer.zero_grad(set_to_none=True)
    with update.autocast():
        loss = discriminators_term(discriminators, real, fakes)
    if loss.requires_grad:
        loss.backward()
    update.apply(discriminators.parameters(), optimizer, {"discriminators": loss.detach()}, subjects)
    return float(loss.detach())

"""One update of a network and of its discriminators. Gradients add up over draws and are averaged over processes."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator, Mapping
from dataclasses import dataclass
from typing import Any

import torch
from torch import Tensor, nn

from anymod.core.batch import Batch
from anymod.errors import DivergenceError
from anymod.models import Draws, Network
from anymod.training.adversary import discriminators_term, fakes_of, judged_rows, model_term
from anymod.training.perception import perceptual_term


@dataclass(frozen=True)
class Update:
    """How gradients become an update: averaged over processes, clipped to `max_gradient_norm`, refused where not finite."""

    step: int
    max_gradient_norm: float
    autocast: Callable[[], Any]
    average: Callable[[Tensor], Tensor] | None = None
    """Averages a tensor over the processes; None for a single process."""

    def apply(
        self,
        parameters: Iterable[nn.Parameter] | Iterator[nn.Parameter],
        optimizer: torch.optim.Optimizer,
        terms: dict[str, Tensor],
        subjects: tuple[str, ...],
    ) -> float:
        """Take one optimizer step; return the norm of the gradient before clipping.

        A parameter that nothing in the batch used gets a gradient of 0 instead of none, so that one process and several do the same.
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
        norm = nn.utils.clip_grad_norm_(held, self.max_gradient_norm)
        if not bool(torch.isfinite(norm + total)):
            raise self._diverged(terms, subjects)
        optimizer.step()
        return float(norm)

    def mean(self, values: Mapping[str, Tensor]) -> dict[str, float]:
        """Return numbers to report, averaged over processes."""
        stacked = torch.stack([value.float() for value in values.values()])
        mean = stacked if self.average is None else self.average(stacked)
        return dict(zip(values, mean.tolist(), strict=True))

    def _diverged(self, terms: dict[str, Tensor], subjects: tuple[str, ...]) -> DivergenceError:
        bad = [name for name, term in terms.items() if not bool(torch.isfinite(term))] or ["gradient"]
        why = f"{', '.join(bad)} not finite for subjects {', '.join(dict.fromkeys(subjects))}"
        remedy = (
            "look at these subjects with 'anymod check', or lower training.learning_rate, and continue with --resume"
        )
        return DivergenceError("training diverged", f"step {self.step}", why, remedy)


@dataclass(frozen=True)
class Judges:
    """Who judges images besides the model's own loss: discriminators, with the weight of their term and whether the images of every subset
    are judged, and a network that compares hidden images with the true ones, with its weight.
    """

    discriminators: nn.ModuleList
    weight: float
    everything: bool
    perceptual_weight: float = 0.0


@dataclass(frozen=True)
class StepReport:
    """Means over draws of the loss terms and of the model's other numbers, the gradient norm, and synthetic slices of each modality."""

    terms: dict[str, float]
    gradient_norm: float
    fakes: list[Tensor]


def model_step(
    model: Network, optimizer: torch.optim.Optimizer, batch: Batch, draws: Draws, judges: Judges, update: Update
) -> StepReport:
    """Update the model once. Each draw goes backward before the next, so peak memory is one draw plus the encoders."""
    optimizer.zero_grad(set_to_none=True)
    count = len(draws.shown)
    totals: dict[str, Tensor] = {}
    measured: dict[str, Tensor] = {}
    fakes = []
    of_draws = model.losses(batch, draws)
    for shown in draws.shown:
        with update.autocast():
            losses = next(of_draws)
            terms = dict(losses.terms)
            if judges.weight > 0:
                rows = judged_rows(shown, batch.observed, everything=judges.everything)
                terms["adversary"] = judges.weight * model_term(judges.discriminators, losses.images, rows)
            if judges.perceptual_weight > 0:
                terms["perception"] = judges.perceptual_weight * perceptual_term(losses.images, batch, shown)
        (torch.stack(list(terms.values())).sum() / count).backward()
        _add(totals, terms, count)
        _add(measured, losses.measured, count)
        fakes.append(fakes_of(losses.images, shown))
    for _ in of_draws:  # the end of the iteration carries the gradients on into the encoders
        raise RuntimeError("a model yielded losses for more draws than it was given")
    norm = update.apply(model.parameters(), optimizer, totals, batch.subjects)
    pooled = [torch.cat(modality) for modality in zip(*fakes, strict=True)]
    return StepReport(update.mean({**totals, **measured}), norm, pooled)


def _add(totals: dict[str, Tensor], values: Mapping[str, Tensor], draws: int) -> None:
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
    terms = {"discriminators": loss.detach()}
    update.apply(discriminators.parameters(), optimizer, terms, subjects)
    return update.mean(terms)["discriminators"]

"""The adversary: one discriminator per modality, which also judges the images that a subject lacks (method, section 6)."""

from __future__ import annotations

import torch
from torch import Tensor, nn

from anymod.cohorts import Cohort
from anymod.core.objectives import adversarial_loss, discriminator_loss
from anymod.errors import ConfigurationError
from anymod.nn.discriminators import Discriminator
from anymod.training.recipe import ObjectiveSection
from anymod.types import Masks, Planes, RowFlags, Shown


def build_discriminators(modalities: int, width: int, depth: int) -> nn.ModuleList:
    """Return one untrained discriminator per modality."""
    return nn.ModuleList(Discriminator(width, depth) for _ in range(modalities))


def judged_rows(shown: Shown, observed: Shown, *, everything: bool) -> Tensor:
    """Return the rows (b,) whose images the model is judged by.

    Those that hide something observed, as the authors' two partial passes do; a subject with one image can hide nothing, so it
    counts too: for modalities it lacks, the discriminator is the only training signal. With `everything`, all rows (method, eq. 16).
    """
    partial = (shown != observed).any(1) | (observed.sum(1) == 1)
    return torch.ones_like(partial) if everything else partial


def model_term(discriminators: nn.ModuleList, images: Planes, rows: Tensor) -> Tensor:
    """Return R (method, eq. 16) over all modalities of the judged rows, observed or not: a mean over all rows, to which others add 0."""
    if not bool(rows.any()):
        return images.new_zeros(())
    judged = adversarial_loss(
        [discriminator(images[rows, number]) for number, discriminator in enumerate(discriminators)]
    )
    return judged * rows.float().mean()


def discriminators_term(discriminators: nn.ModuleList, real: list[Tensor], fakes: list[Tensor]) -> Tensor:
    """Return the loss of method, eq. 15 over the modalities that have real and fake slices; each list holds (n_m, h, w), n_m may be 0."""
    scores = [
        (discriminator(true), discriminator(false))
        for discriminator, true, false in zip(discriminators, real, fakes, strict=True)
        if len(true) and len(false)
    ]
    if not scores:
        return torch.zeros((), device=next(discriminators.parameters()).device)
    return discriminator_loss([true for true, _ in scores], [false for _, false in scores])


def fakes_of(images: Planes, shown: Shown) -> list[Tensor]:
    """Return, per modality, the images (n_m, h, w) of rows that were not shown it, cut off from the model's gradient."""
    return [images[~shown[:, number], number].detach() for number in range(images.shape[1])]


def real_of(targets: Planes, observed: Shown, foreground: Masks, real: RowFlags) -> list[Tensor]:
    """Return, per modality, the real slices (n_m, h, w) in a batch: of rows (b,) of real subjects, observed, and not empty."""
    present = observed & foreground.flatten(2).any(2) & real[:, None]
    return [targets[present[:, number], number] for number in range(targets.shape[1])]


def real_subjects(cohort: Cohort, objective: ObjectiveSection) -> set[str]:
    """Return the names of the training subjects whose images the discriminators learn as real.

    Raises ConfigurationError for a kind that no subject has, and for a modality that no such subject has: its discriminator would judge
    without having learnt.
    """
    train = cohort.of_split("train")
    if not objective.real_kinds or objective.adversarial_weight == 0:
        return {subject.name for subject in train}
    where = "objective.real_kinds"
    for kind in objective.real_kinds:
        if all(subject.kind != kind for subject in train):
            known = ", ".join(sorted({subject.kind for subject in train if subject.kind})) or "none"
            why = f"no training subject is of the kind '{kind}'"
            raise ConfigurationError("no such subject", where, why, f"kinds of the cohort: {known}")
    real = [subject for subject in train if subject.kind in objective.real_kinds]
    for modality in cohort.modality_names:
        if all(modality not in subject.observed for subject in real):
            why = f"no training subject of these kinds has {modality}"
            raise ConfigurationError("no real images", where, why, "add a kind that has it")
    return {subject.name for subject in real}

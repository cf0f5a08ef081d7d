"""Lesions of one subject put into slices of another, so that training sees few lesions in many brains.

The idea is that of CarveMix (Zhang et al. 2021, arXiv 2108.06883), with conditions on where a lesion fits instead of random shapes.
"""

from __future__ import annotations

from dataclasses import dataclass, replace

import numpy as np
from torch import Tensor
from torch.nn import functional

from anymod.core.batch import Batch
from anymod.randomness import numpy_generator

MARGIN = 2  # pixels around a label that come along
SEAM = 3  # pixels around a label where the two images must agree
LARGEST_STEP = 0.4  # mean absolute difference of the two seams, in any modality, on the scale [-1, 1]
LARGEST_SHIFT = 0.1  # of each axis, to either side
LEAST_INSIDE = 0.9  # of a label: how much must lie in the foreground of all images


@dataclass(frozen=True)
class _Lesion:
    """A donor's slice, moved: images (m, c, h, w), targets (m, h, w), label (h, w), and how much of it is taken, (h, w) in [0, 1]."""

    images: Tensor
    targets: Tensor
    label: Tensor
    share: Tensor


def transplant(batch: Batch, donors: Batch, probability: float, seed: int, step: int, first_row: int = 0) -> Batch:
    """Return the batch with a lesion of another subject in some of the rows that have none.

    A row gets, with this probability, the labelled part of the first donor that fits: it has all images of the row and is another
    subject; mirrored and shifted at random, its label lies in the row's foreground; and around the label the two look alike in each
    image. Draws are functions of (seed, step, row), as in `augment`.

    Args:
        batch: Rows as `SliceCache.read` returns them, not yet augmented.
        donors: Slices with labels, of the same size; any number of rows.
        probability: Of a row without a label to get a lesion, if one fits.
        seed: Of the training.
        step: Its step.
        first_row: Number of the batch's first row, where a process holds only some of a global batch.
    """
    images, targets, label = batch.images.clone(), batch.targets.clone(), batch.label.clone()
    for row in range(len(batch.subjects)):
        generator = numpy_generator(seed, "transplants", step, first_row + row)
        if generator.random() >= probability or bool(label[row].any()):
            continue
        lesion = _fitting(batch.rows(slice(row, row + 1)), donors, generator)
        if lesion is None:
            continue
        observed = batch.observed[row]
        images[row, observed] = images[row, observed].lerp(lesion.images[observed], lesion.share)
        targets[row, observed] = targets[row, observed].lerp(lesion.targets[observed], lesion.share)
        label[row] = lesion.label & (lesion.share > 0)
    return replace(batch, images=images, targets=targets, label=label)


def _fitting(row: Batch, donors: Batch, generator: np.random.Generator) -> _Lesion | None:
    """Return the lesion of the first donor, in random order, that fits a batch of one row; None if none does."""
    observed, height, width = row.observed[0], *row.label.shape[-2:]
    mirrored = bool(generator.random() < 0.5)
    down, right = (round(LARGEST_SHIFT * each) for each in generator.uniform(-1, 1, 2) * (height, width))
    for donor in generator.permutation(len(donors.subjects)):
        if donors.subjects[donor] == row.subjects[0] or bool((observed & ~donors.observed[donor]).any()):
            continue
        images, targets, foreground, label = (
            (tensor[donor].flip(-2) if mirrored else tensor[donor]).roll((down, right), (-2, -1))
            for tensor in (donors.images, donors.targets, donors.foreground, donors.label)
        )
        inside = (foreground & row.foreground[0])[observed].all(0)
        seam = _widened(label, SEAM) & ~label & inside
        steps = (targets - row.targets[0])[observed][:, seam].abs().mean(1)
        within = (label & inside).sum() >= LEAST_INSIDE * label.sum()
        if bool(within & label.any() & seam.any() & (steps < LARGEST_STEP).all()):
            soft = functional.avg_pool2d(_widened(label, MARGIN)[None].float(), 3, 1, 1)[0]
            return _Lesion(images, targets, label, soft * inside)
    return None


def _widened(mask: Tensor, pixels: int) -> Tensor:
    """Return a mask (h, w) with all pixels within a square of this reach."""
    return functional.max_pool2d(mask[None].float(), 2 * pixels + 1, 1, pixels)[0] > 0

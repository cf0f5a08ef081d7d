"""Transplanted lesions: where they may come to lie, what moves with them, and what stays."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
import torch
from hypothesis import given, settings, strategies as st

from anymod.core.batch import Batch
from anymod.slices import BatchPlan, CacheSettings, SliceCache, transplant
from anymod.training.reading import StepBatches
from anymod.training.recipe import Recipe

SIZE = (30, 24)
BRAIN = (slice(4, 26), slice(4, 20))
LESION = (slice(12, 17), slice(9, 13))


def brains(names: str, level: float = 0.0, lacking: int | None = None) -> Batch:
    """Return a row for each letter: two modalities and their neighbours, brains of one level with some noise, without labels."""
    rows, generator = len(names), torch.Generator().manual_seed(3)
    foreground = torch.zeros(rows, 2, *SIZE, dtype=torch.bool)
    foreground[..., *BRAIN] = True
    observed = torch.ones(rows, 2, dtype=torch.bool)
    if lacking is not None:
        observed[:, lacking] = foreground[:, lacking] = False
    noise = 0.05 * torch.rand(rows, 2, 3, *SIZE, generator=generator)
    images = torch.where(foreground[:, :, None], noise + level, -1.0)
    return Batch(images, images[:, :, 1].clone(), foreground, observed, torch.zeros(rows, *SIZE) > 0, tuple(names))


def with_lesion(batch: Batch) -> Batch:
    """Return the batch with a lesion, 0.5 in the first modality and -0.5 in the second, and its label."""
    changed = replace(batch, images=batch.images.clone(), targets=batch.targets.clone(), label=batch.label.clone())
    changed.label[..., *LESION] = True
    for modality, level in enumerate((0.5, -0.5)):
        changed.images[:, modality][..., *LESION] = level
        changed.targets[:, modality][..., *LESION] = level
    return changed


def same(one: Batch, other: Batch) -> bool:
    return all(torch.equal(getattr(one, name), getattr(other, name)) for name in ("images", "targets", "label"))


@given(st.integers(0, 2**40), st.integers(0, 1000))
@settings(max_examples=20, deadline=None)
def test_a_lesion_comes_whole_with_its_label_in_all_images_and_leaves_the_rest(seed: int, step: int) -> None:
    batch, donors = brains("ab"), with_lesion(brains("cd"))
    before = batch.images.clone()
    result = transplant(batch, donors, 1.0, seed, step)
    for row in range(2):
        label = result.label[row]
        assert label.sum() == donors.label[0].sum()
        assert (result.targets[row, 0, label] == 0.5).all() and (result.targets[row, 1, label] == -0.5).all()
        assert (result.images[row, 0][:, label] == 0.5).all() and (result.images[row, 1][:, label] == -0.5).all()
        far = torch.nn.functional.max_pool2d(label[None].float(), 7, 1, 3)[0] == 0  # margin of 2, smoothed by 1
        assert torch.equal(result.images[row][..., far], batch.images[row][..., far])
        assert torch.equal(result.targets[row][..., far], batch.targets[row][..., far])
    assert torch.equal(batch.images, before) and not batch.label.any()


@given(st.integers(0, 2**40))
@settings(max_examples=10, deadline=None)
def test_the_background_stays_exact_where_a_lesion_touches_the_border(seed: int) -> None:
    donors = brains("c")
    donors.label[0, 20:26, 10:14] = True
    result = transplant(brains("a"), donors, 1.0, seed, 0)
    assert (result.images[..., ~result.foreground[0, 0]] == -1).all()
    assert not (result.label & ~result.foreground[:, 0]).any()


@pytest.mark.parametrize(
    ("batch", "donors"),
    [
        (brains("a"), with_lesion(brains("a"))),  # itself
        (brains("a"), brains("c")),  # no label
        (with_lesion(brains("a")), with_lesion(brains("c"))),  # a row that has one
        (brains("a"), with_lesion(brains("c", lacking=1))),  # an image that the row has
        (brains("a", level=-0.8), with_lesion(brains("c"))),  # another look
    ],
    ids=["itself", "no label", "has one", "lacks an image", "other look"],
)
def test_what_does_not_fit_is_left_out(batch: Batch, donors: Batch) -> None:
    assert same(transplant(batch, donors, 1.0, 0, 0), batch)


def test_an_image_that_the_row_lacks_stays_empty() -> None:
    result = transplant(brains("a", lacking=1), with_lesion(brains("c")), 1.0, 0, 0)
    assert result.label.any() and (result.images[:, 1] == -1).all() and (result.targets[:, 1] == -1).all()


def test_lesions_come_as_often_as_asked_at_various_places() -> None:
    donors, places = with_lesion(brains("c")), set()
    for step in range(100):
        label = transplant(brains("a"), donors, 0.3, 0, step).label[0]
        if label.any():
            places.add(tuple(label.nonzero()[0].tolist()))
    count = sum(bool(transplant(brains("a"), donors, 0.3, 0, step).label.any()) for step in range(100))
    assert 15 < count < 45  # a binomial of 100 and 0.3, three standard deviations
    assert len(places) > 10


def test_a_part_of_the_rows_draws_what_the_whole_batch_draws() -> None:
    batch, donors = brains("abxy"), with_lesion(brains("cd"))
    whole = transplant(batch, donors, 0.5, 7, 3)
    part = transplant(batch.rows(slice(2, 4)), donors, 0.5, 7, 3, first_row=2)
    assert same(part, whole.rows(slice(2, 4)))


def test_training_reads_transplanted_rows(monkeypatch: pytest.MonkeyPatch) -> None:
    rows, lesions = brains("ab"), with_lesion(brains("cd"))
    pair = np.array([0, 1])
    monkeypatch.setattr(SliceCache, "read", lambda _cache, subjects, *_: rows if subjects[0] == 0 else lesions)
    monkeypatch.setattr(BatchPlan, "rows", lambda *_: (pair, pair))
    monkeypatch.setattr(BatchPlan, "donors", lambda *_: (pair + 2, pair))
    cache = SliceCache(Path(), "", CacheSettings(image_size=SIZE), ("t1", "t2"), (None, None), (), ())
    nothing = {"mirror_probability": 0, "affine_probability": 0, "intensity_probability": 0}
    data = {"augmentation": nothing, "transplants": 1.0}
    recipe = Recipe.model_validate({"data": data, "objective": {"shown_targets": "clean"}}, strict=False)
    batch = StepBatches(cache, object.__new__(BatchPlan), recipe, slice(0, 2))[4]
    assert same(batch, transplant(rows, lesions, 1.0, recipe.training.seed, 4))
    assert batch.label.flatten(1).any(1).all()

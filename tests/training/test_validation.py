"""The slices at the validation subjects: what is hidden, what is measured, what is kept for the picture."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path
from types import SimpleNamespace

import numpy as np
import pytest
import torch
from phantom_cohort import make_cohort, make_recipe

from anymod.cohorts import Cohort
from anymod.core.noise import MEAN
from anymod.models import MMHVAE
from anymod.slices import build_cache
from anymod.training.validation import ValidationSlices, validate
from anymod.volumes import IntensityRule

CPU = torch.device("cpu")


@pytest.fixture(scope="module")
def cohort(tmp_path_factory: pytest.TempPathFactory) -> Cohort:
    return make_cohort(tmp_path_factory.mktemp("cohort"))


def make_slices(cohort: Cohort, folder: Path, min_foreground: float = 0.05) -> ValidationSlices:
    settings = make_recipe().cache_settings.model_copy(update={"min_foreground": min_foreground})
    cache = build_cache(cohort, cohort.subjects, settings, folder)
    return ValidationSlices(cache, cache.of_split("train", "validation"), 0)


def make_model() -> MMHVAE:
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(0)
        return MMHVAE(("t1", "t2", "us"), make_recipe().model.settings).eval()


def test_every_observed_modality_is_hidden_in_turn_or_shown_where_it_is_all_there_is(
    cohort: Cohort, tmp_path: Path
) -> None:
    slices = make_slices(cohort, tmp_path)
    hidden: dict[str, set[tuple[int, ...]]] = {}
    for batch, shown in slices.batches():
        assert shown.any(1).all()
        for subject, row in zip(batch.subjects, (batch.observed & ~shown).tolist(), strict=True):
            hidden.setdefault(subject, set()).add(tuple(np.flatnonzero(row).tolist()))
    assert hidden == {"a": {(0,), (1,), (2,)}, "b": {(0,), (2,)}, "c": {()}, "v": {(0,), (1,), (2,)}}


def test_without_a_usable_slice_nothing_is_measured_and_no_picture_written(cohort: Cohort, tmp_path: Path) -> None:
    slices = make_slices(cohort, tmp_path, min_foreground=0.99)
    assert validate(make_model(), slices, CPU, tmp_path / "slices.png") == {}
    assert not (tmp_path / "slices.png").exists()


def test_psnr_is_that_of_the_pooled_squared_error(cohort: Cohort, tmp_path: Path) -> None:
    slices, model = make_slices(cohort, tmp_path), make_model()
    values = validate(model, slices, CPU, tmp_path / "slices.png")
    errors = []
    for batch, shown in slices.batches():
        images = model.encode(batch.images, shown).decode(shown, (0, 1, 2), MEAN)
        anywhere = (batch.foreground & shown[:, :, None, None]).any(1, keepdim=True)
        error = (torch.where(anywhere, images, -1.0) - batch.targets).square()
        factors = torch.tensor([slices.factors()[name] for name in batch.subjects])
        error = error * factors.square()[:, :, None, None]
        errors.append(error[batch.foreground & (batch.observed & ~shown)[:, :, None, None]].detach())
    expected = 10 * np.log10(4 / torch.cat(errors).double().mean().item())
    assert values["validation_hidden_psnr_db"] == pytest.approx(expected, rel=1e-6)
    assert (tmp_path / "slices.png").stat().st_size > 1000


def test_the_constants_of_the_recipe_do_not_change_the_units(cohort: Cohort, tmp_path: Path) -> None:
    """A recipe whose scale is twice as coarse has half the error in its own units, and the same in those of scores."""
    made, factors = [], []
    for place, constant in enumerate((0.3, 0.6)):
        modalities = tuple(replace(each, harmonized_median=constant) for each in cohort.modalities)
        settings = make_recipe().cache_settings.model_copy(update={"intensity": IntensityRule(anchor="core")})
        cache = build_cache(replace(cohort, modalities=modalities), cohort.subjects, settings, tmp_path / str(place))
        made.append(ValidationSlices(cache, cache.of_split("validation"), 0))
        factors.append(np.array(made[-1].factors()["v"]))
    np.testing.assert_allclose(factors[0][:2], 2 * factors[1][:2])
    assert factors[0][2] == factors[1][2]  # ultrasound has no core


def test_a_perfect_model_has_100_db(cohort: Cohort, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    slices, model = make_slices(cohort, tmp_path), make_model()
    answers = (batch.targets for batch, _ in slices.batches())
    monkeypatch.setattr(model, "encode", lambda *_: SimpleNamespace(decode=lambda *_: next(answers)))
    assert validate(model, slices, CPU, tmp_path / "slices.png")["validation_shown_psnr_db"] == 100

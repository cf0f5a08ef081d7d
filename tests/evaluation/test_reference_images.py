"""What the reference predictors make of a subject: in the units of the scores, and from training subjects of its kind."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import pytest
import torch
from tiny_models import save_tiny_model, write_tiny_cohort
from torch import Tensor

from anymod.core.features import slice_features
from anymod.core.regression import ReferenceMoments, TrainingMoments
from anymod.evaluation import EvaluationOptions, evaluate
from anymod.evaluation.reference_images import AFFINE, MEAN_IMAGE, SPATIAL, ReferenceImages

ALL = ("t1", "t2", "flair")


def images(modalities: int, seed: int) -> Tensor:
    """Return two slices whose last modality follows from the first and its square."""
    made = torch.rand(2, modalities, 9, 8, generator=torch.Generator().manual_seed(seed)) * 0.8 - 0.7
    made[:, -1] = made[:, 0] ** 2 + 0.3 * made[:, 0]
    return made


def test_in_other_units_and_order_the_same_images_are_made() -> None:
    training, planes, inside = images(2, 0), images(2, 1), torch.ones(2, 2, 9, 8, dtype=torch.bool)
    moments = TrainingMoments(2)
    moments.add(slice_features(training, inside), inside)
    own = {"t1": 0.4, "t2": 0.2}
    fitted = ReferenceMoments(own, {None: moments}, {None: 1})
    expected = ReferenceImages.of(fitted, None, own, planes, inside, [0, 1]).predictions(0b01, 1)
    assert list(expected) == [MEAN_IMAGE, AFFINE, SPATIAL]
    errors = {name: float((image - planes[:, 1]).square().mean()) for name, image in expected.items()}
    assert errors[SPATIAL] < errors[AFFINE] < errors[MEAN_IMAGE]
    # Twice the constant is twice the distance to the dark end; the scores know another modality.
    constants = {"t2": 0.3, "pd": 0.5, "t1": 0.2}
    other = torch.stack([1.5 * (planes[:, 1] + 1) - 1, planes[:, 0], 0.5 * (planes[:, 0] + 1) - 1], dim=1)
    turned = torch.ones_like(other, dtype=torch.bool)
    made = ReferenceImages.of(fitted, None, constants, other, turned, [0, 1])
    for method, image in made.predictions(0b100, 0).items():
        torch.testing.assert_close(image, 1.5 * (expected[method] + 1) - 1, atol=1e-5, rtol=0)
    assert list(made.predictions(0b010, 0)) == [MEAN_IMAGE]  # nothing is known about images of pd
    assert made.predictions(0b001, 1) == {}


def test_only_subjects_of_the_same_kind_count(tmp_path: Path, caplog: pytest.LogCaptureFixture) -> None:
    kinds = {"x": "head", "y": "stripped", "z": None, "a": "stripped", "b": "phantom"}
    splits = {name: "train" for name in "xyz"}
    cohort = write_tiny_cohort(tmp_path / "cohort", dict.fromkeys(kinds, ALL), splits)
    cohort = replace(cohort, subjects=tuple(replace(each, kind=kinds[each.name]) for each in cohort.subjects))
    model, options = save_tiny_model(tmp_path / "model"), EvaluationOptions(device="cpu", show=("t1",))
    found = evaluate(model, cohort, options).scores
    assert "no training subject is of kind" not in caplog.text  # 'z' may be a phantom, too
    told = replace(cohort, subjects=tuple(replace(each, kind=None) for each in cohort.subjects))
    pairs = list(zip(found, evaluate(model, told, options).scores, strict=True))
    # Without kinds, 'x' counts as well; the units are the same.
    assert {one.method for one, other in pairs if one.psnr_db != other.psnr_db} >= {MEAN_IMAGE, SPATIAL}
    assert all(one == other for one, other in pairs if one.method == "model")
    known = replace(cohort, subjects=tuple(each for each in cohort.subjects if each.name != "z"))
    rows = evaluate(model, known, options).scores
    assert {each.method for each in rows if each.subject == "b"} == {"model"}
    assert "no training subject is of kind 'phantom'" in caplog.text

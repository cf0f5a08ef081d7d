"""The reference predictors: means and coefficients equal those computed from all voxels at once."""

from __future__ import annotations

import numpy as np
import pytest
import torch
from torch import Tensor

from anymod.core.features import slice_features
from anymod.core.regression import RIDGE, ReferenceMoments, Regression, TrainingMoments


def draws(*shape: int, seed: int = 0) -> Tensor:
    return torch.rand(*shape, generator=torch.Generator().manual_seed(seed)) * 1.6 - 0.8


def features(planes: Tensor) -> Tensor:
    """Return the features (f, voxel) of slices that are all foreground."""
    return slice_features(planes, torch.ones_like(planes, dtype=torch.bool)).transpose(0, 1).flatten(1)


def moments_of(planes: Tensor, foreground: Tensor | None = None, slices: slice = slice(None)) -> TrainingMoments:
    """Return the moments of some of the slices (slice, modality, row, column)."""
    inside = torch.ones_like(planes, dtype=torch.bool) if foreground is None else foreground
    moments = TrainingMoments(planes.shape[1])
    moments.add(slice_features(planes, inside)[slices], inside[slices])
    return moments


def coefficients(fit: Regression | None) -> list[float]:
    assert fit is not None
    return [fit.intercept, *fit.coefficients]


def test_known_coefficients_are_recovered() -> None:
    images = draws(2, 3, 8, 8)
    images[:, 2] = 0.1 + 0.5 * images[:, 0] - 0.25 * images[:, 1]
    fit = moments_of(images).affine(0b011, 2)
    np.testing.assert_allclose(coefficients(fit), [0.1, 0.5, -0.25], atol=1e-6)
    assert fit is not None
    torch.testing.assert_close(fit.predict(features(images)), images[:, 2].flatten(), atol=1e-5, rtol=0)


def test_the_sums_of_several_batches_give_the_least_squares_solution_of_all_voxels() -> None:
    foreground, images = draws(4, 2, 6, 6, seed=1) > -0.5, draws(4, 2, 6, 6, seed=2)
    first, second = (moments_of(images, foreground, part) for part in (slice(0, 1), slice(1, 4)))
    both = foreground.all(1)
    x, y = images[:, 0][both].double().numpy(), images[:, 1][both].double().numpy()
    expected = np.linalg.lstsq(np.stack([np.ones_like(x), x], 1), y, rcond=None)[0]
    np.testing.assert_allclose(coefficients((first + second).affine(0b01, 1)), expected, rtol=1e-6)


def test_the_spatial_regression_is_the_ridge_solution_of_standardized_features() -> None:
    """Solved here as least squares with one more equation, sqrt(n RIDGE) w = 0, for each feature."""
    images = draws(3, 2, 8, 8)
    images[:, 1] = images[:, 0] ** 2 + 0.1 * images[:, 1]
    fit = moments_of(images).spatial(0b01, 1)
    assert fit is not None
    made, target = features(images)[list(fit.places)].double().numpy().T, images[:, 1].flatten().double().numpy()
    assert made.shape[1] == 8
    means, deviations = made.mean(0), made.std(0)
    rows = np.concatenate([(made - means) / deviations, np.sqrt(len(made) * RIDGE) * np.eye(8)])
    right = np.concatenate([target - target.mean(), np.zeros(8)])
    expected = np.linalg.lstsq(rows, right, rcond=None)[0] / deviations
    np.testing.assert_allclose(fit.coefficients, expected, rtol=1e-4, atol=1e-6)
    assert fit.intercept == pytest.approx(target.mean() - expected @ means, abs=1e-5)


def test_the_spatial_regression_sees_what_the_affine_one_cannot() -> None:
    images = draws(4, 2, 20, 20)
    images[:, 1] = 2 * features(images)[2 * 4].reshape(4, 20, 20)  # the mean over 9 x 9 pixels
    moments, errors = moments_of(images), []
    for fit in (moments.affine(0b01, 1), moments.spatial(0b01, 1)):
        assert fit is not None
        errors.append((fit.predict(features(images)) - images[:, 1].flatten()).square().mean())
    assert errors[1] < 0.2 * errors[0]


def test_the_mean_is_that_of_a_targets_own_foreground() -> None:
    foreground, images = draws(3, 2, 6, 6, seed=3) > 0, draws(3, 2, 6, 6, seed=4)
    assert moments_of(images, foreground).mean(1) == pytest.approx(float(images[:, 1][foreground[:, 1]].mean()))


def test_a_shown_target_is_its_own_best_predictor() -> None:
    np.testing.assert_allclose(coefficients(moments_of(draws(2, 2, 6, 6)).affine(0b11, 0)), [0, 1, 0], atol=1e-9)


def test_what_no_training_subject_has_together_cannot_be_fitted() -> None:
    foreground = torch.zeros(2, 3, 4, 4, dtype=torch.bool)
    foreground[0, 0] = foreground[1, 1] = True  # nobody has both, nobody has the third
    moments = moments_of(draws(2, 3, 4, 4), foreground)
    assert moments.affine(0b01, 1) is None
    assert moments.spatial(0b01, 1) is None
    assert moments.mean(2) is None
    assert moments.mean(0) is not None


def test_subjects_that_lack_an_image_still_count_for_the_others() -> None:
    images, foreground = draws(2, 3, 8, 8), torch.ones(2, 3, 8, 8, dtype=torch.bool)
    images[:, 1] = 0.2 + 0.5 * images[:, 0]
    foreground[0, 2] = False
    both = moments_of(images, foreground)
    for moments in (moments_of(images, foreground, slice(0, 1)), both):
        np.testing.assert_allclose(coefficients(moments.affine(0b001, 1)), [0.2, 0.5], atol=1e-6)
    assert len(both.sums) == 2  # one matrix for each pattern


def test_a_constant_input_does_not_upset_the_solver() -> None:
    images = draws(1, 2, 6, 6)
    images[:, 0] = 0.5
    moments = moments_of(images)
    for fit in (moments.affine(0b01, 1), moments.spatial(0b01, 1)):
        assert fit is not None
        assert float(fit.predict(features(images)).mean()) == pytest.approx(float(images[:, 1].mean()), abs=1e-5)


def test_predictions_stay_in_the_range_of_images() -> None:
    fit = Regression((0,), 0.0, np.array([5.0]))
    assert fit.predict(torch.tensor([[-1.0, 0.1, 1.0]])).tolist() == [-1.0, 0.5, 1.0]


def test_a_kind_of_subjects_is_fitted_on_its_own_and_on_those_without_a_kind() -> None:
    each = {kind: moments_of(draws(1, 1, 4, 4, seed=seed)) for seed, kind in enumerate(("a", "b", None))}
    fitted = ReferenceMoments({"t1": 0.5}, each, dict.fromkeys(each, 1))
    voxels = {kind: fitted.of_kind(kind).sums[1][0, 0] for kind in ("a", None)}
    assert voxels == {"a": 2 * 16, None: 3 * 16}
    sums = each["a"].sums[1] + each[None].sums[1]
    np.testing.assert_array_equal(fitted.of_kind("a").sums[1], sums)
    assert ReferenceMoments({"t1": 0.5}, {"a": each["a"]}, {"a": 1}).of_kind("b").sums == {}

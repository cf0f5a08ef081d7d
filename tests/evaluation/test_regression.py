"""The reference predictors: means and coefficients equal those computed from all voxels at once."""

from __future__ import annotations

import numpy as np
import pytest
import torch

from anymod.core.batch import Batch
from anymod.core.features import needed_modalities, surroundings
from anymod.evaluation.regression import RIDGE, Regression, TrainingMoments


def batch(images: torch.Tensor, foreground: torch.Tensor, targets: torch.Tensor | None = None) -> Batch:
    """Return slices (b, m, h, w) as a batch with one channel; -1 outside of the foreground, as the cache gives them."""
    images = torch.where(foreground, images, -1.0)
    targets = images if targets is None else torch.where(foreground, targets, -1.0)
    observed, label = foreground.flatten(2).any(2), torch.zeros_like(foreground[:, 0])
    return Batch(images[:, :, None], targets, foreground, observed, label, ("a",) * len(images))


def draws(*shape: int, seed: int = 0) -> torch.Tensor:
    return torch.rand(*shape, generator=torch.Generator().manual_seed(seed)) * 1.6 - 0.8


def affine(moments: TrainingMoments, shown: int, target: int) -> list[float]:
    fitted = moments.affine(shown, target)
    assert fitted is not None
    return [fitted.intercept, *fitted.coefficients.tolist()]


def test_known_coefficients_are_recovered() -> None:
    images = draws(2, 3, 8, 8)
    images[:, 2] = 0.1 + 0.5 * images[:, 0] - 0.25 * images[:, 1]
    moments = TrainingMoments(3)
    moments.add(batch(images, torch.ones(2, 3, 8, 8, dtype=torch.bool)))
    np.testing.assert_allclose(affine(moments, 0b011, 2), [0.1, 0.5, -0.25], atol=1e-6)
    fitted = moments.affine(0b011, 2)
    assert fitted is not None
    predicted = fitted.predict(surroundings(images[:, :, None]))
    torch.testing.assert_close(predicted, images[:, 2], atol=1e-5, rtol=0)


def test_the_sums_of_several_batches_give_the_least_squares_solution_of_all_voxels() -> None:
    foreground = draws(4, 2, 6, 6, seed=1) > -0.5
    images = draws(4, 2, 6, 6, seed=2)
    moments = TrainingMoments(2)
    for part in (slice(0, 1), slice(1, 4)):
        moments.add(batch(images[part], foreground[part]))
    both = foreground.all(1)
    x, y = images[:, 0][both].double().numpy(), images[:, 1][both].double().numpy()
    expected = np.linalg.lstsq(np.stack([np.ones_like(x), x], 1), y, rcond=None)[0]
    np.testing.assert_allclose(affine(moments, 0b01, 1), expected, rtol=1e-9)


def test_the_mean_is_that_of_a_targets_own_foreground() -> None:
    foreground = draws(3, 2, 6, 6, seed=3) > 0
    images = draws(3, 2, 6, 6, seed=4)
    moments = TrainingMoments(2)
    moments.add(batch(images, foreground))
    assert moments.mean(1) == pytest.approx(float(images[:, 1][foreground[:, 1]].double().mean()))


def test_inputs_and_targets_may_be_scaled_differently() -> None:
    images = draws(2, 2, 6, 6)
    moments = TrainingMoments(2)
    moments.add(batch(images, torch.ones_like(images, dtype=torch.bool), targets=0.5 * images - 0.3))
    np.testing.assert_allclose(affine(moments, 0b10, 1), [-0.3, 0.5], atol=1e-6)
    assert moments.mean(0) == pytest.approx(float(0.5 * images[:, 0].mean() - 0.3), abs=1e-6)


def test_a_shown_target_is_its_own_best_predictor() -> None:
    images = draws(2, 2, 6, 6)
    moments = TrainingMoments(2)
    moments.add(batch(images, torch.ones_like(images, dtype=torch.bool)))
    np.testing.assert_allclose(affine(moments, 0b11, 0), [0, 1, 0], atol=1e-9)


def test_what_no_training_subject_has_together_cannot_be_fitted() -> None:
    foreground = torch.zeros(2, 3, 4, 4, dtype=torch.bool)
    foreground[0, 0] = foreground[1, 1] = True  # nobody has both, nobody has the third
    moments = TrainingMoments(3)
    moments.add(batch(draws(2, 3, 4, 4), foreground))
    assert moments.affine(0b01, 1) is None
    assert moments.spatial(0b01, 1) is None
    assert moments.mean(2) is None
    assert moments.mean(0) is not None


def test_subjects_that_lack_an_image_still_count_for_the_others() -> None:
    images = draws(2, 3, 8, 8)
    images[:, 1] = 0.2 + 0.5 * images[:, 0]
    foreground = torch.ones(2, 3, 8, 8, dtype=torch.bool)
    foreground[0, 2] = False
    alone, both = TrainingMoments(3), TrainingMoments(3)
    alone.add(batch(images[:1], foreground[:1]))
    both.add(batch(images, foreground))
    np.testing.assert_allclose(affine(alone, 0b001, 1), [0.2, 0.5], atol=1e-6)
    np.testing.assert_allclose(affine(both, 0b001, 1), [0.2, 0.5], atol=1e-6)
    assert len(both.sums) == 2  # one matrix for each pattern


def test_a_constant_input_does_not_upset_the_solver() -> None:
    images = draws(1, 2, 6, 6)
    images[:, 0] = 0.5
    moments = TrainingMoments(2)
    moments.add(batch(images, torch.ones_like(images, dtype=torch.bool)))
    coefficients = affine(moments, 0b01, 1)
    assert coefficients[0] + 0.5 * coefficients[1] == pytest.approx(float(images[:, 1].mean()), abs=1e-6)


def test_predictions_stay_in_the_range_of_images() -> None:
    predicted = Regression((0,), 0.0, np.array([5.0])).predict(torch.tensor([[[[-1.0, 0.1, 1.0]]]]))
    assert predicted.tolist() == [[[-1.0, 0.5, 1.0]]]


def test_the_spatial_regression_is_the_ridge_regression_on_all_features_of_what_is_shown() -> None:
    images, foreground = draws(3, 3, 12, 12, seed=5), draws(3, 3, 12, 12, seed=6) > -0.6
    moments = TrainingMoments(3)
    moments.add(made := batch(images, foreground))
    fitted = moments.spatial(0b011, 2)
    assert fitted is not None
    assert [needed_modalities(3)[place] & 0b100 for place in fitted.places] == [0] * len(fitted.places)
    assert len(fitted.places) == 2 * 8 + 1
    both, features = foreground.all(1), surroundings(made.images)
    x, y = features[:, list(fitted.places)].movedim(1, -1)[both].double().numpy(), images[:, 2][both].double().numpy()
    x = (x - x.mean(0)) / x.std(0)
    weights = np.linalg.solve(x.T @ x / len(x) + RIDGE * np.eye(x.shape[1]), x.T @ (y - y.mean()) / len(x))
    torch.testing.assert_close(
        fitted.predict(features)[both], torch.from_numpy(y.mean() + x @ weights).float().clamp(-1, 1), atol=1e-4, rtol=0
    )


def test_it_finds_a_relation_that_only_the_surroundings_tell() -> None:
    images = draws(4, 2, 16, 16, seed=7)
    images[:, 1] = torch.nn.functional.avg_pool2d(images[:, 0], 3, 1, 1, count_include_pad=False)
    moments = TrainingMoments(2)
    moments.add(made := batch(images, torch.ones(4, 2, 16, 16, dtype=torch.bool)))
    features, errors = surroundings(made.images), []
    for fitted in (moments.affine(0b01, 1), moments.spatial(0b01, 1)):
        assert fitted is not None
        errors.append(float((fitted.predict(features) - images[:, 1]).square().mean()))
    assert errors[1] < 0.01 * errors[0]

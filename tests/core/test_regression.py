"""The two reference predictors: means and coefficients equal those computed from all voxels at once."""

from __future__ import annotations

import numpy as np
import pytest
import torch

from anymod.core.regression import TrainingMoments, predict_affine


def planes(images: torch.Tensor, foreground: torch.Tensor) -> tuple[np.ndarray, np.ndarray]:
    """Return slices (b, m, h, w), -1 outside the foreground, and the foreground as arrays."""
    return torch.where(foreground, images, -1.0).numpy(), foreground.numpy()


def draws(*shape: int, seed: int = 0) -> torch.Tensor:
    return torch.rand(*shape, generator=torch.Generator().manual_seed(seed)) * 1.6 - 0.8


def test_known_coefficients_are_recovered() -> None:
    images = draws(2, 3, 8, 8)
    images[:, 2] = 0.1 + 0.5 * images[:, 0] - 0.25 * images[:, 1]
    moments = TrainingMoments(3)
    moments.add(*planes(images, torch.ones(2, 3, 8, 8, dtype=torch.bool)))
    np.testing.assert_allclose(moments.regression(0b011, 2), [0.1, 0.5, -0.25], atol=1e-6)
    predicted = predict_affine(moments.regression(0b011, 2), 0b011, images)
    torch.testing.assert_close(predicted, images[:, 2], atol=1e-5, rtol=0)


def test_the_sums_of_several_batches_give_the_least_squares_solution_of_all_voxels() -> None:
    foreground = draws(4, 2, 6, 6, seed=1) > -0.5
    images = draws(4, 2, 6, 6, seed=2)
    moments = TrainingMoments(2)
    for part in (slice(0, 1), slice(1, 4)):
        moments.add(*planes(images[part], foreground[part]))
    both = foreground.all(1)
    x, y = images[:, 0][both].double().numpy(), images[:, 1][both].double().numpy()
    expected = np.linalg.lstsq(np.stack([np.ones_like(x), x], 1), y, rcond=None)[0]
    np.testing.assert_allclose(moments.regression(0b01, 1), expected, rtol=1e-9)


def test_the_mean_is_that_of_a_targets_own_foreground() -> None:
    foreground = draws(3, 2, 6, 6, seed=3) > 0
    images = draws(3, 2, 6, 6, seed=4)
    moments = TrainingMoments(2)
    moments.add(*planes(images, foreground))
    assert moments.mean(1) == pytest.approx(float(images[:, 1][foreground[:, 1]].double().mean()))


def test_moments_in_other_units_and_another_order_are_those_of_the_changed_images() -> None:
    foreground, images = draws(3, 3, 6, 6, seed=3) > 0, draws(3, 3, 6, 6, seed=4)
    moments, expected = TrainingMoments(3), TrainingMoments(2)
    moments.add(*planes(images, foreground))
    changed = moments.changed([2.0, 0.5], [0.1, -0.3], [2, 0])
    other = torch.stack([2 * images[:, 2] + 0.1, 0.5 * images[:, 0] - 0.3], 1)
    expected.add(*planes(other, foreground[:, [2, 0]]))
    assert sorted(changed.sums) == sorted(expected.sums)
    for pattern, total in expected.sums.items():
        np.testing.assert_allclose(changed.sums[pattern], total, rtol=1e-6, atol=1e-5)


def test_a_modality_that_stored_moments_do_not_know_has_no_reference() -> None:
    moments = TrainingMoments(1)
    moments.add(*planes(draws(1, 1, 6, 6), torch.ones(1, 1, 6, 6, dtype=torch.bool)))
    changed = moments.changed([1.0, 1.0], [0.0, 0.0], [None, 0])
    assert changed.mean(0) is None
    assert changed.regression(0b10, 0) is None
    assert changed.mean(1) == pytest.approx(moments.mean(0))


def test_a_shown_target_is_its_own_best_predictor() -> None:
    images = draws(2, 2, 6, 6)
    moments = TrainingMoments(2)
    moments.add(*planes(images, torch.ones_like(images, dtype=torch.bool)))
    np.testing.assert_allclose(moments.regression(0b11, 0), [0, 1, 0], atol=1e-9)


def test_what_no_training_subject_has_together_cannot_be_fitted() -> None:
    foreground = torch.zeros(2, 3, 4, 4, dtype=torch.bool)
    foreground[0, 0] = foreground[1, 1] = True  # nobody has both, nobody has the third
    moments = TrainingMoments(3)
    moments.add(*planes(draws(2, 3, 4, 4), foreground))
    assert moments.regression(0b01, 1) is None
    assert moments.mean(2) is None
    assert moments.mean(0) is not None


def test_subjects_that_lack_an_image_still_count_for_the_others() -> None:
    images = draws(2, 3, 8, 8)
    images[:, 1] = 0.2 + 0.5 * images[:, 0]
    foreground = torch.ones(2, 3, 8, 8, dtype=torch.bool)
    foreground[0, 2] = False
    alone, both = TrainingMoments(3), TrainingMoments(3)
    alone.add(*planes(images[:1], foreground[:1]))
    both.add(*planes(images, foreground))
    np.testing.assert_allclose(alone.regression(0b001, 1), [0.2, 0.5], atol=1e-6)
    np.testing.assert_allclose(both.regression(0b001, 1), [0.2, 0.5], atol=1e-6)
    assert len(both.sums) == 2  # one matrix for each pattern


def test_a_constant_input_does_not_upset_the_solver() -> None:
    images = draws(1, 2, 6, 6)
    images[:, 0] = 0.5
    moments = TrainingMoments(2)
    moments.add(*planes(images, torch.ones_like(images, dtype=torch.bool)))
    coefficients = moments.regression(0b01, 1)
    assert coefficients[0] + 0.5 * coefficients[1] == pytest.approx(float(images[:, 1].mean()), abs=1e-6)


def test_predictions_stay_in_the_range_of_images() -> None:
    predicted = predict_affine(np.array([0.0, 5.0]), 0b1, torch.tensor([[[[-1.0, 0.1, 1.0]]]]))
    assert predicted.tolist() == [[[-1.0, 0.5, 1.0]]]

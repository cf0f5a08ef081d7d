"""MMHVAE against what the authors' network computes: an independent implementation, at temperature 0."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
import torch
from authors_layout import our_name

from anymod.core.noise import fresh_noise
from anymod.models import AUTHORS, MMHVAE, MMHVAESettings
from anymod.models.mmhvae import Level

MODALITIES = ("us", "t2", "cet1", "flair")
TINY = MMHVAESettings(
    widths=(4, 8, 16, 18, 18, 18, 18),
    image_size=(64, 128),
    unshuffle=1,
    top="vector",
    expansion=6,
    head_channels=2,
    head_blocks=3,
)
SUBSETS = ["us", "t2", "cet1", "flair", "us+t2", "t2+flair", "us+cet1+flair", "us+t2+cet1+flair"]


@pytest.fixture(scope="module")
def vectors(shared: Path) -> np.lib.npyio.NpzFile:
    return np.load(shared / "reference" / "vectors.npz")


@pytest.fixture(scope="module")
def tiny(shared: Path) -> MMHVAE:
    theirs = torch.load(shared / "reference" / "tiny_state_dict.pt", weights_only=True)
    model = MMHVAE(MODALITIES, TINY)
    model.load_state_dict({our_name(name, MODALITIES): tensor for name, tensor in theirs.items()})
    return model.double()


def reference(vectors: np.lib.npyio.NpzFile, name: str) -> torch.Tensor:
    return torch.from_numpy(vectors[name])


def given(vectors: np.lib.npyio.NpzFile, subset: str) -> tuple[torch.Tensor, torch.Tensor]:
    images = torch.stack([reference(vectors, f"x/{name}") for name in MODALITIES], dim=1)[:1]
    return images, torch.tensor([[name in subset.split("+") for name in MODALITIES]])


def test_the_authors_configuration_has_their_parameters() -> None:
    with torch.device("meta"):
        parameters = list(MMHVAE(MODALITIES, AUTHORS).parameters())
    assert sum(parameter.numel() for parameter in parameters) == 13_774_770
    assert len(parameters) == 536


@pytest.mark.slow
@pytest.mark.parametrize("subset", SUBSETS)
def test_images_are_the_authors(tiny: MMHVAE, vectors: np.lib.npyio.NpzFile, subset: str) -> None:
    images, shown = given(vectors, subset)
    with torch.inference_mode():
        ours = tiny.synthesize(images, shown, (0, 1, 2, 3), 0.0, None)
    first = subset.split("+", maxsplit=1)[0]  # their mask: the foreground of the first image given (pitfall A5)
    foreground = images[:, MODALITIES.index(first)] > -1
    for number, name in enumerate(MODALITIES):
        masked = torch.where(foreground, ours[:, number : number + 1], -1.0)
        torch.testing.assert_close(masked, reference(vectors, f"img/{subset}/{name}"), atol=1e-9, rtol=0)


@pytest.mark.slow
def test_posteriors_of_all_levels_are_the_authors(tiny: MMHVAE, vectors: np.lib.npyio.NpzFile) -> None:
    """Their scale v fuses as a variance does (pitfall A1), so it is our variance."""
    images, shown = given(vectors, "us+t2")
    laws: dict[int, Level] = {}
    with torch.inference_mode():
        tiny.descend(tiny.encode(images, shown), shown, 0.0, None, lambda law: laws.__setitem__(law.number, law))
    assert sorted(laws) == [1, 2, 3, 4, 5, 6, 7]
    for number, law in laws.items():
        posterior = law.posterior
        theirs = reference(vectors, f"post_mu/us+t2/z{number}")
        torch.testing.assert_close(posterior.mean, theirs, atol=1e-9, rtol=0)
        theirs = reference(vectors, f"post_sigma/us+t2/z{number}")
        torch.testing.assert_close(posterior.log_variance.exp(), theirs, atol=1e-9, rtol=1e-9)


@pytest.mark.slow
def test_noise_moves_the_authors_images(tiny: MMHVAE, vectors: np.lib.npyio.NpzFile) -> None:
    images, shown = given(vectors, "us")
    with torch.inference_mode():
        still = tiny.synthesize(images, shown, (1,), 0.0, None)
        generator = torch.Generator().manual_seed(0)
        noise = fresh_noise(generator)
        drawn = tiny.synthesize(images, shown, (1,), 0.7, lambda level, shape: noise(level, shape).double())
    assert (still - drawn).abs().mean() > 1e-3

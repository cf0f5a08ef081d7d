"""Building blocks: shapes, and the few numbers that can be known by hand."""

from __future__ import annotations

import pytest
import torch
from torch import nn
from torch.nn.functional import pixel_unshuffle

from anymod.nn.cells import DecoderCell, EncoderCell, InstanceNorm, ModalityEncoder, SqueezeExcite, Upsample
from anymod.nn.discriminators import Discriminator
from anymod.nn.heads import ExpertHead, ImageHead, PriorHead, VectorTop, as_gaussian


def test_instance_norm_has_mean_zero_and_biased_variance_one() -> None:
    x = 5 + 3 * torch.randn(2, 4, 6, 7, generator=torch.Generator().manual_seed(0))
    y = InstanceNorm()(x)
    torch.testing.assert_close(y.mean((2, 3)), torch.zeros(2, 4), atol=1e-5, rtol=0)
    torch.testing.assert_close(y.var((2, 3), unbiased=False), torch.ones(2, 4), atol=1e-4, rtol=0)


@pytest.mark.parametrize("memory_format", [torch.contiguous_format, torch.channels_last])
def test_instance_norm_of_a_bright_flat_map_is_exact_in_any_layout(memory_format: torch.memory_format) -> None:
    x = 300 + torch.randn(2, 8, 96, 96, generator=torch.Generator().manual_seed(0))
    exact = nn.functional.instance_norm(x.double(), eps=1e-5)
    found = InstanceNorm()(x.contiguous(memory_format=memory_format))
    assert float((found - exact).abs().max()) < 1e-3


@pytest.mark.slow
@pytest.mark.parametrize("offset", [0.0, 1000.0])
def test_instance_norm_is_the_same_in_an_exported_graph(offset: float) -> None:
    x = offset + torch.randn(2, 4, 6, 7, generator=torch.Generator().manual_seed(0), dtype=torch.float64)
    exported = torch.export.export(InstanceNorm(), (x,))
    assert "instance_norm" in str(exported.graph)  # what engines fuse
    expected = (x - x.mean((2, 3), keepdim=True)) / (x.var((2, 3), unbiased=False, keepdim=True) + 1e-5).sqrt()
    torch.testing.assert_close(exported.module()(x), expected, atol=1e-9, rtol=0)
    torch.testing.assert_close(InstanceNorm()(x), expected, atol=1e-9, rtol=0)


def test_a_map_of_one_pixel_is_refused() -> None:
    with pytest.raises(ValueError, match="one pixel"):
        InstanceNorm()(torch.zeros(1, 4, 1, 1))


def test_gate_without_weights_halves_everything() -> None:
    gate = SqueezeExcite(8)
    for parameter in gate.parameters():
        torch.nn.init.zeros_(parameter)
    x = torch.randn(2, 8, 3, 3)
    torch.testing.assert_close(gate(x), 0.5 * x)


@pytest.mark.parametrize("cell", [EncoderCell(8), DecoderCell(8, 3)])
def test_cells_keep_the_shape(cell: torch.nn.Module) -> None:
    assert cell(torch.randn(2, 8, 6, 4)).shape == (2, 8, 6, 4)


def test_upsampling_keeps_pixel_centres() -> None:
    step = Upsample(1, 1)
    torch.nn.init.dirac_(step.convolution.weight)
    out = step(torch.tensor([[[[0.0, 4.0]]]]))
    assert out[0, 0, 0].tolist() == [0.0, 1.0, 3.0, 4.0]


def test_encoder_keeps_every_depth() -> None:
    maps = ModalityEncoder(3, (4, 6, 8))(torch.randn(2, 3, 16, 8))
    assert [tuple(entry.shape) for entry in maps] == [(2, 4, 16, 8), (2, 6, 8, 4), (2, 8, 4, 2)]


def test_first_half_of_the_channels_is_the_mean() -> None:
    distribution = as_gaussian(torch.tensor([[[[0.1]], [[-0.2]], [[1e6]], [[0.0]]]]), 10.0)
    assert distribution.mean.flatten().tolist() == pytest.approx([0.1, -0.2], abs=1e-4)
    assert distribution.log_variance.flatten().tolist() == [10.0, 0.0]


def test_half_precision_is_widened() -> None:
    assert as_gaussian(torch.zeros(1, 2, 1, 1, dtype=torch.bfloat16), 10.0).mean.dtype == torch.float32


def test_heads_and_top_have_their_shapes() -> None:
    assert ExpertHead(16, 8)(torch.randn(2, 16, 4, 4)).shape == (2, 8, 4, 4)
    assert PriorHead(8)(torch.randn(2, 8, 4, 4)).shape == (2, 8, 4, 4)
    top = VectorTop(6, (2, 3), 10)
    assert top(torch.randn(2, 6, 2, 3)).shape == (2, 20)
    assert top.to_map(torch.randn(2, 10)).shape == (2, 6, 2, 3)


@pytest.mark.parametrize("kernel", [3, 5, 7])
@pytest.mark.parametrize("unshuffle", [1, 2, 4])
def test_image_head_undoes_the_unshuffling(unshuffle: int, kernel: int) -> None:
    head = ImageHead(5, 6, 1, kernel, unshuffle)
    image = head(torch.randn(2, 5, 8, 4))
    assert image.shape == (2, 8 * unshuffle, 4 * unshuffle)
    assert pixel_unshuffle(image[:, None], unshuffle).shape[1] == unshuffle**2
    assert image.abs().max() < 1


def test_the_authors_discriminator_has_their_parameters_and_one_value_a_slice() -> None:
    discriminator = Discriminator(64, 6)
    assert sum(parameter.numel() for parameter in discriminator.parameters()) == 4_856_257
    assert discriminator(torch.zeros(1, 192, 192)).shape == (1, 1, 1, 1)


def test_the_default_discriminator_judges_patches() -> None:
    assert Discriminator(8, 3)(torch.zeros(2, 96, 96)).shape == (2, 1, 10, 10)


def test_scores_of_half_precision_are_widened() -> None:
    with torch.autocast("cpu", torch.bfloat16):
        assert Discriminator(4, 1)(torch.zeros(1, 8, 8)).dtype == torch.float32


def test_an_untrained_image_head_draws_no_checkerboard() -> None:
    image = ImageHead(5, 6, 1, 7, 2)(torch.randn(1, 5, 8, 4))
    blocks = pixel_unshuffle(image[:, None], 2)
    torch.testing.assert_close(blocks, blocks[:, :1].expand_as(blocks))

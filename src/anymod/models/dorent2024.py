"""The published network of the paper (Dorent et al. 2024; ReubenDo/MMHVAE, revision 31a988e): names of its weights, and its mask.

Its layers are those of `MMHVAE`, so one table of names moves its weights over; it differs in how experts are fused (deviations A1, A2).
"""

from __future__ import annotations

import math
import re
from collections.abc import Mapping, Sequence
from itertools import product

import torch
from torch import Tensor

from anymod.models.levels import INVERSE_DEVIATIONS
from anymod.models.mmhvae import MMHVAE
from anymod.models.mmhvae_settings import MMHVAESettings

G, V = "parametrizations.weight.original0", "parametrizations.weight.original1"
NORMED, WEIGHT, BOTH = (G, V), ("weight",), ("weight", "bias")
# Theirs, ours and its tensors (deviation A14): {m} a modality, {n} its number, {i} a depth, step or block.
PARTS = (
    ("bottleneck_down.linear", "top.emit", ("bias", *NORMED)),
    ("bottleneck_up.linear", "top.spread", ("bias", *NORMED)),
    ("first_conv.{m}", "encoders.{n}.stem", BOTH),
    ("conv_blocks_context.{m}.{i}.conv_0", "encoders.{n}.cells.{i}.first", BOTH),
    ("conv_blocks_context.{m}.{i}.conv_1", "encoders.{n}.cells.{i}.second", BOTH),
    ("conv_blocks_context.{m}.{i}.se.se.0", "encoders.{n}.cells.{i}.gate.squeeze", BOTH),
    ("conv_blocks_context.{m}.{i}.se.se.2", "encoders.{n}.cells.{i}.gate.excite", BOTH),
    ("td.{m}.{i}", "encoders.{n}.strides.{i}", BOTH),
    ("conv_blocks_localization.{i}.conv_0", "steps.{i}.cell.expand", BOTH),
    ("conv_blocks_localization.{i}.dw_conv_1", "steps.{i}.cell.depthwise", BOTH),
    ("conv_blocks_localization.{i}.se_2.se.0", "steps.{i}.cell.gate.squeeze", BOTH),
    ("conv_blocks_localization.{i}.se_2.se.2", "steps.{i}.cell.gate.excite", BOTH),
    ("conv_blocks_localization.{i}.conv_2", "steps.{i}.cell.project", BOTH),
    ("tu.{i}.conv_1", "steps.{i}.upsample.convolution", WEIGHT),
    ("qz.{i}.conv_0", "steps.{i}.expert.first", BOTH),
    ("qz.{i}.conv_1", "steps.{i}.expert.second", BOTH),
    ("qz.{i}.se.se.0", "steps.{i}.expert.gate.squeeze", BOTH),
    ("qz.{i}.se.se.2", "steps.{i}.expert.gate.excite", BOTH),
    ("qz.{i}.last_conv", "steps.{i}.expert.emit", NORMED),
    ("pz.{i}", "steps.{i}.prior.emit", NORMED),
    ("final_blocks.{m}.res.{i}.conv_block.1", "heads.{n}.blocks.{i}.first", BOTH),
    ("final_blocks.{m}.res.{i}.conv_block.5", "heads.{n}.blocks.{i}.second", BOTH),
    ("final_blocks.{m}.convt2", "heads.{n}.mix", BOTH),
    ("final_blocks.{m}.convt3", "heads.{n}.emit", BOTH),
)
OLDER_SPELLING = {"weight_g": G, "weight_v": V}  # of weight normalization, before torch 2


def first_foreground(images: Tensor, given: Sequence[int]) -> Tensor:
    """Return (b, h, w): where the first of the images that are given, in this order, is not background (deviation A5).

    The authors' outputs are background elsewhere. Shape: images (b, m, h, w); `given` holds positions in m. Ordinary use takes the union.
    """
    return images[:, given[0]] > -1


def names(modalities: Sequence[str], settings: MMHVAESettings) -> dict[str, str]:
    """Return our name of each of the authors' tensors."""
    table: dict[str, str] = {}
    for theirs, ours, tensors in PARTS:
        numbers = list(enumerate(modalities)) if "{m}" in theirs else [(0, "")]
        for (n, m), i in product(numbers, range(_repeats(theirs, settings))):
            for tensor in tensors:
                table[f"{theirs.format(m=m, i=i)}.{tensor}"] = f"{ours.format(n=n, i=i)}.{tensor}"
    return table


def _repeats(part: str, settings: MMHVAESettings) -> int:
    """Return how many of a part there are, for each modality where it belongs to one."""
    if "{i}" not in part:
        return 1
    if ".res." in part:
        return settings.head_blocks
    return len(settings.widths) - ("conv_blocks_context" not in part)


def modern_name(name: str) -> str:
    """Return a tensor's name with the newer spelling of weight normalization."""
    module, _, tensor = name.rpartition(".")
    return f"{module}.{OLDER_SPELLING[tensor]}" if tensor in OLDER_SPELLING else name


def inferred(
    shapes: Mapping[str, tuple[int, ...]], image_size: tuple[int, int] | None
) -> tuple[tuple[str, ...], MMHVAESettings]:
    """Return (modalities, settings) of the network that tensors of these names and shapes belong to.

    The tensors tell how many pixels the coarsest map has, not its sides: without `image_size` the image is taken to be square.

    Raises ValueError, in words for the user, where the names or shapes are of no such network.
    """
    modalities = tuple(
        name.split(".")[1] for name in shapes if name.startswith("first_conv.") and name.endswith(".weight")
    )
    if not modalities:
        raise ValueError("it has no first_conv.*.weight: these are no weights of the authors' network")
    first = modalities[0]

    def sizes(name: str, dimensions: int) -> tuple[int, ...]:
        if name not in shapes:
            raise ValueError(f"the tensor {name} is missing")
        if len(shapes[name]) != dimensions or 0 in shapes[name]:
            raise ValueError(f"the tensor {name} has the shape {shapes[name]}")
        return shapes[name]

    def count(pattern: str) -> int:
        """Return one more than the highest number that stands in a name: one that is left out is missed later."""
        return max((int(found[1]) + 1 for name in shapes if (found := re.fullmatch(pattern, name))), default=0)

    downs = count(rf"td\.{re.escape(first)}\.(\d{{1,2}})\.weight")
    widths = [
        sizes(f"first_conv.{first}.weight", 4)[0],
        *(sizes(f"td.{first}.{depth}.weight", 4)[0] for depth in range(downs)),
    ]
    down, expand = sizes(f"bottleneck_down.linear.{V}", 2), sizes("conv_blocks_localization.0.conv_0.weight", 4)
    head = sizes(f"final_blocks.{first}.convt2.weight", 4)
    if down[0] != 4 * widths[-1]:
        raise ValueError(
            f"its coarsest map has {widths[-1]} channels and its coarsest latent {down[0] // 2}: such a network is not read"
        )
    if head[0] != widths[0] // 2:
        raise ValueError(
            f"its image decoders have {head[0]} channels and z1 {widths[0] // 2}: such a network is not read"
        )
    settings = MMHVAESettings(
        widths=tuple(widths),
        image_size=_image_size(down[1] // widths[-1], 2**downs, image_size),
        unshuffle=1,
        top="vector",
        expansion=expand[0] // expand[1],
        head_channels=head[0],
        head_blocks=count(rf"final_blocks\.{re.escape(first)}\.res\.(\d{{1,2}})\.conv_block\.1\.weight"),
        head_kernel=head[2],  # type: ignore[arg-type]
    )
    return modalities, settings


def _image_size(pixels: int, stride: int, given: tuple[int, int] | None) -> tuple[int, int]:
    """Return the size of the images whose coarsest map has that many pixels, one for each `stride` x `stride` square of the image."""
    if given is None:
        side = math.isqrt(pixels)
        if side * side != pixels:
            why = f"its images are not square (the coarsest map has {pixels} pixels)"
            raise ValueError(f"{why}: give --image-size ROWSxCOLUMNS")
        return (side * stride, side * stride)
    rows, columns = given
    if rows % stride or columns % stride or rows * columns != pixels * stride**2:
        why = f"they are multiples of {stride}, {pixels} such squares"
        raise ValueError(f"images of {rows}x{columns} do not fit: {why}")
    return given


def translated(theirs: Mapping[str, Tensor], image_size: tuple[int, int] | None) -> MMHVAE:
    """Return the network with the authors' weights in it, every tensor's name, shape and type checked.

    Raises ValueError, in words for the user, that names the first tensor that is missing, too many, of another shape or type.
    """
    tensors = {modern_name(name): tensor for name, tensor in theirs.items()}
    modalities, settings = inferred({name: tuple(tensor.shape) for name, tensor in tensors.items()}, image_size)
    with torch.device("meta"):
        model = MMHVAE(modalities, settings, fusion=INVERSE_DEVIATIONS)
    table, wanted = names(modalities, settings), model.state_dict()
    for name in tensors:
        if name not in table:
            raise ValueError(f"the tensor {name} belongs to no part of the network")
    for name, ours in table.items():
        if name not in tensors:
            raise ValueError(f"the tensor {name} is missing")
        found, shape = tensors[name], tuple(wanted[ours].shape)
        if tuple(found.shape) != shape:
            raise ValueError(f"the tensor {name} has the shape {tuple(found.shape)}, not {shape}")
        if found.layout != torch.strided or found.dtype != torch.float32:
            kind = f"{found.dtype}, {found.layout}".replace("torch.", "")
            raise ValueError(f"the tensor {name} holds {kind}, not float32")
        if not bool(torch.isfinite(found).all()):
            raise ValueError(f"the tensor {name} holds values that are not finite")
    model.load_state_dict({ours: tensors[name].contiguous() for name, ours in table.items()}, assign=True)
    return model.eval().requires_grad_(False)

"""What networks of different shapes cost: the paper's, lean ones, and the U-Net of MM-GAN and pix2pix, in turns.

    python benchmarks/networks.py --threads 2 --json networks.json

Synthesis: one slice of 256 x 256, four modalities (the U-Net always takes and makes all four), float32, temperature 0. Training: a step
of `--rows` slices of 96 x 96 that show two of four modalities, float32 and bfloat16 autocast. All untrained, with images of noise, which
do not change the time. The contenders take turns of several slices (A B C A B C ...), each in a process of its own; ratios are medians
over turns against the paper's network in the same turn. All have our norm and the memory settings of the command line
(`keep_freed_memory`), also the U-Net.
"""

from __future__ import annotations

import json
from pathlib import Path
from typing import Annotated, Any

import torch
import typer
from steps import training_step
from torch import Tensor, nn
from turns import Cases, Contender, Run, in_turns, summary

from anymod.core.noise import MEAN
from anymod.memory import keep_freed_memory
from anymod.models import DORENT2024, MMHVAE, MMHVAESettings
from anymod.nn.cells import InstanceNorm

MODALITIES = ("us", "t2", "cet1", "flair")
SIDE, TRAINING_SIDE = 256, 96
PAPER, U_NET = "paper", "U-Net"
ALL, THREE, STEP, BFLOAT16 = "all from all", "three from one", "training step", "training step, bfloat16"
LEAN = {"unshuffle": 2, "expansion": 2, "head_channels": 16, "head_blocks": 2, "head_kernel": 3}
SHAPES: dict[str, dict[str, Any]] = {
    "lean": {**LEAN, "widths": (16, 32, 64, 128, 128)},
    "lean, twice as wide": {**LEAN, "widths": (32, 64, 128, 128, 128)},
    "lean, folded 4 x 4": {**LEAN, "widths": (64, 128, 128, 128), "unshuffle": 4, "head_channels": 32},
    "lean until now": {**LEAN, "widths": (24, 32, 48, 64), "head_kernel": 7},
}


class UNet(nn.Module):
    """The generator of pix2pix (Isola et al. 2017), from which MM-GAN's comes (Sharma and Hamarneh 2020): 8 strides, 64 to 512 channels."""

    def __init__(self, channels: int, depth: int = 8) -> None:
        super().__init__()
        widths = [channels, *(min(64 * 2**step, 512) for step in range(depth))]
        self.down = nn.ModuleList(nn.Conv2d(*widths[step : step + 2], 4, 2, 1) for step in range(depth))
        joined = [widths[step + 1] * (1 if step == depth - 1 else 2) for step in range(depth)]
        self.up = nn.ModuleList(nn.ConvTranspose2d(joined[step], widths[step], 4, 2, 1) for step in range(depth))

    def forward(self, x: Tensor) -> Tensor:
        """Return images of the shape of x (b, c, h, w) in (-1, 1)."""
        maps, norm = list[Tensor](), InstanceNorm()
        for step, down in enumerate(self.down):
            x = down(nn.functional.leaky_relu(x, 0.2) if step else x)
            x = norm(x) if 0 < step < len(self.down) - 1 else x
            maps.append(x)
        for step in reversed(range(1, len(self.up))):
            x = torch.cat([norm(self.up[step](torch.relu(x))), maps[step - 1]], 1)
        return torch.tanh(self.up[0](torch.relu(x)))


def network(name: str, side: int) -> MMHVAE:
    """Return an untrained network for slices of that side; the paper's with a map as its coarsest latent, which fits every side."""
    if name == PAPER:
        widths = DORENT2024.widths if side == SIDE else DORENT2024.widths[:-1]  # 96 pixels halve five times
        changed = {"widths": widths, "latent_levels": None, "image_size": (side, side), "top": "map"}
        return MMHVAE(MODALITIES, DORENT2024.model_copy(update=changed))
    return MMHVAE(MODALITIES, MMHVAESettings(image_size=(side, side), **SHAPES[name]))


def synthesis(name: str, shown: tuple[int, ...], targets: tuple[int, ...]) -> Run:
    """Return what makes one slice's images."""
    images = torch.rand(1, len(MODALITIES), 1, SIDE, SIDE) * 2 - 1
    flags = torch.zeros(1, len(MODALITIES), dtype=torch.bool)
    flags[:, list(shown)] = True
    if name == U_NET:
        rival = UNet(len(MODALITIES)).eval().requires_grad_(False)
        return torch.inference_mode()(lambda: rival(images[:, :, 0]))
    model = network(name, SIDE).eval().requires_grad_(False)
    return torch.inference_mode()(lambda: model.encode(images, flags).decode(flags, targets, MEAN))


def training(name: str, rows: int, *, bfloat16: bool) -> Run:
    """Return a training step."""
    flags = torch.zeros(1, rows, len(MODALITIES), dtype=torch.bool)
    flags[:, :, :2] = True
    step = training_step(network(name, TRAINING_SIDE).train(), flags, (TRAINING_SIDE, TRAINING_SIDE))

    def run() -> None:
        with torch.autocast("cpu", torch.bfloat16, enabled=bfloat16):
            step()

    return run


def contender(name: str, rows: int, threads: int) -> Cases:
    """Return the cases of one network; called in its process."""
    torch.set_num_threads(threads)
    keep_freed_memory()
    torch.manual_seed(0)
    everything = tuple(range(len(MODALITIES)))
    return lambda case: {
        ALL: lambda: synthesis(name, everything, everything),
        THREE: lambda: synthesis(name, (0,), (1, 2, 3)),
        STEP: lambda: training(name, rows, bfloat16=False),
        BFLOAT16: lambda: training(name, rows, bfloat16=True),
    }[case]()


def main(
    threads: Annotated[int, typer.Option(min=1, help="Threads of torch.")] = 2,
    turns: Annotated[int, typer.Option(min=1, help="Turns, of several slices or one training step.")] = 5,
    rows: Annotated[int, typer.Option(min=1, help="Slices of a training step.")] = 8,
    out: Annotated[Path | None, typer.Option("--json", help="File for all numbers.")] = None,
) -> None:
    """Time all networks, print a table and write it."""
    names = (PAPER, *SHAPES, U_NET)
    contenders = {name: Contender(contender, name, rows, threads) for name in names}
    print("| | network | ms (quartiles) | times the paper's speed |\n| --- | --- | --- | --- |")
    lines = []
    for case in (ALL, THREE, STEP, BFLOAT16):
        trains = case in (STEP, BFLOAT16)
        able = {name: each for name, each in contenders.items() if not trains or name != U_NET}
        seconds = in_turns(able, case, turns, 1) if trains else in_turns(able, case, turns)
        for name in able:
            lines.append({"case": case, "network": name} | summary(seconds, name, PAPER))
            low, high = lines[-1]["ms_quartiles"]
            print(
                f"| {case} | {name} | {lines[-1]['ms']:.0f} ({low:.0f} to {high:.0f}) | {lines[-1]['times']:.1f} |",
                flush=True,
            )
    if out is not None:
        out.write_text(
            json.dumps({"threads": threads, "rows": rows, "torch": torch.__version__, "lines": lines}, indent=1)
        )


if __name__ == "__main__":
    typer.run(main)

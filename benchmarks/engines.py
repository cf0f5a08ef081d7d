"""Synthesis and a training step beside the paper's authors' code, on the same weights: torch, ONNX Runtime, OpenVINO.

    python benchmarks/engines.py --threads 2 --authors MMHVAE --json engines.json

MMHVAE is a clone of github.com/ReubenDo/MMHVAE, of which `network/` is imported; without one, ours are measured alone. One slice of
192 x 192 at a time, float32; the contenders take turns of several slices (A B C A B C ...), each in a process of its own. Ours have the
memory settings of the command line (`keep_freed_memory`); the authors' code and torch also run as the other does. Ratios are medians over
turns of the authors' time over ours in the same turn. Images of noise: they do not change the time. Errors are the largest differences
from ours in float64, at temperature 0 (the authors' code at 1e-6: it refuses 0). Peak memory (Linux) is what a contender's process holds
while it runs a case, with its imports and what its set-up keeps (an engine keeps torch's network).
"""

from __future__ import annotations

import copy
import json
import logging
import platform
import sys
import warnings
from pathlib import Path
from typing import Annotated, Any

import numpy as np
import typer
from turns import Cases, Contender, Run, in_turns, summary

MODALITIES = ("us", "t2", "cet1", "flair")
SIZE = (192, 192)
CASES = {
    "all from all": ((0, 1, 2, 3), (0, 1, 2, 3)),
    "three MR from us": ((0,), (1, 2, 3)),
    "t2 from us": ((0,), (1,)),
}
THREE_SUBSETS = ((0, 1, 2, 3), (0,), (1, 2, 3))  # of a training step, as the authors draw them
TRAINING_ROWS = 2
AUTHORS, TORCH = "authors' code", "torch"
CONTENDERS = (AUTHORS, TORCH, "onnxruntime", "openvino")
SWAPPED = ", memory as the other"  # the authors' code with memory kept, torch with memory given back
TRAINING = f"training, {TRAINING_ROWS} slices, {len(THREE_SUBSETS)} subsets"


class Bench:
    """One contender; all have the same weights."""

    def __init__(self, name: str, clone: Path | None) -> None:
        import torch

        from anymod.engines import backends as engines
        from anymod.models import build_model
        from anymod.models.dorent2024 import translated

        torch.manual_seed(0)
        self.theirs = None if clone is None else _authors_network(clone)
        if self.theirs is None:
            self.ours = build_model("dorent2024", MODALITIES, {}, "benchmark").eval().requires_grad_(False)
        else:
            self.ours = translated(dict(self.theirs.state_dict()), SIZE)
        self.images = torch.rand(TRAINING_ROWS, len(MODALITIES), 1, *SIZE) * 1.99 - 0.99
        self.name = name
        if name != AUTHORS:
            seed = "untrained" if clone is None else "theirs"
            self.model, _ = engines.with_backend(self.ours, f"benchmark-{seed}", name, torch.device("cpu"))  # type: ignore[arg-type]

    def case(self, case: str) -> Run:
        """Return what makes one slice's images, an array (targets, h, w), or what trains for one step."""
        import torch

        if case == TRAINING:
            return self._their_training() if self.name == AUTHORS else self._training()
        shown, targets = CASES[case]
        images = self.images[:1]
        if self.name == AUTHORS:

            def theirs() -> Any:
                given = {MODALITIES[place]: images[:, place] for place in shown}
                with torch.inference_mode():
                    made = self.theirs(given, temp=1e-6)[0]  # it computes every image, asked for or not
                return np.stack([made[MODALITIES[place]][0, 0].numpy() for place in targets])

            return theirs
        from anymod.core.noise import MEAN

        flags = _flags(shown)

        def ours() -> Any:
            with torch.inference_mode():
                return self.model.encode(images, flags).decode(flags, targets, MEAN)[0].numpy()

        return ours

    def exact(self, case: str) -> Any:
        """Return the images in float64."""
        import torch

        from anymod.core.noise import MEAN

        shown, targets = CASES[case]
        double = copy.deepcopy(self.ours).double()
        with torch.inference_mode():
            flags = _flags(shown)
            return double.encode(self.images[:1].double(), flags).decode(flags, targets, MEAN)[0].numpy()

    def _their_training(self) -> Run:
        """Return a step on three subsets of a batch: absolute error, divergence, backward; no adversary."""
        import torch

        network = self.theirs.train()

        def run() -> None:
            network.zero_grad(set_to_none=True)
            loss = torch.zeros(())
            for shown in THREE_SUBSETS:
                made, divergences = network({MODALITIES[place]: self.images[:, place] for place in shown})
                for place, modality in enumerate(MODALITIES):
                    loss = loss + (made[modality][:, 0] - self.images[:, place, 0]).abs().mean() / len(MODALITIES)
                loss = loss + 1e-8 * sum(divergences["prior"])
            loss.backward()

        return run

    def _training(self) -> Run:
        """Return the same step of ours, which is the trainer's own, with an optimizer that moves nothing."""
        import torch
        from steps import training_step

        flags = torch.stack([_flags(shown).expand(TRAINING_ROWS, -1) for shown in THREE_SUBSETS])
        return training_step(copy.deepcopy(self.ours).train().requires_grad_(True), flags, SIZE)


def contender(name: str, clone: Path | None, threads: int) -> Cases:
    """Return the cases of one contender; called in its process."""
    import torch

    from anymod.memory import keep_freed_memory

    torch.set_num_threads(threads)
    plain = name.removesuffix(SWAPPED)
    if (plain == AUTHORS) == (plain != name):
        keep_freed_memory()
    return Bench(plain, clone).case


def _flags(shown: tuple[int, ...]) -> Any:
    """Return (1, m): what is shown."""
    import torch

    flags = torch.zeros(1, len(MODALITIES), dtype=torch.bool)
    flags[:, list(shown)] = True
    return flags


def _authors_network(clone: Path) -> Any:
    sys.path.insert(0, str(clone))
    warnings.simplefilter("ignore")  # the older spelling of weight normalization
    from network.mhvae import MHVAE2D  # type: ignore[import-not-found]

    return MHVAE2D(
        modalities=list(MODALITIES),
        base_num_features=16,
        num_pool=6,
        original_shape=SIZE,
        max_features=128,
        with_residual=True,
        with_se=True,
        logger=logging.getLogger("authors"),
        nfeat_finalblock=8,
        nb_finalblocks=6,
    ).eval()


def main(
    authors: Annotated[Path | None, typer.Option(help="Clone of the authors' repository.")] = None,
    threads: Annotated[int, typer.Option(min=1, help="Threads of every contender.")] = 2,
    turns: Annotated[int, typer.Option(min=1, help="Turns, of several slices or one training step.")] = 5,
    only: Annotated[str, typer.Option(help="Only cases whose name contains this, such as 'training'.")] = "",
    json_path: Annotated[Path | None, typer.Option("--json", help="File to write.")] = None,
) -> None:
    """Print a table, and write it as JSON."""
    import torch

    names = CONTENDERS if authors is not None else CONTENDERS[1:]
    names += tuple(name + SWAPPED for name in (AUTHORS, TORCH) if name in names)
    reference = Bench(TORCH, authors)
    contenders = {name: Contender(contender, name, authors, threads) for name in names}
    rows = []
    for case in (each for each in (*CASES, TRAINING) if only in each):
        trains = case == TRAINING
        able = {
            name: each
            for name, each in contenders.items()
            if not trains or name.removesuffix(SWAPPED) in (AUTHORS, TORCH)
        }
        seconds = in_turns(able, case, turns, 1) if trains else in_turns(able, case, turns)
        exact = None if trains else reference.exact(case)
        for name, each in able.items():
            error = None if exact is None else float(np.abs(each.made(case) - exact).max())
            rows.append(
                {"case": case, "contender": name}
                | summary(seconds, name, AUTHORS)
                | {"largest_error": error, "peak_mib": each.peak_mib(case)}
            )
    print(table(rows))
    if json_path is not None:
        about = {
            "machine": platform.machine(),
            "python": platform.python_version(),
            "torch": torch.__version__,
            "threads": threads,
        }
        json_path.write_text(json.dumps({"format": 1, **about, "rows": rows}, indent=2) + "\n")


def table(rows: list[dict[str, Any]]) -> str:
    """Return the rows as Markdown."""
    names = ("", "", "ms (quartiles)", "slowest", "times the authors' speed", "largest error", "peak MiB")
    lines = ["| " + " | ".join(names) + " |", "| " + " | ".join("---" for _ in names) + " |"]
    for each in rows:
        low, high = each["ms_quartiles"]
        ratio = "" if each["times"] is None else f"{each['times']:.2f}"
        error = "" if each["largest_error"] is None else f"{each['largest_error']:.1e}"
        time_ms = f"{each['ms']:.0f} ({low:.0f} to {high:.0f})"
        cells = (
            each["case"],
            each["contender"],
            time_ms,
            f"{each['ms_slowest']:.0f}",
            ratio,
            error,
            f"{each['peak_mib']:.0f}",
        )
        lines.append("| " + " | ".join(cells) + " |")
    return "\n".join(lines)


if __name__ == "__main__":
    typer.run(main)

"""Synthesis and a training step beside the paper's authors' code, on the same weights: torch, ONNX Runtime, OpenVINO.

    python benchmarks/engines.py --threads 2 --authors MMHVAE --json engines.json

MMHVAE is a clone of github.com/ReubenDo/MMHVAE, of which `network/` is imported; without one, ours are measured alone. One process, one
slice of 192 x 192 at a time, float32; the contenders take turns (A B C A B C ...), so that a noisy machine is noisy for all. Ratios are
medians over turns of the authors' time over ours in the same turn. Images of noise: they do not change the time. Errors are the largest
differences from ours in float64, at temperature 0 (the authors' code at 1e-6: it refuses 0). Peak memory (Linux) is that of a process
that runs one contender alone, once it is set up; what set-up leaves behind (the imports, an engine's torch network) is in it.
"""

from __future__ import annotations

import copy
import json
import logging
import platform
import subprocess
import sys
import time
import warnings
from collections.abc import Callable
from pathlib import Path
from typing import Annotated, Any

import numpy as np
import typer

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

Run = Callable[[], Any]


class Bench:
    """The contenders, all with the same weights."""

    def __init__(self, clone: Path | None, names: tuple[str, ...]) -> None:
        import torch

        from anymod.models import AUTHORS as SETTINGS
        from anymod.models import AuthorsMMHVAE
        from anymod.models.authors import translated
        from anymod.synthesis import engines

        torch.manual_seed(0)
        self.theirs = None if clone is None else _authors_network(clone)
        if self.theirs is None:
            self.ours = AuthorsMMHVAE(MODALITIES, SETTINGS).eval().requires_grad_(False)
        else:
            self.ours = translated(dict(self.theirs.state_dict()), SIZE)
        self.images = torch.rand(TRAINING_ROWS, len(MODALITIES), 1, *SIZE) * 1.99 - 0.99
        cpu = torch.device("cpu")
        self.models = {
            name: engines.with_backend(self.ours, name, cpu)
            for name in names
            if name != AUTHORS  # type: ignore[arg-type]
        }

    def synthesis(self, name: str, case: str) -> Run:
        """Return what makes one slice's images as a (targets, h, w) array."""
        import torch

        shown, targets = CASES[case]
        images = self.images[:1]
        if name == AUTHORS:

            def theirs() -> Any:
                given = {MODALITIES[place]: images[:, place] for place in shown}
                with torch.inference_mode():
                    made = self.theirs(given, temp=1e-6)[0]  # it computes every image, asked for or not
                return np.stack([made[MODALITIES[place]][0, 0].numpy() for place in targets])

            return theirs
        flags = torch.zeros(1, len(MODALITIES), dtype=torch.bool)
        flags[:, list(shown)] = True

        def ours() -> Any:
            with torch.inference_mode():
                return self.models[name].synthesize(images, flags, targets, 0.0, None)[0].numpy()

        return ours

    def exact(self, case: str) -> Any:
        """Return the images in float64."""
        import torch

        shown, targets = CASES[case]
        flags = torch.zeros(1, len(MODALITIES), dtype=torch.bool)
        flags[:, list(shown)] = True
        with torch.inference_mode():
            return (
                copy.deepcopy(self.ours)
                .double()
                .synthesize(self.images[:1].double(), flags, targets, 0.0, None)[0]
                .numpy()
            )

    def training(self, name: str) -> Run:
        """Return a step on three subsets of a batch: absolute error, divergence, backward; no adversary.

        Ours is the trainer's own, with an optimizer that moves nothing."""
        import torch

        if name == AUTHORS:
            network = self.theirs.train()

            def theirs() -> None:
                network.zero_grad(set_to_none=True)
                loss = torch.zeros(())
                for shown in THREE_SUBSETS:
                    made, divergences = network({MODALITIES[place]: self.images[:, place] for place in shown})
                    for place, modality in enumerate(MODALITIES):
                        loss = loss + (made[modality][:, 0] - self.images[:, place, 0]).abs().mean() / len(MODALITIES)
                    loss = loss + 1e-8 * sum(divergences["prior"])
                loss.backward()

            return theirs
        from steps import training_step

        flags = torch.zeros(len(THREE_SUBSETS), TRAINING_ROWS, len(MODALITIES), dtype=torch.bool)
        for number, shown in enumerate(THREE_SUBSETS):
            flags[number, :, list(shown)] = True
        return training_step(copy.deepcopy(self.ours).train().requires_grad_(True), flags, SIZE)


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


def in_turns(runs: dict[str, Run], turns: int) -> dict[str, list[float]]:
    """Return the seconds of each contender in each turn, after one run that does not count."""
    for run in runs.values():
        run()
    seconds: dict[str, list[float]] = {name: [] for name in runs}
    for _ in range(turns):
        for name, run in runs.items():
            start = time.perf_counter()
            run()
            seconds[name].append(time.perf_counter() - start)
    return seconds


def row(case: str, name: str, seconds: dict[str, list[float]], error: float | None) -> dict[str, Any]:
    """Return one line of the table."""
    own = np.array(seconds[name])
    low, middle, high, slowest = np.percentile(own, (25, 50, 75, 99))
    ratio = float(np.median(np.array(seconds[AUTHORS]) / own)) if AUTHORS in seconds else None
    return {
        "case": case,
        "contender": name,
        "ms": 1000 * middle,
        "ms_quartiles": [1000 * low, 1000 * high],
        "ms_p99": 1000 * slowest,
        "times_authors": ratio,
        "largest_error": error,
        "turns": len(own),
    }


def peak_mib(name: str, what: str, clone: Path | None, threads: int) -> float:
    """Return the largest resident size of a process that runs one contender alone, in MiB."""
    command = [sys.executable, __file__, "--threads", str(threads), "--alone", name, "--what", what]
    command += [] if clone is None else ["--authors", str(clone)]
    return float(subprocess.run(command, check=True, capture_output=True, text=True).stdout.split()[-1])  # noqa: S603


def main(
    authors: Annotated[Path | None, typer.Option(help="Clone of the authors' repository.")] = None,
    threads: Annotated[int, typer.Option(min=1, help="Threads of every contender.")] = 2,
    turns: Annotated[int, typer.Option(min=1, help="Turns of a synthesis; a training step has a fifth.")] = 25,
    only: Annotated[str, typer.Option(help="Only cases whose name contains this, such as 'training'.")] = "",
    json_path: Annotated[Path | None, typer.Option("--json", help="File to write.")] = None,
    alone: Annotated[str | None, typer.Option(hidden=True)] = None,
    what: Annotated[str, typer.Option(hidden=True)] = "all from all",
) -> None:
    """Print a table, and write it as JSON."""
    import torch

    torch.set_num_threads(threads)
    if alone is not None:
        bench = Bench(authors, (alone,))
        run = bench.training(alone) if what == "training" else bench.synthesis(alone, what)
        Path("/proc/self/clear_refs").write_text("5")  # forget the peak of the set-up
        for _ in range(3):
            run()
        status = Path("/proc/self/status").read_text().splitlines()  # not getrusage: that remembers the parent
        print(next(int(line.split()[1]) for line in status if line.startswith("VmHWM")) / 2**10)
        return
    names = CONTENDERS if authors is not None else CONTENDERS[1:]
    bench, rows = Bench(authors, names), []
    for case in (each for each in CASES if only in each):
        exact = bench.exact(case)
        runs = {name: bench.synthesis(name, case) for name in names}
        errors = {name: float(np.abs(run() - exact).max()) for name, run in runs.items()}
        seconds = in_turns(runs, turns)
        rows += [
            row(case, name, seconds, errors[name]) | {"peak_mib": peak_mib(name, case, authors, threads)}
            for name in names
        ]
    case = f"training, {TRAINING_ROWS} slices, 3 subsets"
    trained = [name for name in names if name in (AUTHORS, TORCH)] if only in case else []
    seconds = in_turns({name: bench.training(name) for name in trained}, max(1, turns // 5))
    rows += [
        row(case, name, seconds, None) | {"peak_mib": peak_mib(name, "training", authors, threads)} for name in trained
    ]
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
    names = ("", "", "ms (quartiles)", "p99", "times the authors' speed", "largest error", "peak MiB")
    lines = ["| " + " | ".join(names) + " |", "| " + " | ".join("---" for _ in names) + " |"]
    for each in rows:
        low, high = each["ms_quartiles"]
        ratio = "" if each["times_authors"] is None else f"{each['times_authors']:.2f}"
        error = "" if each["largest_error"] is None else f"{each['largest_error']:.1e}"
        time_ms = f"{each['ms']:.0f} ({low:.0f} to {high:.0f})"
        cells = (
            each["case"],
            each["contender"],
            time_ms,
            f"{each['ms_p99']:.0f}",
            ratio,
            error,
            f"{each['peak_mib']:.0f}",
        )
        lines.append("| " + " | ".join(cells) + " |")
    return "\n".join(lines)


if __name__ == "__main__":
    typer.run(main)

"""How fast and how large: synthesis, a training step, a volume from file to file, and the slice loader.

Each measurement runs in a process of its own, so that its peak memory is its own; "above" is the peak less what the interpreter held
after the imports. Networks are untrained and images random: neither changes the time.

    python benchmarks/speed.py --threads 2
    python benchmarks/speed.py --only loader --json
"""

from __future__ import annotations

import json
import platform
import statistics
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Annotated, Any

import typer
from turns import forget_peak, peak_mib

MODALITIES = ("t1", "cet1", "t2", "flair")
REPEATS = 5


@dataclass(frozen=True)
class Result:
    """Seconds for one slice (median and fastest of the repeats) and peak memory in MiB, in all and above the imports.

    Of a volume also the seconds of each stage: read, prepare (onto the model's grid), network, restore (onto its own), write.
    """

    name: str
    slices: int
    seconds_per_slice: float
    fastest_seconds_per_slice: float
    slices_per_second: float
    peak_mib: float
    above_imports_mib: float
    stages: dict[str, float]


def synthesis(shown: int, settings: Any, rows: int) -> tuple[Callable[[], None], int]:
    """Return (what synthesizes all modalities of a chunk of `rows` slices from `shown` of them, slices)."""
    import torch

    from anymod.models import MMHVAE
    from anymod.synthesis import SynthesisOptions, draw_images, encoded

    model = MMHVAE(MODALITIES, settings).eval()
    images = torch.rand(rows, len(MODALITIES), 1, *settings.image_size) * 2 - 1
    flags = torch.arange(len(MODALITIES)).lt(shown).expand(rows, -1)

    @torch.inference_mode()
    def run() -> None:
        draw_images(encoded(model, images, flags), flags, (0, 1, 2, 3), SynthesisOptions(), list(range(rows)))

    return run, rows


def training_step(shown: int, settings: Any, rows: int) -> tuple[Callable[[], None], int]:
    """Return (one draw, backward and Adamax on a batch of `rows` slices that show `shown` modalities and observe all, slices)."""
    import torch
    from steps import training_step as step

    from anymod.models import MMHVAE

    model = MMHVAE(MODALITIES, settings)
    flags = torch.arange(len(MODALITIES)).lt(shown).expand(1, rows, -1)
    return step(model, flags, settings.image_size, torch.optim.Adamax(model.parameters(), 2e-3)), rows


def volume(
    settings: Any, folder: Path, backend: Any = "torch", slices: int = 160
) -> tuple[Callable[[], dict[str, float]], int]:
    """Return (a subject of four images, as wide as the network's, from files to four synthesized files, slices); graphs are made before."""
    import numpy as np

    from anymod.models import MMHVAE, ModelDescription, ModelModality, save_model
    from anymod.synthesis import Inputs, SynthesisOptions, Synthesizer, synthesize_files
    from anymod.volumes import Grid, IntensityRule, Volume, write_volume

    model = MMHVAE(MODALITIES, settings)
    description = ModelDescription(
        anymod="benchmark",
        architecture="mmhvae",
        settings=settings.model_dump(mode="json"),
        modalities=tuple(ModelModality(name=name, group="mr", low=0.0, high=100.0) for name in MODALITIES),
        spacing_mm=1.0,
        image_size=settings.image_size,
        intensity=IntensityRule(),
        targets="percentile",
        training={},
    )
    save_model(folder / "model", model, description, "Untrained.\n")
    for number, name in enumerate(MODALITIES):
        shape = (*settings.image_size, slices)
        data = np.random.default_rng(number).uniform(1, 100, shape).astype(np.float32)
        data[[0, -1]] = data[:, [0, -1]] = data[:, :, [0, -1]] = 0
        write_volume(folder / f"{name}.nii.gz", Volume(data.round(), Grid(data.shape, np.eye(4))))
    Synthesizer.from_folder(folder / "model", "cpu", backend)
    inputs = Inputs({name: folder / f"{name}.nii.gz" for name in MODALITIES})

    def run() -> dict[str, float]:
        options = SynthesisOptions(MODALITIES)
        record = synthesize_files(
            folder / "model", inputs, folder / "out", options, device="cpu", backend=backend, overwrite=True
        )
        return record["seconds"]

    return run, slices


def loader(folder: Path) -> tuple[Callable[[], None], int]:
    """Return (what reads 64 batches of 16 slices of 4 x 96 x 96 from a cache, mixed over eight subjects, slices)."""
    from steps import phantom_cache

    from anymod.slices import BatchPlan

    cache = phantom_cache(folder, MODALITIES, subjects=8, side=96)
    plan = BatchPlan(cache, 16, seed=0)

    def run() -> None:
        for step in range(64):
            cache.read(*plan.rows(step), 0)

    return run, 64 * 16


def prepare(name: str, folder: Path) -> tuple[Callable[[], dict[str, float] | None], int]:
    """Return (what is to be timed, slices it makes) of one of NAMES."""
    from anymod.models import DORENT2024, MMHVAESettings

    lean = MMHVAESettings()
    large = lean.model_copy(update={"image_size": (192, 192)})
    return {
        "synthesis, authors 192x192, 1 shown": lambda: synthesis(1, DORENT2024, 1),
        "synthesis, authors 192x192, 4 shown": lambda: synthesis(4, DORENT2024, 1),
        "synthesis, lean 96x96, 1 shown": lambda: synthesis(1, lean, 8),
        "synthesis, lean 96x96, 4 shown": lambda: synthesis(4, lean, 8),
        "training step, authors 192x192 batch 1, 1 shown": lambda: training_step(1, DORENT2024, 1),
        "training step, authors 192x192 batch 1, 4 shown": lambda: training_step(4, DORENT2024, 1),
        "training step, lean 96x96 batch 16, 1 shown": lambda: training_step(1, lean, 16),
        "training step, lean 96x96 batch 16, 4 shown": lambda: training_step(4, lean, 16),
        "volume file to file, lean 192x192x160, 4 shown": lambda: volume(large, folder),
        "volume file to file, authors 192x192x160, 4 shown": lambda: volume(DORENT2024, folder),
        "volume file to file, lean 192x192x160, 4 shown, OpenVINO": lambda: volume(large, folder, "openvino"),
        "volume file to file, authors 192x192x160, 4 shown, OpenVINO": lambda: volume(DORENT2024, folder, "openvino"),
        "loader, 4x96x96 batch 16": lambda: loader(folder),
    }[name]()


NAMES = (
    "synthesis, authors 192x192, 1 shown",
    "synthesis, authors 192x192, 4 shown",
    "synthesis, lean 96x96, 1 shown",
    "synthesis, lean 96x96, 4 shown",
    "training step, authors 192x192 batch 1, 1 shown",
    "training step, authors 192x192 batch 1, 4 shown",
    "training step, lean 96x96 batch 16, 1 shown",
    "training step, lean 96x96 batch 16, 4 shown",
    "volume file to file, lean 192x192x160, 4 shown",
    "volume file to file, authors 192x192x160, 4 shown",
    "volume file to file, lean 192x192x160, 4 shown, OpenVINO",
    "volume file to file, authors 192x192x160, 4 shown, OpenVINO",
    "loader, 4x96x96 batch 16",
)


def measure(name: str, threads: int | None) -> Result:
    """Return one measurement of this process: a warm-up, then repeats (a volume: once, with no warm-up)."""
    import matplotlib.figure  # noqa: F401 - all that the package imports belongs to "the imports"
    import SimpleITK  # noqa: F401
    import torch

    import anymod.synthesis  # noqa: F401
    from anymod.memory import keep_freed_memory

    keep_freed_memory()  # as the command line does
    if threads is not None:
        torch.set_num_threads(threads)
    torch.manual_seed(0)
    imports = peak_mib()
    with tempfile.TemporaryDirectory() as folder:
        run, slices = prepare(name, Path(folder))
        forget_peak()  # of the set-up
        once = name.startswith("volume")
        if not once:
            run()
        seconds = []
        for _ in range(1 if once else REPEATS):
            start = time.perf_counter()
            stages = run()
            seconds.append((time.perf_counter() - start) / slices)
    middle, peak = statistics.median(seconds), peak_mib()
    return Result(name, slices, middle, min(seconds), 1 / middle, peak, peak - imports, stages or {})


def measure_apart(name: str, threads: int | None) -> Result:
    """Return the measurement that a fresh process makes."""
    command = [sys.executable, __file__, "--here", name, *([] if threads is None else ["--threads", str(threads)])]
    output = subprocess.run(command, check=True, capture_output=True, text=True).stdout  # noqa: S603
    return Result(**json.loads(output.splitlines()[-1]))


def main(
    only: Annotated[str, typer.Option(help="Only measurements whose name contains this.")] = "",
    threads: Annotated[int | None, typer.Option(min=1, help="Threads of torch.")] = None,
    as_json: Annotated[bool, typer.Option("--json", help="Print JSON.")] = False,
    here: Annotated[str | None, typer.Option(hidden=True)] = None,
) -> None:
    """Print slices per second and peak memory as a table, or as JSON."""
    if here is not None:
        print(json.dumps(asdict(measure(here, threads))))
        return
    results = []
    if not as_json:
        print(f"{'measurement':<65} {'slices/s':>9} {'ms/slice':>9} {'fastest':>9} {'peak MiB':>9} {'above':>7}")
    for name in NAMES:
        if only in name:
            result = measure_apart(name, threads)
            results.append(result)
            if not as_json:
                each, fastest = 1000 * result.seconds_per_slice, 1000 * result.fastest_seconds_per_slice
                numbers = f"{result.slices_per_second:>9.2f} {each:>9.2f} {fastest:>9.2f}"
                print(f"{name:<65} {numbers} {result.peak_mib:>9.0f} {result.above_imports_mib:>7.0f}", flush=True)
                for stage, took in result.stages.items():
                    print(f"    {stage} {took:.1f} s", flush=True)
    if as_json:
        machine = {"machine": platform.machine(), "python": platform.python_version(), "threads": threads}
        print(json.dumps({"format": 1, **machine, "results": [asdict(result) for result in results]}, indent=2))


if __name__ == "__main__":
    typer.run(main)

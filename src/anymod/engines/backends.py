"""Networks run by ONNX Runtime or OpenVINO instead of torch, from graphs that are made once and kept."""

from __future__ import annotations

import logging
import os
import statistics
import timeit
from collections.abc import Callable
from dataclasses import dataclass, field
from functools import partial
from importlib import metadata, util
from pathlib import Path

import torch
from torch import Tensor

from anymod.compute import Backend
from anymod.core.noise import USUAL_TEMPERATURE, Draw, shared_noise
from anymod.engines.runtimes import LARGEST_DIFFERENCE, load_onnx, load_openvino, package, write_onnx
from anymod.errors import AnymodError, ConfigurationError, MissingExtraError, OutputError
from anymod.files import atomic_write
from anymod.models import Network, Run, Synthesizes

LOADERS: dict[Backend, Callable[[Path, int], Run]] = {"onnxruntime": load_onnx, "openvino": load_openvino}
NEEDED = ("onnx", "onnxscript")  # to make graphs
CACHE = "ANYMOD_CACHE"  # environment variable that moves the folder of graphs
PROBE_ROWS, PROBE_RUNS = 2, 3

logger = logging.getLogger(__name__)


@dataclass(frozen=True)
class GraphRunner:
    """Runs the parts of a network by name; each is exported by torch where `folder` does not hold it yet."""

    network: Network
    backend: Backend
    folder: Path
    _runs: dict[str, Run] = field(default_factory=dict)

    def __call__(self, part: str) -> Run:
        """Return what runs a part; raise OutputError where it cannot be made, kept or loaded."""
        if part not in self._runs:
            path = self.folder / f"{part}.onnx"
            try:
                if not path.is_file():
                    self._make(part, path)
                self._runs[part] = LOADERS[self.backend](path, torch.get_num_threads())
            except AnymodError:
                raise
            except Exception as problem:  # whatever the exporter or the runtime raises: there is always torch
                why = " ".join(str(problem).split())[:200] or type(problem).__name__
                raise OutputError("no graph", self.backend, why, self.remedy) from problem
        return self._runs[part]

    @property
    def remedy(self) -> str:
        """Advice for a graph that cannot be used."""
        return f"use --backend torch, or delete {self.folder} and try again"

    def _make(self, part: str, path: Path) -> None:
        logger.info("making the graph %s, once for this model", part)
        made = self.network.part(part)
        try:
            self.folder.mkdir(parents=True, exist_ok=True)
            with atomic_write(path) as temporary:
                write_onnx(made.module, made.inputs, made.open_sizes, temporary)
        except (OSError, OutputError) as problem:
            why = getattr(problem, "why", None) or str(problem)
            raise OutputError("cannot keep graphs", self.folder, why, f"name another folder in {CACHE}") from problem


def with_backend(
    network: Network, fingerprint: str, backend: Backend, device: torch.device
) -> tuple[Synthesizes, Backend]:
    """Return the network as it is or run by another runtime, and which one runs it.

    `fingerprint` names the network's weights and settings (`ModelDescription.fingerprint`); graphs are kept under it. `auto` takes the
    fastest runtime that is installed and whose images equal torch's.

    Raises ConfigurationError where the device is not the processor, MissingExtraError where the runtime is not installed, OutputError
    where its images differ from torch's by more than `LARGEST_DIFFERENCE`.
    """
    if backend == "torch" or (backend == "auto" and device.type != "cpu"):
        return network, "torch"
    if device.type != "cpu":
        why = f"it runs on the processor, not on {device}"
        raise ConfigurationError("wrong backend", f"--backend {backend}", why, "use --device cpu, or --backend torch")
    try:
        folder = graphs_folder(fingerprint)
    except OutputError as problem:
        if backend != "auto":
            raise
        logger.warning("%s", problem)
        return network, "torch"
    if backend != "auto":
        for name in (*NEEDED, backend):
            package(name)
        return _checked(network, GraphRunner(network, backend, folder)), backend
    fastest: tuple[Synthesizes, Backend] = (network, "torch")
    seconds = _seconds(network)
    for name in LOADERS:
        if any(util.find_spec(each) is None for each in (*NEEDED, name)):
            continue
        try:
            candidate = _checked(network, GraphRunner(network, name, folder))
        except (OutputError, MissingExtraError) as problem:
            logger.warning("%s", problem)
            continue
        took = _seconds(candidate)
        if took < seconds:
            fastest, seconds = (candidate, name), took
    logger.info("backend: %s", fastest[1])
    return fastest


def graphs_folder(fingerprint: str) -> Path:
    """Return the folder of a network's graphs; those of other versions of anymod, torch or the exporter lie elsewhere."""
    versions = "-".join(metadata.version(name) for name in ("anymod", "torch", *NEEDED) if util.find_spec(name))
    try:
        base = os.environ.get(CACHE) or Path(os.environ.get("XDG_CACHE_HOME") or Path.home() / ".cache") / "anymod"
    except RuntimeError:
        why = "this user has no home folder"
        raise OutputError("cannot keep graphs", "--backend", why, f"name a folder in {CACHE}") from None
    return Path(base) / "graphs" / f"{fingerprint[:32]}-{versions}"


@torch.inference_mode()
def _checked(network: Network, run: GraphRunner) -> Synthesizes:
    """Return the model that `run` computes; raise OutputError where its means or draws are not those of torch."""
    model = network.assembled(run)
    for temperature in (0.0, USUAL_TEMPERATURE):
        difference = float((_probe(model, temperature) - _probe(network, temperature)).abs().max())
        if not difference <= LARGEST_DIFFERENCE:
            why = f"its images differ from torch's by {difference:.2g}, more than {LARGEST_DIFFERENCE:g}"
            raise OutputError("wrong graph", run.backend, why, run.remedy)
    return model


def _probe(model: Synthesizes, temperature: float = 0.0) -> Tensor:
    """Return all images of two slices of noise, of which the second shows one modality only."""
    count = len(model.spec.modalities)
    images = model.spec.random_images(PROBE_ROWS, torch.Generator().manual_seed(0))
    shown = torch.ones(PROBE_ROWS, count, dtype=torch.bool)
    shown[1, 1:] = False
    return model.encode(images, shown).decode(shown, tuple(range(count)), Draw(temperature, shared_noise(0)))


@torch.inference_mode()
def _seconds(model: Synthesizes) -> float:
    _probe(model)
    return statistics.median(timeit.repeat(partial(_probe, model), number=1, repeat=PROBE_RUNS))

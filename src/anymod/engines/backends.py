"""A model run by another engine than torch: ONNX Runtime or OpenVINO, on the processor, from graphs that are made once and kept."""

from __future__ import annotations

import hashlib
import json
import logging
import os
import statistics
import time
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from functools import partial
from importlib import metadata, util
from pathlib import Path
from typing import Any

import numpy as np
import torch
from torch import Tensor

from anymod.arrays import Array
from anymod.compute import Backend
from anymod.core.batch import Batch
from anymod.core.noise import USUAL_TEMPERATURE, Noise, shared_noise
from anymod.engines.export import LARGEST_DIFFERENCE, load_onnx, load_openvino, package, write_onnx
from anymod.engines.graph import DecoderGraph, EncoderGraph, without_weight_norm
from anymod.errors import AnymodError, ConfigurationError, MissingExtraError, OutputError
from anymod.files import atomic_write
from anymod.models import MMHVAE, Decode, Objective, Outcome, UnifiedModel
from anymod.types import Images, Shown, ShownPerDraw, TargetPlanes

LOADERS: dict[Backend, Callable[[Path, int], Callable[..., list[Array]]]] = {
    "onnxruntime": load_onnx,
    "openvino": load_openvino,
}
NEEDED = ("onnx", "onnxscript")  # to make graphs
CACHE = "ANYMOD_CACHE"  # environment variable that moves the folder of graphs
PROBE_ROWS, PROBE_RUNS = 2, 3
MOST_ROWS, MOST_SIDE = 1024, 256  # of a batch; of a side, in strides

logger = logging.getLogger(__name__)

Run = Callable[..., list[Array]]
"""Returns a graph's outputs for its inputs, in their order."""


@dataclass(frozen=True)
class Encoded:
    """What `EngineModel.encode` found: maps (b, ...) of each modality that any row shows, finest first, and what was `shown` (b, m)."""

    maps: dict[int, list[Array]]
    shown: Tensor


class EngineModel(UnifiedModel):
    """An MMHVAE whose encoders, decoder and image heads run in an engine, each only where it is needed; it cannot be trained.

    Graphs lie in `folder` and are made by torch where they are missing. Raises OutputError where the engine's images differ from torch's
    by more than `LARGEST_DIFFERENCE`.
    """

    def __init__(self, network: MMHVAE, engine: Backend, folder: Path) -> None:
        super().__init__()
        self.modalities, self.context = network.modalities, network.context
        self.stride, self.fixed_size = network.stride, network.fixed_size
        self.engine, self._folder, self._runs = engine, folder, dict[str, Run]()
        self._network, self._folded = (network,), (without_weight_norm(network),)  # tuples: not parts of this module
        self._check()

    def encode(self, images: Images, shown: Shown) -> Encoded:
        """Return the maps of what is shown; one encoding serves every subset of `shown`."""
        self._folded[0]._check_size(images)
        values = torch.where(shown[:, :, None, None, None], images, -1.0).numpy()
        some = shown.any(0).nonzero()[:, 0].tolist()
        return Encoded({number: self._run(f"encoder-{number}")(values[:, number]) for number in some}, shown)

    def encoded(self, images: Images, shown: Shown) -> Decode:
        """Return what decodes any part of `shown` of these images, encoded once."""
        return partial(self.decode, self.encode(images, shown))

    def decode(
        self, features: Encoded, shown: Shown, targets: tuple[int, ...], temperature: float, noise: Noise | None
    ) -> TargetPlanes:
        """Return the images of `targets` given the part `shown` of what was encoded, in (-1, 1), not masked."""
        if not bool(shown.any(1).all()):
            raise ValueError("every row must show at least one modality")
        some = shown.any(0).nonzero()[:, 0].tolist()
        if bool((shown & ~features.shown).any()):
            raise ValueError("an image is shown that was not encoded")
        depths = zip(*(features.maps[number] for number in some), strict=True)
        inputs = [*(np.stack(maps, axis=1) for maps in depths), shown[:, some].numpy()]
        if temperature > 0:
            if noise is None:
                raise ValueError("a draw needs noise")
            inputs += [np.array(temperature, np.float32), *self._noise(noise, inputs[0])]
        finest = self._run("sampler" if temperature > 0 else "decoder")(*inputs)[0]
        planes = [self._run(f"head-{target}")(finest)[0] for target in targets]
        return torch.from_numpy(np.stack(planes, axis=1))

    def synthesize(
        self, images: Images, shown: Shown, targets: tuple[int, ...], temperature: float, noise: Noise | None
    ) -> TargetPlanes:
        """Return the images of `targets` (positions in `modalities`) for every row, in (-1, 1), not masked."""
        return self.decode(self.encode(images, shown), shown, targets, temperature, noise)

    def losses(
        self, batch: Batch, shown_per_draw: ShownPerDraw, noise: Noise, objective: Objective, encoding: Any = None
    ) -> Outcome:
        """Refuse: only torch trains."""
        raise NotImplementedError(f"a model that runs in {self.engine} cannot be trained")

    def _noise(self, noise: Noise, finest_maps: Array) -> list[Array]:
        """Return the noise of every level that carries latents, coarsest first."""
        settings, (rows, _, _, height, width) = self._folded[0].settings, finest_maps.shape
        drawn = []
        for level in reversed(settings.levels):
            coarser, channels = 2 ** (level - 1), settings.widths[level - 1]
            shape = (rows, channels // 2, height // coarser, width // coarser)
            if level == len(settings.widths) and settings.top == "vector":
                shape = (rows, 2 * channels)  # type: ignore[assignment]
            drawn.append(noise(level, shape).expand(shape).contiguous().numpy())
        return drawn

    def _run(self, part: str) -> Run:
        if part not in self._runs:
            path = self._folder / f"{part}.onnx"
            try:
                if not path.is_file():
                    self._make(part, path)
                self._runs[part] = self._loaded(path)
            except AnymodError:
                raise
            except Exception as problem:  # whatever the exporter or the engine raises: there is always torch
                why = " ".join(str(problem).split())[:200] or type(problem).__name__
                remedy = f"use --backend torch, or delete {self._folder} and try again"
                raise OutputError("no graph", self.engine, why, remedy) from problem
        return self._runs[part]

    def _loaded(self, path: Path) -> Run:
        return LOADERS[self.engine](path, torch.get_num_threads())

    def _make(self, part: str, path: Path) -> None:
        logger.info("making the graph %s, once for this model", part)
        try:
            self._folder.mkdir(parents=True, exist_ok=True)
            with atomic_write(path) as temporary:
                self._write(part, temporary)
        except (OSError, OutputError) as problem:
            why = getattr(problem, "why", None) or str(problem)
            raise OutputError("cannot keep graphs", self._folder, why, f"name another folder in {CACHE}") from problem

    def _write(self, part: str, path: Path) -> None:
        """Write one part as ONNX with every size left open that can be."""
        network, (kind, _, number) = self._folded[0], part.partition("-")
        settings, rows = network.settings, torch.export.Dim("batch", min=1, max=MOST_ROWS)
        images = torch.rand(2, 1 + 2 * self.context, *settings.image_size) * 2 - 1
        sides = (
            {} if self.fixed_size else {name: torch.export.Dim(name, min=2, max=MOST_SIDE) for name in ("high", "wide")}
        )

        def sizes(axis: int, strides: int) -> dict[int, Any]:
            return {0: rows} | {axis + place: strides * side for place, side in enumerate(sides.values())}

        if kind == "encoder":
            write_onnx(EncoderGraph(network, int(number)), (images,), (sizes(2, self.stride),), path)
            return
        folds = self.stride // settings.unshuffle
        maps = EncoderGraph(network, 0)(images)
        if kind == "head":
            finest = DecoderGraph(network)([each[:, None] for each in maps], torch.ones(2, 1, dtype=torch.bool))
            write_onnx(network.heads[int(number)], (finest,), (sizes(2, folds),), path)
            return
        several = torch.export.Dim("shown", min=1, max=16)
        joined = [torch.stack([each, each, each], dim=1) for each in maps]
        open_maps = [sizes(3, folds // 2**depth) | {1: several} for depth in range(len(joined))]
        shown = torch.ones(2, 3, dtype=torch.bool)
        if kind == "decoder":
            write_onnx(DecoderGraph(network), (joined, shown), (open_maps, {0: rows, 1: several}), path)
            return
        noise = [torch.from_numpy(each) for each in self._noise(lambda _, shape: torch.randn(shape), joined[0].numpy())]
        open_noise = [
            {0: rows} if each.dim() == 2 else sizes(2, folds // 2 ** (level - 1))
            for level, each in zip(reversed(settings.levels), noise, strict=True)
        ]
        inputs = (joined, shown, torch.tensor(0.7), noise)
        write_onnx(
            DecoderGraph(network, draws=True), inputs, (open_maps, {0: rows, 1: several}, None, open_noise), path
        )

    @torch.inference_mode()
    def _check(self) -> None:
        """Compare means and draws with torch's: also what was made by an older version is refused where it is wrong."""
        for temperature in (0.0, USUAL_TEMPERATURE):
            found, expected = (probe(model, temperature)() for model in (self, self._network[0]))
            difference = float((found - expected).abs().max())
            if not difference <= LARGEST_DIFFERENCE:
                why = f"its images differ from torch's by {difference:.2g}, more than {LARGEST_DIFFERENCE:g}"
                remedy = f"use --backend torch, or delete {self._folder} and try again"
                raise OutputError("wrong graph", self.engine, why, remedy)


def probe(model: UnifiedModel, temperature: float = 0.0) -> Callable[[], Tensor]:
    """Return what makes all images of two random slices, of which the second shows one modality only."""
    network = model._network[0] if isinstance(model, EngineModel) else model
    count, size = len(model.modalities), network.settings.image_size  # type: ignore[union-attr]
    generator = torch.Generator().manual_seed(0)
    images = torch.rand(PROBE_ROWS, count, 1 + 2 * model.context, *size, generator=generator) * 2 - 1  # type: ignore[misc]
    shown = torch.ones(PROBE_ROWS, count, dtype=torch.bool)
    shown[1, 1:] = False
    return lambda: model.synthesize(images, shown, tuple(range(count)), temperature, shared_noise(0))


def with_backend(network: UnifiedModel, backend: Backend, device: torch.device) -> UnifiedModel:
    """Return the network as it is, or run by an engine; `auto` takes the fastest that is installed and whose images equal torch's.

    Raises ConfigurationError where an engine that is named cannot run the network, MissingExtraError where it is not installed.
    """
    able = isinstance(network, MMHVAE) and device.type == "cpu"
    if backend == "torch" or (backend == "auto" and not able):
        return network
    if not isinstance(network, MMHVAE) or device.type != "cpu":
        why = f"it runs on the processor, not on {device}" if isinstance(network, MMHVAE) else "it runs the MMHVAE only"
        raise ConfigurationError("wrong backend", f"--backend {backend}", why, "use --device cpu, or --backend torch")
    folder = graphs_of(network)
    if backend != "auto":
        for name in (*NEEDED, backend):
            package(name)
        return EngineModel(network, backend, folder)
    fastest, seconds = network, _seconds(network)
    for name in LOADERS:
        if any(util.find_spec(each) is None for each in (*NEEDED, name)):
            continue
        try:
            candidate = EngineModel(network, name, folder)
        except (OutputError, MissingExtraError) as problem:
            logger.warning("%s", problem)
            continue
        took = _seconds(candidate)
        if took < seconds:
            fastest, seconds = candidate, took  # type: ignore[assignment]
    logger.info("backend: %s", backend_name(fastest))
    return fastest


def backend_name(model: UnifiedModel) -> Backend:
    """Return which engine runs a model."""
    return model.engine if isinstance(model, EngineModel) else "torch"


@torch.inference_mode()
def _seconds(model: UnifiedModel) -> float:
    run = probe(model)
    run()
    return statistics.median(_timed(run) for _ in range(PROBE_RUNS))


def _timed(run: Callable[[], Tensor]) -> float:
    start = time.perf_counter()
    run()
    return time.perf_counter() - start


def graphs_of(network: MMHVAE) -> Path:
    """Return the folder of a network's graphs: one for each set of weights, settings and version of torch."""
    digest = hashlib.sha256()
    about = {
        "graphs": 2,
        "class": type(network).__name__,
        "settings": network.settings.model_dump(mode="json"),
        "modalities": network.modalities,
        "made_with": {name: metadata.version(name) for name in ("anymod", "torch", *NEEDED) if util.find_spec(name)},
    }
    digest.update(json.dumps(about, sort_keys=True).encode())
    for name, tensor in _tensors(network):
        digest.update(name.encode())
        digest.update(tensor.contiguous().numpy().tobytes())
    base = os.environ.get(CACHE) or Path(os.environ.get("XDG_CACHE_HOME") or Path.home() / ".cache") / "anymod"
    return Path(base) / "graphs" / digest.hexdigest()[:32]


def _tensors(network: MMHVAE) -> Iterator[tuple[str, Tensor]]:
    yield from sorted(network.state_dict().items())

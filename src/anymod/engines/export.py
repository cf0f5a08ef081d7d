"""A model as one graph for other programs: ONNX or OpenVINO, checked against torch, with all that is needed to use it."""

from __future__ import annotations

import contextlib
import importlib
import io
import logging
import shutil
import warnings
from collections.abc import Callable, Iterator
from importlib import metadata
from pathlib import Path
from typing import Any

import numpy as np
import torch
from torch import Tensor, nn

from anymod.arrays import Array
from anymod.compute import GraphFormat
from anymod.core.subsets import as_row, non_empty_subsets
from anymod.engines.graph import Graph
from anymod.errors import MissingExtraError, ModelFolderError, OutputError
from anymod.files import staged_folder, write_json, write_text
from anymod.models import CARD, MMHVAE, ModelDescription, find_model, load_model, read_card
from anymod.resources import EXPORT_EXAMPLE

PACKAGES = {"onnx": ("onnx", "onnxscript", "onnxruntime"), "openvino": ("onnx", "onnxscript", "openvino")}
GRAPHS = {"onnx": "model.onnx", "openvino": "model.xml"}
LARGEST_DIFFERENCE = 1e-3  # of images in [-1, 1], from torch's
MOST_ROWS, MOST_STRIDES = 1024, 256  # of a batch, and of a side
CHECKED_ROWS = 4  # at once: the graph has to take any number

Runner = Callable[[Array, Array], Array]
"""Returns synthetic images (b, m, h, w) for (images (b, m, c, h, w) float32, shown (b, m) bool)."""


def export_model(model: str | Path, out: Path, kind: GraphFormat, *, overwrite: bool = False) -> dict[str, Any]:
    """Write a model folder (or bundled model) as a graph with its description, card and an example; return what `export.json` says.

    The graph draws at temperature 0. It is run on every subset of the modalities, and refused where it differs from torch by more than
    `LARGEST_DIFFERENCE`.

    Raises MissingExtraError where a package of `anymod[export]` is missing, ModelFolderError where the model is no MMHVAE.
    """
    for name in PACKAGES[kind]:
        package(name)
    network, description = load_model(model)
    if not isinstance(network, MMHVAE):
        raise ModelFolderError("no graph", model, f"'{description.architecture}' has none", "choose another model")
    with staged_folder(out, overwrite=overwrite, keep=(find_model(model),)) as folder:
        _write_onnx(network, folder / GRAPHS["onnx"])
        if kind == "openvino":
            openvino = package("openvino")
            # Not by openvino's converter, which tells its makers of each use, and not in half precision.
            converted = openvino.Core().read_model(folder / GRAPHS["onnx"])
            openvino.save_model(converted, folder / GRAPHS[kind], compress_to_fp16=False)
            (folder / GRAPHS["onnx"]).unlink()
        difference = largest_difference(network, run_openvino(folder) if kind == "openvino" else run_onnx(folder))
        if not difference <= LARGEST_DIFFERENCE:
            why = f"its images differ from torch's by {difference:.2g}, more than {LARGEST_DIFFERENCE:g}"
            raise OutputError("wrong graph", out, why, "try another version of the packages of anymod[export]")
        content = _content(description, network, kind, difference)
        write_json(folder / "export.json", content)
        write_text(folder / CARD, read_card(find_model(model)))
        if kind == "onnx":
            shutil.copyfile(EXPORT_EXAMPLE, folder / "example.py")
    return content


def run_onnx(folder: Path) -> Runner:
    """Return what runs an exported folder's `model.onnx` on the processor."""
    run = load_onnx(folder / GRAPHS["onnx"], 1)
    return lambda images, shown: run(images, shown)[0]


def run_openvino(folder: Path) -> Runner:
    """Return what runs an exported folder's `model.xml` on the processor."""
    run = load_openvino(folder / GRAPHS["openvino"], 1)
    return lambda images, shown: run(images, shown)[0]


def load_onnx(path: Path, threads: int) -> Callable[..., list[Array]]:
    """Return what ONNX Runtime makes of a graph's inputs, in their order, on the processor."""
    onnxruntime = package("onnxruntime")
    options = onnxruntime.SessionOptions()
    options.intra_op_num_threads = threads
    session = onnxruntime.InferenceSession(str(path), options, providers=["CPUExecutionProvider"])
    names = [each.name for each in session.get_inputs()]
    return lambda *inputs: session.run(None, dict(zip(names, inputs, strict=True)))


def load_openvino(path: Path, threads: int) -> Callable[..., list[Array]]:
    """Return what OpenVINO makes of a graph's inputs, in their order, on the processor, in single precision.

    Left alone OpenVINO computes in bfloat16 where the processor can, and images differ by 0.06.
    """
    core = package("openvino").Core()
    settings = {"INFERENCE_PRECISION_HINT": "f32", "INFERENCE_NUM_THREADS": threads}
    compiled = core.compile_model(core.read_model(path), "CPU", settings)
    return lambda *inputs: [np.array(each) for each in compiled(list(inputs)).values()]


@torch.inference_mode()
def largest_difference(network: MMHVAE, run: Runner) -> float:
    """Return the largest difference between a graph's images and torch's, over every subset of the modalities."""
    count, generator = len(network.modalities), torch.Generator().manual_seed(0)
    rows = torch.tensor([as_row(mask, count) for mask in non_empty_subsets(2**count - 1)[: 2**8]])
    largest = 0.0
    for shown in rows.split(CHECKED_ROWS):
        images = _images(network, len(shown), generator)
        expected = network.synthesize(images, shown, tuple(range(count)), 0.0, None)
        images[~shown] = 7.0  # what is not shown changes nothing
        found = torch.from_numpy(run(images.numpy(), shown.numpy()))
        largest = max(largest, float((found - expected).abs().max()))
    return largest


def _images(network: MMHVAE, rows: int, generator: torch.Generator) -> Tensor:
    channels = 1 + 2 * network.context
    shape = (rows, len(network.modalities), channels, *network.settings.image_size)
    return torch.rand(shape, generator=generator) * 2 - 1


def _write_onnx(network: MMHVAE, path: Path) -> None:
    rows = torch.export.Dim("batch", min=1, max=MOST_ROWS)
    sizes: dict[int, Any] = {0: rows}
    if network.fixed_size is None:
        sides = (torch.export.Dim(name, min=2, max=MOST_STRIDES) for name in ("rows", "columns"))
        sizes |= {axis: network.stride * side for axis, side in zip((3, 4), sides, strict=True)}
    shown = torch.ones(2, len(network.modalities), dtype=torch.bool)
    images = _images(network, 2, torch.Generator().manual_seed(1))
    write_onnx(Graph(network), (images, shown), (sizes, {0: rows}), path, ["images", "shown"], ["synthetic"])


def write_onnx(
    graph: nn.Module,
    inputs: tuple[Any, ...],
    open_sizes: tuple[Any, ...],
    path: Path,
    input_names: list[str] | None = None,
    output_names: list[str] | None = None,
) -> None:
    """Write a graph as ONNX; `open_sizes` holds, for each of its inputs, the axes whose size may change."""
    with warnings.catch_warnings(), contextlib.redirect_stdout(io.StringIO()), _quiet("torch.onnx", "onnxscript"):
        warnings.simplefilter("ignore")
        program = torch.onnx.export(
            graph.eval(),
            inputs,
            input_names=input_names,
            output_names=output_names,
            dynamic_shapes=open_sizes,
            dynamo=True,
            verbose=False,
        )
    if program is None:
        raise OutputError("no graph", path, "torch made none", "try another version of torch")
    program.save(str(path))


@contextlib.contextmanager
def _quiet(*names: str) -> Iterator[None]:
    """Let through errors only of what these loggers say."""
    loggers = [logging.getLogger(name) for name in names]
    levels = [logger.level for logger in loggers]
    for logger in loggers:
        logger.setLevel(logging.ERROR)
    try:
        yield
    finally:
        for logger, level in zip(loggers, levels, strict=True):
            logger.setLevel(level)


def package(name: str) -> Any:
    """Return an imported package of `anymod[export]`; raise MissingExtraError where it is not installed."""
    try:
        return importlib.import_module(name)
    except ImportError:
        why, remedy = f"the package '{name}' is not installed", "install anymod[export]"
        raise MissingExtraError(f"no {name}", "export", why, remedy) from None


def _content(description: ModelDescription, network: MMHVAE, kind: GraphFormat, difference: float) -> dict[str, Any]:
    """Return all that a program without this package needs to know."""
    told = description.model_dump(mode="json", exclude={"settings", "training", "calibration", "anymod", "format"})
    return {
        **told,
        "graph": GRAPHS[kind],
        "inputs": {"images": "float32 (b, m, c, h, w), in [-1, 1], background -1", "shown": "bool (b, m)"},
        "output": "synthetic: float32 (b, m, h, w), in [-1, 1]; -1 belongs outside of the foregrounds of what is shown",
        "channels": 1 + 2 * network.context,
        "sides_are_multiples_of": network.stride,
        "only_size": network.fixed_size,
        "largest_difference_from_torch": difference,
        "made_with": {name: metadata.version(name) for name in ("torch", *PACKAGES[kind])},
    }

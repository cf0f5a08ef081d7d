"""Export of a model as one ONNX or OpenVINO graph, checked against torch, with everything that a program needs to use it."""

from __future__ import annotations

import shutil
from collections.abc import Callable
from dataclasses import replace
from importlib import metadata
from pathlib import Path
from typing import Any

import torch

from anymod.arrays import Array
from anymod.compute import GraphFormat
from anymod.core.noise import MEAN
from anymod.core.subsets import as_row, non_empty_subsets
from anymod.engines.runtimes import LARGEST_DIFFERENCE, load_onnx, load_openvino, openvino_core, package, write_onnx
from anymod.errors import OutputError
from anymod.files import write_json, write_text
from anymod.folders import staged_folder
from anymod.models import CARD, ModelDescription, Network, find_model, load_model, read_card
from anymod.resources import EXPORT_EXAMPLE

PACKAGES = {"onnx": ("onnx", "onnxscript", "onnxruntime"), "openvino": ("onnx", "onnxscript", "openvino")}
GRAPHS = {"onnx": "model.onnx", "openvino": "model.xml"}
MOST_ROWS, MOST_STRIDES = 1024, 256  # of a batch, and of a side
CHECKED_ROWS = 4  # at once: the graph must take any number

Runner = Callable[[Array, Array], Array]
"""Returns synthetic images (b, m, h, w) for (images (b, m, c, h, w) float32, shown (b, m) bool)."""


def export_model(model: str | Path, out: Path, kind: GraphFormat, *, overwrite: bool = False) -> dict[str, Any]:
    """Write a model folder (or bundled model) as a graph with description, card and an example; return the content of `export.json`.

    The graph draws at temperature 0. It is checked on every subset of the modalities. Raises OutputError where it differs from
    torch by more than `LARGEST_DIFFERENCE`.

    Raises MissingExtraError where a package of `anymod[export]` is missing.
    """
    for name in PACKAGES[kind]:
        package(name)
    network, description = load_model(model)
    with staged_folder(out, overwrite=overwrite, keep=(find_model(model),)) as folder:
        _write_onnx(network, folder / GRAPHS["onnx"])
        if kind == "openvino":
            openvino = package("openvino")
            # Not openvino's converter, which reports each use to its makers; not in half precision.
            converted = openvino_core().read_model(folder / GRAPHS["onnx"])
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
    """Return a function that runs an exported folder's `model.onnx` on the processor."""
    run = load_onnx(folder / GRAPHS["onnx"], 1)
    return lambda images, shown: run(images, shown)[0]


def run_openvino(folder: Path) -> Runner:
    """Return a function that runs an exported folder's `model.xml` on the processor."""
    run = load_openvino(folder / GRAPHS["openvino"], 1)
    return lambda images, shown: run(images, shown)[0]


@torch.inference_mode()
def largest_difference(network: Network, run: Runner) -> float:
    """Return the largest difference between a graph's images and torch's, over every subset of the modalities."""
    count, generator = len(network.spec.modalities), torch.Generator().manual_seed(0)
    rows = torch.tensor([as_row(mask, count) for mask in non_empty_subsets(2**count - 1)[: 2**8]])
    largest = 0.0
    for shown in rows.split(CHECKED_ROWS):
        images = network.spec.random_images(len(shown), generator)
        expected = network.encode(images, shown).decode(shown, tuple(range(count)), MEAN)
        images[~shown] = 7.0  # hidden slots change nothing
        found = torch.from_numpy(run(images.numpy(), shown.numpy()))
        largest = max(largest, float((found - expected).abs().max()))
    return largest


def _write_onnx(network: Network, path: Path) -> None:
    batch = torch.export.Dim("batch", min=1, max=MOST_ROWS)
    sizes: dict[int, Any] = {0: batch}
    spec = network.spec
    if spec.fixed_size is None:
        sides = (torch.export.Dim(name, min=2, max=MOST_STRIDES) for name in ("rows", "columns"))
        sizes |= {axis: spec.stride * side for axis, side in zip((3, 4), sides, strict=True)}
        # The exporter takes a side of one stride for a constant.
        rows, columns = (max(2 * spec.stride, side) for side in spec.image_size)
        spec = replace(spec, image_size=(rows, columns))
    shown = torch.ones(2, len(spec.modalities), dtype=torch.bool)
    images = spec.random_images(2, torch.Generator().manual_seed(1))
    write_onnx(network.graph(), (images, shown), (sizes, {0: batch}), path, ["images", "shown"], ["synthetic"])


def _content(description: ModelDescription, network: Network, kind: GraphFormat, difference: float) -> dict[str, Any]:
    """Return everything that a program without this package needs to know."""
    facts = description.model_dump(mode="json", exclude={"settings", "training", "calibration", "anymod", "format"})
    return {
        **facts,
        "graph": GRAPHS[kind],
        "inputs": {"images": "float32 (b, m, c, h, w), in [-1, 1], background -1", "shown": "bool (b, m)"},
        "output": "synthetic: float32 (b, m, h, w), in [-1, 1]; -1 belongs outside of the foregrounds of what is shown",
        "channels": network.spec.channels,
        "sides_are_multiples_of": network.spec.stride,
        "only_size": network.spec.fixed_size,
        "largest_difference_from_torch": difference,
        "made_with": {name: metadata.version(name) for name in ("torch", *PACKAGES[kind])},
    }

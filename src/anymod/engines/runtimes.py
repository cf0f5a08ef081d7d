"""ONNX graphs: written by torch, run by ONNX Runtime or OpenVINO."""

from __future__ import annotations

import contextlib
import importlib
import io
import logging
import warnings
from collections.abc import Iterator
from functools import cache
from pathlib import Path
from typing import Any

import numpy as np
import torch
from torch import nn

from anymod.errors import MissingExtraError, OutputError
from anymod.models import Run

LARGEST_DIFFERENCE = 1e-3  # between images in [-1, 1] of a graph and of torch


def load_onnx(path: Path, threads: int) -> Run:
    """Return a function that runs a graph in ONNX Runtime on the processor."""
    onnxruntime = package("onnxruntime")
    options = onnxruntime.SessionOptions()
    options.intra_op_num_threads = threads
    session = onnxruntime.InferenceSession(str(path), options, providers=["CPUExecutionProvider"])
    names = [each.name for each in session.get_inputs()]
    return lambda *inputs: session.run(None, dict(zip(names, inputs, strict=True)))


def load_openvino(path: Path, threads: int) -> Run:
    """Return a function that runs a graph in OpenVINO on the processor, in single precision.

    By default OpenVINO computes in bfloat16 where the processor can, and images differ by 0.06.
    """
    core = openvino_core()
    settings = {"INFERENCE_PRECISION_HINT": "f32", "INFERENCE_NUM_THREADS": threads}
    compiled = core.compile_model(core.read_model(path), "CPU", settings)
    return lambda *inputs: [np.array(each) for each in compiled(list(inputs)).values()]


@cache
def openvino_core() -> Any:
    """Return OpenVINO's entry point, the only one of this process.

    Where the processor has AVX-512 each one moves the stack of signal handlers to memory of its own. When two of them end in the order of
    their creation, the first one's freed memory becomes that stack, and the next signal, such as Ctrl-C, ends the process.
    """
    return package("openvino").Core()


def write_onnx(
    graph: nn.Module,
    inputs: tuple[Any, ...],
    open_sizes: tuple[Any, ...],
    path: Path,
    input_names: list[str] | None = None,
    output_names: list[str] | None = None,
) -> None:
    """Write a graph as ONNX; `open_sizes` holds, for each input, the axes whose size may change."""
    with warnings.catch_warnings(), contextlib.redirect_stdout(io.StringIO()), _quiet("torch.onnx", "onnxscript"):
        warnings.simplefilter("ignore")
        try:
            program = torch.onnx.export(
                graph.eval(),
                inputs,
                input_names=input_names,
                output_names=output_names,
                dynamic_shapes=open_sizes,
                dynamo=True,
                verbose=False,
            )
        except torch.onnx.OnnxExporterError as problem:
            raise OutputError(
                "no graph", path, str(problem).splitlines()[0], "try another version of torch"
            ) from problem
    if program is None:
        raise OutputError("no graph", path, "torch made none", "try another version of torch")
    program.save(str(path))


@contextlib.contextmanager
def _quiet(*names: str) -> Iterator[None]:
    """Silence these loggers below errors."""
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
    """Return a package of `anymod[export]`; raise MissingExtraError where it is not installed."""
    try:
        return importlib.import_module(name)
    except ImportError:
        why, remedy = f"the package '{name}' is not installed", "install anymod[export]"
        raise MissingExtraError(f"no {name}", "export", why, remedy) from None

"""Where work runs: processes of this machine or a cluster, and the device, engine and threads that run a model."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Annotated, Literal

from pydantic import Field

Backend = Literal["auto", "torch", "onnxruntime", "openvino"]
GraphFormat = Literal["onnx", "openvino"]
"""What engines other than torch read."""


@dataclass(frozen=True, kw_only=True)
class Workers:
    """How subjects are shared among processes."""

    workers: Annotated[int, Field(ge=1, description="Processes of this machine that share the subjects.")] = 1
    scheduler: Annotated[
        str | None,
        Field(
            pattern=r"^(tcp|tls)://.+:\d+$",
            title="tcp://HOST:PORT",
            description="Dask cluster to use instead of processes of this machine.",
        ),
    ] = None


@dataclass(frozen=True, kw_only=True)
class Compute(Workers):
    """Workers, and what runs a model in each of them."""

    device: Annotated[
        str,
        Field(
            pattern=r"^(auto|cpu|mps|cuda(:\d+)?)$",
            title="DEVICE",
            description="auto, cpu, cuda, cuda:N or mps.",
        ),
    ] = "auto"
    backend: Annotated[
        Backend,
        Field(
            description="Engine that runs the network on the CPU; auto takes the fastest one that is installed"
            " (anymod[export]) and gives the same images as torch."
        ),
    ] = "torch"
    threads: Annotated[int | None, Field(ge=1, description="Threads to compute with; without it one per core.")] = None

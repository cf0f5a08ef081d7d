"""Where work runs: processes of this machine or a cluster, and the device, engine and threads that run a model."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Annotated, Literal

from anymod.configuration import option

Backend = Literal["auto", "torch", "onnxruntime", "openvino"]
GraphFormat = Literal["onnx", "openvino"]
"""What engines other than torch read."""

ADDRESS = r"^(tcp|tls)://.+:\d+$"
DEVICE = r"^(auto|cpu|mps|cuda(:\d+)?)$"


@dataclass(frozen=True, kw_only=True)
class Workers:
    """How subjects are shared among processes."""

    workers: Annotated[int, option("Number of processes on this machine, each with its own subjects.", ge=1)] = 1
    scheduler: Annotated[str | None, option("Dask cluster to use instead.", "tcp://HOST:PORT", pattern=ADDRESS)] = None


@dataclass(frozen=True, kw_only=True)
class Compute(Workers):
    """Workers, and what runs a model in each of them."""

    device: Annotated[str, option("auto, cpu, cuda, cuda:N or mps.", "DEVICE", pattern=DEVICE)] = "auto"
    backend: Annotated[
        Backend,
        option(
            "Engine that runs the network on the CPU; auto takes the fastest one installed whose images equal torch's."
        ),
    ] = "torch"
    threads: Annotated[int | None, option("Number of threads. Default: one per core.", ge=1)] = None

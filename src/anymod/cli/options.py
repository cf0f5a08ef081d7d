"""Options that several verbs share, and what they set up."""

from __future__ import annotations

import logging
import re
import sys
from pathlib import Path
from typing import Annotated, Literal

import typer

from anymod.memory import keep_freed_memory


def _checked_device(device: str) -> str:
    if not re.fullmatch(r"auto|cpu|mps|cuda(:\d+)?", device):
        raise typer.BadParameter(f"'{device}' is none of auto, cpu, cuda, cuda:N, mps")
    return device


def _checked_scheduler(scheduler: str | None) -> str | None:
    if scheduler is not None and not re.fullmatch(r"(tcp|tls)://.+:\d+", scheduler):
        raise typer.BadParameter(f"'{scheduler}' is no address like tcp://host:8786")
    return scheduler


OutOption = Annotated[Path, typer.Option("--out", metavar="DIR", help="Folder to create.")]
OverwriteOption = Annotated[bool, typer.Option("--overwrite", help="Replace what --out holds already.")]
DeviceOption = Annotated[
    str,
    typer.Option("--device", metavar="DEVICE", callback=_checked_device, help="auto, cpu, cuda, cuda:N or mps."),
]
BackendOption = Annotated[
    Literal["auto", "torch", "onnxruntime", "openvino"],
    typer.Option(
        "--backend",
        help="What runs the network on the processor. auto: the fastest that is installed (anymod[export]) and equals torch.",
    ),
]
ThreadsOption = Annotated[
    int | None, typer.Option("--threads", min=1, metavar="N", help="Threads to compute with; else one per core.")
]
SeedOption = Annotated[int, typer.Option("--seed", min=0, metavar="N", help="Every random draw follows from it.")]
QuietOption = Annotated[bool, typer.Option("--quiet", help="Show warnings and errors only.")]
VerboseOption = Annotated[bool, typer.Option("--verbose", help="Show every detail.")]
WorkersOption = Annotated[
    int, typer.Option("--workers", min=1, metavar="N", help="Processes of this machine that share the subjects.")
]
SchedulerOption = Annotated[
    str | None,
    typer.Option(
        "--scheduler", metavar="tcp://HOST:PORT", callback=_checked_scheduler, help="Dask cluster to use instead."
    ),
]


def split_names(text: str) -> tuple[str, ...]:
    """Return the names in a text like `t1, flair`."""
    return tuple(name.strip() for name in text.split(",") if name.strip())


class _StderrHandler(logging.Handler):
    """Writes to what `sys.stderr` is at that moment: a progress bar and a test put something else there for a while."""

    def emit(self, record: logging.LogRecord) -> None:
        print(self.format(record), file=sys.stderr)


def configure(quiet: bool, verbose: bool, threads: int | None = None) -> None:
    """Show this package's messages on stderr (warnings only if quiet, details if verbose), limit the threads, keep freed memory."""
    if quiet and verbose:
        raise typer.BadParameter("--quiet and --verbose exclude each other")
    logger = logging.getLogger("anymod")
    logger.handlers = [_StderrHandler()]
    logger.setLevel(logging.WARNING if quiet else logging.DEBUG if verbose else logging.INFO)
    if threads is not None:
        _limit_threads(threads)
    keep_freed_memory()


def _limit_threads(threads: int) -> None:
    import SimpleITK
    import torch

    torch.set_num_threads(threads)
    SimpleITK.ProcessObject.SetGlobalDefaultNumberOfThreads(threads)

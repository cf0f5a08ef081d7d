"""The child process of an import: it reads a file of torch and writes its tensors as safetensors, within limits.

`python -P -m anymod.models.importing_child FILE OUT`; only `importing` runs it. torch's weights-only loader runs no code of the file, but
a small file can make it compute or allocate without end.
"""

from __future__ import annotations

import contextlib
import json
import sys
import time
import warnings
from pathlib import Path

import torch
from safetensors.torch import save_file
from torch import Tensor

CPU_SECONDS, BYTES_PER_CPU_SECOND = 3, 50 * 2**20
MEMORY_BYTES, COPIES = 2**29, 4
"""Memory for private data: this much, most of it torch's own, and so many times the size of the file."""


def main(arguments: list[str]) -> None:
    """Write the tensors and print their names in order, or the reason why not, as JSON."""
    file, out = Path(arguments[0]), Path(arguments[1])
    _limit(file.stat().st_size)
    try:
        tensors = tensors_of(file)
        save_file(tensors, out)
        answer: dict[str, object] = {"names": list(tensors)}
    except (ValueError, MemoryError) as problem:
        answer = {"error": str(problem) or "it takes more memory than such files should"}
    print(json.dumps(answer))


def tensors_of(file: Path) -> dict[str, Tensor]:
    """Return the tensors of a file by name; raise ValueError if it holds anything else, or tensors larger than the file."""
    try:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")  # of an odd pickle protocol: it is refused or it is not
            content = torch.load(file, map_location="cpu", weights_only=True)
    except Exception as problem:
        raise ValueError(f"torch's weights-only loader refuses it ({type(problem).__name__})") from None
    if not isinstance(content, dict):
        raise ValueError(f"it holds a {type(content).__name__}")
    claimed = 0
    for name, value in content.items():
        if not isinstance(name, str):
            raise ValueError(f"it names something with a {type(name).__name__}")  # whose text may be endless
        if not isinstance(value, Tensor):
            raise ValueError(f"'{name[:60]}' is a {type(value).__name__}, not a tensor")
        if value.layout != torch.strided or value.dtype != torch.float32:
            kind = f"{value.dtype}, {value.layout}".replace("torch.", "")
            raise ValueError(f"the tensor {name[:60]} holds {kind}, not float32")
        claimed += value.numel() * value.element_size()
    if claimed > file.stat().st_size:
        raise ValueError(f"its tensors take {claimed} bytes, more than the file has")
    return {name: value.clone(memory_format=torch.contiguous_format) for name, value in content.items()}


def _limit(size: int) -> None:
    """Limit the memory and the CPU time of this process; does nothing on Windows."""
    try:
        import resource
    except ImportError:
        return
    seconds = time.process_time() + CPU_SECONDS + size / BYTES_PER_CPU_SECOND
    limits = {
        resource.RLIMIT_CPU: round(seconds) + 1,
        resource.RLIMIT_DATA: MEMORY_BYTES + COPIES * size,  # the address space also counts files that torch only maps
        resource.RLIMIT_CORE: 0,
    }
    for kind, most in limits.items():
        _, hard = resource.getrlimit(kind)
        allowed = most if hard == resource.RLIM_INFINITY else min(most, hard)
        with contextlib.suppress(OSError, ValueError):  # macOS knows no limit on data
            resource.setrlimit(kind, (allowed, hard))


if __name__ == "__main__":
    main(sys.argv[1:])

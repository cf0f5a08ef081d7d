"""Output folders filled beside their place and moved there when whole, so that no reader meets half a result."""

from __future__ import annotations

import shutil
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from anymod.errors import OutputError
from anymod.files import claim_folder


@contextmanager
def staged_folder(out: Path, *, overwrite: bool) -> Iterator[Path]:
    """Yield an empty folder whose contents become `out` on success; on failure `out` is what it was.

    Raises OutputError at once where `out` holds a result and `overwrite` is not asked for.
    """
    out = Path(out)
    existed = out.exists()
    if not overwrite:
        claim_folder(out, overwrite=False)
    try:
        out.parent.mkdir(parents=True, exist_ok=True)
        staging = Path(tempfile.mkdtemp(prefix=".writing-", dir=out.parent))
    except OSError as error:
        raise OutputError("cannot write", out, error.strerror or str(error), "choose another --out") from error
    try:
        yield staging
        claim_folder(out, overwrite=overwrite)
        for entry in staging.iterdir():
            entry.rename(out / entry.name)
    except BaseException:
        if not existed and out.is_dir() and not any(out.iterdir()):
            out.rmdir()
        raise
    finally:
        shutil.rmtree(staging, ignore_errors=True)

"""What memory a process keeps after freeing it."""

from __future__ import annotations

import ctypes
import os
import sys

M_TRIM_THRESHOLD, M_MMAP_THRESHOLD = -1, -3  # of glibc's malloc.h
KEPT_BLOCK, KEPT_IN_ALL = 2**25, 2**30  # bytes; the first is the most that glibc takes
USERS_CHOICE = ("MALLOC_TRIM_THRESHOLD_", "MALLOC_MMAP_THRESHOLD_", "GLIBC_TUNABLES")  # environment variables


def keep_freed_memory() -> None:
    """Let this process keep about 1 GiB of freed memory in blocks of up to 32 MiB if its C library is glibc.

    A network frees and allocates the same few megabytes hundreds of times a slice. If they go back to the system each time, the kernel must
    clear new pages: up to a third of the time of a slice (docs/results/speed). Does nothing if the user has set one of `USERS_CHOICE`.
    """
    chosen = any(name in os.environ for name in USERS_CHOICE)
    if sys.platform == "linux" and not chosen and hasattr(library := ctypes.CDLL(None), "mallopt"):
        library.mallopt(M_MMAP_THRESHOLD, KEPT_BLOCK)
        library.mallopt(M_TRIM_THRESHOLD, KEPT_IN_ALL)

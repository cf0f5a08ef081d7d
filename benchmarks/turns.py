"""Contenders that take turns, each in a process of its own; imported by the scripts beside it.

In one process they would share caches, heaps and idle threads of each other's engines; one after the other, a noisy machine would be noisy
for one of them only.
"""

from __future__ import annotations

import multiprocessing
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

Run = Callable[[], Any]
Cases = Callable[[str], Run]
"""Returns what runs a case of that name."""

PEAK_RUNS = 3


class Contender:
    """A process that runs one contender's cases when asked; `make(*arguments)` is called there and returns its `Cases`."""

    def __init__(self, make: Callable[..., Cases], *arguments: Any) -> None:
        context = multiprocessing.get_context("spawn")
        self._pipe, theirs = context.Pipe()
        context.Process(target=_serve, args=(theirs, make, arguments), daemon=True).start()
        theirs.close()  # so that a contender that dies ends the wait for it

    def seconds(self, case: str) -> float:
        """Return how long one run takes; the first of a case is preceded by one that does not count."""
        return self._asked("seconds", case)

    def made(self, case: str) -> Any:
        """Return what a run returns."""
        return self._asked("made", case)

    def peak_mib(self, case: str) -> float:
        """Return the process's largest resident size during a few runs (Linux)."""
        return self._asked("peak", case)

    def _asked(self, what: str, case: str) -> Any:
        self._pipe.send((what, case))
        return self._pipe.recv()


def in_turns(contenders: dict[str, Contender], case: str, turns: int) -> dict[str, list[float]]:
    """Return the seconds of each contender in each turn (A B C A B C ...)."""
    rounds = [{name: each.seconds(case) for name, each in contenders.items()} for _ in range(turns)]
    return {name: [each[name] for each in rounds] for name in contenders}


def peak_mib() -> float:
    """Return the largest resident size of this process so far (not getrusage's, which remembers the parent)."""
    status = Path("/proc/self/status").read_text().splitlines()
    return next(int(line.split()[1]) for line in status if line.startswith("VmHWM")) / 2**10


def forget_peak() -> None:
    """Let `peak_mib` count from now on."""
    Path("/proc/self/clear_refs").write_text("5")


def _serve(pipe: Any, make: Callable[..., Cases], arguments: tuple[Any, ...]) -> None:
    cases, current, run = make(*arguments), "", lambda: None
    while True:
        try:
            what, case = pipe.recv()
        except EOFError:  # the benchmark has ended
            return
        if case != current:
            current, run = case, cases(case)
            run()
        pipe.send(_answer(what, run))


def _answer(what: str, run: Run) -> Any:
    if what == "made":
        return run()
    if what == "peak":
        forget_peak()
        for _ in range(PEAK_RUNS):
            run()
        return peak_mib()
    start = time.perf_counter()
    run()
    return time.perf_counter() - start

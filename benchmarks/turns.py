"""Contenders that take turns, each in a process of its own; imported by the scripts beside it.

In one process they would share caches, heaps and idle threads of each other's engines; one after the other, a noisy machine would be noisy
for one of them only.
"""

from __future__ import annotations

import ctypes
import multiprocessing
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np

Run = Callable[[], Any]
Cases = Callable[[str], Run]
"""Returns what runs a case of that name."""

RUNS, PEAK_RUNS = 4, 3  # in a turn; to find the peak of memory


class Contender:
    """A process that runs one contender's cases when asked; `make(*arguments)` is called there and returns its `Cases`.

    It is ready once it is made: nobody is timed while another is set up.
    """

    def __init__(self, make: Callable[..., Cases], *arguments: Any) -> None:
        context = multiprocessing.get_context("spawn")
        self._name = str(arguments[0])
        self._pipe, theirs = context.Pipe()
        context.Process(target=_serve, args=(theirs, make, arguments), daemon=True).start()
        theirs.close()  # so that a contender that dies ends the wait for it
        self._answer()

    def seconds(self, case: str, runs: int) -> list[float]:
        """Return how long each of so many runs takes, after one that does not count: it finds the caches as another left them."""
        return self._asked("seconds", case, runs)

    def made(self, case: str) -> Any:
        """Return what a run returns."""
        return self._asked("made", case)

    def peak_mib(self, case: str) -> float:
        """Return the process's largest resident size during a few runs (Linux)."""
        return self._asked("peak", case)

    def _asked(self, what: str, case: str, runs: int = 1) -> Any:
        self._pipe.send((what, case, runs))
        return self._answer()

    def _answer(self) -> Any:
        try:
            return self._pipe.recv()
        except (EOFError, ConnectionResetError):
            raise SystemExit(f"the process of {self._name} has ended") from None


def in_turns(contenders: dict[str, Contender], case: str, turns: int, runs: int = RUNS) -> dict[str, Any]:
    """Return each contender's seconds, an array (turn, run), where turns go A B C A B C ..."""
    rounds = [{name: each.seconds(case, runs) for name, each in contenders.items()} for _ in range(turns)]
    return {name: np.array([each[name] for each in rounds]) for name in contenders}


def summary(seconds: dict[str, Any], name: str, against: str) -> dict[str, Any]:
    """Return median, quartiles and slowest of a contender's runs in ms, and how many times as fast as another it is.

    That is the median over turns of the ratio of the medians in a turn; None where the other did not run.
    """
    low, middle, high, slowest = 1000 * np.percentile(seconds[name], (25, 50, 75, 100))
    times = None
    if against in seconds:
        times = float(np.median(np.median(seconds[against], 1) / np.median(seconds[name], 1)))
    return {
        "ms": middle,
        "ms_quartiles": [low, high],
        "ms_slowest": slowest,
        "times": times,
        "runs": seconds[name].size,
    }


def peak_mib() -> float:
    """Return the largest resident size of this process so far (not getrusage's, which remembers the parent)."""
    status = Path("/proc/self/status").read_text().splitlines()
    return next(int(line.split()[1]) for line in status if line.startswith("VmHWM")) / 2**10


def forget_peak() -> None:
    """Let `peak_mib` count from now on, without what was freed before and kept (Linux with glibc)."""
    ctypes.CDLL(None).malloc_trim(0)
    Path("/proc/self/clear_refs").write_text("5")


def _serve(pipe: Any, make: Callable[..., Cases], arguments: tuple[Any, ...]) -> None:
    cases, current, run = make(*arguments), "", lambda: None
    pipe.send("ready")
    while True:
        try:
            what, case, runs = pipe.recv()
        except EOFError:  # the benchmark has ended
            return
        if case != current:
            current, run = case, cases(case)
        pipe.send(_answer(what, run, runs))


def _answer(what: str, run: Run, runs: int) -> Any:
    if what == "made":
        return run()
    if what == "peak":
        forget_peak()
        for _ in range(PEAK_RUNS):
            run()
        return peak_mib()
    run()
    return [_timed(run) for _ in range(runs)]


def _timed(run: Run) -> float:
    start = time.perf_counter()
    run()
    return time.perf_counter() - start

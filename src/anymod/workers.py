"""Worker processes of this machine: one that dies is replaced, and all end with their parent."""

from __future__ import annotations

import logging
import multiprocessing
import sys
import threading
from collections.abc import Callable
from concurrent.futures import BrokenExecutor, Executor, Future, ProcessPoolExecutor, ThreadPoolExecutor
from typing import Any

from anymod.memory import keep_freed_memory
from anymod.processes import begin_worker

logger = logging.getLogger(__name__)


class WorkerProcesses(Executor):
    """As many worker processes, each with a thread that hands it tasks. One that dies is replaced, and its task tried once more.

    One executor of many processes would lose all its tasks with one process, and not say which task ended it.
    """

    def __init__(self, workers: int) -> None:
        torch = sys.modules.get("torch")  # not imported here, because verbs without torch start faster
        self._torch_threads = None if torch is None else torch.get_num_threads()
        self._hands = ThreadPoolExecutor(workers)
        self._own = threading.local()
        self._processes: set[ProcessPoolExecutor] = set()
        self._ends = threading.Event()

    def submit(self, function: Callable[..., Any], /, *args: Any, **kwargs: Any) -> Future[Any]:
        """Return the future of a task for one of the processes."""
        return self._hands.submit(self._in_process, function, args, kwargs)

    def shutdown(self, wait: bool = True, *, cancel_futures: bool = False) -> None:
        """End the processes when their tasks are done; with `cancel_futures`, tasks that have not begun are left out."""
        self._hands.shutdown(wait, cancel_futures=cancel_futures)
        for process in list(self._processes):
            process.shutdown(wait)

    def end_at_once(self) -> None:
        """End the processes in the middle of their tasks."""
        self._ends.set()
        self._hands.shutdown(wait=False, cancel_futures=True)
        for executor in list(self._processes):
            for process in list((executor._processes or {}).values()):  # Python 3.14 has kill_workers() for this
                process.kill()
        self.shutdown()

    def _in_process(self, function: Callable[..., Any], args: tuple[Any, ...], kwargs: dict[str, Any]) -> Any:
        for last in (False, True):
            process = self._process()
            try:
                return process.submit(function, *args, **kwargs).result()
            except BrokenExecutor as error:
                self._own.process = None
                self._processes.discard(process)
                process.shutdown()
                if last or self._ends.is_set():
                    raise BrokenExecutor("it ended its worker process twice (killed, or out of memory)") from error
            logger.warning("a worker process was killed or ran out of memory; its subject is tried once more")

    def _process(self) -> ProcessPoolExecutor:
        """Return the process of this thread."""
        process: ProcessPoolExecutor | None = getattr(self._own, "process", None)
        if process is None:
            # Spawned, not forked: a fork would copy the threads of torch and SimpleITK in the middle of their work.
            context = multiprocessing.get_context("spawn")
            process = ProcessPoolExecutor(
                1, mp_context=context, initializer=_begin_work, initargs=(self._torch_threads,)
            )
            self._own.process = process
            self._processes.add(process)
        return process


def _begin_work(threads: int | None) -> None:
    """Set up a worker like its parent: the same number of threads, and freed memory is kept; and let it end with its parent."""
    begin_worker()
    keep_freed_memory()
    if threads is not None:
        import SimpleITK
        import torch

        torch.set_num_threads(threads)
        SimpleITK.ProcessObject.SetGlobalDefaultNumberOfThreads(threads)

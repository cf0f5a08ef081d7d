"""Where work that is one task per subject runs: here, in processes of this machine, or on a Dask cluster."""

from __future__ import annotations

import multiprocessing
import sys
from collections.abc import Callable, Iterator, Sequence
from concurrent.futures import Executor, Future, ProcessPoolExecutor, as_completed
from contextlib import contextmanager
from typing import Any, TypeVar

from anymod.errors import ConfigurationError, MissingExtraError
from anymod.memory import keep_freed_memory

Task = TypeVar("Task")
Result = TypeVar("Result")


class InlineExecutor(Executor):
    """Runs each task at once in the calling process (one worker: no process to start, and a debugger sees everything)."""

    def submit(self, function: Callable[..., Any], /, *args: Any, **kwargs: Any) -> Future[Any]:
        """Return a finished future."""
        future: Future[Any] = Future()
        try:
            future.set_result(function(*args, **kwargs))
        except Exception as error:
            future.set_exception(error)
        return future


@contextmanager
def subject_executor(workers: int = 1, scheduler: str | None = None) -> Iterator[Executor]:
    """Yield an executor: a Dask cluster's if `scheduler` names one (tcp://host:port), else `workers` processes, or this process for 1."""
    if scheduler is not None:
        try:
            from distributed import Client
        except ImportError:
            remedy = "install anymod[cluster]"
            raise MissingExtraError(
                "no Dask", "--scheduler", "the package 'distributed' is not installed", remedy
            ) from None
        try:
            client = Client(scheduler)
        except (OSError, ValueError) as error:
            why = f"no scheduler answers ({error})"
            raise ConfigurationError("no cluster", f"--scheduler {scheduler}", why, "check the address") from error
        with client:
            yield client.get_executor()
    elif workers <= 1:
        yield InlineExecutor()
    else:
        # Spawned, not forked: torch and SimpleITK hold threads that a fork would copy in the middle of their work.
        torch = sys.modules.get("torch")  # not loaded here: a verb that needs none shall not wait for it
        threads = None if torch is None else torch.get_num_threads()
        executor = ProcessPoolExecutor(
            workers, mp_context=multiprocessing.get_context("spawn"), initializer=_begin_work, initargs=(threads,)
        )
        try:
            yield executor
        finally:
            executor.shutdown(cancel_futures=True)  # after Ctrl-C, subjects not begun are not begun


def _begin_work(threads: int | None) -> None:
    """Compute as the program does that started this process: with as many threads, and keeping freed memory."""
    keep_freed_memory()
    if threads is not None:
        import SimpleITK
        import torch

        torch.set_num_threads(threads)
        SimpleITK.ProcessObject.SetGlobalDefaultNumberOfThreads(threads)


def completed(
    executor: Executor, function: Callable[[Task], Result], tasks: Sequence[Task]
) -> Iterator[tuple[Task, Result | Exception]]:
    """Yield (task, result or the exception it raised) as tasks finish; one subject's failure does not stop the others."""
    if isinstance(executor, InlineExecutor):
        for task in tasks:
            yield task, outcome(executor.submit(function, task))
        return
    futures = {executor.submit(function, task): task for task in tasks}
    for future in as_completed(futures):
        result = outcome(future)
        yield futures[future], result


def outcome(future: Future[Result]) -> Result | Exception:
    """Return a finished future's result, or the exception that it holds."""
    error = future.exception()
    if error is None:
        return future.result()
    if isinstance(error, Exception):
        return error
    raise error

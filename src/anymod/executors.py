"""One task per subject: run in this process, in several processes of this machine, or on a Dask cluster."""

from __future__ import annotations

import logging
from collections.abc import Callable, Iterator, Mapping
from concurrent.futures import BrokenExecutor, Executor, Future, as_completed
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Generic, TypeVar

from anymod.errors import AnymodError, CohortError, ConfigurationError, MissingExtraError, OutputError
from anymod.files import write_json
from anymod.progress import track
from anymod.workers import WorkerProcesses

Task = TypeVar("Task")
Result = TypeVar("Result")

FAILURES = "failures.json"  # the subjects that failed, each with the reason
FAULTS = (OSError, MemoryError, BrokenExecutor)
"""Errors of the machine, not of a subject: no space, no memory, a worker process that died."""
STOPPING = (OutputError, MissingExtraError, *FAULTS)
"""Errors that would stop every other subject too."""

logger = logging.getLogger(__name__)


@dataclass(frozen=True)
class Outcomes(Generic[Result]):
    """Results and errors of a run, both by subject in the order of the tasks."""

    results: dict[str, Result]
    failures: dict[str, Exception]

    def reasons(self) -> dict[str, str]:
        """Return why each failed subject failed, in one line."""
        return {name: _reason(error) for name, error in self.failures.items()}

    def error(self) -> Exception:
        """Return the first failure, or an error that counts the failures if there are several."""
        first, count = next(iter(self.failures.values())), len(self.failures)
        if count == 1 or not isinstance(first, AnymodError):
            return first
        what = f"{count} of {count + len(self.results)} subjects cannot be used, the first for: {first.what}"
        return CohortError(what, first.where, first.why, first.remedy)

    def write_failures(self, folder: Path) -> None:
        """Write `failures.json` into a folder, or remove an old one if nothing failed."""
        if self.failures:
            write_json(folder / FAILURES, {"failures": self.reasons()})
        else:
            (folder / FAILURES).unlink(missing_ok=True)


def for_each_subject(
    executor: Executor,
    function: Callable[[Task], Result],
    tasks: Mapping[str, Task],
    label: str,
    *,
    stop_on: tuple[type[Exception], ...] = (),
) -> Outcomes[Result]:
    """Call `function` with the task of each subject, show progress under `label`, and return results and errors by subject.

    An error is logged and kept, and the other subjects go on. An error of a type in `stop_on` ends the run and is raised: as an
    OutputError if it is a fault of the machine, after which the same command can continue, else as it is.
    """
    # The one place for what concerns every subject of every verb.
    results: dict[str, Result] = {}
    failures: dict[str, Exception] = {}
    for name, outcome in track(_completed(executor, function, tasks), label, len(tasks)):
        if not isinstance(outcome, Exception):
            results[name] = outcome
        elif not isinstance(outcome, stop_on):
            failures[name] = outcome
            logger.warning("subject %s: %s", name, _reason(outcome))
            logger.debug("subject %s", name, exc_info=outcome)
        elif isinstance(outcome, FAULTS):
            remedy = "check space and memory, use fewer --workers, and repeat the command"
            raise OutputError("stopped", f"subject '{name}'", _reason(outcome), remedy) from outcome
        else:
            raise outcome
    return Outcomes(
        {name: results[name] for name in tasks if name in results},
        {name: failures[name] for name in tasks if name in failures},
    )


def _reason(error: Exception) -> str:
    return str(error) if isinstance(error, AnymodError) else f"{type(error).__name__}: {error}"


class InlineExecutor(Executor):
    """Runs each task at once in the calling process: no process to start, and a debugger sees everything."""

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
    """Yield the executor of the Dask cluster at `scheduler` (tcp://host:port), else of `workers` processes, or of this process for 1."""
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
        pool = WorkerProcesses(workers)
        try:
            yield pool
        except Exception:  # what runs is finished and kept; no further subject is started
            pool.shutdown(cancel_futures=True)
            raise
        except BaseException:  # Ctrl-C, SIGTERM
            pool.end_at_once()
            raise
        pool.shutdown()


def _completed(
    executor: Executor, function: Callable[[Task], Result], tasks: Mapping[str, Task]
) -> Iterator[tuple[str, Result | Exception]]:
    """Yield (name, result or the exception it raised) as tasks finish."""
    if isinstance(
        executor, InlineExecutor
    ):  # one after the other, so that progress is shown and an error can stop the run
        for name, task in tasks.items():
            yield name, _outcome(executor.submit(function, task))
        return
    futures: dict[Future[Result], str] = {executor.submit(function, task): name for name, task in tasks.items()}
    for future in as_completed(futures):
        outcome = _outcome(future)
        yield futures[future], outcome


def _outcome(future: Future[Result]) -> Result | Exception:
    """Return a finished future's result, or the exception that it holds."""
    error = future.exception()
    if error is None:
        return future.result()
    if type(error).__name__ == "KilledWorker":  # Dask's, which cannot be imported without the extra
        return BrokenExecutor(str(error))
    if isinstance(error, Exception):
        return error
    raise error  # Ctrl-C

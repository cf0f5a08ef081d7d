"""One task per subject: a failure stays with its subject, here and in other processes."""

from __future__ import annotations

import ctypes
import os
import subprocess
import sys
from collections.abc import Iterator
from concurrent.futures import Executor

import pytest
import torch

from anymod.errors import MissingExtraError, VolumeError
from anymod.executors import completed, subject_executor
from anymod.memory import USERS_CHOICE


def invert(number: int) -> float:
    if number == 0:
        raise VolumeError("constant image", "zero.nii", "it has no inverse", "give another")
    return 1 / number


def process_of(_: int) -> int:
    return os.getpid()


def die(_: int) -> None:
    os._exit(9)


def threads_here(_: int) -> int:
    import torch

    return torch.get_num_threads()


@pytest.fixture(scope="module")
def two_processes() -> Iterator[Executor]:
    """Yield an executor of two processes, made when this one computed with three threads."""
    before = torch.get_num_threads()
    torch.set_num_threads(3)
    with subject_executor(2) as executor:
        torch.set_num_threads(before)
        yield executor


@pytest.fixture
def this_process() -> Iterator[Executor]:
    with subject_executor(1) as executor:
        yield executor


@pytest.mark.parametrize("where", ["this_process", pytest.param("two_processes", marks=pytest.mark.slow)])
def test_one_failing_subject_does_not_stop_the_others(request: pytest.FixtureRequest, where: str) -> None:
    results = dict(completed(request.getfixturevalue(where), invert, [1, 0, 4]))
    assert (results[1], results[4]) == (1.0, 0.25)
    assert str(results[0]) == "constant image in zero.nii: it has no inverse; give another"


@pytest.mark.skipif(
    sys.platform != "linux" or not hasattr(ctypes.CDLL(None), "mallopt"), reason="memory is kept with glibc only"
)
@pytest.mark.parametrize("told", [False, True])
def test_memory_that_was_freed_is_taken_again_without_new_pages(told: bool) -> None:
    script = """
import resource, numpy as np
from anymod.memory import keep_freed_memory
keep_freed_memory()
faults = []
for _ in range(3):
    before = resource.getrusage(resource.RUSAGE_SELF).ru_minflt
    blocks = [np.ones(20 * 2**20, np.uint8) for _ in range(4)]
    faults.append(resource.getrusage(resource.RUSAGE_SELF).ru_minflt - before)
    del blocks
print(faults[0], faults[-1])
"""
    environment = {name: value for name, value in os.environ.items() if name not in USERS_CHOICE}
    environment["MALLOC_ARENA_MAX"] = "4"  # usual on clusters; says nothing of what is kept
    if told:  # the user's word counts
        environment["MALLOC_TRIM_THRESHOLD_"] = "131072"
    command = [sys.executable, "-c", script]
    output = subprocess.run(command, check=True, capture_output=True, text=True, env=environment).stdout
    first, last = map(int, output.split())
    assert first > 1000  # some pages are huge ones
    assert last > 0.5 * first if told else last < 0.05 * first


def test_one_worker_is_this_process(this_process: Executor) -> None:
    assert dict(completed(this_process, process_of, [1])) == {1: os.getpid()}


@pytest.mark.slow
def test_several_workers_are_other_processes(two_processes: Executor) -> None:
    assert os.getpid() not in dict(completed(two_processes, process_of, [1, 2])).values()


@pytest.mark.slow
def test_processes_compute_with_as_many_threads_as_their_parent(two_processes: Executor) -> None:
    assert [result for _, result in completed(two_processes, threads_here, [0, 1])] == [3, 3]


@pytest.mark.slow
def test_a_worker_that_dies_is_told_with_its_task() -> None:
    with subject_executor(2) as executor:
        results = dict(completed(executor, die, [7]))
    assert "terminated abruptly" in str(results[7])


def test_a_keyboard_interrupt_is_no_subjects_failure(this_process: Executor) -> None:
    def interrupt(_: int) -> None:
        raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        next(completed(this_process, interrupt, [1, 2]))


def test_a_scheduler_without_dask_names_the_extra(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(sys.modules, "distributed", None)
    with pytest.raises(MissingExtraError, match=r"install anymod\[cluster\]"), subject_executor(1, "tcp://here:8786"):
        pass

"""One task per subject: an error stays with its subject or stops the run, in this process and in others."""

from __future__ import annotations

import ctypes
import json
import os
import subprocess
import sys
from collections.abc import Iterator
from concurrent.futures import Executor
from pathlib import Path

import pytest
import torch

from anymod.errors import CohortError, MissingExtraError, OutputError, VolumeError
from anymod.executors import STOPPING, Outcomes, for_each_subject, subject_executor
from anymod.memory import USERS_CHOICE


def invert(number: int) -> float:
    if number == 0:
        raise VolumeError("constant image", "zero.nii", "it has no inverse", "give another")
    return 1 / number


def process_of(_: int) -> int:
    return os.getpid()


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
    outcomes = for_each_subject(request.getfixturevalue(where), invert, {"a": 1, "b": 0, "c": 4}, "inverting")
    assert list(outcomes.results.items()) == [("a", 1.0), ("c", 0.25)]
    assert outcomes.reasons() == {"b": "constant image in zero.nii: it has no inverse; give another"}


def test_failures_are_logged_and_written_in_one_way(tmp_path: Path, caplog: pytest.LogCaptureFixture) -> None:
    with subject_executor(1) as executor:
        outcomes = for_each_subject(executor, invert, {"a": "x", "b": 0}, "inverting")
    unsupported = "TypeError: unsupported operand type(s) for /: 'int' and 'str'"
    assert outcomes.reasons()["a"] == unsupported
    assert f"subject a: {unsupported}" in caplog.text and "subject b: constant image in zero.nii" in caplog.text
    outcomes.write_failures(tmp_path)
    assert json.loads((tmp_path / "failures.json").read_text())["failures"] == outcomes.reasons()
    Outcomes({"a": 1.0}, {}).write_failures(tmp_path)
    assert not (tmp_path / "failures.json").exists()


def test_several_failures_are_counted_in_one_error() -> None:
    first, second = (VolumeError("empty file", name, "it has no bytes", "replace it") for name in ("a.nii", "b.nii"))
    assert Outcomes({}, {"a": first}).error() is first
    error = Outcomes({"c": 1}, {"a": first, "b": second}).error()
    assert isinstance(error, CohortError)
    assert str(error).startswith("2 of 3 subjects cannot be used, the first for: empty file in a.nii: ")


def test_a_run_can_stop_at_the_first_failure() -> None:
    done = []

    def invert_and_note(number: int) -> float:
        done.append(number)
        return invert(number)

    with subject_executor(1) as executor, pytest.raises(VolumeError, match="no inverse"):
        for_each_subject(executor, invert_and_note, {"a": 1, "b": 0, "c": 4}, "inverting", stop_on=(Exception,))
    assert done == [1, 0]


def test_a_fault_of_the_machine_names_the_subject_and_a_remedy() -> None:
    def fill(_: int) -> None:
        raise MemoryError("no room")

    with subject_executor(1) as executor, pytest.raises(OutputError) as caught:
        for_each_subject(executor, fill, {"a": 1}, "filling", stop_on=STOPPING)
    assert str(caught.value).startswith("stopped in subject 'a': MemoryError: no room; check space and memory")


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
    assert for_each_subject(this_process, process_of, {"a": 1}, "asking").results == {"a": os.getpid()}


@pytest.mark.slow
def test_several_workers_are_other_processes(two_processes: Executor) -> None:
    assert os.getpid() not in for_each_subject(two_processes, process_of, {"a": 1, "b": 2}, "asking").results.values()


@pytest.mark.slow
def test_processes_compute_with_as_many_threads_as_their_parent(two_processes: Executor) -> None:
    outcomes = for_each_subject(two_processes, threads_here, {"a": 0, "b": 1}, "counting")
    assert list(outcomes.results.values()) == [3, 3]


def test_a_keyboard_interrupt_is_not_the_failure_of_a_subject() -> None:
    def interrupt(_: int) -> None:
        raise KeyboardInterrupt

    with subject_executor(1) as executor, pytest.raises(KeyboardInterrupt):
        for_each_subject(executor, interrupt, {"a": 1}, "waiting")


def test_a_scheduler_without_dask_names_the_extra(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(sys.modules, "distributed", None)
    with pytest.raises(MissingExtraError, match=r"install anymod\[cluster\]"), subject_executor(1, "tcp://here:8786"):
        pass

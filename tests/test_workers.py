"""Worker processes: one that dies is replaced, and none outlives its parent."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
import time
from collections.abc import Iterator
from pathlib import Path

import pytest

from anymod.executors import for_each_subject, subject_executor
from anymod.processes import runs, start_of

pytestmark = pytest.mark.slow

BUSY = """
import os, signal, sys, time
from pathlib import Path
from anymod.executors import for_each_subject, subject_executor
from anymod.folders import continued_folder
from anymod.processes import exit_on_sigterm


def work(folder):
    (folder / str(os.getpid())).touch()
    time.sleep(60)


if __name__ == "__main__":
    signal.signal(signal.SIGINT, signal.default_int_handler)  # a shell lets background processes ignore it
    exit_on_sigterm()
    with continued_folder(Path(sys.argv[1]), {}, overwrite=False) as folder, subject_executor(2) as executor:
        for_each_subject(executor, work, {"a": folder, "b": folder, "c": folder}, "working")
"""


def die(marks: tuple[Path, int]) -> int:
    """Kill this process if that has not happened a given number of times, each noted in a file."""
    file, times = marks
    before = len(file.read_text()) if file.exists() else 0
    if before < times:
        file.write_text("x" * (before + 1))
        os.kill(os.getpid(), signal.SIGKILL)
    return os.getpid()


def test_a_killed_worker_is_replaced_and_one_that_is_killed_twice_names_its_subject(
    tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    times = {"sound": 0, "once": 1, "always": 9, "sound too": 0}
    tasks = {name: (tmp_path / name, deaths) for name, deaths in times.items()}
    with subject_executor(2) as executor:
        outcomes = for_each_subject(executor, die, tasks, "dying")
    assert list(outcomes.results) == ["sound", "once", "sound too"]
    assert list(outcomes.failures) == ["always"]
    assert "subject always: BrokenExecutor: it ended its worker process twice" in caplog.text
    assert (tmp_path / "always").read_text() == "xx"


@pytest.fixture
def busy(tmp_path: Path) -> Iterator[tuple[subprocess.Popen[bytes], list[tuple[int, str]]]]:
    """Return a process whose two workers are busy for a minute, and who these are."""
    (tmp_path / "busy.py").write_text(BUSY)
    with subprocess.Popen([sys.executable, str(tmp_path / "busy.py"), str(tmp_path / "out")]) as process:
        workers: list[int] = []
        while len(workers) < 2:
            assert process.poll() is None
            time.sleep(0.02)
            workers = [int(path.name) for path in (tmp_path / ".unfinished-out").glob("[0-9]*")]
        yield process, [(worker, start_of(worker)) for worker in workers]
        process.kill()


@pytest.mark.skipif(os.name == "nt", reason="Windows has no such signals")
@pytest.mark.parametrize(("number", "status"), [(signal.SIGKILL, -9), (signal.SIGTERM, 143), (signal.SIGINT, -2)])
def test_no_worker_outlives_its_parent(
    tmp_path: Path, busy: tuple[subprocess.Popen[bytes], list[tuple[int, str]]], number: int, status: int
) -> None:
    process, workers = busy
    process.send_signal(number)
    assert process.wait(timeout=60) == status
    deadline = time.monotonic() + 30  # 5 s on an idle machine
    while any(runs(*worker) for worker in workers) and time.monotonic() < deadline:
        time.sleep(0.02)
    assert not any(runs(*worker) for worker in workers)
    assert (tmp_path / ".out.lock").exists() == (number == signal.SIGKILL)

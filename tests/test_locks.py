"""A lock has one holder, is void when its process has died, and says who holds it."""

from __future__ import annotations

import json
import os
import subprocess
import sys
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from anymod.errors import OutputError
from anymod.files import read_json
from anymod.locks import SILENCE, locked
from anymod.processes import machine, start_of

HOLD = "import sys; from pathlib import Path; from anymod.locks import locked\n"
HOLD += "with locked(Path(sys.argv[1])): print('held', flush=True); sys.stdin.read()"


@pytest.fixture
def path(tmp_path: Path) -> Path:
    return tmp_path / ".lock"


@pytest.fixture
def holder(path: Path) -> Iterator[subprocess.Popen[str]]:
    """Return a process that holds the lock."""
    command = [sys.executable, "-c", HOLD, str(path)]
    with subprocess.Popen(command, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True) as process:
        assert process.stdout is not None
        assert process.stdout.readline() == "held\n"
        yield process
        process.kill()


def written(path: Path, seconds_ago: float = 0.0, **changes: Any) -> None:
    """Write a lock as this process would have done some time ago."""
    own = {"machine": machine(), "host": "here", "process": os.getpid(), "started": start_of(os.getpid()), "since": "5"}
    path.write_text(json.dumps(own | changes))
    then = time.time() - seconds_ago
    os.utime(path, (then, then))


def test_a_lock_is_gone_when_the_work_is_done_or_has_failed(path: Path) -> None:
    with locked(path):
        assert path.is_file()
    assert not path.exists()
    with pytest.raises(KeyError), locked(path):
        raise KeyError
    assert not path.exists()


def test_the_holder_is_named_and_undisturbed(path: Path, holder: subprocess.Popen[str]) -> None:
    before = path.read_text()
    with pytest.raises(OutputError, match=rf"another run .*process {holder.pid} on .* since 2\d\d\d-"), locked(path):
        pass
    assert path.read_text() == before


def test_the_lock_of_a_killed_process_is_taken_over_also_before_its_parent_has_noticed(
    path: Path, holder: subprocess.Popen[str]
) -> None:
    holder.kill()  # a zombie until `wait`
    os.waitid(os.P_PID, holder.pid, os.WEXITED | os.WNOWAIT)
    with locked(path):
        assert read_json(path)["process"] == os.getpid()


@pytest.mark.skipif(sys.platform != "linux", reason="other systems do not say when a process began")
def test_another_process_with_the_number_of_the_holder_is_not_the_holder(path: Path) -> None:
    written(path, started="1")
    with locked(path):
        assert read_json(path)["started"] != "1"


def test_a_lock_of_another_machine_holds_as_long_as_it_shows_life(path: Path) -> None:
    written(path, SILENCE / 2, machine="another")
    with (
        pytest.raises(OutputError, match=r"process \d+ on here since 5.*if it has ended, remove .*\.lock"),
        locked(path),
    ):
        pass
    written(path, 2 * SILENCE, machine="another")
    with locked(path):
        pass


@pytest.mark.parametrize("text", ["", "[]", '{"process": "x"}', '{"proc'])
def test_a_lock_without_a_name_is_waited_for_and_then_taken_over(
    path: Path, text: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("anymod.locks.UNWRITTEN", 0.1)
    path.write_text(text)
    start = time.monotonic()
    with locked(path):
        assert time.monotonic() - start > 0.1
        assert read_json(path)["process"] == os.getpid()


def test_a_holder_shows_life(path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("anymod.locks.BEAT", 0.01)
    with locked(path):
        os.utime(path, (0, 0))
        deadline = time.monotonic() + 5
        while path.stat().st_mtime == 0 and time.monotonic() < deadline:
            time.sleep(0.01)
        assert path.stat().st_mtime > 0


def test_a_lock_that_was_taken_over_is_not_removed(path: Path) -> None:
    with locked(path):
        written(path, process=1)
    assert read_json(path)["process"] == 1


@pytest.mark.slow
def test_of_many_processes_that_find_a_void_lock_one_gets_it(path: Path) -> None:
    written(path, started="1", process=99999999)
    command = [sys.executable, "-c", HOLD, str(path)]
    pipes = {"stdin": subprocess.PIPE, "stdout": subprocess.PIPE, "stderr": subprocess.DEVNULL, "text": True}
    processes: list[Any] = [subprocess.Popen(command, **pipes) for _ in range(5)]
    try:
        assert sum(process.stdout.readline() == "held\n" for process in processes) == 1
    finally:
        for process in processes:
            process.communicate()

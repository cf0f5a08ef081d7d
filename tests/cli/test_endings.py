"""How the program ends where the machine is at fault: signals, a full disk, a closed terminal, a user without a home."""

from __future__ import annotations

import io
import logging
import os
import subprocess
import sys
from pathlib import Path

import pytest
from typer.testing import CliRunner

from anymod.cli import app
from anymod.cli.info import Info
from anymod.cli.verbs import configure

SIGTERM_AT_WORK = """
import os, signal, time
from anymod.cli import main
from anymod.cli.info import Info
Info.run = lambda verb: (os.kill(os.getpid(), signal.SIGTERM), time.sleep(60))
main()
"""


def ended(*arguments: str, **streams: object) -> subprocess.CompletedProcess[str]:
    command = [sys.executable, *arguments]
    return subprocess.run(command, text=True, check=False, timeout=50, **{"stderr": subprocess.PIPE, **streams})


@pytest.mark.skipif(not Path("/dev/full").exists(), reason="needs /dev/full")
@pytest.mark.parametrize("argument", ["info", "--help"])
def test_what_cannot_be_printed_is_one_line_of_error(argument: str) -> None:
    with Path("/dev/full").open("w") as full:
        done = ended("-m", "anymod", argument, stdout=full)
    assert done.returncode == 1
    assert done.stderr.startswith("error: stopped in the output: No space left on device; ")
    assert done.stderr.count("\n") == 1


def test_a_reader_that_has_enough_ends_the_program_without_a_word() -> None:
    reading, writing = os.pipe()
    os.close(reading)
    done = ended("-m", "anymod", "info", stdout=writing)
    os.close(writing)
    assert (done.returncode, done.stderr) == (1, "")


@pytest.mark.skipif(os.name == "nt", reason="Windows has no SIGTERM")
def test_sigterm_is_said_and_status_143() -> None:
    done = ended("-c", SIGTERM_AT_WORK, "info", stdout=subprocess.PIPE)
    assert (done.returncode, done.stderr) == (143, "ended by SIGTERM\n")


@pytest.mark.parametrize(
    ("error", "line"),
    [
        (OSError(28, "No space left on device", "a/b"), "stopped in a/b: No space left on device; check space"),
        (UnicodeEncodeError("utf-8", "M\udcfc", 1, 2, "surrogates not allowed"), "unusable name: "),
    ],
)
def test_errors_of_the_machine_are_one_line(monkeypatch: pytest.MonkeyPatch, error: Exception, line: str) -> None:
    def fail(verb: Info) -> None:
        raise error

    monkeypatch.setattr(Info, "run", fail)
    result = CliRunner().invoke(app, ["info"])
    assert result.exit_code == 1
    assert result.stderr.startswith(f"error: {line}")
    assert result.stderr.count("\n") == 1


def test_a_message_that_cannot_be_shown_stops_no_work(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    configure(quiet=False, verbose=False)
    monkeypatch.setattr(sys, "stderr", None)
    logging.getLogger("anymod.anywhere").warning("nowhere to go")
    assert capsys.readouterr().out == ""  # print(file=None) would take it

    class Full(io.StringIO):
        def write(self, text: str) -> int:
            raise OSError(28, "No space left on device")

    monkeypatch.setattr(sys, "stderr", Full())
    logging.getLogger("anymod.anywhere").warning("lost")

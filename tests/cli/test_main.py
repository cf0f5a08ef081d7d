"""How verbs end: exit status, one line for an error, and help in an instant."""

from __future__ import annotations

import logging
import subprocess
import sys
from pathlib import Path

import pytest
import typer
from typer.testing import CliRunner

from anymod import __version__
from anymod.cli import app
from anymod.cli.options import DeviceOption, SchedulerOption, configure
from anymod.cli.verbs import Verbs
from anymod.errors import VolumeError

VERBS = list(typer.main.get_command(app).commands)  # type: ignore[attr-defined]


def failing_app(error: BaseException) -> typer.Typer:
    """Return a program like ours with one verb, which raises `error`."""
    program = typer.Typer(cls=Verbs, pretty_exceptions_enable=False, rich_markup_mode=None)

    @program.callback()
    def root(traceback: bool = False) -> None:
        pass

    @program.command()
    def fail() -> None:
        raise error

    return program


def test_the_verbs_are_these() -> None:
    listed = "info demo simulate prepare check train synthesize evaluate calibrate export import-weights"
    assert listed.split() == VERBS


@pytest.mark.parametrize("verb", VERBS)
def test_every_verbs_help_has_an_example(verb: str) -> None:
    result = CliRunner().invoke(app, [verb, "--help"])
    assert result.exit_code == 0
    assert f"anymod {verb}" in result.stdout.partition("Example")[2]


def test_an_error_is_one_line_on_stderr_and_status_1() -> None:
    error = VolumeError("truncated image", Path("a.nii.gz"), "the data end\ntoo early", "copy it again")
    result = CliRunner().invoke(failing_app(error), ["fail"])
    assert result.exit_code == 1
    assert result.stderr == "error: truncated image in a.nii.gz: the data end too early; copy it again\n"
    assert result.stdout == ""


def test_traceback_shows_where_an_error_arose() -> None:
    result = CliRunner().invoke(failing_app(VolumeError("a", "b", "c", "d")), ["--traceback", "fail"])
    assert result.exit_code == 1
    assert isinstance(result.exception, VolumeError)


def test_ctrl_c_is_status_130() -> None:
    assert CliRunner().invoke(failing_app(KeyboardInterrupt()), ["fail"]).exit_code == 130


def test_a_bug_is_not_dressed_up_as_a_users_error() -> None:
    assert isinstance(CliRunner().invoke(failing_app(ZeroDivisionError()), ["fail"]).exception, ZeroDivisionError)


@pytest.mark.parametrize("arguments", [["ifno"], ["info", "--no-such-option"], ["info", "too", "many"]])
def test_wrong_usage_is_status_2_and_explains_itself(arguments: list[str]) -> None:
    result = CliRunner().invoke(app, arguments)
    assert result.exit_code == 2
    assert "Usage: " in result.stderr
    assert "Error: " in result.stderr


def test_the_version_is_told() -> None:
    assert CliRunner().invoke(app, ["--version"]).stdout == f"anymod {__version__}\n"


@pytest.mark.parametrize("arguments", [["--help"], ["info"], ["train", "--help"], ["synthesize", "--help"]])
def test_help_and_info_load_nothing_heavy_and_take_under_a_second(arguments: list[str]) -> None:
    code = (
        f"import sys, time; sys.argv[1:] = {arguments}\n"
        "from anymod.cli import main\n"
        "try: main()\n"
        "finally: print(time.process_time(), 'torch' in sys.modules, 'numpy' in sys.modules, file=sys.stderr)"
    )
    result = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    seconds, torch_is_loaded, numpy_is_loaded = result.stderr.split()
    assert (torch_is_loaded, numpy_is_loaded) == ("False", "False")
    assert float(seconds) < 1.0  # of the processor: a busy machine changes nothing


def one_option_app() -> typer.Typer:
    """Return a program that prints its device and scheduler."""
    program = typer.Typer(rich_markup_mode=None)

    @program.command()
    def show(device: DeviceOption = "auto", scheduler: SchedulerOption = None) -> None:
        typer.echo(f"{device} {scheduler}")

    return program


@pytest.mark.parametrize("device", ["auto", "cpu", "cuda", "cuda:3", "mps"])
def test_known_devices_are_taken(device: str) -> None:
    assert CliRunner().invoke(one_option_app(), ["--device", device]).stdout == f"{device} None\n"


@pytest.mark.parametrize("arguments", [["--device", "gpu"], ["--device", "cuda:x"], ["--scheduler", "here"]])
def test_unknown_devices_and_schedulers_are_wrong_usage(arguments: list[str]) -> None:
    assert CliRunner().invoke(one_option_app(), arguments).exit_code == 2


@pytest.mark.parametrize(
    ("quiet", "verbose", "shown"), [(True, False, "w"), (False, False, "iw"), (False, True, "diw")]
)
def test_quiet_and_verbose_choose_what_reaches_stderr(
    capsys: pytest.CaptureFixture[str], quiet: bool, verbose: bool, shown: str
) -> None:
    configure(quiet, verbose)
    logger = logging.getLogger("anymod.anywhere")
    logger.debug("d")
    logger.info("i")
    logger.warning("w")
    assert capsys.readouterr() == ("", "".join(f"{letter}\n" for letter in shown))


def test_quiet_and_verbose_exclude_each_other() -> None:
    with pytest.raises(typer.BadParameter, match="exclude"):
        configure(quiet=True, verbose=True)


def test_threads_limit_torch() -> None:
    import torch

    before = torch.get_num_threads()
    configure(quiet=False, verbose=False, threads=1)
    assert torch.get_num_threads() == 1
    torch.set_num_threads(before)

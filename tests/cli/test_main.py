"""How verbs end and what their help says: exit status, one line for an error, panels, and help in an instant."""

from __future__ import annotations

import logging
import re
import shlex
import subprocess
import sys
from dataclasses import fields, is_dataclass, replace
from pathlib import Path
from typing import Any

import pytest
import typer
from typer.testing import CliRunner

from anymod import __version__
from anymod.cli import SUMMARIES, app, verb_of
from anymod.cli.info import Info
from anymod.cli.verbs import configure
from anymod.errors import VolumeError
from anymod.preparation import Source
from anymod.simulation import SimulationSettings

GROUP: Any = typer.main.get_command(app)
COMMANDS = {name: GROUP.get_command(None, name) for name in GROUP.list_commands(None)}


def help_of(name: str) -> str:
    result = CliRunner().invoke(app, [name, "--help"], env={"COLUMNS": "80"})
    assert result.exit_code == 0
    return result.stdout


def test_the_verbs_are_these_in_the_order_of_use() -> None:
    listed = "info demo simulate prepare check train synthesize impute evaluate crossvalidate calibrate export import-weights"
    text = CliRunner().invoke(app, ["--help"]).stdout.partition("Commands:\n")[2]
    assert re.findall(r"^  ([a-z-]+)  ", text, re.MULTILINE) == list(COMMANDS) == listed.split()


@pytest.mark.parametrize("name", SUMMARIES)
def test_the_help_of_a_verb_shows_the_daily_options_first_and_all_of_them(name: str) -> None:
    text, panels = help_of(name), verb_of(name).panels()
    options = [option for panel in panels.values() for option in panel]
    assert max(map(len, text.splitlines())) <= 80
    assert not re.search(r"default:|[<>]=|\brange\b", text)
    assert 1 <= len(panels["Options"]) <= 8
    listed = re.findall(r"^  (--?[a-z][a-z-]*|[A-Z]+)\b", text.partition("\nOptions:\n")[2], re.MULTILINE)
    assert listed == [option.flag for option in options] + ["-h"]
    assert len({option.name for option in options}) == len(options)
    for option in options:
        assert option.field.description.endswith(".")
        default = option.field.default
        if isinstance(default, int | float) and default is not False:
            assert option.help.endswith(f" Default {default}.")


@pytest.mark.parametrize("name", SUMMARIES)
def test_the_example_of_a_verb_is_understood_and_all_else_has_the_settings_defaults(name: str) -> None:
    example = help_of(name).partition("Example:\n")[2].partition("\n\n")[0]
    program, word, *words = shlex.split(example.replace("\\\n", " "))
    assert (program, word) == ("anymod", name)
    verb = verb_of(name).made_of(COMMANDS[name].make_context(name, words).params)
    for field in fields(verb):
        value = getattr(verb, field.name)
        if is_dataclass(value) and not isinstance(value, Source):
            given = {"targets": ("t2",)} if name == "synthesize" and hasattr(value, "targets") else {}
            assert value == replace(type(value)(), **given)
    if name == "simulate":
        assert verb.settings == SimulationSettings()


@pytest.fixture
def failing(monkeypatch: pytest.MonkeyPatch) -> Any:
    """Return a function that makes `anymod info` raise an error and returns how it ends."""

    def run(error: BaseException, *arguments: str) -> Any:
        def fail(verb: Info) -> None:
            raise error

        monkeypatch.setattr(Info, "run", fail)
        return CliRunner().invoke(app, [*arguments, "info"])

    return run


def test_an_error_is_one_line_on_stderr_and_status_1(failing: Any) -> None:
    result = failing(VolumeError("truncated image", Path("a.nii.gz"), "the data end\ntoo early", "copy it again"))
    assert result.exit_code == 1
    assert result.stderr == "error: truncated image in a.nii.gz: the data end too early; copy it again\n"
    assert result.stdout == ""


def test_traceback_shows_where_an_error_arose(failing: Any) -> None:
    result = failing(VolumeError("a", "b", "c", "d"), "--traceback")
    assert result.exit_code == 1
    assert isinstance(result.exception, VolumeError)


def test_ctrl_c_is_status_130(failing: Any) -> None:
    assert failing(KeyboardInterrupt()).exit_code == 130


def test_a_bug_is_not_dressed_up_as_a_users_error(failing: Any) -> None:
    assert isinstance(failing(ZeroDivisionError()).exception, ZeroDivisionError)


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (["ifno"], "Did you mean 'info'"),
        (["info", "--no-such-option"], "No such option"),
        (["info", "too", "many"], "unexpected extra argument"),
        (["info", "--quiet", "--verbose"], "exclude each other"),
        (["demo"], "Missing option '--out'"),
        (["demo", "--out", "x", "--device", "gpu"], "'--device': 'gpu' is not DEVICE: auto, cpu, cuda, cuda:N or mps."),
        (["demo", "--out", "x", "--device", "cuda:x"], "'cuda:x' is not DEVICE"),
        (["demo", "--out", "x", "--backend", "tensorrt"], "'--backend'"),
        (["demo", "--out", "x", "--threads", "0"], "'--threads': Input should be greater than or equal to 1"),
        (["check", "x", "--scheduler", "here"], "'here' is not tcp://HOST:PORT"),
        (["check", "x", "--workers", "many"], "'--workers'"),
    ],
)
def test_wrong_usage_is_status_2_and_explains_itself(arguments: list[str], message: str) -> None:
    result = CliRunner().invoke(app, arguments)
    assert result.exit_code == 2
    assert result.stdout == ""
    assert "Usage: " in result.stderr
    assert message in " ".join(result.stderr.split())


def test_the_version_is_told() -> None:
    assert CliRunner().invoke(app, ["--version"]).stdout == f"anymod {__version__}\n"


@pytest.mark.parametrize("arguments", [["--help"], ["info"]])
def test_help_and_info_load_nothing_heavy_and_answer_at_once(arguments: list[str]) -> None:
    seconds, loaded = cost(arguments)
    assert loaded == set()
    assert seconds < 0.5  # of the processor: a busy machine changes nothing


def test_the_help_of_no_verb_loads_torch() -> None:
    code = "import sys, anymod.cli\n[anymod.cli.verb_of(name).panels() for name in anymod.cli.SUMMARIES]\n"
    code += "print('torch' in sys.modules)"
    assert subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True).stdout == "False\n"


def cost(arguments: list[str]) -> tuple[float, set[str]]:
    """Return the seconds of the processor that a call takes, and which heavy packages it loads."""
    code = (
        f"import sys, time; sys.argv[1:] = {arguments}\n"
        "from anymod.cli import main\n"
        "try: main()\n"
        "finally: print(time.process_time(), *{'torch', 'numpy'} & set(sys.modules), file=sys.stderr)"
    )
    result = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    seconds, *loaded = result.stderr.split()
    return float(seconds), set(loaded)


@pytest.mark.parametrize(
    ("quiet", "verbose", "shown"), [(True, False, "w"), (False, False, "iw"), (False, True, "diw")]
)
def test_quiet_and_verbose_choose_what_reaches_stderr(
    capsys: pytest.CaptureFixture[str], quiet: bool, verbose: bool, shown: str
) -> None:
    configure(quiet=quiet, verbose=verbose)
    logger = logging.getLogger("anymod.anywhere")
    logger.debug("d")
    logger.info("i")
    logger.warning("w")
    assert capsys.readouterr() == ("", "".join(f"{letter}\n" for letter in shown))


def test_threads_limit_torch() -> None:
    import torch

    before = torch.get_num_threads()
    configure(quiet=False, verbose=False, threads=1)
    assert torch.get_num_threads() == 1
    torch.set_num_threads(before)

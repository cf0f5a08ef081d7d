"""The documentation is true: links lead somewhere, commands and code parse, the README stays short."""

from __future__ import annotations

import ast
import importlib.util
import re
import shlex
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import typer.main

from anymod.cli import app
from anymod.volumes import Grid, Volume, read_volume, write_volume

ROOT = Path(__file__).resolve().parents[1]
PAGES = sorted([*ROOT.glob("*.md"), *ROOT.glob("docs/**/*.md"), *ROOT.glob("src/**/*.md")])
FENCE = re.compile(r"^```(\w*)\n(.*?)^```$", re.MULTILINE | re.DOTALL)
GROUP: Any = typer.main.get_command(app)
VERBS = {name: GROUP.get_command(None, name) for name in GROUP.list_commands(None)}
GLOBAL_OPTIONS = {"--traceback", "--version"}


def name(page: Path) -> str:
    return str(page.relative_to(ROOT))


def blocks(page: Path, *languages: str) -> list[str]:
    return [text for language, text in FENCE.findall(page.read_text(encoding="utf-8")) if language in languages]


def block_commands(page: Path) -> list[list[str]]:
    """Return the words after `anymod` of each command in the page's shell blocks that runs it, directly or by `-m anymod`."""
    lines = "\n".join(blocks(page, "bash", "console")).replace("\\\n", " ").splitlines()
    commands = [shlex.split(line.removeprefix("$ "), comments=True) for line in lines]
    return [words[words.index("anymod") + 1 :] for words in commands if "anymod" in words]


def inline_commands(page: Path) -> list[list[str]]:
    """Return the `anymod verb ...` mentioned in running text, as words."""
    text = FENCE.sub("", page.read_text(encoding="utf-8"))
    return [shlex.split(words) for words in re.findall(r"`anymod ([^`<]+)`", text)]


def today(command: list[str]) -> list[str]:
    """Return a command without options of the program, and `synthesize --cohort` as `impute`, which it stands for."""
    words = [word for word in command if word not in GLOBAL_OPTIONS]
    return ["impute", *words[1:]] if words[:1] == ["synthesize"] and "--cohort" in words else words


def unknown_words(command: list[str]) -> list[str]:
    """Return the verb or the options of a command that the command line does not know."""
    words = today(command)
    if not words or words == ["--help"]:
        return []
    if words[0] not in VERBS:
        return [words[0]]
    known = {option for parameter in VERBS[words[0]].params for option in parameter.opts} | {"--help"}
    return [word for word in words[1:] if word.startswith("--") and word.partition("=")[0] not in known]


def missing_options(command: list[str]) -> list[str]:
    """Return the options that the verb cannot do without and the command does not give."""
    words = today(command)
    if words[0] not in VERBS or "--help" in words:
        return []
    required = [
        parameter for parameter in VERBS[words[0]].params if parameter.required and parameter.opts[0].startswith("--")
    ]
    return [parameter.opts[0] for parameter in required if not set(parameter.opts) & set(words)]


def test_the_readme_has_at_most_100_lines() -> None:
    assert len((ROOT / "README.md").read_text(encoding="utf-8").splitlines()) <= 100


def test_every_package_has_an_api_page() -> None:
    packages = {file.parent.name for file in ROOT.glob("src/anymod/*/__init__.py")} - {"cli", "resources"}
    pages = {page.stem for page in ROOT.glob("docs/reference/api/*.md")} - {"index"}
    assert pages == packages


@pytest.mark.parametrize("page", PAGES, ids=name)
def test_every_relative_link_leads_somewhere(page: Path) -> None:
    links = re.findall(r"\]\(([^)\s]+)\)", FENCE.sub("", page.read_text(encoding="utf-8")))
    relative = [link.partition("#")[0] for link in links if not re.match(r"[a-z]+:", link)]
    assert [link for link in relative if link and not (page.parent / link).exists()] == []


@pytest.mark.parametrize("page", PAGES, ids=name)
def test_every_command_is_known_to_the_command_line(page: Path) -> None:
    wrong = {" ".join(words): unknown_words(words) for words in block_commands(page) + inline_commands(page)}
    assert {command: words for command, words in wrong.items() if words} == {}


@pytest.mark.parametrize("page", PAGES, ids=name)
def test_every_command_in_a_block_is_complete(page: Path) -> None:
    missing = {" ".join(words): missing_options(words) for words in block_commands(page)}
    assert {command: options for command, options in missing.items() if options} == {}


@pytest.mark.parametrize("page", PAGES, ids=name)
def test_every_recipe_that_a_command_names_exists(page: Path) -> None:
    recipes = {word for words in block_commands(page) for word in words if word.startswith("configs/")}
    assert [recipe for recipe in recipes if not (ROOT / recipe).is_file()] == []


@pytest.mark.parametrize("page", PAGES, ids=name)
def test_every_make_verb_exists(page: Path) -> None:
    targets = set(re.findall(r"^([a-z-]+):", (ROOT / "Makefile").read_text(encoding="utf-8"), re.MULTILINE))
    text = page.read_text(encoding="utf-8")
    named = set(re.findall(r"`make ([a-z-]+)", text)) | set(re.findall(r"^make ([a-z-]+)", text, re.MULTILINE))
    assert named <= targets


@pytest.mark.parametrize("page", PAGES, ids=name)
def test_every_python_block_compiles(page: Path) -> None:
    assert all(ast.parse(code).body for code in blocks(page, "python"))


def missing_names(script: Path) -> list[str]:
    """Return what a script imports from this package and the package does not have."""
    imports = (
        each for each in ast.walk(ast.parse(script.read_text(encoding="utf-8"))) if isinstance(each, ast.ImportFrom)
    )
    wanted = [
        (each.module, name.name) for each in imports if (each.module or "").startswith("anymod") for name in each.names
    ]
    return [f"{module}.{name}" for module, name in wanted if not is_there(str(module), name)]


def is_there(module: str, name: str) -> bool:
    if importlib.util.find_spec(module) is None:
        return False
    return hasattr(importlib.import_module(module), name) or importlib.util.find_spec(f"{module}.{name}") is not None


SCRIPTS = sorted([*ROOT.glob("docs/**/*.py"), *ROOT.glob("benchmarks/*.py")])


@pytest.mark.parametrize("script", SCRIPTS, ids=name)
def test_every_script_imports_what_the_package_has(script: Path) -> None:
    assert missing_names(script) == []


@pytest.mark.slow
def test_the_readmes_example_runs(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    data = np.zeros((24, 28, 12), np.float32)
    data[4:20, 4:24, 2:10] = np.random.default_rng(0).uniform(50, 100, (16, 20, 8))
    grid = Grid(data.shape, np.diag([4.0, 4.0, 4.0, 1.0]))
    for modality in ("t1", "flair"):
        write_volume(tmp_path / f"{modality}.nii.gz", Volume(data, grid))
    (example,) = blocks(ROOT / "README.md", "python")
    exec(compile(example, "README.md", "exec"), {})  # noqa: S102 - our own page
    assert read_volume(tmp_path / "t2.nii.gz").data.shape == data.shape
    assert (tmp_path / "t2_sd.nii.gz").is_file()


def test_a_wrong_command_is_noticed() -> None:
    assert unknown_words(["ifno"]) == ["ifno"]
    assert unknown_words(["info", "--jsn"]) == ["--jsn"]
    assert unknown_words(["info", "--json"]) == []

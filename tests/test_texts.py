"""Text from outside: what is read, and what may be printed."""

from __future__ import annotations

import os
from collections.abc import Callable
from pathlib import Path

import pytest

from anymod.cohorts import read_cohort
from anymod.configuration import read_yaml
from anymod.errors import CohortError, ConfigurationError
from anymod.texts import printable, read_text
from anymod.volumes import read_transform

ESCAPE = "\x1b]0;owned\x07\x1b[2J"
NAMES = [f"a{ESCAPE}b", "right\u202eleft", "caf\udce9", "\x9b31m", "bell\a"]
DESCRIPTION = "format: 1\nname: c\nmodalities: [{name: t1}]\n"


def test_text_of_bounded_size_is_read(tmp_path: Path) -> None:
    (tmp_path / "a").write_text("größe")
    assert read_text(tmp_path / "a", 7) == "größe"
    with pytest.raises(OSError, match="more than 6 bytes"):
        read_text(tmp_path / "a", 6)


def as_table(folder: Path, file: Path) -> None:
    (folder / "cohort.yaml").write_text(DESCRIPTION)
    (folder / "subjects.csv").symlink_to(file)
    read_cohort(folder)


def as_description(folder: Path, file: Path) -> None:
    (folder / "cohort.yaml").symlink_to(file)
    read_cohort(folder)


def as_recipe(_: Path, file: Path) -> None:
    read_yaml(file, error=ConfigurationError)


def as_transform(folder: Path, file: Path) -> None:
    (folder / "a.tfm").symlink_to(file)
    read_transform(folder / "a.tfm")


def make_pipe(path: Path) -> Path:
    os.mkfifo(path)  # opening it would wait for ever
    return path


@pytest.mark.skipif(os.name == "nt", reason="Windows has no pipes in folders")
@pytest.mark.parametrize("use", [as_table, as_description, as_recipe, as_transform])
@pytest.mark.parametrize("kind", [lambda path: Path("/dev/zero"), make_pipe], ids=["device", "pipe"])
def test_devices_and_pipes_are_refused(
    tmp_path: Path, use: Callable[[Path, Path], None], kind: Callable[[Path], Path]
) -> None:
    with pytest.raises(Exception, match="it is not a regular file") as caught:
        use(tmp_path, kind(tmp_path / "pipe"))
    assert type(caught.value).__module__ == "anymod.errors"


@pytest.mark.parametrize("use", [as_table, as_description, as_recipe, as_transform])
def test_huge_files_are_refused_at_once(tmp_path: Path, use: Callable[[Path, Path], None]) -> None:
    with (tmp_path / "huge").open("wb") as stream:
        stream.truncate(2**40)
    with pytest.raises(Exception, match="it has more than") as caught:
        use(tmp_path, tmp_path / "huge")
    assert type(caught.value).__module__ == "anymod.errors"


@pytest.mark.parametrize("name", NAMES)
def test_what_a_terminal_could_obey_is_shown_as_an_escape(name: str) -> None:
    shown = printable(f"{name}\n\tnext")
    assert shown.isascii()
    assert all(each.isprintable() for each in shown.replace("\n\t", ""))
    assert "\n\tnext" in shown


def test_names_in_other_scripts_are_shown_as_they_are() -> None:
    assert printable("Müller 患者 Пациент") == "Müller 患者 Пациент"


def test_error_is_printable_wherever_it_is_shown() -> None:
    assert ESCAPE not in str(CohortError("broken", f"a{ESCAPE}.csv", f"it holds {ESCAPE}", "write it again"))

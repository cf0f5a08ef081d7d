"""YAML into strict settings, and errors that name the field."""

from __future__ import annotations

import os
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given, strategies as st

from anymod.configuration import Settings, apply_assignments, nearest, read_yaml, validate, write_yaml
from anymod.errors import ConfigurationError


class Objective(Settings):
    adversarial_weight: float = 0.1


class Modality(Settings):
    name: str
    group: str = "mr"


class Recipe(Settings):
    steps: int = 10
    rate: float = 1e-3
    cosine: bool = True
    image_size: tuple[int, int] = (96, 96)
    objective: Objective = Objective()
    modalities: tuple[Modality, ...] = ()
    second: Objective | None = None


def read(content: dict[str, Any]) -> Recipe:
    return validate(Recipe, content, "config.yaml", error=ConfigurationError)


def refused(content: dict[str, Any], match: str) -> None:
    with pytest.raises(ConfigurationError, match=match):
        read(content)


def read_text(folder: Path, text: str | bytes) -> dict[str, Any]:
    (folder / "config.yaml").write_bytes(text.encode() if isinstance(text, str) else text)
    return read_yaml(folder / "config.yaml", error=ConfigurationError)


def test_a_list_stands_for_a_tuple() -> None:
    assert read({"image_size": [64, 80]}).image_size == (64, 80)


def test_an_unknown_key_names_the_nearest_known_one() -> None:
    refused({"stpes": 3}, "unknown key in config.yaml: 'stpes' does not exist; did you mean 'steps'?")


def test_an_unknown_key_in_a_section_names_the_section() -> None:
    refused({"objective": {"adversarial_wait": 1.0}}, "'objective.adversarial_wait' .*'adversarial_weight'")


def test_an_unknown_key_in_a_list_names_the_keys_of_its_entries() -> None:
    refused({"modalities": [{"name": "t1", "grup": "mr"}]}, r"'modalities\.0\.grup' .*did you mean 'group'")


def test_an_unknown_key_in_an_optional_section_names_its_keys() -> None:
    refused({"second": {"adversarial": 1.0}}, "did you mean 'adversarial_weight'")


@pytest.mark.parametrize(
    ("key", "value"),
    [("steps", "3"), ("steps", 3.5), ("steps", True), ("cosine", "yes"), ("rate", "fast"), ("rate", float("nan"))],
)
def test_a_value_of_another_kind_is_refused_and_shown(key: str, value: object) -> None:
    refused({key: value}, f"invalid value in config.yaml: '{key}': .*found")


def test_settings_do_not_change_after_reading() -> None:
    with pytest.raises(ValueError, match="frozen"):
        read({}).steps = 5


@pytest.mark.parametrize(("text", "value"), [("1e-4", 1e-4), ("3E5", 3e5), ("1.5e+2", 150.0), ("-.5e1", -5.0)])
def test_scientific_notation_is_a_number(tmp_path: Path, text: str, value: float) -> None:
    assert read_text(tmp_path, f"rate: {text}") == {"rate": value}


@pytest.mark.parametrize(
    ("text", "why"),
    [
        ("steps: 1\nsteps: 2", "'steps' is there twice"),
        ("a: &x [1]\nb: [*x, *x]", "aliases"),
        ("a: !!python/object/apply:os.system [ls]", "could not determine a constructor"),
        ("2020-01-01: 3", "is no text"),
        ("objective:\n  1: 3", "the key 1 is no text"),
        ("a: 2020-02-31", "a value cannot be read"),
        ("a: !!int ''", "a value cannot be read"),
        ("a: " + "[" * 3000, "nested too deeply"),
        ("- 1", "no mapping"),
        ("", "no mapping"),
        (b"\xff\xfe\x00", "unreadable YAML"),
    ],
)
def test_yaml_that_is_ambiguous_dangerous_or_broken_is_refused(tmp_path: Path, text: str | bytes, why: str) -> None:
    with pytest.raises(ConfigurationError, match=why):
        read_text(tmp_path, text)


def test_a_missing_file_and_a_folder_are_told_apart(tmp_path: Path) -> None:
    with pytest.raises(ConfigurationError, match="no such file"):
        read_yaml(tmp_path / "nothing.yaml", error=ConfigurationError)
    with pytest.raises(ConfigurationError, match="Is a directory"):
        read_yaml(tmp_path, error=ConfigurationError)


def test_a_file_too_large_for_settings_is_not_parsed(tmp_path: Path) -> None:
    with (tmp_path / "config.yaml").open("wb") as stream:
        stream.truncate(2_000_001)
    with pytest.raises(ConfigurationError, match="more than 2000000 bytes"):
        read_yaml(tmp_path / "config.yaml", error=ConfigurationError)


@given(st.text(max_size=40))
def test_any_text_is_a_mapping_or_an_error(tmp_path_factory: pytest.TempPathFactory, text: str) -> None:
    folder = tmp_path_factory.getbasetemp()
    try:
        content = read_text(folder, text.encode(errors="surrogatepass"))
    except ConfigurationError as error:
        assert "\n" not in str(error)
    else:
        assert isinstance(content, dict)


plain = st.none() | st.booleans() | st.integers() | st.floats(allow_nan=False) | st.text("abe019.+-:#\né", max_size=8)


@given(st.dictionaries(st.text("abc1e5", max_size=5), plain | st.lists(plain, max_size=3), max_size=4))
def test_what_is_written_is_read_back(tmp_path_factory: pytest.TempPathFactory, content: dict[str, Any]) -> None:
    path = tmp_path_factory.getbasetemp() / "written.yaml"
    write_yaml(path, content)
    assert read_yaml(path, error=ConfigurationError) == content


def test_a_value_used_twice_is_written_twice(tmp_path: Path) -> None:
    size = [96, 96]
    write_yaml(tmp_path / "a.yaml", {"first": size, "second": size})
    assert read_yaml(tmp_path / "a.yaml", error=ConfigurationError) == {"first": size, "second": size}


def test_assignments_are_laid_over_a_copy() -> None:
    content = {"steps": 10, "objective": {"adversarial_weight": 0.1}}
    changed = apply_assignments(content, ["objective.adversarial_weight=1e-2", "rate=2"], error=ConfigurationError)
    assert changed == {"steps": 10, "objective": {"adversarial_weight": 0.01}, "rate": 2}
    assert content == {"steps": 10, "objective": {"adversarial_weight": 0.1}}


@pytest.mark.parametrize("assignment", ["steps", "steps.more=1", "steps=[1"])
def test_an_assignment_that_makes_no_sense_is_named(assignment: str) -> None:
    with pytest.raises(ConfigurationError, match="unreadable setting in --set steps"):
        apply_assignments({"steps": 10}, [assignment], error=ConfigurationError)


@pytest.mark.parametrize(
    ("assignments", "named"),
    [
        (["objective.adversarial=1"], "unknown key in --set objective.adversarial=1: 'objective.adversarial'"),
        (["objectve.kl=1"], "unknown key in --set objectve.kl=1: 'objectve' does not exist"),
        (["steps=ten", "rate=1"], "invalid value in --set steps=ten"),
        (["objective=3"], "invalid value in --set objective=3"),
    ],
)
def test_an_assignment_that_does_not_fit_is_named_instead_of_the_file(assignments: list[str], named: str) -> None:
    content = apply_assignments({}, assignments, error=ConfigurationError)
    with pytest.raises(ConfigurationError) as raised:
        validate(Recipe, content, "config.yaml", error=ConfigurationError, assignments=assignments)
    assert str(raised.value).startswith(named)


def test_what_the_file_gave_is_not_blamed_on_an_assignment() -> None:
    with pytest.raises(ConfigurationError, match=r"unknown key in config\.yaml"):
        validate(Recipe, {"stepz": 1}, "config.yaml", error=ConfigurationError, assignments=["steps=3"])


def test_with_no_near_word_all_are_named() -> None:
    assert nearest("xyz", ["t1", "flair"]) == "known are t1, flair"


def test_a_file_name_that_is_not_utf_8_is_written_legibly(tmp_path: Path) -> None:
    write_yaml(tmp_path / "config.yaml", {"name": os.fsdecode(b"M\xfcller")})
    assert read_yaml(tmp_path / "config.yaml", error=ConfigurationError) == {"name": "M\\udcfcller"}

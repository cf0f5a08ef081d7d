"""YAML into strict pydantic models: an unknown key or a wrong value is one line that names it."""

from __future__ import annotations

import difflib
from collections.abc import Sequence
from pathlib import Path
from typing import Any, TypeVar

import yaml
from pydantic import BaseModel, ConfigDict, ValidationError

from anymod.errors import AnymodError


class Settings(BaseModel):
    """A section of a file that a user writes: no unknown keys, no quiet conversions, no changes after reading."""

    model_config = ConfigDict(extra="forbid", frozen=True, strict=True)


SettingsType = TypeVar("SettingsType", bound=BaseModel)


def read_yaml(path: Path, *, error: type[AnymodError]) -> dict[str, Any]:
    """Return the mapping in a YAML file (safe loader); raise `error` where there is none."""
    try:
        content = yaml.safe_load(Path(path).read_text(encoding="utf-8"))
    except FileNotFoundError:
        raise error("no such file", path, "nothing is there", "check the path") from None
    except (OSError, UnicodeDecodeError, yaml.YAMLError) as problem:
        raise error("unreadable YAML", path, str(problem), "mend the file") from problem
    if not isinstance(content, dict):
        raise error("unreadable YAML", path, "its top level is no mapping", "write 'key: value' lines")
    return content


def apply_assignments(
    content: dict[str, Any], assignments: Sequence[str], *, error: type[AnymodError]
) -> dict[str, Any]:
    """Return `content` with each `section.key=value` laid over it; values are read as YAML."""
    content = yaml.safe_load(yaml.safe_dump(content))
    for assignment in assignments:
        dotted, equals, value = assignment.partition("=")
        if not equals:
            raise error("unreadable setting", f"--set {assignment}", "there is no '='", "write section.key=value")
        *sections, key = dotted.strip().split(".")
        place = content
        for section in sections:
            place = place.setdefault(section, {})
            if not isinstance(place, dict):
                raise error("unreadable setting", f"--set {assignment}", f"'{section}' is no section", "check the name")
        try:
            place[key] = yaml.safe_load(value)
        except yaml.YAMLError as problem:
            raise error("unreadable setting", f"--set {assignment}", str(problem), "write a YAML value") from problem
    return content


def validate(
    model: type[SettingsType], content: dict[str, Any], where: str | Path, *, error: type[AnymodError]
) -> SettingsType:
    """Return `content` as `model`; raise `error` that names the first field in trouble and, for an unknown key, the nearest known one."""
    try:
        # JSON mode: a list may stand for a tuple, as YAML has no tuples; numbers and booleans stay strict.
        return model.model_validate_json(_as_json(content))
    except ValidationError as problem:
        first = problem.errors()[0]
        field = ".".join(str(part) for part in first["loc"]) or "the file"
        if first["type"] == "extra_forbidden":
            known = known_keys(model, first["loc"][:-1])
            raise error(
                "unknown key", where, f"'{field}' does not exist", nearest(str(first["loc"][-1]), known)
            ) from None
        raise error("invalid value", where, f"'{field}': {first['msg']}", "mend the value") from None


def nearest(name: str, known: Sequence[str]) -> str:
    """Return a remedy that names the known word nearest to `name`, or all of them."""
    matches = difflib.get_close_matches(name, known, n=1, cutoff=0.5)
    return f"did you mean '{matches[0]}'?" if matches else f"known are {', '.join(known)}"


def known_keys(model: type[BaseModel], location: Sequence[str | int]) -> list[str]:
    """Return the field names of the section that `location` leads to."""
    for part in location:
        field = model.model_fields.get(str(part))
        if field is None or not (isinstance(field.annotation, type) and issubclass(field.annotation, BaseModel)):
            break
        model = field.annotation
    return sorted(model.model_fields)


def _as_json(content: dict[str, Any]) -> str:
    import json

    return json.dumps(content, default=str)

"""YAML into strict pydantic models: an unknown key or a wrong value is one line that names it."""

from __future__ import annotations

import copy
import difflib
import json
import logging
import re
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Annotated, Any, TypeVar, get_args

import yaml
from pydantic import BaseModel, BeforeValidator, ConfigDict, Field, ValidationError

from anymod.errors import AnymodError
from anymod.files import write_text
from anymod.texts import read_text

MAX_BYTES = 2_000_000  # a settings file has thousands; reading YAML takes seconds per megabyte

logger = logging.getLogger(__name__)


class Settings(BaseModel):
    """A section of a file that a user writes: no unknown keys, no quiet conversions, no changes after reading, finite numbers."""

    model_config = ConfigDict(extra="forbid", frozen=True, strict=True, allow_inf_nan=False)


SettingsType = TypeVar("SettingsType", bound=BaseModel)
Bound = int | float | None


def option(
    text: str, placeholder: str | None = None, *, ge: Bound = None, le: Bound = None, pattern: str | None = None
) -> Any:
    """Return the metadata of a field for `Annotated`: its help text, a placeholder for its value, and bounds as in pydantic."""
    return Field(description=text, title=placeholder, ge=ge, le=le, pattern=pattern)


def split_names(value: object) -> object:
    """Return the names in texts such as `t1, flair`; what holds no texts as it is."""
    texts = [value] if isinstance(value, str) else value
    if not isinstance(texts, list | tuple) or not all(isinstance(text, str) for text in texts):
        return value
    return tuple(name.strip() for text in texts for name in text.split(",") if name.strip())


Names = Annotated[tuple[str, ...], BeforeValidator(split_names)]
"""Names, also from one text that separates them by commas."""


class _StrictLoader(yaml.SafeLoader):
    """PyYAML's safe loader, which also refuses duplicate keys, keys that are not text, and aliases, which can fill the memory."""

    def compose_node(self, parent: yaml.Node | None, index: Any) -> yaml.Node | None:
        if self.check_event(yaml.AliasEvent):
            raise yaml.YAMLError("aliases (*name) are not read")
        return super().compose_node(parent, index)

    def construct_mapping(self, node: yaml.MappingNode, deep: bool = False) -> dict[Any, Any]:
        mapping = super().construct_mapping(node, deep=deep)
        if len(mapping) < len(node.value):
            names = [key.value for key, _ in node.value]
            twice = next((name for name in names if names.count(name) > 1), "a key")
            raise yaml.YAMLError(f"'{twice}' is there twice")
        for key in mapping:
            if not isinstance(key, str):
                raise yaml.YAMLError(f"the key {key!r} is no text (write it in quotes)")
        return mapping


class _StrictDumper(yaml.SafeDumper):
    """Writes YAML that `_StrictLoader` reads back unchanged."""

    def ignore_aliases(self, data: Any) -> bool:
        return True


# A file name need not be UTF-8, YAML is: other bytes become \udcNN.
_StrictDumper.add_representer(
    str, lambda dumper, text: dumper.represent_str(text.encode("utf-8", "backslashreplace").decode())
)
for _side in (_StrictLoader, _StrictDumper):
    # PyYAML follows YAML 1.1, where 1e-4 is a text; people mean the number.
    _side.add_implicit_resolver(
        "tag:yaml.org,2002:float", re.compile(r"^[-+]?(\d+\.?\d*|\.\d+)[eE][-+]?\d+$"), list("-+.0123456789")
    )


def read_yaml(path: Path, *, error: type[AnymodError]) -> dict[str, Any]:
    """Return the mapping in a YAML file (safe loader); raise `error` where there is none."""
    path = Path(path)
    try:
        content = _parse(read_text(path, MAX_BYTES))
    except FileNotFoundError:
        raise error("no such file", path, "nothing is there", "check the path") from None
    except (OSError, UnicodeDecodeError, yaml.YAMLError) as problem:
        raise error("unreadable YAML", path, str(problem), "give the right file, or correct it") from problem
    if not isinstance(content, dict):
        raise error("unreadable YAML", path, "its top level is no mapping", "write 'key: value' lines")
    return content


def write_yaml(path: Path, content: dict[str, Any]) -> None:
    """Write a mapping of plain values (as of `model_dump(mode="json")`), in its order, whole or not at all."""
    write_text(path, yaml.dump(content, Dumper=_StrictDumper, sort_keys=False, allow_unicode=True, width=120))


def apply_assignments(
    content: dict[str, Any], assignments: Sequence[str], *, error: type[AnymodError]
) -> dict[str, Any]:
    """Return `content` with each `section.key=value` laid over it; values are read as YAML."""
    content = copy.deepcopy(content)
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
            place[key] = _parse(value)
        except yaml.YAMLError as problem:
            raise error("unreadable setting", f"--set {assignment}", str(problem), "write a YAML value") from problem
    return content


def merged(base: Mapping[str, Any], changes: Mapping[str, Any]) -> dict[str, Any]:
    """Return `base` with `changes` laid over it, section by section."""
    both = {
        key: merged(base[key], value) if isinstance(value, Mapping) and isinstance(base.get(key), Mapping) else value
        for key, value in changes.items()
    }
    return {**base, **both}


def renamed(
    content: Mapping[str, Any], names: Mapping[str, str], where: str | Path, *, error: type[AnymodError]
) -> dict[str, Any]:
    """Return `content` with values moved from older dotted names to today's; raise `error` where both are given."""
    result = copy.deepcopy(dict(content))
    for older, newer in names.items():
        *sections, key = older.split(".")
        place: Any = result
        for section in sections:
            place = place.get(section) if isinstance(place, Mapping) else None
        if not isinstance(place, dict) or key not in place:
            continue
        logger.info("%s: '%s' is called '%s' now", where, older, newer)
        value = place.pop(key)
        *sections, key = newer.split(".")
        place = result
        for section in sections:
            place = place.setdefault(section, {})
        if key in place:
            raise error("value given twice", where, f"'{older}' is an older name of '{newer}'", "leave it out")
        place[key] = value
    return result


def validate(
    model: type[SettingsType],
    content: dict[str, Any],
    where: str | Path,
    *,
    error: type[AnymodError],
    assignments: Sequence[str] = (),
) -> SettingsType:
    """Return `content` as `model`; raise `error` that names the first field in trouble and, for an unknown key, the nearest known one.

    `assignments` are those that were applied to `content`: one of them is named instead of `where` if it gave the field its value.
    """
    try:
        # JSON mode: a list may stand for a tuple, as YAML has no tuples; numbers and booleans stay strict.
        return model.model_validate_json(json.dumps(content, default=str))
    except ValidationError as problem:
        first = problem.errors()[0]
        unknown = first["type"] == "extra_forbidden"
        parts, section = _located(model, first["loc"], tags=not unknown)
        field, where = ".".join(parts), _assigned(parts, assignments) or where
        if unknown:
            remedy = nearest(str(first["loc"][-1]), sorted(section.model_fields))
            raise error("unknown key", where, f"'{field}' does not exist", remedy) from None
        value = first["input"]
        found = "" if isinstance(value, dict | list) else f" (found {value!r})"
        why = (f"'{field}': " if field else "") + first["msg"].removeprefix("Value error, ") + found
        raise error("invalid value", where, why, "correct the value") from None


def _assigned(parts: Sequence[str], assignments: Sequence[str]) -> str | None:
    """Return the `--set`s that gave a location its value, None where none did: their keys lead to, or beyond, that location."""
    keys = [assignment.partition("=")[0].strip().split(".") for assignment in assignments]
    given = [
        f"--set {assignment}"
        for key, assignment in zip(keys, assignments, strict=True)
        if all(ours == theirs for ours, theirs in zip(key, parts, strict=False))
    ]
    return " ".join(given) or None


def nearest(name: str, known: Sequence[str]) -> str:
    """Return a remedy that names the known word nearest to `name`, or all of them."""
    matches = difflib.get_close_matches(name, known, n=1, cutoff=0.5)
    return f"did you mean '{matches[0]}'?" if matches else f"known are {', '.join(known)}"


def _located(model: type[BaseModel], location: Sequence[str | int], *, tags: bool) -> tuple[list[str], type[BaseModel]]:
    """Return a location's parts, without pydantic's `tags` of union members, and the section that holds the last part."""
    parts, section, entered = [], model, False
    for place, part in enumerate(location):
        last, known = place == len(location) - 1, part in section.model_fields
        if known or isinstance(part, int) or not entered or (last and not tags):
            parts.append(str(part))
        if known and not last:
            inner = _section(section.model_fields[str(part)].annotation)
            section, entered = inner or section, inner is not None
    return parts, section


def _section(annotation: Any) -> type[BaseModel] | None:
    """Return the settings in an annotation such as `Section`, `Section | None` or `list[Section]`."""
    if isinstance(annotation, type) and issubclass(annotation, BaseModel):
        return annotation
    return next(filter(None, map(_section, get_args(annotation))), None)


def _parse(text: str) -> Any:
    try:
        return yaml.load(text, Loader=_StrictLoader)  # noqa: S506 - a SafeLoader, made stricter
    except RecursionError:
        raise yaml.YAMLError("it is nested too deeply") from None
    except (
        ValueError,
        LookupError,
        AttributeError,
    ) as problem:  # a date that does not exist; PyYAML's slips on `!!int ""`
        raise yaml.YAMLError(f"a value cannot be read: {problem}") from problem

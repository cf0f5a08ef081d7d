"""How a dataclass becomes the options of a command: its fields are, and those of the settings classes in it.

A field with a description is an option; `anymod.configuration.option` in its annotation gives help text, placeholder and bounds.
Defaults stay in the settings classes: these are made from what the user gave, and from nothing else.
"""

from __future__ import annotations

import inspect
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, fields, is_dataclass
from pathlib import Path
from types import NoneType
from typing import Annotated, Any, Literal, TypeVar, get_args, get_origin, get_type_hints

import typer
from pydantic import BaseModel, TypeAdapter, ValidationError
from pydantic.fields import FieldInfo

Settings = TypeVar("Settings")
NOT_GIVEN: tuple[Any, ...] = (None, [], ())
PLACEHOLDERS = {int: "N", float: "NUMBER", Path: "PATH", str: "TEXT"}


@dataclass(frozen=True)
class Option:
    """One option: the path from the verb to its field, such as `("compute", "device")`, and the field."""

    path: tuple[str, ...]
    field: FieldInfo
    flag: str
    """`--device`; for an argument its placeholder, such as `COHORT`."""

    @property
    def name(self) -> str:
        """Name of the field."""
        return self.path[-1]

    @property
    def value(self) -> Any:
        """What Typer reads: a plain type, a list of texts for a tuple or a mapping, a text for all that pydantic reads further."""
        kind = _plain(self.field.annotation)
        origin = get_origin(kind)
        if origin is dict or (origin is tuple and get_args(kind)[1:] == (...,)):
            return list[str]
        return kind if origin is Literal or kind in (bool, int, float, Path) else str

    @property
    def placeholder(self) -> str:
        """What stands for the value in the help."""
        kind = _plain(self.field.annotation)
        if self.field.title:
            return self.field.title
        if get_origin(kind) is Literal:
            return "|".join(get_args(kind))
        return "MM" if self.name.endswith("_mm") else PLACEHOLDERS.get(kind, "TEXT")

    @property
    def help(self) -> str:
        """The description, and the default where there is one to tell."""
        default = None if self.field.is_required() else self.field.get_default(call_default_factory=True)
        if default is None or default is False or default in ((), {}):
            return str(self.field.description)
        return f"{self.field.description} Default {','.join(default) if isinstance(default, tuple) else default}."

    def parameter(self, panel: str) -> inspect.Parameter:
        """Return the option as a parameter of a function; its default is None, which stands for "not given"."""
        kind, required = self.value, self.field.is_required()
        if self.flag.startswith("-"):
            metavar = None if kind is bool else self.placeholder
            info = typer.Option(self.flag, help=self.help, metavar=metavar, rich_help_panel=panel)
        else:
            info = typer.Argument(help=self.help, metavar=self.flag, rich_help_panel=panel)
        return inspect.Parameter(
            self.name,
            inspect.Parameter.KEYWORD_ONLY,
            default=inspect.Parameter.empty if required else None,
            annotation=Annotated[kind if required else kind | None, info],
        )


def options_of(settings: type, flags: Mapping[str, str], path: tuple[str, ...] = ()) -> Iterator[Option]:
    """Yield an option for each described field of a settings class and of those in it; `flags` holds names unlike the field's."""
    for name, field in _fields(settings).items():
        kind = _plain(field.annotation)
        if inspect.isclass(kind) and (is_dataclass(kind) or issubclass(kind, BaseModel)):
            yield from options_of(kind, flags, (*path, name))
        elif field.description:
            yield Option((*path, name), field, flags.get(name, "--" + name.removesuffix("_mm").replace("_", "-")))


def build(settings: type[Settings], options: list[Option], values: Mapping[str, Any]) -> Settings:
    """Return the settings made of the options that were given; raise typer.BadParameter for a value that does not fit."""
    content: dict[str, Any] = {}
    for option in options:
        place = content
        for section in option.path[:-1]:
            place = place.setdefault(section, {})
        value = values[option.name]
        if value not in NOT_GIVEN:
            place[option.name] = _pairs(value, option) if get_origin(option.field.annotation) is dict else value
    try:
        return TypeAdapter(settings).validate_python(content)
    except ValidationError as problem:
        first = problem.errors()[0]
        wrong = next((each for each in options if each.path == first["loc"][: len(each.path)]), None)
        message = first["msg"].removeprefix("Value error, ")
        if wrong is not None and first["type"] == "string_pattern_mismatch":
            message = f"'{first['input']}' is not {wrong.placeholder}: {wrong.field.description}"
        raise typer.BadParameter(message, param_hint=None if wrong is None else f"'{wrong.flag}'") from None


def _pairs(texts: Sequence[str], option: Option) -> dict[str, str]:
    """Return the mapping in texts such as `t1=a.nii.gz`."""
    pairs: dict[str, str] = {}
    for text in texts:
        name, _, value = text.partition("=")
        if not (name and value):
            raise typer.BadParameter(f"'{text}' is not {option.placeholder}", param_hint=f"'{option.flag}'")
        if name in pairs:
            raise typer.BadParameter(f"'{name}' is there twice", param_hint=f"'{option.flag}'")
        pairs[name] = value
    return pairs


def _fields(settings: Any) -> dict[str, FieldInfo]:
    """Return the fields of a pydantic model or a dataclass as pydantic sees them."""
    if issubclass(settings, BaseModel):
        return settings.model_fields
    hints = get_type_hints(settings, include_extras=True)
    return {each.name: FieldInfo.from_annotated_attribute(hints[each.name], each) for each in fields(settings)}


def _plain(annotation: Any) -> Any:
    """Return a type without `| None` and without what `Annotated` adds."""
    if get_origin(annotation) is Annotated:
        return _plain(get_args(annotation)[0])
    members = [each for each in get_args(annotation) if each is not NoneType]
    return _plain(members[0]) if NoneType in get_args(annotation) and len(members) == 1 else annotation

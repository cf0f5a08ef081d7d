"""What all verbs share: the options of their messages, the order of their help, how they print and how they end."""

from __future__ import annotations

import logging
import sys
from collections.abc import Mapping
from contextlib import suppress
from dataclasses import dataclass, fields
from inspect import Signature, cleandoc
from pathlib import Path
from typing import Annotated, Any, ClassVar, cast

import typer
from typer.core import TyperCommand

from anymod.cli.options import NOT_GIVEN, Option, build, options_of
from anymod.compute import Compute
from anymod.configuration import option
from anymod.files import json_text
from anymod.memory import keep_freed_memory
from anymod.texts import printable

CohortFolder = Annotated[Path, option("Folder with a cohort.yaml.", "DIR")]
Json = Annotated[bool, option("Print JSON.")]
Model = Annotated[Path, option("Model folder, or the name of a bundled model.", "MODEL")]
ChosenModel = Annotated[
    Path | None,
    option(
        "Model folder, or the name of a bundled model. Default: the bundled model that knows the modalities.", "MODEL"
    ),
]
Out = Annotated[Path, option("Folder to create.", "DIR")]
Overwrite = Annotated[bool, option("Replace an existing --out.")]
Seed = Annotated[int, option("Seed of all random draws.", ge=0)]


@dataclass(frozen=True, kw_only=True)
class Verb:
    """A verb: its fields are its options, its docstring is the help below the first line.

    `daily` names the options that the help shows first (none named: all), `left_out` the fields of shared settings that this verb has no
    use for. `flags` holds the options that are not called like their field, `excluding` options beside which others mean nothing.
    """

    daily: ClassVar[tuple[str, ...]] = ()
    left_out: ClassVar[tuple[str, ...]] = ()
    flags: ClassVar[Mapping[str, str]] = {}
    excluding: ClassVar[Mapping[str, tuple[str, ...]]] = {}

    quiet: Annotated[bool, option("Show warnings and errors only.")] = False
    verbose: Annotated[bool, option("Show every detail.")] = False

    def __post_init__(self) -> None:
        if self.quiet and self.verbose:
            raise ValueError("--quiet and --verbose exclude each other")

    def run(self) -> None:
        """Do it and print the results."""
        raise NotImplementedError

    @classmethod
    def panels(cls) -> dict[str, list[Option]]:
        """Return the options by panel of the help: the daily ones in their order, those that say where work runs, the rest."""
        found = {each.name: each for each in options_of(cls, cls.flags) if each.name not in cls.left_out}
        shared = [each.name for each in (*fields(Compute), *fields(Verb)) if each.name in found]
        shared = [name for name in shared if name not in cls.daily]
        daily = cls.daily or tuple(name for name in found if name not in shared)
        rest = [name for name in found if name not in (*daily, *shared)]
        panels = {"Options": daily, "Compute": shared, "Advanced": rest}
        return {panel: [found[name] for name in names] for panel, names in panels.items()}

    @classmethod
    def made_of(cls, values: Mapping[str, Any]) -> Verb:
        """Return the verb with the values that were given; raise typer.BadParameter where they do not fit."""
        options = [each for panel in cls.panels().values() for each in panel]
        given = {each.flag for each in options if values[each.name] not in NOT_GIVEN}
        given |= {f"{each.flag} {values[each.name]}" for each in options}
        for flag, others in cls.excluding.items():
            for other in others:
                if {flag, other} <= given:
                    raise typer.BadParameter(f"{flag} and {other} exclude each other: leave {other} out")
        return build(cls, options, values)


def command(name: str, summary: str, verb: type[Verb]) -> TyperCommand:
    """Return a verb as a command."""

    def run(**values: Any) -> None:
        chosen = verb.made_of(values)
        configure(quiet=chosen.quiet, verbose=chosen.verbose, threads=values.get("threads"))
        chosen.run()

    # Typer makes options of a function's parameters: here, of one for each option of the verb.
    parameters = [option.parameter(panel) for panel, options in verb.panels().items() for option in options]
    run.__signature__ = Signature(parameters)  # type: ignore[attr-defined]
    program = typer.Typer(add_completion=False, rich_markup_mode=None)
    details = cleandoc(verb.__doc__ or "").replace("Example:", "\b\nExample:")  # \b: lines stay as they are
    program.command(name, cls=_PanelCommand, help=f"{summary}\n\n{details}", short_help=summary)(run)
    return cast(TyperCommand, typer.main.get_command(program))


class _PanelCommand(TyperCommand):
    """A command whose help shows the options by panel, as plain text."""

    def collect_usage_pieces(self, ctx: Any) -> list[str]:
        """Return what follows the verb in the line of its usage."""
        parameters: list[Any] = self.get_params(ctx)
        arguments = [each.display_name_raw for each in parameters if each.param_type_name == "argument"]
        return ["[OPTIONS]", *arguments]

    def format_options(self, ctx: Any, formatter: Any) -> None:
        """Write one section for each panel; `--help` stands in the last."""
        panels: dict[str, list[tuple[str, str]]] = {"Options": [], "Compute": [], "Advanced": []}
        parameters: list[Any] = self.get_params(ctx)
        for parameter in parameters:
            name, text = parameter.get_help_record(ctx) or ("", "")
            name = name if parameter.param_type_name == "option" else parameter.display_name_raw
            panels[getattr(parameter, "rich_help_panel", None) or "Advanced"].append((name, text))
        for panel, records in panels.items():
            if records:
                with formatter.section(panel):
                    formatter.write_dl(records)


class _StderrHandler(logging.Handler):
    """Writes to what `sys.stderr` is at that moment: a progress bar and a test put something else there for a while."""

    def emit(self, record: logging.LogRecord) -> None:
        if sys.stderr is not None:  # print would take stdout
            with suppress(OSError):  # a full disk or a closed terminal is no reason to lose work
                print(printable(self.format(record)), file=sys.stderr)


def configure(*, quiet: bool, verbose: bool, threads: int | None = None) -> None:
    """Show this package's messages on stderr (warnings only if quiet, details if verbose), limit the threads, keep freed memory."""
    logger = logging.getLogger("anymod")
    logger.handlers = [_StderrHandler()]
    logger.setLevel(logging.WARNING if quiet else logging.DEBUG if verbose else logging.INFO)
    if threads is not None:
        import SimpleITK
        import torch

        torch.set_num_threads(threads)
        SimpleITK.ProcessObject.SetGlobalDefaultNumberOfThreads(threads)
    keep_freed_memory()


def say(text: str, *, to_stderr: bool = False) -> None:
    """Print text in which no name of a file can control the terminal."""
    typer.echo(printable(text), err=to_stderr)


def print_result(content: Mapping[str, Any], text: str, *, as_json: bool) -> None:
    """Print a result as JSON or as text."""
    say(json_text(content) if as_json else text)


def end_with(failures: Mapping[str, str]) -> None:
    """Name the subjects that failed on stderr, and end with status 1 where there are some."""
    for subject, why in failures.items():
        say(f"error: subject '{subject}': {why}", to_stderr=True)
    if failures:
        raise typer.Exit(1)

"""The command line: one file per verb, each parses, calls one room and prints.

A verb's file is loaded when the verb is asked for, and its room when it runs: `anymod --help` loads neither settings nor torch.
"""

from __future__ import annotations

import os
import sys
from contextlib import suppress
from importlib import import_module
from io import TextIOWrapper
from typing import TYPE_CHECKING, Annotated, Any

import typer
from typer.core import TyperCommand, TyperGroup

from anymod import __version__
from anymod.errors import AnymodError
from anymod.processes import Terminated, exit_on_sigterm
from anymod.texts import printable

if TYPE_CHECKING:
    from anymod.cli.verbs import Verb

__all__ = ["SUMMARIES", "app", "main", "verb_of"]

# In the order in which people need them.
SUMMARIES = {
    "info": "Show the versions and the bundled models.",
    "demo": "Simulate a patient, hide some images, synthesize them and score the result.",
    "simulate": "Make a cohort of simulated patients, some of whose images are missing.",
    "prepare": "Make a cohort from your own image files.",
    "check": "Read every file of a cohort and list the problems.",
    "train": "Train one model on complete and incomplete subjects.",
    "synthesize": "Synthesize the missing images of one subject.",
    "impute": "Synthesize the missing images of a whole cohort.",
    "evaluate": "Score a model on a cohort and compare it with simple predictors.",
    "crossvalidate": "Train and score each fold of a cohort.",
    "calibrate": "Calibrate a model's uncertainty on subjects it has not seen.",
    "export": "Write a model as one graph for programs without torch.",
    "import-weights": "Make a model folder from the paper's published weights.",
}


def verb_of(name: str) -> type[Verb]:
    """Return the class of a verb: `ImportWeights` of `anymod.cli.import_weights` for `import-weights`."""
    module = import_module(f"anymod.cli.{name.replace('-', '_')}")
    kind: type[Verb] = getattr(module, name.title().replace("-", ""))
    return kind


class Verbs(TyperGroup):
    """The group of verbs; exit status 1 and one line on stderr for an AnymodError, unless `--traceback` asks for all."""

    def __init__(self, **settings: Any) -> None:
        super().__init__(**settings | {"commands": dict.fromkeys(SUMMARIES)})  # each is loaded when it is asked for

    def get_command(self, ctx: Any, cmd_name: str) -> TyperCommand | None:
        """Return the verb of that name."""
        from anymod.cli.verbs import command

        return command(cmd_name, SUMMARIES[cmd_name], verb_of(cmd_name)) if cmd_name in SUMMARIES else None

    def format_commands(self, ctx: Any, formatter: Any) -> None:
        """Write the summaries, loading no verb."""
        with formatter.section("Commands"):
            formatter.write_dl(list(SUMMARIES.items()))

    def resolve_command(self, ctx: Any, args: list[str]) -> Any:
        """Return the verb that the arguments name; `synthesize --cohort` is the older form of `impute`."""
        if args[0] == "synthesize" and any(word.partition("=")[0] == "--cohort" for word in args):
            if "--quiet" not in args:
                typer.echo("anymod synthesize --cohort is called anymod impute now", err=True)
            args = ["impute", *args[1:]]
        return super().resolve_command(ctx, args)

    def invoke(self, ctx: Any) -> Any:
        """Run the verb that the context names."""
        try:
            return super().invoke(ctx)
        except (AnymodError, OSError, UnicodeError) as error:
            if ctx.params["traceback"] or isinstance(error, BrokenPipeError):  # `| head`: ends without a word
                raise
            typer.echo(f"error: {printable(_one_line(error))}", err=True)
            raise typer.Exit(1) from None


app = typer.Typer(
    name="anymod",
    cls=Verbs,
    no_args_is_help=True,
    pretty_exceptions_enable=False,
    rich_markup_mode=None,  # plain text: the same in a terminal, a log and a narrow window
    context_settings={"help_option_names": ["-h", "--help"], "max_content_width": 110},
)


def _show_version(asked: bool) -> bool:
    if asked:
        typer.echo(f"anymod {__version__}")
        raise typer.Exit
    return asked


@app.callback()
def _root(
    traceback: Annotated[bool, typer.Option("--traceback", help="Show where in the code an error arose.")] = False,
    version: Annotated[
        bool, typer.Option("--version", callback=_show_version, is_eager=True, help="Show the version and exit.")
    ] = False,
) -> None:
    """Fill in missing medical images: train on incomplete subjects, synthesize the missing images from the available ones.

    Start with `anymod demo --out demo`. Research use only; not a medical device.
    """


def _one_line(error: Exception) -> str:
    """Return what to say about an error of a user or of the machine."""
    if isinstance(error, UnicodeError):
        return f"unusable name: {error}; give files and folders names that are UTF-8"
    if isinstance(error, OSError):
        where, why = error.filename or "the output", error.strerror or " ".join(str(error).split())
        return f"stopped in {where}: {why}; check space and permissions, and repeat the command"
    return str(error)


def main() -> None:
    """Run the command line; the entry point of the `anymod` program. SIGTERM ends it with status 143."""
    exit_on_sigterm()
    for stream in (sys.stdout, sys.stderr):
        if isinstance(stream, TextIOWrapper) and stream.encoding.lower() == "utf-8":
            stream.reconfigure(errors="surrogateescape")  # names of files that are not UTF-8 keep their bytes
    try:
        app()
    except OSError as error:  # the help, where it cannot be printed
        if "--traceback" in sys.argv:
            raise
        with suppress(OSError):
            typer.echo(f"error: {_one_line(error)}", err=True)
        sys.exit(1)
    except Terminated:
        with suppress(OSError):
            typer.echo("ended by SIGTERM", err=True)
        raise
    finally:
        _discard_unwritten()


def _discard_unwritten() -> None:
    """Let the interpreter end quietly where what is printed cannot be written: the error was reported already."""
    for stream in (sys.stdout, sys.stderr):
        try:
            if stream is not None:
                stream.flush()
        except (OSError, ValueError):
            with suppress(OSError, ValueError):
                os.dup2(os.open(os.devnull, os.O_WRONLY), stream.fileno())

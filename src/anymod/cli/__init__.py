"""The command line: one file per verb, each parses, calls one room and prints.

Verbs load their rooms when they run, so that `--help` and `anymod info` load no torch.
"""

from __future__ import annotations

from typing import Annotated

import typer

from anymod import __version__
from anymod.cli import (
    calibrate,
    check,
    demo,
    evaluate,
    export,
    import_weights,
    info,
    prepare,
    simulate,
    synthesize,
    train,
)
from anymod.cli.verbs import Verbs

__all__ = ["app", "main"]

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
    """Fill in missing medical images: train on incomplete subjects, synthesize whatever is missing from whatever is there.

    Start with `anymod demo --out demo`. Research use only; not a medical device.
    """


# In the order in which people need them.
app.command()(info.info)
app.command()(demo.demo)
app.command()(simulate.simulate)
app.command()(prepare.prepare)
app.command()(check.check)
app.command()(train.train)
app.command()(synthesize.synthesize)
app.command()(evaluate.evaluate)
app.command()(calibrate.calibrate)
app.command()(export.export)
app.command("import-weights")(import_weights.import_weights)


def main() -> None:
    """Run the command line; the entry point of the `anymod` program."""
    app()

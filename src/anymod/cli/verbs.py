"""How a verb ends: results as they are, a failure that the user can mend as one line."""

from __future__ import annotations

from typing import Any

import typer
from typer.core import TyperGroup

from anymod.errors import AnymodError


class Verbs(TyperGroup):
    """The group of verbs; exit status 1 and one line on stderr for an AnymodError, unless `--traceback` asks for all."""

    def invoke(self, ctx: Any) -> Any:
        """Run the verb that the context names."""
        try:
            return super().invoke(ctx)
        except AnymodError as error:
            if ctx.params["traceback"]:
                raise
            typer.echo(f"error: {error}", err=True)
            raise typer.Exit(1) from None

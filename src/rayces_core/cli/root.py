"""The top of the command tree. Each command is imported when it is called, or when its help is asked for."""

from __future__ import annotations

from importlib import import_module
from typing import Any

import click

from rayces_core._version import __version__
from rayces_core.cli.options import database_options

# Name → where it is defined. The help lists them in this order.
COMMANDS = {
    "migrate": "rayces_core.cli.migrating:migrate",
    "organizations": "rayces_core.cli.organizations:organizations",
    "users": "rayces_core.cli.users:users",
    "credits": "rayces_core.cli.credits:ledger",
    "slots": "rayces_core.cli.slots:slots",
    "calendars": "rayces_core.cli.calendars:calendars",
    "invoices": "rayces_core.cli.invoices:invoices",
    "groups": "rayces_core.cli.groups:groups",
    "import": "rayces_core.cli.importing:bring_in",
    "export": "rayces_core.cli.exporting:export",
    "doctor": "rayces_core.cli.doctor:doctor",
    "cells": "rayces_core.cli.cells:cells",
    "move": "rayces_core.cli.moving:move",
    "citus": "rayces_core.cli.citus:citus",
    "outbox": "rayces_core.cli.outbox:outbox",
    "notices": "rayces_core.cli.notices:notices",
    "report": "rayces_core.cli.report:report",
    "demo": "rayces_core.cli.demo:demo",
    "completion": "rayces_core.cli.completion:completion",
}


class Interrupted(Exception):  # noqa: N818 - no error: somebody pressed Ctrl-C
    """Ctrl-C, before click turns it into an Abort and an empty line."""


class ReaderGone(Exception):  # noqa: N818 - no error either: somebody has seen enough
    """Nobody reads stdout any more, before click makes an exit code of its own of it."""


class Root(click.Group):
    """A group whose commands are found by name when they are needed."""

    def list_commands(self, ctx: click.Context) -> list[str]:  # noqa: ARG002
        """The commands' names, in the order of the help."""
        return list(COMMANDS)

    def get_command(self, ctx: click.Context, cmd_name: str) -> click.Command | None:  # noqa: ARG002
        """Import the command of that name; None if there is none."""
        if cmd_name not in COMMANDS:
            return None
        module, _, name = COMMANDS[cmd_name].partition(":")
        command: click.Command = getattr(import_module(module), name)
        return command

    def invoke(self, ctx: click.Context) -> Any:
        """Run the command."""
        try:
            return super().invoke(ctx)
        except KeyboardInterrupt:
            raise Interrupted from None
        except BrokenPipeError:
            raise ReaderGone from None


@click.group(
    cls=Root,
    context_settings={"help_option_names": ["-h", "--help"], "max_content_width": 100},
    epilog="""
\b
Examples:
  export RAYCES_DATABASE_URL=postgresql://user:password@host/name
  rayces migrate up
  rayces organizations create "North Clinic" --subdomain north
  rayces doctor
  rayces demo                    # needs no server of yours

Exit codes: 0 ok, 1 findings, 2 usage, 3 database or configuration, 130 interrupted.
""",
)
@database_options
@click.version_option(__version__, message="%(prog)s %(version)s")
def rayces() -> None:
    """Migrate, audit and try out the database of a multi-tenant booking platform."""

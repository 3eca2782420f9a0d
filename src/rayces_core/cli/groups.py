"""`rayces groups`."""

from __future__ import annotations

from typing import TYPE_CHECKING

import click

from rayces_core.cli.options import Settings, database_options
from rayces_core.cli.verifying import verified

if TYPE_CHECKING:
    from rayces_core.scheduling import GroupFinding


@click.group()
def groups() -> None:
    """Look after group sessions."""


@groups.command(epilog="\b\nExamples:\n  rayces groups verify\n  rayces groups verify --organization north --json")
@click.option("--organization", metavar="NAME", help="Only this one, by subdomain or id; default: all of them.")
@click.option("--json", "as_json", is_flag=True, help="Print a JSON array instead of a table.")
@database_options
@click.pass_obj
def verify(settings: Settings, organization: str | None, as_json: bool) -> int:
    """Look at every group's time, its seats and what those who attend hold.

    The exit code is 1 if anything cannot be right.
    """
    from rayces_core.scheduling import verify_groups

    return verified(settings, organization, "rayces groups verify", verify_groups, None if as_json else _show)


def _show(found: list[GroupFinding]) -> None:
    from rayces_core.cli.output import GREEN, RED, console, styled, table

    screen = console()
    if not found:
        screen.print(styled("Every group has its time to itself, and a seat for each who attends", GREEN))
        return
    shown = table("Organization", "What", "Group", "Appointment", "Expected", "Found")
    for each in found:
        where = "" if each.appointment_id is None else str(each.appointment_id)
        numbers = (str(each.organization_id), each.kind, str(each.group_session_id), where)
        shown.add_row(*numbers, each.expected or "", each.found or "")
    screen.print(shown)
    screen.print(styled(f"{len(found)} findings", RED))

"""`rayces invoices`."""

from __future__ import annotations

import sys
from datetime import date, datetime
from pathlib import Path
from typing import TYPE_CHECKING

import click

from rayces_core.cli.options import Settings, database_options, subdomain_or_id
from rayces_core.cli.verifying import verified

if TYPE_CHECKING:
    from rayces_core.invoicing import InvoiceFinding

_DAY = click.DateTime(["%Y-%m-%d"])


@click.group()
def invoices() -> None:
    """Give accountants the invoices, and look after them."""


@invoices.command(
    name="csv",
    epilog="\b\nExamples:\n  rayces invoices csv --organization north --from 2026-03-01 --until 2026-03-31\n"
    "  rayces invoices csv --organization north --from 2026-01-01 --until 2026-12-31 --output 2026.csv",
)
@click.option("--organization", required=True, metavar="NAME", help="Whose, by subdomain or id.")
@click.option("--from", "since", required=True, type=_DAY, metavar="DAY", help="The first day of issue.")
@click.option("--until", required=True, type=_DAY, metavar="DAY", help="The last day of issue.")
@click.option("--output", type=click.Path(path_type=Path, dir_okay=False), help="A file; default: stdout.")
@database_options
@click.pass_obj
def as_csv(settings: Settings, organization: str, since: datetime, until: datetime, output: Path | None) -> None:
    """Write one row for each invoice and credit note, with its totals by tax rate.

    What a credit note gives back is below zero. No cell runs as a formula.
    """
    from rayces_core.invoicing import invoices_csv

    with settings.database() as database, database.tenant(subdomain_or_id(organization)):
        text = invoices_csv(_day(since), _day(until))
    if output is None:
        sys.stdout.write(text.replace("\r\n", "\n"))
    else:
        output.write_text(text, encoding="utf-8", newline="")


@invoices.command(
    epilog="\b\nExamples:\n  rayces invoices verify\n  rayces invoices verify --organization north --json"
)
@click.option("--organization", metavar="NAME", help="Only this one, by subdomain or id; default: all of them.")
@click.option("--json", "as_json", is_flag=True, help="Print a JSON array instead of a table.")
@database_options
@click.pass_obj
def verify(settings: Settings, organization: str | None, as_json: bool) -> int:
    """Look at every number, sum and correction again.

    The exit code is 1 if anything cannot be right.
    """
    from rayces_core.invoicing import verify_invoices

    return verified(settings, organization, "rayces invoices verify", verify_invoices, None if as_json else _show)


def _day(given: datetime) -> date:
    return given.date()


def _show(found: list[InvoiceFinding]) -> None:
    from rayces_core.cli.output import GREEN, RED, console, styled, table

    screen = console()
    if not found:
        screen.print(styled("Every number follows the one before, and every sum is that of its lines", GREEN))
        return
    shown = table("Organization", "What", "Invoice", "Expected", "Found")
    for each in found:
        where = "" if each.invoice_id is None else str(each.invoice_id)
        shown.add_row(str(each.organization_id), each.kind, where, each.expected or "", each.found or "")
    screen.print(shown)
    screen.print(styled(f"{len(found)} findings", RED))

"""`rayces credits`."""

from __future__ import annotations

import sys
from contextlib import ExitStack
from dataclasses import asdict
from typing import TYPE_CHECKING, Any

import click

from rayces_core.cli.options import Settings, database_options, subdomain_or_id

if TYPE_CHECKING:
    from rayces_core.credits import OverdueLot, UncoveredHold, Verification
    from rayces_core.database.database import Database

FINDINGS = 1


@click.group(name="credits")
def ledger() -> None:
    """Look after the ledger of credits."""


@ledger.command(epilog="\b\nExamples:\n  rayces credits verify\n  rayces credits verify --organization north --json")
@click.option("--organization", metavar="NAME", help="Only this one, by subdomain or id; default: all of them.")
@click.option("--json", "as_json", is_flag=True, help="Print a JSON array instead of a table.")
@click.option("--quiet", "-q", is_flag=True, help="Show no progress.")
@database_options
@click.pass_obj
def verify(settings: Settings, organization: str | None, as_json: bool, quiet: bool) -> int:
    """Derive every balance anew from the ledger.

    Looks at each balance, the chain of its entries, the lifetime figures and the links to appointments, and changes
    nothing. It may run while credits are moving.

    The exit code is 1 if anything cannot be right.
    """
    from rayces_core.credits import verify as verify_ledger

    with settings.database() as database, ExitStack() as stack:
        if organization is None:
            stack.enter_context(database.privileged(reason="rayces credits verify"))
        else:
            stack.enter_context(database.tenant(subdomain_or_id(organization)))
        report = verify_ledger(progress=None if quiet or as_json else _progress(stack))
    if as_json:
        from rayces_core.cli.output import print_json

        print_json(asdict(finding) for finding in report.discrepancies)
    else:
        _show(report)
    return 0 if report.is_clean else FINDINGS


@ledger.command(epilog="\b\nExamples:\n  rayces credits expire\n  rayces credits expire --dry-run")
@click.option("--organization", metavar="NAME", help="Only this one, by subdomain or id; default: all of them.")
@click.option("--dry-run", "dry", is_flag=True, help="Show what would be posted, and post nothing.")
@database_options
@click.pass_obj
def expire(settings: Settings, organization: str | None, *, dry: bool) -> None:
    """Post what is left of packages whose day is over.

    Each gets an entry of its own, which takes what nobody used in time. Run it once a day, after midnight, from as many
    hosts as you like: nothing is posted twice.
    """
    from rayces_core.cli.output import console
    from rayces_core.credits import expire_lots, overdue_lots

    with settings.database() as database, ExitStack() as stack:
        if organization is None:
            stack.enter_context(database.privileged(reason="rayces credits expire"))
        else:
            stack.enter_context(database.tenant(subdomain_or_id(organization)))
        if dry:
            _show_overdue(overdue_lots())
            return
        made = expire_lots()
    console().print(f"Entries posted: {made}")


@ledger.command(epilog="\b\nExamples:\n  rayces credits reserve\n  rayces credits reserve --organization north")
@click.option("--organization", metavar="NAME", help="Only this one, by subdomain or id; default: all of them.")
@click.option("--dry-run", "dry", is_flag=True, help="Show which reserve nothing, and change nothing.")
@database_options
@click.pass_obj
def reserve(settings: Settings, organization: str | None, *, dry: bool) -> int:
    """Reserve credits for holds that reserve nothing, and put reserved sums right.

    Those that were imported or adopted reserve what their clients' balances cover, the earliest first. Where what is
    reserved of a balance is not what its holds say, it is put right. It may run at any time, and again.

    The exit code is 1 if there are holds that are not covered; they keep their time, and confirming asks the balance.
    So it is if an error ended the work for an organization; it is done for the others.
    """
    from rayces_core.cli.output import console
    from rayces_core.credits import reserve_holds, uncovered_holds
    from rayces_core.errors import RaycesError

    reserved, mended, failed = 0, 0, False
    uncovered: list[tuple[int | str, UncoveredHold]] = []
    with settings.database() as database:
        for name in _active(database) if organization is None else [subdomain_or_id(organization)]:
            try:
                with database.tenant(name):
                    if not dry:
                        done = reserve_holds()
                        reserved, mended = reserved + done.reserved, mended + done.mended
                    uncovered += [(name, each) for each in uncovered_holds()]
            except RaycesError as error:
                if organization is not None:
                    raise
                failed = True
                click.echo(f"organization {name}: {error}", err=True)
    _show_uncovered(uncovered)
    if not dry:
        console().print(f"Holds that reserve now: {reserved}, balances put right: {mended}")
    return FINDINGS if uncovered or failed else 0


def _active(database: Database) -> list[int]:
    from rayces_core.models import Organization

    with database.privileged(reason="rayces credits reserve"):
        active = Organization.select().where(Organization.active, Organization.moving.is_null())
        return [row.id for row in active.order_by(Organization.id)]


def _show_uncovered(uncovered: list[tuple[int | str, UncoveredHold]]) -> None:
    from rayces_core.cli.output import console, table

    shown = table("Organization", "Appointment", "Client", "Kind of credit", "Credits")
    for name, each in uncovered:
        kind = "" if each.credit_kind_id is None else str(each.credit_kind_id)
        shown.add_row(str(name), str(each.appointment_id), str(each.client_id), kind, str(each.credits))
    if uncovered:
        console().print(shown)
    console().print(f"Holds that reserve nothing: {len(uncovered)}")


def _show_overdue(lots: list[OverdueLot]) -> None:
    from rayces_core.cli.output import console, table

    screen = console()
    shown = table("Organization", "User", "Kind of credit", "Credits", "Expired at")
    for lot in lots:
        kind = "" if lot.credit_kind_id is None else str(lot.credit_kind_id)
        expired = lot.expired_at.isoformat(timespec="minutes")
        shown.add_row(str(lot.organization_id), str(lot.user_id), kind, str(lot.credits), expired)
    if lots:
        screen.print(shown)
    screen.print(f"Entries that would be posted: {len(lots)}, credits: {sum(lot.credits for lot in lots)}")


def _progress(stack: ExitStack) -> Any:
    """A progress bar for each table, on stderr and only on a terminal."""
    if not sys.stderr.isatty():
        return None
    from rich.console import Console
    from rich.progress import Progress

    bars = stack.enter_context(Progress(console=Console(stderr=True), transient=True))
    tasks: dict[str, Any] = {}

    def advance(table: str, done: int, total: int) -> None:
        if table not in tasks:
            tasks[table] = bars.add_task(table, total=total)
        bars.update(tasks[table], completed=done, total=total)

    return advance


def _show(report: Verification) -> None:
    from rayces_core.cli.output import GREEN, RED, console, styled, table

    screen = console()
    shown = table("Organization", "What", "Expected", "Found", "Where")
    for finding in report.discrepancies:
        shown.add_row(
            str(finding.organization_id), finding.kind, finding.expected or "", finding.found or "", finding.place
        )
    if report.discrepancies:
        screen.print(shown)
    summary = f"{report.balances} balances and {report.appointments} appointments: "
    if report.is_clean:
        screen.print(styled(f"{summary}every balance is the sum of its ledger", GREEN))
    else:
        screen.print(styled(f"{summary}{len(report.discrepancies)} discrepancies", RED))

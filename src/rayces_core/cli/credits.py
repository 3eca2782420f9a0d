"""`rayces credits`."""

from __future__ import annotations

import sys
from contextlib import ExitStack
from dataclasses import asdict
from typing import TYPE_CHECKING, Any

import click

from rayces_core.cli.options import Settings, database_options, subdomain_or_id

if TYPE_CHECKING:
    from rayces_core.credits import Verification

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

"""`rayces move tenant | finish | cancel | list`: a tenant goes to another cell."""

from __future__ import annotations

from dataclasses import asdict
from datetime import timedelta
from typing import TYPE_CHECKING

import click

from rayces_core.cli.cells import cells_option, opened

if TYPE_CHECKING:
    from rayces_core.cells import Move

GRACE_MINUTES = 60.0


@click.group()
def move() -> None:
    """Move a tenant with all it has to another cell; see `rayces cells`."""


def _say(what: str) -> None:
    click.echo(what, err=True)


@move.command(epilog="\b\nExamples:\n  rayces move tenant north --to b")
@click.argument("subdomain")
@click.option("--to", required=True, metavar="CELL", help="Where it is to live.")
@click.option("--quiet", "-q", is_flag=True, help="Say nothing of what is being done.")
@cells_option
def tenant(cells_file: str | None, subdomain: str, to: str, quiet: bool) -> None:
    """Move the tenant SUBDOMAIN to another cell; its rows keep their ids.

    It is read all the while. Who writes it is told TenantMovingError until the move is done; other tenants notice
    nothing. Stopped anywhere, it goes on with the same words, and until the catalogue is switched `rayces move cancel`
    leaves the tenant where it is.
    """
    with opened(cells_file) as cells:
        done = cells.move(subdomain, to=to, progress=None if quiet else _say)
    click.echo(
        f"{subdomain} lives in cell {done.target} now, with {done.rows_copied} rows. The old copy is kept until: "
        f"rayces move finish {subdomain}"
    )


@move.command(epilog="\b\nExamples:\n  rayces move finish north\n  rayces move finish north --grace 0")
@click.argument("subdomain")
@click.option(
    "--grace", type=click.FloatRange(min=0), default=GRACE_MINUTES, show_default=True, metavar="MINUTES",
    help="How long ago it has to have been moved.",
)  # fmt: skip
@cells_option
def finish(cells_file: str | None, subdomain: str, grace: float) -> None:
    """Delete the old copy of a tenant that was moved."""
    with opened(cells_file) as cells:
        done = cells.finish_move(subdomain, grace=timedelta(minutes=grace))
    click.echo(f"the copy of {subdomain} in cell {done.source} is gone")


@move.command(epilog="\b\nExamples:\n  rayces move cancel north")
@click.argument("subdomain")
@cells_option
def cancel(cells_file: str | None, subdomain: str) -> None:
    """Leave a tenant where it is, while its move has not come to the switch; it is written again."""
    with opened(cells_file) as cells:
        done = cells.cancel_move(subdomain)
    click.echo(f"{subdomain} stays in cell {done.source}")


@move.command("list", epilog="\b\nExamples:\n  rayces move list\n  rayces move list --all --json")
@click.option("--all", "ended", is_flag=True, help="Also the moves that are over.")
@click.option("--json", "as_json", is_flag=True, help="Print a JSON array instead of a table, with the checksums.")
@cells_option
def list_(cells_file: str | None, ended: bool, as_json: bool) -> None:
    """List the moves that are under way, or whose old copy is still there."""
    with opened(cells_file) as cells:
        moves = cells.moves(ended=ended)
    if as_json:
        from rayces_core.cli.output import print_json

        print_json(asdict(each) for each in moves)
    else:
        _show(moves)


def _show(moves: list[Move]) -> None:
    from rayces_core.cli.output import console, table

    shown = table("Tenant", "From", "To", "Step", "Began", "Rows")
    for each in moves:
        began = f"{each.started_at:%Y-%m-%d %H:%M}"
        shown.add_row(each.subdomain, each.source, each.target, each.step, began, str(each.rows_copied or ""))
    console().print(shown)

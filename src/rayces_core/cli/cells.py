"""`rayces cells migrate | doctor | list | create | rename`: several databases that are one application's."""

from __future__ import annotations

import os
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import asdict
from typing import TYPE_CHECKING, Any, TypeVar

import click

from rayces_core.cli.options import debug_option

if TYPE_CHECKING:
    from rayces_core.cells import CellFindings, CellMigrated, Cells, Placement

FINDINGS = 1
DATABASE = 3
CELLS_VARIABLE = "RAYCES_CELLS"
Command = TypeVar("Command", bound=Callable[..., Any])


def cells_option(command: Command) -> Command:
    """Let a command take the file that lists the cells."""
    option = click.option(
        "--cells",
        "cells_file",
        metavar="FILE",
        type=click.Path(dir_okay=False),
        help=f"TOML file that lists the cells; default: {CELLS_VARIABLE}.",
    )
    return option(debug_option(command))


@contextmanager
def opened(cells_file: str | None) -> Iterator[Cells]:
    """The cells for the block; raises UsageError where no file is named."""
    path = cells_file or os.environ.get(CELLS_VARIABLE, "").strip()
    if not path:
        raise click.UsageError(
            f"no cells are named: set {CELLS_VARIABLE} or give --cells FILE", click.get_current_context()
        )
    from rayces_core.cells import Cells

    with Cells.from_file(path) as found:
        yield found


@click.group()
def cells() -> None:
    """Several databases of one application: bring them up to date, audit them, place tenants."""


@cells.command(epilog="\b\nExamples:\n  rayces cells migrate\n  rayces cells migrate --cells cells.toml")
@cells_option
def migrate(cells_file: str | None) -> int:
    """Bring every cell's schema up to date, and make each database a cell.

    One after the other, in the order of the file; the first that fails ends it. Each gets a range of ids of its own,
    and tenants that it has already are noted in the catalogue.
    """
    from rayces_core.errors import CellError

    with opened(cells_file) as found:
        try:
            results: list[Any] = found.migrate()
        except CellError as error:
            if not error.results:
                raise
            _show_migrated(list[Any](error.results))
            return DATABASE
    _show_migrated(results)
    return 0


def _show_migrated(results: list[CellMigrated]) -> None:
    from rayces_core.cli.output import GREEN, RED, YELLOW, console, styled, table

    shown = table("Cell", "State", "Migrations")
    colours = {"migrated": GREEN, "failed": RED}
    for result in results:
        told = str(result.error) if result.error else f"{len(result.applied)} applied"
        shown.add_row(result.cell, styled(result.state, colours.get(result.state, YELLOW)), told)
    console().print(shown)


@cells.command(epilog="\b\nExamples:\n  rayces cells doctor\n  rayces cells doctor --strict --json")
@click.option("--strict", is_flag=True, help="Exit with 1 for warnings too.")
@click.option("--json", "as_json", is_flag=True, help="Print a JSON array instead of a table.")
@cells_option
def doctor(cells_file: str | None, strict: bool, as_json: bool) -> int:
    """Audit every cell as `rayces doctor` does, and whether ids, catalogue and moves agree.

    The exit code is 1 if there is an error, also where a cell cannot be reached.
    """
    with opened(cells_file) as found:
        results = found.doctor()
    if as_json:
        from rayces_core.cli.output import print_json

        print_json(
            {"cell": each.cell, "error": str(each.error) if each.error else None}
            | {"findings": [asdict(finding) for finding in each.findings]}
            for each in results
        )
    else:
        _show_findings(results)
    return FINDINGS if any(not each.is_well or (strict and each.findings) for each in results) else 0


def _show_findings(results: list[CellFindings]) -> None:
    from rayces_core.cli.output import GREEN, RED, YELLOW, console, styled, table

    shown = table("Cell", "", "Check and object", "What is wrong, and what mends it", lines=True)
    for result in results:
        if result.error is not None:
            shown.add_row(result.cell, styled("error", RED), "", str(result.error))
        for finding in result.findings:
            style = RED if finding.severity == "error" else YELLOW
            what = styled(f"{finding.message}\n", "default").append(finding.remedy, style=GREEN)
            shown.add_row(result.cell, styled(finding.severity, style), f"{finding.check}\n{finding.object}", what)
        if result.error is None and not result.findings:
            shown.add_row(result.cell, styled("well", GREEN), "", "")
    console().print(shown)


@cells.command("list", epilog="\b\nExamples:\n  rayces cells list\n  rayces cells list --json")
@click.option("--json", "as_json", is_flag=True, help="Print a JSON array instead of a table.")
@cells_option
def list_(cells_file: str | None, as_json: bool) -> None:
    """List every tenant with its cell, by subdomain."""
    with opened(cells_file) as found:
        placements = found.placements()
    if as_json:
        from rayces_core.cli.output import print_json

        print_json(asdict(each) for each in placements)
    else:
        _show_placements(placements)


def _show_placements(placements: list[Placement]) -> None:
    from rayces_core.cli.output import console, table

    shown = table("Subdomain", "Id", "Cell", "State")
    for each in placements:
        shown.add_row(each.subdomain, "" if each.id is None else str(each.id), each.cell, each.state)
    console().print(shown)


@cells.command(
    epilog="""\b
Examples:
  rayces cells create "North Clinic" --subdomain north
  rayces cells create "Centro Sur" --subdomain sur --cell b"""
)
@click.argument("name")
@click.option("--subdomain", required=True, help="Its short name, unique over all cells.")
@click.option("--cell", help="Where it lives; default: the cell with the fewest tenants.")
@click.option("--time-zone", metavar="ZONE", help="IANA name; default: America/Argentina/Buenos_Aires.")
@click.option("--currency", metavar="CODE", help="ISO 4217 code of its prices; default: ARS.")
@cells_option
def create(cells_file: str | None, name: str, subdomain: str, cell: str | None, **columns: str | None) -> None:
    """Make an organization called NAME in a cell."""
    given = {column: value for column, value in columns.items() if value is not None}
    with opened(cells_file) as found:
        made = found.create_organization(name, subdomain=subdomain, cell=cell, **given)
        placement = found.placement(subdomain)
    where = placement.cell if placement else ""
    click.echo(f"created organization {made.id}: {made.name} (subdomain {made.subdomain}) in cell {where}")


@cells.command(epilog="\b\nExamples:\n  rayces cells rename north nord")
@click.argument("subdomain")
@click.argument("new")
@cells_option
def rename(cells_file: str | None, subdomain: str, new: str) -> None:
    """Give the tenant SUBDOMAIN the subdomain NEW, which no tenant of any cell may have.

    Stopped half-way it is done again with the same words.
    """
    with opened(cells_file) as found:
        made = found.rename(subdomain, new)
    click.echo(f"organization {made.id} has the subdomain {made.subdomain} now")

"""Looks at all cells: what the doctor finds in each, and whether ranges of ids, catalogue and moves agree."""

from __future__ import annotations

from collections.abc import Iterator, Mapping

from rayces_core.cells import ranges
from rayces_core.cells.catalogue import Catalogue, Written
from rayces_core.cells.connecting import connected, one
from rayces_core.cells.freezing import drops, held_tenants
from rayces_core.cells.marking import check_cell
from rayces_core.cells.placing import differing, organizations
from rayces_core.cells.results import CellFindings
from rayces_core.database.database import Database
from rayces_core.doctor import Finding, audit
from rayces_core.errors import CellError, DatabaseUnreachableError, RaycesError
from rayces_core.models import Organization


def audited(catalogue: Catalogue, databases: Mapping[str, Database[Organization]]) -> list[CellFindings]:
    """A line for each cell."""
    try:
        with catalogue.writing() as written:
            numbers = written.numbers()
            return [_cell(written, name, database, numbers) for name, database in databases.items()]
    except DatabaseUnreachableError as error:
        unknown = CellError(f"nothing of ids, placements and moves was looked at, as the catalogue is away: {error}")
        return [_without_catalogue(name, database, unknown) for name, database in databases.items()]


def _without_catalogue(name: str, database: Database[Organization], unknown: CellError) -> CellFindings:
    try:
        return CellFindings(name, audit(database), unknown)
    except RaycesError as error:
        return CellFindings(name, [], error)


def _cell(written: Written, name: str, database: Database[Organization], numbers: Mapping[str, int]) -> CellFindings:
    try:
        found = audit(database)
        if name not in numbers:
            raise CellError(f"cell {name!r} is not in the catalogue; run `rayces cells migrate`")
        return CellFindings(name, [*found, *_of_cells(written, name, database, numbers[name])])
    except RaycesError as error:
        return CellFindings(name, [], error)


def _of_cells(written: Written, name: str, database: Database[Organization], number: int) -> Iterator[Finding]:
    mend = "rayces cells migrate"
    with connected(database.admin_url) as connection:
        check_cell(connection, name)
        for each in ranges.beyond(connection, number):
            what = f"ids of {each.name} may become another cell's, whose tenants could then not be moved here"
            yield Finding("error", "cell-ids", each.table, what, mend)
        held = held_tenants(connection)
    for organization, there in differing(written, name, organizations(database)):
        what = "the catalogue does not know it" if there is None else f"the catalogue says cell {there.cell!r}"
        yield Finding("error", "cell-catalogue", organization.subdomain, f"an organization here, and {what}", mend)
    yield from _missing(written, name, database)
    for organization_id, tables in held.items():
        if written.move_of(organization_id) is None:
            yield Finding(
                "error",
                "cell-held",
                str(organization_id),
                f"organization {organization_id} cannot be written: no move is under way, but triggers of one are "
                f"left on {len(tables)} tables",
                " ".join(drops(organization_id, table) for table in tables),
            )


def _missing(written: Written, name: str, database: Database[Organization]) -> Iterator[Finding]:
    there = {each.id for each in organizations(database)}
    for placement in written.placements():
        if placement.cell == name and placement.state == "reserved":
            what = "the name is reserved, and its organization was not made or renamed to the end"
            yield Finding(
                "warning", "cell-reserved", placement.subdomain, what, "rayces cells migrate, or make it again"
            )
        elif placement.cell == name and placement.id not in there:
            what = "the catalogue says that it lives here, and there is no such organization"
            yield Finding("error", "cell-catalogue", placement.subdomain, what, "restore the cell, or take the row out")


def identity_of(database: Database[Organization]) -> tuple[str, ...]:
    """What tells a database from every other one, whatever URL leads there."""
    with connected(database.admin_url) as connection:
        found = one(
            connection,
            "SELECT (SELECT oid FROM pg_database WHERE datname = current_database())::text, "
            "pg_postmaster_start_time()::text, current_setting('port')",
        )
        return tuple(map(str, found))

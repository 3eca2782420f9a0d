"""Makes tenants in a cell, renames them, and brings what a cell has and what the catalogue says together.

Rule it guards: a name is reserved in the catalogue before any cell has it. Whoever is stopped in between leaves a
reservation, which the next one who asks for that name completes or takes over.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from typing import Any

from rayces_core.cells.catalogue import Catalogue, Written
from rayces_core.database.database import Database
from rayces_core.errors import CellError, DuplicateError, RaycesError, UnknownTenantError
from rayces_core.errors.base import UNKNOWN
from rayces_core.models import Organization

# Cell → how many tenants it has; gives the name of one.
Rule = Callable[[Mapping[str, int]], str]
Databases = Mapping[str, Database[Organization]]


def fewest(tenants: Mapping[str, int]) -> str:
    """The cell with the fewest tenants, the first one of several."""
    return min(tenants, key=lambda name: tenants[name])


def create(
    catalogue: Catalogue, databases: Databases, name: str, subdomain: str, columns: Mapping[str, Any], choose: Rule
) -> Organization:
    """Make an organization in the cell that `choose` gives; raises as `Cells.create_organization`."""
    with catalogue.held(subdomain) as written:
        _complete(written, databases, subdomain)
        counted = written.counted()
        cell = choose({name: counted.get(name, 0) for name in databases})
        if not isinstance(cell, str) or cell not in databases:
            raise CellError(f"there is no cell {cell!r}; there are {', '.join(databases)}")
        written.reserve(subdomain, cell)
        with _released_if_refused(written, subdomain):
            made = databases[cell].create_organization(name, subdomain=subdomain, **columns)
        written.check_lock()
        written.place(subdomain, made.id, cell)
        return made


@contextmanager
def _released_if_refused(written: Written, subdomain: str) -> Iterator[None]:
    """Give a reserved name up where the block certainly came to nothing."""
    try:
        yield
    except RaycesError as error:
        if error.outcome != UNKNOWN:
            written.release(subdomain)
        raise


def _complete(written: Written, databases: Databases, subdomain: str) -> None:
    """Finish what was begun for this name; raises DuplicateError where it is a tenant's."""
    there = written.placement(subdomain)
    if there is not None and there.state == "reserved" and there.cell in databases:
        found = organizations(databases[there.cell], subdomain)
        if found:
            _note(written, found[0], there.cell)
            there = written.placement(subdomain)
    if there is not None and there.state != "reserved":
        raise taken(subdomain, there.cell)


def _note(written: Written, found: Organization, cell: str) -> None:
    """Note a tenant that a cell has: one that was made, or one that was renamed."""
    if written.placement(int(found.id)) is None:
        written.place(found.subdomain, found.id, cell)
    else:
        written.rename(found.id, found.subdomain)


def rename(catalogue: Catalogue, databases: Databases, subdomain: str, new: str) -> Organization:
    """Give a tenant another subdomain; raises as `Cells.rename`."""
    with catalogue.held(subdomain, new) as written:
        there = written.placement(subdomain)
        if there is None or there.id is None:
            raise UnknownTenantError(subdomain)
        if there.state == "moving":
            raise CellError(f"{subdomain} is being moved; rename it once that has ended")
        _complete_but(written, databases, new, there.id)
        written.reserve(new, there.cell)
        database = databases[there.cell]
        why = f"organization {subdomain} becomes {new}"
        with _released_if_refused(written, new), database.privileged(reason=why):
            found = Organization.get_by_id(there.id)
            found.subdomain = new
            found.save()
        written.check_lock()
        written.rename(there.id, new)
        return found


def _complete_but(written: Written, databases: Databases, new: str, organization_id: int) -> None:
    """As `_complete`, but for a tenant that has the name in its cell already, since renaming it was stopped."""
    there = written.placement(new)
    is_reserved = there is not None and there.state == "reserved" and there.cell in databases
    found = organizations(databases[there.cell], new) if there is not None and is_reserved else []
    if not any(each.id == organization_id for each in found):
        _complete(written, databases, new)


def taken(subdomain: str, cell: str) -> DuplicateError:
    """The error for a name that a tenant has, in whatever cell."""
    return DuplicateError(
        f"a tenant of cell {cell!r} has the subdomain {subdomain!r} already; choose another",
        constraint="organizations_subdomain_key",
        table="organizations",
        fields=("subdomain",),
    )


def organizations(database: Database[Organization], subdomain: str | None = None) -> list[Organization]:
    """The organizations at home in a cell, or the one of this name; not those of which it has a copy only."""
    with database.privileged(reason="which organizations a cell has"):
        at_home = Organization.moving.is_null() | Organization.moving.in_(["leaving", "opening"])
        query = Organization.select().where(at_home).order_by(Organization.id)
        return list(query if subdomain is None else query.where(Organization.subdomain == subdomain))


def reconcile(written: Written, cell: str, database: Database[Organization]) -> list[str]:
    """Note in the catalogue what a cell has and nobody noted; returns the subdomains.

    Raises:
        CellError: a tenant of another cell has the name.
    """
    noted = []
    for found, there in differing(written, cell, organizations(database)):
        if there is not None and there.state != "reserved":
            raise CellError(
                f"cells {there.cell!r} and {cell!r} both have an organization {found.subdomain!r}, or the catalogue "
                "tells another one's id; give one of them another subdomain in its own database, and run `rayces "
                "cells migrate` again"
            )
        _note(written, found, cell)
        noted.append(found.subdomain)
    return noted


def differing(written: Written, cell: str, found: list[Organization]) -> list[tuple[Organization, Any]]:
    """The organizations of a cell that the catalogue does not say so, each with what has its name there."""
    known = {placement.subdomain: placement for placement in written.placements()}
    return [
        (each, known.get(each.subdomain))
        for each in found
        if (there := known.get(each.subdomain)) is None or there.id != each.id or not _is_in(written, there, cell)
    ]


def _is_in(written: Written, there: Any, cell: str) -> bool:
    """Whether the cell is its home; or the other one of a move, which has the same rows."""
    if there.cell == cell:
        return True
    move = written.move_of(there.subdomain)
    return move is not None and cell in (move.source, move.target)

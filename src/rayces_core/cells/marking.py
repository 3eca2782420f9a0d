"""What makes a database a cell: its name in a table of its own, its range of ids, the function that holds tenants."""

from __future__ import annotations

from psycopg2.extensions import connection as Connection  # noqa: N812 - psycopg2 names its classes in lower case

from rayces_core.cells import ranges
from rayces_core.cells.catalogue import Written
from rayces_core.cells.connecting import one, unit
from rayces_core.cells.schema import CELL
from rayces_core.errors import CellError


def set_up(connection: Connection, cell: str, written: Written, admin_role: str) -> None:
    """Make a migrated database the cell of this name, or what it lacks of being it.

    Raises:
        CellError: it is another cell, its rows have another cell's ids, or a column of ids is too narrow.
    """
    check_cell(connection, cell, may_be_new=True)
    numbers = written.numbers()
    if cell not in numbers:
        marked = _marked(connection)
        number = marked[1] if marked else None
        if number is None or number in numbers.values():
            ids = ranges.ids_there(connection, admin_role)
            number = ranges.number_for(ids, set(numbers.values()), cell)
        written.add_cell(cell, number)
        numbers[cell] = number
    (home,) = one(connection, "SELECT to_regclass('organizations')::text")
    with unit(connection) as cursor:
        cursor.execute("SELECT pg_advisory_xact_lock(hashtextextended('rayces_cells', 0))")
        cursor.execute(CELL.replace("{organizations}", _qualified(connection, home)))
        cursor.execute(
            "INSERT INTO rayces_cells.this (name, number) VALUES (%s, %s) ON CONFLICT (one) DO NOTHING",
            (cell, numbers[cell]),
        )
    ranges.keep_within(connection, numbers[cell])


def check_cell(connection: Connection, cell: str, *, may_be_new: bool = False) -> int:
    """Raise CellError where the database says that it is another cell, or none; gives its number, -1 of a new one."""
    marked = _marked(connection)
    if marked is None and not may_be_new:
        raise CellError(f"the database of cell {cell!r} is not set up as one; run `rayces cells migrate`")
    if marked is not None and marked[0] != cell:
        raise CellError(
            f"the URL of cell {cell!r} leads to the database of cell {marked[0]!r}; put the URLs right. A copy of "
            "another cell's database is no cell"
        )
    return -1 if marked is None else marked[1]


def _marked(connection: Connection) -> tuple[str, int] | None:
    (there,) = one(connection, "SELECT to_regclass('rayces_cells.this') IS NOT NULL")
    found = one(connection, "SELECT name, number FROM rayces_cells.this") if there else None
    return (found[0], found[1]) if found else None


def _qualified(connection: Connection, name: str) -> str:
    (schema,) = one(
        connection,
        "SELECT quote_ident(n.nspname) FROM pg_class c JOIN pg_namespace n ON n.oid = c.relnamespace "
        "WHERE c.oid = %s::regclass",
        (name,),
    )
    return f"{schema}.organizations"

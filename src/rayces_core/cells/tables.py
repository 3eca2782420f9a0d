"""The tables that a tenant has rows in, in one cell: every one, the host's and what archives leave behind as well."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Final

from rayces_core.archive.catalogue import Found, found_tables
from rayces_core.database.database import Database
from rayces_core.errors import MoveError
from rayces_core.migrations.session import quote_identifier
from rayces_core.models import Organization

# How far it is on its way is said of each cell's own row.
OF_THE_MOVE: Final = ("moving", "moving_cell")
MESSAGES: Final = "outbox_messages"


@dataclass(frozen=True, slots=True)
class Moved:
    """A table whose rows of one tenant are moved.

    Attributes:
        name: in messages. sql: its name in SQL. held_by: the column that says whose a row is.
        columns: column → type, of what is copied. ordered: what its rows are put in order by, as SQL.
    """

    name: str
    sql: str
    held_by: str
    columns: dict[str, str]
    ordered: str

    @property
    def listed(self) -> str:
        """Its columns as SQL."""
        return ", ".join(map(quote_identifier, self.columns))

    def rows_of(self, organization_id: int) -> str:
        """The query of the tenant's rows, in an order that is the same everywhere."""
        return (
            f"SELECT {self.listed} FROM {self.sql} WHERE {self.held_by} = {organization_id:d} ORDER BY {self.ordered}"
        )


def moved_tables(database: Database[Organization]) -> list[Moved]:
    """The tables of a cell's tenants, `organizations` first.

    Raises:
        MoveError: privileged work may not read or write one of them.
    """
    with database.privileged(reason="the tables that a tenant is moved with"):
        found = found_tables()
        schema = next((each.schema for each in found if each.is_home), "public")
        types = database.execute_sql(_OF_ORGANIZATIONS).fetchall()
    refused = [
        f"{each.name}.{column.name}"
        for each in found
        for column in each.columns.values()
        if not column.generated and not (column.readable and column.insertable)
    ]
    if refused:
        raise MoveError(
            f"{database.admin_role} may not read or write {', '.join(refused)[:200]}: GRANT SELECT, INSERT, UPDATE, "
            "DELETE on them to it, so that a tenant can be moved with all it has"
        )
    kept = {name: type_ for name, type_ in types if name not in OF_THE_MOVE}
    root = Moved("organizations", f"{quote_identifier(schema)}.organizations", "id", kept, "id")
    return [root, *map(_moved, found)]


_OF_ORGANIZATIONS: Final = """
SELECT attname::text, format_type(atttypid, atttypmod) FROM pg_attribute
 WHERE attrelid = to_regclass('organizations') AND attnum > 0 AND NOT attisdropped AND attgenerated = ''
 ORDER BY attname COLLATE "C"
"""


def _moved(found: Found) -> Moved:
    kept = {column.name: column.type for column in found.columns.values() if not column.generated}
    ordered = [
        quote_identifier(each) if found.columns[each].whole else f'{quote_identifier(each)}::text COLLATE "C"'
        for each in (found.key or tuple(kept))
    ]
    sql = f"{quote_identifier(found.schema)}.{quote_identifier(found.relation)}"
    return Moved(found.name, sql, "organization_id", kept, ", ".join(ordered))


def alike(source: list[Moved], target: list[Moved], cell: str) -> None:
    """Raise MoveError unless both cells have the same tables with the same columns."""
    theirs = {each.name: each.columns for each in target}
    unlike = sorted(
        {each.name for each in source if theirs.get(each.name) != each.columns}
        | (theirs.keys() - {each.name for each in source})
    )
    if unlike:
        raise MoveError(
            f"the tables of cell {cell!r} are not those of the tenant's own ({', '.join(unlike)[:200]}); bring both to "
            "the same migrations with `rayces cells migrate`, and the host's own files as well"
        )

"""The numbers that each cell gives its rows: a range of its own, so that a row keeps its id wherever it is moved.

Rule it guards: no id is given out in two cells. Each has 2^40 of them, and the last cell's end at 2^53, up to where a
program that takes numbers for floating-point ones, as JavaScript does, still tells them apart. Of a cluster of Citus it
holds for organizations alone: other rows get ids of the node that they are on, and are moved nowhere.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from typing import Final

from psycopg2.extensions import connection as Connection  # noqa: N812 - psycopg2 names its classes in lower case

from rayces_core.cells.connecting import rows, unit
from rayces_core.citus import has_citus
from rayces_core.errors import CellError
from rayces_core.migrations.session import quote_identifier
from rayces_core.state_machine.readers import IDS_OF_A_DATABASE

SIZE: Final = IDS_OF_A_DATABASE
MOST_CELLS: Final = 1 << 13
# It refuses to change a sequence on all nodes; the coordinator gives every organization its id.
_THIS_NODE: Final = "SET LOCAL citus.enable_ddl_propagation TO off"

# Identity columns and serials of organizations and, but for Citus, of every table that has rows of theirs.
_COUNTED: Final = """
SELECT n.nspname::text, c.relname::text, a.attname::text, format_type(a.atttypid, -1), s.oid::regclass::text,
       q.seqmin, q.seqmax, q.seqincrement, q.seqcycle
  FROM pg_class root JOIN pg_class c ON root.oid = to_regclass('organizations')
  JOIN pg_namespace n ON n.oid = c.relnamespace
  JOIN pg_attribute a ON a.attrelid = c.oid AND a.attnum > 0 AND NOT a.attisdropped
  JOIN pg_depend d ON d.refclassid = 'pg_class'::regclass AND d.refobjid = c.oid AND d.refobjsubid = a.attnum
       AND d.classid = 'pg_class'::regclass AND d.deptype IN ('a', 'i')
  JOIN pg_class s ON s.oid = d.objid AND s.relkind = 'S' JOIN pg_sequence q ON q.seqrelid = s.oid
 WHERE c.relkind IN ('r', 'p') AND NOT c.relispartition AND n.nspname NOT LIKE 'pg\\_%%'
   AND n.nspname NOT LIKE 'rayces\\_%%' AND NOT (c.relnamespace = root.relnamespace AND c.relname LIKE 'rayces\\_%%')
   AND (c.oid = root.oid OR NOT %(has_citus)s AND EXISTS (
        SELECT FROM pg_attribute o WHERE o.attrelid = c.oid AND o.attname = 'organization_id' AND NOT o.attisdropped))
 ORDER BY c.oid <> root.oid, n.nspname, c.relname, a.attnum
"""


@dataclass(frozen=True, slots=True)
class Counted:
    """A column that a sequence counts, and the sequence."""

    schema: str
    relation: str
    column: str
    type: str
    sequence: str
    lowest: int
    highest: int
    increment: int
    cycles: bool

    @property
    def table(self) -> str:
        """Its table's name in SQL."""
        return f"{quote_identifier(self.schema)}.{quote_identifier(self.relation)}"

    @property
    def name(self) -> str:
        """What it is called in a message."""
        return f"{self.relation}.{self.column}"

    def is_within(self, number: int) -> bool:
        """Whether it gives numbers of that cell alone."""
        return (self.lowest, self.highest) == range_of(number) and self.increment == 1 and not self.cycles


def range_of(number: int) -> tuple[int, int]:
    """The lowest and the highest id of the cell of this number, which counts from 0."""
    return number * SIZE + 1, (number + 1) * SIZE


def counted(connection: Connection) -> list[Counted]:
    """The columns that are counted in the database of this connection."""
    return [Counted(*each) for each in rows(connection, _COUNTED, {"has_citus": has_citus(connection)})]


def ids_there(connection: Connection, admin_role: str) -> dict[str, tuple[int, int]]:
    """Table and column → the lowest and the highest id, of those that have rows; reads the tables of all tenants."""
    found = {}
    for each in counted(connection):
        column = quote_identifier(each.column)
        with unit(connection, local=(f"SET LOCAL ROLE {quote_identifier(admin_role)}",)) as cursor:
            cursor.execute(f"SELECT min({column}), max({column}) FROM {each.table}")
            lowest, highest = cursor.fetchone()
        if lowest is not None:
            found[each.name] = (int(lowest), int(highest))
    return found


def number_for(ids: dict[str, tuple[int, int]], taken: set[int], cell: str) -> int:
    """The number of a cell whose rows have these ids: one that nobody has, within whose range they lie.

    Raises:
        CellError: there is none.
    """
    if not ids:
        free = next((number for number in range(MOST_CELLS) if number not in taken), None)
        if free is None:
            raise CellError(f"there are {MOST_CELLS} cells already, and no range of ids is left")
        return free
    number = (min(lowest for lowest, _ in ids.values()) - 1) // SIZE
    low, high = range_of(number)
    beyond = {name: pair for name, pair in ids.items() if not low <= pair[0] <= pair[1] <= high}
    if beyond or number in taken or not 0 <= number < MOST_CELLS:
        which = ", ".join(f"{name} {least} to {most}" for name, (least, most) in (beyond or ids).items())
        raise CellError(
            f"cell {cell!r} has rows already, whose ids are or may become another cell's ({which[:200]}). Give this "
            "cell a new database, and bring each of its tenants in there with `rayces export tenant` and `rayces "
            "import tenant`, which make new ids"
        )
    return number


def keep_within(connection: Connection, number: int) -> list[str]:
    """Have every sequence give ids of the cell's range alone; returns the columns that were changed.

    Raises:
        CellError: a column is too narrow for the ids of another cell's rows.
    """
    low, high = range_of(number)
    local = ("SET LOCAL lock_timeout TO '5s'", *((_THIS_NODE,) if has_citus(connection) else ()))
    changed = [each for each in counted(connection) if not each.is_within(number)]
    narrow = [each for each in changed if each.type != "bigint"]
    if narrow:
        mend = "; ".join(f"ALTER TABLE {e.table} ALTER COLUMN {quote_identifier(e.column)} TYPE bigint" for e in narrow)
        raise CellError(f"{', '.join(each.name for each in narrow)}: ids of moved tenants do not fit; {mend};")
    for each in changed:
        with unit(connection, local=local) as cursor:
            cursor.execute(f"SELECT last_value FROM {each.sequence}")
            stays = low <= cursor.fetchone()[0] <= high
            restart = "" if stays else f" RESTART WITH {low}"
            cursor.execute(
                f"ALTER SEQUENCE {each.sequence} AS bigint INCREMENT BY 1 MINVALUE {low} MAXVALUE {high} "
                f"START WITH {low} NO CYCLE{restart}"
            )
    return [each.name for each in changed]


def beyond(connection: Connection, number: int) -> Iterator[Counted]:
    """The columns whose sequences may give another cell's ids."""
    yield from (each for each in counted(connection) if not each.is_within(number) or each.type != "bigint")

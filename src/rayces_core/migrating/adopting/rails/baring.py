"""Tables without their indexes and foreign keys for as long as rows are copied into them.

Built at the end, an index is sorted once and a foreign key is one join; kept meanwhile, both are looked at for each
row, which took two thirds of the time that writers wait for. Rule it guards: what comes back is what the catalogue
showed before, word for word, and every row has met it.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass

from rayces_core.migrations.session import MigrationDatabase

# Foreign keys first, as they need the keys that they refer to, also those of other tables; primary keys stay, for rows
# that come sorted by them.
_CONSTRAINTS = """
SELECT format('ALTER TABLE %%I.%%I DROP CONSTRAINT %%I', n.nspname, c.relname, k.conname),
       format('ALTER TABLE %%I.%%I ADD CONSTRAINT %%I %%s', n.nspname, c.relname, k.conname,
              pg_get_constraintdef(k.oid))
  FROM pg_constraint k JOIN pg_class c ON c.oid = k.conrelid JOIN pg_namespace n ON n.oid = c.relnamespace
 WHERE c.relnamespace = %(schema)s::regnamespace AND k.contype IN ('f', 'u', 'x') AND k.conparentid = 0
   AND (c.relname = ANY (%(tables)s) OR k.contype = 'f' AND EXISTS (
        SELECT FROM pg_index i JOIN pg_class of ON of.oid = i.indrelid
         WHERE i.indexrelid = k.conindid AND NOT i.indisprimary AND of.relname = ANY (%(tables)s)))
 ORDER BY k.contype <> 'f', c.relname, k.conname
"""
_INDEXES = """
SELECT format('DROP INDEX %%s', i.indexrelid::regclass), pg_get_indexdef(i.indexrelid)
  FROM pg_index i JOIN pg_class c ON c.oid = i.indrelid
 WHERE c.relnamespace = %(schema)s::regnamespace AND c.relname = ANY (%(tables)s)
   AND NOT EXISTS (SELECT FROM pg_constraint k WHERE k.conindid = i.indexrelid AND k.contype IN ('p', 'u', 'x'))
 ORDER BY c.relname, i.indexrelid::regclass::text
"""


@dataclass(frozen=True, slots=True)
class Bared:
    """What was taken away: each a statement that drops it, and one that makes it again."""

    pairs: tuple[tuple[str, str], ...]

    def dropping(self) -> Iterator[str]:
        """The statements that take it away, in an order that works."""
        yield from (drop for drop, _ in self.pairs)

    def making(self) -> Iterator[str]:
        """The statements that make it again, the other way round."""
        yield from (make for _, make in reversed(self.pairs))


def bare(database: MigrationDatabase, schema: str, tables: Sequence[str]) -> Bared:
    """What those tables of a schema (as SQL) have besides their primary keys."""
    values = {"schema": schema, "tables": list(tables)}
    return Bared(tuple(pair for sql in (_CONSTRAINTS, _INDEXES) for pair in database.execute_sql(sql, values)))

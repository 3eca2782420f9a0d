"""A likeness of a rayces Rails database: its tables and what moves aside with them, with rows that are made up.

All made-up rows are one organization's, so that most of them fit together and are copied, as most real ones are.
"""

from __future__ import annotations

from rayces_core.migrating.adopting.likeness import LikeColumn, Likeness, sample_of
from rayces_core.migrating.adopting.rails.old import TABLES
from rayces_core.migrating.adopting.rails.recognition import aside
from rayces_core.migrations.session import MigrationDatabase, quote_identifier

# Nine tables in a rehearsal of a few seconds.
SAMPLE_ROWS = 1_000

_VIEWS = """
SELECT c.relname::text, c.relkind::text, pg_get_viewdef(c.oid)
  FROM pg_class c WHERE c.relname = ANY (%s) AND c.relkind IN ('v', 'm')
   AND c.relnamespace = quote_ident(current_schema())::regnamespace ORDER BY c.oid
"""
_ENUMS = """
SELECT DISTINCT format_type(t.oid, NULL),
       array(SELECT quote_literal(e.enumlabel) FROM pg_enum e WHERE e.enumtypid = t.oid ORDER BY e.enumsortorder)
  FROM pg_attribute a JOIN pg_class c ON c.oid = a.attrelid JOIN pg_type t ON t.oid = a.atttypid
 WHERE c.relname = ANY (%s) AND c.relnamespace = quote_ident(current_schema())::regnamespace
   AND a.attnum > 0 AND NOT a.attisdropped AND t.typtype = 'e'
"""
# A sequence that no column owns stays so.
_FREE_SEQUENCES = """
SELECT c.relname::text FROM pg_class c
 WHERE c.relkind = 'S' AND c.relnamespace = quote_ident(current_schema())::regnamespace
   AND NOT EXISTS (SELECT FROM pg_depend d WHERE d.classid = 'pg_class'::regclass AND d.objid = c.oid
                      AND d.deptype IN ('a', 'i'))
"""
_PARENTS = {
    "user_id": "users",
    "post_id": "posts",
    "professional_id": "users",
    "client_id": "users",
    "student_id": "students",
    "primary_contact_id": "users",
    "credit_balance_id": "credit_balances",
}
_KNOWN = {"state": "'draft'", "transaction_type": "'purchase'", "status": "'completed'", "amount": "1"}


def _in_order(words: dict[str, str]) -> list[str]:
    """Names of the tables that move aside, each after those of ours that it refers to."""
    tables = [name for name, word in words.items() if word == "TABLE"]
    return sorted(tables, key=lambda name: (TABLES.index(name) if name in TABLES else len(TABLES), name))


class RailsLikeness(Likeness):
    """Makes the likeness of one Rails database on another database.

    Args:
        original: the Rails database; it is only read. history_table: of the migrations of this library.

    Attributes:
        growth: table → how many times as many rows it has as its likeness.
    """

    def __init__(self, original: MigrationDatabase, history_table: str) -> None:
        words = aside(original, history_table)
        tables = _in_order(words)
        super().__init__(original, original, tables)
        counts, self.rows = sample_of(original, tables, SAMPLE_ROWS)
        self.growth = {name: max(1.0, counts[name] / max(self.rows[name], 1)) for name in counts}
        self._views = original.execute_sql(_VIEWS, (list(words),)).fetchall()
        self._enums = original.execute_sql(_ENUMS, (tables,)).fetchall()
        self._free = [name for (name,) in original.execute_sql(_FREE_SEQUENCES).fetchall()]

    def make_on(self, copy: MigrationDatabase) -> None:
        """Make it in an empty database with the same current schema."""
        self.copy = copy
        for name, labels in self._enums:
            self._tried(f"CREATE TYPE {name} AS ENUM ({', '.join(labels)})")
        for name in self._free:
            self._tried(f"CREATE SEQUENCE {quote_identifier(name)}")
        self.make(self.rows)
        for name, kind, text in self._views:
            word = "MATERIALIZED VIEW" if kind == "m" else "VIEW"
            self._tried(f"CREATE {word} {quote_identifier(name)} AS {text}")

    def _value(self, column: LikeColumn, rows: dict[str, int]) -> str | None:  # type: ignore[override]
        if column.name == "organization_id":
            return "(SELECT min(id) FROM organizations)"
        parent = _PARENTS.get(column.name)
        if parent in self.tables:
            shift = "g" if column.name != "post_id" else f"(g / {max(rows['users'], 1):d} + g)"
            return f"(SELECT array_agg(id ORDER BY id) FROM {parent})[1 + {shift} % {max(rows[parent], 1):d}]"
        if column.name in _KNOWN and column.table in TABLES:
            return _KNOWN[column.name]
        if column.default is not None and not column.is_unique:
            return None
        return super()._value(column, rows)

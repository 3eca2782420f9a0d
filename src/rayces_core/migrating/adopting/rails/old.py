"""The old application's tables as they are, and how a column of theirs becomes one of ours.

Rule it guards: a value is taken as what it is or not at all; a column whose type cannot become ours is a finding, and
one that this library has no use for is carried along as it is.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass, field

from rayces_core.errors import MigrationError
from rayces_core.migrations.addresses import normal_address
from rayces_core.migrations.session import MigrationDatabase, quote_identifier

# In the order in which rows are copied: what refers comes after what it refers to.
TABLES = (
    "organizations",
    "users",
    "posts",
    "likes",
    "professionals",
    "students",
    "appointments",
    "credit_balances",
    "credit_transactions",
)
# Columns of ours that are derived anew; one of theirs of that name stays in the old table alone.
DERIVED = {
    "users": ("external_id", "muted_channels", "merged_into_id", "merged_at", "erased_at", "language"),
    "professionals": ("external_id", "dated_schedules", "date_overrides", "buffer_before_minutes"),
    "students": ("external_id", "on_leave_until", "erased_at"),
    "appointments": (
        *("buffer_minutes", "occupied_until", "expires_at", "credits_used", "idempotency_key", "request_fingerprint"),
        *("allows_overlap", "price_cents", "currency", "external_id"),
        *("service_id", "buffer_before_minutes", "occupied_from"),
        *("group_session_id", "seat", "seats", "series_id", "occurrence_at", "credit_kind_id"),
        *("second_professional_id", "room_id", "device_id", "slot_request_id", "reserved_credits"),
    ),
    "credit_balances": (
        *("balance", "last_sequence", "lifetime_purchased", "lifetime_used"),
        *("credit_kind_id", "credit_kind_key", "in_lots", "reserved"),
    ),
    "credit_transactions": (
        *("balance_before", "balance_after", "sequence", "previous_sequence", "refundable_before", "refundable_after"),
        *("payment_attempt", "amount_cents", "currency", "idempotency_key", "created_by_id", "reason"),
        *("credit_kind_id", "credit_kind_key", "credit_package_id", "package_name", "valid_days", "valid_until"),
        *("takes_back_balance_id", "takes_back_sequence"),
    ),
}
_COLUMNS = """
SELECT c.relname::text, a.attname::text, format_type(a.atttypid, NULL), format_type(a.atttypid, a.atttypmod),
       pg_get_expr(d.adbin, d.adrelid)
  FROM pg_class c JOIN pg_attribute a ON a.attrelid = c.oid
  LEFT JOIN pg_attrdef d ON d.adrelid = c.oid AND d.adnum = a.attnum
 WHERE c.relkind = 'r' AND c.relname = ANY (%s) AND c.relnamespace = %s::regnamespace
   AND a.attnum > 0 AND NOT a.attisdropped
 ORDER BY c.relname, a.attnum
"""
_TEXTS = ("text", "character varying", "character", "citext")
_NUMBERS = ("smallint", "integer", "bigint")
# Ours → the types of theirs that can become it, each with how.
_WAYS: dict[str, dict[str, str]] = {
    "text": dict.fromkeys((*_TEXTS, *_NUMBERS, "uuid", "inet", "numeric", "date"), "{0}::text"),
    "bigint": dict.fromkeys(_NUMBERS, "{0}::bigint"),
    "numeric": dict.fromkeys((*_NUMBERS, "numeric"), "{0}::numeric"),
    "boolean": {"boolean": "{0}"},
    "date": {"date": "{0}", "timestamp without time zone": "{0}::date"},
    "jsonb": {"jsonb": "{0}", "json": "{0}::jsonb"} | dict.fromkeys(_TEXTS, "pg_temp.rayces_json({0}::text)"),
    # Rails writes UTC.
    "moment": {
        "timestamp without time zone": "{0} AT TIME ZONE 'UTC'",
        "timestamp with time zone": "{0}",
        "date": "{0}::timestamp AT TIME ZONE 'UTC'",
    },
}
_NULLS = {"moment": "timestamptz"}


@dataclass(frozen=True, slots=True)
class OldColumn:
    """A column of the old application's: `kind` is its type, `type` the same with its length."""

    kind: str
    type: str
    default: str | None


@dataclass
class Old:
    """The old application's tables in one schema.

    Attributes:
        schema: its name, quoted.
        columns: table → column → what it is.
        normal_form: of an address, as SQL around {0}.
        unlike: (table, column, type) of the columns that were asked for and whose type cannot become ours.
        used: (table, column) of those that were asked for.
    """

    schema: str
    columns: dict[str, dict[str, OldColumn]]
    normal_form: str
    unlike: set[tuple[str, str, str]] = field(default_factory=set)
    used: set[tuple[str, str]] = field(default_factory=set)

    def normal(self, address: str) -> str:
        """The expression for an address in its normal form."""
        return self.normal_form.replace("{0}", address)

    def has(self, table: str, name: str) -> bool:
        """Whether the table is there and has the column."""
        return name in self.columns.get(table, {})

    def path(self, table: str) -> str:
        """The table as SQL."""
        return f"{self.schema}.{quote_identifier(table)}"

    def take(self, table: str, name: str, kind: str = "text") -> str:
        """The expression for a column of row `o`; NULL where it is missing."""
        if not self.has(table, name):
            return f"NULL::{_NULLS.get(kind, kind)}"
        self.used.add((table, name))
        return self._taken(table, name, kind)

    def also(self, table: str, name: str, kind: str = "text") -> str:
        """The same of a column that has another name with us; it is taken along besides."""
        return self._taken(table, name, kind) if self.has(table, name) else f"NULL::{_NULLS.get(kind, kind)}"

    def _taken(self, table: str, name: str, kind: str) -> str:
        column = self.columns[table][name]
        way = _WAYS[kind].get(column.kind)
        if way is None:
            self.unlike.add((table, name, column.type))
            return f"NULL::{_NULLS.get(kind, kind)}"
        return f"({way.format('o.' + quote_identifier(name))})"

    def source(self, table: str) -> str:
        """What follows FROM: the table as `o`, or no row where there is no such table."""
        if table in self.columns:
            return f"{self.path(table)} AS o"
        return "(SELECT NULL::bigint AS id WHERE false) AS o"

    def carried(self, table: str) -> Iterator[tuple[str, OldColumn]]:
        """The columns that this library has no use for, and takes along."""
        for name, column in self.columns.get(table, {}).items():
            if name != "id" and (table, name) not in self.used and name not in DERIVED.get(table, ()):
                yield name, column


def small(text: str) -> str:
    """The expression for a word in small letters; what a Turkish database makes of INFO is none of this library's."""
    return f'(lower(btrim({text}) COLLATE "C") COLLATE "default")'


def capital(text: str) -> str:
    """The same in capitals."""
    return f'(upper(btrim({text}) COLLATE "C") COLLATE "default")'


def read(database: MigrationDatabase, schema: str) -> Old:
    """The tables as the catalogue shows them; raises MigrationError where there are none."""
    quoted = quote_identifier(schema)
    columns: dict[str, dict[str, OldColumn]] = {}
    for table, name, kind, full, default in database.execute_sql(_COLUMNS, (list(TABLES), quoted)).fetchall():
        columns.setdefault(table, {})[name] = OldColumn(kind, full, default)
    if not columns:
        raise MigrationError(f"schema {schema} has none of the tables of a Rails application of rayces")
    return Old(quoted, columns, normal_address(database, "{0}"))

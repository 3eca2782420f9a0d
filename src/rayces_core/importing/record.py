"""Record: what an import has to know about one kind of row, mostly as SQL over the staged rows.

Rule it guards: the staged rows are compared with the database by sets, never one by one, and every statement names the
tenant, whatever row-level security adds.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from datetime import date, datetime, timedelta
from typing import Any

import peewee

from rayces_core.importing import values
from rayces_core.importing.columns import Column, Reading
from rayces_core.importing.ways import Way, made_by

# (column, what is wrong, what to do) of a row whose values are right one by one; and the moment of the check.
Fault = tuple[str, str, str]
Rules = Callable[[Mapping[str, Any], datetime], Iterable[Fault]]


def no_rules(_: Mapping[str, Any], __: datetime) -> Iterable[Fault]:
    """Nothing that a single value does not tell."""
    return ()


@dataclass(frozen=True)
class Record:
    """One record type.

    Attributes:
        name: what it is called, in the plural. model: whose rows they become.
        columns: what a source may have. also: columns that only make others, in no template; ways: how they do.
        fields: column → the model's field, whose rules each value is held to.
        types: column → its PostgreSQL type in the staging table. rules: what values say about each other.
        resolved: name → type of the table that is written from: references are ids there.
        spreading: follows when the rows are staged, where one may become several that go in together or not at all;
            what it says is a note of the report.
        resolving: SELECT that fills it from `staged`, without what `matching` fills in.
        matching: join condition of a row `r` of `resolved` and a row `t` of the table that it is the same as.
        same_key: expressions over `r` that make two rows of a source the same. key: the columns that say so.
        called: whether `r`, whose id is that of `t`, is called as `t` is; default: `matching`. name_of: what people
            call a row `t`. renaming: name in `resolved` → (column, expression over `t`) of what it is called by and an
            update may correct. unique: expressions over `r` that the table has once.
        compared: name in `resolved` → (column that it came from, expression over `t` it is compared with).
        fixed: columns that an update leaves alone; why_fixed says why.
        checks: statements that note faults. inserting: writes the new rows, with their journal.
        preparing: statements that make what the rows refer to and is not there, before they are written.
        updating: names in `resolved` that an update writes; empty where there is no update. emptied: name in
            `resolved` → what the table has where nothing is said, for the columns that may be emptied.
        locking: locks what the rows are about. clearing: takes out of the way what is over, given the staging.
        table_sql: the table where its name has to be quoted or has a schema.
        conflicts: each notes faults with rows of the table. unguarded: those of them that no rule of the database sees,
            asked of each batch. among_themselves: notes what rows of the source do to each
            other, given the staging; it is asked last, when it is known which rows are left out.
        after_commit: follows when all rows are written; what it says is a note of the report.
    """

    name: str
    model: type[peewee.Model]
    columns: tuple[Column, ...]
    types: Mapping[str, str]
    resolved: Mapping[str, str]
    resolving: str
    matching: str
    same_key: str
    key: str
    inserting: str
    also: tuple[Column, ...] = ()
    ways: tuple[Way, ...] = ()
    fields: Mapping[str, peewee.Field] = field(default_factory=dict)
    compared: Mapping[str, tuple[str, str]] = field(default_factory=dict)
    rules: Rules = no_rules
    checks: tuple[str, ...] = ()
    spreading: Callable[[Any], str | None] | None = None
    updating: Mapping[str, str] = field(default_factory=dict)
    emptied: Mapping[str, str] = field(default_factory=dict)
    renaming: Mapping[str, tuple[str, str]] = field(default_factory=dict)
    called: str = ""
    name_of: str = "''"
    unique: str = ""
    fixed: tuple[str, ...] = ()
    why_fixed: str = ""
    preparing: Sequence[str] = ()
    locking: str = ""
    clearing: Callable[[Any], None] | None = None
    conflicts: Sequence[str] = ()
    unguarded: Sequence[str] = ()
    among_themselves: Callable[[Any], None] | None = None
    writer: Callable[[dict[str, Any]], None] | None = None
    after_commit: Callable[[], str | None] | None = None
    table_sql: str = ""

    @property
    def table(self) -> str:
        """The table that the rows go to, as SQL."""
        return self.table_sql or str(self.model._meta.table_name)

    @property
    def owner(self) -> str:
        """The column of the table that says whose a row is."""
        return "id" if self.table == "organizations" else "organization_id"

    @property
    def singular(self) -> str:
        """What one of them is called."""
        return self.name.removesuffix("s")

    @property
    def readable(self) -> tuple[Column, ...]:
        """All columns that a source may have."""
        return (*self.columns, *self.also)

    def needs(self, column: Column) -> bool:
        """Whether a row without a value in this column is refused."""
        required = {each.name for each in self.columns if each.required}
        return column.required or not required.isdisjoint(made_by(column.name, self.ways))

    @property
    def column_names(self) -> tuple[str, ...]:
        """Names of the columns, in the order of the staging table."""
        return tuple(column.name for column in self.columns)


def begun(day: date, now: datetime) -> bool:
    """Whether a day has begun anywhere by that moment, so that something may have happened on it."""
    return day <= now.date() or day <= (now + timedelta(hours=14)).date()  # UTC+14 is the first to have it


def currency(value: Any, reading: Reading) -> str:
    """Read a currency code in any case."""
    return values.text(value, reading).upper()


def fault(column: str, value: str, problem: str, advice: str, source: str) -> str:
    """A statement that notes a fault for each row that `source` (FROM … WHERE …) gives, known there as `r`.

    `value`, `problem` and `advice` are SQL expressions.
    """
    # The tables of an import are temporary, so "column" may be called that.
    return f"INSERT INTO faults SELECT r.row, '{column}', left(({value})::text, 80), {problem}, {advice} {source}"


def missing(column: str, joined: str, problem: str, advice: str) -> str:
    """A statement that notes a fault for each row whose reference leads nowhere.

    `joined` is the name in `resolved` that stayed empty, `problem` and `advice` are plain texts.
    """
    source = f"FROM resolved AS r JOIN staged AS s ON s.row = r.row WHERE s.{column} IS NOT NULL AND r.{joined} IS NULL"
    return fault(column, f"s.{column}", quoted(problem), quoted(advice), source)


def no_user(column: str, joined: str) -> str:
    """A statement that notes the rows whose e-mail address in `column` is nobody's here."""
    return missing(
        column, joined, "no user of this organization has this e-mail address", "correct it, or import the users first"
    )


def user(column: str, alias: str) -> str:
    """A join that finds the user of the bound organization by the e-mail address in a staged column."""
    return f"LEFT JOIN users AS {alias} ON {alias}.organization_id = %(tenant)s AND {alias}.email = s.{column}"


def folded(*texts: str) -> str:
    """An expression that is equal for names which differ in case, accents or blanks only."""
    joined = " || chr(31) || ".join(f"btrim(coalesce({text}, ''))" for text in texts)
    bare = rf"regexp_replace(normalize({joined}, NFD), '[\u0300-\u036f]+', '', 'g')"
    return rf"lower(regexp_replace({bare}, '\s+', ' ', 'g'))"


def quoted(text: str) -> str:
    """A text as an SQL literal; a % is doubled for psycopg2."""
    return "'" + text.replace("'", "''").replace("%", "%%") + "'"

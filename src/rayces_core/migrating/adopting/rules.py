"""Rules of MyHub's own on its tables that would refuse a row of this library's: CHECK, EXCLUDE, foreign keys, UNIQUE.

Rule it guards: a rule is only asked about when it can refuse a write. CHECKs are tried by the server on rows such as
this library writes, which are written nowhere.
"""

from __future__ import annotations

import re
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass

import peewee

from rayces_core.migrating.adopting.columns import ALWAYS, VARYING, is_ours
from rayces_core.migrating.adopting.finding import Finding, choice
from rayces_core.migrating.adopting.record import TIMESTAMPS, Column, columns
from rayces_core.migrating.myhub import TABLES
from rayces_core.migrations.session import MigrationDatabase, quote_identifier

_NAMESPACE = "quote_ident(current_schema())::regnamespace"
_CONSTRAINTS = f"""
SELECT c.relname::text, k.conname::text, pg_get_constraintdef(k.oid), k.contype::text,
       pg_get_expr(k.conbin, k.conrelid), k.confrelid::regclass::text,
       array(SELECT a.attname::text FROM pg_attribute a
              WHERE a.attrelid = k.conrelid AND a.attnum = ANY (k.conkey) ORDER BY 1)
  FROM pg_constraint k JOIN pg_class c ON c.oid = k.conrelid
 WHERE c.relname = ANY (%s) AND c.relnamespace = {_NAMESPACE} AND k.contype IN ('c', 'x', 'f') AND k.conparentid = 0
 ORDER BY 1, 2
"""
_UNIQUE = f"""
SELECT t.relname::text, x.relname::text, pg_get_indexdef(i.indexrelid), pg_get_constraintdef(k.oid),
       array(SELECT DISTINCT a.attname::text FROM pg_depend d
               JOIN pg_attribute a ON a.attrelid = d.refobjid AND a.attnum = d.refobjsubid
              WHERE d.classid = 'pg_class'::regclass AND d.objid = i.indexrelid AND d.refobjid = i.indrelid
                AND i.indexprs IS NOT NULL
              UNION SELECT a.attname::text FROM pg_attribute a
              WHERE a.attrelid = i.indrelid AND a.attnum = ANY ((i.indkey::int2[])[0:i.indnkeyatts - 1])),
       i.indnullsnotdistinct,
       coalesce((SELECT string_agg(DISTINCT r.conrelid::regclass || '.' || r.conname, ', ') FROM pg_constraint r
                  WHERE r.contype = 'f' AND r.conindid = i.indexrelid), '')
  FROM pg_index i JOIN pg_class t ON t.oid = i.indrelid JOIN pg_class x ON x.oid = i.indexrelid
  LEFT JOIN pg_constraint k ON k.conindid = i.indexrelid AND k.contype = 'u'
 WHERE t.relname = ANY (%s) AND t.relnamespace = {_NAMESPACE} AND i.indisunique AND NOT i.indisprimary
 ORDER BY 1, 2
"""
# Functions that read or write tables, as far as their text tells; what stands in quotes is none of it.
_TRIGGERS = rf"""
SELECT t.relname::text, g.tgname::text, f.oid::regprocedure::text
  FROM pg_trigger g JOIN pg_class t ON t.oid = g.tgrelid JOIN pg_proc f ON f.oid = g.tgfoid
 WHERE t.relname = ANY (%s) AND t.relnamespace = {_NAMESPACE} AND NOT g.tgisinternal AND g.tgenabled IN ('O', 'A')
   AND NOT f.prosecdef AND NOT starts_with(g.tgname::text, 'rayces_')
   AND regexp_replace(f.prosrc, '''[^'']*''', '', 'g') ~* '\m(insert|update|delete|merge|select|perform|execute)\M'
 ORDER BY 1, 2
"""
_LONG = "repeat('0123456789 ', 1000)"
# Rows of which every one can be written by the library; what it does not name is left to its default.
_SAMPLES: tuple[dict[str, str], ...] = (
    {"email": "'a@b'"},
    {"email": f"left({_LONG}, 300) || '@example.org'", "content": _LONG, "uid": _LONG, "provider": "'google'"},
    {"email": "'ana.paz@example.org'", "content": "''", "uid": "''", "provider": "''", "first_name": "'Ana'"},
    {"email": "'ana.paz@example.org'", "content": "'hello'", "uid": "'7a'", "provider": "'github'", "phone": "'+54 9'"},
)
_MOMENTS = dict.fromkeys(TIMESTAMPS, "now()") | dict.fromkeys(("id", "user_id", "post_id"), "5000000000")


@dataclass(frozen=True, slots=True)
class Unique:
    """A unique index of MyHub's over all organizations.

    Attributes:
        constraint: its definition where it is one. constants: columns whose default rows of this library would repeat.
        is_shared: whether rows of this library could run into it, defaults or not.
        referred: foreign keys that need it.
    """

    table: str
    name: str
    definition: str
    constraint: str | None
    constants: tuple[str, ...]
    is_shared: bool
    referred: str

    @property
    def narrowed(self) -> str:
        """The definition of the index that takes its place: unique within an organization."""
        return re.sub(r"( USING \w+ \()", r"\1organization_id, ", self.definition, count=1)


def strict_rules(database: MigrationDatabase) -> list[tuple[str, str, str]]:
    """(table, name, definition) of the constraints that can refuse a row of this library's."""
    found = {table: [each for each in columns(database) if each.table == table] for table in TABLES}
    rows = database.execute_sql(_CONSTRAINTS, (list(TABLES),)).fetchall()
    return [
        (table, name, definition)
        for table, name, definition, kind, expression, target, names in rows
        if (
            any(_is_refused(database, table, found[table], expression, sample) for sample in _SAMPLES)
            if kind == "c"
            else _hits(kind, target, [each for each in found[table] if each.name in names])
        )
    ]


def _hits(kind: str, target: str, used: list[Column]) -> bool:
    """Whether what the library writes into these columns may break an EXCLUDE or a foreign key."""
    if kind == "x":
        return all(is_ours(column) or column.fills_itself for column in used)
    targets = {"user_id": "users", "post_id": "posts"}
    return any(is_ours(column) and targets.get(column.name) != target for column in used)


def _is_refused(
    database: MigrationDatabase, table: str, found: list[Column], expression: str, sample: Mapping[str, str]
) -> bool:
    values = ", ".join(f"{_value(column, sample)} AS {quote_identifier(column.name)}" for column in found)
    try:
        with database.atomic():
            return database.one(f"SELECT ({expression}) IS FALSE FROM (SELECT {values}) AS {table}") is not False
    except peewee.PeeweeException:
        return True  # an error refuses the row as well


def _value(column: Column, sample: Mapping[str, str]) -> str:
    if column.name in _MOMENTS:
        value = _MOMENTS[column.name] if column.base not in ("integer", "smallint") else "1"
    elif is_ours(column) and column.name in sample:
        value = sample[column.name]
    elif column.fills_itself and not column.is_volatile and not column.identity and not column.is_generated:
        value = str(column.default)
    else:
        value = "NULL"
    kind = "text" if column.base in (VARYING, "character") else column.base if column.is_domain else column.type
    return f"({value})::{kind}"  # a cast to varchar(10) would cut


def unique_indexes(database: MigrationDatabase) -> list[Unique]:
    """The unique indexes without organization_id, whether rows of this library could run into them or not."""
    there = {(column.table, column.name): column for column in columns(database)}
    found = []
    for table, name, definition, constraint, names, alike, referred in database.execute_sql(_UNIQUE, (list(TABLES),)):
        if "organization_id" in names:
            continue
        used = [there[table, each] for each in names]
        with_ours = "id" in names or (table == "likes" and {"user_id", "post_id"} <= set(names))
        if with_ours or any(_differs(column, alike=alike) for column in used):
            used = []
        constants = tuple(column.name for column in used if column.name not in ALWAYS and _is_constant(column))
        shared = bool(used) and all(is_ours(column) for column in used)
        found.append(Unique(table, name, definition, constraint, constants, shared, referred))
    return found


def stored(found: Sequence[Unique]) -> list[list[str | None]]:
    """Unique indexes as the record keeps them."""
    return [
        [
            each.table,
            each.name,
            each.definition,
            each.constraint,
            ",".join(each.constants),
            "" if each.referred else each.narrowed,
            "shared" if each.is_shared else "",
        ]
        for each in found
    ]


def unique_columns(database: MigrationDatabase) -> list[list[str]]:
    """[table, column] of what is part of a unique index."""
    rows = database.execute_sql(_UNIQUE, (list(TABLES),)).fetchall()
    return [[row[0], name] for row in rows for name in row[4]]


def _differs(column: Column, *, alike: bool) -> bool:
    """Whether two rows of this library that say nothing of the column are told apart by it."""
    if is_ours(column):
        return False
    if column.fills_itself:
        return column.is_volatile or bool(column.identity)
    return not alike  # NULL is like no other


def _is_constant(column: Column) -> bool:
    return column.fills_itself and not column.is_volatile and not column.identity and not column.is_generated


def findings(database: MigrationDatabase) -> list[Finding]:
    """The rules in the way, and the triggers that are to be known of."""
    return [*_rules(database), *_unique(database), *_triggers(database)]


def _rules(database: MigrationDatabase) -> Iterator[Finding]:
    strict = strict_rules(database)
    if strict:
        yield choice(
            "rules",
            "; ".join(f"{name} of {table}: {definition}" for table, name, definition in strict),
            "drop: they go, for MyHub too, and --undo makes them again; keep: a row of this library that breaks one is "
            "refused",
            count=len(strict),
        )


def _unique(database: MigrationDatabase) -> Iterator[Finding]:
    found = unique_indexes(database)
    constants = [f"{each.table}.{name} ({each.name})" for each in found for name in each.constants]
    if constants:
        yield choice(
            "defaults",
            f"{', '.join(constants)} must be unique and has a default, which a second row of this library would repeat",
            "drop: the default goes, and where a row says nothing there is nothing, in MyHub's rows too",
            count=len(constants),
        )
    shared = [each for each in found if each.is_shared]
    for each in shared:
        if each.referred:
            yield Finding(
                "unique-indexes",
                "refusal",
                f"{each.name} of {each.table} is unique for all organizations together; {each.referred} refers to it",
                "drop that foreign key first: MyHub does without it until --finish, and longer",
            )
    shared = [each for each in shared if not each.referred]
    if shared:
        yield choice(
            "unique-indexes",
            f"{', '.join(f'{each.name} of {each.table}' for each in shared)}: unique for all organizations together",
            "per-organization: indexes that begin with organization_id take their place at the end of the adoption, "
            "where ON CONFLICT of MyHub no longer finds them; at-finish: they do so with --finish, and until then a "
            "second organization cannot have what the first one has",
            count=len(shared),
        )


def _triggers(database: MigrationDatabase) -> Iterator[Finding]:
    for table, name, function in database.execute_sql(_TRIGGERS, (list(TABLES),)).fetchall():
        yield Finding(
            "triggers",
            "note",
            f"{name} of {table} runs {function} on rows of this library's too, as {database.app_role}",
            f"what it touches beside users, posts and likes has to be granted to that role after the adoption, "
            f"or else: ALTER FUNCTION {function} SECURITY DEFINER;",
        )

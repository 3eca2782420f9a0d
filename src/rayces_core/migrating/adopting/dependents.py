"""What hangs on columns that change their type: times that become timestamptz, and texts that become longer.

Rule it guards: what can be made again is made again by the adoption, as the server itself says after having tried it;
of the rest the sentence says what is true, so that nobody drops what cannot come back.
"""

from __future__ import annotations

import re
from collections.abc import Iterator, Mapping
from dataclasses import dataclass

import peewee

from rayces_core.migrating.adopting.columns import MOMENT, SIGN_IN_TIMES, is_short
from rayces_core.migrating.adopting.finding import Finding, choice
from rayces_core.migrating.adopting.record import TIMESTAMPS, columns
from rayces_core.migrating.myhub import TABLES
from rayces_core.migrations.session import MigrationDatabase, quote_identifier

_NAMESPACE = "quote_ident(current_schema())::regnamespace"
# Constraints NOT NULL and the column's own default change their type with it.
_DEPENDENTS = f"""
SELECT DISTINCT t.relname::text, coalesce(x.relname, r.conname)::text, pg_describe_object(d.classid, d.objid, 0),
       coalesce(pg_get_indexdef(i.indexrelid), pg_get_constraintdef(r.oid)),
       CASE WHEN r.oid IS NOT NULL THEN CASE r.contype WHEN 'c' THEN 'check' ELSE 'constraint' END
            WHEN i.indexrelid IS NULL THEN 'other'
            WHEN EXISTS (SELECT FROM pg_constraint k WHERE k.conindid = i.indexrelid) THEN 'constraint'
            WHEN i.indexprs IS NULL AND i.indpred IS NULL THEN 'plain' ELSE 'index' END
  FROM pg_depend d
  JOIN pg_class t ON d.refclassid = 'pg_class'::regclass AND t.oid = d.refobjid
  JOIN pg_attribute a ON a.attrelid = t.oid AND a.attnum = d.refobjsubid
  LEFT JOIN pg_index i ON d.classid = 'pg_class'::regclass AND i.indexrelid = d.objid
  LEFT JOIN pg_class x ON x.oid = i.indexrelid
  LEFT JOIN pg_constraint r ON d.classid = 'pg_constraint'::regclass AND r.oid = d.objid
 WHERE t.relname = ANY (%s) AND t.relnamespace = {_NAMESPACE} AND t.relname || '.' || a.attname = ANY (%s)
   AND NOT (d.classid = 'pg_attrdef'::regclass
            AND EXISTS (SELECT FROM pg_attrdef e WHERE e.oid = d.objid AND e.adrelid = t.oid AND e.adnum = a.attnum))
   AND NOT (d.classid = 'pg_constraint'::regclass
            AND EXISTS (SELECT FROM pg_constraint k WHERE k.oid = d.objid AND k.contype = 'n'))
   AND d.classid <> 'pg_statistic_ext'::regclass
 ORDER BY 1, 3
"""
_TRIAL = "rayces_trial"


@dataclass(frozen=True, slots=True)
class Dependent:
    """What hangs on a column; `kind` is plain, index, check, constraint or other."""

    table: str
    name: str
    what: str
    definition: str
    kind: str


def converted(database: MigrationDatabase) -> list[str]:
    """table.column of the times without a zone, which become timestamptz."""
    times = (*TIMESTAMPS, *SIGN_IN_TIMES)
    return [f"{each.table}.{each.name}" for each in columns(database) if each.name in times and each.base == MOMENT[0]]


def _dependents(database: MigrationDatabase, names: list[str]) -> list[Dependent]:
    return [Dependent(*row) for row in database.execute_sql(_DEPENDENTS, (list(TABLES), names)).fetchall()]


def timestamp_indexes(database: MigrationDatabase) -> list[list[str]]:
    """[name, definition] of the indexes that have to be built anew when their columns become timestamptz."""
    found = _dependents(database, converted(database))
    plain = [each for each in found if each.kind in ("plain", "index")]
    return [[each.name, each.definition] for each in plain if not _refused(database, each)]


def timestamp_rules(database: MigrationDatabase) -> list[list[str]]:
    """[table, name, definition] of the CHECKs that are made again once their columns are timestamptz."""
    found = [each for each in _dependents(database, converted(database)) if each.kind == "check"]
    return [[each.table, each.name, each.definition] for each in found if not _refused(database, each)]


def _refused(database: MigrationDatabase, dependent: Dependent) -> str:
    """Why the server does not make it on times with a zone; empty where it does. Tried on a table without rows."""
    if dependent.kind == "plain":
        return ""
    times = [each.partition(".")[2] for each in converted(database) if each.startswith(f"{dependent.table}.")]
    changes = ", ".join(f"ALTER COLUMN {name} TYPE {MOMENT[1]}" for name in times)
    made = re.sub(r" ON (?:ONLY )?.+? USING ", f" ON pg_temp.{_TRIAL} USING ", dependent.definition, count=1)
    if dependent.kind == "check":
        made = f"ALTER TABLE pg_temp.{_TRIAL} ADD {dependent.definition}"
    try:
        with database.atomic() as trial:
            database.command(f"CREATE TEMPORARY TABLE {_TRIAL} (LIKE {dependent.table})")
            database.command(f"ALTER TABLE pg_temp.{_TRIAL} {changes}")
            database.command(made)
            trial.rollback()
    except peewee.PeeweeException as error:
        return str(error).strip().partition("\n")[0]
    return ""


def findings(database: MigrationDatabase, choices: Mapping[str, str]) -> list[Finding]:
    """What is to be said of what hangs on these columns."""
    return [*_in_the_way(database), *_rebuilt(database), *_of_short_columns(database, choices)]


def _in_the_way(database: MigrationDatabase) -> Iterator[Finding]:
    for each in _dependents(database, converted(database)):
        what = f"{each.what} depends on a time of {each.table} that becomes timestamptz"
        if each.kind == "plain":
            continue
        if each.kind in ("index", "check"):
            if reason := _refused(database, each):
                yield Finding(
                    "timestamps",
                    "refusal",
                    f"{what}, and cannot be made again as it is: {reason}",
                    "drop it before; afterwards (created_at AT TIME ZONE 'UTC') is what created_at was, in an index "
                    "and in the queries that are to use it",
                )
        elif each.kind == "constraint":
            yield Finding("timestamps", "refusal", what, "drop it before, and make it again after the adoption")
        else:
            yield Finding(
                "timestamps",
                "refusal",
                what,
                "drop it before, and make it again after the adoption; days and hours in it are then those of the "
                "session's time zone, unless it says AT TIME ZONE 'UTC'",
            )


def _rebuilt(database: MigrationDatabase) -> Iterator[Finding]:
    names = [name for name, _ in timestamp_indexes(database)]
    names += [name for _, name, _ in timestamp_rules(database)]
    if names:
        yield choice(
            "timestamp-indexes",
            f"{', '.join(names)} have to be made anew, as their columns become timestamptz",
            "indexes can be dropped and built CONCURRENTLY, and are missed in between; rules are off for as long",
            count=len(names),
        )


def _of_short_columns(database: MigrationDatabase, choices: Mapping[str, str]) -> Iterator[Finding]:
    if choices.get("short-columns") != "widen":
        return
    short = [each for each in columns(database) if is_short(each)]
    for each in _dependents(database, [f"{column.table}.{column.name}" for column in short]):
        if each.kind == "other":
            yield Finding(
                "short-columns",
                "refusal",
                f"{each.what} depends on a text of {each.table} that is to become longer",
                "choose --fix short-columns=keep, or drop it before and make it again after the adoption",
            )
        elif each.kind in ("index", "check"):
            yield Finding(
                "short-columns",
                "note",
                f"{each.name} of {each.table} is built or checked anew while a text becomes longer",
                f"nobody can write {quote_identifier(each.table)} meanwhile; --fix short-columns=keep leaves it alone",
            )

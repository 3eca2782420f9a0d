"""What depends on what is dropped, as pg_depend has it: foreign keys, views, policies, functions of others."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass

from rayces_core.migrating.effects import Dropped, Retyped
from rayces_core.migrations.session import MigrationDatabase

# Catalogue, object, column; 0 where it is no column.
Address = tuple[int, int, int]

_RELATION = "SELECT 'pg_class'::regclass::bigint, to_regclass(%(name)s)::bigint, 0"
_TYPE = "SELECT 'pg_type'::regclass::bigint, to_regtype(%(name)s)::bigint, 0"
_FUNCTION = """
SELECT 'pg_proc'::regclass::bigint,
       CASE WHEN strpos(%(name)s, '(') > 0 THEN to_regprocedure(%(name)s)::bigint
            ELSE to_regproc(%(name)s)::bigint END, 0
"""
_OF_TABLE = """
SELECT '{catalogue}'::regclass::bigint, oid::bigint, 0 FROM {catalogue}
 WHERE {relation} = to_regclass(%(table)s) AND {name} = (parse_ident(%(name)s))[1]
"""
_ADDRESS = {
    "table": _RELATION,
    "view": _RELATION,
    "index": _RELATION,
    "sequence": _RELATION,
    "type": _TYPE,
    "domain": _TYPE,
    "function": _FUNCTION,
    "procedure": _FUNCTION,
    "routine": _FUNCTION,
    "extension": "SELECT 'pg_extension'::regclass::bigint, oid::bigint, 0 FROM pg_extension "
    "WHERE extname = (parse_ident(%(name)s))[1]",
    "schema": "SELECT 'pg_namespace'::regclass::bigint, to_regnamespace(%(name)s)::bigint, 0",
    "column": "SELECT 'pg_class'::regclass::bigint, attrelid::bigint, attnum FROM pg_attribute "
    "WHERE attrelid = to_regclass(%(table)s) AND attname = (parse_ident(%(name)s))[1] AND NOT attisdropped",
    "constraint": _OF_TABLE.format(catalogue="pg_constraint", relation="conrelid", name="conname"),
    "policy": _OF_TABLE.format(catalogue="pg_policy", relation="polrelid", name="polname"),
    "trigger": _OF_TABLE.format(catalogue="pg_trigger", relation="tgrelid", name="tgname"),
    "rule": _OF_TABLE.format(catalogue="pg_rewrite", relation="ev_class", name="rulename"),
}
# What goes with what: a table takes its indexes, keys and policies along, an extension its members.
_GOING = """
    SELECT * FROM unnest(%({given}_catalogues)s::bigint[]::oid[], %({given}_objects)s::bigint[]::oid[],
                         %({given}_columns)s::int[])
     UNION
    SELECT d.classid, d.objid, d.objsubid
      FROM pg_depend d JOIN {name} g ON d.refclassid = g.classid AND d.refobjid = g.objid
       AND (g.objsubid = 0 OR d.refobjsubid = g.objsubid)
"""
_DEPENDENTS = """
WITH RECURSIVE gone(classid, objid, objsubid) AS ({gone} WHERE d.deptype <> 'n'),
mine(classid, objid, objsubid) AS ({mine} {whole}),
others AS (
    SELECT DISTINCT ON (1, 2, 3) d.classid, d.objid, d.objsubid, d.refclassid, d.refobjid, {about} AS refobjsubid
      FROM pg_depend d JOIN mine g ON d.refclassid = g.classid AND d.refobjid = g.objid
       AND (g.objsubid = 0 OR d.refobjsubid = g.objsubid)
     WHERE ({which}) AND NOT EXISTS (
         SELECT FROM gone WHERE (gone.classid, gone.objid) = (d.classid, d.objid) AND gone.objsubid IN (0, d.objsubid))
     ORDER BY 1, 2, 3, d.refclassid, d.refobjid
)
SELECT pg_describe_object(o.classid, o.objid, o.objsubid), pg_describe_object(o.refclassid, o.refobjid, o.refobjsubid),
       CASE WHEN c.oid IS NOT NULL THEN format('ALTER TABLE %%s DROP CONSTRAINT %%I;', c.conrelid::regclass, c.conname)
            WHEN v.relkind = 'm' THEN format('DROP MATERIALIZED VIEW %%s;', v.oid::regclass)
            WHEN v.oid IS NOT NULL THEN format('DROP VIEW %%s;', v.oid::regclass)
            WHEN p.oid IS NOT NULL THEN format('DROP POLICY %%I ON %%s;', p.polname, p.polrelid::regclass)
            WHEN t.oid IS NOT NULL THEN format('DROP TRIGGER %%I ON %%s;', t.tgname, t.tgrelid::regclass)
            WHEN f.oid IS NOT NULL THEN format('DROP FUNCTION %%s;', f.oid::regprocedure)
            ELSE '' END
  FROM others o
  LEFT JOIN pg_constraint c ON o.classid = 'pg_constraint'::regclass AND c.oid = o.objid AND c.conrelid <> 0
  LEFT JOIN pg_rewrite r ON o.classid = 'pg_rewrite'::regclass AND r.oid = o.objid
  LEFT JOIN pg_class v ON v.oid = r.ev_class AND v.relkind IN ('v', 'm')
  LEFT JOIN pg_policy p ON o.classid = 'pg_policy'::regclass AND p.oid = o.objid
  LEFT JOIN pg_trigger t ON o.classid = 'pg_trigger'::regclass AND t.oid = o.objid
  LEFT JOIN pg_proc f ON o.classid = 'pg_proc'::regclass AND f.oid = o.objid
 ORDER BY 1, 2
"""
_TABLES = {"gone": _GOING.format(given="all", name="gone"), "mine": _GOING.format(given="own", name="mine")}
_ON_DROPPED = _DEPENDENTS.format(**_TABLES, whole="WHERE d.deptype <> 'n'", about="0", which="d.deptype = 'n'")
# A new type stops at whatever was compiled with the old one; indexes, keys and the column's own default are made anew.
_ON_RETYPED = _DEPENDENTS.format(
    **_TABLES,
    whole="WHERE false",
    about="d.refobjsubid",
    which="d.classid IN ('pg_rewrite'::regclass, 'pg_trigger'::regclass, 'pg_policy'::regclass, 'pg_proc'::regclass) "
    "OR (d.classid = 'pg_attrdef'::regclass AND EXISTS (SELECT FROM pg_attrdef a JOIN pg_attribute b "
    "ON (b.attrelid, b.attnum) = (a.adrelid, a.adnum) WHERE a.oid = d.objid AND b.attgenerated <> '' "
    "AND a.adnum <> d.refobjsubid))",
)
_CASCADED = f"""
WITH RECURSIVE mine(classid, objid, objsubid) AS ({_TABLES["mine"]})
SELECT pg_describe_object(d.classid, d.objid, d.objsubid)
  FROM pg_depend d JOIN mine g ON d.refclassid = g.classid AND d.refobjid = g.objid
   AND (g.objsubid = 0 OR d.refobjsubid = g.objsubid)
 WHERE d.deptype = 'n' AND d.classid NOT IN ('pg_amop'::regclass, 'pg_amproc'::regclass) AND NOT EXISTS (
       SELECT FROM pg_depend e JOIN mine m ON m.classid = e.refclassid AND m.objid = e.refobjid
        WHERE e.deptype = 'e' AND (e.classid, e.objid) = (d.classid, d.objid))
 GROUP BY 1 ORDER BY 1
"""


@dataclass(frozen=True, slots=True)
class Dependent:
    """An object of somebody else's: what it is, what it hangs on, and the SQL that drops it (empty: none known)."""

    what: str
    on: str
    remedy: str


def address_of(database: MigrationDatabase, dropped: Dropped) -> Address | None:
    """Where the catalogue has it; None if it is not there (yet, or any more)."""
    names = {"name": dropped.name.replace("%%", "%"), "table": dropped.table.replace("%%", "%")}
    row = database.execute_sql(_ADDRESS[dropped.kind], names).fetchone()
    return None if row is None or row[1] is None else (row[0], row[1], row[2])


def dependents(database: MigrationDatabase, own: Iterable[Address], gone: Iterable[Address]) -> list[Dependent]:
    """What keeps `own` from being dropped without CASCADE: it depends on them, and is not among all that is `gone`."""
    values = {**_listed("own", own), **_listed("all", gone)}
    return [Dependent(*row) for row in database.execute_sql(_ON_DROPPED, values).fetchall()]


def dependents_on_type(database: MigrationDatabase, retyped: Retyped, gone: Iterable[Address]) -> list[Dependent]:
    """What keeps a column from getting another type, and is not among all that is `gone`."""
    column = address_of(database, Dropped("column", retyped.column, retyped.table))
    if column is None:
        return []
    values = {**_listed("own", [column]), **_listed("all", gone)}
    return [Dependent(*row) for row in database.execute_sql(_ON_RETYPED, values).fetchall()]


def cascaded(database: MigrationDatabase, dropped: Address) -> list[str]:
    """What CASCADE takes along that is no part of it."""
    return [what for (what,) in database.execute_sql(_CASCADED, _listed("own", [dropped])).fetchall()]


def _listed(name: str, addresses: Iterable[Address]) -> dict[str, list[int]]:
    known = list(addresses)
    return {
        f"{name}_catalogues": [catalogue for catalogue, _, _ in known],
        f"{name}_objects": [thing for _, thing, _ in known],
        f"{name}_columns": [column for _, _, column in known],
    }

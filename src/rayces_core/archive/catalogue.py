"""The tables of organizations that a database has, the host's among them, as its catalogue tells them.

Rule it guards: a table is found by its column organization_id and not by a model, so none is forgotten because
a program did not import it.
"""

from __future__ import annotations

import json
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any, Final

from rayces_core.database.binding import current

# Said in a comment on a table or a column. It stays with it through dump and restore.
NOT_ARCHIVED: Final = "rayces: not archived"

# As the doctor finds them (doctor/catalogue.py), less what is part of another table or the library's own bookkeeping.
_FOUND: Final = """
WITH root AS (SELECT oid, relnamespace FROM pg_class WHERE oid = to_regclass('organizations')),
tenant AS (
    SELECT c.oid, c.relname::text AS name, n.nspname::text AS schema, c.relnamespace = root.relnamespace AS is_home,
           has_schema_privilege(n.oid, 'USAGE') AS usable
      FROM root, pg_class c JOIN pg_namespace n ON n.oid = c.relnamespace
     WHERE c.relkind IN ('r', 'p') AND NOT c.relispartition AND c.relpersistence <> 't' AND c.oid <> root.oid
       AND n.nspname NOT LIKE 'pg\\_%%' AND n.nspname NOT LIKE 'rayces\\_%%' AND n.nspname <> 'information_schema'
       AND NOT (c.relnamespace = root.relnamespace AND c.relname LIKE 'rayces\\_%%')
       AND EXISTS (SELECT FROM pg_attribute a
                    WHERE a.attrelid = c.oid AND a.attname = 'organization_id' AND NOT a.attisdropped)
       AND (c.relnamespace = root.relnamespace
            OR EXISTS (SELECT FROM pg_constraint k WHERE k.conrelid = c.oid AND k.confrelid = root.oid)
            OR has_schema_privilege(n.oid, 'USAGE') AND has_any_column_privilege(c.oid, 'SELECT, INSERT, UPDATE'))
),
bare AS (  -- the type beneath domains and arrays
    SELECT t.oid, coalesce(e.oid, b.oid, t.oid) AS beneath FROM pg_type t
      LEFT JOIN pg_type b ON b.oid = t.typbasetype AND t.typtype = 'd'
      LEFT JOIN pg_type e ON e.oid = coalesce(b.typelem, t.typelem) AND coalesce(b.typcategory, t.typcategory) = 'A'
),
attribute AS (
    SELECT a.attrelid, a.attnum, a.attname::text AS name, a.attnotnull, a.attidentity = 'a' AS always,
           a.attgenerated <> '' AS generated, y.typname IN ('int2', 'int4', 'int8') AS whole,
           format_type(a.atttypid, a.atttypmod) AS type,
           u.typtype = 'b' AND (u.oid >= 16384 OR u.typname = 'json') AS as_text,
           a.attidentity <> '' OR EXISTS (
               SELECT FROM pg_attrdef d JOIN pg_depend p ON p.classid = 'pg_attrdef'::regclass AND p.objid = d.oid
                 JOIN pg_class s ON s.oid = p.refobjid AND p.refclassid = 'pg_class'::regclass AND s.relkind = 'S'
                WHERE d.adrelid = a.attrelid AND d.adnum = a.attnum) AS counted,
           has_column_privilege(a.attrelid, a.attnum, 'SELECT') AS readable,
           has_column_privilege(a.attrelid, a.attnum, 'INSERT') AS insertable,
           has_column_privilege(a.attrelid, a.attnum, 'UPDATE') AS updatable,
           coalesce(col_description(a.attrelid, a.attnum), '') LIKE %(said)s AS left_behind
      FROM tenant t JOIN pg_attribute a ON a.attrelid = t.oid AND a.attnum > 0 AND NOT a.attisdropped
      JOIN pg_type y ON y.oid = a.atttypid JOIN bare ON bare.oid = a.atttypid JOIN pg_type u ON u.oid = bare.beneath
)
SELECT json_build_object(
    'oid', t.oid::bigint, 'name', t.name, 'schema', t.schema, 'is_home', t.is_home, 'usable', t.usable,
    'left_behind', coalesce(obj_description(t.oid, 'pg_class'), '') LIKE %(said)s,
    'has_key', EXISTS (SELECT FROM pg_index i WHERE i.indrelid = t.oid AND i.indisprimary),
    'key', (SELECT json_agg(a.name ORDER BY k.place)
              FROM pg_index i CROSS JOIN LATERAL unnest(i.indkey) WITH ORDINALITY AS k(attnum, place)
              JOIN attribute a ON a.attrelid = t.oid AND a.attnum = k.attnum
             WHERE i.indrelid = t.oid AND i.indisprimary AND a.name <> 'organization_id'),
    'columns', (SELECT json_agg(to_json(a) ORDER BY a.name COLLATE "C") FROM attribute a WHERE a.attrelid = t.oid),
    'foreign_keys', (SELECT json_agg(json_build_array(k.confrelid::bigint, (
                         SELECT json_agg(json_build_array(c.attname, p.attname) ORDER BY pair.place)
                           FROM unnest(k.conkey, k.confkey) WITH ORDINALITY AS pair(child, parent, place)
                           JOIN pg_attribute c ON c.attrelid = k.conrelid AND c.attnum = pair.child
                           JOIN pg_attribute p ON p.attrelid = k.confrelid AND p.attnum = pair.parent
                     )) ORDER BY k.conname) FROM pg_constraint k WHERE k.conrelid = t.oid AND k.contype = 'f')
)::text FROM tenant t ORDER BY t.is_home DESC, t.schema COLLATE "C", t.name COLLATE "C"
"""
_ROOT: Final = "SELECT to_regclass('organizations')::oid::bigint"


@dataclass(frozen=True, slots=True)
class Column:
    """A column as the catalogue has it.

    Attributes:
        counted: whether a sequence gives its values. whole: whether they are integers. always: whether nobody else may
            give them. as_text: whether its type has another form in JSON than in SQL. readable, insertable, updatable:
            by the tenants' role. left_behind: whether its comment says so.
    """

    name: str
    type: str
    attnotnull: bool
    always: bool
    generated: bool
    whole: bool
    as_text: bool
    counted: bool
    readable: bool
    insertable: bool
    updatable: bool
    left_behind: bool


@dataclass(frozen=True, slots=True)
class Found:
    """A table as the catalogue has it.

    Attributes:
        oid: which one it is. schema, relation: where it is. is_home: whether that is the library's schema.
        has_key, key: whether it has a primary key, and the columns of it but organization_id.
        foreign_keys: oid of a table, and the pairs of own column and column there.
        usable: whether the tenants' role may enter its schema.
        left_behind: whether its comment says so.
    """

    oid: int
    schema: str
    relation: str
    is_home: bool
    usable: bool
    left_behind: bool
    has_key: bool
    key: tuple[str, ...]
    columns: Mapping[str, Column]
    foreign_keys: tuple[tuple[int, tuple[tuple[str, str], ...]], ...]

    @property
    def name(self) -> str:
        """What it is called in an archive."""
        return self.relation if self.is_home else f"{self.schema}.{self.relation}"


def found_tables() -> tuple[Found, ...]:
    """Every table of the bound database that has rows of organizations, the library's own schema first."""
    rows = current().engine.execute_sql(_FOUND, {"said": f"%{NOT_ARCHIVED}%"}).fetchall()
    return tuple(_read(json.loads(text)) for (text,) in rows)


def root_oid() -> int:
    """The oid of the table `organizations`."""
    return int(current().engine.execute_sql(_ROOT).fetchone()[0])


def _read(facts: dict[str, Any]) -> Found:
    wanted = Column.__dataclass_fields__
    columns = [Column(**{key: value for key, value in each.items() if key in wanted}) for each in facts["columns"]]
    return Found(
        facts["oid"],
        facts["schema"],
        facts["name"],
        facts["is_home"],
        facts["usable"],
        facts["left_behind"],
        facts["has_key"],
        tuple(facts["key"] or ()),
        {column.name: column for column in columns},
        tuple((oid, tuple((child, parent) for child, parent in pairs)) for oid, pairs in facts["foreign_keys"] or ()),
    )

"""The schema of a database, object by object: equal lines, equal schema, on any server version and for any owner.

What a column's place in its row, a sequence's position and the owner's own rights are is left out. What PostgreSQL
prints of an expression may differ though it means the same; `meaning` compares that.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace
from typing import Any, Final, Protocol

from rayces_core.migrations.settings import pinned

# Where a definition stands in the shape of a line.
_SLOT: Final = "\x01"


class HasCursor(Protocol):
    """A psycopg2 connection or a Peewee database."""

    def cursor(self) -> Any:
        """Give a cursor."""


@dataclass(frozen=True, slots=True)
class Entry:
    """One object of a schema, or one fact of it.

    Attributes:
        line: as it is shown.
        shape: the line without the definitions: what is spelled in one way only.
        relations: the tables, views and sequences that it is about.
        how: what its definitions are, such as "index"; "" where there are none.
        definitions: what PostgreSQL prints of its expressions, or of the whole object.
        place: names of the table and of the object, as far as they are needed to make it anew; a column's type.
    """

    line: str
    shape: str
    relations: tuple[str, ...] = ()
    how: str = ""
    definitions: tuple[str, ...] = ()
    place: tuple[str, ...] = ()

    def as_in(self, line: str) -> Entry | None:
        """The same object with the definition that a line of before has; None where it is a line of something else."""
        before, *after = " ".join(self.shape.split()).split(_SLOT)
        if len(after) != 1 or not (line.startswith(before) and line.endswith(after[0])):
            return None
        return replace(self, line=line, definitions=(line[len(before) : len(line) - len(after[0])],))


_GRANTEE = "CASE WHEN g.grantee = 0 THEN 'public' ELSE pg_get_userbyid(g.grantee)::text END"
_GRANTABLE = "CASE WHEN g.is_grantable THEN ' with grant option' ELSE '' END"
# What lower() makes of a letter is the database's own affair, but for those that every database has.
_PRIVILEGE = 'lower(g.privilege_type COLLATE "C")'

# Each gives the shape of a line, in which chr(1) stands for a definition, and the relations it is about; where there
# are definitions also how they are made, themselves, and their place. What an extension brought along is left out
# everywhere: the extension stands for it.
_QUERIES = (
    # columns
    """
    SELECT format('column %s.%s %s%s%s%s%s', c.relname, a.attname, format_type(a.atttypid, a.atttypmod),
                  CASE WHEN a.attnotnull THEN ' not null' ELSE '' END,
                  CASE a.attidentity WHEN 'd' THEN ' identity by default' WHEN 'a' THEN ' identity always' ELSE '' END,
                  CASE WHEN a.attgenerated = 'v' THEN ' generated virtually ' || chr(1)
                       WHEN a.attgenerated <> '' THEN ' generated ' || chr(1)
                       WHEN d.adbin IS NOT NULL THEN ' default ' || chr(1) ELSE '' END,
                  CASE WHEN a.attcollation NOT IN (0, t.typcollation) THEN ' collate ' || a.attcollation::regcollation
                       ELSE '' END),
           ARRAY[c.relname],
           CASE WHEN d.adbin IS NULL THEN '' WHEN a.attgenerated = '' THEN 'default' ELSE 'generated' END,
           array_remove(ARRAY[pg_get_expr(d.adbin, d.adrelid)], NULL),
           ARRAY[c.relname, a.attname, format_type(a.atttypid, a.atttypmod)]
      FROM pg_attribute a JOIN pg_class c ON c.oid = a.attrelid JOIN pg_type t ON t.oid = a.atttypid
      LEFT JOIN pg_attrdef d ON d.adrelid = c.oid AND d.adnum = a.attnum
     WHERE c.relkind IN ('r', 'p', 'f') AND a.attnum > 0 AND NOT a.attisdropped AND {ours_c}
    """,
    # constraints; a NOT NULL is a constraint of its own only since PostgreSQL 18, the column's line already says it
    """
    SELECT format('constraint %s %s %s%s', c.relname, k.conname,
                  CASE WHEN k.contype IN ('c', 'x') THEN chr(1) ELSE pg_get_constraintdef(k.oid) END,
                  CASE WHEN k.convalidated OR pg_get_constraintdef(k.oid) LIKE '%NOT VALID' THEN ''
                       ELSE ' NOT VALID' END),
           ARRAY[c.relname],
           CASE WHEN k.contype IN ('c', 'x') THEN 'constraint' ELSE '' END,
           CASE WHEN k.contype IN ('c', 'x') THEN ARRAY[pg_get_constraintdef(k.oid)] END,
           ARRAY[c.relname, k.conname]
      FROM pg_constraint k JOIN pg_class c ON c.oid = k.conrelid
     WHERE (k.contype <> 'n' OR NOT k.convalidated) AND k.contype <> 't' AND {ours_c}
    """,
    # indexes
    """
    SELECT format('index %s%s', chr(1), CASE WHEN i.indisvalid THEN '' ELSE ' INVALID' END),
           ARRAY[c.relname], 'index', ARRAY[pg_get_indexdef(i.indexrelid)], ARRAY[c.relname, x.relname]
      FROM pg_index i JOIN pg_class c ON c.oid = i.indrelid JOIN pg_class x ON x.oid = i.indexrelid
     WHERE {ours_c}
    """,
    # row-level security
    """
    SELECT format('row security %s %s%s', c.relname, CASE WHEN c.relrowsecurity THEN 'enabled' ELSE 'disabled' END,
                  CASE WHEN c.relforcerowsecurity THEN ' forced' ELSE '' END),
           ARRAY[c.relname]
      FROM pg_class c
     WHERE c.relkind IN ('r', 'p') AND {ours_c}
    """,
    """
    SELECT format('policy %s %s %s for %s to %s using %s check %s', c.relname, p.polname,
                  CASE WHEN p.polpermissive THEN 'permissive' ELSE 'restrictive' END,
                  CASE p.polcmd WHEN 'r' THEN 'select' WHEN 'a' THEN 'insert' WHEN 'w' THEN 'update'
                       WHEN 'd' THEN 'delete' ELSE 'all' END,
                  (SELECT string_agg(name, ', ' ORDER BY name)
                     FROM (SELECT CASE WHEN role = 0 THEN 'public' ELSE pg_get_userbyid(role)::text END AS name
                             FROM unnest(p.polroles) AS role) AS roles),
                  CASE WHEN p.polqual IS NULL THEN '-' ELSE chr(1) END,
                  CASE WHEN p.polwithcheck IS NULL THEN '-' ELSE chr(1) END),
           ARRAY[c.relname], 'policy',
           array_remove(ARRAY[pg_get_expr(p.polqual, p.polrelid), pg_get_expr(p.polwithcheck, p.polrelid)], NULL),
           ARRAY[c.relname, p.polname]
      FROM pg_policy p JOIN pg_class c ON c.oid = p.polrelid
     WHERE {ours_c}
    """,
    # rights on tables, sequences and views, on columns, on functions, on the schema; without the owner's own
    """
    SELECT format('grant %s on %s to %s%s', {privilege}, c.relname, {grantee}, {grantable}), ARRAY[c.relname]
      FROM pg_class c CROSS JOIN aclexplode(c.relacl) AS g
     WHERE g.grantee <> c.relowner AND {ours_c}
    """,
    """
    SELECT format('grant %s on %s.%s to %s%s', {privilege}, c.relname, a.attname, {grantee}, {grantable}),
           ARRAY[c.relname]
      FROM pg_attribute a JOIN pg_class c ON c.oid = a.attrelid CROSS JOIN aclexplode(a.attacl) AS g
     WHERE NOT a.attisdropped AND g.grantee <> c.relowner AND {ours_c}
    """,
    """
    SELECT format('grant %s on function %s(%s) to %s', {privilege}, f.proname,
                  pg_get_function_identity_arguments(f.oid), {grantee})
      FROM pg_proc f CROSS JOIN aclexplode(coalesce(f.proacl, acldefault('f', f.proowner))) AS g
     WHERE g.grantee <> f.proowner AND {ours_f}
    """,
    """
    SELECT format('grant %s on schema to %s', {privilege}, {grantee})
      FROM pg_namespace n CROSS JOIN aclexplode(coalesce(n.nspacl, acldefault('n', n.nspowner))) AS g
     WHERE n.oid = {schema} AND g.grantee <> n.nspowner
    """,
    # sequences, and whose they are
    """
    SELECT format('sequence %s %s start %s increment %s min %s max %s cache %s%s%s', c.relname,
                  format_type(s.seqtypid, NULL), s.seqstart, s.seqincrement, s.seqmin, s.seqmax, s.seqcache,
                  CASE WHEN s.seqcycle THEN ' cycle' ELSE '' END,
                  coalesce(format(' owned by %s.%s', o.relname, o.attname), '')),
           array_remove(ARRAY[c.relname, o.relname], NULL)
      FROM pg_sequence s JOIN pg_class c ON c.oid = s.seqrelid
      LEFT JOIN LATERAL (SELECT owner.relname, a.attname
                           FROM pg_depend d JOIN pg_class owner ON owner.oid = d.refobjid
                           JOIN pg_attribute a ON a.attrelid = d.refobjid AND a.attnum = d.refobjsubid
                          WHERE d.classid = 'pg_class'::regclass AND d.objid = c.oid AND d.deptype IN ('a', 'i')
                            AND d.refclassid = 'pg_class'::regclass) o ON true
     WHERE {ours_c}
    """,
    # tables themselves, so that one without columns is seen, and how they are kept
    """
    SELECT format('table %s %s%s%s%s', c.relname, CASE c.relpersistence WHEN 'u' THEN 'unlogged' ELSE 'logged' END,
                  CASE WHEN c.relkind = 'p' THEN ' partitioned by ' || pg_get_partkeydef(c.oid) ELSE '' END,
                  coalesce(' partition ' || pg_get_expr(c.relpartbound, c.oid), '')
                  || coalesce((SELECT string_agg(format(' of %s', p.relname), '' ORDER BY i.inhseqno)
                                 FROM pg_inherits i JOIN pg_class p ON p.oid = i.inhparent
                                WHERE i.inhrelid = c.oid), ''),
                  coalesce(' with ' || array_to_string(c.reloptions, ', '), '')),
           ARRAY[c.relname]
      FROM pg_class c
     WHERE c.relkind IN ('r', 'p', 'f') AND {ours_c}
    """,
    """
    SELECT format('view %s%s%s %s', c.relname, CASE WHEN c.relkind = 'm' THEN ' materialized' ELSE '' END,
                  coalesce(' with ' || array_to_string(c.reloptions, ', '), ''), chr(1)),
           ARRAY[c.relname], 'view', ARRAY[pg_get_viewdef(c.oid)],
           ARRAY[c.relname]
      FROM pg_class c
     WHERE c.relkind IN ('v', 'm') AND {ours_c}
    """,
    """
    SELECT 'function ' || chr(1), '{}'::name[], 'function', ARRAY[pg_get_functiondef(f.oid)],
           ARRAY[f.oid::regprocedure::text]
      FROM pg_proc f
     WHERE f.prokind IN ('f', 'p') AND {ours_f}
    """,
    """
    SELECT format('trigger %s enabled %s', chr(1), g.tgenabled), ARRAY[c.relname], 'trigger',
           ARRAY[pg_get_triggerdef(g.oid)], ARRAY[c.relname, g.tgname]
      FROM pg_trigger g JOIN pg_class c ON c.oid = g.tgrelid
     WHERE NOT g.tgisinternal AND {ours_c}
    """,
    """
    SELECT format('rule %s', chr(1)), ARRAY[c.relname], 'rule', ARRAY[pg_get_ruledef(r.oid)],
           ARRAY[c.relname, r.rulename]
      FROM pg_rewrite r JOIN pg_class c ON c.oid = r.ev_class
     WHERE r.rulename <> '_RETURN' AND {ours_c}
    """,
    # types made by hand: enumerations with their values, domains, composite types
    """
    SELECT format('type %s %s %s%s%s', t.typname, t.typtype,
                  coalesce((SELECT string_agg(e.enumlabel, ', ' ORDER BY e.enumsortorder) FROM pg_enum e
                             WHERE e.enumtypid = t.oid),
                           (SELECT string_agg(a.attname || ' ' || format_type(a.atttypid, a.atttypmod), ', '
                                              ORDER BY a.attnum)
                              FROM pg_attribute a WHERE a.attrelid = c.oid AND NOT a.attisdropped),
                           format_type(nullif(t.typbasetype, 0), t.typtypmod), ''),
                  CASE WHEN t.typnotnull THEN ' not null' ELSE '' END, coalesce(' default ' || t.typdefault, ''))
      FROM pg_type t LEFT JOIN pg_class c ON c.oid = t.typrelid
     WHERE (t.typtype IN ('e', 'd', 'r') OR (t.typtype = 'c' AND c.relkind = 'c')) AND {ours_t}
    """,
    """
    SELECT format('domain %s constraint %s %s%s', t.typname, k.conname, chr(1),
                  CASE WHEN k.convalidated THEN '' ELSE ' NOT VALID' END),
           '{}'::name[], 'domain', ARRAY[pg_get_constraintdef(k.oid)], ARRAY[t.typname, k.conname]
      FROM pg_constraint k JOIN pg_type t ON t.oid = k.contypid
     WHERE k.contype = 'c' AND {ours_t}
    """,
    # what the planner is told to know of columns together
    """
    SELECT format('statistics %s %s', c.relname, pg_get_statisticsobjdef(s.oid)), ARRAY[c.relname]
      FROM pg_statistic_ext s JOIN pg_class c ON c.oid = s.stxrelid
     WHERE {ours_c}
    """,
    "SELECT format('extension %s', extname) FROM pg_extension",
)

_SCHEMA = "quote_ident(current_schema())::regnamespace"
_OURS = (("c", "relnamespace", "pg_class"), ("f", "pronamespace", "pg_proc"), ("t", "typnamespace", "pg_type"))


def entries(connection: HasCursor) -> list[Entry]:
    """Every object of the current schema and every extension, sorted by line; under the pinned settings.

    `connection` is a psycopg2 connection or a Peewee database.
    """
    cursor = connection.cursor()
    found: list[Entry] = []
    with pinned(cursor):
        for query in _QUERIES:
            cursor.execute(_filled(query))
            found += [_entry(*row) for row in cursor.fetchall()]
    return sorted(found, key=lambda entry: entry.line)


def fingerprint(connection: HasCursor) -> list[str]:
    """The lines of `entries`.

    Columns (type, NOT NULL, identity, generated, default), constraints and whether they are validated, indexes and
    whether they are valid, policies, row-level security, rights (by column too), sequences, views, functions,
    triggers, rules, types.
    """
    return [entry.line for entry in entries(connection)]


def _entry(
    shape: str,
    relations: Sequence[str] = (),
    how: str = "",
    definitions: Sequence[str] | None = None,
    place: Sequence[str] = (),
) -> Entry:
    line, definitions = shape, tuple(definitions or ())
    for definition in definitions:
        line = line.replace(_SLOT, definition, 1)
    return Entry(" ".join(line.split()), shape, tuple(relations), how, definitions, tuple(place))


def _filled(query: str) -> str:
    for alias, column, catalogue in _OURS:
        ours = (
            f"{alias}.{column} = {_SCHEMA} AND NOT EXISTS (SELECT FROM pg_depend x "
            f"WHERE x.classid = '{catalogue}'::regclass AND x.objid = {alias}.oid AND x.deptype = 'e')"
        )
        query = query.replace(f"{{ours_{alias}}}", ours)
    words = {"schema": _SCHEMA, "privilege": _PRIVILEGE, "grantee": _GRANTEE, "grantable": _GRANTABLE}
    for word, sql in words.items():
        query = query.replace(f"{{{word}}}", sql)
    return query

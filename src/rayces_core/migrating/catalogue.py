"""The schema of a database as lines of text: equal lines, equal schema, on any server version and for any owner.

What a column's place in its row, a sequence's position and the owner's own rights are is left out.
"""

from __future__ import annotations

from typing import Any, Protocol


class HasCursor(Protocol):
    """A psycopg2 connection or a Peewee database."""

    def cursor(self) -> Any:
        """Give a cursor."""


# What an extension brought along is left out everywhere: the extension stands for it.
_QUERIES = (
    # columns
    """
    SELECT format('column %s.%s %s%s%s%s%s', c.relname, a.attname, format_type(a.atttypid, a.atttypmod),
                  CASE WHEN a.attnotnull THEN ' not null' ELSE '' END,
                  CASE a.attidentity WHEN 'd' THEN ' identity by default' WHEN 'a' THEN ' identity always' ELSE '' END,
                  CASE WHEN a.attgenerated <> '' THEN ' generated ' || pg_get_expr(d.adbin, d.adrelid)
                       WHEN d.adbin IS NOT NULL THEN ' default ' || pg_get_expr(d.adbin, d.adrelid) ELSE '' END,
                  CASE WHEN a.attcollation NOT IN (0, t.typcollation) THEN ' collate ' || a.attcollation::regcollation
                       ELSE '' END)
      FROM pg_attribute a JOIN pg_class c ON c.oid = a.attrelid JOIN pg_type t ON t.oid = a.atttypid
      LEFT JOIN pg_attrdef d ON d.adrelid = c.oid AND d.adnum = a.attnum
     WHERE c.relkind IN ('r', 'p', 'f') AND a.attnum > 0 AND NOT a.attisdropped AND {ours_c}
    """,
    # constraints; a NOT NULL is a constraint of its own only since PostgreSQL 18, the column's line already says it
    """
    SELECT format('constraint %s %s %s%s', c.relname, k.conname, pg_get_constraintdef(k.oid),
                  CASE WHEN k.convalidated OR pg_get_constraintdef(k.oid) LIKE '%NOT VALID' THEN ''
                       ELSE ' NOT VALID' END)
      FROM pg_constraint k JOIN pg_class c ON c.oid = k.conrelid
     WHERE (k.contype <> 'n' OR NOT k.convalidated) AND k.contype <> 't' AND {ours_c}
    """,
    # indexes
    """
    SELECT format('index %s%s', pg_get_indexdef(i.indexrelid), CASE WHEN i.indisvalid THEN '' ELSE ' INVALID' END)
      FROM pg_index i JOIN pg_class c ON c.oid = i.indrelid
     WHERE {ours_c}
    """,
    # row-level security
    """
    SELECT format('row security %s %s%s', c.relname, CASE WHEN c.relrowsecurity THEN 'enabled' ELSE 'disabled' END,
                  CASE WHEN c.relforcerowsecurity THEN ' forced' ELSE '' END)
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
                  coalesce(pg_get_expr(p.polqual, p.polrelid), '-'),
                  coalesce(pg_get_expr(p.polwithcheck, p.polrelid), '-'))
      FROM pg_policy p JOIN pg_class c ON c.oid = p.polrelid
     WHERE {ours_c}
    """,
    # rights on tables, sequences and views, on columns, on functions, on the schema; without the owner's own
    """
    SELECT format('grant %s on %s to %s%s', lower(g.privilege_type), c.relname,
                  CASE WHEN g.grantee = 0 THEN 'public' ELSE pg_get_userbyid(g.grantee)::text END,
                  CASE WHEN g.is_grantable THEN ' with grant option' ELSE '' END)
      FROM pg_class c CROSS JOIN aclexplode(c.relacl) AS g
     WHERE g.grantee <> c.relowner AND {ours_c}
    """,
    """
    SELECT format('grant %s on %s.%s to %s%s', lower(g.privilege_type), c.relname, a.attname,
                  CASE WHEN g.grantee = 0 THEN 'public' ELSE pg_get_userbyid(g.grantee)::text END,
                  CASE WHEN g.is_grantable THEN ' with grant option' ELSE '' END)
      FROM pg_attribute a JOIN pg_class c ON c.oid = a.attrelid CROSS JOIN aclexplode(a.attacl) AS g
     WHERE NOT a.attisdropped AND g.grantee <> c.relowner AND {ours_c}
    """,
    """
    SELECT format('grant %s on function %s(%s) to %s', lower(g.privilege_type), f.proname,
                  pg_get_function_identity_arguments(f.oid),
                  CASE WHEN g.grantee = 0 THEN 'public' ELSE pg_get_userbyid(g.grantee)::text END)
      FROM pg_proc f CROSS JOIN aclexplode(coalesce(f.proacl, acldefault('f', f.proowner))) AS g
     WHERE g.grantee <> f.proowner AND {ours_f}
    """,
    """
    SELECT format('grant %s on schema to %s', lower(g.privilege_type),
                  CASE WHEN g.grantee = 0 THEN 'public' ELSE pg_get_userbyid(g.grantee)::text END)
      FROM pg_namespace n CROSS JOIN aclexplode(coalesce(n.nspacl, acldefault('n', n.nspowner))) AS g
     WHERE n.oid = {schema} AND g.grantee <> n.nspowner
    """,
    # sequences, and whose they are
    """
    SELECT format('sequence %s %s start %s increment %s min %s max %s cache %s%s%s', c.relname, s.seqtypid::regtype,
                  s.seqstart, s.seqincrement, s.seqmin, s.seqmax, s.seqcache,
                  CASE WHEN s.seqcycle THEN ' cycle' ELSE '' END,
                  coalesce((SELECT format(' owned by %s.%s', owner.relname, a.attname)
                              FROM pg_depend d JOIN pg_class owner ON owner.oid = d.refobjid
                              JOIN pg_attribute a ON a.attrelid = d.refobjid AND a.attnum = d.refobjsubid
                             WHERE d.classid = 'pg_class'::regclass AND d.objid = c.oid AND d.deptype IN ('a', 'i')
                               AND d.refclassid = 'pg_class'::regclass), ''))
      FROM pg_sequence s JOIN pg_class c ON c.oid = s.seqrelid
     WHERE {ours_c}
    """,
    # tables themselves, so that one without columns is seen, and how they are kept
    """
    SELECT format('table %s %s%s%s', c.relname, CASE c.relpersistence WHEN 'u' THEN 'unlogged' ELSE 'logged' END,
                  CASE WHEN c.relkind = 'p' THEN ' partitioned' ELSE '' END,
                  coalesce(' with ' || array_to_string(c.reloptions, ', '), ''))
      FROM pg_class c
     WHERE c.relkind IN ('r', 'p', 'f') AND {ours_c}
    """,
    """
    SELECT format('view %s %s', c.relname, pg_get_viewdef(c.oid))
      FROM pg_class c
     WHERE c.relkind IN ('v', 'm') AND {ours_c}
    """,
    """
    SELECT format('function %s', pg_get_functiondef(f.oid))
      FROM pg_proc f
     WHERE f.prokind IN ('f', 'p') AND {ours_f}
    """,
    """
    SELECT format('trigger %s enabled %s', pg_get_triggerdef(g.oid), g.tgenabled)
      FROM pg_trigger g JOIN pg_class c ON c.oid = g.tgrelid
     WHERE NOT g.tgisinternal AND {ours_c}
    """,
    """
    SELECT format('rule %s', pg_get_ruledef(r.oid))
      FROM pg_rewrite r JOIN pg_class c ON c.oid = r.ev_class
     WHERE r.rulename <> '_RETURN' AND {ours_c}
    """,
    # types made by hand: enumerations with their values, domains, composite types
    """
    SELECT format('type %s %s %s', t.typname, t.typtype,
                  coalesce((SELECT string_agg(e.enumlabel, ', ' ORDER BY e.enumsortorder) FROM pg_enum e
                             WHERE e.enumtypid = t.oid), format_type(t.typbasetype, t.typtypmod), ''))
      FROM pg_type t LEFT JOIN pg_class c ON c.oid = t.typrelid
     WHERE (t.typtype IN ('e', 'd', 'r') OR (t.typtype = 'c' AND c.relkind = 'c')) AND {ours_t}
    """,
    "SELECT format('extension %s', extname) FROM pg_extension",
)

_SCHEMA = "quote_ident(current_schema())::regnamespace"
_OURS = (("c", "relnamespace", "pg_class"), ("f", "pronamespace", "pg_proc"), ("t", "typnamespace", "pg_type"))


def fingerprint(connection: HasCursor) -> list[str]:
    """Every object of the current schema and every extension, one line each, sorted.

    Columns (type, NOT NULL, identity, generated, default), constraints and whether they are validated, indexes and
    whether they are valid, policies, row-level security, rights (by column too), sequences, views, functions,
    triggers, rules, types. `connection` is a psycopg2 connection or a Peewee database.
    """
    cursor = connection.cursor()
    lines: list[str] = []
    for query in _QUERIES:
        cursor.execute(_filled(query))
        lines += [" ".join(line.split()) for (line,) in cursor.fetchall()]
    return sorted(lines)


def _filled(query: str) -> str:
    for alias, column, catalogue in _OURS:
        ours = (
            f"{alias}.{column} = {_SCHEMA} AND NOT EXISTS (SELECT FROM pg_depend x "
            f"WHERE x.classid = '{catalogue}'::regclass AND x.objid = {alias}.oid AND x.deptype = 'e')"
        )
        query = query.replace(f"{{ours_{alias}}}", ours)
    return query.replace("{schema}", _SCHEMA)

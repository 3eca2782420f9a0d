"""Compares each shard on each node with the coordinator's table, which is as the migrations make it.

Row-level security, constraints and rights hold where the rows are: on the shards. What the coordinator's catalogue says
is not proof of it, as Citus hands on some things as others.
"""

from __future__ import annotations

import json
import re
from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any, Final

from psycopg2.extensions import connection as Connection  # noqa: N812 - psycopg2 names its classes in lower case

from rayces_core.citus.tables import tables_of

# Everything of a table that keeps its rows right, as JSON. What it is called differs on the shards.
_FACTS: Final = """
SELECT json_build_object(
  'owner', (SELECT c.relowner::regrole::text FROM pg_class c WHERE c.oid = t.oid),
  'persistence', (SELECT c.relpersistence::text FROM pg_class c WHERE c.oid = t.oid),
  'row-level security', (SELECT c.relrowsecurity::text || ' ' || c.relforcerowsecurity::text
                           FROM pg_class c WHERE c.oid = t.oid),
  'policies', (SELECT json_object_agg(p.polname, concat_ws(' | ',
        CASE WHEN p.polpermissive THEN 'permissive' ELSE 'restrictive' END, p.polcmd::text,
        (SELECT string_agg(coalesce(r.rolname::text, 'public'), ',' ORDER BY r.rolname)
           FROM unnest(p.polroles) AS each LEFT JOIN pg_roles r ON r.oid = each),
        'using ' || coalesce(pg_get_expr(p.polqual, p.polrelid), '-'),
        'check ' || coalesce(pg_get_expr(p.polwithcheck, p.polrelid), '-')))
      FROM pg_policy p WHERE p.polrelid = t.oid),
  'constraints', (SELECT json_agg(k.contype::text || ' ' || pg_get_constraintdef(k.oid)
                                  || CASE WHEN k.convalidated THEN '' ELSE ' NOT VALID' END
                                  || CASE WHEN EXISTS (SELECT FROM pg_trigger g WHERE g.tgconstraint = k.oid
                                                          AND g.tgenabled NOT IN ('O', 'A'))
                                          THEN ' SWITCHED OFF' ELSE '' END)
      FROM pg_constraint k WHERE k.conrelid = t.oid AND k.contype IN ('c', 'f', 'p', 'u', 'x')),
  'indexes', (SELECT json_agg(regexp_replace(pg_get_indexdef(i.indexrelid), '^CREATE (UNIQUE )?INDEX .* ON \\S+',
                                             'CREATE \\1INDEX') || CASE WHEN i.indisvalid THEN '' ELSE ' INVALID' END)
      FROM pg_index i WHERE i.indrelid = t.oid),
  'triggers', (SELECT json_agg(g.tgenabled::text || ' ' || pg_get_triggerdef(g.oid))
      FROM pg_trigger g WHERE g.tgrelid = t.oid AND NOT g.tgisinternal),
  'rules', (SELECT json_agg(w.ev_enabled::text || ' ' || pg_get_ruledef(w.oid)) FROM pg_rewrite w
      WHERE w.ev_class = t.oid),
  'columns', (SELECT json_object_agg(a.attname, concat_ws(' | ', format_type(a.atttypid, a.atttypmod),
        CASE WHEN a.attnotnull THEN 'not null' END, nullif(a.attgenerated::text, ''),
        CASE WHEN a.attgenerated <> '' THEN (SELECT pg_get_expr(d.adbin, d.adrelid) FROM pg_attrdef d
                                              WHERE d.adrelid = a.attrelid AND d.adnum = a.attnum) END))
      FROM pg_attribute a WHERE a.attrelid = t.oid AND a.attnum > 0 AND NOT a.attisdropped),
  'rights', (SELECT json_agg(DISTINCT g.who || ' ' || g.what)
      FROM (SELECT coalesce(r.rolname::text, 'public') AS who, x.privilege_type || coalesce(' of ' || x.name, '')
                   || CASE WHEN x.is_grantable THEN ' with grant option' ELSE '' END AS what
              FROM (SELECT NULL::text AS name, e.* FROM pg_class c, aclexplode(c.relacl) e WHERE c.oid = t.oid
                    UNION ALL
                    SELECT a.attname, e.* FROM pg_attribute a, aclexplode(a.attacl) e
                     WHERE a.attrelid = t.oid AND NOT a.attisdropped) x
              LEFT JOIN pg_roles r ON r.oid = x.grantee
             WHERE x.grantee <> (SELECT relowner FROM pg_class WHERE oid = t.oid)) g)
)::text FROM (SELECT %s::regclass::oid AS oid) AS t
"""
# On each node an id is taken from the sequence that is there.
_SEQUENCE_FACTS: Final = """
SELECT coalesce(json_object_agg(name, (SELECT string_agg(each, ', ' ORDER BY each)
         FROM (SELECT DISTINCT coalesce(r.rolname::text, 'public') || ' ' || x.privilege_type AS each
                 FROM pg_class c, aclexplode(c.relacl) x LEFT JOIN pg_roles r ON r.oid = x.grantee
                WHERE c.oid = name::regclass AND x.grantee <> c.relowner) AS granted)), '{}')::text
  FROM (SELECT pg_get_serial_sequence(name, a.attname) AS name
          FROM unnest(ARRAY[%s]) AS name JOIN pg_attribute a ON a.attrelid = name::regclass
         WHERE a.attidentity <> '' AND NOT a.attisdropped) AS sequences
"""
# Roles are of a server, not of a database: each node has its own.
_ROLE_FACTS: Final = """
SELECT coalesce(json_object_agg(rolname, concat_ws(' ', CASE WHEN rolsuper THEN 'superuser' END,
         CASE WHEN rolbypassrls THEN 'bypassrls' END, CASE WHEN rolcanlogin THEN 'login' END,
         'member of ' || (SELECT string_agg(g.rolname::text, ',' ORDER BY g.rolname) FROM pg_auth_members m
                            JOIN pg_roles g ON g.oid = m.roleid WHERE m.member = r.oid))), '{}')::text
  FROM pg_roles r WHERE rolname IN (%s)
"""
# Without a distance of its own a shard's name ends in its number, and other names on it in theirs.
_NUMBER: Final = re.compile(r"_\d{6,}\b")
# Made anew out of its text, a list of words is cast word by word.
_LIST: Final = re.compile(r"\(\(ARRAY\[((?:'(?:[^']|'')*'::character varying(?:, )?)+)\]\)::text\[\]\)")
_WORD: Final = re.compile(r"'(?:[^']|'')*'::character varying")
_ON_SHARDS: Final = """
SELECT nodename || ':' || nodeport, shardid, success, result
  FROM run_command_on_placements(%(table)s::oid::regclass, %(command)s)
"""
_ON_NODES: Final = """
SELECT coalesce(n.nodename || ':' || n.nodeport, r.nodeid::text), r.success, r.result
  FROM run_command_on_all_nodes(%s) r LEFT JOIN pg_dist_node n USING (nodeid)
"""


@dataclass(frozen=True, slots=True)
class Difference:
    """Something that is not on a node as it is on the coordinator.

    Attributes: `object`, the table or role; `where`, its places, such as "shard 102008 on 10.0.0.7:5432"; `kind`, such
    as "policies"; `expected` and `found`, what is there and what should be.
    """

    object: str
    where: str
    kind: str
    expected: str
    found: str


def compare(
    connection: Connection, *, app_role: str = "rayces_app", admin_role: str = "rayces_admin"
) -> list[Difference]:
    """Say what of the tables, on any node, is not as the coordinator has it; an empty list when all is well.

    The connection is to the coordinator, as a superuser or an owner of the tables who is let in on every node.
    """
    found: dict[tuple[str, str, str, str], list[str]] = {}
    with connection.cursor() as cursor:
        for difference, place in _differences(cursor, (app_role, admin_role)):
            found.setdefault(difference, []).append(place)
    return [
        Difference(object_, _together(places), kind, expected, is_now)
        for (object_, kind, expected, is_now), places in found.items()
    ]


def _together(places: list[str]) -> str:
    return places[0] if len(places) == 1 else f"{places[0]} and {len(places) - 1} more"


def _differences(cursor: Any, roles: tuple[str, ...]) -> Iterator[tuple[tuple[str, str, str, str], str]]:
    tables = [table for table in tables_of(cursor) if table.is_now is not None]
    for table in tables:
        wanted = _facts(cursor, table.name)
        for place, said in _said(cursor, table.oid, table.name):
            yield from (((table.name, *each), place) for each in _unlike(wanted, said))
    for kind, facts, names in (
        ("sequence", _SEQUENCE_FACTS, [table.name for table in tables]),
        ("role", _ROLE_FACTS, list(roles)),
    ):
        command = facts % ", ".join(cursor.mogrify("%s", (name,)).decode() for name in names)
        cursor.execute(command)
        wanted = json.loads(cursor.fetchone()[0])
        for node, said in _on_nodes(cursor, command):
            for name, there in wanted.items():
                found = said.get(name, f"no such {kind}") if isinstance(said, dict) else said
                if found != there:
                    yield (name, kind, str(there), str(found)), node


def _read(text: str) -> dict[str, Any]:
    """Facts as they compare: without the shards' numbers, and lists of words as they are on shards."""
    one_by_one = _LIST.sub(
        lambda found: "(ARRAY[" + _WORD.sub(r"(\g<0>)::text", found[1]) + "])", _NUMBER.sub("", text)
    )
    return dict(json.loads(one_by_one))


def _facts(cursor: Any, name: str) -> dict[str, Any]:
    cursor.execute(_FACTS.replace("%s", cursor.mogrify("%s", (name,)).decode()))
    return _read(cursor.fetchone()[0])


def _said(cursor: Any, oid: int, name: str) -> Iterator[tuple[str, Any]]:
    """What each shard, and the table itself on each node, is like."""
    cursor.execute(_ON_SHARDS, {"table": oid, "command": _FACTS.replace("%s", "'%s'")})
    for node, shard, success, said in cursor.fetchall():
        yield f"shard {shard} on {node}", _read(said) if success else said
    command = _FACTS.replace("%s", cursor.mogrify("%s", (name,)).decode())
    yield from ((f"{name} on {node}", said) for node, said in _on_nodes(cursor, command))


def _on_nodes(cursor: Any, command: str) -> list[tuple[str, Any]]:
    cursor.execute(_ON_NODES, (command,))
    return [(node, _read(said) if success else said) for node, success, said in cursor.fetchall()]


def _unlike(wanted: dict[str, Any], said: Any) -> Iterator[tuple[str, str, str]]:
    if not isinstance(said, dict):
        yield "answer", "what it is like", str(said)
        return
    for kind, expected in wanted.items():
        there = said.get(kind)
        if isinstance(expected, dict) or isinstance(there, dict):
            for name in sorted({*(expected or {}), *(there or {})}):
                one, other = (expected or {}).get(name, "none"), (there or {}).get(name, "none")
                if one != other:
                    yield kind, f"{name}: {one}", f"{name}: {other}"
        elif isinstance(expected, list) or isinstance(there, list):
            missing, more = set(expected or ()) - set(there or ()), set(there or ()) - set(expected or ())
            if missing or more:
                yield kind, "; ".join(sorted(missing)) or "nothing more", "; ".join(sorted(more)) or "nothing of it"
        elif expected != there:
            yield kind, str(expected), str(there)

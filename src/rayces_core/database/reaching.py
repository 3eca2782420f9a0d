"""Whether the bound tenant reaches the rows: known extensions by name, any other by its plans, a proxy by asking.

Row-level security asks the session for the tenant. Where another server, another session or a machine of an extension's
own reads the rows, it is asked there, and nobody may have told it: reads come back empty, or with everybody's rows.
"""

from __future__ import annotations

import json
from collections.abc import Iterator
from typing import Any, Final

from rayces_core.database.binding import Binding
from rayces_core.database.connection import TenantConnection
from rayces_core.database.options import CITUS, Options
from rayces_core.errors import ConfigurationError, IsolationInertError, RoleNotHeldError

_HAS_CITUS: Final = """
SELECT EXISTS (SELECT FROM pg_extension WHERE extname = 'citus'),
       EXISTS (SELECT FROM pg_class WHERE relname = 'pg_dist_partition' AND relkind IN ('r', 'p', 'v', 'm', 'f'))
"""

# What is with Citus has to be with it whole: all by their organization, organizations itself on every node, and no
# policy that Citus would hand on as another one.
_IS_DISTRIBUTED: Final = """
WITH root AS (SELECT oid, relnamespace FROM pg_class WHERE oid = to_regclass('organizations')),
known AS (
    SELECT c.oid, c.oid::regclass::text AS name, c.oid = root.oid AS is_root, p.colocationid,
           p.logicalrelid IS NOT NULL AS is_there,
           CASE WHEN c.oid = root.oid THEN p.partmethod = 'n' AND p.repmodel = 't'
                ELSE p.partmethod = 'h' AND column_to_column_name(p.logicalrelid, p.partkey) = 'organization_id' END
               AS is_right
      FROM root, pg_class c LEFT JOIN pg_dist_partition p ON p.logicalrelid = c.oid
     WHERE c.relkind IN ('r', 'p') AND c.relnamespace = root.relnamespace AND NOT c.relispartition
       AND (c.oid = root.oid OR EXISTS (SELECT FROM pg_attribute a WHERE a.attrelid = c.oid
                                          AND a.attname = 'organization_id' AND NOT a.attisdropped))
)
SELECT bool_or(is_there),
       array_agg(name ORDER BY name) FILTER (WHERE is_right IS NOT TRUE),
       count(DISTINCT colocationid) FILTER (WHERE NOT is_root),
       (SELECT array_agg(format('%s of %s', quote_ident(p.polname), p.polrelid::regclass) ORDER BY p.oid)
          FROM pg_policy p JOIN known ON known.oid = p.polrelid WHERE NOT p.polpermissive)
  FROM known
"""

# Whether this node has shards, and whether the other nodes are reached as the role, and as whom COPY reads.
_HOW_IT_STANDS: Final = """
SELECT coalesce((SELECT n.shouldhaveshards FROM pg_dist_node n JOIN pg_dist_local_group g USING (groupid)
                  WHERE n.noderole = 'primary'), true),
       r.rolcanlogin, session_user::text
  FROM pg_roles r WHERE r.rolname = %s
"""

# Those of PostgreSQL itself plan nothing; one without a library cannot.
_OWN: Final = (
    "adminpack amcheck autoinc bloom btree_gin btree_gist citext cube dblink dict_int dict_xsyn earthdistance file_fdw "
    "fuzzystrmatch hstore hstore_plperl hstore_plperlu hstore_plpython3u insert_username intagg intarray isn "
    "jsonb_plperl jsonb_plperlu jsonb_plpython3u lo ltree ltree_plpython3u moddatetime old_snapshot pageinspect "
    "pg_buffercache pg_freespacemap pg_logicalinspect pg_prewarm pg_stat_statements pg_surgery pg_trgm pg_visibility "
    "pg_walinspect pgcrypto pgrowlocks pgstattuple plperl plperlu plpgsql plpython3u pltcl pltclu postgres_fdw refint "
    "seg sslinfo tablefunc tcn tsm_system_rows tsm_system_time unaccent uuid-ossp xml2"
)
_MAY_PLAN: Final = """
SELECT array_agg(x.extname::text ORDER BY x.extname)
  FROM pg_extension x
 WHERE x.extname <> ALL (string_to_array(%(own)s, ' ')::name[])
   AND EXISTS (SELECT FROM pg_depend d JOIN pg_proc p ON d.classid = 'pg_proc'::regclass AND d.objid = p.oid
                       JOIN pg_language l ON l.oid = p.prolang AND l.lanname = 'c'
                WHERE d.refclassid = 'pg_extension'::regclass AND d.refobjid = x.oid AND d.deptype = 'e')
"""
_TABLES: Final = """
SELECT array_agg(c.oid::regclass::text ORDER BY c.oid)
  FROM pg_class c JOIN pg_class root ON root.oid = to_regclass('organizations')
 WHERE c.relkind IN ('r', 'p') AND c.relnamespace = root.relnamespace
   AND (c.oid = root.oid OR EXISTS (SELECT FROM pg_attribute a WHERE a.attrelid = c.oid
                                      AND a.attname = 'organization_id' AND NOT a.attisdropped))
   AND has_any_column_privilege(%(role)s, c.oid, 'SELECT')
"""
# As a read of a table, so that what sends reads elsewhere does so with this one.
_HEARD: Final = """
SELECT coalesce(pg_catalog.current_setting('rayces.organization_id', true), ''), current_user::text
  FROM (SELECT 1) AS one LEFT JOIN organizations ON false"""
# Nodes that an extension may put into a plan, and what such a node holds where this process asks for the tenant.
_FOREIGN_NODES: Final = ("Custom Scan", "Foreign Scan")
_ASKED_HERE: Final = ("Filter", "Index Cond", "Recheck Cond", "One-Time Filter")


def check_engine(connection: TenantConnection, role: str, given: Options, *, privileged: bool) -> None:
    """Raise unless the rows are where the engine of a Database tells the tenant.

    Raises:
        IsolationInertError: the database is Citus' and another engine was asked for, or an extension reads the rows in
            a way of its own. ConfigurationError: there is no Citus, but its engine was asked for.
    """
    check_citus(connection, role, given, privileged=privileged)
    if given.engine != CITUS:
        _check_plans(connection, role)


def check_citus(connection: TenantConnection, role: str, given: Options, *, privileged: bool) -> None:
    """The part of it that is asked of each connection: a database may become Citus' while an application runs."""
    installed, has_table = _one(connection, _HAS_CITUS)
    if given.engine == CITUS:
        if not installed:
            raise ConfigurationError('this database has no Citus, so leave engine="citus" out')
        if _check_distribution(connection, role):
            _check_standing(connection, role, privileged=privileged)
    elif installed or has_table:
        raise IsolationInertError(
            "this database has Citus, whose other nodes would not be told the tenant, so that reads would come back "
            'empty; ask for its engine, Database.connect(url, engine="citus") or --engine citus (docs/citus.md)'
        )


def _check_distribution(connection: TenantConnection, role: str) -> bool:
    """Whether the tables are distributed; raises where some are, and not as they must be."""
    is_any, wrong, groups, restrictive = _one(connection, f'SET LOCAL ROLE "{role}"; {_IS_DISTRIBUTED}')
    if not is_any:
        return False
    if wrong or groups > 1:
        what = f"Citus has not got {', '.join(wrong)} as" if wrong else "Citus has the tables in several groups, not as"
        raise IsolationInertError(
            f"{what} the tenant reaches them; run `rayces citus distribute`, which says what it cannot mend"
        )
    if restrictive:
        raise IsolationInertError(
            f"Citus takes RESTRICTIVE from a policy, which then opens what it was to close: {', '.join(restrictive)}; "
            "run `rayces migrate up`, write policies of your own as permissive ones, and run `rayces citus check`"
        )
    return True


def _check_standing(connection: TenantConnection, role: str, *, privileged: bool) -> None:
    has_shards, logs_in, login = _one(connection, _HOW_IT_STANDS, (role,))
    if has_shards:
        raise ConfigurationError(
            "this node of Citus holds shards, and an import would crash it; connect to a coordinator that holds none "
            "(citus_set_node_property(…, 'shouldhaveshards', false))"
        )
    if not logs_in:
        raise RoleNotHeldError(
            f'Citus comes to its other nodes as {role}, which may not log in; a DBA can allow it: ALTER ROLE "{role}" '
            "LOGIN; or run `rayces citus distribute`"
        )
    if not privileged and login != role:
        raise IsolationInertError(
            f"Citus copies a table as the login, {login}, so that COPY … TO would give no rows to {role}; let the URL "
            f"log in as {role} itself, and admin_url say who does privileged work"
        )


def _check_plans(connection: TenantConnection, role: str) -> None:
    (extensions,) = _one(connection, _MAY_PLAN, {"own": _OWN})
    if not extensions:
        return
    (tables,) = _one(connection, f'SET LOCAL ROLE "{role}"; {_TABLES}', {"role": role})
    for table in tables or ():  # one by one: the locks of several could meet those of a migration
        (plan,) = _one(connection, f'SET LOCAL ROLE "{role}"; EXPLAIN (FORMAT JSON, COSTS OFF) SELECT FROM {table}')
        nodes = ", ".join(read_elsewhere(plan if isinstance(plan, list) else json.loads(plan)))
        if nodes:
            raise IsolationInertError(
                f"{table} is read by {nodes} of an extension ({', '.join(extensions)}), where row-level security does "
                "not ask for the tenant; make it a table that PostgreSQL itself reads"
            )


def read_elsewhere(plan: list[dict[str, Any]]) -> list[str]:
    """The scans of a plan (EXPLAIN's JSON) that read rows without a condition of row-level security in this process."""
    return [found for each in plan for found in _elsewhere(each.get("Plan", {}))]


def _elsewhere(node: dict[str, Any]) -> Iterator[str]:
    below = node.get("Plans", [])
    if node.get("Node Type") in _FOREIGN_NODES and not below and not any(key in node for key in _ASKED_HERE):
        yield f"{node['Node Type']} ({node.get('Custom Plan Provider', 'foreign data')})"
    for each in below:
        yield from _elsewhere(each)


def prove(connection: TenantConnection, binding: Binding) -> None:
    """Raise unless a tenant that is bound is bound for the statements after it; the connection stands already.

    Where it raises the connection is not used any more.

    Raises:
        IsolationInertError: it is not, as where a proxy sends the statements of one transaction to several servers.
    """
    check, connection.check = connection.check, None  # how far a replica is, is asked by who reads there
    try:
        connection.begin(binding)
        heard = _one(connection, _HEARD)
        connection.end("ROLLBACK")
    finally:
        connection.check = check
    if heard != (binding.tenant, binding.role):
        raise IsolationInertError(
            "what was bound for a transaction is not bound for its next statement, so something between here and the "
            "server, such as a proxy that sends reads elsewhere, parts the two; connect past it, or have it keep a "
            "transaction on one server"
        )


def _one(connection: TenantConnection, statement: str, values: Any = None) -> tuple[Any, ...]:
    return connection.plain(statement, values).fetchone() or ()

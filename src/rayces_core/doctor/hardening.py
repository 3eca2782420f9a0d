"""Whether a database that was hardened still is: all of it, for every login, and after a restore."""

from __future__ import annotations

from typing import Final

from rayces_core.doctor.finding import Check
from rayces_core.migrating.hardening import FUNCTIONS, LEFT_OUT, MARK, ROLES_CALL_IT_BEFORE, SET_CONFIG, SETTINGS
from rayces_core.migrating.refusing import FAULT, SCHEMA

_NAMES: Final = ", ".join(f"('pg_catalog.{name}'::regprocedure)" for name in FUNCTIONS)
_TO_PUBLIC: Final = "a.grantee = 0 AND a.privilege_type = "
_BINDS: Final = f"current_setting('server_version_num')::int < {ROLES_CALL_IT_BEFORE}"

# `open` is what PUBLIC still has; `marked` whether the database says that it was hardened, `left_out` that it was so
# without event triggers. Their function lets by whoever may call it.
HARDENING: Final = f"""
guarded(oid) AS (VALUES {_NAMES}),
held_back(oid) AS (
    SELECT oid FROM guarded
    UNION ALL
    SELECT p.oid FROM pg_proc p
     WHERE p.pronamespace = to_regnamespace('{SCHEMA}')
       AND NOT EXISTS (SELECT FROM aclexplode(coalesce(p.proacl, acldefault('f', p.proowner))) a WHERE a.grantee = 0)
),
hardening AS (
    SELECT (SELECT count(*) FROM guarded g JOIN pg_proc p USING (oid)
             WHERE EXISTS (SELECT FROM aclexplode(coalesce(p.proacl, acldefault('f', p.proowner))) a
                            WHERE {_TO_PUBLIC}'EXECUTE'))
           + (SELECT count(*) FROM pg_class c
               WHERE c.oid = 'pg_catalog.{SETTINGS}'::regclass
                 AND EXISTS (SELECT FROM aclexplode(c.relacl) a WHERE {_TO_PUBLIC}'UPDATE')) AS open,
           (SELECT count(*) FROM guarded) + 1 AS all,
           EXISTS (SELECT FROM pg_policy p, root
                    WHERE p.polrelid = root.oid AND p.polname = 'rayces_tenant'
                      AND obj_description(p.oid, 'pg_policy') LIKE '{MARK}%%') AS marked,
           EXISTS (SELECT FROM pg_policy p, root
                    WHERE p.polrelid = root.oid AND p.polname = 'rayces_tenant'
                      AND obj_description(p.oid, 'pg_policy') LIKE '{MARK}%%{LEFT_OUT}%%') AS left_out
)"""

# As a comment, so that it stands among SQL: it also notes what it gives, which is to be taken back by --undo.
_AGAIN: Final = "-- rayces migrate harden --yes"

CHECKS = (
    Check(
        "hardening-undone",
        "warning",
        'SELECT quote_ident(current_database()) AS object FROM hardening WHERE marked AND open = "all"',
        "the database was hardened and is no more, as after a restore without privileges",
        _AGAIN,
    ),
    Check(
        "hardening-incomplete",
        "warning",
        """SELECT quote_ident(current_database()) AS object, open FROM hardening
            WHERE open < "all" AND (open > 0 OR NOT marked)""",
        "the database is hardened by half: every role of the server still has {open} of what hardening takes away",
        _AGAIN,
    ),
    Check(
        "hardening-bypassed",
        "warning",
        f"""SELECT quote_ident(app.rolname) AS object,
                  string_agg(g.oid::regprocedure::text, ', ' ORDER BY g.oid) AS what,
                  (SELECT string_agg(format('REVOKE EXECUTE ON FUNCTION %%s.%%I(%%s) FROM %%I;',
                                            p.pronamespace::regnamespace, p.proname,
                                            pg_get_function_identity_arguments(p.oid), pg_get_userbyid(a.grantee)), ' ')
                     FROM held_back h JOIN pg_proc p USING (oid), aclexplode(p.proacl) a
                    WHERE a.grantee <> 0 AND pg_has_role(app.oid, a.grantee, 'USAGE')
                      AND NOT (p.oid = 'pg_catalog.{SET_CONFIG}'::regprocedure AND {_BINDS})) AS mend
             FROM hardening, app, held_back g
            WHERE open = 0 AND app.rolname <> session_user AND has_function_privilege(app.oid, g.oid, 'EXECUTE')
              AND NOT (g.oid = 'pg_catalog.{SET_CONFIG}'::regprocedure AND {_BINDS})
            GROUP BY app.oid, app.rolname""",
        "the database is hardened, but this role has been given {what}",
        "{mend}",
    ),
    Check(
        "hardening-trigger",
        "warning",
        f"""SELECT quote_ident(current_database()) AS object, fault FROM hardening, LATERAL {FAULT} AS found(fault)
            WHERE marked AND open < "all" AND NOT left_out AND fault IS NOT NULL""",
        "the database is hardened, but what refuses DROP OWNED BY and other changes of the schema to tenants {fault}",
        _AGAIN,
    ),
    Check(
        "hardening-login",
        "error",
        f"""SELECT quote_ident(r.rolname) AS object FROM hardening, server_role r
            WHERE open = 0 AND r.rolcanlogin AND NOT r.rolsuper
              AND NOT has_function_privilege(r.oid, 'pg_catalog.{SET_CONFIG}'::regprocedure, 'EXECUTE')
              AND EXISTS (SELECT FROM server_role held WHERE held.rolname IN (
                                   %(app_role)s, %(admin_role)s, %(reader_role)s, %(auditor_role)s)
                             AND pg_has_role(r.oid, held.oid, 'MEMBER'))""",
        "the database is hardened, and this login, made later, may not call set_config, which the library needs",
        _AGAIN,
    ),
)

"""What the tenants' role may use that belongs to no organization: all tenants share it, so it is declared.

A table of jobs or of a queue is the usual one: what one tenant puts in, another reads, changes or empties. A comment on
the object that says `rayces: shared` declares it, and stays with it through dump and restore.
"""

from __future__ import annotations

from rayces_core.doctor.finding import Check
from rayces_core.doctor.holders import OF_RELATION, OF_ROUTINE
from rayces_core.migrating.history import IS_HISTORY

_KINDS = """CASE c.relkind WHEN 'v' THEN 'VIEW' COLLATE "C" WHEN 'm' THEN 'MATERIALIZED VIEW'
                             WHEN 'f' THEN 'FOREIGN TABLE'
                             ELSE 'TABLE' END"""
# What neither came with an extension nor is declared.
_ITS_OWN = """NOT EXISTS (SELECT FROM pg_depend d WHERE d.classid = '{catalogue}'::regclass AND d.objid = {alias}.oid
                                 AND d.deptype = 'e')
              AND coalesce(obj_description({alias}.oid, '{catalogue}'), '') !~ '\\mrayces: shared\\M'"""
_ITS_OWN_RELATION = _ITS_OWN.format(catalogue="pg_class", alias="c")
_ITS_OWN_ROUTINE = _ITS_OWN.format(catalogue="pg_proc", alias="p")

CHECKS = (
    Check(
        "shared-relation",
        "warning",
        f"""SELECT c.oid::regclass::text AS object, {_KINDS} AS kind, lower({_KINDS}) AS word,
                  CASE WHEN readable THEN 'read it: what is in it every tenant sees'
                       ELSE 'write to it: what one tenant puts there another may change or take away' END AS what,
                  {OF_RELATION} AS holders
             FROM app, reachable JOIN pg_class c USING (oid)
            WHERE c.relowner <> app.oid AND c.oid NOT IN (SELECT oid FROM tenant)
              AND c.oid NOT IN (SELECT oid FROM invoker) AND c.oid NOT IN (SELECT oid FROM over_tenants)
              AND (c.relkind NOT IN ('r', 'p') OR NOT EXISTS (
                   SELECT FROM pg_constraint k JOIN tenant t ON t.oid = k.confrelid
                    WHERE k.conrelid = c.oid AND k.contype = 'f'))
              AND NOT (c.relkind = 'f' AND EXISTS (
                   SELECT FROM pg_attribute a WHERE a.attrelid = c.oid AND a.attname = 'organization_id'
                      AND NOT a.attisdropped))
              AND NOT {IS_HISTORY}
              AND {_ITS_OWN_RELATION}""",
        "the {word} belongs to no organization, and {app_role} may {what}",
        "REVOKE ALL ON {object} FROM {holders}; -- or, where every tenant may see it: "
        "COMMENT ON {kind} {object} IS 'rayces: shared';",
    ),
    Check(
        "shared-function",
        "warning",
        f"""SELECT p.oid::regprocedure::text AS object, quote_ident(o.rolname) AS owner,
                  {OF_ROUTINE} AS holders
             FROM app, pg_proc p JOIN server_role o ON o.oid = p.proowner JOIN pg_namespace n ON n.oid = p.pronamespace
            WHERE p.prosecdef AND p.prokind IN ('f', 'p') AND p.proowner <> app.oid
              AND p.prorettype NOT IN ('trigger'::regtype, 'event_trigger'::regtype)
              AND n.nspname NOT LIKE 'pg\\_%%' AND n.nspname <> 'information_schema'
              AND has_schema_privilege(app.oid, n.oid, 'USAGE') AND has_function_privilege(app.oid, p.oid, 'EXECUTE')
              AND NOT EXISTS (SELECT FROM tenant t WHERE p.prosrc || coalesce(pg_get_function_sqlbody(p.oid), '')
                                                         ~* ('\\m' || t.relname || '\\M'))
              AND {_ITS_OWN_ROUTINE}""",
        "{app_role} may call the function, which reads and writes as {owner} and for no organization in particular",
        "REVOKE EXECUTE ON ROUTINE {object} FROM {holders}; -- or, where every tenant may call it: "
        "COMMENT ON ROUTINE {object} IS 'rayces: shared';",
    ),
    # A default of the table takes the next number of a serial; setval is nobody's, as it would stop all inserts. An
    # identity column needs no right at all.
    Check(
        "shared-sequence",
        "warning",
        f"""SELECT c.oid::regclass::text AS object, w.severity, w.what, {OF_RELATION} AS holders,
                  CASE WHEN needed THEN 'SELECT, UPDATE' ELSE 'ALL' END AS rights
             FROM app, pg_class c JOIN pg_namespace n ON n.oid = c.relnamespace,
                  LATERAL (SELECT EXISTS (
                      SELECT FROM pg_depend d WHERE d.classid = 'pg_attrdef'::regclass
                         AND d.refclassid = 'pg_class'::regclass AND d.refobjid = c.oid) AS needed) u,
                  LATERAL (SELECT CASE WHEN has_sequence_privilege(app.oid, c.oid, 'UPDATE') THEN 'error'
                                       ELSE 'warning' END AS severity,
                                  CASE WHEN has_sequence_privilege(app.oid, c.oid, 'UPDATE')
                                       THEN 'set its number, so that no tenant can insert any more'
                                       ELSE 'read from it how many rows all tenants have made' END AS what) w
            WHERE c.relkind = 'S' AND c.relowner <> app.oid
              AND n.nspname NOT LIKE 'pg\\_%%' AND n.nspname <> 'information_schema'
              AND has_schema_privilege(app.oid, n.oid, 'USAGE')
              AND has_sequence_privilege(app.oid, c.oid,
                      CASE WHEN needed THEN 'SELECT, UPDATE' ELSE 'USAGE, SELECT, UPDATE' END)
              AND {_ITS_OWN_RELATION}""",
        "no policy holds a sequence, and {app_role} may {what}",
        "REVOKE {rights} ON SEQUENCE {object} FROM {holders};",
    ),
    # What the server keeps about everybody is open to everybody where PostgreSQL has it so; a grant says more.
    Check(
        "shared-catalogue",
        "error",
        """SELECT c.oid::regclass::text AS object, string_agg(DISTINCT g.privilege_type, ', ') AS privileges,
                  string_agg(DISTINCT quote_ident(pg_get_userbyid(g.grantee)), ', ') AS holders
             FROM app, pg_class c JOIN pg_namespace n ON n.oid = c.relnamespace,
                  LATERAL (SELECT * FROM aclexplode(c.relacl) UNION ALL
                           SELECT x.* FROM pg_attribute a, aclexplode(a.attacl) x WHERE a.attrelid = c.oid) g
            WHERE n.nspname IN ('pg_catalog', 'pg_toast', 'information_schema') AND g.grantee <> 0
              AND g.grantee <> c.relowner AND pg_has_role(app.oid, g.grantee, 'USAGE')
              AND g.grantee NOT IN (SELECT oid FROM overreach) AND NOT EXISTS (
                  SELECT FROM pg_init_privs i WHERE i.classoid = 'pg_class'::regclass AND i.objoid = c.oid
                     AND EXISTS (SELECT FROM aclexplode(i.initprivs) o WHERE o.grantee = g.grantee))
            GROUP BY c.oid""",
        "{holders} has been given {privileges} on what the server keeps about everybody, which no policy holds",
        "REVOKE ALL ON {object} FROM {holders};",
    ),
    Check(
        "shared-parameter",
        "error",
        """SELECT quote_ident(s.parname) AS object, string_agg(DISTINCT g.privilege_type, ', ') AS privileges,
                  string_agg(DISTINCT CASE WHEN g.grantee = 0 THEN 'PUBLIC'
                                           ELSE quote_ident(pg_get_userbyid(g.grantee)) END, ', ') AS holders
             FROM app, pg_parameter_acl s, aclexplode(s.paracl) g
            WHERE g.grantee = 0 OR pg_has_role(app.oid, g.grantee, 'USAGE')
            GROUP BY s.parname""",
        "{holders} may change a setting that only superusers may: session_replication_role switches foreign keys off",
        "REVOKE {privileges} ON PARAMETER {object} FROM {holders};",
    ),
    # Such a language reaches files and network of the server, whatever the role.
    Check(
        "shared-untrusted",
        "error",
        f"""SELECT p.oid::regprocedure::text AS object, quote_ident(l.lanname) AS language, {OF_ROUTINE} AS holders
             FROM app, pg_proc p JOIN pg_language l ON l.oid = p.prolang JOIN pg_namespace n ON n.oid = p.pronamespace
            WHERE NOT l.lanpltrusted AND p.oid >= 16384
              AND p.prorettype NOT IN ('trigger'::regtype, 'event_trigger'::regtype)
              AND has_schema_privilege(app.oid, n.oid, 'USAGE') AND has_function_privilege(app.oid, p.oid, 'EXECUTE')
              AND {_ITS_OWN_ROUTINE}""",
        "{app_role} may call a function in {language}, which does whatever the server's own user may",
        "REVOKE EXECUTE ON ROUTINE {object} FROM {holders}; -- or, where every tenant may call it: "
        "COMMENT ON ROUTINE {object} IS 'rayces: shared';",
    ),
)

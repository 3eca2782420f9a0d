"""What the tenants' role reads that belongs to no organization: all tenants share it, so it has to be declared.

A table of jobs or of a queue is the usual one: what one tenant puts in, another reads. A comment on the object that
says `rayces: shared` declares it, and stays with it through dump and restore.
"""

from __future__ import annotations

from rayces_core.doctor.finding import Check

_KINDS = """CASE c.relkind WHEN 'v' THEN 'VIEW' COLLATE "C" WHEN 'm' THEN 'MATERIALIZED VIEW'
                             WHEN 'f' THEN 'FOREIGN TABLE'
                             ELSE 'TABLE' END"""
# Those through whom the tenants' role has the right.
_HOLDERS = """coalesce((SELECT string_agg(DISTINCT CASE WHEN g.grantee = 0 THEN 'PUBLIC'
                                             ELSE quote_ident(pg_get_userbyid(g.grantee)) END, ', ')
                          FROM {acl} g
                         WHERE g.grantee = 0 OR pg_has_role(app.oid, g.grantee, 'USAGE')), quote_ident(app.rolname))"""
_DECLARED = "~ '\\mrayces: shared\\M'"

CHECKS = (
    # The history of migrations is known by its columns, since a host's own has another name.
    Check(
        "shared-relation",
        "warning",
        f"""SELECT c.oid::regclass::text AS object, {_KINDS} AS kind, lower({_KINDS}) AS word,
                  {
            _HOLDERS.format(
                acl="(SELECT * FROM aclexplode(c.relacl) UNION ALL SELECT x.* FROM pg_attribute a, "
                "aclexplode(a.attacl) x WHERE a.attrelid = c.oid)"
            )
        } AS holders
             FROM app, reachable JOIN pg_class c USING (oid)
            WHERE readable AND c.relowner <> app.oid AND c.oid NOT IN (SELECT oid FROM tenant)
              AND c.oid NOT IN (SELECT oid FROM invoker) AND c.oid NOT IN (SELECT oid FROM over_tenants)
              AND (c.relkind NOT IN ('r', 'p') OR NOT EXISTS (
                   SELECT FROM pg_constraint k JOIN tenant t ON t.oid = k.confrelid
                    WHERE k.conrelid = c.oid AND k.contype = 'f'))
              AND NOT (c.relkind = 'f' AND EXISTS (
                   SELECT FROM pg_attribute a WHERE a.attrelid = c.oid AND a.attname = 'organization_id'
                      AND NOT a.attisdropped))
              AND (SELECT count(*) FROM pg_attribute a WHERE a.attrelid = c.oid
                      AND a.attname IN ('name', 'checksum', 'steps_done', 'attempts')) < 4
              AND NOT EXISTS (SELECT FROM pg_depend d WHERE d.classid = 'pg_class'::regclass AND d.objid = c.oid
                                 AND d.deptype = 'e')
              AND coalesce(obj_description(c.oid, 'pg_class'), '') !{_DECLARED}""",
        "the {word} belongs to no organization, and {app_role} may read it: what is in it every tenant sees",
        "REVOKE ALL ON {object} FROM {holders}; -- or, where every tenant may see it: "
        "COMMENT ON {kind} {object} IS 'rayces: shared';",
    ),
    Check(
        "shared-function",
        "warning",
        f"""SELECT p.oid::regprocedure::text AS object, quote_ident(o.rolname) AS owner,
                  {_HOLDERS.format(acl="aclexplode(coalesce(p.proacl, acldefault('f', p.proowner)))")} AS holders
             FROM app, pg_proc p JOIN pg_roles o ON o.oid = p.proowner JOIN pg_namespace n ON n.oid = p.pronamespace
            WHERE p.prosecdef AND p.prokind IN ('f', 'p') AND p.proowner <> app.oid
              AND p.prorettype NOT IN ('trigger'::regtype, 'event_trigger'::regtype)
              AND n.nspname NOT LIKE 'pg\\_%%' AND n.nspname <> 'information_schema'
              AND has_schema_privilege(app.oid, n.oid, 'USAGE') AND has_function_privilege(app.oid, p.oid, 'EXECUTE')
              AND NOT EXISTS (SELECT FROM pg_depend d WHERE d.classid = 'pg_proc'::regclass AND d.objid = p.oid
                                 AND d.deptype = 'e')
              AND NOT EXISTS (SELECT FROM tenant t WHERE p.prosrc || coalesce(pg_get_function_sqlbody(p.oid), '')
                                                         ~* ('\\m' || t.relname || '\\M'))
              AND coalesce(obj_description(p.oid, 'pg_proc'), '') !{_DECLARED}""",
        "{app_role} may call the function, which reads and writes as {owner} and for no organization in particular",
        "REVOKE EXECUTE ON ROUTINE {object} FROM {holders}; -- or, where every tenant may call it: "
        "COMMENT ON ROUTINE {object} IS 'rayces: shared';",
    ),
)

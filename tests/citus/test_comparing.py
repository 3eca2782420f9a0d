"""In a laboratory: whatever somebody changes by hand on a node, of a shard or beside it, is found there and named."""

import uuid
from collections.abc import Iterator
from contextlib import closing

import psycopg2
import pytest
from psycopg2.extensions import make_dsn

from rayces_core import Database
from rayces_core.citus import compare
from rayces_core.cli.entry import run as rayces
from rayces_core.doctor import audit
from tests.citus.conftest import distributed_database
from tests.citus.lab import run

AGAIN = (
    "DROP POLICY rayces_tenant ON {{0}}; CREATE POLICY rayces_tenant ON {{0}} {} TO rayces_app "
    "USING (organization_id = nullif(current_setting('rayces.organization_id', true), '')::bigint)"
)
# Table → what is done to a shard of it on each worker, of what kind that is, and a word of what is found.
TAMPERED = {
    "students": ("ALTER POLICY rayces_tenant ON {0} USING (true)", "policies", "using true"),
    "users": (AGAIN.format("AS RESTRICTIVE"), "policies", "restrictive"),
    "posts": (AGAIN.format("FOR SELECT"), "policies", "permissive | r"),
    "professionals": ("ALTER POLICY rayces_tenant ON {0} TO PUBLIC", "policies", "public"),
    "services": ("CREATE POLICY more ON {0} USING (true)", "policies", "more: permissive"),
    "credit_transactions": ("DROP POLICY rayces_tenant_update ON {0}", "policies", "rayces_tenant_update: none"),
    "slot_requests": ("ALTER POLICY rayces_tenant ON {0} WITH CHECK (true)", "policies", "check true"),
    "appointments": ("ALTER TABLE {0} NO FORCE ROW LEVEL SECURITY", "row-level security", "true false"),
    "credit_balances": ("ALTER TABLE {0} DISABLE ROW LEVEL SECURITY", "row-level security", "false true"),
    "invoices": ("GRANT TRUNCATE ON {0} TO PUBLIC", "rights", "public TRUNCATE"),
    "credit_lots": ("GRANT UPDATE (organization_id) ON {0} TO rayces_app", "rights", "UPDATE of organization_id"),
    "notices": ("REVOKE SELECT ON {0} FROM rayces_app", "rights", "nothing of it"),
    "credit_lot_movements": ("ALTER TABLE {0} OWNER TO rayces_app", "owner", "rayces_app"),
    "likes": ("ALTER TABLE {0} DROP CONSTRAINT {foreign_key}", "constraints", "nothing of it"),
    "devices": (
        "ALTER TABLE {0} DROP CONSTRAINT {foreign_key}, ADD {definition} NOT VALID",
        "constraints",
        "NOT VALID",
    ),
    "state_transitions": ("ALTER TABLE {0} DISABLE TRIGGER ALL", "constraints", "SWITCHED OFF"),
    "import_runs": ("ALTER TABLE {0} ADD CHECK (id > 0)", "constraints", "CHECK"),
    "calendar_feeds": ("CREATE INDEX ON {0} (id)", "indexes", "btree (id)"),
    "closed_days": ("ALTER TABLE {0} ADD COLUMN more text", "columns", "more: text"),
    "outbox_messages": ("ALTER TABLE {0} SET UNLOGGED", "persistence", "u"),
    "sign_in_attempts": (
        "CREATE TRIGGER more BEFORE UPDATE ON {0} FOR EACH ROW EXECUTE FUNCTION suppress_redundant_updates_trigger()",
        "triggers",
        "suppress_redundant",
    ),
    "webhook_endpoints": ("CREATE RULE more AS ON DELETE TO {0} DO INSTEAD NOTHING", "rules", "INSTEAD NOTHING"),
}
A_SHARD = r"""
SET citus.override_table_visibility TO off;
SELECT c.relname::text, quote_ident(k.conname), pg_get_constraintdef(k.oid)
  FROM pg_class c LEFT JOIN pg_constraint k ON k.conrelid = c.oid AND k.contype = 'f'
 WHERE c.relname ~ '^{}_\d{{6,}}$' AND c.relkind = 'r' ORDER BY 1, 2 LIMIT 1"""
BY_HAND = "SET citus.enable_ddl_propagation TO off; "


@pytest.fixture
def whole() -> Iterator[str]:
    """URL of the superuser on a database whose nodes are all as they should be."""
    with distributed_database() as url:
        assert differences(url) == {}
        yield url


def workers(url: str) -> list[str]:
    """The URL of each node but the coordinator."""
    where = run(url, "SELECT nodename, nodeport FROM pg_dist_node WHERE groupid <> 0 ORDER BY groupid")
    return [make_dsn(url, host=host, port=port) for host, port in where]


def differences(url: str, **roles: str) -> dict[tuple[str, str], tuple[str, str]]:
    """Of what and of what kind → where, and what is found there."""
    with closing(psycopg2.connect(url)) as connection:
        connection.autocommit = True
        return {(each.object, each.kind): (each.where, each.found) for each in compare(connection, **roles)}


def test_what_is_changed_by_hand_on_a_shard_of_each_worker_is_found_and_named(
    whole: str, capsys: pytest.CaptureFixture[str]
) -> None:
    for worker in workers(whole):
        for table, (broken, _, _) in TAMPERED.items():
            shard, foreign_key, definition = run(worker, A_SHARD.format(table))[0]
            run(worker, BY_HAND + broken.format(shard, foreign_key=foreign_key, definition=definition))
    found = differences(whole)
    # An owner has its rights without their being granted.
    wanted = {(table, kind) for table, (_, kind, _) in TAMPERED.items()} | {("credit_lot_movements", "rights")}
    assert set(found) == wanted
    for table, (_, kind, word) in TAMPERED.items():
        where, what = found[table, kind]
        assert (word in what, where[:6], where[-11:]) == (True, "shard ", " and 1 more"), table
    with Database.connect(make_dsn(whole, user="rayces_app"), admin_url=whole, engine="citus") as database:
        errors = {each.object for each in audit(database) if each.check == "citus-differs"}
    assert errors == set(TAMPERED)
    assert rayces(["citus", "check", "--engine", "citus", "--database-url", whole]) == 1
    assert capsys.readouterr().out.splitlines()[-1] == f"{len(wanted)} differences"


def test_what_is_changed_beside_the_shards_of_a_worker_is_found_too(whole: str) -> None:
    first, second = workers(whole)
    role = f"desk_{uuid.uuid4().hex[:8]}"
    run(whole, f"CREATE ROLE {role} NOLOGIN")
    try:
        run(first, BY_HAND + "ALTER TABLE students NO FORCE ROW LEVEL SECURITY")
        run(first, BY_HAND + "REVOKE USAGE ON SEQUENCE users_id_seq FROM rayces_app")
        run(second, BY_HAND + "GRANT UPDATE ON SEQUENCE posts_id_seq TO rayces_app")
        run(second, BY_HAND + f"ALTER ROLE {role} BYPASSRLS")
        found = differences(whole, admin_role=role)
        places = [f"{each['host']}:{each['port']}" for each in map(psycopg2.extensions.parse_dsn, (first, second))]
        assert found == {
            ("students", "row-level security"): (f"students on {places[0]}", "true false"),
            ("public.users_id_seq", "sequence"): (places[0], "rayces_admin USAGE"),
            ("public.posts_id_seq", "sequence"): (
                places[1],
                "rayces_admin USAGE, rayces_app UPDATE, rayces_app USAGE",
            ),
            (role, "role"): (places[1], "bypassrls"),
        }
    finally:
        run(whole, f"DROP ROLE {role}")

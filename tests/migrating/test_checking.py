"""A schema that something else than its migrations has changed is found out, line by line."""

from collections.abc import Iterator
from typing import Any

import pytest
from psycopg2.extensions import make_dsn

from rayces_core.errors import MigrationError, MigrationFileError, SchemaMissingError
from rayces_core.migrating import Runner
from rayces_core.migrating.catalogue import fingerprint
from rayces_core.migrating.checking import Difference, Expected, differences, unlike, what_they_make
from rayces_core.migrations.session import connected
from tests.sizes import exhaustive

# What somebody did by hand → what is said, without the kinds.
DRIFT = {
    "type": ("ALTER TABLE posts ALTER content TYPE varchar", ["missing column", "unexpected column"]),
    "not null": ("ALTER TABLE users ALTER email DROP NOT NULL", ["missing column", "unexpected column"]),
    "default": ("ALTER TABLE users ALTER role SET DEFAULT 3", ["missing column", "unexpected column"]),
    "column": ("ALTER TABLE users ADD image text", ["unexpected column"]),
    "check": ("ALTER TABLE users DROP CONSTRAINT users_role_check", ["missing constraint"]),
    "foreign key": (
        "ALTER TABLE posts DROP CONSTRAINT posts_organization_id_user_id_fkey",
        ["missing constraint"],
    ),
    "index": ("DROP INDEX index_users_on_organization_id_and_role", ["missing index"]),
    "invalid index": (
        "UPDATE pg_index SET indisvalid = false WHERE indexrelid = 'index_users_on_organization_id_and_role'::regclass",
        ["missing index", "unexpected index"],
    ),
    "policy": ("CREATE POLICY open ON users USING (true)", ["unexpected policy"]),
    "policy gone": ("DROP POLICY rayces_tenant ON posts", ["missing policy"]),
    "row security": ("ALTER TABLE likes NO FORCE ROW LEVEL SECURITY", ["missing row", "unexpected row"]),
    "grant": ("GRANT TRUNCATE ON credit_transactions TO rayces_app", ["unexpected grant"]),
    "table": ("DROP TABLE likes", None),
    "trigger": (
        """CREATE FUNCTION f() RETURNS trigger LANGUAGE plpgsql AS 'BEGIN RETURN new; END';
        CREATE TRIGGER t BEFORE INSERT ON users FOR EACH ROW EXECUTE FUNCTION f()""",
        ["unexpected trigger"],
    ),
    "key from outside": (
        """CREATE TABLE rooms (organization_id bigint, id bigint);
        CREATE POLICY rooms ON users USING (EXISTS (SELECT FROM rooms))""",
        ["unexpected policy"],
    ),
}
OTHERS = """
CREATE TABLE "rooms of ours" (id serial PRIMARY KEY, user_id bigint CHECK (user_id > 0), organization_id bigint,
    FOREIGN KEY (organization_id, user_id) REFERENCES users (organization_id, id));
CREATE INDEX ON "rooms of ours" (user_id);
GRANT SELECT (id) ON "rooms of ours" TO rayces_app;
ALTER TABLE "rooms of ours" ENABLE ROW LEVEL SECURITY;
CREATE POLICY own ON "rooms of ours" USING (true);
CREATE FUNCTION touch() RETURNS trigger LANGUAGE plpgsql AS 'BEGIN RETURN new; END';
CREATE TRIGGER touched BEFORE UPDATE ON "rooms of ours" FOR EACH ROW EXECUTE FUNCTION touch();
CREATE RULE nothing AS ON DELETE TO "rooms of ours" DO INSTEAD NOTHING;
CREATE VIEW seen AS SELECT id FROM "rooms of ours";
GRANT SELECT ON seen TO rayces_app;
CREATE TYPE mood AS ENUM ('well');
CREATE SEQUENCE numbers;
CREATE EXTENSION pg_trgm
"""


# Those that can be there together.
TOGETHER = [case for case in DRIFT if case not in ("index", "table")]


@pytest.fixture(scope="module")
def made(migrated: str, server_url: str) -> Iterator[Expected]:
    """What the packaged migrations make."""
    with what_they_make([Runner(migrated)], server_url) as expected:
        yield expected


@pytest.fixture
def drifting(migrated: str) -> Iterator[Runner]:
    """A runner whose session is in a transaction on a migrated database; what is done in it is rolled back."""
    runner = Runner(migrated)
    with connected(runner.database), runner.database.atomic() as transaction:
        yield runner
        transaction.rollback()


def _kinds(found: list[Difference]) -> list[str]:
    return [f"{difference.kind} {difference.line.split()[0]}" for difference in found]


@pytest.mark.slow
def test_a_migrated_database_is_what_its_migrations_make(migrated: str, made: Expected) -> None:
    assert unlike(Runner(migrated), made, strict=True) == []


@pytest.mark.slow
@pytest.mark.parametrize("number", [7, *exhaustive(1, 15)])
def test_so_is_one_at_an_earlier_state(at: Any, server_url: str, number: int) -> None:
    url = at(number)
    assert differences(Runner(url), server_url, strict=True) == []


@pytest.mark.slow
def test_a_database_without_any_migration_is_said_to_be_that(make_database: Any, server_url: str, connect: Any) -> None:
    url = make_database()
    with pytest.raises(SchemaMissingError, match=r"is applied.* holds nothing at all; run `rayces migrate up`$"):
        differences(Runner(url), server_url)
    connect(url).cursor().execute("CREATE TABLE users (id int); CREATE TABLE posts (id int); CREATE TABLE likes ()")
    with pytest.raises(SchemaMissingError, match=r"others made there; .*; a MyHub is taken over by `rayces m"):
        differences(Runner(url), server_url)


@pytest.mark.slow
def test_tables_without_their_history_are_no_empty_database(
    create_database: Any, template: str, server_url: str, connect: Any
) -> None:
    url = create_database(template)
    connect(url).cursor().execute("DROP TABLE rayces_migrations")
    with pytest.raises(MigrationError, match=r"in rayces_migrations, but there are tables.*appointments"):
        differences(Runner(url), server_url)


@pytest.mark.slow
def test_changes_by_hand_are_all_found_at_once(drifting: Runner, made: Expected) -> None:
    for case in TOGETHER:
        drifting.database.command(DRIFT[case][0])
    expected = [kind for case in TOGETHER for kind in DRIFT[case][1] or ()]
    assert sorted(_kinds(unlike(drifting, made))) == sorted(expected)


@pytest.mark.slow
@pytest.mark.parametrize("case", DRIFT)
def test_a_change_by_hand_is_found(drifting: Runner, made: Expected, case: str) -> None:
    sql, expected = DRIFT[case]
    drifting.database.command(sql)
    found = _kinds(unlike(drifting, made))
    if expected is None:
        assert "missing table" in found
    else:
        assert sorted(found) == expected


@pytest.mark.slow
def test_what_stands_beside_the_migrations_tables_is_found_only_when_asked(drifting: Runner, made: Expected) -> None:
    drifting.database.command(OTHERS)
    assert unlike(drifting, made) == []
    found = _kinds(unlike(drifting, made, strict=True))
    assert set(found) >= {"unexpected table", "unexpected view", "unexpected extension", "unexpected function"}


@pytest.mark.slow
def test_a_way_into_the_schema_that_a_dba_opened_for_a_login_is_no_drift(drifting: Runner, made: Expected) -> None:
    drifting.database.command("GRANT USAGE, CREATE ON SCHEMA public TO pg_monitor WITH GRANT OPTION")
    assert unlike(drifting, made) == []
    assert "unexpected grant" in _kinds(unlike(drifting, made, strict=True))


@pytest.mark.slow
def test_nor_is_a_right_on_the_schema_that_a_role_has_through_everybodys(drifting: Runner, made: Expected) -> None:
    drifting.database.command("REVOKE USAGE ON SCHEMA public FROM rayces_app")
    assert unlike(drifting, made) == []
    drifting.database.command("REVOKE USAGE ON SCHEMA public FROM PUBLIC")
    assert ("missing", "grant usage on schema to rayces_app") in [(d.kind, d.line) for d in unlike(drifting, made)]


@pytest.mark.parametrize("role", ["PUBLIC", "rayces_app", "rayces_admin"])
def test_whoever_serves_tenants_may_make_nothing_in_the_schema(drifting: Runner, made: Expected, role: str) -> None:
    drifting.database.command(f"GRANT CREATE ON SCHEMA public TO {role}")
    assert _kinds(unlike(drifting, made)) == ["unexpected grant"]


@pytest.mark.slow
def test_a_hosts_tables_belong_beside_ours(make_database: Any, server_url: str, directory: Any, connect: Any) -> None:
    url = make_database()
    ours, host = (
        Runner(url),
        Runner(url, directory(m001_rooms="CREATE TABLE rooms (id int)"), history_table="Host's history"),
    )
    ours.up(3)
    host.up()
    assert differences(host, server_url, beside=[ours], strict=True) == []
    connect(url).cursor().execute("ALTER TABLE rooms ADD n int; ALTER TABLE users ADD m int")
    assert [each.line for each in differences(host, server_url, beside=[ours])] == [
        "column rooms.n integer",
        "column users.m integer",
    ]


@pytest.mark.slow
def test_a_faked_migration_that_never_happened_is_found(make_database: Any, server_url: str) -> None:
    url = make_database()
    Runner(url).run("002_organizations", fake=True)
    assert "missing table" in _kinds(differences(Runner(url), server_url))


@pytest.mark.slow
def test_what_a_half_done_migration_did_is_found(make_database: Any, server_url: str, directory: Any) -> None:
    url = make_database()
    body = "    migrator.sql('{}')\n    migrator.sql('{}')\n"
    steps = f"ATOMIC = False\ndef migrate(migrator, database, *, fake=False):\n{body}"
    folder = directory(m001_t="CREATE TABLE t (id int)", m002_n=steps.format("ALTER TABLE t ADD n int", "SELECT 1/0"))
    with pytest.raises(MigrationError):
        Runner(url, folder).up()
    assert [each.line for each in differences(Runner(url, folder), server_url)] == ["column t.n integer"]


@pytest.mark.slow
def test_an_edited_file_is_an_error(make_database: Any, server_url: str, directory: Any) -> None:
    url = make_database()
    Runner(url, directory(m001_t="CREATE TABLE t (id int)")).up()
    with pytest.raises(MigrationFileError, match="001_t was edited"):
        differences(Runner(url, directory(m001_t="CREATE TABLE u (id int)")), server_url)


@pytest.mark.slow
def test_the_live_database_is_only_read(make_database: Any, server_url: str, connect: Any) -> None:
    url = make_database()
    Runner(url).up(3)
    before = fingerprint(connect(url))
    differences(Runner(make_dsn(url, options="-c default_transaction_read_only=on")), server_url)
    assert fingerprint(connect(url)) == before

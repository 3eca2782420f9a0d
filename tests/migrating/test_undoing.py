"""`down` says what it would take away and what would stop it, before anything runs."""

from typing import Any

import psycopg2
import pytest
from psycopg2.extensions import make_dsn

from rayces_core import Database, Post, User
from rayces_core.errors import MigrationError
from rayces_core.migrating import Runner
from rayces_core.migrating.files import read_directory
from tests.migrating.filler import fill
from tests.sizes import quick_or_whole

FILES = read_directory(None)
# Its tables are the newest that the filler fills.
SIGN_IN = next(file.number for file in FILES if file.name.endswith("sign_in"))
TARGETS = quick_or_whole([0, 1, 18, SIGN_IN], sorted({*range(0, len(FILES), 4), 1, 2, 18, 19, SIGN_IN}))
WAY_BACK = """
def migrate(migrator, database, *, fake=False):
    pass

def rollback(migrator, database, *, fake=False):
    {}
"""
TABLES = """
CREATE TABLE rooms (id int PRIMARY KEY, name text, seats int DEFAULT 2, plan json,
                    wide boolean GENERATED ALWAYS AS (seats > 5) STORED);
INSERT INTO rooms (id, name, seats, plan) VALUES (1, 'north', 2, '{}'), (2, NULL, 3, NULL), (3, 'north', 2, NULL);
"""
THERE = """
CREATE SCHEMA more; CREATE TABLE more.halls AS SELECT 1;
CREATE SCHEMA things; CREATE EXTENSION citext SCHEMA things; CREATE TABLE things.people (email things.citext);
ALTER TABLE rooms ADD price numeric(6, 2) DEFAULT 1, ADD opened timestamptz DEFAULT '2026-01-01 00:00Z';
UPDATE rooms SET price = 1.25, opened = '2026-01-01 12:00Z' WHERE id = 1;
CREATE FUNCTION purge() RETURNS bigint LANGUAGE sql AS 'DELETE FROM rooms RETURNING id';
CREATE FUNCTION named() RETURNS text LANGUAGE sql STABLE AS 'SELECT max(name) FROM rooms';
"""


@pytest.fixture
def undone(make_database: Any, directory: Any, connect: Any) -> Any:
    """A runner whose newest migration goes back by this Python, on a database with a table `rooms` and more SQL."""

    def make(back: str, sql: str = "", url: str | None = None) -> Runner:
        url = url or make_database()
        connect(url).cursor().execute(TABLES + sql)
        runner = Runner(url, directory(m001_rooms=WAY_BACK.format(back)))
        runner.up()
        return runner

    return make


def sql(*statements: str) -> str:
    """A body that queues these."""
    return "\n    ".join(f"migrator.sql({statement!r})" for statement in statements)


def told(runner: Runner) -> list[str]:
    """What undoing everything would lose."""
    return [line.removeprefix("001_rooms: ") for line in runner.undoing(0).lines()]


def hindrances(runner: Runner) -> list[str]:
    """What is in the way of undoing everything."""
    return [str(each).removeprefix("001_rooms: ") for each in runner.undoing(0).hindrances]


# -- the packaged migrations ------------------------------------------------------------------------------------------


@pytest.mark.slow
def test_an_empty_database_goes_back_without_being_asked(at: Any) -> None:
    runner = Runner(at(len(FILES)))
    for target in TARGETS:
        found = runner.undoing(target)
        assert (found.hindrances, found.mixed, found.needs_yes) == ((), (), False), (target, list(found.lines()))
    assert runner.undoing(0).migrations == tuple(file.name for file in reversed(FILES))
    # All of it goes back in the next test, and with other roles in test_roles.py.
    assert len(runner.down(quick_or_whole(30, 0))) == len(FILES) - quick_or_whole(30, 0)


@pytest.mark.slow
def test_a_full_database_goes_back_when_it_is_told_to_and_nothing_is_in_the_way(at: Any, connect: Any) -> None:
    url = at(len(FILES))
    runner = Runner(url)
    fill(connect(url), len(FILES))
    for target in TARGETS:
        found = runner.undoing(target)
        assert found.hindrances == (), target
        assert found.needs_yes or target >= SIGN_IN, (target, list(found.lines()))
        assert bool(found.mixed) == (target in (1, 2)), target
        assert bool(found.unheld) == (2 < target < 19), target
    runner.down(SIGN_IN, yes=True)
    for refused in (runner.down, runner.rollback, lambda: runner.run_one(FILES[SIGN_IN - 1].name, downgrade=True)):
        with pytest.raises(MigrationError, match=r"--yes .*\n.*table sign_in_attempts, 2 rows") as error:
            refused()
        assert "0 rows" not in str(error.value)
    assert runner.done == [file.name for file in FILES[:SIGN_IN]]
    newest = FILES[SIGN_IN - 1].name
    assert runner.run_one(newest, downgrade=True, force=True) == newest
    assert runner.rollback(yes=True) == [FILES[SIGN_IN - 2].name]
    assert len(runner.down(0, yes=True)) == SIGN_IN - 2


@pytest.mark.slow
def test_the_organizations_of_one_database_never_become_one(at: Any) -> None:
    with Database.connect(at(len(FILES))) as database:
        for name in ("north", "south"):
            with database.tenant(database.create_organization(name, subdomain=name)):
                Post.create(user=User.create(email=f"{name}@example.com"), content=f"secret of {name}")
        for target in (1, 2):
            with pytest.raises(MigrationError, match="several organizations in posts, users"):
                database.rollback(target, yes=True)
        with database.tenant("north"):
            assert [post.content for post in Post.select()] == ["secret of north"]
        with database.tenant("south"):
            Post.delete().execute()
            User.delete().execute()
        assert database.rollback(1, yes=True)[-1] == "002_organizations"
        database.migrate()
        with database.tenant("myhub"):
            assert [post.content for post in Post.select()] == ["secret of north"]


@pytest.mark.slow
def test_two_organizations_in_two_tables_do_not_become_one_either(at: Any, connect: Any) -> None:
    url = at(len(FILES))
    with Database.connect(url) as database:
        with database.tenant(database.create_organization("north", subdomain="north")):
            User.create(email="ana@example.com")
        database.create_organization("south", subdomain="south")
    cursor = connect(url).cursor()
    cursor.execute("SET session_replication_role = replica")
    cursor.execute(
        "INSERT INTO posts (organization_id, user_id, created_at, updated_at) "
        "SELECT id, 1, now(), now() FROM organizations WHERE subdomain = 'south'"
    )
    assert set(Runner(url).undoing(1).mixed) == {"posts", "users"}


@pytest.mark.slow
def test_a_hosts_table_that_refers_to_one_of_ours_is_in_the_way_before_anything_is_dropped(
    at: Any, connect: Any
) -> None:
    url = at(len(FILES))
    runner = Runner(url)
    cursor = connect(url).cursor()
    cursor.execute(
        "CREATE TABLE notes (organization_id bigint, id bigint, student_id bigint, PRIMARY KEY (organization_id, id), "
        "CONSTRAINT noted FOREIGN KEY (organization_id, student_id) REFERENCES students (organization_id, id));"
        "CREATE VIEW names AS SELECT first_name FROM students;"
        "CREATE VIEW days AS SELECT created_at::date FROM users"
    )
    with pytest.raises(MigrationError) as error:
        runner.down(0, yes=True)
    message = str(error.value)
    assert "013_students: constraint noted on table notes depends on" in message
    assert "ALTER TABLE notes DROP CONSTRAINT noted;" in message
    assert "view names depends on" in message
    assert "DROP VIEW names;" in message
    assert "004_timestamps_with_time_zone: " in message
    assert "DROP VIEW days;" in message
    assert len(runner.done) == len(FILES)
    assert runner.undoing(13).hindrances == ()
    for hindrance in runner.undoing(0).hindrances:
        cursor.execute(hindrance.remedy)
    assert len(runner.down(0, yes=True)) == len(FILES)


# -- what is lost -----------------------------------------------------------------------------------------------------


@pytest.mark.slow
@pytest.mark.parametrize(
    "back, lost",
    [
        (sql("DROP TABLE rooms"), ["table rooms, 3 rows"]),
        (sql('DROP TABLE IF EXISTS "rooms", other RESTRICT'), ["table rooms, 3 rows"]),
        (sql("ALTER TABLE rooms RENAME TO halls", "DROP TABLE halls"), ["table rooms, 3 rows"]),
        (sql("ALTER TABLE rooms DROP COLUMN name, DROP seats CASCADE"),
         ["column rooms.name, 2 rows", "column rooms.seats, 1 row",
          "CASCADE takes along default value for column wide of table rooms"]),
        (sql("ALTER TABLE public.rooms DROP COLUMN plan"), ["column rooms.plan, 1 row"]),
        (sql("ALTER TABLE rooms DROP COLUMN wide"), ["column rooms.wide, 0 rows"]),
        (sql("ALTER TABLE rooms DROP COLUMN name", "DROP TABLE rooms"), ["table rooms, 3 rows"]),
        (sql("DELETE FROM rooms WHERE name LIKE 'nor%'"), ["rows of rooms, 2 rows"]),
        (sql("TRUNCATE rooms"), ["rows of rooms, 3 rows"]),
        (sql("DROP SCHEMA more CASCADE"),
         ["table more.halls, 1 row", "CASCADE takes along table more.halls"]),
        (sql("DO $$ BEGIN DROP TABLE rooms; END $$"), ["a DO block: what it does cannot be told before"]),
        ("migrator.run(print)", ["the function print: what it does cannot be told before"]),
        ("database.one('SELECT 1 FROM nowhere')", ["the function rollback: what it does cannot be told before"]),
        (sql("DO $$ BEGIN ALTER TABLE rooms DROP name; END $$"), ["a DO block: what it does cannot be told before"]),
        (sql("DO $$ BEGIN ALTER TABLE rooms DISABLE ROW LEVEL SECURITY; END $$"),
         ["a DO block: what it does cannot be told before"]),
        (sql("DO $$ BEGIN DELETE /* all */ FROM rooms; END $$"), ["a DO block: what it does cannot be told before"]),
        (sql("DO $$ BEGIN PERFORM purge(); END $$"), ["the function purge: what it does cannot be told before"]),
        (sql("SELECT public.purge()"), ["the function purge: what it does cannot be told before"]),
        (sql("SELECT lower(named())"), []),
        (sql("WITH gone AS (DELETE FROM rooms RETURNING id) SELECT count(*) FROM gone"),
         ["a DELETE in WITH: what it does cannot be told before"]),
        (sql("MERGE INTO rooms USING (SELECT 1 AS n) s ON id = n WHEN MATCHED THEN DELETE"),
         ["a DELETE in MERGE: what it does cannot be told before"]),
        (sql("DROP OWNED BY nobody"), ["DROP OWNED: what it does cannot be told before"]),
        (sql("DROP EXTENSION citext CASCADE"), ["CASCADE takes along column email of table things.people"]),
        (sql("DO $$ BEGIN -- DROP TABLE rooms\nALTER TABLE rooms ADD CHECK (id > 0); END $$"), []),
        (sql("ALTER TABLE rooms ALTER name TYPE varchar(3) USING left(name, 3)"),
         ["values of rooms.name that varchar(3) does not hold, 2 rows"]),
        (sql("ALTER TABLE rooms ALTER price TYPE numeric(6, 1)"),
         ["values of rooms.price that numeric(6, 1) does not hold, 1 row"]),
        (sql("ALTER TABLE rooms ALTER COLUMN opened SET DATA TYPE date"),
         ["values of rooms.opened that date does not hold, 1 row"]),
        (sql("ALTER TABLE rooms ALTER plan TYPE int USING length(plan::text)"),
         ["values of rooms.plan that int does not hold, 1 row"]),
        (sql("ALTER TABLE rooms ALTER name TYPE varchar(5)", "ALTER TABLE rooms ALTER price TYPE numeric"), []),
        (sql("DO $$ BEGIN ALTER TABLE rooms ADD CHECK (id > 0); END $$"), []),
        (sql("ALTER TABLE rooms DROP CONSTRAINT rooms_pkey", "DROP INDEX IF EXISTS nothing"), []),
        (sql("-- DROP TABLE rooms\nSELECT 'DROP TABLE rooms'"), []),
    ],
)  # fmt: skip
def test_what_would_be_gone_is_told_with_its_rows(undone: Any, back: str, lost: list[str]) -> None:
    runner = undone(back, THERE)
    assert told(runner) == lost
    if lost and "0 rows" not in lost[0]:
        with pytest.raises(MigrationError, match="this would be gone, so nothing was undone"):
            runner.down()
        assert runner.done == ["001_rooms"]
    else:
        assert runner.down() == ["001_rooms"]


@pytest.mark.slow
def test_rows_that_policies_hide_from_the_owner_are_counted_all_the_same(
    make_database: Any, server_url: str, undone: Any, connect: Any, fresh_roles: Any
) -> None:
    owner, url = fresh_roles(), make_database()
    connect(server_url).cursor().execute(f"CREATE ROLE {owner} LOGIN")
    runner = undone(
        sql("DROP TABLE rooms"),
        f"ALTER TABLE rooms OWNER TO {owner}; ALTER TABLE rooms ENABLE ROW LEVEL SECURITY, FORCE ROW LEVEL SECURITY;",
        url,
    )
    connect(url).cursor().execute(
        f"ALTER TABLE rayces_migrations OWNER TO {owner}; GRANT CREATE ON SCHEMA public TO {owner}"
    )
    as_owner = Runner(make_dsn(url, user=owner), runner.directory)
    assert told(as_owner) == ["table rooms, rows that this login may not count"]
    with pytest.raises(MigrationError, match="rows that this login may not count"):
        as_owner.down()
    connect(url).cursor().execute(
        f"GRANT rayces_admin TO {owner}; GRANT SELECT ON rooms TO rayces_admin; "
        "CREATE POLICY all_of_it ON rooms TO rayces_admin USING (true)"
    )
    assert told(as_owner) == ["table rooms, 3 rows"]
    connect(url).cursor().execute(f"REVOKE rayces_admin FROM {owner}; DROP OWNED BY {owner}")


@pytest.mark.slow
def test_a_table_that_is_long_to_count_is_estimated(undone: Any, monkeypatch: pytest.MonkeyPatch) -> None:
    runner = undone(
        sql("DROP TABLE rooms"), "INSERT INTO rooms SELECT n FROM generate_series(4, 100000) n; ANALYZE rooms"
    )
    monkeypatch.setattr("rayces_core.migrating.counting._PATIENTLY", "SET LOCAL statement_timeout = 1")
    assert told(runner) == ["table rooms, about 100000 rows"]


# -- what is in the way -----------------------------------------------------------------------------------------------


@pytest.mark.slow
@pytest.mark.parametrize(
    "back, there, found",
    [
        (sql("DROP EXTENSION citext"), "CREATE EXTENSION citext; CREATE TABLE halls (name citext)",
         "column name of table halls depends on type citext"),
        (sql("DROP TABLE rooms"), "CREATE MATERIALIZED VIEW seen AS SELECT name FROM rooms",
         "DROP MATERIALIZED VIEW seen;"),
        (sql("DROP TABLE rooms"), "CREATE TABLE halls (room int CONSTRAINT in_room REFERENCES rooms)",
         "ALTER TABLE halls DROP CONSTRAINT in_room;"),
        (sql("ALTER TABLE rooms DROP CONSTRAINT rooms_pkey"),
         "CREATE TABLE halls (room int CONSTRAINT in_room REFERENCES rooms)",
         "ALTER TABLE halls DROP CONSTRAINT in_room;"),
        (sql("DROP TABLE rooms"),
         "CREATE TABLE halls (); CREATE POLICY held ON halls USING (1 IN (SELECT id FROM rooms))",
         "DROP POLICY held ON halls;"),
        (sql("ALTER TABLE rooms DROP COLUMN name"),
         "CREATE FUNCTION named() RETURNS text RETURN (SELECT max(name) FROM rooms)", "DROP FUNCTION named();"),
        (sql("ALTER TABLE rooms ALTER COLUMN name TYPE varchar"), "CREATE VIEW seen AS SELECT name FROM rooms",
         "DROP VIEW seen;"),
        (sql("ALTER TABLE rooms ALTER seats SET DATA TYPE bigint"), "",
         "default value for column wide of table rooms"),
        (sql("ALTER TABLE rooms ALTER name TYPE character varying (3)"), "",
         "rooms.name has values that character varying (3) does not hold, 2 rows"),
        (sql("ALTER TABLE rooms ALTER id TYPE smallint"), "UPDATE rooms SET id = 70000 WHERE id = 1",
         "rooms.id has values that smallint does not hold"),
        (sql("ALTER TABLE rooms ALTER name TYPE int USING name::int"), "",
         "rooms.name has values that int does not hold"),
        (sql("ALTER TABLE rooms ADD CONSTRAINT named CHECK (name IS NOT NULL)"), "",
         "1 row of rooms breaks constraint named"),
        (sql("ALTER TABLE rooms ALTER COLUMN name SET NOT NULL"), "", "1 row of rooms breaks name NOT NULL"),
        (sql("ALTER TABLE rooms ADD UNIQUE (name)"), "", "rooms has 1 key twice, against UNIQUE (name)"),
        (sql("CREATE UNIQUE INDEX CONCURRENTLY one ON rooms USING btree (seats) WHERE name IS NOT NULL"), "",
         "rooms has 1 key twice, against unique index one"),
        (sql("ALTER TABLE rooms ADD FOREIGN KEY (seats) REFERENCES rooms (id)", "ALTER TABLE rooms DROP COLUMN plan"),
         "UPDATE rooms SET seats = 9 WHERE id = 2", "1 row of rooms breaks FOREIGN KEY (seats) REFERENCES rooms (id)"),
    ],
)  # fmt: skip
def test_what_would_stop_it_is_found_before(undone: Any, back: str, there: str, found: str) -> None:
    runner = undone(back, there)
    (hindrance,) = hindrances(runner)
    assert found in hindrance
    with pytest.raises(MigrationError, match="end half way"):
        runner.down(yes=True)
    assert runner.done == ["001_rooms"]


@pytest.mark.slow
@pytest.mark.parametrize(
    "back, there",
    [
        (sql("DROP VIEW seen", "DROP TABLE rooms"), "CREATE VIEW seen AS SELECT * FROM rooms"),
        (sql("DROP TABLE rooms CASCADE"), "CREATE VIEW seen AS SELECT * FROM rooms"),
        (sql("DROP TABLE halls, rooms"), "CREATE TABLE halls (room int REFERENCES rooms)"),
        (sql("ALTER TABLE halls DROP CONSTRAINT in_room", "DROP TABLE rooms"),
         "CREATE TABLE halls (room int CONSTRAINT in_room REFERENCES rooms)"),
        (sql("UPDATE rooms SET name = '' WHERE name IS NULL", "ALTER TABLE rooms ALTER name SET NOT NULL"), ""),
        (sql("UPDATE rooms SET name = left(name, 3)", "ALTER TABLE rooms ALTER name TYPE varchar(3)"), ""),
        (sql("ALTER TABLE rooms ADD UNIQUE (id, name)", "ALTER TABLE rooms ADD CHECK (seats % 7 < 7)"), ""),
        (sql("ALTER TABLE rooms ADD FOREIGN KEY (seats) REFERENCES rooms (id)"), ""),
        (sql("CREATE TABLE later (id int)", "ALTER TABLE later ADD CHECK (nothing > 0)", "DROP TABLE later"), ""),
    ],
)  # fmt: skip
def test_what_goes_with_it_or_is_put_right_by_it_is_in_nobodys_way(undone: Any, back: str, there: str) -> None:
    runner = undone(back, there)
    assert hindrances(runner) == []
    if "nothing" not in back:
        assert runner.down(yes=True) == ["001_rooms"]


@pytest.mark.slow
def test_a_table_of_another_owner_is_in_the_way(
    make_database: Any, undone: Any, connect: Any, server_url: str, fresh_roles: Any
) -> None:
    login, url = fresh_roles(), make_database()
    connect(server_url).cursor().execute(f"CREATE ROLE {login} LOGIN")
    runner = undone(sql("ALTER TABLE rooms DROP COLUMN wide"), "", url)
    connect(url).cursor().execute(f"ALTER TABLE rayces_migrations OWNER TO {login}; GRANT SELECT ON rooms TO {login}")
    (hindrance,) = hindrances(Runner(make_dsn(url, user=login), runner.directory))
    assert hindrance.startswith("rooms belongs to ")
    assert hindrance.endswith(f"ALTER TABLE rooms OWNER TO {login};")
    connect(url).cursor().execute(f"DROP OWNED BY {login}")


# -- how it is told ---------------------------------------------------------------------------------------------------


MADE = """
CREATE FUNCTION stamp() RETURNS trigger LANGUAGE plpgsql AS $$ BEGIN RETURN NEW; END $$;
CREATE FUNCTION doubled(n int) RETURNS int LANGUAGE sql IMMUTABLE AS 'SELECT 2 * n';
CREATE TRIGGER stamp BEFORE UPDATE ON rooms FOR EACH ROW EXECUTE FUNCTION stamp();
CREATE TABLE "Halls" (id int); CREATE TRIGGER "Own" BEFORE INSERT ON "Halls" FOR EACH ROW EXECUTE FUNCTION stamp();
CREATE VIEW wide AS SELECT id FROM rooms; CREATE TYPE mood AS ENUM ('sad'); CREATE SEQUENCE numbers;
CREATE POLICY seen ON rooms USING (true);
"""


def test_what_is_dropped_and_holds_no_rows_is_told_and_needs_no_yes(undone: Any) -> None:
    back = sql(
        'DROP TRIGGER stamp ON rooms; DROP TRIGGER IF EXISTS gone ON rooms; DROP TABLE IF EXISTS "Halls"',
        "DROP FUNCTION stamp; DROP FUNCTION IF EXISTS doubled(int), never(text); DROP POLICY seen ON rooms",
        "DROP VIEW wide; DROP TYPE mood; DROP SEQUENCE numbers; DROP FUNCTION IF EXISTS no.schema()",
    )
    found = undone(back, MADE).undoing(0)
    assert [line.removeprefix("001_rooms: ") for line in found.others] == [
        *("trigger stamp on rooms", 'trigger "Own" on "Halls"', "function stamp", "function doubled(integer)"),
        *("policy seen on rooms", "view wide", "type mood", "sequence numbers"),
    ]
    assert not found.needs_yes


def test_the_script_for_a_dba_begins_with_what_would_be_gone(undone: Any) -> None:
    runner = undone(sql("DROP TABLE rooms"))
    assert runner.down_script().startswith("-- gone with it: 001_rooms: table rooms, 3 rows\n")


def test_looking_changes_nothing_and_waits_for_nobody(undone: Any, connect: Any) -> None:
    runner = undone(sql("DROP TABLE rooms"))
    url = runner.database.connect_params | {"dbname": runner.database.database, "application_name": "holder"}
    with psycopg2.connect(**url) as holder:
        holder.cursor().execute("INSERT INTO rooms VALUES (9)")
        assert told(runner) == ["table rooms, 3 rows"]
    assert runner.done == ["001_rooms"]

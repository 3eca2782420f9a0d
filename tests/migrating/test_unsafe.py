"""A migration neither ends the runner's transaction nor changes its session: refused before, stopped at run time."""

from typing import Any

import pytest

from rayces_core.errors import MigrationError
from rayces_core.migrating import Runner
from rayces_core.migrating.checking import differences
from rayces_core.migrating.files import read_directory
from rayces_core.migrating.rehearsal import rehearse
from rayces_core.migrating.unsafe import refuse_unsafe_sql
from rayces_core.migrations.session import MigrationDatabase

BOTH = """
{atomic}

def migrate(migrator, database, *, fake=False):
    migrator.sql("CREATE TABLE before (id int)")
    migrator.{step}

def rollback(migrator, database, *, fake=False):
    migrator.sql("DROP TABLE before")
"""
PASTED = 'sql("BEGIN; CREATE TABLE half (id int); COMMIT;")'
TRANSACTION = [
    "BEGIN; CREATE TABLE half (id int); COMMIT;",
    "begin transaction isolation level serializable",
    "START TRANSACTION",
    "CREATE TABLE half (id int); COMMIT AND CHAIN",
    "END",
    "/* a script */ ROLLBACK",
    "rollback work and no chain",
    "ABORT",
    "PREPARE TRANSACTION 'half'",
    "COMMIT PREPARED 'half'",
    "SELECT 'it''s; fine'; -- ;\nCommit",
]
SESSION = [
    "SET search_path TO other",
    "SET SESSION search_path = ''",
    "set schema 'other'",
    'SET "search_path" TO other',
    "SELECT pg_catalog.set_config('search_path', '', false)",
    "SELECT set_config('SEARCH_PATH', 'other', 'f')",
    "RESET search_path",
    "RESET ALL",
    "DISCARD ALL",
    "SET statement_timeout = 0; SET lock_timeout = 0",
    "SET SESSION lock_timeout TO '1h'",
    "SET ROLE other",
    "SET SESSION AUTHORIZATION other",
]
HARMLESS = [
    "SAVEPOINT a; ROLLBACK TO a; RELEASE a",
    "ROLLBACK WORK TO SAVEPOINT a",
    "SET LOCAL search_path TO other",
    "SELECT set_config('search_path', 'other', true)",
    "SET LOCAL ROLE other; UPDATE h SET x = 1; RESET ROLE",
    "SET maintenance_work_mem = '1GB'",
    "CREATE FUNCTION f() RETURNS int BEGIN ATOMIC SELECT CASE WHEN true THEN 1 END; SELECT 2; END; SELECT 3",
    "CREATE RULE r AS ON INSERT TO h DO ALSO (UPDATE h SET x = 1; DELETE FROM h)",
    "DO $$ BEGIN PERFORM 1; END $$",
    "ALTER ROLE someone SET search_path = other",
    "SELECT 'BEGIN; COMMIT;', \"commit\" FROM h -- ; COMMIT",
    "UPDATE h SET role = 'admin'",
]


@pytest.mark.parametrize("sql", TRANSACTION)
def test_sql_that_begins_or_ends_a_transaction_is_refused(sql: str) -> None:
    with pytest.raises(MigrationError, match="begin or end the transaction"):
        refuse_unsafe_sql(sql)


@pytest.mark.parametrize("sql", SESSION)
def test_sql_that_changes_the_runners_session_is_refused(sql: str) -> None:
    with pytest.raises(MigrationError, match=r"take it out|SET LOCAL ROLE"):
        refuse_unsafe_sql(sql)


@pytest.mark.parametrize("sql", HARMLESS)
def test_what_stays_within_the_transaction_passes(sql: str) -> None:
    refuse_unsafe_sql(sql)


@pytest.mark.parametrize("atomic", ["", "ATOMIC = False"])
def test_up_refuses_it_before_an_earlier_migration_runs(
    make_database: Any, directory: Any, connect: Any, atomic: str
) -> None:
    url = make_database()
    folder = directory(m001_fine="CREATE TABLE fine (id int)", m002_pasted=BOTH.format(atomic=atomic, step=PASTED))
    runner = Runner(url, folder)
    for call in (runner.up, runner.up_script):
        with pytest.raises(MigrationError, match=r"002_pasted.*step 2: BEGIN"):
            call()
    assert runner.done == []
    assert tables(connect(url)) == []


def test_none_of_the_package_ends_its_transaction(migrated: str) -> None:
    """A run does not ask them beforehand, as it asks a host's."""
    Runner(migrated).refuse_unsafe()


@pytest.mark.slow
def test_check_and_rehearse_refuse_it(make_database: Any, directory: Any, server_url: str) -> None:
    folder = directory(m001_fine="CREATE TABLE fine (id int)", m002_pasted=BOTH.format(atomic="", step=PASTED))
    runner = Runner(make_database(), folder)
    assert runner.up(1) == ["001_fine"]
    with pytest.raises(MigrationError, match="002_pasted, step 2: BEGIN"):
        rehearse(runner, server_url)
    with pytest.raises(MigrationError, match="002_pasted, step 2: BEGIN"):
        differences(runner, server_url)


def test_down_refuses_it_before_anything_is_undone(make_database: Any, directory: Any) -> None:
    source = BOTH.format(atomic="", step="sql('SELECT 1')").replace("DROP TABLE before", "DROP TABLE before; COMMIT")
    runner = Runner(make_database(), directory(m001_fine=source, m002_more="SELECT 1"))
    (runner.directory / "002_more.py").write_text(BOTH.format(atomic="", step="sql('SELECT 1')").replace("before", "b"))
    runner.up()
    with pytest.raises(MigrationError, match="001_fine, step 1: COMMIT"):
        runner.down(0)
    assert runner.done == ["001_fine", "002_more"]


@pytest.mark.parametrize("call", ["database.command('COMMIT')", "database.commit()", "database.rollback()"])
def test_a_function_that_ends_the_transaction_is_stopped_before_it_is_sent(
    make_database: Any, directory: Any, connect: Any, call: str
) -> None:
    url = make_database()
    runner = Runner(url, directory(m001_calling=BOTH.format(atomic="", step=f"run(lambda: {call})")))
    with pytest.raises(MigrationError, match=r"001_calling: (COMMIT|ROLLBACK) would begin or end"):
        runner.up()
    assert runner.done == []
    assert tables(connect(url)) == ["rayces_migrations"]


@pytest.mark.slow
@pytest.mark.parametrize("atomic", ["", "ATOMIC = False"])
@pytest.mark.parametrize(
    ("call", "said"),
    [
        ("database.execute_sql('COMMIT')", "COMMIT would begin or end"),
        ("database.command('SET search_path TO pg_catalog')", "SET search_path would change"),
        ("database.rollback()", "ROLLBACK would begin or end"),
        ("database.server.cursor().execute('COMMIT')", "its body has ended the transaction"),
    ],
)
def test_a_body_that_does_so_itself_is_told_before_anything_runs(
    make_database: Any, directory: Any, connect: Any, server_url: str, call: str, said: str, atomic: str
) -> None:
    """What a body sends at once is no step, and asking it for its steps must write nothing."""
    url = make_database()
    source = BOTH.format(atomic=atomic, step="sql('SELECT 1')").replace(
        'fake=False):\n    migrator.sql("CREATE', f'fake=False):\n    {call}\n    migrator.sql("CREATE', 1
    )
    runner = Runner(url, directory(m001_fine="CREATE TABLE fine (id int)", m002_body=source))
    for what in (runner.up, runner.refuse_unsafe, lambda: rehearse(runner, server_url)):
        with pytest.raises(MigrationError, match=f"002_body: {said}"):
            what()
    assert runner.done == []
    assert tables(connect(url)) == []


class Asked(MigrationDatabase):
    """Counts the migrations that are asked what they would do."""

    asked = 0

    def command(self, sql: str) -> None:
        self.asked += sql == "SET TRANSACTION READ ONLY"
        super().command(sql)


class AskingRunner(Runner):
    """Runs over such a connection."""

    _database_kind = Asked
    database: Asked


@pytest.mark.slow
def test_only_a_host_s_migrations_are_asked_before_they_run(make_database: Any, directory: Any, at: Any) -> None:
    """Asking took a third of an adoption, and those of this package are looked at as they run."""
    newest = len(read_directory(None))
    host = AskingRunner(make_database(), directory(m001_a="CREATE TABLE a (id int)", m002_b="CREATE TABLE b (id int)"))
    ours = AskingRunner(at(newest - 1))
    assert [len(runner.up()) for runner in (host, ours)] == [2, 1]
    assert [runner.database.asked for runner in (host, ours)] == [2, 0]


@pytest.mark.parametrize("sql", ["DO $$ BEGIN COMMIT; END $$", "DO $$ BEGIN ROLLBACK; END $$", "CALL ended()"])
@pytest.mark.parametrize("atomic", ["", "ATOMIC = False"])
def test_a_block_or_procedure_that_ends_the_transaction_is_told_whose_it_is(
    make_database: Any, directory: Any, connect: Any, sql: str, atomic: str
) -> None:
    url = make_database()
    connect(url).cursor().execute("CREATE PROCEDURE ended() LANGUAGE plpgsql AS $$ BEGIN COMMIT; END $$")
    runner = Runner(url, directory(m001_block=BOTH.format(atomic=atomic, step=f"sql({sql!r})")))
    with pytest.raises(MigrationError, match=r"(?s)001_block: .* is the runner's.*take COMMIT and"):
        runner.up()
    assert "001_block" not in runner.done


def test_a_transaction_that_was_ended_behind_the_runners_back_stops_the_migration(
    make_database: Any, directory: Any, connect: Any
) -> None:
    url = make_database()
    sneaking = "run(lambda: database.server.cursor().execute('COMMIT; BEGIN'))"
    after = BOTH.format(atomic="", step=sneaking).replace(
        "\n\ndef rollback", '\n    migrator.sql("CREATE TABLE after (id int)")\n\ndef rollback'
    )
    runner = Runner(url, directory(m001_sneaking=after))
    with pytest.raises(MigrationError, match=r"001_sneaking: it has ended the transaction.*undo that by hand"):
        runner.up()
    assert "after" not in tables(connect(url))


@pytest.mark.parametrize(
    "step",
    [
        "run(lambda: database.server.cursor().execute('SET search_path TO pg_catalog'))",
        "sql(\"DO $$ BEGIN PERFORM set_config('search_path', '', false); END $$\")",
    ],
)
@pytest.mark.parametrize("atomic", ["", "ATOMIC = False"])
def test_a_search_path_that_is_not_put_back_stops_the_migration(
    make_database: Any, directory: Any, connect: Any, step: str, atomic: str
) -> None:
    url = make_database()
    runner = Runner(url, directory(m001_moving=BOTH.format(atomic=atomic, step=step), m002_next="SELECT 1"))
    with pytest.raises(MigrationError, match="001_moving: it has changed search_path"):
        runner.up()
    assert "001_moving" not in runner.done
    assert ("before" in tables(connect(url))) == bool(atomic)


def test_a_local_search_path_that_is_not_put_back_stops_the_migration(make_database: Any, directory: Any) -> None:
    source = BOTH.format(atomic="", step="sql('SET LOCAL search_path TO pg_catalog')")
    runner = Runner(make_database(), directory(m001_moving=source))
    with pytest.raises(MigrationError, match="001_moving: it has changed search_path"):
        runner.up()
    assert runner.done == []


def test_a_search_path_that_is_put_back_is_the_migrations_own(make_database: Any, directory: Any, connect: Any) -> None:
    url = make_database()
    step = 'sql("SET LOCAL search_path TO pg_catalog; SELECT 1; SET LOCAL search_path TO DEFAULT")'
    assert Runner(url, directory(m001_moving=BOTH.format(atomic="", step=step))).up() == ["001_moving"]


def test_a_transaction_that_a_function_leaves_open_is_told(make_database: Any, directory: Any, connect: Any) -> None:
    url = make_database()
    step = "run(lambda: database.server.cursor().execute('BEGIN; CREATE TABLE half (id int)'))"
    runner = Runner(url, directory(m001_open=BOTH.format(atomic="ATOMIC = False", step=step)))
    with pytest.raises(MigrationError, match="001_open: it has begun a transaction and not ended it"):
        runner.up()
    assert "half" not in tables(connect(url))


def tables(connection: Any) -> list[str]:
    """The tables of the database."""
    cursor = connection.cursor()
    cursor.execute("SELECT tablename::text FROM pg_tables WHERE schemaname = 'public' ORDER BY 1")
    return [name for (name,) in cursor.fetchall()]

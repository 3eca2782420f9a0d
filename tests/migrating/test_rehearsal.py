"""Rehearsal: what each statement does to tables that were there before is measured, whatever it is written in."""

import re
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
from psycopg2.extensions import make_dsn

from rayces_core.errors import ConfigurationError, DatabaseUnreachableError, MigrationError, MigrationFileError
from rayces_core.migrating import Runner, probe
from rayces_core.migrating.catalogue import fingerprint
from rayces_core.migrating.files import read_directory
from rayces_core.migrating.measuring import Measurement
from rayces_core.migrating.rehearsal import rehearse, table_sizes
from tests.patience import wait_until
from tests.sizes import quick_or_whole
from tests.walking import walked

HEAD = "def migrate(migrator, database, *, fake=False):\n"
TABLES = """
CREATE TABLE parents (id int PRIMARY KEY, name varchar(50));
CREATE TABLE children (id int PRIMARY KEY, parent_id int, done boolean);
ALTER TABLE children ADD CONSTRAINT done_present CHECK (done IS NOT NULL);
CREATE INDEX children_parent ON children (parent_id);
CREATE FUNCTION tighten() RETURNS void LANGUAGE plpgsql AS
    'BEGIN ALTER TABLE children ALTER COLUMN parent_id SET NOT NULL; END'
"""

# What a migration does → lock, tables scanned, tables rewritten.
BLOCKING = {
    "a foreign key": (
        "ALTER TABLE children ADD FOREIGN KEY (parent_id) REFERENCES parents",
        ("SHARE ROW EXCLUSIVE", ("children",), ()),
    ),
    "set not null": ("ALTER TABLE children ALTER parent_id SET NOT NULL", ("ACCESS EXCLUSIVE", ("children",), ())),
    "a check": ("ALTER TABLE children ADD CHECK (id > 0)", ("ACCESS EXCLUSIVE", ("children",), ())),
    "a check of a new column": (
        "ALTER TABLE children ADD age int CHECK (age > 0)",
        ("ACCESS EXCLUSIVE", ("children",), ()),
    ),
    "another type": (
        "ALTER TABLE parents ALTER id TYPE bigint",
        ("ACCESS EXCLUSIVE", ("parents",), ("parents",)),
    ),
    "a volatile default": (
        "ALTER TABLE parents ADD token uuid DEFAULT gen_random_uuid()",
        ("ACCESS EXCLUSIVE", ("parents",), ("parents",)),
    ),
    "a stored column": (
        "ALTER TABLE parents ADD twice int GENERATED ALWAYS AS (id * 2) STORED",
        ("ACCESS EXCLUSIVE", ("parents",), ("parents",)),
    ),
    "an identity": (
        "ALTER TABLE parents ADD n int GENERATED ALWAYS AS IDENTITY",
        ("ACCESS EXCLUSIVE", ("parents",), ("parents",)),
    ),
    "an index": ("CREATE INDEX ON parents (name)", ("SHARE", ("parents",), ())),
    "a unique constraint": ("ALTER TABLE parents ADD UNIQUE (name)", ("ACCESS EXCLUSIVE", ("parents",), ())),
    "a DO block": (
        "DO $$ BEGIN EXECUTE 'ALTER TABLE children ALTER parent_id SET NOT NULL'; END $$",
        ("ACCESS EXCLUSIVE", ("children",), ()),
    ),
    "a function": ("SELECT tighten()", ("ACCESS EXCLUSIVE", ("children",), ())),
    "a copy under a lock": (
        "CREATE TABLE copy AS SELECT * FROM parents; LOCK TABLE parents IN SHARE MODE",
        ("SHARE", ("parents",), ()),
    ),
}
HARMLESS = {
    "a foreign key that is not checked": (
        "ALTER TABLE children ADD FOREIGN KEY (parent_id) REFERENCES parents NOT VALID",
        ("SHARE ROW EXCLUSIVE", (), ()),
    ),
    "a nullable column": ("ALTER TABLE children ADD note text", ("ACCESS EXCLUSIVE", (), ())),
    "a constant default": (
        "ALTER TABLE children ADD n int DEFAULT 1 NOT NULL, ADD t timestamptz DEFAULT now()",
        ("ACCESS EXCLUSIVE", (), ()),
    ),
    "not null behind a check": ("ALTER TABLE children ALTER done SET NOT NULL", ("ACCESS EXCLUSIVE", (), ())),
    "a wider type": ("ALTER TABLE parents ALTER name TYPE varchar(80)", ("ACCESS EXCLUSIVE", (), ())),
    "a table of its own": (
        "CREATE TABLE more (id int); CREATE INDEX ON more (id); ALTER TABLE more ALTER id TYPE bigint",
        (None, (), ()),
    ),
    "rows read and written": (
        "UPDATE parents SET name = 'x'; DELETE FROM children WHERE NOT done",
        ("ROW EXCLUSIVE", ("children", "parents"), ()),
    ),
}
# In this order on the same tables.
STEPS = {
    "CREATE INDEX CONCURRENTLY x ON parents (name)": ("SHARE UPDATE EXCLUSIVE", ("parents",), ()),
    "REINDEX INDEX CONCURRENTLY children_parent": ("SHARE UPDATE EXCLUSIVE", ("children",), ()),
    "DROP INDEX CONCURRENTLY children_parent": ("SHARE UPDATE EXCLUSIVE", (), ()),
}


def _source(*statements: str, head: str = HEAD) -> str:
    return head + "".join(f"    migrator.sql({statement!r})\n" for statement in statements)


@pytest.fixture
def base(make_database: Any, directory: Any) -> tuple[str, Path]:
    """A database with two tables, and the directory of its migrations."""
    url, folder = make_database(), directory(m001_tables=TABLES)
    Runner(url, folder).up()
    return url, folder


def _rehearsed(base: tuple[str, Path], directory: Any, server_url: str, source: str) -> list[Measurement]:
    url, _ = base
    return rehearse(Runner(url, directory(m002_change=source)), server_url)


def _facts(measurement: Measurement) -> tuple[str | None, tuple[str, ...], tuple[str, ...]]:
    return measurement.lock, measurement.scanned, measurement.rewritten


# Each case has tables of its own, so that one rehearsal measures them all.
NAMES = re.compile(r"\b(parents|children|children_parent|done_present|tighten|more|copy)\b")
CASES = [*BLOCKING, *HARMLESS]
ON_15 = list(BLOCKING)[:: quick_or_whole(6, 1)]


def _own(text: str, case: str) -> str:
    return NAMES.sub(rf"\1_{CASES.index(case)}", text)


def _measure(cases: list[str], url: str, folder: Path, scratch_url: str) -> dict[str, list[Measurement]]:
    (folder / "001_tables.py").write_text(_source(*(_own(TABLES, case) for case in cases)))
    for number, case in enumerate(cases, start=2):
        (folder / f"{number:03}_change.py").write_text(_source(_own((BLOCKING | HARMLESS)[case][0], case)))
    found = rehearse(Runner(url, folder), scratch_url)
    return {case: [each for each in found if each.migration.startswith(f"{number:03}")]
            for number, case in enumerate(cases, start=2)}  # fmt: skip


@pytest.fixture(scope="module")
def measured(create_database: Callable[[], str], server_url: str, tmp_path_factory: Any) -> Any:
    """Case → what was measured."""
    return _measure(CASES, create_database(), tmp_path_factory.mktemp("cases"), server_url)


@pytest.fixture(scope="module")
def measured_on_15(create_database: Callable[[], str], oldest_server_url: str, tmp_path_factory: Any) -> Any:
    """The same of what blocks (every sixth in `make test`) on PostgreSQL 15."""
    return _measure(ON_15, create_database(), tmp_path_factory.mktemp("cases"), oldest_server_url)


def _see_it_blocks(found: list[Measurement], case: str) -> Measurement:
    lock, scanned, rewritten = BLOCKING[case][1]
    (measurement,) = found
    assert measurement.blocks
    assert (measurement.lock, measurement.rewritten) == (lock, tuple(_own(table, case) for table in rewritten))
    assert {*measurement.scanned, *measurement.rewritten} >= {_own(table, case) for table in scanned}
    return measurement


@pytest.mark.slow
@walked("case", BLOCKING)
def test_a_table_locked_and_read_or_written_as_a_whole_blocks(measured: dict[str, Any], case: str) -> None:
    assert "nobody can write to" in _see_it_blocks(measured[case], case).reason


@walked("case", HARMLESS)
def test_a_short_lock_or_a_weak_one_does_not_block(measured: dict[str, Any], case: str) -> None:
    (found,), (lock, scanned, rewritten) = measured[case], HARMLESS[case][1]
    assert (_facts(found), found.reason) == ((lock, tuple(_own(table, case) for table in scanned), rewritten), "")


@pytest.mark.slow
def test_what_runs_beside_the_application_is_measured_from_outside(
    base: tuple[str, Path], directory: Any, server_url: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    # Of a VACUUM the probe lets go, because it waits for nobody: long before it would of anything else.
    monkeypatch.setattr(probe, "LONGEST_HOLD_SECONDS", 60.0)
    began = time.monotonic()
    steps = _source(*STEPS, "VACUUM parents", "VACUUM FULL parents", head="ATOMIC = False\n" + HEAD)
    *found, vacuum, full = _rehearsed(base, directory, server_url, steps)
    assert {each.sql: _facts(each) for each in found} == STEPS
    assert not any(each.blocks for each in (*found, vacuum))
    assert (full.lock, full.rewritten, full.blocks) == ("ACCESS EXCLUSIVE", ("parents",), True)
    assert time.monotonic() - began < probe.LONGEST_HOLD_SECONDS


TWO = (
    "ALTER TABLE children ADD FOREIGN KEY (parent_id) REFERENCES parents NOT VALID",
    "ALTER TABLE children VALIDATE CONSTRAINT children_parent_id_fkey",
)


@pytest.mark.slow
def test_a_lock_lasts_to_the_end_of_the_transaction(base: tuple[str, Path], directory: Any, server_url: str) -> None:
    together = _rehearsed(base, directory, server_url, _source(*TWO))
    assert [found.blocks for found in together] == [False, True]
    apart = _rehearsed(base, directory, server_url, _source(*TWO, head="ATOMIC = False\n" + HEAD))
    assert [found.blocks for found in apart] == [False, False]
    assert (apart[1].lock, apart[1].scanned) == ("SHARE UPDATE EXCLUSIVE", ("children",))


@pytest.mark.slow
def test_a_foreign_key_checked_by_way_of_an_index_blocks_too(
    base: tuple[str, Path], directory: Any, server_url: str
) -> None:
    key = "ALTER TABLE children ADD FOREIGN KEY (parent_id) REFERENCES parents"
    _, found = _rehearsed(base, directory, server_url, _source("SET LOCAL enable_seqscan = off", key))
    assert found.reason == "reads all of children while nobody can write to children, parents"


@pytest.mark.slow
def test_another_table_read_under_the_lock_blocks_too(base: tuple[str, Path], directory: Any, server_url: str) -> None:
    _, found = _rehearsed(
        base, directory, server_url, _source("ALTER TABLE parents ADD note text", "SELECT count(*) FROM children")
    )
    assert found.reason == "reads all of children while nobody can write to parents"


@pytest.mark.slow
def test_the_lock_of_a_table_that_is_gone_is_told(base: tuple[str, Path], directory: Any, server_url: str) -> None:
    (found,) = _rehearsed(base, directory, server_url, _source("DROP TABLE children"))
    assert (found.lock, found.locked, found.rewritten) == ("ACCESS EXCLUSIVE", ("children",), ())


@pytest.mark.slow
def test_the_statements_of_a_call_are_measured_one_by_one(
    base: tuple[str, Path], directory: Any, server_url: str
) -> None:
    source = (
        "ATOMIC = False\n"
        "def tighten(database):\n"
        "    database.command('ALTER TABLE children ADD note text')\n"
        "    database.command('ALTER TABLE children ALTER parent_id SET NOT NULL')\n"
        f"{HEAD}    migrator.run(tighten, database)\n"
    )
    first, second = _rehearsed(base, directory, server_url, source)
    assert (first.step, first.call, first.sql) == (1, "tighten", "ALTER TABLE children ADD note text")
    assert (first.blocks, second.step, second.blocks) == (False, 1, True)


@pytest.mark.slow
def test_the_update_of_a_backfill_is_measured_without_rows(
    base: tuple[str, Path], directory: Any, server_url: str
) -> None:
    source = (
        "from rayces_core.migrating.runner import backfill\nATOMIC = False\n"
        + HEAD
        + "    migrator.run(backfill, database, 'parents', \"name = '50%'\", 'name IS NULL')\n"
    )
    window, update = _rehearsed(base, directory, server_url, source)
    assert (window.lock, update.lock, update.call) == ("ACCESS SHARE", "ROW EXCLUSIVE", "backfill")


@pytest.mark.slow
def test_the_sizes_are_those_of_the_real_tables(
    base: tuple[str, Path], directory: Any, server_url: str, connect: Any
) -> None:
    url, _ = base
    cursor = connect(url).cursor()
    cursor.execute("INSERT INTO parents SELECT n, 'x' FROM generate_series(1, 5000) AS n")
    runner = Runner(
        url,
        directory(m002_t="CREATE TABLE t (id int)", m003_add="ALTER TABLE t ADD n int; ALTER TABLE parents ADD n int"),
    )
    sizes = table_sizes(runner, rehearse(runner, server_url))
    cursor.execute("SELECT pg_total_relation_size('parents')")
    assert sizes == {"parents": cursor.fetchone()[0], "t": None}
    assert sizes["parents"] > 100_000


@pytest.mark.slow
def test_a_table_of_an_earlier_pending_migration_counts_as_there(
    base: tuple[str, Path], directory: Any, server_url: str
) -> None:
    directory(m003_index="CREATE INDEX ON later (id)")
    made, indexed = _rehearsed(base, directory, server_url, _source("CREATE TABLE later (id int)"))
    assert (made.migration, made.blocks, indexed.migration, indexed.blocks) == ("002_change", False, "003_index", True)


@pytest.mark.slow
def test_nothing_of_the_real_database_is_touched_and_nothing_is_left(
    base: tuple[str, Path], directory: Any, server_url: str, connect: Any
) -> None:
    url, _ = base
    before, cursor = fingerprint(connect(url)), connect(server_url).cursor()
    scratch = (
        "SELECT array_agg(datname) FROM pg_database WHERE datname LIKE 'rayces_rehearsal%%' AND datname <> ALL (%s)"
    )
    cursor.execute(scratch, ([],))
    kept = cursor.fetchone()[0] or []  # fixtures of this session have some
    _rehearsed(base, directory, server_url, _source("ALTER TABLE parents ADD note text"))
    with pytest.raises(MigrationError, match="002_change: division by zero"):
        _rehearsed(base, directory, server_url, _source("SELECT 1/0"))
    assert fingerprint(connect(url)) == before
    cursor.execute(scratch, (kept,))
    (there,) = cursor.fetchone()
    # Another process of these tests may be rehearsing on the same server; it drops its own.
    left = "SELECT count(*) FROM pg_database WHERE datname = ANY (%s)"
    wait_until(lambda: cursor.execute(left, (there or [],)) or cursor.fetchone() == (0,))


@pytest.mark.slow
def test_a_rehearsal_goes_no_further_than_asked(base: tuple[str, Path], directory: Any, server_url: str) -> None:
    url, _ = base
    folder = directory(m002_more="CREATE TABLE more (id int)", m003_last="CREATE TABLE last (id int)")
    assert [found.migration for found in rehearse(Runner(url, folder), server_url, to=2)] == ["002_more"]


def test_an_applied_migration_that_was_edited_is_refused(
    base: tuple[str, Path], directory: Any, server_url: str
) -> None:
    url, _ = base
    with pytest.raises(MigrationFileError, match="001_tables was edited"):
        rehearse(Runner(url, directory(m001_tables="SELECT 1")), server_url)


@pytest.mark.slow
def test_a_hosts_migrations_are_rehearsed_upon_ours(make_database: Any, directory: Any, server_url: str) -> None:
    url = make_database()
    ours = Runner(url)
    ours.up(3)
    host = Runner(url, directory(m001_index="CREATE INDEX ON users (phone)"), history_table="host_migrations")
    (found,) = rehearse(host, server_url, beneath=[ours])
    assert (found.lock, found.locked, found.blocks) == ("SHARE", ("users",), True)


@pytest.mark.slow
def test_another_schema_is_rehearsed_in_a_schema_of_that_name(
    make_database: Any, directory: Any, server_url: str, connect: Any
) -> None:
    url = make_database()
    connect(url).cursor().execute('CREATE SCHEMA "North Clinic"')
    there = make_dsn(url, options=r'-c search_path="North\ Clinic"')
    folder = directory(m001_table='CREATE TABLE "North Clinic".t (id int)', m002_index="CREATE INDEX ON t (id)")
    assert [found.blocks for found in rehearse(Runner(there, folder), server_url)] == [False, True]


def test_a_login_that_may_not_create_databases_is_told_what_to_ask_for(
    base: tuple[str, Path], directory: Any, server_url: str, connect: Any, fresh_roles: Any
) -> None:
    url, folder = base
    login = fresh_roles()
    connect(server_url).cursor().execute(f"CREATE ROLE {login} LOGIN")
    with pytest.raises(ConfigurationError, match=f'ALTER ROLE "{login}" CREATEDB;'):
        rehearse(Runner(url, folder), make_dsn(server_url, user=login))


def test_a_scratch_server_that_does_not_answer_is_one_clear_error(base: tuple[str, Path], tmp_path: Path) -> None:
    url, folder = base
    with pytest.raises(DatabaseUnreachableError, match="the scratch database cannot be reached"):
        rehearse(Runner(url, folder), f"postgresql://nobody@/none?host={tmp_path}")


@pytest.mark.parametrize("case", ON_15)
def test_postgresql_15_measures_the_same(measured_on_15: dict[str, Any], case: str) -> None:
    _see_it_blocks(measured_on_15[case], case)


# Number of each packaged migration → the strongest lock on a table that it finds.
LOCKS = {
    **dict.fromkeys((1, 2, 14), None),
    **dict.fromkeys((6, 9, 11, 18, 41), "SHARE UPDATE EXCLUSIVE"),
    **dict.fromkeys((12, 13, 15, 16, 17, 25, 33, 34, 35, 46, 54, 58, 59), "SHARE ROW EXCLUSIVE"),
    **dict.fromkeys((3, 4, 5, 7, 8, 10, 19, 20, 21, 22, 23, 24, 26, 27, 28), "ACCESS EXCLUSIVE"),
    **dict.fromkeys(
        (29, 30, 31, 32, 36, 37, 38, 39, 40, 42, 43, 44, 45, *range(47, 54), *range(55, 58), *range(60, 69)),
        "ACCESS EXCLUSIVE",
    ),
}
# Generated columns and a rule of ranges come no other way: they write the table anew, and came before anybody had data.
OF_OURS = {45, 49, 51, 64}
ORDER = (None, "ACCESS SHARE", "ROW SHARE", "ROW EXCLUSIVE", "SHARE UPDATE EXCLUSIVE", "SHARE", "SHARE ROW EXCLUSIVE")


@pytest.fixture(scope="module")
def ours(create_database: Any, server_url: str) -> list[Measurement]:
    """Every packaged migration, rehearsed from the first."""
    return rehearse(Runner(create_database()), server_url)


@pytest.mark.slow
@walked("file", read_directory(None), ids=lambda file: file.name)
def test_no_packaged_migration_blocks_but_four(ours: list[Measurement], file: Any) -> None:
    found = [measurement for measurement in ours if measurement.migration == file.name]
    assert found
    blocking = [measurement.reason for measurement in found if measurement.blocks]
    assert bool(blocking) == (file.number in OF_OURS), blocking
    strongest = max(ORDER.index(each.lock) if each.lock in ORDER else len(ORDER) for each in found)
    assert (*ORDER, "ACCESS EXCLUSIVE")[strongest] == LOCKS[file.number]


@pytest.mark.slow
def test_a_database_stopped_half_way_is_rehearsed_from_the_migration_it_stopped_in(
    base: tuple[str, Path], directory: Any, server_url: str
) -> None:
    url, _ = base
    source = _source("CREATE TABLE first (id int)", "SELECT 1/0", head="ATOMIC = False\n" + HEAD)
    folder = directory(m002_steps=source)
    with pytest.raises(MigrationError):
        Runner(url, folder).up()
    with pytest.raises(MigrationError, match="002_steps: division by zero"):
        rehearse(Runner(url, folder), server_url)


@pytest.mark.slow
def test_a_probe_that_is_sent_away_is_no_good_verdict(base: tuple[str, Path], directory: Any, server_url: str) -> None:
    source = _source("CREATE INDEX CONCURRENTLY x ON parents (name)", head="ATOMIC = False\n" + HEAD)
    runner = Runner(base[0], directory(m002_change=source))
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr("rayces_core.migrating.probe._WAITS", "SELECT pg_terminate_backend(pg_backend_pid()), %s")
        with pytest.raises(MigrationError, match="the locks could not be watched"):
            rehearse(runner, server_url)

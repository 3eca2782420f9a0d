"""How far a backfill or an index build has come is reported while it runs."""

from typing import Any

from rayces_core.migrating import Runner

HEAD = (
    "from rayces_core.migrating.runner import backfill\nATOMIC = False\n"
    "def migrate(migrator, database, *, fake=False):\n"
)


def test_a_backfill_reports_how_far_its_key_has_come(make_database: Any, directory: Any, connect: Any) -> None:
    url = make_database()
    connect(url).cursor().execute(
        "CREATE TABLE t AS SELECT n * 10 AS id, NULL::int AS c FROM generate_series(3, 7) AS n"
    )
    call = "    migrator.run(backfill, database, 't', 'c = 1', 'c IS NULL', batch_rows=2)\n"
    seen: list[tuple[str, int, int]] = []
    Runner(url, directory(m001_fill=HEAD + call), on_progress=lambda *facts: seen.append(facts)).up()
    assert seen == [("filling in t", 11, 41), ("filling in t", 31, 41), ("filling in t", 41, 41)]


def test_an_index_build_is_reported_while_it_runs(make_database: Any, directory: Any, connect: Any) -> None:
    url = make_database()
    connect(url).cursor().execute(
        "CREATE FUNCTION slow(int) RETURNS int IMMUTABLE LANGUAGE plpgsql AS "
        "'BEGIN PERFORM pg_sleep(0.003); RETURN $1; END';"
        "CREATE TABLE t AS SELECT n AS id, repeat('x', 700) AS filling FROM generate_series(1, 200) AS n"
    )
    seen: list[tuple[str, int, int]] = []
    build = "    migrator.sql('CREATE INDEX CONCURRENTLY IF NOT EXISTS t_slow ON t (slow(id))')\n"
    Runner(url, directory(m001_index=HEAD + build), on_progress=lambda *facts: seen.append(facts)).up()
    scans = [facts for facts in seen if facts[0] == "building t_slow: building index: scanning table"]
    assert scans
    assert all(0 <= done <= total for _, done, total in scans)
    assert scans[0][2] > 1
    assert len({done for _, done, _ in scans}) > 1, seen

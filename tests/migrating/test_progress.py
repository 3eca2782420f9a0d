"""How far a backfill or an index build has come is reported while it runs."""

from typing import Any

import pytest

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


@pytest.mark.slow
def test_an_index_build_is_reported_while_it_runs(make_database: Any, directory: Any, connect: Any) -> None:
    url = make_database()
    holder = connect(url).cursor()
    holder.execute(
        "CREATE FUNCTION slow(int) RETURNS int IMMUTABLE LANGUAGE plpgsql AS "
        "'BEGIN IF $1 IN (60, 140) THEN PERFORM pg_advisory_lock($1), pg_advisory_unlock($1); END IF; RETURN $1; END';"
        "CREATE TABLE t AS SELECT n AS id, repeat('x', 700) AS filling FROM generate_series(1, 200) AS n;"
        "SELECT pg_advisory_lock(60), pg_advisory_lock(140)"
    )
    seen: list[tuple[str, int, int]] = []

    def go_on(*facts: Any) -> None:
        """The build stops at two rows until it was seen before each of them."""
        seen.append(facts)
        done = {done for what, done, _ in seen if what.endswith("scanning table")}
        holder.execute("SELECT pg_advisory_unlock(key) FROM unnest(%s) AS key", ([60, 140][: len(done)],))

    build = "    migrator.sql('CREATE INDEX CONCURRENTLY IF NOT EXISTS t_slow ON t (slow(id))')\n"
    Runner(url, directory(m001_index=HEAD + build), on_progress=go_on).up()
    scans = [facts for facts in seen if facts[0] == "building t_slow: building index: scanning table"]
    assert scans
    assert all(0 <= done <= total for _, done, total in scans)
    assert scans[0][2] > 1
    assert len({done for _, done, _ in scans}) > 1, seen

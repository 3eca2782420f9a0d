"""Who runs what the doctor prints, and asks again, comes to the end: without a fault, and without stopping anybody."""

from __future__ import annotations

import re
from collections import Counter
from collections.abc import Callable
from contextlib import suppress
from pathlib import Path

import pglast
import psycopg2
import pytest

from rayces_core.database.database import Database
from rayces_core.doctor import Finding, audit
from rayces_core.errors import MigrationError
from rayces_core.migrating.rehearsal import Measurement, RehearsalRunner
from tests.doctor.breaks import BREAKS, HELD_TABLE, Break

ROUNDS = 5
# It names what has to be done elsewhere: by a migration, or from a backup.
ELSEWHERE = {"table-missing", "column-missing"}
QUIET_HOUR = "in a quiet hour"
# Other tests of the run share the server's roles, so mistakes in those are mended within a transaction, in test_doctor.
ABOUT_ROLES = re.compile(r"\bROLE\b|\{login\}|DATABASE|TO clerk|PARAMETER|pg_catalog|pg_authid|pg_statistic")


class Follower:
    """Runs what the doctor prints as a rehearsal runs migrations: each statement by itself, and measured."""

    def __init__(self, url: str, folder: Path) -> None:
        self.url, self.folder, self.runs = url, folder, 0
        self.measured: list[tuple[Finding, Measurement]] = []

    def found(self) -> list[Finding]:
        with Database.connect(self.url) as database:
            return [finding for finding in audit(database) if finding.check != "login-unrestricted"]

    def follow(self, found: list[Finding]) -> list[Finding]:
        """Run what was found, and ask again, until nothing is left or nothing changes; gives what is left."""
        for _ in range(ROUNDS):
            if not found:
                break
            for finding in found:
                self.run(finding)
            found = self.found()
        return found

    def run(self, finding: Finding) -> None:
        self.runs += 1
        folder = self.folder / str(self.runs)
        folder.mkdir()
        steps = "".join(f"    migrator.sql({each!r})\n" for each in pglast.split(finding.remedy))
        body = steps or "    pass\n"
        (folder / "001_remedy.py").write_text(
            f"ATOMIC = False\ndef migrate(migrator, database, *, fake=False):\n{body}"
        )
        runner = RehearsalRunner(self.url, folder, history_table=f"remedy_{self.runs}")
        # What it needs may come with a later remedy; psql, too, goes on with the next one.
        with suppress(MigrationError):
            runner.up()
        self.measured += [(finding, each) for each in runner.measurements]


@pytest.fixture
def broken(make_database: Callable[..., str], template: str) -> Callable[[str], str]:
    def make(sql: str) -> str:
        url = make_database(template)
        connection = psycopg2.connect(url)
        connection.cursor().execute(sql)
        connection.commit()
        connection.close()
        return url

    return make


SEEN: Counter[str] = Counter()
FOLLOWED = [
    each
    for each in BREAKS
    if not each.check.startswith("role-") and not ABOUT_ROLES.search(each.sql) and each.check not in ELSEWHERE
]
# `make test` keeps one of each check that is not mended in a transaction anyway.
KEPT = [each for each in FOLLOWED if not each.mends and not SEEN.update([each.check]) and SEEN[each.check] == 1]


@pytest.mark.slow
@pytest.mark.parametrize(
    "mistake",
    [
        pytest.param(each, id=f"{each.check}-{number}", marks=() if each in KEPT else pytest.mark.exhaustive)
        for number, each in enumerate(FOLLOWED)
    ],
)
def test_what_is_printed_leads_to_the_end_and_stops_nobody(
    mistake: Break, broken: Callable[[str], str], tmp_path: Path
) -> None:
    follower = Follower(broken(mistake.sql), tmp_path)
    found = follower.found()
    assert mistake.check in {finding.check for finding in found}
    assert follower.follow(found) == []
    blocking = [(finding.check, each.sql) for finding, each in follower.measured if each.blocks]
    assert [each for each in blocking if each[0] not in {"exclusion-not-tenant-first", "tenant-column-type"}] == []
    assert all(QUIET_HOUR in finding.remedy for finding, each in follower.measured if each.blocks)


PLAIN = """
CREATE TABLE notes (id bigserial PRIMARY KEY, organization_id bigint, student_id bigint, content text, label text);
CREATE UNIQUE INDEX ON notes (label);
CREATE TABLE remarks (id bigserial PRIMARY KEY, organization_id bigint REFERENCES organizations, note_id bigint
    REFERENCES notes ON DELETE SET NULL);
"""


@pytest.mark.exhaustive
def test_a_host_s_tables_as_a_beginner_makes_them_end_held_and_can_be_written(
    broken: Callable[[str], str], tmp_path: Path
) -> None:
    """`make test` keeps one mistake of each check."""
    follower = Follower(broken(PLAIN), tmp_path)
    assert follower.follow(follower.found()) == []
    assert [(finding.check, each.sql) for finding, each in follower.measured if each.blocks] == []
    connection = psycopg2.connect(follower.url)
    cursor = connection.cursor()
    cursor.execute("INSERT INTO organizations (name, subdomain) VALUES ('North', 'north') RETURNING id")
    cursor.execute("SELECT set_config('rayces.organization_id', '1', true); SET LOCAL ROLE rayces_app")
    cursor.execute("INSERT INTO notes (organization_id, label) VALUES (1, 'a') RETURNING id")
    cursor.execute("INSERT INTO remarks (organization_id, note_id) VALUES (1, 1); UPDATE notes SET content = 'b'")
    cursor.execute("DELETE FROM notes")
    cursor.execute("SELECT organization_id, note_id FROM remarks")
    assert cursor.fetchall() == [(1, None)]
    connection.close()


@pytest.mark.slow
def test_each_remedy_is_sql(broken: Callable[[str], str], tmp_path: Path) -> None:
    follower = Follower(broken(PLAIN + HELD_TABLE.format(table="visits", partitioning="")), tmp_path)
    found = follower.found()
    assert found
    for finding in found:
        assert pglast.parse_sql(finding.remedy)


# Stopped behind the index, by a kill or a time limit: it is there, or was left invalid.
@pytest.mark.slow
@pytest.mark.parametrize("valid", [True, False], ids=["built", "left invalid"])
def test_a_remedy_that_was_stopped_is_gone_on_with_and_says_no_notice(
    broken: Callable[[str], str], tmp_path: Path, valid: bool
) -> None:
    follower = Follower(broken("ALTER TABLE likes DROP CONSTRAINT likes_pkey"), tmp_path)
    connection = psycopg2.connect(follower.url)
    connection.autocommit = True
    cursor = connection.cursor()
    stopped = 0
    for _ in range(ROUNDS):
        for finding in follower.found():
            statements = pglast.split(finding.remedy)
            for each in statements:
                with suppress(psycopg2.Error):
                    cursor.execute(each)
                if each.startswith("CREATE UNIQUE INDEX") and each is not statements[-1] and not stopped:
                    stopped += 1
                    cursor.execute("UPDATE pg_index SET indisvalid = %s WHERE indexrelid = (SELECT max(indexrelid) "
                                   "FROM pg_index i JOIN pg_class c ON c.oid = i.indrelid WHERE c.relname = 'likes')",
                                   (valid,))  # fmt: skip
                    break
    assert (stopped, follower.found(), connection.notices) == (1, [], [])
    connection.close()

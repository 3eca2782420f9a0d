"""Several histories as one: ours first, then each directory in order, and what one needs of another is there."""

from __future__ import annotations

import os
import subprocess
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from rayces_core.errors import ConfigurationError, MigrationError, MigrationFileError
from rayces_core.migrating import Runner
from rayces_core.migrating.line import Line
from rayces_core.migrating.rehearsal import rehearse
from tests.walking import walked

BODY = """{needs}
def migrate(migrator, database, *, fake=False):
    migrator.sql({up!r})


def rollback(migrator, database, *, fake=False):
    migrator.sql({down!r})
"""

Write = Callable[..., Path]


@pytest.fixture
def write(tmp_path: Path) -> Write:
    """Write migrations into a folder: name → SQL, or (REQUIRES, SQL)."""

    def make(folder: str, **files: str | tuple[str, str]) -> Path:
        (tmp_path / folder).mkdir(exist_ok=True)
        for name, said in files.items():
            needs, up = said if isinstance(said, tuple) else ("", said)
            table = up.split()[2] if up.startswith("CREATE TABLE") else ""
            source = BODY.format(needs=needs, up=up, down=f"DROP TABLE {table}" if table else "SELECT 1")
            (tmp_path / folder / f"{name.removeprefix('m')}.py").write_text(source)
        return tmp_path / folder

    return make


class Histories:
    """Lines on one database, of ours (kept short by `--to`) and some folders."""

    def __init__(self, url: str) -> None:
        self.url = url

    def runners(self, *folders: Path) -> list[Runner]:
        return [
            Runner(self.url),
            *(Runner(self.url, folder, history_table=f"{folder.name}_migrations") for folder in folders),
        ]

    def line(self, *folders: Path, only: str | None = None, derived: bool = False) -> Line:
        runners = self.runners(*folders)
        return Line(runners, only=only, derived=[each.history.table for each in runners[1:]] if derived else [])


@pytest.fixture
def begun(make_database: Any) -> Histories:
    """A database of three migrations of ours."""
    url = make_database()
    Runner(url).up(3)
    return Histories(url)


def names(states: list[Any]) -> list[str]:
    return [f"{history} {state.name}" for history, state in states]


@pytest.mark.slow
def test_up_applies_ours_and_then_each_directory_in_order(migrated_copy: str, write: Write) -> None:
    rooms = write("rooms", m001_rooms=('REQUIRES = "025"', "CREATE TABLE rooms (id int)"))
    bills = write("bills", m001_bills=('REQUIRES = ("013", "rooms:001_rooms")', "CREATE TABLE bills (id int)"))
    line = Histories(migrated_copy).line(rooms, bills)
    assert names(line.up()) == ["rooms 001_rooms", "bills 001_bills"]
    assert names(line.up()) == []
    assert [state.state for history, state in line.status() if history != "rayces"] == ["applied", "applied"]
    assert names(line.status())[0] == "rayces 001_myhub"


@pytest.fixture
def migrated_copy(server_url: str, template: str) -> Any:
    from tests.conftest import cloned

    with cloned(server_url, template) as url:
        yield url


@pytest.mark.slow
@walked(
    ("needs", "sentence"),
    [
        (
            'REQUIRES = "999"',
            "needs migration 999 of rayces, which is not applied; .* a version of rayces-core",
        ),
        ('REQUIRES = "bills:001"', "needs migration 001 of bills, which is not applied; name the directory of bills"),
        ('REQUIRES = ["003", "rooms_and_beds:1"]', "needs migration 001 of rooms_and_beds"),
    ],
)
def test_what_is_needed_and_not_applied_stops_the_line_before_anything_is_run(
    begun: Histories, write: Write, needs: str, sentence: str
) -> None:
    first = write("first", m001_a="CREATE TABLE a (id int)")
    second = write("second", m001_b=(needs, "CREATE TABLE b (id int)"))
    with pytest.raises(MigrationError, match=sentence):
        begun.line(first, second, only=None).up()
    assert [state.state for _, state in begun.line(first, only="first").status()] == ["pending"]
    assert len(begun.runners()[0].done) == 3
    with pytest.raises(MigrationError, match=sentence):
        begun.runners(second)[1].up()


@walked("needs", ["REQUIRES = 25", 'REQUIRES = "twenty"', "REQUIRES = [25]", 'REQUIRES = ":25"'])
def test_a_need_that_cannot_be_read_is_the_files_error(begun: Histories, write: Write, needs: str) -> None:
    folder = write("odd", m001_a=(needs, "CREATE TABLE a (id int)"))
    with pytest.raises(MigrationFileError, match=r"001_a says REQUIRES = .*; write a number"):
        begun.line(folder, only="odd").up()


@pytest.mark.slow
def test_ours_alone_can_be_brought_up_and_then_the_host_that_needs_it(begun: Histories, write: Write) -> None:
    folder = write("rooms", m001_rooms=('REQUIRES = "004"', "CREATE TABLE rooms (id int)"))
    with pytest.raises(MigrationError, match="needs migration 004 of rayces"):
        begun.line(folder, only="rooms").up()
    assert names(begun.line(folder, only="rayces").up(4)) == ["rayces 004_timestamps_with_time_zone"]
    assert names(begun.line(folder, only="rooms").up()) == ["rooms 001_rooms"]


@pytest.mark.slow
def test_down_undoes_the_last_history_only(begun: Histories, write: Write) -> None:
    rooms = write("rooms", m001_rooms="CREATE TABLE rooms (id int)", m002_beds="CREATE TABLE beds (id int)")
    begun.line(rooms, only="rooms").up()
    line = begun.line(rooms)
    assert names(line.down()) == ["rooms 002_beds"]
    assert names(line.down()) == ["rooms 001_rooms"]
    assert line.down() == []
    assert len(begun.runners()[0].done) == 3


@pytest.mark.slow
def test_what_an_applied_migration_needs_is_not_undone_beneath_it(begun: Histories, write: Write) -> None:
    rooms = write("rooms", m001_rooms=('REQUIRES = "003"', "CREATE TABLE rooms (id int)"))
    bills = write("bills", m001_bills=('REQUIRES = "rooms:001"', "CREATE TABLE bills (id int)"))
    begun.line(rooms, bills, only="rooms").up()
    begun.line(rooms, bills, only="bills").up()
    with pytest.raises(MigrationError, match="001_rooms of rooms is applied and needs migration 003 of rayces; undo"):
        begun.line(rooms, bills, only="rayces").down()
    with pytest.raises(MigrationError, match=r"rayces migrate down --only bills --to 0\. Nothing was run"):
        begun.line(rooms, bills, only="rooms").down_script()
    assert names(begun.line(rooms, bills).down()) == ["bills 001_bills"]
    assert names(begun.line(rooms, bills, only="rooms").down()) == ["rooms 001_rooms"]
    assert names(begun.line(rooms, bills, only="rayces").down()) == ["rayces 003_tenant_and_profile_columns"]


def test_a_number_is_of_one_history_and_a_name_that_is_none_is_said(begun: Histories, write: Write) -> None:
    rooms = write("rooms", m001_rooms="CREATE TABLE rooms (id int)")
    line = begun.line(rooms)
    for refused in (lambda: line.up(1), lambda: line.down(0), lambda: line.down(count=2), lambda: line.fake(1)):
        with pytest.raises(ConfigurationError, match="is of one history: say with --only which of rayces, rooms"):
            refused()
    with pytest.raises(ConfigurationError, match="there is no history 'beds'; there are rayces, rooms"):
        begun.line(rooms, only="beds")
    assert names(begun.line(rooms, only="rooms").fake(1)) == ["rooms 001_rooms"]


@pytest.mark.slow
def test_a_directory_under_another_name_finds_the_history_that_it_has(begun: Histories, write: Write) -> None:
    rooms = write("rooms", m001_rooms="CREATE TABLE rooms (id int)")
    begun.line(rooms, only="rooms").up()
    moved = rooms.rename(rooms.parent / "moved")
    for refused in (begun.line(moved, derived=True, only="moved").up, begun.line(moved, derived=True).status):
        with pytest.raises(MigrationError, match=r"the history of .* is in the table rooms_migrations, not in moved"):
            refused()
    other = write("other", m001_rooms="CREATE TABLE others (id int)")
    assert names(begun.line(other, derived=True, only="other").up()) == ["other 001_rooms"]


@pytest.mark.slow
def test_pending_ones_of_all_histories_are_measured_in_the_order_in_which_they_would_run(
    begun: Histories, write: Write, server_url: str
) -> None:
    rooms = write("rooms", m001_index="CREATE INDEX ON users (phone)", m002_rooms="CREATE TABLE rooms (id int)")
    begun.line(rooms, only="rooms").up(1)
    Runner(begun.url).up(4)
    bills = write("bills", m001_bills="CREATE INDEX ON rooms (id)")
    runners = begun.runners(rooms, bills)
    found = rehearse(runners[1:], server_url, beneath=runners[:1], rows=2)
    assert [(each.history, each.migration, each.blocks) for each in found] == [
        ("rooms", "002_rooms", False),
        ("bills", "001_bills", True),
    ]


@pytest.mark.slow
def test_one_script_does_what_up_would_do(migrated_copy: str, write: Write) -> None:
    (newest,) = Runner(migrated_copy).down()
    begun = Histories(migrated_copy)
    rooms = write("rooms", m001_rooms=(f"REQUIRES = {newest!r}", "CREATE TABLE rooms (id int)"))
    script = begun.line(rooms).up_script()
    # What a migration that was stopped may have left is dropped first, and PostgreSQL notes that there is none.
    quiet = {**os.environ, "PGOPTIONS": "-c client_min_messages=warning"}
    done = subprocess.run(["psql", "-X", "-q", begun.url], input=script, capture_output=True, text=True, env=quiet)
    assert (done.returncode, done.stderr) == (0, "")
    assert {state.state for _, state in begun.line(rooms).status()} == {"applied"}
    assert begun.line(rooms).up_script() == "-- nothing to do\n"


@pytest.mark.slow
def test_the_roles_are_made_once_in_a_script_of_several_histories(
    fresh_roles: Callable[[], str], make_database: Any, write: Write
) -> None:
    roles = {"app_role": fresh_roles(), "admin_role": fresh_roles()}
    url = make_database()
    rooms = write("rooms", m001_rooms="CREATE TABLE rooms (id int)")
    line = Line([Runner(url, **roles), Runner(url, rooms, history_table="rooms_migrations", **roles)])
    script = line.up_script()
    assert script.count(f'CREATE ROLE "{roles["app_role"]}"') == 1
    assert script.count("GRANT SELECT ON") >= 4

"""A host's migrations squashed into one file: the same schema, and databases that have them take it over."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from rayces_core.errors import ConfigurationError, IrreversibleMigrationError, MigrationError, MigrationFileError
from rayces_core.migrating import Runner
from rayces_core.migrating.catalogue import fingerprint
from rayces_core.migrating.files import PACKAGE, read_directory
from rayces_core.migrating.squashed_files import squash
from rayces_core.migrations.session import connected
from tests.walking import walked

FILES = {
    "001_rooms": '''"""Rooms."""
from __future__ import annotations

REQUIRES = "rayces:002"
TABLE = "rooms"  # its name
# at the margin
NOTE = """first

  third line 'and' \\\\ more
last"""


class Names:
    table = TABLE


def migrate(migrator, database, *, fake=False):
    migrator.sql(f"""
CREATE TABLE {Names.table} (id int PRIMARY KEY,
name text)""")
    migrator.sql("COMMENT ON TABLE rooms IS %s", NOTE)


def rollback(migrator, database, *, fake=False):
    migrator.sql(f"DROP TABLE {TABLE}")
''',
    "002_beds": """TABLE = 'beds'
LOCK_TIMEOUT_MS = 700


def migrate(migrator, database, *, fake=False):
\tmigrator.sql("CREATE TABLE " + TABLE +\\
 " (id int PRIMARY KEY, room int REFERENCES rooms)")


def rollback(migrator, database, *, fake=False):
\tmigrator.sql("DROP TABLE IF EXISTS beds")
""",
    "003_index": """REQUIRES = ["003", "rayces:001"]
LOCK_TIMEOUT_MS = 600


def migrate(migrator, database, *, fake=False):
    migrator.sql("CREATE INDEX beds_by_room ON beds (room)")


def rollback(migrator, database, *, fake=False):
    migrator.sql("DROP INDEX beds_by_room")
""",
    "004_later": """def migrate(migrator, database, *, fake=False):
    migrator.sql("CREATE TABLE later (id int)")


def rollback(migrator, database, *, fake=False):
    migrator.sql("DROP TABLE later")
""",
}
NOTE = "first\n\n  third line 'and' \\ more\nlast"


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    for name, source in FILES.items():
        (tmp_path / f"{name}.py").write_text(source, "utf-8")
    return tmp_path


@pytest.fixture
def make_host(make_database: Any, folder: Path) -> Callable[[], Runner]:
    """Runners of the folder, each on a new database that has three migrations of ours."""

    def make() -> Runner:
        url = make_database()
        Runner(url).up(3)
        return Runner(url, folder, history_table="host_migrations")

    return make


def schema(runner: Runner) -> list[str]:
    with connected(runner.database):
        return list(fingerprint(runner.database))


def ask(runner: Runner, sql: str) -> Any:
    with connected(runner.database):
        return runner.database.one(sql)


def recorded(runner: Runner) -> list[str]:
    with connected(runner.database):
        return list(runner.history.rows())


def states(runner: Runner) -> list[str]:
    return [f"{state.name} {state.state}" for state in runner.status()]


@pytest.mark.slow
def test_the_squashed_file_makes_the_same_schema_and_goes_down_and_up(
    make_host: Callable[[], Runner], folder: Path
) -> None:
    before, after = make_host(), make_host()
    before.up()
    done = squash(folder, "001", "3")
    assert done.path.name == "003_squashed_001_to_003.py"
    assert done.replaced == ("001_rooms", "002_beds", "003_index")
    assert sorted(path.name for path in folder.glob("*.py")) == ["003_squashed_001_to_003.py", "004_later.py"]
    assert after.up() == ["003_squashed_001_to_003", "004_later"]
    assert schema(after) == schema(before)
    assert ask(after, "SELECT obj_description('rooms'::regclass)") == NOTE
    assert after.down(to=0) == ["004_later", "003_squashed_001_to_003"]
    assert ask(after, "SELECT to_regclass('rooms')") is None
    assert after.up(3) == ["003_squashed_001_to_003"]


def test_its_text_keeps_strings_and_combines_what_the_files_say(folder: Path) -> None:
    text = squash(folder, "001", "003").path.read_text("utf-8")
    (file, _) = read_directory(folder)
    module = file.load()
    assert (module.REQUIRES, module.LOCK_TIMEOUT_MS) == ("003", 700)
    assert not hasattr(module, "ATOMIC")
    assert NOTE.replace("\\", "\\\\") in text
    assert "\nCREATE TABLE {Names.table} (id int PRIMARY KEY,\nname text)" in text
    assert "\n    # at the margin\n" in text
    assert text.splitlines()[2] == "from __future__ import annotations"


@pytest.mark.slow
def test_a_database_that_has_them_all_takes_the_file_over(make_host: Callable[[], Runner], folder: Path) -> None:
    host = make_host()
    host.up()
    squash(folder, "001", "003", "basis")
    assert states(host) == ["003_basis applied", "004_later applied"]
    host.refuse_changes()
    assert host.pending() == []
    assert recorded(host) == ["001_rooms", "002_beds", "003_index", "004_later"]
    assert host.up() == []
    assert recorded(host) == host.done == ["003_basis", "004_later"]
    assert host.down(count=2) == ["004_later", "003_basis"]


@pytest.mark.slow
def test_the_script_takes_it_over_as_well(make_host: Callable[[], Runner], folder: Path) -> None:
    host = make_host()
    host.up(3)
    squash(folder, "001", "003", "basis")
    script = "\n".join(line for line in host.up_script().splitlines() if not line.startswith("\\"))
    with connected(host.database):
        host.database.command(script)
    assert recorded(host) == ["003_basis", "004_later"]
    assert host.up_script() == "-- nothing to do\n"
    assert ask(host, "SELECT count(*) FROM later") == 0


@pytest.mark.slow
def test_a_database_that_has_only_some_is_told_what_to_do(make_host: Callable[[], Runner], folder: Path) -> None:
    host = make_host()
    host.up(2)
    squash(folder, "001", "003")
    for refused in (host.up, host.down, host.status, host.up_script, host.refuse_changes):
        with pytest.raises(
            MigrationFileError, match=r"only some are applied here, 003_index not; run .* files of before"
        ):
            refused()
    assert recorded(host) == ["001_rooms", "002_beds"]


@pytest.mark.slow
def test_files_that_were_edited_before_they_were_squashed_are_refused(
    make_host: Callable[[], Runner], folder: Path
) -> None:
    host = make_host()
    host.up()
    (folder / "002_beds.py").write_text(FILES["002_beds"] + "# edited\n")
    squash(folder, "001", "003")
    with pytest.raises(MigrationFileError, match="replaces another 002_beds than the one that is applied here"):
        host.up()


@pytest.mark.slow
def test_a_squash_is_squashed_again_and_every_earlier_state_takes_it_over(
    make_host: Callable[[], Runner], folder: Path
) -> None:
    plain, once, new = make_host(), make_host(), make_host()
    plain.up()
    once.up()
    squash(folder, "001", "003")
    once.up()
    assert squash(folder, "002", "004").path.name == "004_squashed_001_to_004.py"
    for host in (plain, once):
        assert states(host) == ["004_squashed_001_to_004 applied"]
        assert host.up() == []
        assert recorded(host) == ["004_squashed_001_to_004"]
    assert new.up() == ["004_squashed_001_to_004"]
    assert schema(new) == schema(plain)


@pytest.mark.slow
def test_a_number_within_is_no_place_to_stop(make_host: Callable[[], Runner], folder: Path) -> None:
    squash(folder, "001", "003")
    host = make_host()
    with pytest.raises(MigrationError, match="migration 2 is now within 003_squashed_001_to_003"):
        host.up(2)
    host.up()
    with pytest.raises(MigrationError, match="migration 1 is now within"):
        host.down(1)
    (folder / "002_beds.py").write_text(FILES["002_beds"])
    with pytest.raises(MigrationFileError, match="002_beds is within 003_squashed_001_to_003"):
        host.up()


@pytest.mark.slow
def test_one_that_commits_by_itself_makes_all_do_so_and_one_without_a_way_back_closes_it(
    make_host: Callable[[], Runner], folder: Path
) -> None:
    (folder / "003_index.py").write_text(
        "ATOMIC = False\nIRREVERSIBLE = 'it is \"kept\"'\n" + FILES["003_index"].replace("INDEX", "INDEX CONCURRENTLY")
    )
    path = folder / "004_later.py"
    path.write_text(FILES["004_later"].partition("def rollback")[0])
    assert squash(folder, "001", "004").by_itself == ("003_index",)
    host = make_host()
    host.up()
    with pytest.raises(IrreversibleMigrationError, match='003_index: it is "kept"; 004_later: it has no rollback'):
        host.down()


@walked(
    ("line", "sentence"),
    [
        ("from os.path import *", r"002_beds, line 1: from os.path import \*, which means something else"),
        ("def f():\n    global TABLE\n    TABLE = 1", "line 2: global TABLE"),
        ("X = globals()", "line 1: globals"),
        ("open = open", "open is set and is Python's own too"),
        ("class A:\n    TABLE = TABLE", "TABLE is the file's and the class A's"),
        ("from __future__ import annotations; X = 1", "write from __future__ on a line of its own"),
    ],
)
def test_what_means_something_else_in_a_function_is_refused_and_nothing_changes(
    folder: Path, line: str, sentence: str
) -> None:
    (folder / "002_beds.py").write_text(f"{line}\n{FILES['002_beds']}")
    before = {path.name: path.read_bytes() for path in folder.iterdir()}
    with pytest.raises(MigrationFileError, match=sentence):
        squash(folder, "001", "003")
    assert {path.name: path.read_bytes() for path in folder.iterdir()} == before


@walked(
    ("words", "sentence"),
    [
        (("001", "009"), "there is no migration 009"),
        (("002", "001"), "nothing to squash from 002 to 001"),
        (("001", "003", "Ä"), "is no name of a migration"),
        (("001", "003", "index"), "003_index is one of those that are squashed"),
    ],
)
def test_what_cannot_be_squashed_is_said(folder: Path, words: tuple[str, ...], sentence: str) -> None:
    with pytest.raises(MigrationFileError, match=sentence):
        squash(folder, *words)


def test_this_librarys_own_are_not_squashed() -> None:
    import importlib.resources

    with pytest.raises(ConfigurationError, match="of this library are not squashed"):
        squash(str(importlib.resources.files(PACKAGE)), "001", "002")

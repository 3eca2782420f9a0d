"""The runner: what it applies and undoes, in which order, and what it refuses before anything runs."""

import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest
from peewee_migrate.router import BaseRouter

from rayces_core.errors import IrreversibleMigrationError, MigrationError, MigrationFileError
from rayces_core.migrating import Runner
from rayces_core.migrating.catalogue import fingerprint

ROUND_TRIP = """
def migrate(migrator, database, *, fake=False):
    migrator.sql("CREATE TABLE {0} (id int)")

def rollback(migrator, database, *, fake=False):
    migrator.sql("DROP TABLE {0}")
"""


@pytest.fixture
def three(directory: Any) -> Path:
    """Three migrations that make and drop the tables one, two and three."""
    return directory(
        **{f"m00{n}_{name}": ROUND_TRIP.format(name) for n, name in enumerate(("one", "two", "three"), start=1)}
    )


@pytest.mark.slow
def test_up_applies_what_is_pending_and_then_nothing(make_database: Any, three: Path) -> None:
    runner = Runner(make_database(), three)
    assert runner.up() == ["001_one", "002_two", "003_three"]
    assert runner.up() == []


@pytest.mark.parametrize("target", [2, "2", "002", "002_two"])
def test_up_stops_at_the_number_or_name_given(make_database: Any, three: Path, target: Any) -> None:
    runner = Runner(make_database(), three)
    assert runner.up(target) == ["001_one", "002_two"]
    assert runner.up(1) == []


@pytest.mark.slow
def test_down_undoes_the_newest_or_as_many_as_asked_or_back_to_a_target(make_database: Any, three: Path) -> None:
    runner = Runner(make_database(), three)
    for call, expected in (
        (runner.down, ["003_three"]),
        (lambda: runner.down(count=2), ["003_three", "002_two"]),
        (lambda: runner.down(count=9), ["003_three", "002_two", "001_one"]),
        (lambda: runner.down(count=0), []),
        (lambda: runner.down("001_one"), ["003_three", "002_two"]),
        (lambda: runner.down(0), ["003_three", "002_two", "001_one"]),
    ):
        runner.up()
        assert call() == expected
    assert runner.down() == []


@pytest.mark.parametrize("target", [4, "004_four", "two", "-1"])
def test_an_unknown_target_runs_nothing(make_database: Any, three: Path, target: Any) -> None:
    runner = Runner(make_database(), three)
    with pytest.raises(MigrationError, match="there is no migration"):
        runner.up(target)
    assert runner.done == []


def test_down_takes_a_target_or_a_count_not_both(make_database: Any, three: Path) -> None:
    with pytest.raises(MigrationError, match="not both"):
        Runner(make_database(), three).down(1, count=1)


@pytest.mark.slow
def test_status_shows_each_migration_and_writes_nothing(make_database: Any, three: Path, connect: Any) -> None:
    url = make_database()
    runner = Runner(url, three)
    before = fingerprint(connect(url))
    assert [status.state for status in runner.status()] == ["pending"] * 3
    assert fingerprint(connect(url)) == before
    runner.up(2)
    (three / "002_two.py").write_text(ROUND_TRIP.format("other"))
    (three / "001_one.py").rename(three / "001_uno.py")
    found = {status.name: status for status in runner.status()}
    assert {name: status.state for name, status in found.items()} == {
        "001_uno": "pending",
        "002_two": "changed",
        "003_three": "pending",
        "001_one": "missing",
    }
    assert (found["001_one"].number, found["003_three"].number) == (1, 3)
    assert found["002_two"].applied_at.utcoffset().total_seconds() == 0
    assert found["002_two"].duration_ms >= 0
    assert (found["003_three"].applied_at, found["003_three"].duration_ms) == (None, None)


def test_an_edited_or_missing_applied_file_stops_everything(make_database: Any, three: Path) -> None:
    runner = Runner(make_database(), three)
    runner.up(2)
    original = (three / "001_one.py").read_text()
    (three / "001_one.py").write_text(original + "# edited\n")
    for call in (runner.up, runner.down):
        with pytest.raises(MigrationFileError, match="001_one was edited after it was applied"):
            call()
    (three / "001_one.py").write_text(original)
    (three / "002_two.py").rename(three / "002_deux.py")
    with pytest.raises(MigrationFileError, match="002_two: applied to this database, but the file is missing"):
        runner.up()
    assert runner.done == ["001_one", "002_two"]


def test_a_migration_slipped_in_before_applied_ones_is_refused(make_database: Any, three: Path, connect: Any) -> None:
    url = make_database()
    runner = Runner(url, three)
    runner.up()
    connect(url).cursor().execute("DELETE FROM rayces_migrations WHERE name = '002_two'")
    with pytest.raises(MigrationFileError, match="002_two is not applied although 003_three is"):
        runner.up()


@pytest.mark.slow
def test_an_irreversible_migration_stops_down_before_anything_is_undone(make_database: Any, three: Path) -> None:
    source = (three / "002_two.py").read_text()
    (three / "002_two.py").write_text(source + "IRREVERSIBLE = 'the old data is gone'\n")
    runner = Runner(make_database(), three)
    runner.up()
    with pytest.raises(IrreversibleMigrationError, match="002_two cannot be undone: the old data is gone"):
        runner.down(0)
    assert runner.done == ["001_one", "002_two", "003_three"]
    assert runner.down(2) == ["003_three"]


def test_a_pending_file_that_does_not_load_stops_up_before_anything_is_applied(make_database: Any, three: Path) -> None:
    (three / "003_three.py").write_text("def migrate(:")
    runner = Runner(make_database(), three)
    with pytest.raises(MigrationFileError):
        runner.up()
    assert runner.done == []


@pytest.mark.slow
def test_two_histories_in_one_database_do_not_meet(make_database: Any, three: Path, connect: Any) -> None:
    url = make_database()
    ours, hosts = Runner(url), Runner(url, three, history_table="Host's history")
    ours.up(1)
    assert hosts.up() == ["001_one", "002_two", "003_three"]
    assert ours.done == ["001_myhub"]
    assert ours.model is not hosts.model
    assert hosts.down(0) == ["003_three", "002_two", "001_one"]
    assert not [line for line in fingerprint(connect(url)) if "Host" in line]
    assert ours.up(2) == ["002_organizations"]


def test_both_roles_may_read_the_history_and_nobody_else(make_database: Any, three: Path, connect: Any) -> None:
    url = make_database()
    Runner(url, three).up()
    rights = [line for line in fingerprint(connect(url)) if line.startswith("grant") and "rayces_migrations" in line]
    assert rights == [
        "grant select on rayces_migrations to rayces_admin",
        "grant select on rayces_migrations to rayces_app",
    ]


@pytest.mark.slow
def test_three_runners_at_once_apply_each_migration_once(make_database: Any, directory: Any, connect: Any) -> None:
    url = make_database()
    connect(url).cursor().execute("CREATE TABLE counter (n int); INSERT INTO counter VALUES (0)")
    count = "def migrate(migrator, database, *, fake=False):\n    migrator.sql('UPDATE counter SET n = n + 1')\n"
    folder = directory(m001_whole=count, m002_steps="ATOMIC = False\n" + count, m003_whole=count)
    program = "import sys; from rayces_core.migrating import Runner; print(Runner(*sys.argv[1:]).up())"
    runners = [
        subprocess.Popen([sys.executable, "-c", program, url, str(folder)], stdout=subprocess.PIPE, text=True)
        for _ in range(3)
    ]
    answers = [runner.communicate()[0].strip() for runner in runners]
    assert sorted(answers) == ["['001_whole', '002_steps', '003_whole']", "[]", "[]"]
    assert [runner.returncode for runner in runners] == [0, 0, 0]
    cursor = connect(url).cursor()
    cursor.execute("SELECT n FROM counter")
    assert cursor.fetchone() == (3,)


@pytest.mark.slow
def test_the_names_of_peewee_migrate_work(make_database: Any, three: Path) -> None:
    runner = Runner(make_database(), three)
    assert isinstance(runner, BaseRouter)
    assert runner.todo == runner.diff == ["001_one", "002_two", "003_three"]
    assert runner.run("001_one") == ["001_one"]
    assert runner.run_one("002_two", runner.migrator) == "002_two"
    assert (runner.done, runner.diff) == (["001_one", "002_two"], ["003_three"])
    assert runner.rollback() == ["002_two"]
    assert runner.run_one("001_one", downgrade=True) == "001_one"
    assert [callable(function) for function in runner.read("003_three")] == [True, True]
    with pytest.raises(MigrationError, match="003_three is not next; 001_one is"):
        runner.run_one("003_three")


@pytest.mark.slow
def test_a_faked_migration_is_noted_and_not_run(make_database: Any, three: Path, connect: Any) -> None:
    url = make_database()
    runner = Runner(url, three)
    assert runner.run_one("001_one", fake=True) == "001_one"
    assert runner.run("002_two", fake=True) == ["002_two"]
    assert runner.up() == ["003_three"]
    tables = [line for line in fingerprint(connect(url)) if line.startswith("table ") and "rayces" not in line]
    assert tables == ["table three logged"]
    runner.down()
    assert runner.run_one("002_two", fake=True, downgrade=True) == "002_two"
    assert runner.done == ["001_one"]


@pytest.mark.parametrize("operation", ["create", "merge", "clear", "compile"])
def test_what_would_delete_or_generate_migrations_is_refused(make_database: Any, three: Path, operation: str) -> None:
    runner = Runner(make_database(), three)
    runner.up()
    with pytest.raises(MigrationError):
        getattr(runner, operation)()
    assert len(list(three.glob("*.py"))) == 3
    assert len(runner.done) == 3

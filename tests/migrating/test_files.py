"""A directory of migrations: what is found in it, and what in it is an error."""

import traceback
from pathlib import Path
from typing import Any

import pytest

from rayces_core.errors import IrreversibleMigrationError, MigrationFileError
from rayces_core.migrating.files import is_atomic, read_directory, refuse_irreversible

MIGRATE = "def migrate(migrator, database, *, fake=False):\n    pass\n"


@pytest.mark.slow
def test_migrations_are_ordered_by_number_whatever_its_width(directory: Any) -> None:
    folder = directory(**{f"m{number:03}_step": MIGRATE for number in range(1, 1001)})
    names = [file.name for file in read_directory(folder)]
    assert names[:2] == ["001_step", "002_step"]
    assert names[-2:] == ["999_step", "1000_step"]


@pytest.mark.parametrize(
    "name",
    ["01_short.py", "002-dash.py", "002_Capital.py", "002.py", "2_x.py", "002_x.sql", "002_x.py.bak", "add_users.py"],
)
def test_a_file_that_would_be_passed_over_is_an_error(directory: Any, name: str) -> None:
    folder = directory(m001_first=MIGRATE)
    (folder / name).write_text(MIGRATE)
    with pytest.raises(MigrationFileError, match="would be passed over"):
        read_directory(folder)


def test_what_concerns_no_migration_is_left_alone(directory: Any) -> None:
    folder = directory(m001_first=MIGRATE)
    for name in ("__init__.py", "conf.py", "README.md"):
        (folder / name).write_text("")
    (folder / "__pycache__").mkdir()
    assert [file.name for file in read_directory(folder)] == ["001_first"]


def test_a_number_used_twice_is_an_error(directory: Any) -> None:
    folder = directory(m001_first=MIGRATE, m002_left=MIGRATE, m002_right=MIGRATE)
    with pytest.raises(MigrationFileError, match=r"002_(left|right) and 002_(left|right) have the same number"):
        read_directory(folder)


def test_a_number_left_out_is_an_error(directory: Any) -> None:
    with pytest.raises(MigrationFileError, match="migration 002 is missing before 003_third"):
        read_directory(directory(m001_first=MIGRATE, m003_third=MIGRATE))


def test_a_missing_directory_is_an_error_and_is_not_made(tmp_path: Path) -> None:
    with pytest.raises(MigrationFileError, match="no directory of migrations"):
        read_directory(tmp_path / "nowhere")
    assert list(tmp_path.iterdir()) == []


@pytest.mark.parametrize(
    "edited",
    [
        MIGRATE.replace("\n", "\r\n").encode(),
        MIGRATE.encode("utf-8-sig"),
        MIGRATE.replace("\n", "\r\n").encode("utf-8-sig"),
        MIGRATE.replace("\n", "\r").encode(),
        MIGRATE.rstrip("\n").encode(),
        (MIGRATE + "\n").encode(),
    ],
)
def test_the_checksum_does_not_see_what_editors_change_by_themselves(directory: Any, edited: bytes) -> None:
    folder = directory(m001_first=MIGRATE)
    (before,) = read_directory(folder)
    (folder / "001_first.py").write_bytes(edited)
    (after,) = read_directory(folder)
    assert after.source != before.source
    assert after.checksum == before.checksum
    assert callable(after.load().migrate)


def test_the_checksum_sees_a_comment(directory: Any) -> None:
    folder = directory(m001_first=MIGRATE)
    before = read_directory(folder)[0].checksum
    (folder / "001_first.py").write_text(MIGRATE + "# edited\n")
    assert read_directory(folder)[0].checksum != before


def test_an_error_in_a_migration_names_its_file_and_line(directory: Any) -> None:
    folder = directory(
        m001_first="X = 1\ndef migrate(migrator, database, *, fake=False):\n    raise ValueError('no')\n"
    )
    module = read_directory(folder)[0].load()
    with pytest.raises(ValueError, match="no") as caught:
        module.migrate(None, None)
    last = traceback.extract_tb(caught.value.__traceback__)[-1]
    assert (last.filename, last.lineno) == (str(folder / "001_first.py"), 3)
    assert last.line == "raise ValueError('no')"


def test_a_migration_edited_and_loaded_again_is_the_new_one(directory: Any) -> None:
    folder = directory(m001_first=MIGRATE + "VALUE = 1\n")
    assert read_directory(folder)[0].load().VALUE == 1
    directory(m001_first=MIGRATE + "VALUE = 2\n")
    assert read_directory(folder)[0].load().VALUE == 2


def test_a_file_that_does_not_parse_or_has_no_migrate_is_an_error(directory: Any) -> None:
    folder = directory(m001_first=MIGRATE)
    (folder / "001_first.py").write_text("def migrate(:\n")
    with pytest.raises(MigrationFileError, match=r"001_first\.py, line 1"):
        read_directory(folder)[0].load()
    (folder / "001_first.py").write_text("def up(): pass\n")
    with pytest.raises(MigrationFileError, match="no function migrate"):
        read_directory(folder)[0].load()


def test_a_migration_without_a_way_back_is_irreversible(directory: Any) -> None:
    folder = directory(
        m001_none=MIGRATE,
        m002_reason=MIGRATE + "IRREVERSIBLE = 'the mails are sent'\n" + MIGRATE.replace("migrate(", "rollback("),
    )
    without, reasoned = read_directory(folder)
    with pytest.raises(IrreversibleMigrationError, match=r"001_none cannot be undone: it has no rollback\(\)"):
        refuse_irreversible(without)
    with pytest.raises(IrreversibleMigrationError, match="002_reason cannot be undone: the mails are sent"):
        refuse_irreversible(reasoned)


def test_a_migration_is_one_transaction_unless_it_says_otherwise(directory: Any) -> None:
    folder = directory(m001_whole=MIGRATE, m002_steps="ATOMIC = False\n" + MIGRATE)
    assert [is_atomic(file.load()) for file in read_directory(folder)] == [True, False]


def test_every_packaged_migration_loads_and_has_a_way_back() -> None:
    files = read_directory(None)
    assert files[0].name == "001_myhub"
    for file in files:
        refuse_irreversible(file)


def test_packaged_migrations_are_read_once_and_each_list_is_its_own() -> None:
    files = read_directory(None)
    first = files.pop(0)
    assert read_directory(None)[0] is first

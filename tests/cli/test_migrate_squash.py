"""`rayces migrate squash`: what it writes, removes and says."""

from __future__ import annotations

from pathlib import Path

import pytest

from tests.cli.process import Terminal, is_one_sentence
from tests.walking import walked

BODY = """{said}


def migrate(migrator, database, *, fake=False):
    migrator.sql("CREATE TABLE {name} (id int)")


def rollback(migrator, database, *, fake=False):
    migrator.sql("DROP TABLE IF EXISTS {name}")
"""


@pytest.fixture
def folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    monkeypatch.chdir(tmp_path)
    found = tmp_path / "host"
    found.mkdir()
    for name, said in (("001_a", ""), ("002_b", "ATOMIC = False"), ("003_c", "")):
        (found / f"{name}.py").write_text(BODY.format(said=said, name=name.partition("_")[2]))
    return found


def test_it_says_what_it_did_and_what_is_to_be_read(nowhere: Terminal, folder: Path) -> None:
    done = nowhere("migrate", "squash", "001", "002", "--directory", "host")
    assert (done.code, done.err) == (0, "")
    assert done.out.splitlines()[:3] == [
        "written host/002_squashed_001_to_002.py",
        "removed 001_a, which it replaces; version control has it",
        "removed 002_b, which it replaces; version control has it",
    ]
    assert "It says ATOMIC = False, as 002_b did" in done.out
    assert sorted(path.name for path in folder.glob("*.py")) == ["002_squashed_001_to_002.py", "003_c.py"]


@pytest.mark.slow
def test_a_partly_applied_database_is_told_so_by_status_and_up(migrated: Terminal, folder: Path) -> None:
    here = ("--directory", "host")
    assert migrated("migrate", "up", *here, "--only", "host", "--to", "1").out == "applied host: 001_a\n"
    assert migrated("migrate", "squash", "1", "2", *here).code == 0
    for command in ("status", "up"):
        refused = migrated("migrate", command, *here)
        assert refused.code == 3
        assert is_one_sentence(refused.err)
        assert "replaces files of which only some are applied here, 002_b not" in " ".join(refused.err.split())


@walked(
    ("words", "sentence"),
    [
        (("001", "009", "--directory", "host"), "there is no migration 009"),
        (("001", "002"), "say with --directory which folder of migrations"),
        (("001", "002", "--directory", "nowhere"), "there is no directory of migrations at nowhere"),
    ],
)
def test_what_cannot_be_is_one_sentence(nowhere: Terminal, folder: Path, words: tuple[str, ...], sentence: str) -> None:
    refused = nowhere("migrate", "squash", *words)
    assert refused.code in (2, 3)
    assert is_one_sentence(refused.err)
    assert sentence in " ".join(refused.err.split())
    assert len(list(folder.glob("*.py"))) == 3

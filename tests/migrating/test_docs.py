"""The examples of docs/migrations.md run and print what the page says."""

import importlib
import re
import subprocess
import sys
import tomllib
from collections.abc import Iterator
from pathlib import Path

import pytest

from rayces_core import Database
from tests.cli.process import Terminal
from tests.conftest import cloned
from tests.factory import make_organization, make_student

PAGE = (Path(__file__).parents[2] / "docs" / "migrations.md").read_text("utf-8")


def files_of_the_page() -> list[tuple[str, str]]:
    return re.findall(r"```python\n# (\S+)\n(.*?)```", PAGE, re.DOTALL)


@pytest.fixture
def example(tmp_path: Path) -> str:
    """The source of the program, whose migrations are written."""
    files = [(name, source) for name, source in files_of_the_page() if not name.startswith("myapp/")]
    assert [name for name, _ in files] == ["migrations/001_rooms.py", "migrations/002_room_names.py", "migrate.py"]
    (tmp_path / "migrations").mkdir()
    for name, source in files:
        (tmp_path / name).write_text(source, "utf-8")
    return files[-1][1]


def printed() -> str:
    expected = re.search(r"^prints\n\n```text\n(.*?)```", PAGE, re.DOTALL | re.MULTILINE)
    assert expected
    return expected[1]


@pytest.mark.exhaustive  # the next one runs the same on the shared server
def test_the_example_prints_what_the_page_says(example: str, tmp_path: Path) -> None:
    done = subprocess.run([sys.executable, "migrate.py"], cwd=tmp_path, capture_output=True, text=True)
    assert (done.returncode, done.stderr, done.stdout) == (0, "", printed()), example


@pytest.mark.slow
def test_the_example_does_so_on_a_server_that_runs_already(
    example: str,
    server_url: str,
    template: str,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
) -> None:
    monkeypatch.chdir(tmp_path)
    assert "Database.embedded()" in example
    with cloned(server_url, template) as url:
        exec(compile(example.replace("embedded()", f"connect({url!r})"), "migrate.py", "exec"), {})
    assert capsys.readouterr().out == printed()


@pytest.fixture
def project(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Path]:
    """The host's project of the page, in the current folder."""
    (settings, several) = re.findall(r"```toml\n(.*?)```", PAGE, re.DOTALL)
    assert len(tomllib.loads(several)["tool"]["rayces"]["migrations"]) == 2
    (tmp_path / "pyproject.toml").write_text(settings, "utf-8")
    (tmp_path / "myapp/migrations").mkdir(parents=True)
    for name, source in files_of_the_page():
        if name.startswith("myapp/"):
            (tmp_path / name).write_text(source, "utf-8")
    monkeypatch.chdir(tmp_path)
    before = list(sys.path)
    yield tmp_path
    sys.path[:] = before
    for module in [name for name in sys.modules if name.partition(".")[0] == "myapp"]:
        del sys.modules[module]


@pytest.mark.slow
def test_the_tenants_tables_of_the_page_are_made_hold_and_are_squashed(
    project: Path, server_url: str, template: str, capsys: pytest.CaptureFixture[str]
) -> None:
    with cloned(server_url, template) as url:
        follow_the_page(project, Terminal(capsys, url), server_url)


def follow_the_page(project: Path, rayces: Terminal, scratch: str) -> None:
    page = PAGE.partition("## Your own tenants' tables")[2]
    blocks = re.findall(r"```console\n(.*?)```", page, re.DOTALL)
    commands = re.findall(r"^\$ rayces (.*)\n((?:(?!\$).*\n)*)", "".join(blocks), re.MULTILINE)
    assert len(commands) == 4
    for command, printed in commands:
        ran = rayces(*command.split(), *(["--scratch-url", scratch] if "check" in command else []))
        assert (ran.code, ran.err) == (0, ""), command
        assert ran.out.replace(f"{project}/", "") == printed, command
        if command == "migrate up" and printed.startswith("applied"):
            assert "0 errors" in rayces("doctor").out
            write(str(rayces.url))
    assert [path.name for path in sorted(Path("myapp/migrations").glob("*.py"))] == ["003_basis.py"]
    assert rayces("migrate", "down", "--only", "myapp").out == "undone myapp: 003_basis\n"
    written = rayces("migrate", "new", "again", "--from-models", "myapp.models")
    assert "tenant_table" in written.out


def write(url: str) -> None:
    sys.path.insert(0, str(Path.cwd()))
    module = importlib.import_module("myapp.models")
    with Database.connect(url) as db, db.tenant(make_organization(db)):
        room = module.Room.create(name="A")
        module.Stay.create(room=room, student=make_student(), day="2026-11-28")
        room.beds = 2
        room.save()
        assert room.delete_instance() == 1
        assert list(module.Stay.select()) == []

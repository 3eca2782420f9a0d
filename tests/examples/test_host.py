"""docs/host-applications.md: its commands, its code and the example's files are what they say."""

from __future__ import annotations

import contextlib
import io
import re
import shlex
import shutil
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest

from rayces_core import Database
from tests.cli.process import Terminal
from tests.hosting.conftest import unregistered  # noqa: F401 - a fixture

ROOT = Path(__file__).parents[2]
HOST = ROOT / "examples" / "host"
PAGE = (ROOT / "docs" / "host-applications.md").read_text("utf-8")
BLOCKS = re.findall(r"^```(\w+)(?: file=(\S+))?\n(.*?)^```$", PAGE, re.MULTILINE | re.DOTALL)


@pytest.fixture
def house(
    tmp_path: Path,
    own_db: Database,
    capsys: pytest.CaptureFixture[str],
    monkeypatch: pytest.MonkeyPatch,
    unregistered: None,  # noqa: F811
) -> Iterator[Terminal]:
    """A command line in a copy of the example's folder, on a migrated database."""
    shutil.copytree(HOST, tmp_path / "host", ignore=shutil.ignore_patterns("__pycache__"))
    monkeypatch.chdir(tmp_path / "host")
    monkeypatch.setattr(sys, "path", list(sys.path))
    yield Terminal(capsys, own_db.url)
    for name in [name for name in sys.modules if name.partition(".")[0] == "house"]:
        del sys.modules[name]


def test_what_the_page_shows_of_a_file_is_in_it() -> None:
    shown = [(file, text) for _, file, text in BLOCKS if file]
    assert len(shown) == 4
    for file, text in shown:
        assert text in (HOST / file).read_text("utf-8"), file


@pytest.mark.slow
def test_commands_and_code_of_the_page_do_what_it_says(house: Terminal, own_db: Database) -> None:
    done = 0
    for kind, file, text in BLOCKS:
        if kind == "console":
            for command, said in re.findall(r"^\$ rayces (.*)\n((?:(?!\$ ).*\n)*)", text, re.MULTILINE):
                ran = house(*shlex.split(command))
                assert (ran.code, is_like(ran.out, said)) == (0, True), (command, ran)
                done += 1
        elif kind == "python" and not file:
            run_as_written(text, own_db.url)
            done += 1
    assert done == PAGE.count("\n$ rayces") + 1


def is_like(printed: str, said: str) -> bool:
    """Whether what was printed is as the page says; … stands for anything."""
    pattern = ".*".join(re.escape(part) for part in said.strip().split("…"))
    return re.fullmatch(pattern, printed.removeprefix("\ufeff").strip().replace("\r", ""), re.DOTALL) is not None


def run_as_written(text: str, url: str) -> None:
    """Run a block of code whose prints say what they print."""
    said = [line.partition("  # ")[2] for line in text.splitlines() if "print(" in line]
    out = io.StringIO()
    with contextlib.redirect_stdout(out):
        exec(compile(text, "docs/host-applications.md", "exec"), {"url": url})
    assert out.getvalue().splitlines() == said


@pytest.mark.slow
@pytest.mark.usefixtures("scratch_is_migrated")
def test_the_example_s_tables_have_no_fault(house: Terminal, server_url: str) -> None:
    """Each fault would be the example's: the database is migrated and whole before it."""
    before = house("doctor", "--json").out
    assert house("migrate", "up").code == 0
    assert house("doctor", "--json").out == before
    assert house("migrate", "check", "--scratch-url", server_url).code == 0

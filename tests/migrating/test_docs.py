"""The example of docs/migrations.md runs and prints what the page says."""

import re
import subprocess
import sys
from pathlib import Path

import pytest

from tests.conftest import cloned

PAGE = (Path(__file__).parents[2] / "docs" / "migrations.md").read_text("utf-8")


@pytest.fixture
def example(tmp_path: Path) -> str:
    """The source of the program, whose migrations are written."""
    files = re.findall(r"```python\n# (\S+)\n(.*?)```", PAGE, re.DOTALL)
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

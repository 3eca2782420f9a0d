"""The example of docs/migrations.md runs and prints what the page says."""

import re
import subprocess
import sys
from pathlib import Path

PAGE = Path(__file__).parents[2] / "docs" / "migrations.md"


def test_the_example_prints_what_the_page_says(tmp_path: Path) -> None:
    text = PAGE.read_text("utf-8")
    files = re.findall(r"```python\n# (\S+)\n(.*?)```", text, re.DOTALL)
    assert [name for name, _ in files] == ["migrations/001_rooms.py", "migrations/002_room_names.py", "migrate.py"]
    (tmp_path / "migrations").mkdir()
    for name, source in files:
        (tmp_path / name).write_text(source, "utf-8")
    done = subprocess.run([sys.executable, "migrate.py"], cwd=tmp_path, capture_output=True, text=True)
    assert (done.returncode, done.stderr) == (0, "")
    expected = re.search(r"^prints\n\n```text\n(.*?)```", text, re.DOTALL | re.MULTILINE)
    assert expected
    assert done.stdout == expected[1]

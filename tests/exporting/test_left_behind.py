"""What a killed export leaves: nothing that others can read, and nothing that the next one does not take away."""

from __future__ import annotations

import multiprocessing
import signal
import tempfile
from pathlib import Path
from typing import Any

import pytest

from rayces_core import Database, User, exporting
from rayces_core.archive.files import scratch_folder, whole_file


def stop_in_the_middle(path: str, ready: Any) -> None:
    """Write half a file and half a workbook's folder, say so, and wait to be killed."""
    with scratch_folder() as folder, whole_file(path) as file:
        (Path(folder) / "rows").write_text("ana@example.org")
        file.write(b"ana@example.org")
        file.flush()
        ready.send(folder)
        signal.pause()


@pytest.fixture
def half(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Any:
    """A process that is in the middle of writing tmp_path/out/a.csv, and its scratch folder."""
    (tmp_path / "out").mkdir()
    (tmp_path / "tmp").mkdir()
    monkeypatch.setattr(tempfile, "tempdir", str(tmp_path / "tmp"))
    ours, theirs = multiprocessing.Pipe()
    process = multiprocessing.get_context("fork").Process(
        target=stop_in_the_middle, args=(str(tmp_path / "out" / "a.csv"), theirs)
    )
    process.start()
    yield process, Path(ours.recv())
    process.kill()
    process.join()


def test_nobody_else_may_read_what_is_half_written(tmp_path: Path, half: Any) -> None:
    (part,) = (tmp_path / "out").iterdir()
    assert part.stat().st_mode & 0o777 == 0o600
    assert half[1].stat().st_mode & 0o777 == 0o700


@pytest.mark.parametrize("form", ["csv", "xlsx"])
def test_the_next_export_takes_away_what_a_killed_one_left(
    db: Database, a: Any, tmp_path: Path, half: Any, form: str
) -> None:
    process, folder = half
    process.kill()
    process.join()
    assert process.exitcode == -signal.SIGKILL
    kept = tmp_path / "out" / ".a.csv.mine.part"
    kept.write_text("of another program")
    assert len(list((tmp_path / "out").iterdir())) == 2
    with db.tenant(a):
        User.create(email="ana@example.org")
        exporting.export(User, tmp_path / "out" / f"b.{form}")
    assert sorted(path.name for path in (tmp_path / "out").iterdir()) == [kept.name, f"b.{form}"]
    assert folder.exists() is (form == "csv")  # a workbook alone has use for one


def test_what_is_being_written_is_left_alone(db: Database, a: Any, tmp_path: Path, half: Any) -> None:
    with db.tenant(a):
        User.create(email="ana@example.org")
        exporting.export(User, tmp_path / "out" / "a.xlsx")
    assert len(list((tmp_path / "out").iterdir())) == 2
    assert (half[1] / "rows").exists()


def test_a_link_to_somewhere_else_is_not_followed(tmp_path: Path) -> None:
    precious = tmp_path / "precious"
    precious.write_text("x")
    (tmp_path / ".a.csv.rayces-abcdefgh.part").symlink_to(precious)
    with whole_file(tmp_path / "b.csv") as file:
        file.write(b"x")
    assert precious.read_text() == "x"

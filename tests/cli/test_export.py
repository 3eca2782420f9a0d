"""`rayces export` and `rayces import tenant`: files, exit codes, what is printed."""

from __future__ import annotations

import csv
import io
import json
import os
import pty
from datetime import timedelta
from pathlib import Path

import pytest
from click.testing import CliRunner

from rayces_core import Database, Post, User, archive
from rayces_core.cli.options import Settings
from rayces_core.cli.tenant_archive import tenant_import
from tests.cli.forked import Forked
from tests.cli.process import SHOWN, Terminal, environment, is_one_sentence, on_terminal
from tests.factory import START, make_appointment, make_organization, make_post, make_user


@pytest.fixture
def north(bare_db: Database) -> Database:
    """A database with an organization `north` that has a few rows."""
    with bare_db.tenant(make_organization(bare_db, subdomain="north")):
        ana = make_user(email="ana@example.org")
        make_post(user=ana, content="=1+1")
        make_post(content="two")
    return bare_db


def test_rows_go_to_a_file(bare: Terminal, north: Database, tmp_path: Path) -> None:
    path = tmp_path / "posts.csv"
    ran = bare("export", "posts", str(path), "--tenant", "north", "--columns", "author, content")
    assert (ran.code, ran.err) == (0, "")
    assert ran.out == f"exported 2 posts to {path} (csv)\n"
    rows = list(csv.reader(io.StringIO(path.read_text("utf-8"))))
    assert rows[:2] == [["author", "content"], ["ana@example.org", "'=1+1"]]
    assert bare("export", "records", "posts", str(path), "--tenant", "north").code == 0


@pytest.mark.slow
def test_rows_go_to_stdout_and_the_summary_does_not(bare: Terminal, north: Database) -> None:
    words = ("export", "users", "-", "--tenant", "north", "--columns", "email", "--user", "ana@example.org")
    process = Forked(*words, "--database-url", north.url, env=environment())
    assert process.communicate(timeout=60) == ("email\nana@example.org\n", "exported 1 users to - (csv)\n")
    quiet = bare(*words, "--quiet")
    assert (quiet.out.splitlines(), quiet.err) == (["email", "ana@example.org"], "")


@pytest.mark.slow
def test_filters(bare: Terminal, north: Database, tmp_path: Path) -> None:
    with north.tenant("north"):
        ids = [make_appointment(scheduled_at=START + timedelta(days=day)).id for day in range(3)]
        day = (START + timedelta(days=2)).date().isoformat()

    def rows(*words: str) -> int:
        ran = bare("export", "appointments", str(tmp_path / "x.jsonl"), "--tenant", "north", "--json", *words)
        assert ran.code == 0, ran.err
        summary = json.loads(ran.out)
        assert (summary["record"], summary["format"]) == ("appointments", "jsonl")
        return int(summary["rows"])

    assert rows() == 3
    assert rows("--where", f"id={ids[0]}") == 1
    assert rows("--where", f"id={ids[0]}", "--where", f"id={ids[1]}") == 2
    assert rows("--state", "draft", "--state", "cancelled") == 3
    assert rows("--state", "cancelled") == 0
    assert rows("--from", "2020-01-01", "--to", day) == 3
    assert rows("--from", "2020-01-01", "--to", "2020-01-02T00:00:00+00:00") == 0


def test_excel_s_csv(bare: Terminal, north: Database, tmp_path: Path) -> None:
    path = tmp_path / "users.csv"
    assert bare("export", "users", str(path), "--tenant", "north", "--excel", "--columns", "email,role").code == 0
    assert path.read_bytes().startswith("\ufeffemail;role\r\n".encode())


@pytest.mark.parametrize(
    "words",
    [
        ["export", "users", "x.csv"],
        ["export", "users", "--tenant", "north"],
        ["export", "users", "x.csv", "--tenant", "north", "--where", "email"],
        ["export", "users", "x.csv", "--tenant", "north", "--from", "31/12/2019"],
        ["export", "users", "x.csv", "--tenant", "north", "--from", "2019-12-31T10:00:00"],
        ["export", "users", "x.pdf", "--tenant", "north"],
        ["export", "pupils", "x.csv", "--tenant", "north"],
        ["export", "users", "x.csv", "--tenant", "north", "--columns", "password"],
        ["export", "users", "x.xlsx", "--tenant", "north", "--delimiter", ";"],
        ["export", "person", "nobody@example.org", "x.json", "--tenant", "north"],
    ],
    ids=" ".join,
)
def test_wrong_usage_is_2_and_leaves_no_file(
    bare: Terminal, north: Database, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, words: list[str]
) -> None:
    monkeypatch.chdir(tmp_path)
    ran = bare(*words)
    assert (ran.code, ran.out) == (2, "")
    assert is_one_sentence(ran.err)
    assert list(tmp_path.iterdir()) == []


@pytest.mark.parametrize("words", [["export", "users"], ["export", "tenant"]], ids=" ".join)
def test_what_cannot_be_reached_is_3(bare: Terminal, north: Database, tmp_path: Path, words: list[str]) -> None:
    for file, tenant in ((tmp_path / "none" / "x.csv", "north"), (tmp_path / "x.csv", "nowhere")):
        ran = bare(*words, str(file), "--tenant", tenant)
        assert ran.code == 3
        assert is_one_sentence(ran.err)


@pytest.mark.slow
def test_a_binary_format_is_not_for_a_terminal(north: Database) -> None:
    master, slave = pty.openpty()
    words = ("export", "users", "-", "--format", "parquet", "--tenant", "north", "--database-url", north.url)
    process = Forked(*words, stdout=slave, env=environment(TERM="xterm"))
    os.close(slave)
    _, err = process.communicate(timeout=60)
    os.close(master)
    assert process.returncode == 2
    assert is_one_sentence(err)


def import_archive(db: Database, *words: str) -> str:
    """Run the command by itself, wherever it hangs in the tree."""
    ran = CliRunner().invoke(tenant_import, [*words, "--database-url", db.url], obj=Settings(), catch_exceptions=False)
    assert ran.exit_code == 0, ran.output
    return ran.output


@pytest.mark.slow
def test_a_tenant_goes_out_and_in(bare: Terminal, north: Database, tmp_path: Path) -> None:
    path = tmp_path / "north.zip"
    ran = bare("export", "tenant", str(path), "--tenant", "north")
    with north.tenant("north"):
        checksum = archive.content_checksum()
    assert (ran.code, ran.err) == (0, "")
    assert ran.out == f"archived 5 rows of north in {path}; content {checksum}\n"
    out = import_archive(north, str(path), "--subdomain", "copy")
    with north.tenant("copy") as copy:
        assert out == f"brought 5 rows into organization {copy.id} (subdomain copy); content {checksum}\n"
        assert (User.select().count(), Post.select().count()) == (3, 2)
        assert archive.content_checksum() == checksum
    summary = json.loads(import_archive(north, str(path), "--subdomain", "copy-2", "--json"))
    assert (summary["subdomain"], summary["content_sha256"], summary["rows"]["posts"]) == ("copy-2", checksum, 2)
    assert json.loads(bare("export", "tenant", str(path), "--tenant", "north", "--json").out)["rows"]["posts"] == 2


@pytest.mark.slow
def test_a_person_goes_out(bare: Terminal, north: Database, tmp_path: Path) -> None:
    path = tmp_path / "ana.json"
    ran = bare("export", "person", "ana@example.org", str(path), "--tenant", "north")
    assert ran.out == f"wrote 2 rows about ana@example.org to {path}\n"
    assert [row["content"] for row in json.loads(path.read_text("utf-8"))["tables"]["posts"]] == ["=1+1"]
    ran = bare("export", "person", "ana@example.org", str(path), "--tenant", "north", "--json")
    assert json.loads(ran.out)["rows"]["posts"] == 1


@pytest.mark.slow
@pytest.mark.parametrize(("options", "shown"), SHOWN)
def test_progress_is_for_terminals_and_not_for_the_quiet(
    north: Database, tmp_path: Path, options: list[str], shown: bool
) -> None:
    words = ("export", "tenant", str(tmp_path / "x.zip"), "--tenant", "north", "--database-url", north.url)
    bar, _, code = on_terminal(*words, *options)
    assert (code, "posts" in bar) == (0, shown)

"""Archives that are damaged, cut off, made up or of elsewhere: each is an ArchiveError, and nothing is written."""

from __future__ import annotations

import hashlib
import json
import multiprocessing
import signal
import struct
import threading
import zipfile
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import peewee
import pytest

from rayces_core import ArchiveError, Database, Organization, User, archive
from rayces_core.archive import reading
from rayces_core.archive.manifest import VERSION, parsed
from rayces_core.archive.snapshot import combined
from rayces_core.models import TENANT_MODELS
from tests.exporting.worlds import restore_and_be_killed
from tests.factory import make_organization, make_student, make_user

Files = dict[str, bytes]
Doctor = Callable[[Callable[[Files], object]], Path]


@pytest.fixture(autouse=True)
def nothing_is_written(db: Database) -> Iterator[None]:
    before = counts(db)
    yield
    assert counts(db) == before


def counts(db: Database) -> dict[str, int]:
    with db.privileged(reason="test"):
        return {model.__name__: model.select().count() for model in (*TENANT_MODELS, Organization)}


def refused(db: Database, path: Path, *words: str) -> None:
    with pytest.raises(ArchiveError) as caught:
        archive.restore(db, path, subdomain="doctored")
    for word in words:
        assert word in str(caught.value)


def manifest(change: Callable[[dict[str, Any]], object]) -> Callable[[Files], object]:
    """A change of the manifest alone."""

    def apply(files: Files) -> None:
        content = json.loads(files["manifest.json"])
        change(content)
        files["manifest.json"] = json.dumps(content).encode()

    return apply


def rows(table: str, change: Callable[[list[dict[str, Any]]], object]) -> Callable[[Files], object]:
    """A change of a table's rows that keeps every checksum right, as who wants to deceive would."""

    def apply(files: Files) -> None:
        lines = [json.loads(line) for line in files[f"{table}.jsonl"].splitlines()]
        change(lines)
        text = "".join(json.dumps(line, ensure_ascii=False, separators=(",", ":")) + "\n" for line in lines).encode()
        files[f"{table}.jsonl"] = text
        content = json.loads(files["manifest.json"])
        entry = {"rows": len(lines), "bytes": len(text), "sha256": hashlib.sha256(text).hexdigest()}
        content["tables"][table] |= entry
        digests = {name: entry["sha256"] for name, entry in content["tables"].items()}
        content["content_sha256"] = combined(content["organization"]["content"], digests)
        files["manifest.json"] = json.dumps(content).encode()

    return apply


# -- damaged --------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("share", [0.0, 0.3, 0.9, 0.999])
def test_a_file_that_was_cut_off(db: Database, written: Path, tmp_path: Path, share: float) -> None:
    whole = written.read_bytes()
    path = tmp_path / "cut.zip"
    path.write_bytes(whole[: int(len(whole) * share)])
    refused(db, path, "cut.zip")


@pytest.mark.parametrize("share", [0.05, 0.2, 0.4, 0.6])
def test_a_byte_that_was_changed(db: Database, written: Path, tmp_path: Path, share: float) -> None:
    whole = bytearray(written.read_bytes())
    whole[_within_content(written, int(len(whole) * share))] ^= 0x55
    path = tmp_path / "bit.zip"
    path.write_bytes(whole)
    refused(db, path, "take another copy")


def _within_content(path: Path, place: int) -> int:
    """The first byte from `place` on that is an entry's own: what a local header repeats, nobody reads."""
    with zipfile.ZipFile(path) as archive:
        for entry in sorted(archive.infolist(), key=lambda each: each.header_offset):
            archive.fp.seek(entry.header_offset + 26)
            begins = entry.header_offset + 30 + sum(struct.unpack("<HH", archive.fp.read(4)))
            if entry.compress_size and place < begins + entry.compress_size:
                return max(place, begins)
    raise AssertionError("no entry lies there")


@pytest.mark.parametrize("content", [b"", b"%PDF-1.7", b"PK\x03\x04", b'{"kind": 1}', bytes(5000)])
def test_what_is_no_archive(db: Database, tmp_path: Path, content: bytes) -> None:
    path = tmp_path / "other.zip"
    path.write_bytes(content)
    refused(db, path, "other.zip")


def test_what_is_no_file(db: Database, tmp_path: Path) -> None:
    refused(db, tmp_path / "missing.zip", "no such file")
    refused(db, tmp_path, "no such file")


def test_a_zip_file_of_something_else(db: Database, tmp_path: Path) -> None:
    path = tmp_path / "other.zip"
    with zipfile.ZipFile(path, "w") as made:
        made.writestr("students.csv", "a,b")
    refused(db, path, "manifest.json")


@pytest.mark.parametrize(
    ("change", "words"),
    [
        (manifest(lambda m: m.update(version=VERSION + 1)), ("version 2", "update rayces-core")),
        (manifest(lambda m: m.update(kind="a backup")), ("kind",)),
        (manifest(lambda m: m.update(migration="999_of_tomorrow")), ("999_of_tomorrow", "rayces migrate up")),
        (manifest(lambda m: m["tables"].pop("posts")), ("posts.jsonl",)),
        (manifest(lambda m: m["tables"].update(secrets=m["tables"]["posts"])), ("secrets.jsonl",)),
        (manifest(lambda m: m["tables"]["posts"].update(rows=5)), ("posts.jsonl is not",)),
        (manifest(lambda m: m["tables"]["posts"].update(bytes=1)), ("posts.jsonl",)),
        (manifest(lambda m: m["tables"]["posts"].update(columns=["content"])), ("posts",)),
        (manifest(lambda m: m["organization"]["content"].update(name="Other")), ("manifest does not agree",)),
        (manifest(lambda m: m.update(extra=1)), ("extra",)),
        (lambda files: files.update({"manifest.json": b"[]"}), ("manifest",)),
        (lambda files: files.update({"manifest.json": b"\xff\xfe"}), ("manifest",)),
        (lambda files: files.update({"manifest.json": b"{" + b" " * 5_000_000}), ("manifest.json",)),
        (lambda files: files.update({"../../etc/passwd": b"x"}), ("../../etc/passwd",)),
        (lambda files: files.update({"/tmp/x.jsonl": b"x"}), ("/tmp/x.jsonl",)),
        (lambda files: files.pop("users.jsonl"), ("users.jsonl",)),
        (lambda files: files.update({"posts.jsonl": files["posts.jsonl"] + b"{}\n"}), ("posts.jsonl",)),
        (lambda files: files.update({"posts.jsonl": files["posts.jsonl"].replace(b"mark", b"merk")}), ("posts.jsonl",)),
    ],
)
def test_what_does_not_agree_with_itself(
    db: Database, doctored: Doctor, change: Callable[[Files], object], words: tuple[str, ...]
) -> None:
    refused(db, doctored(change), *words)


# -- made to deceive: every checksum is right ------------------------------------------------------------------


@pytest.mark.slow
@pytest.mark.parametrize(
    ("table", "change", "words"),
    [
        ("posts", lambda rows: rows[0].update(user_id=10**6), ("posts, row 1: user_id",)),
        ("posts", lambda rows: rows[0].update(user_id=0), ("posts, row 1: user_id",)),
        ("posts", lambda rows: rows[0].update(user_id=-1), ("posts, row 1: user_id",)),
        ("posts", lambda rows: rows[0].update(organization_id=1), ("not what the archive says",)),
        ("posts", lambda rows: rows[0].update(id=2), ("not numbered from 1",)),
        ("posts", lambda rows: rows.append(rows[0]), ("not numbered from 1",)),
        ("posts", lambda rows: rows[0].update(content=5), ("not what the archive says",)),
        ("posts", lambda rows: rows[0].pop("content"), ("not what the archive says",)),
        ("posts", lambda rows: rows[0].pop("created_at"), ("posts",)),
        ("posts", lambda rows: rows[0].update(created_at="yesterday"), ("not what the archive says",)),
        ("posts", lambda rows: rows[0].update(created_at="no moment"), ("refuses its rows",)),
        ("users", lambda rows: rows[0].update(jti="stolen"), ("not what the archive says",)),
        ("users", lambda rows: rows[0].update(email=rows[1]["email"]), ("refuses its rows",)),
        ("users", lambda rows: rows[0].update(role=9), ("refuses its rows",)),
        ("appointments", lambda rows: rows[0].update(professional_id=1), ("refuses its rows",)),
        ("appointments", lambda rows: rows[0].update(state="done"), ("refuses its rows",)),
        ("credit_balances", lambda rows: rows[0].update(balance=10**6), ("refuses its rows",)),
        ("credit_balances", lambda rows: rows[0].update(lifetime_used=99), ("ledger does not add up",)),
        ("credit_transactions", lambda rows: rows[0].update(balance_after=99), ("refuses its rows",)),
        ("credit_transactions", lambda rows: rows[1].update(credit_balance_id=2), ("refuses its rows",)),
        ("state_transitions", lambda rows: rows[0].update(subject_id=10**6), ("state_transitions, row 1",)),
        ("state_transitions", lambda rows: rows[0].update(subject_type="Post"), ("state_transitions, row 1",)),
        ("state_transitions", lambda rows: rows[0].update(subject_id=0), ("state_transitions, row 1",)),
        (
            "students",
            lambda rows: _at(rows, "first_name", "mark").update(admission_state="enrolled"),
            ("leads to applied",),
        ),
    ],
)
def test_rows_that_were_made_up(
    db: Database, doctored: Doctor, table: str, change: Callable[[list[dict[str, Any]]], object], words: tuple[str, ...]
) -> None:
    refused(db, doctored(rows(table, change)), *words)


def _at(rows: list[dict[str, Any]], column: str, value: str) -> dict[str, Any]:
    return next(row for row in rows if row[column] == value)


def test_a_ledger_that_its_own_manifest_calls_wrong(db: Database, doctored: Doctor) -> None:
    wrong = rows("credit_balances", lambda found: found[0].update(lifetime_used=99))

    def change(files: Files) -> None:
        wrong(files)
        manifest(lambda m: m.update(ledger_discrepancies=1))(files)

    refused(db, doctored(change), "does not add up in 1 places", "rayces credits verify")


@pytest.mark.slow
def test_a_row_that_was_made_in_a_later_state_comes_in(
    bare_db: Database, tmp_path: Path, nothing_is_written: None
) -> None:
    with bare_db.tenant(make_organization(bare_db)):
        make_student(admission_state="enrolled")
        archive.write(tmp_path / "born.zip")
    assert archive.restore(bare_db, tmp_path / "born.zip", subdomain="born").rows["students"] == 1


@pytest.mark.slow
def test_the_same_change_and_no_change_are_told_apart(
    bare_db: Database, doctored: Doctor, nothing_is_written: None
) -> None:
    """The doctor's tools themselves break nothing."""
    done = archive.restore(bare_db, doctored(rows("posts", lambda _: None)))
    assert done.total > 20


@pytest.mark.slow
def test_lines_that_are_no_json(db: Database, doctored: Doctor) -> None:
    def change(files: Files) -> None:
        rows("posts", lambda _: None)(files)
        content = json.loads(files["manifest.json"])
        text = b'{"id": 1,\n'
        files["posts.jsonl"] = text
        content["tables"]["posts"] |= {"rows": 1, "bytes": len(text), "sha256": hashlib.sha256(text).hexdigest()}
        digests = {name: entry["sha256"] for name, entry in content["tables"].items()}
        content["content_sha256"] = combined(content["organization"]["content"], digests)
        files["manifest.json"] = json.dumps(content).encode()

    refused(db, doctored(change), "refuses its rows")


def test_two_files_of_one_name(db: Database, written: Path, tmp_path: Path) -> None:
    path = tmp_path / "twice.zip"
    path.write_bytes(written.read_bytes())
    with zipfile.ZipFile(path, "a") as opened, pytest.warns(UserWarning, match="Duplicate"):
        opened.writestr("posts.jsonl", b"")
    refused(db, path, "twice")


def test_a_bomb(db: Database, doctored: Doctor, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(reading, "LARGE_BYTES", 1024 * 1024)
    many = b" " * (8 * 1024 * 1024)

    def change(files: Files) -> None:
        files["posts.jsonl"] = many
        manifest(lambda m: m["tables"]["posts"].update(bytes=len(many)))(files)

    refused(db, doctored(change), "larger than it may")


def test_a_line_without_an_end_is_not_read_into_memory(
    db: Database, doctored: Doctor, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(reading, "LINE_LIMIT_BYTES", 1000)

    def change(files: Files) -> None:
        files["posts.jsonl"] = b"x" * 5000 + b"\n"
        manifest(lambda m: m["tables"]["posts"].update(bytes=5001))(files)

    refused(db, doctored(change), "posts.jsonl has a line")


def test_a_manifest_is_parsed_strictly() -> None:
    for text in (b"null", b"{}", b'{"tables": []}', b"1" * 100):
        with pytest.raises(ArchiveError):
            parsed("x.zip", text)


# -- the organization -----------------------------------------------------------------------------------------


@pytest.mark.slow
def test_an_organization_with_rows_is_refused(bare_db: Database, written: Path) -> None:
    organization = make_organization(bare_db, subdomain="full")
    with bare_db.tenant(organization):
        make_user(email="first@example.org")
    with pytest.raises(ArchiveError, match="has rows already"):
        archive.restore(bare_db, written, subdomain="full")
    with bare_db.tenant("full") as found:
        assert (found.name, User.select().count()) == (organization.name, 1)


@pytest.mark.slow
def test_an_organization_without_rows_is_taken(bare_db: Database, written: Path) -> None:
    made = make_organization(bare_db, subdomain="waiting", name="Waiting")
    done = archive.restore(bare_db, written, subdomain="waiting")
    assert (done.organization.id, done.organization.currency) == (made.id, "UYU")
    assert done.organization.name != "Waiting"


@pytest.mark.parametrize("subdomain", ["No Name", "-x-", "x" * 64])
def test_a_subdomain_that_is_none(db: Database, written: Path, subdomain: str) -> None:
    with pytest.raises(ArchiveError, match="no organization can be made"):
        archive.restore(db, written, subdomain=subdomain)


@pytest.mark.slow
def test_an_interrupted_import_leaves_no_organization(db: Database, written: Path) -> None:
    def interrupt(table: str, done: int, total: int) -> None:
        if table == "state_transitions":
            raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        archive.restore(db, written, subdomain="interrupted", progress=interrupt)


@pytest.mark.slow
def test_a_killed_import_leaves_no_row_and_can_be_run_again(bare_db: Database, written: Path) -> None:
    context = multiprocessing.get_context("forkserver")
    importer = context.Process(target=restore_and_be_killed, args=(bare_db.url, written, "killed"))
    importer.start()
    importer.join(60)
    assert importer.exitcode == -signal.SIGKILL
    with bare_db.tenant("killed"):
        assert [model for model in TENANT_MODELS if model.select().exists()] == []
    assert archive.restore(bare_db, written, subdomain="killed").total > 20


@pytest.mark.slow
def test_two_imports_at_once_are_one(bare_db: Database, written: Path) -> None:
    make_organization(bare_db, subdomain="both")
    outcomes: list[str] = []

    def bring_in() -> None:
        try:
            outcomes.append(str(archive.restore(bare_db, written, subdomain="both").total > 0))
        except ArchiveError as error:
            outcomes.append(str(error))

    threads = [threading.Thread(target=bring_in) for _ in range(2)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join(60)
    assert sum(outcome == "True" for outcome in outcomes) == 1
    assert sum("has rows already" in outcome for outcome in outcomes) == 1


@pytest.mark.slow
def test_nobody_adds_rows_meanwhile(bare_db: Database, written: Path) -> None:
    make_organization(bare_db, subdomain="busy")
    failures: list[BaseException] = []

    def add() -> None:
        try:
            with bare_db.tenant("busy"), bare_db.atomic():
                bare_db.execute_sql("SET LOCAL lock_timeout = '200ms'")
                make_user()
        except peewee.OperationalError as error:
            failures.append(error)

    def meanwhile(table: str, done: int, total: int) -> None:
        if table == "users":
            thread = threading.Thread(target=add)
            thread.start()
            thread.join(60)

    done = archive.restore(bare_db, written, subdomain="busy", progress=meanwhile)
    assert len(failures) == 1
    assert "lock timeout" in str(failures[0])
    with bare_db.tenant("busy"):
        assert User.select().count() == done.rows["users"]

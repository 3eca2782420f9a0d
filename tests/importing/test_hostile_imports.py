"""Imports under attack and under load: races, interruptions, and sources that are made to mislead or to fill memory.

Rule it guards: no row is lost or doubled by what runs at the same time, and hostile input is told, not believed.
"""

from __future__ import annotations

import json
import threading
import zipfile
from datetime import UTC, date, datetime
from pathlib import Path
from typing import Any

import pytest

from rayces_core import (
    Appointment,
    CreditBalance,
    Post,
    Professional,
    SourceError,
    Student,
    User,
    exporting,
    importing,
)
from rayces_core.importing import runs
from rayces_core.importing.sources import open_source
from tests.importing.world import NOW, make_centre, session, told
from tests.nodes import WAITING
from tests.patience import wait_until

KS = [{"first_name": f"K{i}", "last_name": "L", "date_of_birth": "2020-01-01"} for i in range(10)]


def stopping(n: int) -> Any:
    """A progress that interrupts the import after its n-th batch."""
    seen = 0

    def progress(what: str, _: int, __: int | None) -> None:
        nonlocal seen
        seen += what == "write"
        if seen == n:
            raise KeyboardInterrupt

    return progress


def until_it_waits_or_has_looked(db: Any, second: threading.Thread, looked: threading.Event) -> None:
    def does():
        with db.privileged(reason="test"):
            return looked.is_set() or not second.is_alive() or db.execute_sql(WAITING).fetchone() != (0,)

    wait_until(does)


def test_two_imports_and_an_application_make_one_copy(db, a, monkeypatch) -> None:
    in_batch, go = threading.Event(), threading.Event()
    original = runs.move_on

    def slow(run, *rest):
        if threading.current_thread().name == "first":
            in_batch.set()
            go.wait(60)
        return original(run, *rest)

    monkeypatch.setattr(runs, "move_on", slow)

    def bring(progress=None) -> None:
        with db.tenant(a):
            importing.run(KS, "students", progress=progress)

    first = threading.Thread(target=bring, name="first")
    first.start()
    assert in_batch.wait(60)
    with db.tenant(a):
        Student.create(first_name="App", last_name="Made")
    second = threading.Thread(
        target=bring, args=(lambda what, done, _: go.set() if what == "check" and done else None,)
    )
    second.start()
    until_it_waits_or_has_looked(db, second, go)
    go.set()
    second.join(60)
    first.join(60)
    with db.tenant(a):
        assert Student.select().where(Student.last_name == "L").count() == 10


def test_a_row_of_the_application_that_was_under_way_between_batches_is_seen(db, a) -> None:
    inserted, commit, done = threading.Event(), threading.Event(), threading.Event()

    def application() -> None:
        with db.tenant(a), db.atomic():
            Student.create(first_name="K7", last_name="L", date_of_birth=date(2020, 1, 1))
            inserted.set()
            commit.wait(60)
        done.set()

    thread = threading.Thread(target=application)

    def progress(what: str, n: int, _: int | None) -> None:
        if what == "check" and n:
            thread.start()
            inserted.wait(60)
        if what == "write" and n == 5:
            commit.set()
            done.wait(60)

    with db.tenant(a):
        report = importing.run(KS, "students", batch_rows=5, progress=progress)
        assert (report.created, report.unchanged) == (9, 1)
        assert Student.select().where(Student.first_name == "K7").count() == 1


def test_resuming_looks_again_at_what_was_left_out(db, a) -> None:
    rows = [{"email": f"n{i}@x.org", "title": "Lic."} for i in range(20)]
    users = [{"email": f"n{i}@x.org"} for i in range(20)]
    with db.tenant(a):
        importing.run(users[5:], "users")
        with pytest.raises(KeyboardInterrupt):
            importing.run(rows, "professionals", on_error="skip", batch_rows=5, progress=stopping(1))
        importing.run(users[:5], "users")
        importing.run(rows, "professionals", batch_rows=5, resume=True)
        assert Professional.select().count() == 20


def test_resuming_with_update_changes_every_row(db, a) -> None:
    rows = [{"email": f"u{i}@x.org", "first_name": "New"} for i in range(20)]
    with db.tenant(a):
        importing.run([{"email": f"u{i}@x.org", "first_name": "Old"} for i in range(5)], "users")
        with pytest.raises(KeyboardInterrupt):
            importing.run(rows, "users", on_error="skip", batch_rows=5, progress=stopping(1))
        importing.run(rows, "users", update=True, batch_rows=5, resume=True)
        assert User.select().where(User.first_name == "New").count() == 20


def test_an_export_of_credits_does_not_double_them(db, a, tmp_path) -> None:
    with db.tenant(a):
        make_centre()
        importing.run([{"user": "ana@example.org", "credits": 8}], "credits")
        importing.run([{"user": "ana@example.org", "credits": 3, "reference": "R1"}], "credits")
        exporting.export("credits", tmp_path / "c.csv", columns=["user", "credits", "reference"])
        report = importing.run(tmp_path / "c.csv", "credits")
        assert (report.created, report.unchanged) == (0, 2)
        assert CreditBalance.get().balance == 11


@pytest.mark.slow
@pytest.mark.parametrize(
    "stamps",
    [
        {"state": "pre_confirmed", "pre_confirmed_at": "2030-01-01 12:00", "expires_at": "2030-01-01 10:00"},
        {"state": "confirmed", "confirmed_at": "2030-01-01 12:00", "expires_at": "2030-01-01 10:00"},
    ],
)
def test_stamps_in_another_order_are_unchanged_the_second_time(db, a, stamps) -> None:
    with db.tenant(a):
        make_centre()
        importing.run([session(**stamps)], "appointments", now=NOW)
        assert importing.run([session(**stamps)], "appointments", now=NOW).unchanged == 1


@pytest.mark.slow
def test_a_cancelled_one_was_never_held_after_it(db, a) -> None:
    with db.tenant(a):
        make_centre()
        row = session(state="cancelled", expires_at="2030-01-02 08:00", cancelled_at="2030-01-01 08:00")
        importing.run([row], "appointments", now=NOW)
        one = Appointment.get()
        assert one.pre_confirmed_at <= one.cancelled_at
        assert told(importing.check([session(24, confirmed_at="2090-01-01 10:00")], "appointments", now=NOW)) == [
            (1, "confirmed_at")
        ]


@pytest.mark.parametrize(
    ("kind", "row", "column"),
    [
        ("organizations", {"confirmation_hours": 3_000_000_000}, "confirmation_hours"),
        ("appointments", session(buffer_minutes=2147483647), "buffer_minutes"),
        ("appointments", session(buffer_minutes=-30), "buffer_minutes"),
        ("professionals", {"email": "eva@example.org", "session_duration_minutes": -5}, "session_duration_minutes"),
        ("professionals", {"email": "eva@example.org", "session_price": "-5"}, "session_price"),
        ("professionals", {"email": "eva@example.org", "specialization": "x" * 5000}, "specialization"),
        ("students", {"first_name": "a" * 5000, "last_name": "b"}, "first_name"),
    ],
)
def test_what_the_tables_refuse_is_told_by_the_check(db, a, kind, row, column) -> None:
    with db.tenant(a):
        make_centre()
        assert (1, column) in told(importing.check([row], kind, update=True, now=NOW))


def test_a_document_nested_without_end_is_a_problem(db, a) -> None:
    deep: dict[str, Any] = {}
    inner = deep
    for _ in range(5000):
        inner["a"] = {}
        inner = inner["a"]
    with db.tenant(a):
        assert told(importing.check([{"first_name": "a", "last_name": "b", "documents": deep}], "students")) == [
            (1, "documents")
        ]


def test_an_update_of_one_of_two_alike_is_refused(db, a) -> None:
    with db.tenant(a):
        Student.create(first_name="Twin", last_name="T")
        Student.create(first_name="Twin", last_name="T")
        row = {"first_name": "Twin", "last_name": "T", "grade_level": "9"}
        assert told(importing.check([row], "students", update=True)) == [(1, "last_name")]
        Student.create(first_name="a|b", last_name="c")
        assert importing.check([{"first_name": "a", "last_name": "b|c"}], "students").created == 1


def test_a_file_name_that_is_no_utf8(db, a, tmp_path) -> None:
    path = tmp_path / "alum\udcff.csv"
    path.write_text("first_name,last_name\na,b\n")
    with db.tenant(a):
        assert importing.run(path, "students").created == 1


def workbook(path: Path, part: str) -> Path:
    """A workbook whose one sheet, in the file `part`, has a cell in each of two opposite corners."""
    head, formats = '<?xml version="1.0"?>', "http://schemas.openxmlformats.org"
    rel, main = f"{formats}/officeDocument/2006/relationships", f"{formats}/spreadsheetml/2006/main"
    cells = '<row r="1"><c r="A1"><v>1</v></c></row><row r="1048576"><c r="XFD1048576"><v>1</v></c></row>'
    links = f"{formats}/package/2006/relationships"
    sheets = '<sheets><sheet name="S" sheetId="1" r:id="rId1"/></sheets>'
    link = f'<Relationship Id="rId1" Type="{rel}/worksheet" Target="{part}"/>'
    parts = {
        "workbook.xml": f'<workbook xmlns="{main}" xmlns:r="{rel}">{sheets}</workbook>',
        "_rels/workbook.xml.rels": f'<Relationships xmlns="{links}">{link}</Relationships>',
        part: f'<worksheet xmlns="{main}"><sheetData>{cells}</sheetData></worksheet>',
    }
    with zipfile.ZipFile(path, "w") as file:
        for name, content in parts.items():
            file.writestr(f"xl/{name}", head + content)
    return path


@pytest.mark.parametrize("part", ["worksheets/sheet1.xml", "sheets/s.xml", "worksheets/s.dat"])
def test_two_cells_in_opposite_corners_are_refused_wherever_the_sheet_is(tmp_path, part) -> None:
    with pytest.raises(SourceError, match="1,048,576 rows"):
        open_source(workbook(tmp_path / "w.xlsx", part))


def test_a_binary_workbook_with_a_decoy_is_refused(tmp_path) -> None:
    with zipfile.ZipFile(tmp_path / "w.xlsb", "w") as file:
        file.writestr("content.xml", "<a/>")
        file.writestr("xl/workbook.bin", b"x")
    with pytest.raises(SourceError, match="xlsb"):
        open_source(tmp_path / "w.xlsb")


@pytest.mark.slow
def test_a_row_of_many_lines_is_limited(tmp_path) -> None:
    path = tmp_path / "r.csv"
    path.write_text('a,b\n1,2\n"x\n' + 'y","zq\n' * 1_500_000 + 'y"\n')
    with pytest.raises(SourceError, match="several lines"):
        sum(len(batch) for batch in open_source(path).batches())


def test_a_report_of_half_a_letter_is_written(db, a, tmp_path) -> None:
    (tmp_path / "s.jsonl").write_text('{"first_name\\ud800":"A","last_name":"B","date_of_birth":"\\uff1dcmd"}\n')
    with db.tenant(a):
        report = importing.check(tmp_path / "s.jsonl", "students")
    report.to_json(tmp_path / "p.json")
    assert json.loads((tmp_path / "p.json").read_text())["problem_count"] == 1
    report.to_csv(tmp_path / "p.csv")
    assert "'\uff1dcmd," in (tmp_path / "p.csv").read_text(encoding="utf-8-sig")


@pytest.mark.slow
def test_a_generator_that_reads_another_organization_does_not_lend_its_zone(db, a) -> None:
    tokyo = db.create_organization("Tokyo", subdomain=f"tokyo-{id(db)}", time_zone="Asia/Tokyo")

    def rows():
        with db.tenant(a):
            for number in range(1500):
                yield {"author": "ana@example.org", "content": str(number), "created_at": "2024-01-01 10:00"}

    with db.tenant(tokyo):
        importing.run([{"email": "ana@example.org"}], "users")
        importing.run(rows(), "posts")
        assert Post.select().where(Post.created_at == datetime(2024, 1, 1, 1, tzinfo=UTC)).count() == 1500


def test_a_text_that_many_rows_share_is_counted_for_each(tmp_path) -> None:
    import pyarrow
    import pyarrow.parquet

    shared = pyarrow.DictionaryArray.from_arrays(
        pyarrow.array([0] * 5000, pyarrow.int32()), pyarrow.array(["x" * 1_000_000])
    )
    pyarrow.parquet.write_table(pyarrow.table({"first_name": shared}), tmp_path / "b.parquet")
    with pytest.raises(SourceError, match="256 MB"):
        sum(len(batch) for batch in open_source(tmp_path / "b.parquet").batches())


@pytest.mark.slow
@pytest.mark.parametrize("day", ["99999-01-01", "4000-01-01 BC", "infinity"])
def test_a_doctored_archive_with_a_day_that_python_cannot_read(db, a, tmp_path, day) -> None:
    import hashlib

    from rayces_core.archive import restore
    from rayces_core.archive.snapshot import combined
    from rayces_core.errors import ArchiveError

    with db.tenant(a):
        make_centre()
        exporting.tenant(tmp_path / "a.zip")
    with zipfile.ZipFile(tmp_path / "a.zip") as file:
        files = {name: file.read(name) for name in file.namelist()}
    manifest = json.loads(files.pop("manifest.json"))
    files["students.jsonl"] = files["students.jsonl"].replace(b"2019-12-31", day.encode())
    for table, entry in manifest["tables"].items():
        content = files[f"{table}.jsonl"]
        entry.update(bytes=len(content), sha256=hashlib.sha256(content).hexdigest())
    digests = {table: entry["sha256"] for table, entry in manifest["tables"].items()}
    manifest["content_sha256"] = combined(manifest["organization"]["content"], digests)
    with zipfile.ZipFile(tmp_path / "d.zip", "w") as file:
        for name, content in {**files, "manifest.json": json.dumps(manifest).encode()}.items():
            file.writestr(name, content)
    with pytest.raises(ArchiveError, match="calendar"):
        restore(db, tmp_path / "d.zip", subdomain=f"d-{id(tmp_path)}")

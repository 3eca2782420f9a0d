"""Exports of record types: which rows, which columns, and that they go in again."""

from __future__ import annotations

import csv
import io
import json
import os
import stat
from datetime import UTC, date, datetime, timedelta
from pathlib import Path
from typing import Any

import pytest

from rayces_core import (
    Appointment,
    Database,
    InvalidDataError,
    NaiveDatetimeError,
    Organization,
    Role,
    Student,
    TenantNotSetError,
    User,
    credits,
    invoicing,
    people,
)
from rayces_core.archive.layout import LEFT_BEHIND, layout
from rayces_core.archive.snapshot import lines_sql
from rayces_core.archive.streaming import BATCH
from rayces_core.exporting import FORMATS, RECORDS, export, person
from rayces_core.exporting.selection import select
from rayces_core.importing.records import RECORDS as IMPORTED
from rayces_core.models import TENANT_MODELS
from tests.exporting.worlds import HARD_TEXT, fill
from tests.factory import make_appointment, make_package, make_post, make_professional, make_student, make_user
from tests.invoicing.world import FIRST, LAST, session
from tests.walking import walked


def exported(record: object, **options: Any) -> list[dict[str, Any]]:
    file = io.BytesIO()
    done = export(record, file, format="jsonl", **options)
    lines = [json.loads(line) for line in file.getvalue().splitlines()]
    assert done.rows == len(lines)
    return lines


@pytest.mark.parametrize(
    ("name", "kind"),
    [(name, kind) for name in RECORDS for kind in FORMATS if kind != "ics" or name == "appointments"],
)
def test_every_type_goes_out_in_every_format(
    db: Database, full: Organization, tmp_path: Path, name: str, kind: str
) -> None:
    path = tmp_path / f"x.{kind}"
    record = RECORDS[name]
    with db.tenant(full):
        done = export(record.model, path)
        assert (done.record, done.format, done.rows) == (name, kind, record.model.select().count())
    assert done.columns == tuple(column.name for column in record.columns)
    assert path.stat().st_size > 0
    assert stat.S_IMODE(path.stat().st_mode) == 0o600
    assert os.listdir(tmp_path) == [path.name]  # noqa: PTH208


def test_every_model_that_people_see_has_a_type() -> None:
    exportable = {record.model for record in RECORDS.values()} - {Organization}
    left_out = {model.__name__ for model in TENANT_MODELS} - {model.__name__ for model in exportable}
    # Sums of the ledger, bookkeeping, what is between programs, and addresses that are secrets.
    between = {"OutboxMessage", "WebhookEndpoint", "Credential", "Device", "SingleUseToken", "SignInAttempt"}
    secret = {"CalendarFeed", "OutsideCalendar"}
    assert left_out == {"CreditBalance", "ImportRun"} | between | secret


def test_an_export_has_every_column_that_an_import_knows_in_its_order() -> None:
    for record in IMPORTED.values() if isinstance(IMPORTED, dict) else IMPORTED:
        there = [column.name for column in RECORDS[record.name].columns]
        known = [column.name for column in record.columns]
        assert [name for name in there if name in known] == known, record.name


def test_secrets_stay() -> None:
    assert "jti" not in {column.name for record in RECORDS.values() for column in record.columns}


def test_values_are_the_rows_values(db: Database, full: Organization) -> None:
    with db.tenant(full):
        (mark,) = exported("users", where={"email": "mark@example.org"})
        user = User.get(User.email == "mark@example.org")
        assert (mark["first_name"], mark["role"], mark["id"]) == (HARD_TEXT, "admin", user.id)
        assert datetime.fromisoformat(mark["created_at"]) == user.created_at
        assert mark["created_at"].endswith("-03:00")
        assert exported("users", utc=True)[0]["created_at"].endswith("+00:00")
        (student,) = exported(Student, where={"first_name": "mark"})
        assert (student["primary_contact"], student["date_of_birth"]) == ("mark@example.org", "2020-02-29")
        for row in exported("appointments"):
            appointment = Appointment.get_by_id(row["id"])
            assert row["professional"] == appointment.professional.user.email
            assert row["client"] == appointment.client.email
            assert row["student_last_name"] == appointment.student.last_name
        (settings,) = exported(Organization)
        assert (settings["confirmation_hours"], settings["currency"]) == (5, "UYU")
        assert settings["settings"] == {"confirmation_hours": 5}


def test_money_is_an_amount(db: Database, a: Organization) -> None:
    with db.tenant(a):
        make_professional(session_price_cents=150050)
        assert exported("professionals")[0]["session_price"] == "1500.50"
        file = io.BytesIO()
        export("professionals", file, columns=["session_price", "active"], excel=True)
        assert file.getvalue().decode() == "\ufeffsession_price;active\r\n1500,50;true\r\n"


@pytest.mark.slow
def test_another_tenant_s_rows_stay_there(db: Database, a: Organization, b: Organization) -> None:
    with db.tenant(b):
        fill("neighbour-secret")
    with db.tenant(a):
        fill("own")
        for name in RECORDS:
            text = json.dumps(exported(name))
            assert "neighbour-secret" not in text
            assert name == "organizations" or text != "[]"
        assert exported("users", where={"email": "neighbour-secret@example.org"}) == []


def test_it_needs_a_tenant(db: Database, tmp_path: Path) -> None:
    with pytest.raises(TenantNotSetError):
        export("users", tmp_path / "a.csv")
    with db.privileged(reason="test"), pytest.raises(TenantNotSetError):
        export("users", tmp_path / "a.csv")
    assert list(tmp_path.iterdir()) == []


# -- filters --------------------------------------------------------------------------------------------------


def test_columns_are_chosen_and_ordered(db: Database, full: Organization) -> None:
    file = io.BytesIO()
    with db.tenant(full):
        export("users", file, columns=["role", "email"])
    header, *rows = csv.reader(io.StringIO(file.getvalue().decode(), newline=""))
    assert header == ["role", "email"]
    assert ["admin", "mark@example.org"] in rows


@pytest.mark.slow
def test_filters_narrow(db: Database, a: Organization) -> None:
    with db.tenant(a):
        ana, professional = make_user(email="ana@example.org"), make_professional(title=None, active=False)
        mine = make_appointment(client=ana, notes="x'); DROP TABLE users; --")
        other = make_appointment(professional=professional)
        other.cancel(reason="ill")
        both = [mine.id, other.id]

        def ids(**options: Any) -> list[int]:
            return [row["id"] for row in exported("appointments", **options)]

        assert ids() == ids(state=["draft", "cancelled"]) == both
        assert ids(state="cancelled") == ids(where={"state": "cancelled"}) == [other.id]
        assert ids(user="ANA@example.org ") == ids(user=ana) == [mine.id]
        assert ids(user=professional.user) == [other.id]
        assert ids(where={"notes": mine.notes}) == [mine.id]
        assert ids(where={"notes": None}) == ids(where={"notes": ""}) == [other.id]
        assert ids(where={"duration_minutes": "60"}) == ids(where={"duration_minutes": [60, 61]}) == both
        assert ids(where={"uses_credit": "false"}) == ids(where={"uses_credit": False}) == both
        assert ids(where={"scheduled_at": mine.scheduled_at}) == [mine.id]
        assert ids(where={"state": "draft", "client": "nobody@example.org"}) == []
        assert exported("professionals", where={"active": "no"})[0]["id"] == professional.id


def test_days_are_the_organization_s_and_the_last_one_counts(db: Database, a: Organization) -> None:
    with db.tenant(a) as organization:
        local = datetime(2031, 5, 1, tzinfo=organization.zone)
        at = [local - timedelta(minutes=1), local, local + timedelta(hours=23, minutes=59), local + timedelta(days=1)]
        ids = [make_post(created_at=moment).id for moment in at]

        def between(start: Any, end: Any) -> list[int]:
            return [row["id"] for row in exported("posts", start=start, end=end)]

        assert between(date(2031, 5, 1), date(2031, 5, 1)) == ids[1:3]
        assert between(date(2031, 5, 1), None) == ids[1:]
        assert between(None, date(2031, 4, 30)) == ids[:1]
        assert between(at[1], at[2]) == ids[1:2]
        assert between(at[1].astimezone(UTC), at[3]) == ids[1:3]


@walked(
    ("record", "options", "words"),
    [
        ("pupils", {}, "no record type"),
        (Database, {}, "no record type"),
        ("users", {"columns": ["email", "password"]}, "no such column"),
        ("users", {"columns": []}, "names no column"),
        ("users", {"where": {"jti": "x"}}, "no such column"),
        ("users", {"where": {'email" OR true --': "x"}}, "no such column"),
        ("users", {"where": {"id": "five"}}, "is no integer"),
        ("users", {"where": {"id": 2**63}}, "is no integer"),
        ("users", {"where": {"id": 1.5}}, "is no integer"),
        ("users", {"where": {"email": "a\x00b"}}, "NUL"),
        ("users", {"where": {"created_at": "yesterday"}}, "is no moment"),
        ("users", {"state": "draft"}, "have no state"),
        ("organizations", {"user": "a@example.org"}, "name no user"),
        ("professionals", {"where": {"active": "perhaps"}}, "is no boolean"),
        ("professionals", {"where": {"weekly_schedule": "{}"}}, "is a document"),
        ("professionals", {"where": {"session_price": "1.005"}}, "is no money"),
        ("students", {"where": {"date_of_birth": "31/12/2019"}}, "is no date"),
        ("posts", {"start": "2031-01-01"}, "date or an aware datetime"),
        ("posts", {"end": date.max}, "last day"),
        ("posts", {"target": 5}, "must be a path"),
        ("posts", {"format": "pdf"}, "no format"),
    ],
)
def test_what_is_malformed_is_refused(
    db: Database, full: Organization, record: object, options: Any, words: str
) -> None:
    target = options.pop("target", io.BytesIO())
    with db.tenant(full), pytest.raises(InvalidDataError, match=words):
        export(record, target, **options)


def test_a_naive_moment_is_refused(db: Database, full: Organization) -> None:
    with db.tenant(full):
        for options in ({"start": datetime(2031, 1, 1)}, {"where": {"created_at": "2031-01-01T10:00:00"}}):
            with pytest.raises(NaiveDatetimeError):
                export("posts", io.BytesIO(), **options)


# -- files ----------------------------------------------------------------------------------------------------


def test_a_failure_leaves_the_old_file(db: Database, a: Organization, tmp_path: Path) -> None:
    path = tmp_path / "x.xlsx"
    path.write_bytes(b"the old one")
    with db.tenant(a):
        make_post(content="a" * 40_000)
        with pytest.raises(InvalidDataError, match=r"posts\.content"):
            export("posts", path)
    assert path.read_bytes() == b"the old one"
    assert list(tmp_path.iterdir()) == [path]


def test_a_folder_that_is_missing_is_said(db: Database, full: Organization, tmp_path: Path) -> None:
    with db.tenant(full):
        with pytest.raises(FileNotFoundError, match="no such folder"):
            export("users", tmp_path / "none" / "x.csv")
        with pytest.raises(IsADirectoryError, match="name a file"):
            export("users", tmp_path, format="csv")


@pytest.mark.slow
def test_many_rows_come_in_batches_and_all_of_them(db: Database, a: Organization) -> None:
    seen: list[tuple[str, int, int]] = []
    with db.tenant(a) as organization:
        count = 2 * BATCH + 7
        db.execute_sql(
            "INSERT INTO users (organization_id, email) SELECT %s, n || '@example.org' FROM generate_series(1, %s) n "
            "RETURNING 1",
            (organization.id, count),
        )
        rows = exported("users", progress=lambda *at: seen.append(at))
    assert [row["email"] for row in rows] == [f"{n}@example.org" for n in range(1, count + 1)]
    assert seen == [("users", done, count) for done in (BATCH, 2 * BATCH, count)]


def test_it_may_be_part_of_a_unit_of_work(db: Database, a: Organization) -> None:
    with db.tenant(a), db.atomic():
        make_student(first_name="Seen")
        assert [row["first_name"] for row in exported("students")] == ["Seen"]
        make_student()


# -- a person -------------------------------------------------------------------------------------------------


@pytest.mark.slow
def test_a_person_s_rows_are_all_there_and_nobody_else_s(db: Database, a: Organization, tmp_path: Path) -> None:
    path = tmp_path / "person.json"
    with db.tenant(a):
        fill("other")
        ana = make_user(email="ana@example.org")
        child, stranger = make_student(primary_contact=ana), make_student()
        child.apply()
        mine, theirs = make_appointment(client=ana), make_appointment(student=stranger)
        of_child = make_appointment(student=child)
        post, foreign = make_post(user=ana), make_post()
        counts = person("ANA@example.org", path)
        ids = {model._meta.table_name: {row.id for row in model.select()} for model in TENANT_MODELS}
    found = json.loads(path.read_text("utf-8"))
    tables = found["tables"]
    assert counts == {table: len(rows) for table, rows in tables.items()}
    # What is told outside is a copy of these rows, and goes with the retention of messages.
    assert set(tables) == set(ids) - set(LEFT_BEHIND)
    assert [user["email"] for user in tables["users"]] == ["ana@example.org"]
    assert [row["id"] for row in tables["students"]] == [child.id]
    assert [row["id"] for row in tables["appointments"]] == [mine.id, of_child.id]
    assert [row["id"] for row in tables["posts"]] == [post.id]
    assert [row["subject_id"] for row in tables["state_transitions"]] == [child.id]
    assert theirs.id not in {row["id"] for row in tables["appointments"]}
    assert foreign.id not in {row["id"] for row in tables["posts"]}
    assert "jti" not in path.read_text("utf-8")
    assert stat.S_IMODE(path.stat().st_mode) == 0o600


def test_a_person_who_is_not_there(db: Database, a: Organization, b: Organization, tmp_path: Path) -> None:
    with db.tenant(b):
        make_user(email="ana@example.org")
    with db.tenant(a), pytest.raises(InvalidDataError, match="no user"):
        person("ana@example.org", tmp_path / "x.json")
    assert list(tmp_path.iterdir()) == []


def test_it_leaves_the_caller_s_planner_as_it_was(db: Database, full: Organization) -> None:
    with db.tenant(full), db.atomic():
        db.execute_sql("SET LOCAL cursor_tuple_fraction = 0.25")
        exported("appointments")
        assert db.execute_sql("SHOW cursor_tuple_fraction").fetchone() == ("0.25",)
        assert db.execute_sql("SHOW enable_nestloop").fetchone() == ("on",)


@pytest.mark.slow
def test_the_sql_itself_names_the_tenant(db: Database, full: Organization, a: Organization) -> None:
    """Even where row-level security would let every row through."""
    with db.tenant(a):
        fill("neighbour")
    with db.tenant(full):
        tables = layout()
        counts = {record.name: record.model.select().count() for record in RECORDS.values()}
        rows = {model._meta.table_name: model.select().count() for model in TENANT_MODELS}
    with db.privileged(reason="test"):
        for record in RECORDS.values():
            made = select(record, organization_id=full.id, zone=full.zone)
            assert len(db.execute_sql(made.sql, made.values).fetchall()) == counts[record.name]
            assert db.execute_sql(made.counting, made.values).fetchone() == (counts[record.name],)
        for table in tables:
            found = db.execute_sql(lines_sql(table), {"organization_id": full.id}).fetchall()
            assert len(found) == rows[table.name]


@pytest.mark.slow
def test_what_a_person_has_left_of_packages_is_in_it(db: Database, a: Organization, tmp_path: Path) -> None:
    with db.tenant(a):
        ana, other = make_user(), make_user()
        for user in (ana, other):
            credits.purchase_package(user, make_package(credits=3, valid_days=9))
            credits.debit(user, 1)
        counts = person(ana, tmp_path / "person.json")
    assert (counts["credit_lots"], counts["credit_lot_movements"], counts["credit_transactions"]) == (1, 2, 2)


@pytest.mark.slow
def test_what_a_duplicate_paid_and_was_invoiced_is_the_persons(db: Database, a: Organization, tmp_path: Path) -> None:
    with db.tenant(a):
        ana, twin, desk = make_user(), make_user(), make_user(role=Role.STAFF)
        session(twin)
        credits.purchase(twin, 3)
        invoicing.draft_invoice(twin, FIRST, LAST, currency="ARS").issue(by=desk)
        people.merge_users(ana, twin, by=desk)
        counts = person(ana, tmp_path / "person.json")
        known = {person(one, tmp_path / "again.json")["users"] for one in (twin, User.get_by_id(twin.id).email)}
        told = [json.loads((tmp_path / f"{name}.json").read_text("utf-8")) for name in ("person", "again")]
        with pytest.raises(InvalidDataError, match="no user"):
            person(twin.email, tmp_path / "former.json")
    assert (known, told[1]["user_id"], told[1]["tables"]) == ({2}, ana.id, told[0]["tables"])
    assert (counts["users"], counts["invoices"], counts["invoice_lines"]) == (2, 1, 1)
    assert (counts["credit_balances"], counts["credit_transactions"]) == (2, 3)

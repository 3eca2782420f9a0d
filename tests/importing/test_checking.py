"""The first pass: what is wrong is found, all of it, by row and column; nothing is left behind."""

from __future__ import annotations

import re
from datetime import timedelta
from typing import Any

import pytest

from rayces_core import (
    Appointment,
    ColumnMappingError,
    ConfigurationError,
    Database,
    Student,
    TenantNotSetError,
    User,
    credits,
    importing,
)
from rayces_core.importing.records import RECORDS, Record
from rayces_core.models import TENANT_MODELS, ImportRun
from tests.importing.world import CHILDREN, NOW, PEOPLE, START, counts, make_centre, session, told
from tests.walking import walked


def check(rows: Any, record: Any, **options: Any) -> importing.Report:
    return importing.check(rows, record, **({"now": NOW} | options))


@pytest.mark.slow
def test_a_check_leaves_nothing_behind(db: Database, a: Any) -> None:
    with db.tenant(a):
        make_centre()
        before, runs = counts(), ImportRun.select().count()
        report = check([*CHILDREN, {"first_name": "Sol", "last_name": "Paz"}], Student)
        assert (report.created, report.unchanged, report.written) == (1, 2, False)
        assert (counts(), ImportRun.select().count()) == (before, runs)
        assert db.execute_sql("SELECT to_regclass('staged'), to_regclass('resolved')").fetchone() == (None, None)


def test_all_problems_of_a_row_are_told_at_once(db: Database, a: Any) -> None:
    wrong = {
        "first_name": "",
        "last_name": "Sosa",
        "date_of_birth": "31/31/2019",
        "primary_contact": "nobody@example.org",
        "admission_state": "somewhere",
        "emergency_contacts": '[{"name": "Ana"}]',
    }
    with db.tenant(a):
        report = check([wrong, CHILDREN[0] | {"primary_contact": ""}], Student)
    columns = ["admission_state", "date_of_birth", "emergency_contacts", "first_name", "primary_contact"]
    assert told(report) == [(1, column) for column in columns]
    assert (report.rows, report.created, report.skipped) == (2, 1, 1)
    by_column = {problem.column: problem for problem in report.problems}
    assert by_column["primary_contact"].value == "nobody@example.org"
    assert "import the users first" in by_column["primary_contact"].advice
    assert all(problem.problem and problem.advice for problem in report.problems)


@pytest.mark.parametrize("column", ["organization_id", "Organization ID", "tenant_id"])
def test_a_source_may_not_say_whose_its_rows_are(db: Database, a: Any, b: Any, column: str) -> None:
    with db.tenant(a):
        with pytest.raises(ColumnMappingError, match="bound organization"):
            importing.run([PEOPLE[0] | {column: b.id}], User)
        assert User.select().count() == 0


@pytest.mark.slow
def test_people_of_another_organization_are_unknown(db: Database, a: Any, b: Any) -> None:
    with db.tenant(b):
        make_centre()
    with db.tenant(a):
        assert told(check([{"email": "eva@example.org"}], "professionals")) == [(1, "email")]
        assert told(check(CHILDREN, Student)) == [(1, "primary_contact"), (2, "primary_contact")]
        report = check([session(client="ana@example.org")], Appointment)
        assert told(report) == [(1, "client"), (1, "professional"), (1, "student_last_name")]
        assert told(check([{"user": "ana@example.org", "credits": 5}], "credits")) == [(1, "user")]
        assert told(check([{"author": "ana@example.org", "content": "x", "created_at": START}], "posts")) == [
            (1, "author")
        ]
        # The same address is another person here.
        assert check(PEOPLE, User).created == 3


def test_the_same_row_twice_in_a_source_is_told_with_the_first_one(db: Database, a: Any) -> None:
    with db.tenant(a):
        report = check([PEOPLE[0], PEOPLE[1], {"email": " EVA@example.org"}], User)
        assert told(report) == [(3, "email")]
        assert "row 1" in report.problems[0].problem
        children = [CHILDREN[0] | {"primary_contact": ""}, {"first_name": "LÚZ ", "last_name": "sosa"}]
        assert check(children, Student).is_clean
        report = check([*children, {"first_name": "luz", "last_name": " Sósa", "date_of_birth": "2019-12-31"}], Student)
        assert told(report) == [(3, "first_name, last_name, date_of_birth")]


def test_a_row_that_is_there_and_differs_asks_for_update(db: Database, a: Any) -> None:
    changed = [PEOPLE[0] | {"last_name": "Sol"}]
    with db.tenant(a):
        importing.run(PEOPLE, User)
        report = check(changed, User)
        assert told(report) == [(1, "last_name")]
        assert "--update" in report.problems[0].advice
        assert check(changed, User, update=True).updated == 1
        # An empty value says nothing, and a column that is not there neither.
        assert check([{"email": "eva@example.org", "first_name": ""}], User).unchanged == 1


@pytest.mark.slow
def test_what_events_alone_change_is_not_updated(db: Database, a: Any) -> None:
    with db.tenant(a):
        make_centre()
        report = check([CHILDREN[0] | {"admission_state": "discharged"}], Student, update=True)
        assert told(report) == [(1, "admission_state")]
        importing.run([session()], Appointment, now=NOW)
        report = check([session(state="draft")], Appointment, update=True)
        assert told(report) == [(1, "state")]
        assert "never changes an appointment" in report.problems[0].advice
        importing.run([{"user": "ana@example.org", "credits": 5}], "credits")
        report = check([{"user": "ana@example.org", "credits": 6}], "credits", update=True)
        assert told(report) == [(1, "credits")]
        assert "never changed" in report.problems[0].advice


OVERLAPS = [
    ("back to back with the buffer", 1.25, {}, False),
    ("within the buffer", 1.2, {}, True),
    ("before it, buffer included", -1.25, {}, False),
    ("before it, its own buffer reaching in", -1.2, {}, True),
    ("another professional", 0.5, {"professional": "leo@example.org"}, False),
    ("a draft takes no time", 0.5, {"state": "draft"}, False),
    ("a cancelled one takes no time", 0.5, {"state": "cancelled"}, False),
    ("one that is held", 0.5, {"state": "pre_confirmed"}, True),
    ("its own buffer is none", -1, {"buffer_minutes": 0}, False),
]


@pytest.mark.slow
@pytest.mark.parametrize(("hours", "changes", "refused"), [case[1:] for case in OVERLAPS], ids=[c[0] for c in OVERLAPS])
def test_overlaps_are_those_of_the_database_in_the_source_and_with_it(
    db: Database, a: Any, hours: float, changes: dict[str, Any], refused: bool
) -> None:
    other = session(hours, student_first_name="Teo", **changes)
    with db.tenant(a):
        make_centre()
        in_source = check([session(), other], Appointment)
        importing.run([session()], Appointment, now=NOW)
        with_database = check([other], Appointment)
        assert [report.is_clean for report in (in_source, with_database)] == [not refused] * 2
        if refused:
            assert told(with_database) == [(1, "scheduled_at")]
        else:
            assert importing.run([other], Appointment, now=NOW).created == 1


def test_a_long_appointment_is_found_behind_shorter_ones(db: Database, a: Any) -> None:
    rows = [
        session(duration_minutes=480),
        session(20, student_first_name="Teo"),
        session(2, student_first_name="Teo"),
        session(7, student_first_name="Teo"),
    ]
    with db.tenant(a):
        make_centre()
        assert told(check(rows, Appointment)) == [(3, "scheduled_at"), (4, "scheduled_at")]


@pytest.mark.slow
@pytest.mark.parametrize(
    ("changes", "column"),
    [
        ({"state": "executed"}, "state"),
        ({"state": "no_show"}, "state"),
        ({"state": "draft", "confirmed_at": NOW}, "confirmed_at"),
        ({"confirmed_at": NOW - timedelta(hours=1), "pre_confirmed_at": NOW}, "confirmed_at"),
        ({"uses_credit": "yes"}, "uses_credit"),
        ({"cancellation_reason": "ill"}, "cancellation_reason"),
        ({"duration_minutes": 10}, "duration_minutes"),
        ({"duration_minutes": 2**40}, "duration_minutes"),
        ({"student_last_name": "Nobody"}, "student_last_name"),
    ],
)
def test_an_appointment_that_cannot_be_is_refused(db: Database, a: Any, changes: dict[str, Any], column: str) -> None:
    with db.tenant(a):
        make_centre()
        assert told(check([session(**changes)], Appointment)) == [(1, column)]


@pytest.mark.slow
def test_two_students_of_one_name_are_told_apart_by_date_of_birth(db: Database, a: Any) -> None:
    with db.tenant(a):
        make_centre()
        importing.run([CHILDREN[0] | {"date_of_birth": "05/06/2018"}], Student)
        assert told(check([session()], Appointment)) == [(1, "student_last_name")]
        assert check([session(student_date_of_birth="05/06/2018")], Appointment).is_clean


def test_credits_that_no_balance_can_hold_are_refused(db: Database, a: Any) -> None:
    most = 1_000_000_000
    with db.tenant(a):
        make_centre()
        rows = [{"user": "ana@example.org", "credits": most, "reference": str(number)} for number in range(3)]
        assert told(check(rows, "credits")) == [(3, "credits")]
        importing.run(rows[:1], "credits")
        ana = User.get(User.email == "ana@example.org")
        assert credits.balance(ana) == most
        assert told(check(rows, "credits")) == [(3, "credits")]
        assert told(check([{"user": "ana@example.org", "credits": credit} for credit in (0, "1,5")], "credits")) == [
            (1, "credits"),
            (2, "credits"),
        ]


def test_a_credit_is_no_opening_balance_twice(db: Database, a: Any) -> None:
    rows = [{"user": "ana@example.org", "credits": 3}, {"user": "ana@example.org", "credits": 4}]
    with db.tenant(a):
        make_centre()
        assert told(check(rows, "credits")) == [(2, "reference")]
        assert check([rows[0], rows[1] | {"purchased_on": "01/02/2030"}], "credits").is_clean


def test_an_import_is_one_organization_s(db: Database, a: Any) -> None:
    with pytest.raises(TenantNotSetError):
        importing.check(PEOPLE, User)
    with db.privileged(reason="test"), pytest.raises(TenantNotSetError):
        importing.check(PEOPLE, User)
    with db.tenant(a):
        with pytest.raises(ConfigurationError, match="cannot be imported"):
            importing.check(PEOPLE, "rooms")
        with pytest.raises(ConfigurationError, match="no option 'updat'"):
            importing.check(PEOPLE, User, updat=True)
        with pytest.raises(ConfigurationError, match="on_error"):
            importing.check(PEOPLE, User, on_error="ignore")


def test_every_problem_is_kept_beyond_those_in_memory(db: Database, a: Any, tmp_path: Any) -> None:
    rows = [{"email": f"nobody {number}"} for number in range(1200)]
    with db.tenant(a):
        report = check(rows, User)
    assert (report.problem_count, len(report.problems)) == (1200, 1000)
    assert [problem.row for problem in report.every_problem()] == list(range(1, 1201))
    report.to_csv(tmp_path / "report.csv")
    assert (tmp_path / "report.csv").read_text("utf-8-sig").count("\n") == 1201


@walked("record", RECORDS.values(), ids=lambda record: record.name)
def test_every_statement_names_the_tenant_for_each_table(record: Record) -> None:
    tables = {model._meta.table_name for model in TENANT_MODELS}
    statements = (record.resolving, record.inserting, record.locking, *record.conflicts, *record.checks)
    for statement in statements:
        named = [table for table in re.findall(r"(?:FROM|JOIN|INTO) (\w+)", statement) if table in tables]
        assert statement.count("%(tenant)s") >= len(named), statement


def test_a_row_with_a_fault_keeps_no_other_row_out(db: Database, a: Any) -> None:
    with db.tenant(a):
        report = check([PEOPLE[0] | {"role": "emperor"}, PEOPLE[0]], User)
        assert (told(report), report.created) == ([(1, "role")], 1)
        make_centre()
        rows = [session(duration_minutes="an hour"), session(0.5, student_first_name="Teo")]
        assert told(check(rows, Appointment)) == [(1, "duration_minutes")]

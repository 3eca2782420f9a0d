"""Appointments of a series are imported as its occurrences, and an export of a series comes in again as one."""

from __future__ import annotations

from collections.abc import Iterator
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import pytest

from rayces_core import (
    Appointment,
    AppointmentSeries,
    Database,
    ImportRefusedError,
    Organization,
    Professional,
    Student,
    User,
    exporting,
    importing,
    scheduling,
)
from tests.importing.world import NOW, START, make_centre, session

RULE = "FREQ=WEEKLY;BYDAY=MO;COUNT=4"
WEEK = 7 * 24
KINDS = ("users", "professionals", "students", "appointments")


@pytest.fixture
def centre(db: Database, a: Any) -> Iterator[None]:
    with db.tenant(a):
        make_centre()
        yield


def occurrence(number: int, **changes: Any) -> dict[str, Any]:
    """A row of one of the series' sessions."""
    return session(WEEK * number, series_rule=RULE, series_starts_at=START, **changes)


def problems(rows: list[dict[str, Any]]) -> list[tuple[int, str, str]]:
    report = importing.check(rows, Appointment, now=NOW)
    return [(problem.row, problem.column, problem.problem) for problem in report.problems]


def kept() -> list[tuple[str, datetime, str, datetime | None, list[tuple[datetime, datetime | None, str]]]]:
    """Every series with its sessions, without ids."""
    return [
        (
            each.rule,
            each.starts_at,
            each.time_zone,
            each.ends_before,
            [
                (session.scheduled_at, session.occurrence_at, session.student.first_name)
                for session in Appointment.select()
                .where(Appointment.series == each)
                .order_by(Appointment.occurrence_at)
            ],
        )
        for each in AppointmentSeries.select().order_by(AppointmentSeries.starts_at, AppointmentSeries.id)
    ]


def test_a_rule_and_its_start_make_one_series_of_the_rows_of_a_student(centre: None) -> None:
    rows = [occurrence(number) for number in range(3)]
    other = [occurrence(0, student_first_name="Teo", professional="leo@example.org")]
    assert importing.run([*rows, *other, session(3)], Appointment, now=NOW).created == 5
    luz, teo = kept()
    assert [which for _, which, _ in luz[4]] == [START + timedelta(weeks=week) for week in range(3)]
    assert [name for *_, name in teo[4]] == ["Teo"]
    assert luz[:2] == (RULE, START)
    assert Appointment.select().where(Appointment.series.is_null()).count() == 1


def test_a_series_is_one_whatever_batch_or_run_its_rows_come_in(centre: None) -> None:
    importing.run([occurrence(0), occurrence(1)], Appointment, now=NOW, batch_rows=1)
    importing.run([occurrence(number) for number in range(4)], Appointment, now=NOW)
    ((*_, sessions),) = kept()
    assert len(sessions) == 4


def test_a_session_that_was_moved_stays_the_occurrence_that_it_is(centre: None) -> None:
    moved = occurrence(1) | {"scheduled_at": START + timedelta(days=8), "occurrence_at": START + timedelta(days=7)}
    importing.run([occurrence(0), moved], Appointment, now=NOW)
    session = Appointment.get(Appointment.scheduled_at == moved["scheduled_at"])
    assert session.occurrence_at == moved["occurrence_at"]


def test_what_was_imported_is_changed_as_what_was_booked(centre: None) -> None:
    importing.run([occurrence(number) for number in range(4)], Appointment, now=NOW)
    second = Appointment.get(Appointment.occurrence_at == START + timedelta(weeks=1))
    later = second.scheduled_at + timedelta(hours=1)
    done = scheduling.reschedule_series(second, later, now=NOW, override_schedule=True)
    assert [each.scheduled_at for each in done.changed] == [later + timedelta(weeks=week) for week in range(3)]


@pytest.mark.parametrize(
    ("changes", "column", "words"),
    [
        ({"series_rule": "every monday"}, "series_rule", "needs parts such as"),
        ({"series_rule": "FREQ=WEEKLY;BYDAY=MO"}, "series_rule", "COUNT or UNTIL"),
        ({"series_rule": "FREQ=HOURLY;COUNT=2"}, "series_rule", "FREQ must be one of"),
        ({"series_rule": "FREQ=WEEKLY;BYDAY=XX;COUNT=2"}, "series_rule", "cannot be read"),
        ({"series_rule": "FREQ=WEEKLY;BYDAY=TU;COUNT=2"}, "series_rule", "is no occurrence"),
        ({"series_rule": None}, "series_rule", "is missing beside series_starts_at"),
        ({"series_rule": None, "series_starts_at": None, "occurrence_at": START}, "occurrence_at", "comes without"),
        ({"series_follows_rule": RULE}, "series_follows_starts_at", "is missing beside series_follows_rule"),
        ({"series_follows_starts_at": START}, "series_follows_starts_at", "comes without series_follows_rule"),
        ({"series_time_zone": "Mars/Olympus"}, "series_time_zone", ""),
        ({"series_ends_before": START - timedelta(days=1)}, "series_ends_before", "is before series_starts_at"),
        ({"occurrence_at": START + timedelta(days=1)}, "occurrence_at", "is no occurrence of"),
    ],
)
def test_what_is_no_series_is_told_of_its_row(centre: None, changes: dict[str, Any], column: str, words: str) -> None:
    told = problems([session(-3), occurrence(0) | changes])
    assert {row for row, *_ in told} == {2}
    assert [problem for _, at, problem in told if at == column and words in problem] != []


def test_an_occurrence_is_one_appointment_in_a_source_and_in_what_is_there(centre: None) -> None:
    twice = occurrence(0) | {"scheduled_at": START + timedelta(hours=5), "occurrence_at": START}
    assert problems([occurrence(0), twice]) == [(2, "occurrence_at", "is the occurrence that row 1 is")]
    importing.run([occurrence(0)], Appointment, now=NOW)
    assert problems([twice]) == [(1, "occurrence_at", "another appointment is this occurrence of the series")]


def test_conflicts_of_a_series_are_told_before_any_row_is_written(centre: None) -> None:
    importing.run([session(WEEK * 2)], Appointment, now=NOW)
    rows = [occurrence(number, student_first_name="Teo") for number in range(4)]
    with pytest.raises(ImportRefusedError) as refused:
        importing.run(rows, Appointment, now=NOW)
    assert [problem.row for problem in refused.value.report.problems] == [3]
    assert AppointmentSeries.select().count() == 0


@pytest.mark.parametrize("form", ["csv", "jsonl"])
def test_series_are_exported_and_imported_to_the_same(db: Database, a: Any, b: Any, tmp_path: Path, form: str) -> None:
    with db.tenant(a):
        make_centre()
        now = datetime.now(UTC)
        begins = (now + timedelta(days=7)).replace(hour=15, minute=0, second=0, microsecond=0)
        who = {"student": Student.get(first_name="Luz"), "professional": Professional.get(), "client": User.get()}
        aside = {"override_schedule": True, "override_window": True}
        booked = scheduling.book_series(scheduled_at=begins, count=6, confirm=True, **who, **aside).booked
        later = booked[3].scheduled_at + timedelta(hours=2)
        scheduling.reschedule(booked[1], booked[1].scheduled_at + timedelta(days=1), **aside)
        scheduling.reschedule_series(booked[3], later, **aside)
        for kind in KINDS:
            exporting.export(kind, tmp_path / f"{kind}.{form}")
        before = kept()
        assert [len(sessions) for *_, sessions in before] == [3, 3]
    with db.tenant(b):
        zone = Organization.get().time_zone
        for kind in KINDS:
            assert importing.run(tmp_path / f"{kind}.{form}", kind).is_clean
        assert kept() == before
        assert zone == before[0][2]
        assert importing.run(tmp_path / f"appointments.{form}", "appointments").unchanged == 6

"""Group sessions and who attends them: imported from rows, exported and imported again to the same."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import pytest

from rayces_core import (
    Appointment,
    Database,
    GroupSession,
    ImportRefusedError,
    Professional,
    Resource,
    StateTransition,
    Student,
    User,
    exporting,
    importing,
    scheduling,
)
from tests.importing.world import NOW, START, make_centre, session

GROUP = {"professional": "eva@example.org", "name": "Social skills", "scheduled_at": START, "capacity": 2}
TEO = {"student_first_name": "Teo"}
KINDS = ("users", "professionals", "resources", "students", "group_sessions", "appointments")


@pytest.fixture
def centre(db: Database, a: Any) -> Iterator[None]:
    with db.tenant(a):
        make_centre()
        Resource.create(kind="room", name="Room 1")
        yield


def run(*rows: dict[str, Any], **options: Any) -> importing.Report:
    return importing.run(rows, "group_sessions", now=NOW, **options)


def attend(*rows: dict[str, Any], **options: Any) -> importing.Report:
    return importing.run(rows, "appointments", now=NOW, **options)


def seat(hours: float = 0, **changes: Any) -> dict[str, Any]:
    """A row of who attends the group so many hours after START."""
    return session(hours, duration_minutes=None, group_session_at=START + timedelta(hours=hours), **changes)


def problems(kind: str, *rows: dict[str, Any]) -> list[tuple[int, str, str]]:
    report = importing.check(rows, kind, now=NOW)
    return [(problem.row, problem.column, problem.problem) for problem in report.problems]


def kept() -> list[tuple[Any, ...]]:
    """Every group with who attends it, without ids."""
    return [
        (
            *(group.name, group.professional.user.email, group.scheduled_at, group.duration_minutes),
            *(group.buffer_minutes, group.capacity, group.open_seats, group.state, group.cancelled_at),
            *(group.cancelled_by and group.cancelled_by.email, group.cancellation_reason),
            group.room and group.room.name,
            [
                (each.student.first_name, each.state, each.seat is not None, each.scheduled_at, each.occupied_until)
                for each in Appointment.select()
                .where(Appointment.group_session == group)
                .order_by(Appointment.student_id)
            ],
        )
        for group in GroupSession.select().order_by(GroupSession.scheduled_at, GroupSession.state)
    ]


def test_a_row_is_a_group_with_its_journal(centre: None) -> None:
    cancelled = GROUP | {"fecha y hora": START + timedelta(days=1), "estado": "cancelado"}
    cancelled.pop("scheduled_at")
    assert run(GROUP | {"sala": "room 1"}).created == 1
    assert run(cancelled).created == 1
    first, second = GroupSession.select().order_by(GroupSession.id)
    assert (first.capacity, first.open_seats, first.duration_minutes, first.buffer_minutes) == (2, 2, 60, 15)
    assert first.room.name == "Room 1"
    assert (second.state, second.open_seats, second.cancelled_at) == ("cancelled", 0, NOW)
    assert second.cancellation_reason == "imported"
    assert [step.event for step in first.history()] == ["create"]
    assert [(step.event, step.made_up) for step in second.history()] == [("create", True), ("cancel", True)]


def test_the_same_rows_change_nothing_and_others_are_refused(centre: None) -> None:
    run(GROUP)
    again = run(GROUP)
    assert (again.created, again.updated, again.unchanged) == (0, 0, 1)
    ((row, column, problem),) = problems("group_sessions", GROUP | {"capacity": 3})
    assert (row, column, problem) == (1, "capacity", "is there already, with another capacity")
    GroupSession.get().cancel(reason="nobody came", now=NOW)
    assert run(GROUP).unchanged == 1
    assert [column for _, column, _ in problems("group_sessions", GROUP | {"state": "open"})] == ["state"]


def test_one_that_was_cancelled_and_the_one_made_in_its_place_are_two(centre: None) -> None:
    rows = (GROUP | {"state": "cancelled", "cancelled_at": NOW, "cancellation_reason": "ill"}, GROUP)
    assert run(*rows).created == 2
    assert run(*rows).unchanged == 2
    assert problems("group_sessions", *rows, GROUP)[0][:2] == (3, "professional, scheduled_at")


@pytest.mark.parametrize(
    ("wrong", "column"),
    [
        ({"professional": "nobody@example.org"}, "professional"),
        ({"scheduled_at": START + timedelta(seconds=1)}, "scheduled_at"),
        ({"duration_minutes": 10}, "duration_minutes"),
        ({"buffer_minutes": 2000}, "buffer_minutes"),
        ({"capacity": 0}, "capacity"),
        ({"capacity": 501}, "capacity"),
        ({"capacity": None}, "capacity"),
        ({"state": "lost"}, "state"),
        ({"cancelled_at": NOW}, "cancelled_at"),
        ({"cancellation_reason": "ill"}, "cancellation_reason"),
        ({"state": "cancelled", "cancelled_at": NOW + timedelta(days=1)}, "cancelled_at"),
        ({"state": "cancelled", "cancelled_by": "nobody@example.org"}, "cancelled_by"),
        ({"second_professional": "eva@example.org"}, "second_professional"),
        ({"second_professional": "ana@example.org"}, "second_professional"),
        ({"room": "Nowhere"}, "room"),
        ({"device": "Room 1"}, "device"),
    ],
)
def test_a_row_that_cannot_be_says_which_column(centre: None, wrong: dict[str, Any], column: str) -> None:
    assert {at for _, at, _ in problems("group_sessions", GROUP | wrong)} == {column}
    assert GroupSession.select().count() == 0


def test_groups_overlap_neither_each_other_nor_what_is_there(centre: None) -> None:
    run(GROUP | {"room": "Room 1"})
    attend(session(3, professional="leo@example.org"))
    half = START + timedelta(minutes=30)
    leo = GROUP | {"professional": "leo@example.org"}
    told = problems(
        "group_sessions",
        GROUP | {"scheduled_at": half},
        leo | {"scheduled_at": half, "room": "Room 1"},
        leo | {"scheduled_at": START + timedelta(hours=3, minutes=30)},
        GROUP | {"scheduled_at": START + timedelta(hours=3), "second_professional": "leo@example.org"},
        GROUP | {"scheduled_at": START + timedelta(days=1)},
        GROUP | {"scheduled_at": START + timedelta(days=1, minutes=30)},
        GROUP | {"scheduled_at": half, "state": "cancelled", "cancelled_at": NOW},
    )
    assert [(row, problem.split(" from ")[0]) for row, _, problem in told] == [
        (1, "the professional is taken by a group session"),
        (2, "the room is taken by a group session"),
        (3, "the professional is taken"),
        (4, "the second professional is taken"),
        (6, "overlaps row 5, which holds the professional until 2031-04-08 10:15, the buffer included"),
    ]
    with pytest.raises(ImportRefusedError):
        run(GROUP | {"scheduled_at": half})


def test_who_attends_has_a_seat_at_the_group_s_time_and_with_what_it_holds(centre: None) -> None:
    run(GROUP | {"duration_minutes": 45, "buffer_minutes": 5, "room": "Room 1"})
    assert attend(seat(), seat(**TEO), session(2)).created == 3
    group = GroupSession.get()
    sitting = list(Appointment.select().where(Appointment.group_session == group).order_by(Appointment.seat))
    assert [(each.seat, each.seats, each.room_id) for each in sitting] == [(n, 2, group.room_id) for n in (1, 2)]
    assert {(each.duration_minutes, each.buffer_minutes, each.scheduled_at) for each in sitting} == {(45, 5, START)}
    assert (group.attending(), group.open_seats) == (2, 2)
    assert scheduling.verify_groups() == []
    again = attend(seat(), seat(**TEO), session(2))
    assert (again.created, again.unchanged) == (0, 3)


def test_seats_are_given_batch_by_batch_and_the_free_ones_first(centre: None) -> None:
    run(GROUP | {"capacity": 3})
    attend(seat(), seat(**TEO), batch_rows=1)
    luz = Appointment.get(seat=1)
    luz.cancel(reason="ill", now=NOW)
    Student.create(first_name="Sol", last_name="Sosa", primary_contact=User.get(email="ana@example.org"))
    attend(seat(student_first_name="Sol"))
    assert [(each.student.first_name, each.seat) for each in group_seats()] == [("Sol", 1), ("Teo", 2)]


def group_seats() -> list[Appointment]:
    return list(Appointment.select().where(Appointment.seat.is_null(False)).order_by(Appointment.seat))


def test_nobody_sits_where_every_seat_is_taken(centre: None) -> None:
    run(GROUP | {"capacity": 1})
    full = "all 1 seats of the group session are taken"
    assert problems("appointments", seat(), seat(**TEO)) == [(2, "group_session_at", full)]
    left = attend(seat(client="nobody@example.org"), seat(**TEO), on_error="skip")
    assert (left.created, left.skipped) == (1, 1)
    assert problems("appointments", seat()) == [(1, "group_session_at", full)]


def test_an_overdue_hold_gives_its_seat_away_where_it_is_needed(centre: None) -> None:
    run(GROUP | {"capacity": 2})
    attend(seat(state="pre_confirmed", pre_confirmed_at=NOW - timedelta(days=2), expires_at=NOW - timedelta(days=1)))
    Student.create(first_name="Sol", last_name="Sosa", primary_contact=User.get(email="ana@example.org"))
    attend(seat(**TEO))
    assert [each.state for each in group_seats()] == ["pre_confirmed", "confirmed"]
    attend(seat(student_first_name="Sol"))
    assert [(each.student.first_name, each.seat) for each in group_seats()] == [("Sol", 1), ("Teo", 2)]


@pytest.mark.parametrize(
    ("wrong", "column"),
    [
        ({"scheduled_at": START + timedelta(hours=1)}, "scheduled_at"),
        ({"group_session_at": START - timedelta(hours=1), "state": "cancelled"}, "group_session_at"),
        ({"professional": "leo@example.org"}, "group_session_at"),
        ({"state": "draft"}, "group_session_at"),
        ({"duration_minutes": 30}, "duration_minutes"),
        ({"buffer_minutes": 0}, "buffer_minutes"),
        ({"buffer_before_minutes": 5}, "buffer_before_minutes"),
        ({"second_professional": "leo@example.org"}, "second_professional"),
        ({"room": "Room 1"}, "room"),
    ],
)
def test_a_seat_that_cannot_be_says_which_column(centre: None, wrong: dict[str, Any], column: str) -> None:
    run(GROUP)
    assert [at for _, at, _ in problems("appointments", seat() | wrong)] == [column]


def test_nobody_attends_a_cancelled_group_but_who_cancelled_was_of_it(centre: None) -> None:
    run(GROUP | {"state": "cancelled"})
    assert [at for _, at, _ in problems("appointments", seat())] == ["group_session_at"]
    attend(seat(state="cancelled"))
    left = Appointment.get()
    assert (left.group_session_id, left.seat, left.seats) == (GroupSession.get().id, None, None)


def test_an_appointment_without_a_seat_lies_over_no_group(centre: None) -> None:
    run(GROUP | {"room": "Room 1", "second_professional": "leo@example.org"})
    Resource.create(kind="room", name="Room 2")
    told = problems("appointments", session(0.5), session(0.5, **TEO, professional="leo@example.org"))
    assert {(row, problem.split(" from ")[0]) for row, _, problem in told} >= {
        (1, "the professional is taken by a group session"),
        (2, "the professional is taken by a group session"),
    }
    assert problems("appointments", session(2), session(0.5, state="cancelled")) == []


def make_group(**options: Any) -> GroupSession:
    return scheduling.create_group_session(
        professional=Professional.get(), scheduled_at=START, capacity=1, override_schedule=True, now=NOW, **options
    )


def after_the_check(act: Callable[[], object]) -> Any:
    """A progress callback that does something when the rows are checked, before the first batch is written."""

    def progress(what: str, done: int, total: int | None) -> None:
        if what == "check" and done == total:
            act()

    return progress


def refused(kind: str, row: dict[str, Any], meanwhile: Callable[[], object]) -> list[tuple[int, str]]:
    """What is told of a row that was right when it was checked."""
    assert importing.check([row], kind, now=NOW).is_clean
    with pytest.raises(ImportRefusedError, match="came up after the check") as error:
        importing.run([row], kind, now=NOW, progress=after_the_check(meanwhile))
    return [(problem.row, problem.problem.split(" from ")[0]) for problem in error.value.report.problems]


def test_a_group_made_after_the_check_is_told_of_the_row_over_it(centre: None) -> None:
    assert refused("appointments", session(), make_group) == [(1, "the professional is taken by a group session")]
    assert Appointment.select().count() == 0


def test_an_appointment_booked_after_the_check_keeps_the_group_out(centre: None) -> None:
    assert refused("group_sessions", GROUP, lambda: book_beside(START)) == [(1, "the professional is taken")]
    assert GroupSession.select().count() == 0


def book_beside(at: datetime) -> Appointment:
    return scheduling.book(
        professional=Professional.get(),
        student=Student.get(),
        client=User.get(email="ana@example.org"),
        scheduled_at=at,
        override_schedule=True,
        now=NOW,
    )


@pytest.mark.parametrize("change", ["cancelled", "moved", "given a room"])
def test_a_group_that_changed_after_the_check_takes_no_seats_as_it_was(centre: None, change: str) -> None:
    group = make_group()
    room = Resource.get()
    acts: dict[str, Callable[[], object]] = {
        "cancelled": lambda: group.cancel(reason="ill", now=NOW),
        "moved": lambda: move(START + timedelta(days=1)),
        "given a room": lambda: move(START, room=room),
    }

    def move(at: datetime, **options: Any) -> GroupSession:
        return scheduling.reschedule_group(group, at, override_schedule=True, now=NOW, **options)

    assert refused("appointments", seat(), acts[change]) == [
        (1, "the group session was moved or cancelled after the check")
    ]
    assert group.attending() == 0


def test_a_seat_taken_after_the_check_is_told_of_the_row(centre: None) -> None:
    group = make_group()
    ana, luz = User.get(email="ana@example.org"), Student.get(first_name="Luz")

    def book() -> Appointment:
        return scheduling.book_group(group, student=luz, client=ana, now=NOW)

    assert refused("appointments", seat(**TEO), book) == [(1, "all 1 seats of the group session are taken")]
    assert group.attending() == 1


@pytest.mark.parametrize("form", ["csv", "jsonl"])
def test_groups_are_exported_and_imported_to_the_same(db: Database, a: Any, b: Any, tmp_path: Path, form: str) -> None:
    with db.tenant(a):
        make_centre()
        make_groups()
        before = kept()
        for kind in KINDS:
            exporting.export(kind, tmp_path / f"{kind}.{form}")
        assert [len(group[-1]) for group in before] == [2, 1, 1, 2]
    with db.tenant(b):
        for kind in KINDS:
            assert importing.run(tmp_path / f"{kind}.{form}", kind).is_clean
        assert kept() == before
        assert scheduling.verify_groups() == []
        rows = Appointment.select().count()
        steps = StateTransition.select().count()
        for kind in KINDS[-2:]:
            again = importing.run(tmp_path / f"{kind}.{form}", kind)
            assert (again.created, again.updated, again.is_clean) == (0, 0, True)
        assert (Appointment.select().count(), StateTransition.select().count()) == (rows, steps)


def make_groups() -> None:
    """One that two attend, a full one, a cancelled one, and one that somebody left before it was moved."""
    starts = (datetime.now(UTC) + timedelta(days=7)).replace(hour=15, minute=0, second=0, microsecond=0)
    eva, ana = Professional.get(), User.get(email="ana@example.org")
    luz, teo = Student.get(first_name="Luz"), Student.get(first_name="Teo")
    room = Resource.create(kind="room", name="Room 1")
    aside = {"override_schedule": True, "override_window": True}

    def make(days: int, capacity: int, *students: Student, **options: Any) -> GroupSession:
        at = starts + timedelta(days=days)
        group = scheduling.create_group_session(
            professional=eva, scheduled_at=at, capacity=capacity, **options, **aside
        )
        for student in students:
            scheduling.book_group(group, student=student, client=ana, confirm=True)
        return group

    make(0, 4, luz, teo, name="Social skills", room=room)
    make(1, 1, luz, duration_minutes=45)
    scheduling.cancel_group_session(make(2, 3, luz), by=eva.user)
    moved = make(3, 2, luz, teo)
    Appointment.get(group_session=moved, student=luz).cancel(reason="ill")
    scheduling.reschedule_group(moved, moved.scheduled_at + timedelta(hours=1), **aside)

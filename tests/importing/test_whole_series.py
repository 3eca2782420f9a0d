"""A row with a rule and no beginning of its series is the whole series: it goes in with every session or not at all."""

from __future__ import annotations

from collections.abc import Iterator
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import pytest
from hypothesis import HealthCheck, Phase, example, given
from hypothesis import strategies as st

from rayces_core import (
    Appointment,
    AppointmentSeries,
    Database,
    ImportRefusedError,
    Professional,
    Student,
    User,
    exporting,
    importing,
    scheduling,
)
from tests.factory import make_organization
from tests.importing.test_series import KINDS, RULE, problems
from tests.importing.world import NOW, START, counts, make_centre, session
from tests.sizes import examples

WEEKS = [START + timedelta(weeks=week) for week in range(4)]


@pytest.fixture
def centre(db: Database, a: Any) -> Iterator[None]:
    with db.tenant(a):
        make_centre()
        yield


def whole(hours: float = 0, **changes: Any) -> dict[str, Any]:
    return session(hours, series_rule=RULE, **changes)


def starts(**having: Any) -> list[datetime]:
    return sorted(each.scheduled_at for each in Appointment.filter(**having))


def test_a_row_is_all_of_its_series(centre: None) -> None:
    report = importing.run([whole(), session(3)], Appointment, now=NOW)
    assert (report.rows, report.created) == (2, 5)
    assert report.notes == ("1 row is a whole series, of 4 appointments; it goes in with all of them or not at all",)
    made = AppointmentSeries.get()
    assert (made.rule, made.starts_at, made.ends_before) == (RULE, START, None)
    assert [each.occurrence_at for each in made.appointments.order_by(Appointment.id)] == WEEKS
    assert starts(series=made.id) == WEEKS


def test_a_check_tells_of_it_and_writes_nothing(centre: None) -> None:
    before = counts()
    assert importing.check([whole()], Appointment, now=NOW).created == 4
    assert counts() == before


def test_the_same_row_again_changes_nothing_and_a_session_of_it_is_known(centre: None) -> None:
    importing.run([whole()], Appointment, now=NOW)
    assert importing.run([whole()], Appointment, now=NOW).unchanged == 4
    third = session(2 * 7 * 24, series_rule=RULE, series_starts_at=START)
    assert importing.run([third], Appointment, now=NOW).unchanged == 1
    assert AppointmentSeries.select().count() == 1


def test_what_was_changed_before_ends_there(centre: None) -> None:
    importing.run([whole(series_ends_before=WEEKS[2])], Appointment, now=NOW)
    assert starts() == WEEKS[:2]
    assert AppointmentSeries.get().ends_before == WEEKS[2]


def test_a_series_can_be_changed_as_one_that_was_booked(centre: None) -> None:
    importing.run([whole()], Appointment, now=NOW)
    second = Appointment.get(Appointment.scheduled_at == WEEKS[1])
    done = scheduling.cancel_series(second, which="following", reason="moved away", now=NOW)
    assert [each.scheduled_at for each in done] == WEEKS[1:]


def changed(which: str, hours: int = 2, place: int = 1) -> None:
    """One of the sessions, by order of time, is moved so many hours, and others with it."""
    moved = Appointment.select().order_by(Appointment.scheduled_at)[place]
    aside = {"override_window": True, "override_schedule": True}
    scheduling.reschedule_series(moved, moved.scheduled_at + timedelta(hours=hours), which=which, now=NOW, **aside)


OF_ITS_SERIES = {"series_rule": RULE, "series_starts_at": START}


@pytest.mark.slow
@pytest.mark.parametrize("times", [1, 2])
@pytest.mark.parametrize("which", ["following", "all"])
@pytest.mark.parametrize("of", ["the whole", "its sessions"])
def test_what_was_changed_here_is_not_brought_at_its_old_time(
    centre: None, a: Any, which: str, of: str, times: int
) -> None:
    importing.run([whole()], Appointment, now=NOW)
    for _ in range(times):
        changed(which)
    before, first = counts(), 1 if which == "following" else 0
    each = [session(week * 7 * 24, **OF_ITS_SERIES) for week in range(4)]
    source = [whole()] if of == "the whole" else each

    with pytest.raises(ImportRefusedError) as refused:
        importing.run(source, Appointment, now=NOW)

    told = {(one.column, one.problem) for one in refused.value.report.problems}
    since = f"{WEEKS[first].astimezone(a.zone):%Y-%m-%d %H:%M}"
    assert told == {("occurrence_at", f"the series was changed here from {since} on")}
    assert counts() == before
    left = importing.run(source, Appointment, now=NOW, on_error="skip")
    assert (left.created, counts()) == (0, before)


def test_up_to_the_change_it_is_known(centre: None) -> None:
    importing.run([whole()], Appointment, now=NOW)
    changed("following", place=2)
    again = importing.run([whole(series_ends_before=WEEKS[2])], Appointment, now=NOW)
    assert (again.unchanged, again.created) == (2, 0)


def test_a_series_of_another_student_by_the_same_rule_goes_in(centre: None) -> None:
    importing.run([whole()], Appointment, now=NOW)
    changed("all", hours=5)
    other = [whole(0, student_first_name="Teo")]
    assert importing.run(other, Appointment, now=NOW).created == 4


def test_every_conflict_is_told_and_nothing_is_written(centre: None) -> None:
    importing.run([session(7 * 24), session(3 * 7 * 24)], Appointment, now=NOW)
    before = counts()
    rows = [whole(0.5, student_first_name="Teo"), session(30, student_first_name="Teo")]
    with pytest.raises(ImportRefusedError) as refused:
        importing.run(rows, Appointment, now=NOW)
    told = [(each.row, each.value) for each in refused.value.report.problems]
    assert told == [(1, "2031-04-14 09:30"), (1, "2031-04-28 09:30")]
    assert counts() == before


def test_a_series_that_is_left_out_keeps_nobody_out(centre: None) -> None:
    importing.run([session(2 * 7 * 24)], Appointment, now=NOW)
    rows = [whole(student_first_name="Teo"), session(0.5, student_first_name="Luz"), session(7 * 24 + 0.5)]
    report = importing.run(rows, Appointment, now=NOW, on_error="skip")
    assert (report.created, report.skipped) == (2, 1)
    assert AppointmentSeries.select().count() == 0


def test_a_session_of_a_series_is_no_other_row_of_the_source(centre: None) -> None:
    told = problems([session(7 * 24), whole()])
    assert [(row, problem) for row, _, problem in told if "same" in problem] == [(2, "is the same as row 1")]


def test_what_is_wrong_of_all_of_it_is_told_once(centre: None) -> None:
    told = problems([whole(professional="nobody@example.org")])
    assert [(row, column) for row, column, _ in told] == [(1, "professional")]


@pytest.mark.parametrize(
    ("changes", "column", "words"),
    [
        ({"series_rule": "FREQ=WEEKLY;BYDAY=TU;COUNT=2"}, "series_rule", "is no occurrence"),
        ({"series_rule": "FREQ=DAILY;UNTIL=20401231T000000Z"}, "series_rule", "1 to 520"),
        ({"occurrence_at": START}, "occurrence_at", "the row is a whole series"),
        ({"group_session_at": START}, "group_session_at", "the row is a whole series"),
        ({"external_id": "7"}, "external_id", "the row is a whole series"),
        ({"scheduled_at": NOW - timedelta(days=7), "state": "executed"}, "state", "the row is a whole series"),
        ({"series_ends_before": START}, "series_ends_before", "nothing is left"),
        ({"series_time_zone": "Mars/Olympus"}, "series_time_zone", ""),
    ],
)
def test_what_no_series_can_have_is_told(centre: None, changes: dict[str, Any], column: str, words: str) -> None:
    told = problems([session(-3), whole() | changes])
    assert {row for row, *_ in told} == {2}
    assert [problem for _, at, problem in told if at == column and words in problem] != []


def test_a_series_is_of_one_batch_so_that_what_is_interrupted_goes_on_behind_it(centre: None) -> None:
    def stop(what: str, done: int, _: int | None) -> None:
        if what == "write":
            raise KeyboardInterrupt(done)

    rows = [session(-3), whole(), session(3)]
    with pytest.raises(KeyboardInterrupt, match="5"):
        importing.run(rows, Appointment, now=NOW, batch_rows=2, progress=stop)
    assert len(starts()) == 5
    report = importing.run(rows, Appointment, now=NOW, batch_rows=2, resume=True)
    assert (report.resumed_after, report.created) == (2, 1)
    assert str(report).endswith("1 created, 0 updated, 0 unchanged; 2 rows were there from the run before")
    assert len(starts()) == 6


# -- as the rows themselves say ---------------------------------------------------------------------------------------

LENGTH, AFTER = 60, 15  # the buffer is that of the world's professionals
WEEKLY = "FREQ=WEEKLY;COUNT=3"
ROWS = st.lists(
    st.tuples(
        st.sampled_from([0, 0, 30, 60, 75, 90]),  # minutes after START
        st.integers(0, 3),  # weeks after it
        st.sampled_from([None, None, WEEKLY, "FREQ=WEEKLY;INTERVAL=2;COUNT=2", "FREQ=DAILY;COUNT=9"]),
    ),
    min_size=2,
    max_size=6,
    unique=True,
)
STEPS = {WEEKLY: (7, 3), "FREQ=WEEKLY;INTERVAL=2;COUNT=2": (14, 2), "FREQ=DAILY;COUNT=9": (1, 9)}


def moments(minutes: int, week: int, rule: str | None) -> list[datetime]:
    """Of each session of a row, by counting."""
    first = START + timedelta(minutes=minutes, weeks=week)
    days, count = (0, 1) if rule is None else STEPS[rule]
    return [first + timedelta(days=days * number) for number in range(count)]


def going_in(rows: list[Any]) -> list[int]:
    """The rows that go in: by their first session, each whose sessions all have their time to themselves."""
    taken: set[datetime] = set()
    chosen = []
    for number in sorted(range(len(rows)), key=lambda place: (moments(*rows[place])[0], place)):
        begins = moments(*rows[number])
        minutes = {each + timedelta(minutes=minute) for each in begins for minute in range(LENGTH + AFTER)}
        if not minutes & taken:
            taken |= minutes
            chosen.append(number)
    return sorted(chosen)


# What a series holds later is still there after another one that began before it is met.
@example(rows=[(0, 0, WEEKLY), (0, 1, None), (75, 0, WEEKLY), (30, 1, None)], batch=1)
@pytest.mark.slow
@given(rows=ROWS, batch=st.integers(1, 4))
# Not made smaller when it fails: that takes minutes.
@examples(
    12,
    50,
    phases=[Phase.explicit, Phase.reuse, Phase.generate],
)
def test_whole_series_and_single_rows_that_overlap_are_left_out_as_a_loop_says(
    db: Database, rows: list[Any], batch: int
) -> None:
    with db.tenant(make_organization(db, time_zone="America/Argentina/Buenos_Aires")):
        make_centre()
        for number in range(len(rows)):
            Student.create(first_name=f"N{number}", last_name="Sosa", primary_contact=User.get())
        source = [
            session(minutes / 60 + week * 7 * 24, student_first_name=f"N{number}", series_rule=rule)
            for number, (minutes, week, rule) in enumerate(rows)
        ]
        chosen = going_in(rows)
        left_out = {number + 1 for number in range(len(rows))} - {number + 1 for number in chosen}
        assert {row for row, *_ in problems(source)} == left_out
        importing.run(source, Appointment, now=NOW, on_error="skip", batch_rows=batch)
        assert starts() == sorted(moment for number in chosen for moment in moments(*rows[number]))
        assert AppointmentSeries.select().count() == sum(rows[number][2] is not None for number in chosen)


# -- out and in again -------------------------------------------------------------------------------------------------


def kept() -> set[tuple[Any, ...]]:
    """Every series with its sessions and with what it follows, without ids."""
    return {
        (*named(each), each.ends_before, each.follows and (*named(each.follows), each.follows.ends_before), sessions)
        for each in AppointmentSeries.select()
        if (sessions := tuple(session_of(one) for one in each.appointments.order_by(Appointment.occurrence_at)))
    }


def named(series: Any) -> tuple[Any, ...]:
    return series.rule, series.starts_at, series.time_zone


def session_of(one: Any) -> tuple[Any, ...]:
    return one.scheduled_at, one.occurrence_at, one.student.first_name, one.state


CHANGES = st.lists(
    st.tuples(st.sampled_from(["move", "split", "move_all", "cancel"]), st.integers(0, 4), st.integers(1, 5)),
    max_size=4,
)


@pytest.mark.slow
@given(
    count=st.integers(2, 6),
    frequency=st.sampled_from(["weekly", "monthly"]),
    changes=CHANGES,
    batch=st.sampled_from([1, 2, 5000]),
)
@examples(8, 30, suppress_health_check=[HealthCheck.function_scoped_fixture])
def test_whatever_became_of_a_series_is_exported_and_imported_to_the_same(
    db: Database, tmp_path: Path, count: int, frequency: str, changes: list[Any], batch: int
) -> None:
    aside: dict[str, Any] = {"override_schedule": True, "override_window": True}
    with db.tenant(make_organization(db)):
        make_centre()
        begins = (datetime.now(UTC) + timedelta(days=7)).replace(hour=15, minute=0, second=0, microsecond=0)
        who = {"professional": Professional.get(), "client": User.get(), "confirm": True}
        other = Student.create(first_name="Sol", last_name="Sosa", admission_state="enrolled")
        for student, hour in ((Student.get(first_name="Luz"), 0), (other, 6)):
            wanted = {"scheduled_at": begins + timedelta(hours=hour), "count": count, "frequency": frequency}
            booked = scheduling.book_series(student=student, **wanted, **who, **aside).booked
            for what, place, hours in changes:
                appointment = Appointment.get_by_id(booked[place % count].id)
                moved = appointment.scheduled_at + timedelta(minutes=hours)
                if appointment.state == "cancelled":
                    continue
                if what == "cancel":
                    appointment.cancel(reason="ill")
                elif what == "move":
                    scheduling.reschedule(appointment, moved, **aside)
                else:
                    which = "all" if what == "move_all" else "following"
                    scheduling.reschedule_series(appointment, moved, which=which, **aside)
        for kind in KINDS:
            exporting.export(kind, tmp_path / f"{kind}.jsonl")
        before = kept()
    with db.tenant(make_organization(db)):
        for kind in KINDS:
            assert importing.run(tmp_path / f"{kind}.jsonl", kind, batch_rows=batch).is_clean
        assert kept() == before
        assert importing.run(tmp_path / "appointments.jsonl", "appointments").unchanged == 2 * count

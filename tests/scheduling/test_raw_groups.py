"""The database's own rules for groups: raw SQL that breaks them is refused, whichever role sends it."""

from datetime import timedelta

import pytest

from rayces_core import (
    Appointment,
    CheckFailedError,
    ConstraintError,
    DuplicateError,
    ReferenceNotFoundError,
    SlotTakenError,
    StillReferencedError,
)
from tests.scheduling.test_groups import gather, join
from tests.scheduling.test_raw_bookings import as_role
from tests.scheduling.worlds import at
from tests.walking import walked

SEAT = """
INSERT INTO appointments (organization_id, professional_id, student_id, client_id, scheduled_at, duration_minutes,
                          buffer_minutes, state, pre_confirmed_at, expires_at, group_session_id, seat, seats)
SELECT organization_id, professional_id, %(student)s, %(client)s, scheduled_at {}, duration_minutes, buffer_minutes,
       'pre_confirmed', now(), now(), id, %(seat)s, %(seats)s
  FROM group_sessions WHERE organization_id = %(organization)s AND id = %(group)s
RETURNING 1
"""
OF_GROUP = "UPDATE group_sessions SET {} WHERE organization_id = %(organization)s AND id = %(group)s"
OF_SEAT = "UPDATE appointments SET {} WHERE organization_id = %(organization)s AND group_session_id = %(group)s"


def values(centre, group, **more):
    people = {"student": centre.student.id, "client": centre.client.id}
    later = group.scheduled_at + timedelta(hours=4)
    given = {"organization": centre.organization.id, "group": group.id, "seat": 2, "seats": 2, "later": later}
    return people | given | more


@pytest.fixture(params=["app", "admin"])
def role(request):
    return request.param


def refused(centre, role, error, sql, given):
    with centre.untouched():
        with as_role(centre, role), pytest.raises(error) as caught:
            centre.db.execute_sql(sql, given)
    return caught.value


def test_a_seat_by_raw_sql_is_one_of_the_groups(centre, role):
    group = gather(centre)
    join(group)

    refused(centre, role, DuplicateError, SEAT.format(""), values(centre, group, seat=1))
    refused(centre, role, CheckFailedError, SEAT.format(""), values(centre, group, seat=3))
    refused(centre, role, ReferenceNotFoundError, SEAT.format(""), values(centre, group, seat=3, seats=3))
    later = SEAT.format("+ interval '15 minutes'")
    assert type(refused(centre, role, ConstraintError, later, values(centre, group))) in (
        ReferenceNotFoundError,
        SlotTakenError,
    )
    with as_role(centre, role):
        centre.db.execute_sql(SEAT.format(""), values(centre, group))
    assert Appointment.select().where(Appointment.group_session == group.id).count() == 2


def test_a_student_has_one_seat_by_raw_sql_too(centre, role):
    group = gather(centre, capacity=3)
    mine = join(group, {"student": centre.student, "client": centre.client})

    again = values(centre, group, seats=3)
    error = refused(centre, role, DuplicateError, SEAT.format(""), again)
    assert error.constraint == "appointments_organization_id_group_session_id_student_id_key"
    mine.cancel(reason="ill", now=at(9))
    with as_role(centre, role):
        centre.db.execute_sql(SEAT.format(""), again)


def test_a_seat_of_a_cancelled_group_is_refused(centre, role):
    group = gather(centre)
    group.cancel(reason="ill", now=at(9))

    refused(centre, role, ReferenceNotFoundError, SEAT.format(""), values(centre, group))


@pytest.mark.slow
@walked(
    "change",
    [
        "capacity = 1, open_seats = 1",
        "scheduled_at = %(later)s",
        "duration_minutes = 90",
        "buffer_minutes = 10",
        "state = 'cancelled', open_seats = 0, cancelled_at = now(), cancellation_reason = 'ill'",
    ],
    anew="centre",
)
def test_a_group_does_not_change_without_those_in_it(centre, role, change):
    group = gather(centre)
    join(group)

    refused(centre, role, StillReferencedError, OF_GROUP.format(change), values(centre, group))


@walked("change", ["capacity = 1", "open_seats = 5", "capacity = 0, open_seats = 0"], anew="centre")
def test_the_seats_of_a_group_cannot_lie(centre, role, change):
    refused(centre, role, CheckFailedError, OF_GROUP.format(change), values(centre, gather(centre)))


@pytest.mark.slow
@walked(
    "change",
    [
        "scheduled_at = %(later)s",
        "duration_minutes = 90",
        "seat = NULL, seats = NULL",
        "seats = 3",
        "seat = 3",
        "seat = 0",
        "state = 'cancelled', cancelled_at = now(), cancellation_reason = 'ill'",
    ],
    anew="centre",
)
def test_a_seat_does_not_change_without_its_group(centre, role, change):
    group = gather(centre)
    join(group)

    refused(centre, role, ConstraintError, OF_SEAT.format(change), values(centre, group))


def test_a_booking_over_somebody_who_attends_is_refused(centre, role):
    from tests.scheduling.test_raw_bookings import TAKE
    from tests.scheduling.test_raw_bookings import values as booking

    join(gather(centre))

    error = refused(centre, role, SlotTakenError, TAKE, booking(centre, at=at(10.5)))

    assert error.constraint == "appointments_no_overlap"


def test_two_groups_at_one_time_are_refused(centre, role):
    group, other = gather(centre), gather(centre, at(12))
    earlier = other.scheduled_at - timedelta(minutes=90)

    move = OF_GROUP.format("scheduled_at = %(earlier)s")
    error = refused(centre, role, SlotTakenError, move, values(centre, other, earlier=earlier))

    assert (error.constraint, error.fields) == ("group_sessions_no_overlap", ("professional_id", "scheduled_at"))
    assert other.scheduled_at - group.scheduled_at == timedelta(hours=2)

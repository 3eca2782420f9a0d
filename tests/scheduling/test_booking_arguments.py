"""Arguments of booking: what is malformed is refused before all else, and named."""

import pytest

from rayces_core import Appointment, InvalidDataError, NaiveDatetimeError, Organization, User, scheduling
from rayces_core.models import GroupSession
from tests.factory import make_student
from tests.scheduling.oracle import utc
from tests.scheduling.worlds import DAY, NOW, at
from tests.walking import walked

MALFORMED = {
    "scheduled_at": [None, "2031-03-03T10:00Z", 5, at(10).replace(year=9999), at(10).replace(year=1)],
    "duration_minutes": [0, 14, 481, 60.0, "60", True, -60],
    "student": [None, True, "7", 1.0, Organization(), make_student],
    "professional": [None, True, "7", 1.0],
    "client": [None, False, "7", 1.0],
    "by": [7, "staff", True],
    "notes": [5, ["brings it"], "a\0b", "\ud800"],
    "now": ["today", 5],
}


@walked("field, value", [(field, value) for field, values in MALFORMED.items() for value in values])
def test_malformed_arguments_are_named(centre, field, value):
    error = centre.refused(InvalidDataError, **{field: value})

    assert error.field.lower().endswith(field)


@walked("moment", [utc(9999, 12, 31, 23, 59), utc(9999, 1, 1), utc(1, 1, 1)])
@walked("field", ["scheduled_at", "now"])
def test_moments_at_the_ends_of_the_calendar_are_refused(centre, field, moment):
    assert centre.refused(InvalidDataError, **{field: moment}, override_schedule=True).field == field


@walked("field", ["scheduled_at", "now"])
def test_a_moment_needs_a_time_zone(centre, field):
    assert centre.refused(NaiveDatetimeError, **{field: DAY.replace(tzinfo=None)}).field == field


@walked("who", ["student", "client", "by"])
def test_people_who_are_not_saved_are_refused(centre, who):
    unsaved = type(centre.student)() if who == "student" else type(centre.client)()

    assert centre.refused(InvalidDataError, **{who: unsaved}).field == who


def test_an_id_that_was_assigned_makes_nobody_a_user(centre):
    centre.refused(InvalidDataError, by=User(id=centre.staff.id, role=3))


@walked("deed", ["reschedule", "reschedule_series", "cancel_series", "reschedule_group", "cancel_group_session"])
def test_what_is_changed_is_a_saved_row_of_its_kind(centre, deed):
    booked = centre.book()
    field, unsaved = ("group", GroupSession()) if "group" in deed else ("appointment", Appointment())
    place = (at(15),) if deed.startswith("reschedule") else ()
    said = {"now": NOW} | ({} if place else {"reason": "ill"})
    for wrong in (None, booked.id, "7", centre.student, unsaved):
        with centre.untouched(), pytest.raises(InvalidDataError) as error:
            getattr(scheduling, deed)(wrong, *place, **said)
        assert error.value.field == field
    booked.cancel(reason="the next case")

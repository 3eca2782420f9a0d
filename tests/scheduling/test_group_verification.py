"""What no constraint of groups can see is found, and told to whom it concerns."""

import pytest

from rayces_core import Appointment
from rayces_core.scheduling import reschedule, verify_groups
from tests.factory import make_resource
from tests.scheduling.test_groups import gather, join
from tests.scheduling.test_raw_bookings import TAKE, as_role
from tests.scheduling.test_raw_bookings import values as booking
from tests.scheduling.worlds import NOW, at, make_working


def found(centre):
    findings = [each for each in verify_groups() if each.organization_id == centre.organization.id]
    return [(each.kind, each.group_session_id, each.appointment_id) for each in findings]


def test_groups_as_this_library_makes_them_are_as_they_should_be(centre):
    group = gather(centre, room=make_resource())
    join(group)
    gather(centre, at(12)).cancel(reason="ill", now=NOW)
    centre.book(at(9))
    centre.book_for_another(at(11))
    assert verify_groups() == []


def test_an_appointment_by_raw_sql_over_a_group_that_nobody_attends_is_found_until_it_is_moved(centre):
    group = gather(centre)
    centre.db.execute_sql(TAKE, booking(centre, at=at(10.5)))
    over = Appointment.get(Appointment.scheduled_at == at(10.5))
    assert found(centre) == [("over_group", group.id, over.id)]
    assert {each.organization_id for each in verify_groups()} == {centre.organization.id}
    with as_role(centre, "admin"):
        assert found(centre) == [("over_group", group.id, over.id)]
    reschedule(over, at(12), now=NOW)
    assert verify_groups() == []


@pytest.mark.parametrize("kind", ["room", "device"])
def test_an_appointment_by_raw_sql_in_the_groups_room_is_found(centre, kind):
    thing = make_resource(kind=kind)
    group = gather(centre, **{kind: thing})
    other = centre.book_for_another(at(12), professional=make_working())
    move = f"UPDATE appointments SET scheduled_at = %s, {kind}_id = %s WHERE id = %s"
    centre.db.execute_sql(move, (at(10), thing.id, other.id))
    assert found(centre) == [("over_group", group.id, other.id)]


def test_somebody_who_attends_without_the_groups_room_is_found(centre):
    room = make_resource()
    group = gather(centre, room=room)
    seat = join(group)
    centre.db.execute_sql("UPDATE appointments SET room_id = NULL WHERE id = %s", (seat.id,))
    (finding,) = verify_groups()
    assert (finding.kind, finding.appointment_id, finding.expected, finding.found) == (
        "beside",
        seat.id,
        str(room.id),
        "",
    )

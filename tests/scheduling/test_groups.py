"""Group sessions: made, attended, moved and cancelled, and what each leaves in the journal."""

from datetime import timedelta

import pytest

from rayces_core import (
    Appointment,
    GroupFullError,
    GroupSession,
    IdempotencyConflictError,
    InvalidTransitionError,
    NotPermittedError,
    OutsideScheduleError,
    ReferenceNotFoundError,
    Role,
    SlotTakenError,
    StudentBusyError,
    TooSoonError,
    TransitionRefusedError,
    credits,
)
from rayces_core.scheduling import (
    book_group,
    cancel_group_session,
    create_group_session,
    free_slots,
    group_slots,
    reschedule,
    reschedule_group,
)
from tests.factory import make_student, make_user
from tests.scheduling.worlds import HOUR, NOW, Centre, another_family, at, make_working, noted
from tests.walking import walked


def gather(centre: Centre, scheduled_at=None, **changes):
    usual = {"professional": centre.professional, "capacity": 2, "now": NOW}
    return create_group_session(**(usual | {"scheduled_at": scheduled_at or at(10)} | changes))


def join(group, family=None, **changes):
    return book_group(group, **({"now": NOW} | (family or another_family()) | changes))


def starts(centre, day=0):
    return [slot.start for slot in free_slots(centre.professional, at(9, day), at(17, day), now=NOW)]


# -- making ---------------------------------------------------------------------------------------------------------


@pytest.mark.slow
def test_a_group_that_nobody_attends_has_its_professionals_time(centre):
    group = gather(centre, name="Social skills")

    assert (group.state, group.open_seats, group.occupied_until) == ("open", 2, at(11))
    assert at(10) not in starts(centre)
    for start in (at(10), at(9.5), at(10.5)):
        centre.refused(SlotTakenError, scheduled_at=start)
    assert centre.book(at(9)).state == centre.book_for_another(at(11)).state == "pre_confirmed"


def test_a_group_is_not_made_over_a_booking_or_another_group(centre):
    centre.book(at(9))
    gather(centre, at(11))

    for start in (at(9.5), at(11), at(10.5)):
        with pytest.raises(SlotTakenError):
            gather(centre, start)
    assert GroupSession.select().count() == 1


def test_a_draft_does_not_come_to_stand_over_a_group(centre):
    draft = centre.book(at(10), draft=True)
    gather(centre)

    with pytest.raises(SlotTakenError):
        draft.pre_confirm(now=NOW)


def test_a_booking_is_not_moved_over_a_group(centre):
    booked = centre.book(at(14))
    gather(centre)

    with pytest.raises(SlotTakenError):
        reschedule(booked, at(10.5), now=NOW)


def test_it_keeps_to_the_rules_of_the_calendar(centre):
    with pytest.raises(OutsideScheduleError):
        gather(centre, at(20))
    assert gather(centre, at(20), override_schedule=True).scheduled_at == at(20)
    with pytest.raises(TooSoonError):
        gather(centre, at(10), now=at(11))


def test_an_overdue_hold_is_in_no_groups_way(centre):
    held = centre.book(at(10))

    gather(centre, now=at(9))

    assert Appointment.get_by_id(held.id).state == "cancelled"


def test_staff_and_the_own_professional_make_groups(centre):
    other = make_user(role=Role.PROFESSIONAL)
    assert gather(centre, at(9), by=centre.staff).history().get().actor == centre.staff
    assert gather(centre, at(11), by=centre.professional.user).history().get().event == "create"
    for stranger in (centre.client, other):
        with pytest.raises(NotPermittedError):
            gather(centre, at(14), by=stranger)


@walked(
    "asked",
    [
        {"override_schedule": True},
        {"override_blocked": True},
        {"override_window": True},
        {"override_notice": True},
        {"room_with": set()},
        {"second_professional": make_working},
    ],
    anew="centre",
)
def test_a_professional_sets_no_rule_aside_and_says_nothing_of_rooms_and_others(centre, asked):
    asked = {name: value() if callable(value) else value for name, value in asked.items()}
    own, group = centre.professional.user, gather(centre, at(11))

    with pytest.raises(NotPermittedError, match=next(iter(asked))):
        gather(centre, at(14), by=own, **asked)
    with pytest.raises(NotPermittedError, match=next(iter(asked))):
        reschedule_group(group, at(14), by=own, now=NOW, **asked)
    assert reschedule_group(group, at(14), by=own, now=NOW).scheduled_at == at(14)


def test_a_professional_moves_no_group_over_what_somebody_else_has_to_do(centre):
    family = another_family()
    group = gather(centre)
    join(group, family)
    centre.book(at(14), professional=make_working(), **family)

    with pytest.raises(NotPermittedError, match="allow_overlap"):
        reschedule_group(group, at(14), by=centre.professional.user, now=NOW, allow_overlap=True)
    moved = reschedule_group(group, at(14), by=centre.staff, now=NOW, allow_overlap=True)
    assert moved.scheduled_at == at(14)


# -- attending ------------------------------------------------------------------------------------------------------


def test_seats_are_appointments_at_the_groups_time(centre):
    group = gather(centre)

    first, second = join(group), join(group, confirm=True)

    assert [(a.seat, a.seats, a.group_session_id, a.scheduled_at) for a in (first, second)] == [
        (1, 2, group.id, at(10)),
        (2, 2, group.id, at(10)),
    ]
    assert (first.state, second.state) == ("pre_confirmed", "confirmed")
    assert noted(first) == [("pre_confirm", "draft", "pre_confirmed")]
    assert group.attending() == 2


def test_a_full_group_takes_nobody_and_is_not_listed(centre):
    group = gather(centre, capacity=1)
    join(group)

    with pytest.raises(GroupFullError) as full:
        join(group)

    assert (full.value.group_session_id, full.value.capacity, full.value.scheduled_at) == (group.id, 1, at(10))
    assert group_slots(at(0), at(24), now=NOW) == []
    assert [slot.free for slot in group_slots(at(0), at(24), full=True, now=NOW)] == [0]


@pytest.mark.slow
@walked("leave", ["cancel", "expire", "discharge"], anew="centre")
def test_who_leaves_leaves_a_seat(centre, leave):
    group = gather(centre, capacity=1)
    family = another_family()
    gone = join(group, family)
    if leave == "discharge":
        family["student"].discharge(now=NOW)
    else:
        getattr(gone, leave)(reason="ill", now=at(9))

    assert Appointment.get_by_id(gone.id).seat is None
    assert join(group).seat == 1


def test_who_did_not_come_keeps_the_seat(centre):
    group = gather(centre, capacity=1)
    join(group, confirm=True).mark_no_show(now=at(12))

    assert group.attending() == 1


def test_an_overdue_hold_keeps_nobody_out(centre):
    group = gather(centre, capacity=1)
    held = join(group)
    later = at(9)

    assert [slot.free for slot in group_slots(at(0), at(24), now=later)] == [1]
    assert join(group, now=later).seat == 1
    assert noted(held)[-1][0] == "expire"


def test_a_student_attends_once_and_a_client_brings_several(centre):
    group = gather(centre, capacity=3)
    family = another_family()
    join(group, family)

    with pytest.raises(StudentBusyError):
        join(group, family)
    sibling = make_student(primary_contact=family["client"], admission_state="enrolled")
    assert join(group, family | {"student": sibling}, by=family["client"]).seat == 2


def test_a_student_has_no_second_seat_whatever_staff_allow(centre):
    group, family = gather(centre, capacity=3), another_family()
    centre.book(at(10), professional=make_working(), **family)
    may = {"allow_overlap": True, "by": centre.staff}
    first = join(group, family, **may)

    with pytest.raises(StudentBusyError, match="nobody has two") as busy:
        join(group, family, **may)
    assert (busy.value.conflicting_id, busy.value.scheduled_at) == (first.id, at(10))
    later = NOW + 30 * HOUR  # the first hold is overdue by then
    assert join(group, family, now=later, **may).seat == first.seat
    assert group.attending() == 1


def test_who_attends_is_nowhere_else(centre):
    elsewhere = another_family()
    centre.book(at(14), **elsewhere)
    group = gather(centre, at(10))
    join(group, elsewhere)

    with pytest.raises(StudentBusyError):
        centre.book(at(10), professional=make_working(), **elsewhere)


def test_a_family_books_where_the_organization_allows_it(centre):
    group = gather(centre)
    family = another_family()
    assert len(group_slots(at(0), at(24), by=family["client"], now=NOW)) == 1
    centre.settings(families_book_groups=False)

    assert group_slots(at(0), at(24), by=family["client"], now=NOW) == []
    for unbound in (None, centre.staff):
        assert len(group_slots(at(0), at(24), by=unbound, now=NOW)) == 1
    with pytest.raises(NotPermittedError):
        join(group, family, by=family["client"])
    assert join(group, family, by=centre.staff).seat == 1


def test_each_pays_for_their_own(centre):
    group = gather(centre)
    family = another_family()
    credits.purchase(family["client"], 1, payment_method="cash", idempotency_key="k")

    paid = join(group, family, uses_credit=True, confirm=True)
    assert credits.balance(family["client"]) == 0
    cancel_group_session(group, by=centre.staff, reason="ill", now=at(9))

    assert credits.balance(family["client"]) == 1
    assert Appointment.get_by_id(paid.id).state == "cancelled"


def test_the_same_request_again_is_the_same_seat(centre):
    group = gather(centre)
    family = another_family()
    first = join(group, family, idempotency_key="k")
    reschedule_group(group, at(14), now=NOW)

    again = join(group, family, idempotency_key="k")

    assert (again.id, again.was_repeated) == (first.id, True)
    with pytest.raises(IdempotencyConflictError):
        join(group, idempotency_key="k")


def test_a_stale_object_is_no_obstacle(centre):
    group = gather(centre)
    stale = GroupSession.get_by_id(group.id)
    reschedule_group(group, at(14), now=NOW)

    assert join(stale).scheduled_at == at(14)
    assert join(group.id).seat == 2
    with pytest.raises(ReferenceNotFoundError):
        join(10**12)


def test_a_seat_is_two_messages(centre):
    group = gather(centre)
    family = another_family()
    join(group)
    sent = []
    centre.db.engine.query_hooks.append(lambda event: sent.append(event.sql))
    try:
        join(group, family)
    finally:
        centre.db.engine.query_hooks.pop()

    assert len(sent) == 2


# -- moving ---------------------------------------------------------------------------------------------------------


def test_a_group_moves_with_everyone_in_it(centre):
    group = gather(centre)
    seats = [join(group), join(group, confirm=True)]
    gone = join(gather(centre, at(12)))
    gone.cancel(reason="ill", now=NOW)

    reschedule_group(group, at(14), duration_minutes=90, by=centre.staff, reason="room", now=NOW)

    moved = [Appointment.get_by_id(seat.id) for seat in seats]
    assert [(a.scheduled_at, a.duration_minutes, a.state) for a in moved] == [
        (at(14), 90, "pre_confirmed"),
        (at(14), 90, "confirmed"),
    ]
    assert [row.reason for row in group.history()][-1] == f"from {at(10).isoformat()}: room"
    assert [noted(seat)[-1][0] for seat in seats] == ["reschedule", "reschedule"]
    assert Appointment.get_by_id(gone.id).scheduled_at == at(12)
    free = starts(centre)
    assert at(10) in free
    assert at(14) not in free


def test_a_group_may_overlap_itself_and_what_was_cancelled_stays(centre):
    group = gather(centre)
    gone = join(group)
    gone.cancel(reason="ill", now=NOW)
    join(group)

    reschedule_group(group, at(10.5), now=NOW)

    assert Appointment.get_by_id(gone.id).scheduled_at == at(10)


def test_a_group_is_not_moved_where_somebody_is_elsewhere(centre):
    family = another_family()
    group = gather(centre)
    join(group, family)
    centre.book(at(14), professional=make_working(), **family)

    with pytest.raises(StudentBusyError):
        reschedule_group(group, at(14), now=NOW)
    assert reschedule_group(group, at(14), allow_overlap=True, now=NOW).scheduled_at == at(14)


def test_a_group_is_not_moved_over_a_booking(centre):
    centre.book(at(14))
    group = gather(centre)
    join(group)

    with pytest.raises(SlotTakenError):
        reschedule_group(group, at(14), now=NOW)


def test_nobody_leaves_a_group_by_being_moved(centre):
    seat = join(gather(centre))

    with pytest.raises(TransitionRefusedError) as refused:
        reschedule(seat, at(14), now=NOW)

    assert refused.value.reason == "in_group"
    assert free_slots(centre.professional, at(9), at(17), moving=seat, now=NOW) == []


def test_those_in_it_are_told_of_the_move(centre, moves_told):
    group = gather(centre)
    seats = [join(group), join(group)]

    reschedule_group(group, at(14), now=NOW)

    assert [change.subject.id for change in moves_told] == [seat.id for seat in seats]


# -- cancelling and capacity ----------------------------------------------------------------------------------------


def test_a_group_is_cancelled_with_everyone_in_it(centre):
    group = gather(centre)
    seats = [join(group), join(group, confirm=True)]

    cancel_group_session(group, by=centre.staff, reason="ill", now=NOW)

    assert (group.state, group.open_seats) == ("cancelled", 0)
    assert [Appointment.get_by_id(seat.id).state for seat in seats] == ["cancelled"] * 2
    assert [noted(seat)[-1][0] for seat in seats] == ["cancel", "cancel"]
    assert at(10) in starts(centre)
    with pytest.raises(InvalidTransitionError):
        join(group)


def test_a_group_with_seats_taken_is_not_cancelled_by_itself(centre):
    group = gather(centre)
    join(group)

    with pytest.raises(TransitionRefusedError) as refused:
        group.cancel(by=centre.staff, now=NOW)

    assert refused.value.reason == "attended"


def test_a_group_that_has_begun_stays(centre):
    group = gather(centre)
    join(group)
    for deed in (
        lambda: cancel_group_session(group, by=centre.staff, now=at(10) + HOUR),
        lambda: reschedule_group(group, at(14), now=at(10) + HOUR),
        lambda: group.change_capacity(capacity=5, now=at(10) + HOUR),
    ):
        with pytest.raises(TransitionRefusedError) as refused:
            deed()
        assert refused.value.reason == "begun"
    assert Appointment.select().where(Appointment.state == "pre_confirmed").count() == 1


def test_a_refused_cancellation_cancels_nobody(centre):
    group = gather(centre)
    seat = join(group)

    with pytest.raises(NotPermittedError):
        cancel_group_session(group, by=centre.client, now=NOW)

    assert Appointment.get_by_id(seat.id).state == "pre_confirmed"


def test_the_capacity_is_never_less_than_who_attends(centre):
    group = gather(centre, capacity=3)
    first, _, third = join(group), join(group), join(group)
    with pytest.raises(GroupFullError):
        group.change_capacity(capacity=2, by=centre.staff, now=NOW)
    first.cancel(reason="ill", now=NOW)

    group.change_capacity(capacity=2, by=centre.staff, now=NOW)

    moved = Appointment.get_by_id(third.id)
    assert (moved.seat, moved.seats) == (1, 2)
    assert noted(group)[-1][0] == "change_capacity"
    assert [row.details for row in group.history()][-1] == {"capacity": 3}
    with pytest.raises(GroupFullError):
        join(group)
    group.change_capacity(capacity=3, now=NOW)
    assert join(group).seat == 3


def test_overdue_holds_keep_no_group_as_large_as_it_is_nor_from_being_cancelled(centre):
    group = gather(centre, capacity=3)
    held = [join(group), join(group)]
    firm = join(group)
    firm.confirm(now=NOW)
    later = NOW + 30 * HOUR

    group.change_capacity(capacity=1, by=centre.staff, now=later)
    assert [Appointment.get_by_id(each.id).state for each in held] == ["cancelled", "cancelled"]
    assert (Appointment.get_by_id(firm.id).seat, group.attending()) == (1, 1)
    assert noted(held[0])[-1] == ("expire", "pre_confirmed", "cancelled")

    left = gather(centre, at(14))
    join(left)
    left.cancel(by=centre.staff, now=later)
    assert (left.state, left.attending()) == ("cancelled", 0)


@pytest.mark.parametrize(
    "deed",
    [lambda group, **said: reschedule_group(group, at(14), **said), cancel_group_session],
    ids=["moved", "cancelled"],
)
def test_who_let_a_hold_pass_is_not_told_what_becomes_of_the_group(centre, told, deed):
    group = gather(centre, capacity=3)
    held, firm = join(group), join(group)
    firm.confirm(now=NOW)
    told.clear()

    deed(group, by=centre.staff, now=NOW + 30 * HOUR)

    assert noted(held)[-1] == ("expire", "pre_confirmed", "cancelled")
    assert Appointment.get_by_id(held.id).scheduled_at == at(10)
    heard = {change.subject.id: change.event for change in told}
    assert heard[held.id] == "expire"
    assert heard[firm.id] in ("reschedule", "cancel")


def test_groups_are_listed_as_they_can_be_booked(centre):
    centre.settings(booking_window_days=30, minimum_notice_minutes=60)
    near, far = gather(centre, at(10)), gather(centre, at(10, 60), override_window=True)
    gather(centre, at(12))

    listed = group_slots(at(0), at(0) + timedelta(days=90), professional=centre.professional, now=at(9.5))

    assert [slot.start for slot in listed] == [at(12)]
    for group in (near, far):
        family = another_family()
        with pytest.raises(Exception, match=r"start|bookings"):
            join(group, family, by=family["client"], now=at(9.5))
        assert join(group, family, by=centre.staff, now=at(9.5)).seat == 1

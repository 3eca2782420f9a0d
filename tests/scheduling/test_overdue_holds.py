"""An overdue hold takes no time, from the moment it is overdue and without a sweep; who meets one expires it."""

import pytest

from rayces_core import Appointment, Database, SlotTakenError
from rayces_core.scheduling import expire_overdue, free_slots, reschedule
from tests.scheduling import racing
from tests.scheduling.worlds import HOUR, INSTANT, NOW, another_family, at, make_working, noted, open_centre
from tests.sizes import quick_or_whole
from tests.walking import walked
from tests.wire import wire

LATER = NOW + 24 * HOUR + INSTANT


def test_an_overdue_hold_is_in_nobodys_way_before_any_sweep(centre):
    """f03_expired_hold_still_holds."""
    held = centre.book(at(10, 7))
    elsewhere = make_working()
    day = (at(9, 7), at(12, 7))

    assert at(10, 7) not in [slot.start for slot in free_slots(centre.professional, *day, now=held.expires_at)]
    assert at(10, 7) in [slot.start for slot in free_slots(centre.professional, *day, now=LATER)]
    other = centre.book(at(10, 7), professional=elsewhere, by=centre.client, now=LATER)
    assert noted(held) == [("pre_confirm", "draft", "pre_confirmed"), ("expire", "pre_confirmed", "cancelled")]
    other.cancel(reason="done")
    again = centre.book(at(10, 7), by=centre.client, now=LATER)
    assert (again.state, Appointment.get_by_id(held.id).cancellation_reason) == ("pre_confirmed", "expired")


def test_until_the_last_moment_a_hold_holds(centre):
    held = centre.book(at(10, 7))

    error = centre.refused(SlotTakenError, **another_family(), scheduled_at=at(10, 7), now=held.expires_at)

    assert error.conflicting_id == held.id


@pytest.mark.slow
@walked("how", ["book", "draft", "confirm", "reschedule", "pre_confirm"], anew="centre")
def test_whoever_takes_its_time_expires_it_in_the_same_unit_of_work(centre, told, how):
    held = centre.book(at(10, 7))
    draft, confirmed = centre.book_for_another(at(10, 9), draft=True), centre.book_for_another(at(10, 8), confirm=True)
    told.clear()
    family = another_family()

    def take():
        if how == "reschedule":
            return reschedule(confirmed, at(10, 7), now=LATER)
        if how == "pre_confirm":
            reschedule(draft, at(9, 9), now=LATER)
            centre.db.execute_sql("UPDATE appointments SET scheduled_at = %s WHERE id = %s", (at(10, 7), draft.id))
            told.clear()
            draft.pre_confirm(now=LATER)
            return Appointment.get_by_id(draft.id)
        return centre.book(at(10, 7), now=LATER, draft=how == "draft", confirm=how == "confirm", **family)

    with pytest.raises(RuntimeError), centre.db.atomic():
        take()
        assert Appointment.get_by_id(held.id).state == "cancelled"
        raise RuntimeError
    assert (Appointment.get_by_id(held.id).state, told) == ("pre_confirmed", [])
    draft.__data__.update(Appointment.get_by_id(draft.id).__data__)
    confirmed.__data__.update(Appointment.get_by_id(confirmed.id).__data__)

    taken = take()

    assert taken.scheduled_at == at(10, 7)
    row = Appointment.get_by_id(held.id)
    assert (row.state, row.cancellation_reason, row.cancelled_by_id) == ("cancelled", "expired", None)
    assert (noted(held)[-1], held.history()[-1].reason) == (("expire", "pre_confirmed", "cancelled"), "expired")
    assert (told[0].event, told[0].subject.id) == ("expire", held.id)
    assert {change.subject.id for change in told[1:]} <= {taken.id}
    assert expire_overdue(LATER) == 0


def test_what_belongs_to_expiring_runs_with_it_and_its_failure_undoes_both(centre):
    held, ran = centre.book(at(10, 7)), []

    @Appointment.lifecycle.within("expire")
    def effect(change):
        ran.append(change.subject.id)
        if len(ran) == 1:
            raise RuntimeError

    try:
        with centre.untouched(), pytest.raises(RuntimeError):
            centre.book_for_another(at(10, 7), now=LATER)
        assert centre.book_for_another(at(10, 7), now=LATER).state == "pre_confirmed"
    finally:
        Appointment.lifecycle.off(effect)
    assert ran == [held.id, held.id]


def test_holds_that_are_not_in_the_way_are_left_to_the_sweep(centre):
    near, far = centre.book(at(9, 7)), centre.book_for_another(at(11, 7))

    centre.book_for_another(at(10, 7), now=LATER)

    assert [Appointment.get_by_id(one.id).state for one in (near, far)] == ["pre_confirmed"] * 2
    assert expire_overdue(LATER) == 2


def test_a_refused_booking_expires_nothing(centre):
    centre.book(at(10, 7))
    busy = centre.book_for_another(at(11, 7), now=LATER)

    centre.refused(SlotTakenError, scheduled_at=at(10.5, 7), now=LATER, **another_family())
    assert busy.state == "pre_confirmed"


def test_scopes_of_what_holds_time_leave_it_out(centre):
    held, firm = centre.book(at(10, 7)), centre.book_for_another(at(11, 7), confirm=True)
    day = (at(0, 7), at(24, 7))

    assert set(Appointment.select().occupying(*day, now=held.expires_at)) == {held, firm}
    assert list(Appointment.select().occupying(*day, now=LATER)) == [firm]
    assert list(Appointment.upcoming(held.expires_at)) == [held, firm]
    assert list(Appointment.upcoming(LATER)) == [firm]


def test_a_hold_that_is_moved_gets_an_end_of_its_own(centre):
    """f13_hold_that_was_moved."""
    held = centre.book(at(12), now=at(9), by=centre.client)
    assert held.expires_at == at(12)

    reschedule(held, at(12, 20), by=centre.client, now=at(9.5))

    assert held.expires_at == at(9.5) + 24 * HOUR
    assert expire_overdue(at(12) + INSTANT) == 0


def test_the_message_of_an_overdue_hold_says_what_helps(centre):
    held = centre.book(at(10, 7))
    for deed in (lambda: held.confirm(now=LATER), lambda: reschedule(held, at(11, 7), now=LATER)):
        with pytest.raises(Exception, match="its time is free again; book it anew"):
            deed()
    assert centre.book(at(10, 7), now=LATER).state == "pre_confirmed"


@pytest.mark.slow
def test_only_who_meets_one_pays_for_it_with_more_messages(own_pool):
    with wire(own_pool.url) as proxy, Database.connect(proxy.url) as database, open_centre(database) as centre:
        centre.book(at(10, 7))
        family = another_family()
        proxy.sent.clear()
        centre.book(at(11, 7), now=LATER, **family)
        assert len(proxy.sent) == 2
        proxy.sent.clear()
        centre.book(at(10, 7), now=LATER, **family)
        assert len(proxy.sent) == 8  # BEGIN, locks, the expiry within a savepoint, the booking, COMMIT besides


@pytest.mark.slow
def test_of_many_who_meet_one_overdue_hold_one_gets_its_time(db):
    workers, rounds = 6, quick_or_whole(2, 20)
    with open_centre(db) as centre, racing.crew(db, workers) as crew:
        families = [another_family() for _ in range(workers)]
        for number in range(rounds):
            start = at(10, 7 + number)
            held = centre.book(start)
            wanted = {"professional": centre.professional.user_id, "now": LATER, "scheduled_at": start}
            deeds = [(racing.book, wanted | {who: row.id for who, row in one.items()}) for one in families[:-1]]
            deeds.append((racing.expire, {"now": LATER, "batch_size": 10}))

            outcomes = [outcome.value for outcome in crew.race(deeds)]

            won = [value for value in outcomes[:-1] if isinstance(value, int)]
            assert len(won) == 1, outcomes
            assert {type(value) for value in outcomes[:-1]} == {int, SlotTakenError}
            assert outcomes[-1] in (0, 1)
            assert noted(held)[1:] == [("expire", "pre_confirmed", "cancelled")]
            Appointment.get_by_id(won[0]).cancel(reason="the round is over")

"""What one family may take: starts on the organization's grid, and no more holds and sessions than its settings say."""

from functools import partial

import pytest

from rayces_core import ClientLimitError, InvalidDataError, StartOffGridError
from rayces_core.scheduling import expire_overdue, free_slots, reschedule
from tests.scheduling import racing
from tests.scheduling.oracle import hours, schedule_json
from tests.scheduling.worlds import ALWAYS, INSTANT, MINUTE, NOW, at, make_working, moving, open_centre
from tests.sizes import quick_or_whole
from tests.walking import walked


def by_family(centre, hour, day=0, **options):
    return centre.book(at(hour, day), by=centre.client, **options)


# -- starts -----------------------------------------------------------------------------------------------------------


@pytest.mark.slow
@walked("late", [INSTANT, 37.5 * 1_000_000 * INSTANT, MINUTE - INSTANT], anew="centre")
def test_a_session_begins_on_a_whole_minute(centre, late):
    """The second half of f14_one_guardian_takes_it_all: 10:00:37.5."""
    booked = centre.book(at(12))

    assert centre.refused(InvalidDataError, scheduled_at=at(10) + late, by=centre.staff).field == "scheduled_at"
    assert centre.refused(InvalidDataError, moving(booked), scheduled_at=at(10) + late).field == "scheduled_at"


@pytest.mark.slow
def test_families_are_bound_to_the_grid_and_staff_and_scripts_are_not(centre):
    centre.settings(start_every_minutes=30)

    error = centre.refused(StartOffGridError, scheduled_at=at(10) + 20 * MINUTE, by=centre.client)

    assert (error.every_minutes, error.nearest.start, error.scheduled_at) == (30, at(10), at(10) + 20 * MINUTE)
    held = by_family(centre, 10.5)
    centre.refused(StartOffGridError, moving(held, by=centre.client), scheduled_at=at(12.25))
    assert reschedule(held, at(12.25), by=centre.staff, now=NOW).scheduled_at == at(12.25)
    assert centre.book(at(14.25), by=centre.staff)
    assert centre.book(at(15.75))


def test_what_is_listed_lies_on_the_grid_of_the_local_clock_and_families_can_book_it(db):
    # Kathmandu is 5:45 ahead: on its clock the window opens at 09:22.
    schedule = schedule_json(hours((9 + 22 / 60, 13)))
    settings = {"start_every_minutes": 20}
    with open_centre(db, zone="Asia/Kathmandu", weekly_schedule=schedule, settings=settings) as centre:
        slots = free_slots(centre.professional, at(0), at(12), now=NOW)

        local = [slot.start.astimezone(centre.organization.zone).strftime("%H:%M") for slot in slots]
        assert local == ["09:40", "10:40", "11:40"]
        for slot in slots:
            assert centre.book(slot.start, by=centre.client).scheduled_at == slot.start


# -- limits -----------------------------------------------------------------------------------------------------------


def test_one_guardian_holds_as_many_slots_as_the_setting_says(centre):
    """f14_one_guardian_takes_it_all."""
    centre.settings(open_holds_per_client=2)
    first, _ = by_family(centre, 9), by_family(centre, 10)

    error = centre.refused(ClientLimitError, partial(by_family, centre, 11))
    assert (error.setting, error.limit, error.scheduled_at) == ("open_holds_per_client", 2, at(11))
    assert error.code == "client_limit"

    first.confirm(by=centre.client, now=NOW)
    by_family(centre, 11)
    centre.refused(ClientLimitError, partial(by_family, centre, 12))
    assert by_family(centre, 12, confirm=True).state == "confirmed"
    assert by_family(centre, 13, draft=True).state == "draft"
    assert centre.book(at(14), by=centre.staff)
    assert centre.book(at(15))
    assert centre.book_for_another(at(16))


def test_an_overdue_hold_counts_no_more(centre):
    centre.settings(open_holds_per_client=1)
    held = by_family(centre, 10, 7)

    centre.refused(ClientLimitError, partial(by_family, centre, 11, 7, now=held.expires_at))
    assert by_family(centre, 11, 7, now=held.expires_at + INSTANT)
    assert expire_overdue(held.expires_at + INSTANT) == 1


def test_sessions_ahead_are_limited_whatever_their_state(centre):
    centre.settings(future_sessions_per_client=2)
    first, second = by_family(centre, 9, confirm=True), by_family(centre, 10)

    assert centre.refused(ClientLimitError, partial(by_family, centre, 11)).setting == "future_sessions_per_client"
    assert centre.refused(ClientLimitError, partial(by_family, centre, 11, confirm=True)).limit == 2
    assert reschedule(second, at(12), by=centre.client, now=NOW).scheduled_at == at(12)
    second.cancel(by=centre.client, now=NOW)
    assert by_family(centre, 11)
    assert by_family(centre, 13, now=first.scheduled_at).state == "pre_confirmed"  # the first one has begun


def test_without_a_setting_there_is_no_limit(centre):
    for hour in range(9, 17):
        by_family(centre, hour)
    assert free_slots(centre.professional, at(9), at(17), now=NOW) == []


@pytest.mark.slow
@walked("setting", ["open_holds_per_client", "future_sessions_per_client", "start_every_minutes"])
@walked("value", [0, -1, True, "2", 10**6], anew="centre")
def test_a_limit_is_a_whole_number_above_zero(centre, setting, value):
    with pytest.raises(InvalidDataError):
        centre.settings(**{setting: value})
    centre.settings(**{setting: None})
    assert by_family(centre, 10 + 7 / 60)


@pytest.mark.slow
@walked("setting", ["open_holds_per_client", "future_sessions_per_client"])
def test_races_do_not_exceed_a_limit(db, setting):
    workers, rounds, limit = 6, quick_or_whole(2, 20), 2
    with open_centre(db, settings={setting: limit}, weekly_schedule=ALWAYS) as centre, racing.crew(db, workers) as crew:
        others = [make_working(weekly_schedule=ALWAYS) for _ in range(workers)]
        for number in range(rounds):
            deeds = [
                (
                    racing.book_by,
                    {
                        "by": centre.client.id,
                        "student": centre.student.id,
                        "client": centre.client.id,
                        "professional": one.user_id,
                        "scheduled_at": at(2 * place, number),
                        "now": NOW,
                    },
                )
                for place, one in enumerate(others)
            ]
            outcomes = [outcome.value for outcome in crew.race(deeds)]
            won = [value for value in outcomes if isinstance(value, int)]
            assert len(won) == limit, outcomes
            assert {type(value) for value in outcomes} == {int, ClientLimitError}
            for held in won:
                racing.fire(held, "cancel", reason="the round is over")

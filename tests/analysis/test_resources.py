"""Rooms, groups and the line: random ones against loops over the rows, and whose rows each of them counts."""

from collections import Counter, defaultdict
from datetime import UTC, date, datetime, timedelta
from statistics import median

import pytest
from hypothesis import example, given
from hypothesis import strategies as st

from rayces_core import Appointment, GroupSession, InvalidDataError, Resource, SlotRequest, analysis, clock
from tests.factory import (
    make_appointment,
    make_group,
    make_organization,
    make_professional,
    make_resource,
    make_slot_request,
    make_student,
)
from tests.sizes import examples

# Buenos Aires is at UTC-3: a centre's day begins and ends at three.
ZONE, AWAY = "America/Argentina/Buenos_Aires", timedelta(hours=3)
NOON = datetime(2031, 3, 3, 15, tzinfo=UTC)
HOUR, DAY = timedelta(hours=1), timedelta(days=1)
FIRST, LAST = date(2031, 3, 2), date(2031, 3, 6)
NOW = NOON + 2 * DAY
SPAN = (FIRST, LAST)
METRICS = ("group_seats", "resource_use", "slot_requests")
STAMPS = {
    "confirmed": {},
    "executed": {"executed_at": NOW},
    "no_show": {"no_show_at": NOW},
    "cancelled": {"cancelled_at": NOON, "cancellation_reason": "ill"},
}


def local(moment):
    return (moment - AWAY).date()


def seat(group, number, state, professional):
    """Somebody who attends, or did not; one who only holds the seat does so until NOON at first, or beyond NOW."""
    held = {"pre_confirmed_at": NOON - 90 * DAY, "expires_at": NOW - HOUR if state == "overdue" else NOW + 9 * DAY}
    stamps = STAMPS.get(state, {})
    if state in ("confirmed", "executed", "no_show"):
        held["confirmed_at"] = NOON - 80 * DAY
    sits = {} if state == "cancelled" else {"seat": number, "seats": group.capacity}
    return make_appointment(
        professional=professional,
        group_session=group,
        scheduled_at=group.scheduled_at,
        duration_minutes=group.duration_minutes,
        buffer_minutes=group.buffer_minutes,
        room=group.room,
        state="pre_confirmed" if state in ("held", "overdue") else state,
        **held,
        **stamps,
        **sits,
    )


SITTING = st.lists(st.sampled_from(["held", "overdue", "confirmed", "executed", "no_show", "cancelled"]), max_size=3)
GATHERING = st.tuples(
    st.integers(-60, 60),  # hours from NOON
    st.sampled_from([15, 60, 120]),
    st.sampled_from([None, 0, 1]),  # the room
    st.booleans(),  # whether it is a group
    st.sampled_from(["art", "music", None]),
    SITTING,
)


@pytest.mark.slow
@examples(4, 40)
@example(gatherings=[(0, 60, 0, True, "art", ["executed", "no_show", "overdue"]), (4, 60, 0, False, None, ["held"])])
@given(gatherings=st.lists(GATHERING, max_size=8, unique_by=lambda one: one[0] // 4))
def test_seats_and_rooms_are_what_loops_over_the_rows_say(db, gatherings):
    with db.tenant(make_organization(db, time_zone=ZONE)):
        windows = [[{"start": "09:00", "end": "12:00"}], [{"start": "11:00", "end": "13:00"}]]
        giver, _ = (make_professional(weekly_schedule={"monday": each, "tuesday": each}) for each in windows)
        rooms = [make_resource(), make_resource(kind="device", active=False)]
        for hours, minutes, place, is_group, name, sitting in gatherings:
            start = NOON + (hours // 4) * 4 * HOUR
            held = {} if place is None else {("room", "device")[place]: rooms[place]}
            times = {"professional": giver, "scheduled_at": start, "duration_minutes": minutes, "buffer_minutes": 5}
            if is_group:
                group = make_group(**times, name=name, room=held.get("room"), capacity=3)
                for number, state in enumerate(sitting, 1):
                    seat(group, number, state, giver)
            else:
                until = {"pre_confirmed_at": NOON - 90 * DAY, "expires_at": NOW + DAY * (-1) ** len(sitting)}
                make_appointment(**times, **held, state="pre_confirmed", **until)
        seats = analysis.group_seats(*SPAN, by=("group",), every="1d", now=NOW).rows(named=True)
        use = analysis.resource_use(*SPAN, every="1d", now=NOW).rows(named=True)
        groups = [group for group in GroupSession.select() if FIRST <= local(group.scheduled_at) < LAST]
        appointments = list(Appointment.select())
        assert _told(seats, "group_name") == _seats(groups, appointments)
        assert {(row["period"], row["resource_id"]): _used(row) for row in use} == _use(groups, appointments)


def _told(rows, key):
    columns = ("groups", "seats", "taken", "attended", "no_show")
    found = {(row["period"], row[key]): tuple(row[name] for name in columns) for row in rows}
    return {key: figures for key, figures in found.items() if any(figures)}


def _holds(one):
    return one.state not in ("draft", "cancelled") and not (one.state == "pre_confirmed" and one.expires_at < NOW)


def _seats(groups, appointments):
    found = defaultdict(Counter)
    for group in groups:
        those = Counter(one.state for one in appointments if one.group_session_id == group.id and _holds(one))
        figures = {"groups": 1, "seats": group.capacity, "taken": those.total()}
        figures |= {"attended": those["executed"], "no_show": those["no_show"]}
        found[local(group.scheduled_at), group.name].update(figures)
    names = ("groups", "seats", "taken", "attended", "no_show")
    return {key: tuple(figures[name] for name in names) for key, figures in found.items()}


def _used(row):
    return row["sessions"], row["held_minutes"], row["occupied_minutes"], row["open_minutes"]


def _use(groups, appointments):
    """Each day and room; Monday and Tuesday are open from nine to one."""
    alone = [one for one in appointments if one.group_session_id is None and _holds(one)]
    alone = [one for one in alone if FIRST <= local(one.scheduled_at) < LAST]
    found = {}
    for room in Resource.select():
        holding = [one for one in (*groups, *alone) if room.id in (one.room_id, one.device_id)]
        if not room.active and not holding:
            continue
        for number in range((LAST - FIRST).days):
            day = FIRST + number * DAY
            those = [one for one in holding if local(one.scheduled_at) == day]
            minutes = sum(one.duration_minutes for one in those)
            is_open = 240 if day.isoweekday() <= 2 else 0
            found[day, room.id] = (len(those), minutes, minutes + 5 * len(those), is_open)
    return found


EVENTS = {"waiting": ("offer", "withdraw", "lapse"), "offered": ("take", "decline", "miss")}
WAITS = st.lists(st.tuples(st.integers(-60, 20), st.lists(st.integers(0, 2), max_size=5)), max_size=5)


@pytest.mark.slow
@examples(4, 40)
@example(waits=[(0, [0, 2, 0, 1, 0, 0]), (0, [0, 0]), (-5, []), (1, [0]), (2, [1]), (3, [2])])
@given(waits=WAITS)
def test_the_line_is_what_loops_over_requests_and_their_journals_say(db, waits):
    with db.tenant(make_organization(db, time_zone=ZONE)):
        for hours, choices in waits:
            at = NOON + hours * HOUR
            with clock.frozen(at):
                request = make_slot_request(place_at=at)
            for step, choice in enumerate(choices, 1):
                request = SlotRequest.get_by_id(request.id)
                if request.state in EVENTS:
                    getattr(request, EVENTS[request.state][choice])(now=at + step * HOUR)
        found = analysis.slot_requests(*SPAN, every="1d", now=NOW).rows(named=True)
        expected = {FIRST + number * DAY: [] for number in range((LAST - FIRST).days)}
        for request in SlotRequest.select():
            if local(request.created_at) in expected:
                expected[local(request.created_at)].append(request)
        assert [_line(row) for row in found] == [_counted(those) for those in expected.values()]


def _line(row):
    days = (row[name] if row[name] is None else round(row[name], 9) for name in ("taken_days", "open_days"))
    names = ("asked", "offered", "taken", "withdrawn", "lapsed", "open", "offers", "declined", "missed")
    return tuple(row[name] for name in names) + tuple(days)


def _counted(requests):
    states, events, offered, waits = Counter(), Counter(), 0, defaultdict(list)
    for request in requests:
        states[request.state] += 1
        steps = list(request.history())
        events.update(step.event for step in steps)
        offered += any(step.event == "offer" for step in steps)
        ended = next((step.occurred_at for step in steps if step.event == "take"), NOW)
        waits[request.state if request.state in ("taken", "withdrawn", "lapsed") else "open"].append(
            max(ended - request.created_at, timedelta()) / DAY
        )
    days = tuple(round(median(waits[key]), 9) if waits[key] else None for key in ("taken", "open"))
    told = (states["taken"], states["withdrawn"], states["lapsed"], states["waiting"] + states["offered"])
    return (len(requests), offered, *told, events["offer"], events["decline"], events["miss"], *days)


def furnish(of):
    """A room, a group in it that somebody attends, and a request, on Monday the third; open from nine to twelve."""
    schedule = {"monday": [{"start": "09:00", "end": f"1{of}:00"}]}
    giver, room = make_professional(weekly_schedule=schedule), make_resource()
    seat(make_group(professional=giver, scheduled_at=NOON, room=room, capacity=of), 1, "confirmed", giver)
    with clock.frozen(NOON):
        make_slot_request(place_at=NOON, student=make_student())


def test_a_tenant_counts_its_own_and_privileged_work_everybodys(db, a, b):
    """The rooms of one centre are open by its own professionals' hours, also where those of a chain are asked."""
    alone = {}
    for of, organization in enumerate((a, b), 1):
        with db.tenant(organization):
            furnish(of)
    for organization in (a, b):
        with db.tenant(organization):
            alone[organization.id] = {name: getattr(analysis, name)(*SPAN, now=NOW) for name in METRICS}
    for of, organization in enumerate((a, b), 1):
        told = alone[organization.id]
        assert told["group_seats"].select("organization_id", "seats", "taken").rows() == [(organization.id, of, 1)]
        assert told["resource_use"].select("held_minutes", "open_minutes").rows() == [(60, 60 + 60 * of)]
        assert told["slot_requests"].select("asked", "open_days").rows() == [(1, 2.0)]
    with db.privileged(reason="a chain's report"):
        for name in METRICS:
            both = getattr(analysis, name)(*SPAN, now=NOW)
            for organization in (a, b):
                theirs = both.filter(both["organization_id"] == organization.id)
                assert theirs.equals(alone[organization.id][name], null_equal=True), name


def test_what_they_cannot_be_asked_is_refused_with_what_they_can(db, a):
    with db.tenant(a):
        with pytest.raises(InvalidDataError, match="is over Appointment, and requests for a time are none"):
            analysis.slot_requests(*SPAN, where=Appointment.uses_credit == True)  # noqa: E712
        with pytest.raises(InvalidDataError, match="use 'professional' or 'specialization' or 'room'"):
            analysis.group_seats(*SPAN, by="student")
        with pytest.raises(InvalidDataError, match="use 'professional' or 'specialization' or 'student'"):
            analysis.slot_requests(*SPAN, by="room")

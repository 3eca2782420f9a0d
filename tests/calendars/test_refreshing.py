"""Calendars elsewhere: what they have blocks listing and booking, and one that cannot be read keeps its times."""

from datetime import timedelta

import psycopg2
import pytest

from rayces_core import (
    CrossTenantError,
    Database,
    InvalidDataError,
    NotPermittedError,
    OutsideBusy,
    OutsideCalendar,
    OutsideScheduleError,
)
from rayces_core.calendars import (
    Fetcher,
    add_outside_calendar,
    create_feed,
    read_feed,
    refresh_calendars,
    remove_outside_calendar,
)
from rayces_core.errors import DuplicateError, ReferenceNotFoundError
from rayces_core.scheduling import create_group_session, free_slots, reschedule, working_time
from tests.calendars.reading import a_calendar, an_event
from tests.factory import make_professional, make_user
from tests.scheduling.worlds import DAY, HOUR, NOW, Other, at, make_working, open_centre
from tests.walking import walked

QUARTER = timedelta(minutes=15)
FETCHER = Fetcher(allowed=["127.0.0.0/8"], seconds=60.0)


@pytest.fixture
def centre(db):
    """Its clock shows UTC; its professional works from nine to five."""
    with open_centre(db) as opened:
        yield opened


def busy_event(hour=10, uid="one@elsewhere", day=3):
    return an_event(f":203103{day:02}T{hour:02}0000Z", f":203103{day:02}T{hour + 1:02}0000Z", uid)


def serve(server, *events, path="/mine.ics", **headers):
    server.answers[path] = lambda _: (200, headers, a_calendar(*events))


def added(centre, server, path="/mine.ics", **options):
    return add_outside_calendar(options.pop("professional", centre.professional), f"{server.url}{path}", name="Mine")


def refresh(centre, now=NOW, **options):
    return refresh_calendars(centre.db, organization=centre.organization, fetcher=FETCHER, now=now, **options)


def starts(centre, **options):
    slots = free_slots(centre.professional, DAY, DAY + timedelta(days=1), now=NOW, step_minutes=60, **options)
    return [slot.start.hour for slot in slots]


def test_what_a_calendar_elsewhere_has_is_neither_listed_nor_booked(centre, server):
    serve(server, busy_event(10), busy_event(15, "two"))
    calendar = added(centre, server)
    assert starts(centre) == list(range(9, 17))
    (done,) = refresh(centre)
    assert (done.outcome, done.added, done.calendar_id) == ("read", 2, calendar.id)
    assert starts(centre) == [9, 11, 12, 13, 14, 16]
    refused = centre.refused(OutsideScheduleError, scheduled_at=at(10.5))
    assert (refused.reason, refused.nearest.start) == ("busy_elsewhere", at(11))
    centre.book(at(11))


def test_staff_may_book_over_it_as_over_a_blocked_date(centre, server):
    serve(server, busy_event(10))
    added(centre, server), refresh(centre)
    assert centre.book(at(10), by=centre.staff, override_blocked=True).scheduled_at == at(10)


@pytest.mark.slow
def test_it_holds_for_moves_groups_second_professionals_and_working_time(centre, server):
    serve(server, busy_event(10))
    added(centre, server), refresh(centre)
    booked = centre.book(at(13))
    assert (
        centre.refused(OutsideScheduleError, lambda **_: reschedule(booked, at(10), now=NOW)).reason == "busy_elsewhere"
    )
    asked = {"professional": centre.professional, "scheduled_at": at(10), "capacity": 2, "now": NOW}
    assert centre.refused(OutsideScheduleError, lambda **_: create_group_session(**asked)).reason == "busy_elsewhere"
    other = make_working()
    together = {"professional": other, "second_professional": centre.professional}
    assert centre.refused(OutsideScheduleError, scheduled_at=at(10), **together).reason == "busy_elsewhere"
    slots = free_slots(other, DAY, DAY + 24 * HOUR, second_professional=centre.professional, now=NOW, step_minutes=60)
    assert at(10) not in [slot.start for slot in slots]
    spans = working_time(centre.professional, DAY, DAY + 24 * HOUR)
    assert [tuple(span) for span in spans] == [(at(9), at(10)), (at(11), at(17))]


def test_only_whose_calendar_it_is_is_busy(db, centre, server):
    serve(server, busy_event(10))
    added(centre, server), refresh(centre)
    other = make_working()
    assert 10 in [slot.start.hour for slot in free_slots(other, DAY, DAY + 24 * HOUR, now=NOW, step_minutes=60)]
    with open_centre(db) as elsewhere:
        assert starts(elsewhere) == list(range(9, 17))
        assert OutsideBusy.select().count() == 0


def test_a_session_that_was_booked_before_stays(centre, server):
    booked = centre.book(at(10))
    serve(server, busy_event(10))
    added(centre, server), refresh(centre)
    booked.confirm(now=NOW)


def test_what_was_read_is_replaced_as_the_calendar_changes(centre, server):
    serve(server, busy_event(10), busy_event(11, "two"), busy_event(14, "three"))
    calendar = added(centre, server)
    refresh(centre)
    serve(server, busy_event(10), busy_event(16, "three"))
    (done,) = refresh(centre, NOW + QUARTER)
    assert (done.added, done.removed) == (2, 2)
    found = {(row.begins_at, row.ends_at) for row in calendar.busy}
    assert found == {(at(10), at(11)), (at(16), at(17))}


def test_a_calendar_that_did_not_change_touches_nobody(centre, server):
    serve(server, busy_event(10))
    added(centre, server), refresh(centre)
    before = centre.db.execute_sql("SELECT xmin::text FROM professionals WHERE id = %s", (centre.professional.id,))
    version = before.fetchone()
    (done,) = refresh(centre, NOW + QUARTER)
    assert (done.added, done.removed) == (0, 0)
    again = centre.db.execute_sql("SELECT xmin::text FROM professionals WHERE id = %s", (centre.professional.id,))
    assert again.fetchone() == version


def test_a_known_version_is_asked_about_and_all_is_read_once_a_day(centre, server):
    serve(server, busy_event(10), ETag='"1"')
    calendar = added(centre, server)
    refresh(centre)
    server.answers["/mine.ics"] = lambda request: (304, {}, b"")
    (done,) = refresh(centre, NOW + QUARTER)
    assert (done.outcome, server.asked[-1][1]["if-none-match"]) == ("unchanged", '"1"')
    assert [row.begins_at for row in calendar.busy] == [at(10)]
    serve(server, busy_event(11))
    refresh(centre, NOW + timedelta(days=1))
    assert "if-none-match" not in server.asked[-1][1]
    assert [row.begins_at for row in calendar.busy] == [at(11)]


@pytest.mark.slow
@walked(
    ("answer", "reason"),
    [
        ((500, {}, b""), "status"),
        ((200, {}, b"<html>sign in</html>"), "broken"),
        ((302, {"location": "http://10.0.0.1/"}, b""), "refused_address"),
        ((200, {}, a_calendar(busy_event(9) + "RRULE:FREQ=SECONDLY")), "too_many"),
    ],
)
def test_one_that_cannot_be_read_keeps_what_it_had_and_says_why(make_centre, server, answer, reason):
    with make_centre() as centre:
        serve(server, busy_event(10), ETag='"1"')
        calendar = added(centre, server)
        refresh(centre)
        server.answers["/mine.ics"] = lambda _: answer
        for number in (1, 2):
            (done,) = refresh(centre, NOW + number * QUARTER)
            assert (done.outcome, done.reason) == ("failed", reason)
        row = OutsideCalendar.get_by_id(calendar.id)
        assert (row.failing_since, row.tried_at, row.read_at) == (NOW + QUARTER, NOW + 2 * QUARTER, NOW)
        assert row.failure
        assert server.url not in row.failure
        assert 10 not in starts(centre)
        serve(server, busy_event(11))
        refresh(centre, NOW + 3 * QUARTER)
        assert OutsideCalendar.get_by_id(calendar.id).failure is None
        assert 10 in starts(centre)


@pytest.fixture
def make_centre(db):
    return lambda: open_centre(db)


@walked(
    "answer",
    [
        (500, {}, b""),
        (302, {"location": "http://[::1"}, b""),
        (200, {}, b"BEGIN:VCALENDAR\r\n\0\0\r\nEND:VCALENDAR\r\n"),
        (200, {}, a_calendar(busy_event(9) + "DTSTART:20310304T090000Z")),
        (200, {}, a_calendar(busy_event(9) + "RRULE:FREQ=DAILY;INTERVAL=0")),
    ],
)
def test_one_that_fails_keeps_no_other_from_being_read(make_centre, server, answer):
    with make_centre() as centre:
        server.answers["/broken"] = lambda _: answer
        serve(server, busy_event(10))
        added(centre, server, "/broken"), added(centre, server)
        assert [done.outcome for done in refresh(centre)] == ["failed", "read"]
        assert 10 not in starts(centre)


def test_a_calendar_is_due_again_after_a_while_and_not_before(centre, server):
    serve(server, busy_event(10))
    added(centre, server)
    assert len(refresh(centre)) == 1
    assert refresh(centre, NOW + QUARTER / 2) == []
    assert len(refresh(centre, NOW + QUARTER)) == 1
    assert len(refresh(centre, NOW + QUARTER, every=timedelta(0))) == 1


def test_one_who_is_active_no_more_is_not_read(centre, server):
    serve(server, busy_event(10))
    added(centre, server, professional=make_working(active=False))
    assert refresh(centre) == []


@pytest.mark.slow
def test_every_organization_is_read_where_none_is_named(own_db, server):
    serve(server, busy_event(10))
    for _ in range(2):
        with open_centre(own_db) as opened:
            added(opened, server)
    done = refresh_calendars(own_db, fetcher=FETCHER, now=NOW)
    assert [each.outcome for each in done] == ["read", "read"]
    assert len({each.organization_id for each in done}) == 2


def test_the_own_feed_that_comes_back_blocks_nothing_and_another_centres_does(db, centre, server):
    centre.book(at(10))
    token = create_feed(centre.professional.user).token
    server.answers["/mine.ics"] = lambda _: (200, {}, read_feed(db, token, now=NOW))
    added(centre, server), refresh(centre)
    assert OutsideBusy.select().count() == 0
    with open_centre(db) as elsewhere:
        added(elsewhere, server), refresh(elsewhere)
        assert [row.begins_at for row in OutsideBusy.select()] == [at(10)]


def test_a_calendar_that_is_removed_frees_its_times_at_once(centre, server):
    serve(server, busy_event(10))
    calendar = added(centre, server)
    refresh(centre)
    remove_outside_calendar(calendar, by=centre.professional.user)
    assert 10 in starts(centre)
    assert (OutsideBusy.select().count(), OutsideCalendar.select().count()) == (0, 0)


def test_a_calendar_that_is_removed_while_it_is_read_leaves_nothing(centre, server):
    calendar = added(centre, server)

    def removing(_):
        with psycopg2.connect(centre.db.url) as other:
            other.cursor().execute("DELETE FROM outside_calendars WHERE id = %s", (calendar.id,))
        return 200, {}, a_calendar(busy_event(10))

    server.answers["/mine.ics"] = removing
    assert refresh(centre) == []
    assert OutsideBusy.select().count() == 0


def test_a_calendar_is_read_by_one_of_those_who_would(centre, server):
    added(centre, server)
    inner = []

    def again(_):
        with psycopg2.connect(centre.db.url):
            inner.append(refresh_calendars(Database.connect(centre.db.url), fetcher=FETCHER, now=NOW))
        return 200, {}, a_calendar(busy_event(10))

    server.answers["/mine.ics"] = again
    assert [done.outcome for done in refresh(centre)] == ["read"]
    assert len(server.asked) == 1


def test_nothing_is_locked_and_no_connection_is_held_while_a_calendar_is_read(own_pool, server):
    with open_centre(own_pool) as centre:
        added(centre, server)

    def looking(_):
        with psycopg2.connect(own_pool.url) as other, other.cursor() as cursor:
            cursor.execute(
                "SELECT count(*) FROM pg_stat_activity WHERE state = 'idle in transaction' AND pid <> pg_backend_pid() "
                "AND datname = current_database()"
            )
            server.open = cursor.fetchone()
        return 200, {}, a_calendar(busy_event(10))

    server.answers["/mine.ics"] = looking
    assert [done.outcome for done in refresh(centre)] == ["read"]
    assert server.open == (0,)


# -- who may ----------------------------------------------------------------------------------------------------------


@walked("who", ["own", "staff", "client", "other"])
def test_a_professional_adds_and_removes_the_own_calendars_and_staff_anybodys(centre, who):
    people = {"own": centre.professional.user, "staff": centre.staff, "client": centre.client}
    actor = people.get(who) or make_professional().user
    calendar = add_outside_calendar(centre.professional, f"https://example.org/{who}.ics", name="Mine")
    deeds = [
        lambda: add_outside_calendar(centre.professional, f"https://example.org/{who}2.ics", name="Mine", by=actor),
        lambda: remove_outside_calendar(calendar, by=actor),
    ]
    for deed in deeds:
        if who in ("own", "staff"):
            deed()
        else:
            with pytest.raises(NotPermittedError):
                deed()


@walked(
    "url",
    ["", "example.org/a", "file:///etc/passwd", "https:///a", "https://u:p@example.org/", "https://x/#y", 7],
)
def test_an_address_is_one_and_no_error_tells_it(centre, url):
    with pytest.raises(InvalidDataError) as found:
        add_outside_calendar(centre.professional, url, name="Mine")
    assert not url or str(url) not in str(found.value)


def test_what_calendar_programs_call_a_subscription_is_read_by_https(centre):
    calendar = add_outside_calendar(centre.professional, " webcal://example.org/a.ics ", name=" Mine ")
    assert (calendar.url, calendar.name) == ("https://example.org/a.ics", "Mine")
    assert calendar.url not in repr(calendar)
    with pytest.raises(DuplicateError):
        add_outside_calendar(centre.professional, "https://example.org/a.ics", name="Again")


def test_it_is_of_the_organizations_own_professionals(db, centre, b):
    with db.tenant(b):
        other = make_professional()
        theirs = add_outside_calendar(other, "https://example.org/a.ics", name="x")
    with pytest.raises(CrossTenantError):
        add_outside_calendar(other, "https://example.org/a.ics", name="x")
    with pytest.raises(CrossTenantError):
        remove_outside_calendar(theirs)
    with pytest.raises(ReferenceNotFoundError):
        add_outside_calendar(make_user().id, "https://example.org/a.ics", name="x")


# -- races ------------------------------------------------------------------------------------------------------------


def test_a_booking_that_waits_for_a_calendar_is_decided_anew(db, centre, server):
    serve(server, busy_event(10))
    added(centre, server)
    with db.atomic():
        refresh(centre)
        other = Other(db, centre.organization, lambda: centre.book(at(10)))
        other.wait_until_blocked()
    error = other.finish()
    assert isinstance(error, OutsideScheduleError)
    assert error.reason == "busy_elsewhere"


def test_a_calendar_that_waits_for_a_booking_is_written_after_it(db, centre, server):
    serve(server, busy_event(10))
    added(centre, server)
    with db.atomic():
        session = centre.book(at(10))
        other = Other(db, centre.organization, lambda: refresh(centre))
        other.wait_until_blocked()
    (done,) = other.finish()
    assert (done.added, session.state) == (1, "pre_confirmed")
    assert 10 not in starts(centre)

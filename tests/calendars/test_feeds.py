"""Feeds: what is read under an address is what the database has, for whoever has the address and nobody else."""

from datetime import UTC, timedelta
from email.utils import parsedate_to_datetime
from functools import partial
from threading import Thread

import pytest
import recurring_ical_events
from icalendar import Calendar

from rayces_core import (
    Appointment,
    CalendarFeed,
    CheckFailedError,
    CrossTenantError,
    Database,
    FeedNotFoundError,
    NotPermittedError,
    Organization,
    Role,
    TenantNotSetError,
    people,
)
from rayces_core.calendars import answer_feed, appointment_ics, create_feed, read_feed, revoke_feed
from rayces_core.models.calendar_feed import NOBODYS
from rayces_core.outbox import Mail
from rayces_core.outbox.calendar import uid_of
from rayces_core.scheduling import book_group, create_group_session, expire_overdue, reschedule
from tests.calendars.reading import events_of, only_event
from tests.factory import make_organization, make_professional, make_resource, make_student, make_user
from tests.notices.senders import told
from tests.outbox.test_mail import box, smtp  # noqa: F401 - fixtures
from tests.scheduling.oracle import utc
from tests.scheduling.worlds import MINUTE, NOW, at, make_working, open_centre
from tests.walking import walked
from tests.wire import wire

SPRING, AUTUMN = utc(2031, 9, 8, 14), utc(2031, 4, 7, 15)  # a Monday after each change of the clock


def feed_of(centre, user=None, **options):
    return create_feed(user or centre.professional.user, **options).token


def test_the_feed_of_a_duplicate_is_that_of_the_one_that_remains(centre):
    twin, desk = make_user(), make_user(role=Role.STAFF)
    session = centre.book(at(15))
    before = feed_of(centre, centre.client)
    people.merge_users(twin, centre.client, by=desk)

    made = [create_feed(centre.client, by=by) for by in (desk, twin)]

    assert {each.feed.user_id for each in made} == {twin.id}
    for token in (before, made[0].token):
        assert only_event(read_feed(centre.db, token, now=NOW))["UID"] == uid(centre, session)


def uid(centre, session, kind="appointment"):
    return uid_of(kind, session.id, centre.organization)


@pytest.mark.slow
def test_sessions_come_back_from_the_file_as_the_database_has_them_in_the_zone_of_the_centre(centre):
    centre.settings(booking_window_days=365)
    booked = [centre.book(start) for start in (at(15), at(15, 1), AUTUMN, SPRING)]
    file = read_feed(centre.db, feed_of(centre), now=NOW)
    calendar = Calendar.from_ical(file)
    found = recurring_ical_events.of(calendar).between(NOW, NOW + timedelta(days=366))
    read = sorted((event["DTSTART"].dt.astimezone(UTC), event["DTEND"].dt.astimezone(UTC)) for event in found)
    assert read == sorted((each.scheduled_at, each.ends_at) for each in booked)
    assert {event["DTSTART"].params["TZID"] for event in found} == {"America/Santiago"}
    assert [str(zone["TZID"]) for zone in calendar.walk("VTIMEZONE")] == ["America/Santiago"]


def test_the_file_explains_the_changes_of_the_clock_by_itself(centre):
    centre.settings(booking_window_days=365)
    centre.book(AUTUMN), centre.book(SPRING)
    calendar = Calendar.from_ical(read_feed(centre.db, feed_of(centre), now=NOW))
    (zone,) = calendar.walk("VTIMEZONE")
    told = zone.to_tz(lookup_tzid=False)
    for event in calendar.walk("VEVENT"):
        wall = event["DTSTART"].dt.replace(tzinfo=None)
        assert wall.replace(tzinfo=told).astimezone(UTC) in (AUTUMN, SPRING)
    assert {each.name for each in zone.subcomponents} == {"STANDARD", "DAYLIGHT"}


def test_an_event_keeps_its_uid_and_its_sequence_rises_with_each_move(centre):
    booked, token = centre.book(at(15)), feed_of(centre)
    seen = []
    for hour in (16, 17, 18):
        event = events_of(read_feed(centre.db, token, now=NOW))[uid(centre, booked)]
        seen.append((int(event["SEQUENCE"]), event["DTSTART"].dt.astimezone(UTC), event["LAST-MODIFIED"].dt))
        reschedule(booked, at(hour), now=NOW)
    assert [starts for _, starts, _ in seen] == [at(15), at(16), at(17)]
    assert [number for number, *_ in seen] == sorted({number for number, *_ in seen})
    assert [changed for *_, changed in seen] == sorted(changed for *_, changed in seen)


def test_an_invitation_by_mail_and_the_feed_and_the_file_are_one_event_whose_sequence_grows(centre, box):  # noqa: F811
    feed, sender = feed_of(centre, centre.client), Mail(box.url, sender="bookings@example.org")
    booked = centre.book(at(15))
    told, seen = set(), []
    changes = (booked.confirm, partial(reschedule, booked, at(16)), partial(booked.cancel, reason="ill"))
    for minutes, change in enumerate(changes):
        change(now=NOW + minutes * MINUTE)
        box.mails.clear()
        told_since(centre.db, sender, told)
        ((_, mail),) = [each for each in box.mails if list(each[1].iter_attachments())]
        (attached,) = mail.iter_attachments()
        files = attached.get_payload(decode=True), read_feed(centre.db, feed, now=NOW), appointment_ics(booked, now=NOW)
        events = [only_event(file) for file in files]
        assert {str(event["UID"]) for event in events} == {uid(centre, booked)}
        assert len({(event["SEQUENCE"], event["STATUS"], event.decoded("dtstart")) for event in events}) == 1
        seen.append((int(events[0]["SEQUENCE"]), str(events[0]["STATUS"])))
    assert seen == [(1, "CONFIRMED"), (2, "CONFIRMED"), (3, "CANCELLED")]


def told_since(db, deliver, already):
    """Give a deliverer what the outbox has that it was not given yet."""

    def once(message):
        if message.id not in already:
            already.add(message.id)
            deliver(message)

    told(db, once)


def test_a_seat_that_is_told_by_mail_is_the_seat_of_the_familys_feed(centre, box):  # noqa: F811
    group = create_group_session(
        name="Choir", professional=centre.professional, scheduled_at=at(15), capacity=3, now=NOW
    )
    seat = book_group(group, student=centre.student, client=centre.client, confirm=True, now=NOW)
    feed = feed_of(centre, centre.client)
    told(centre.db, Mail(box.url, sender="bookings@example.org"))
    (attached,) = box.mails[-1][1].iter_attachments()
    mailed, read = only_event(attached.get_payload(decode=True)), only_event(read_feed(centre.db, feed, now=NOW))
    assert str(mailed["UID"]) == str(read["UID"]) == uid(centre, seat)
    assert mailed["SEQUENCE"] == read["SEQUENCE"]


def test_a_hold_that_is_overdue_is_a_newer_version_and_the_same_once_it_is_swept(centre):
    booked, feed = centre.book(at(15)), feed_of(centre)
    after = booked.expires_at + MINUTE
    before, over = (only_event(read_feed(centre.db, feed, now=now)) for now in (NOW, after))
    expire_overdue(after)
    swept = only_event(read_feed(centre.db, feed, now=after))
    assert [(int(event["SEQUENCE"]), str(event["STATUS"])) for event in (before, over, swept)] == [
        (0, "TENTATIVE"),
        (1, "CANCELLED"),
        (1, "CANCELLED"),
    ]
    assert before["LAST-MODIFIED"].dt < over["LAST-MODIFIED"].dt <= swept["LAST-MODIFIED"].dt


def test_a_hold_is_tentative_a_confirmed_session_is_confirmed_and_a_cancelled_one_is_cancelled(centre):
    booked, token = centre.book(at(15)), feed_of(centre)
    statuses = [str(only_event(read_feed(centre.db, token, now=NOW))["STATUS"])]
    booked.confirm(now=NOW)
    statuses.append(str(only_event(read_feed(centre.db, token, now=NOW))["STATUS"]))
    booked.cancel(now=NOW, reason="ill")
    event = only_event(read_feed(centre.db, token, now=NOW))
    assert [*statuses, str(event["STATUS"])] == ["TENTATIVE", "CONFIRMED", "CANCELLED"]
    assert str(event["TRANSP"]) == "TRANSPARENT"


def test_a_hold_that_nobody_confirmed_in_time_is_cancelled_before_a_sweep_says_so(centre):
    booked = centre.book(at(15))
    late = Appointment.get_by_id(booked.id).expires_at + timedelta(minutes=1)
    assert str(only_event(read_feed(centre.db, feed_of(centre), now=late))["STATUS"]) == "CANCELLED"


def test_private_details_name_nobody_and_full_ones_name_the_student(centre):
    booked = centre.book(at(15), room=make_resource(name="Blue room"))
    private = read_feed(centre.db, feed_of(centre), called="Turno", now=NOW)
    full = read_feed(centre.db, feed_of(centre, details="full"), now=NOW)
    names = [centre.student.first_name, centre.student.last_name, centre.client.last_name]
    assert not any(name.encode() in private for name in names)
    assert (str(only_event(private)["SUMMARY"]), str(only_event(private)["LOCATION"])) == ("Turno", "Blue room")
    assert str(only_event(full)["SUMMARY"]) == booked.student.full_name


def test_a_name_that_would_end_its_line_adds_none_and_comes_back_as_it_is(centre):
    centre.student.first_name = "Luz\r\nATTENDEE:mailto:x@example.org\r\nSUMMARY:y;z,\\n"
    centre.student.last_name = "Sosa" * 40
    centre.student.save()
    room = make_resource(name="Room\nBEGIN:VALARM")
    centre.book(at(15), room=room)
    file = read_feed(centre.db, feed_of(centre, details="full"), now=NOW)
    event = only_event(file)
    assert "ATTENDEE" not in event
    assert not event.subcomponents
    assert str(event["SUMMARY"]) == f"Luz ATTENDEE:mailto:x@example.org SUMMARY:y;z,\\n {'Sosa' * 40}"
    assert str(event["LOCATION"]) == "Room BEGIN:VALARM"
    assert all(len(line) <= 75 for line in file.split(b"\r\n"))


def test_a_group_is_one_event_for_who_gives_it_and_the_own_seat_for_who_attends(centre):
    group = create_group_session(
        professional=centre.professional, scheduled_at=at(15), capacity=3, name="Choir", now=NOW
    )
    first = book_group(group, student=centre.student, client=centre.client, now=NOW)
    other = make_user()
    book_group(group, student=make_student(primary_contact=other, admission_state="enrolled"), client=other, now=NOW)
    given = events_of(read_feed(centre.db, feed_of(centre, details="full"), now=NOW))
    assert {key: str(event["SUMMARY"]) for key, event in given.items()} == {uid(centre, group, "group"): "Choir"}
    assert list(events_of(read_feed(centre.db, feed_of(centre, centre.client), now=NOW))) == [uid(centre, first)]


def test_a_second_professional_and_each_contact_of_a_student_have_the_session_and_nobody_else_has(centre):
    second, contact, stranger = make_working(), make_user(), make_user()
    centre.student.secondary_contact = contact
    centre.student.save()
    booked = centre.book(at(15), second_professional=second)
    for user in (centre.professional.user, second.user, centre.client, contact):
        assert list(events_of(read_feed(centre.db, feed_of(centre, user), now=NOW))) == [uid(centre, booked)]
    for user in (stranger, centre.staff, make_professional().user):
        assert events_of(read_feed(centre.db, feed_of(centre, user), now=NOW)) == {}


def test_what_lies_outside_the_days_that_the_centre_has_set_is_not_told(centre):
    near, far = centre.book(at(15)), centre.book(at(15, 20))
    token = feed_of(centre)
    assert len(events_of(read_feed(centre.db, token, now=NOW))) == 2
    centre.settings(calendar_days_ahead=10, calendar_past_days=3)
    assert list(events_of(read_feed(centre.db, token, now=NOW))) == [uid(centre, near)]
    assert list(events_of(read_feed(centre.db, token, now=at(15, 19)))) == [uid(centre, far)]


def test_an_address_is_read_where_no_tenant_is_bound_and_of_its_own_organization_alone(db, centre):
    centre.book(at(15))
    token = feed_of(centre)
    with db.tenant(make_organization(db)):
        assert len(events_of(read_feed(db, token, now=NOW))) == 1
    found = []
    thread = Thread(target=lambda: found.append(read_feed(db, f"{token}.ics", now=NOW)))
    thread.start(), thread.join()
    assert len(events_of(found[0])) == 1


def test_nobody_reads_with_a_secret_that_is_not_the_feeds(db, centre):
    mine, other = feed_of(centre), feed_of(centre, centre.client)
    place, number, secret = mine.split(".")
    foreign = make_organization(db)
    wrong = [
        *("", "x", "1.2.3", f"{place}.{number}.{'A' * 43}", f"{place}.{other.split('.')[1]}.{secret}"),
        *(f"{foreign.id}.{number}.{secret}", f"{place}.999999999.{secret}", f"999999999.{number}.{secret}"),
        *(f"{mine}x", f" {mine}", f"{place}.{number}.{secret[:-1]}", f"{place}.{'9' * 30}.{secret}"),
    ]
    for token in wrong:
        with pytest.raises(FeedNotFoundError):
            read_feed(db, token)


def test_a_revoked_feed_answers_nobody_and_a_new_one_does(centre):
    address = create_feed(centre.client, by=centre.client)
    read_feed(centre.db, address.token)
    revoke_feed(address.feed, by=centre.client)
    with pytest.raises(FeedNotFoundError):
        read_feed(centre.db, address.token)
    since = address.feed.revoked_at
    revoke_feed(address.feed)
    assert CalendarFeed.get_by_id(address.feed.id).revoked_at == since
    read_feed(centre.db, feed_of(centre, centre.client))


def test_a_revocation_is_not_taken_back_whatever_writes(centre):
    address = create_feed(centre.client)
    stale = CalendarFeed.get_by_id(address.feed.id)
    revoke_feed(address.feed)
    with pytest.raises(CheckFailedError), centre.db.atomic():
        centre.db.execute_sql("UPDATE calendar_feeds SET revoked_at = NULL")
    revoke_feed(stale)
    assert stale.revoked_at == address.feed.revoked_at
    assert CalendarFeed.get_by_id(stale.id).secret_hash == NOBODYS
    with pytest.raises(FeedNotFoundError):
        read_feed(centre.db, address.token)


def test_an_organization_that_is_switched_off_answers_as_if_there_were_none(db):
    organization = make_organization(db)
    with db.tenant(organization):
        token = create_feed(make_user()).token
    with db.privileged(reason="test"):
        stored = Organization.get_by_id(organization.id)
        stored.active = False
        stored.save()
    with pytest.raises(FeedNotFoundError):
        read_feed(db, token)


def test_the_secret_is_told_once_and_stored_as_a_hash(centre):
    address = create_feed(centre.client)
    secret = address.token.split(".")[-1]
    (row,) = centre.db.execute_sql(
        "SELECT to_jsonb(f)::text FROM calendar_feeds f WHERE id = %s", (address.feed.id,)
    ).fetchone()
    assert secret not in row
    assert secret not in repr(address) + str(address.feed) + repr(address.feed)


def test_who_reads_is_noted_once_an_hour(centre):
    address = create_feed(centre.client)
    times = [NOW, NOW + timedelta(minutes=59), NOW + timedelta(minutes=61)]
    noted = []
    for moment in times:
        read_feed(centre.db, address.token, now=moment)
        noted.append(CalendarFeed.get_by_id(address.feed.id).last_read_at)
    assert noted == [times[0], times[0], times[2]]


@walked("who", ["client", "staff", "professional"])
def test_a_feed_is_made_and_revoked_by_its_user_and_by_staff(centre, who):
    actor = centre.professional.user if who == "professional" else getattr(centre, who)
    feed = create_feed(centre.client).feed
    deeds = [lambda: create_feed(centre.client, by=actor), lambda: revoke_feed(feed, by=actor)]
    for deed in deeds:
        if who == "professional":
            with pytest.raises(NotPermittedError):
                deed()
        else:
            deed()


def test_a_feed_is_of_the_bound_organizations_users(db, centre, b):
    with db.tenant(b):
        stranger = make_user(role=Role.STAFF)
    with pytest.raises(CrossTenantError):
        create_feed(stranger)
    with db.privileged(reason="test"), pytest.raises(TenantNotSetError):
        create_feed(centre.client)


@pytest.mark.slow
def test_who_has_the_newest_version_is_told_that_nothing_has_changed(centre):
    booked, token = centre.book(at(15)), feed_of(centre)
    first = answer_feed(centre.db, token, now=NOW)
    known = {"if_none_match": first.headers["ETag"], "if_modified_since": first.headers["Last-Modified"]}
    assert (first.status, first.headers["Content-Type"]) == (200, "text/calendar; charset=utf-8")
    for headers in (known, {"if_none_match": f'W/{known["if_none_match"]}, "x"'}, {"if_none_match": "*"}):
        again = answer_feed(centre.db, token, now=NOW, **headers)
        assert (again.status, again.body, again.headers["ETag"]) == (304, b"", known["if_none_match"])
    assert answer_feed(centre.db, token, now=NOW, if_modified_since=known["if_modified_since"]).status == 304
    reschedule(booked, at(16), now=NOW)
    assert answer_feed(centre.db, token, now=NOW, **known).status == 200
    for amiss in ("yesterday", "", "Tue, 99 Foo 2031 25:00:00 GMT", "Mon, 03 Mar 1931 00:00:00 GMT"):
        assert answer_feed(centre.db, token, now=NOW, if_modified_since=amiss).status == 200


def test_what_is_not_in_the_file_any_more_is_a_change_too(centre):
    centre.book(at(15))
    given_away, token = centre.book_for_another(at(16)), feed_of(centre)
    first = answer_feed(centre.db, token, now=NOW).headers["Last-Modified"]
    reschedule(given_away, given_away.scheduled_at, professional=make_working(), by=centre.staff, now=NOW)

    second = answer_feed(centre.db, token, now=NOW, if_modified_since=first)
    assert (second.status, len(events_of(second.body))) == (200, 1)
    passed = NOW + timedelta(days=365)
    last = answer_feed(centre.db, token, now=passed, if_modified_since=second.headers["Last-Modified"])
    assert (last.status, len(events_of(last.body))) == (200, 0)
    told = [
        parsedate_to_datetime(each) for each in (first, *(each.headers["Last-Modified"] for each in (second, last)))
    ]
    assert told == [NOW, NOW + timedelta(seconds=1), passed]
    assert answer_feed(centre.db, token, now=passed, if_modified_since=last.headers["Last-Modified"]).status == 304


def test_one_appointment_is_a_file_that_publishes_it_or_calls_it_off(centre):
    booked = centre.book(at(15))
    file = appointment_ics(booked, now=NOW)
    event = only_event(file)
    assert str(Calendar.from_ical(file)["METHOD"]) == "PUBLISH"
    assert (str(event["UID"]), event["DTSTART"].dt.astimezone(UTC)) == (uid(centre, booked), at(15))
    assert booked.student.full_name in str(event["SUMMARY"])
    assert str(only_event(appointment_ics(booked, details="private", now=NOW))["SUMMARY"]) == "Session"
    booked.cancel(now=NOW, reason="ill")
    assert str(Calendar.from_ical(appointment_ics(booked, now=NOW))["METHOD"]) == "CANCEL"


@pytest.mark.slow
def test_reading_a_feed_takes_the_same_messages_however_many_sessions_there_are(own_pool):
    counts = []
    with wire(own_pool.url) as proxy, Database.connect(proxy.url) as database, open_centre(database) as centre:
        token = create_feed(centre.professional.user).token
        read_feed(database, token, now=NOW)
        for hour in (10, 11, 12):
            centre.book(at(hour))
            proxy.sent.clear()
            assert len(events_of(read_feed(database, token, now=NOW))) == len(counts) + 1
            counts.append(len(proxy.sent))
    assert len(set(counts)) == 1

"""Notices from the session that comes to the sender of a channel: once, in time, and not where it became moot."""

from datetime import timedelta

import pytest

from rayces_core import Appointment, InvalidDataError, Notice, Role, User, notices, outbox, people
from rayces_core.errors import ConfigurationError, DeliveryError, UndeliverableError
from rayces_core.models.outbox import OutboxMessage
from rayces_core.scheduling import reschedule
from tests.factory import make_organization, make_user
from tests.notices.senders import EMAIL, Kept, reminders, rules, told
from tests.scheduling.worlds import ALWAYS, HOUR, INSTANT, NOW, at, open_centre
from tests.walking import walked

A_DAY = timedelta(days=1)
BOTH = reminders(24 * 60, 60)


@pytest.fixture
def centre(own_db):
    with open_centre(own_db, weekly_schedule=ALWAYS, settings=BOTH) as opened:
        yield opened


@pytest.fixture
def sent(own_db):
    """What was sent at a moment, as stages before the session."""
    kept = Kept()

    def send(now, **options):
        kept.clear()
        with free(own_db):
            notices.deliver(own_db, {"email": kept}, now=now, **options)
        return [(each.notice.appointment_id, each.notice.minutes_before) for each in kept.outgoing]

    send.kept = kept
    return send


def free(db):
    """A place outside any organization's block, as a worker's."""
    return db.privileged(reason="a worker's place")


@pytest.mark.slow
def test_each_stage_is_sent_once_when_its_time_comes(centre, sent):
    booked = centre.book(at(10), confirm=True)

    assert sent(at(10) - A_DAY - INSTANT) == []
    assert sent(at(10) - A_DAY) == [(booked.id, 24 * 60)]
    assert sent(at(9) - INSTANT) == []
    assert sent(at(9)) == [(booked.id, 60)]
    assert sent(at(9.5)) == sent(at(11)) == []


def test_a_stage_that_was_missed_is_not_made_up_for(centre, sent):
    booked = centre.book(at(10), confirm=True)

    assert sent(at(9.5)) == [(booked.id, 60)]
    assert [(row.minutes_before, row.state, row.reason) for row in log()] == [
        (24 * 60, "skipped", "superseded"),
        (60, "sent", None),
    ]


@pytest.mark.slow
def test_a_moved_session_has_its_own_anew_and_what_waits_for_the_old_time_is_skipped(centre, sent):
    booked = centre.book(at(10), confirm=True)
    assert sent(at(10) - A_DAY) == [(booked.id, 24 * 60)]

    reschedule(booked, at(10, 2), now=at(8))

    assert sent(at(9)) == []
    assert ("moved", 60) in [(row.reason, row.minutes_before) for row in log()]
    assert sent(at(10, 1)) == [(booked.id, 24 * 60)]
    assert sent(at(9, 2)) == [(booked.id, 60)]


@pytest.mark.slow
def test_moved_away_and_back_it_is_reminded_of_anew_and_once(centre, sent):
    booked = centre.book(at(10), confirm=True)
    assert sent(at(10) - A_DAY) == [(booked.id, 24 * 60)]
    reschedule(booked, at(10, 2), now=at(6))
    reschedule(booked, at(10), now=at(6.5))

    assert sent(at(9)) == [(booked.id, 60)]
    assert sent(at(9.5)) == []


@pytest.mark.slow
@pytest.mark.parametrize("ending", ["cancel", "expire"])
def test_nobody_is_reminded_of_what_is_cancelled_meanwhile(centre, sent, ending):
    booked = centre.book(at(10), now=at(-20))
    sent(at(-15))  # made a day ahead
    assert [row.state for row in log()] == ["queued"] * len(log()) != []
    if ending == "cancel":
        booked.cancel(now=at(-15), reason="ill")
        assert sent(at(-14)) == sent(at(9)) == []
    else:
        assert sent(booked.expires_at + INSTANT) == sent(at(9)) == []
    assert {row.reason for row in log() if row.due_at <= at(9)} == {"moot"}


@pytest.mark.slow
def test_what_is_over_or_not_to_come_has_no_reminder(centre, sent):
    centre.book(at(9), draft=True)
    centre.book(at(10)).cancel(reason="ill")
    centre.book(at(11), confirm=True).execute(now=at(11))
    assert sent(at(8)) == []
    assert log() == []


@pytest.mark.slow
@pytest.mark.parametrize("minutes", [None, 0, 5, 90])
def test_what_was_booked_or_moved_a_moment_ago_is_left_alone_for_a_settings_minutes(centre, sent, minutes):
    lately = {} if minutes is None else {"reminder_quiet_minutes": minutes}
    centre.settings(**reminders(24 * 60), **lately)
    quiet = timedelta(minutes=60 if minutes is None else minutes)
    booked = centre.book(at(12), now=at(8), confirm=True)
    if quiet:
        assert sent(at(8) + quiet - INSTANT) == []
    assert sent(at(8) + quiet) == [(booked.id, 24 * 60)]

    reschedule(booked, at(14), now=at(10))
    if quiet:
        assert sent(at(10) + quiet - INSTANT) == []
    assert sent(at(10) + quiet) == [(booked.id, 24 * 60)]


@pytest.mark.slow
def test_who_may_be_told_is_each_told_once_over_each_channel(centre, own_db):
    second, shadow = make_user(phone="+54 11 5555"), make_user(role=Role.PROFESSIONAL)
    centre.student.secondary_contact = second
    centre.student.save()
    everybody = ["client", "professional", "second_contact", "second_professional"]
    centre.settings(**rules(event="reminder", minutes_before=60, channels=["email", "sms"], to=everybody))
    centre.book(at(10), confirm=True)
    kept = Kept()
    with free(own_db):
        notices.deliver(own_db, {"email": kept, "sms": kept}, now=at(9))

    reached = {(each.recipient.id, each.channel, each.address) for each in kept.outgoing}
    assert reached == {
        *((person, "email", email_of(person)) for person in (centre.client.id, centre.professional.user_id, second.id)),
        (second.id, "sms", "+54 11 5555"),
    }
    lacking = [row for row in log() if row.reason == "no_address"]
    assert {(row.recipient_id, row.state, row.channel) for row in lacking} == {
        (centre.client.id, "skipped", "sms"),
        (centre.professional.user_id, "skipped", "sms"),
    }
    assert shadow.id not in {row.recipient_id for row in log()}


def test_push_needs_no_address(centre, own_db):
    centre.settings(**rules(event="reminder", minutes_before=60, channels=["push"]))
    centre.book(at(10), confirm=True)
    kept = Kept()
    with free(own_db):
        notices.deliver(own_db, {"push": kept}, now=at(9))
    assert [(each.address, each.recipient.id) for each in kept.outgoing] == [(None, centre.client.id)]


def test_a_channel_that_somebody_mutes_is_not_used_even_for_what_waits_already(centre, sent):
    booked = centre.book(at(10), confirm=True)
    sent(at(-14) - HOUR)  # made ahead
    mute(centre.client, ["email"])

    assert sent(at(-14)) == []
    assert [row.reason for row in log() if row.minutes_before == 24 * 60] == ["muted"]
    mute(centre.client, [])
    assert sent(at(9)) == [(booked.id, 60)]


def test_a_notice_goes_to_the_address_that_the_person_has_when_it_is_sent(centre, sent):
    centre.book(at(10), confirm=True)
    sent(at(-14) - HOUR)  # made ahead
    centre.client.email = "put-right@example.org"
    centre.client.save()

    sent(at(-14))
    assert [each.address for each in sent.kept.outgoing] == ["put-right@example.org"]
    assert [row.address for row in log() if row.state == "sent"] == ["put-right@example.org"]


def test_what_waits_for_a_duplicate_goes_to_the_one_that_stays(centre, sent):
    booked, keep = centre.book(at(10), confirm=True), make_user()
    sent(at(-14) - HOUR)  # made ahead
    people.merge_users(keep, centre.client, by=centre.staff)

    assert sent(at(-14)) == [(booked.id, 24 * 60)]
    assert [each.address for each in sent.kept.outgoing] == [keep.email]


def test_who_has_no_address_any_more_is_skipped(centre, own_db):
    centre.settings(**rules(event="reminder", minutes_before=60, channels=["sms"]))
    phone(centre.client, "+54 11 5555")
    centre.book(at(10), confirm=True)
    with free(own_db):
        notices.deliver(own_db, {"sms": Kept()}, now=at(8))  # made ahead
    phone(centre.client, None)
    with free(own_db):
        assert notices.deliver(own_db, {"sms": Kept()}, now=at(9)).sent == 0
    assert [(row.state, row.reason) for row in log()] == [("skipped", "no_address")]


def phone(user, number):
    user.phone = number
    user.save()


def test_who_is_no_contact_of_the_student_any_more_is_told_nothing(centre, sent):
    centre.student.secondary_contact = make_user()
    centre.student.save()
    centre.settings(**rules(event="reminder", minutes_before=60, channels=["email"], to=["second_contact"]))
    centre.book(at(10), confirm=True)
    sent(at(8))  # made ahead
    centre.student.secondary_contact = None
    centre.student.save()

    assert sent(at(9)) == []
    assert [row.reason for row in log()] == ["unwanted"]


@pytest.mark.parametrize(
    "settings",
    [
        {},
        reminders(30),
        rules(event="reminder", minutes_before=60, channels=["sms"]),
        rules(event="reminder", minutes_before=60, channels=["email"], to=["professional"]),
    ],
)
def test_what_no_rule_wants_any_more_is_not_sent(centre, sent, settings):
    centre.settings(**reminders(60))
    centre.book(at(10), confirm=True)
    sent(at(8))  # made ahead
    made = [row.id for row in log()]
    centre.settings(**settings)

    sent(at(9))
    assert centre.client.id not in {each.recipient.id for each in sent.kept.outgoing}
    assert [(row.state, row.reason) for row in log() if row.id in made] == [("skipped", "unwanted")]


def test_what_somebody_muted_is_not_even_made(centre, sent):
    mute(centre.client, ["email"])
    centre.book(at(10), confirm=True)
    assert sent(at(9)) == []
    assert log() == []


@pytest.mark.slow
def test_reminders_wait_for_the_quiet_hours_to_end(own_db, sent):
    quiet = reminders(60, quiet_hours={"start": "22:00", "end": "08:00"})
    with open_centre(own_db, weekly_schedule=ALWAYS, settings=quiet) as centre:
        late = centre.book(at(8.5), confirm=True)
        early = centre.book(at(7.25), student=centre.student, confirm=True)

        assert sent(at(-3)) == []
        assert sent(at(-2.5)) == [(early.id, 60)]  # half an hour before ten in the evening
        assert sent(at(7.5)) == []
        assert sent(at(8)) == [(late.id, 60)]


@pytest.mark.slow
def test_a_worker_that_comes_late_sends_nothing_in_quiet_hours(own_db, sent):
    quiet = reminders(60, quiet_hours={"start": "22:00", "end": "08:00"})
    with open_centre(own_db, weekly_schedule=ALWAYS, settings=quiet) as centre:
        centre.book(at(7.25), confirm=True)
        assert sent(at(-3)) == []
        assert sent(at(3)) == []
        assert [(row.state, row.reason) for row in log()] == [("skipped", "quiet_hours")]


@pytest.mark.slow
def test_a_failed_send_comes_again_with_the_same_key_until_it_is_given_up(centre, own_db):
    centre.settings(**reminders(60))
    centre.book(at(10), confirm=True)
    kept = Kept(fails=DeliveryError("busy"))
    options = {"now": at(9), "attempts": 3, "pause": lambda _: 0.0}
    with free(own_db):
        done = [notices.deliver(own_db, {"email": kept}, **options)]
    assert [(each.attempt, each.key) for each in kept.tried] == [(n, kept.tried[0].key) for n in (1, 2, 3)]
    assert (done[0].again, done[0].failed, done[0].sent) == (2, 1, 0)
    (row,) = log()
    assert (row.state, row.attempts, row.reason) == ("failed", 3, "DeliveryError: busy")
    (message,) = OutboxMessage.select().where(OutboxMessage.topic == "notice.fail")
    assert (message.payload["appointment_id"], message.payload["notice"]) == (row.appointment_id, "reminder")
    assert outbox.TOPICS["notice.fail", 1].model_validate(message.payload).reason == row.reason

    with free(own_db):
        assert notices.retry(own_db, now=at(9.25)) == 1
        kept.fails = None
        assert notices.deliver(own_db, {"email": kept}, now=at(9.25)).sent == 1
        assert notices.retry(own_db, now=at(9.25)) == 0


@pytest.mark.slow
def test_the_pause_grows_and_a_receiver_may_say_when(centre, own_db):
    centre.settings(**reminders(60))
    centre.book(at(10), confirm=True)
    kept = Kept(fails=DeliveryError("busy"))
    for attempt, waits in enumerate((2, 4, 8), start=1):
        (row,) = again(own_db, kept, at(9), attempt)
        assert waits / 2 <= (row.retry_at - row.updated_at).total_seconds() <= waits
    kept.fails = DeliveryError("later", retry_after=77.0)
    (row,) = again(own_db, kept, at(9), 4)
    assert row.retry_at - row.updated_at == timedelta(seconds=77)
    kept.fails = DeliveryError("in a thousand years", retry_after=1e15)
    (row,) = again(own_db, kept, at(9), 5)
    assert row.retry_at - row.updated_at == HOUR


def again(db, kept, now, attempt):
    with free(db):
        if rows := log():
            now = rows[0].retry_at
        notices.deliver(db, {"email": kept}, now=now)
    assert kept.tried[-1].attempt == attempt
    return log()


def test_what_a_receiver_refuses_for_good_is_given_up_at_once(centre, sent):
    centre.settings(**reminders(60))
    centre.book(at(10), confirm=True)
    sent.kept.fails = UndeliverableError("no such mailbox")
    sent(at(9))
    assert [(row.state, row.attempts) for row in log()] == [("failed", 1)]


@pytest.mark.slow
def test_a_worker_that_dies_while_it_sends_loses_nothing_and_is_counted(centre, own_db, sent):
    centre.settings(**reminders(60))
    booked = centre.book(at(10), confirm=True)
    dying = Kept(fails=KeyboardInterrupt())
    for attempt in range(2):
        with free(own_db), pytest.raises(KeyboardInterrupt):
            notices.deliver(own_db, {"email": dying}, now=at(9) + attempt * timedelta(minutes=5), attempts=3)
    assert sent(at(9) + timedelta(minutes=9)) == []  # the lease runs
    assert sent(at(9) + timedelta(minutes=10)) == [(booked.id, 60)]
    assert [(row.state, row.attempts) for row in log()] == [("sent", 3)]


@pytest.mark.slow
def test_attempts_that_never_ended_are_given_up(centre, own_db):
    centre.settings(**reminders(60))
    centre.book(at(10), confirm=True)
    with free(own_db), pytest.raises(KeyboardInterrupt):
        notices.deliver(own_db, {"email": Kept(fails=KeyboardInterrupt())}, now=at(9), attempts=1)
    with free(own_db):
        done = notices.deliver(own_db, {"email": Kept()}, now=at(9.5), attempts=1)
    assert (done.sent, done.failed) == (0, 1)
    assert [(row.state, row.reason) for row in log()] == [("failed", "given_up")]


@pytest.mark.slow
def test_what_another_worker_has_given_back_or_sent_counts_once(centre, own_db):
    """Its lease has ended while it sent: what it says then is not taken."""
    centre.settings(**reminders(60))
    centre.book(at(10), confirm=True)

    def slow(outgoing):
        if not other.outgoing:
            notices.deliver(own_db, {"email": other}, now=at(9) + timedelta(minutes=6))
        raise DeliveryError("too late")

    other = Kept(reference="theirs")
    with free(own_db):
        notices.deliver(own_db, {"email": slow}, now=at(9))
    assert [(row.state, row.reference, row.attempts) for row in log()] == [("sent", "theirs", 2)]


@pytest.mark.slow
def test_a_worker_that_is_to_stop_gives_back_what_it_has_not_begun(centre, own_db, sent):
    centre.settings(**reminders(60))
    for hour in (10, 11, 12):
        centre.book(at(hour, 0), confirm=True)
    stops = iter([False, False, False, True, True, True])
    kept = Kept()
    centre.settings(**reminders(240))
    with free(own_db):
        notices.deliver(own_db, {"email": kept}, now=at(9), is_stopping=lambda: next(stops))
    assert len(kept.outgoing) == 1
    assert sorted((row.state, row.attempts) for row in log()) == [("queued", 0), ("queued", 0), ("sent", 1)]
    assert len(sent(at(9))) == 2


def test_what_no_sender_is_there_for_waits_until_its_session_begins(centre, own_db):
    centre.settings(**rules(event="reminder", minutes_before=60, channels=["push"]))
    centre.book(at(10), confirm=True)
    with free(own_db):
        assert notices.deliver(own_db, {"email": Kept()}, now=at(9)).made == 1
        assert notices.standing(own_db, now=at(9.5)) == notices.Standing(1, 1, 0, 0, 0, at(9))
        assert notices.deliver(own_db, {"email": Kept()}, now=at(10)).skipped == 1
        assert notices.standing(own_db, now=at(10)) == notices.Standing(0, 0, 0, 0, 1, None)
    assert [row.reason for row in log()] == ["too_late"]


@pytest.mark.parametrize(
    "happens",
    [
        ("booked", lambda booked: None),
        ("confirmed", lambda booked: booked.confirm(now=NOW)),
        ("moved", lambda booked: reschedule(booked, at(11), now=NOW)),
        ("cancelled", lambda booked: booked.cancel(now=NOW, reason="ill")),
    ],
)
def test_what_happens_is_told_once_however_often_the_outbox_tells_it(centre, own_db, happens):
    event, make = happens
    centre.settings(**rules(event=event, channels=["email"]))
    booked = centre.book(at(10))
    make(booked)
    kept = Kept()
    for _ in range(2):
        told(own_db, notices.hear)
    with free(own_db):
        notices.deliver(own_db, {"email": kept}, now=NOW)
    assert [(each.notice.event, each.recipient.id) for each in kept.outgoing] == [(event, centre.client.id)]
    assert Appointment.get_by_id(booked.id).scheduled_at == kept.outgoing[0].notice.occurs_at


def test_what_happened_and_is_not_so_any_more_is_not_told(centre, own_db, sent):
    centre.settings(**EMAIL)
    booked = centre.book(at(10))
    booked.confirm(now=NOW)
    booked.cancel(now=NOW, reason="ill")
    told(own_db, notices.hear)
    sent(NOW)
    assert [each.notice.event for each in sent.kept.outgoing] == ["cancelled"]
    assert {row.event: row.reason for row in log()} == {"booked": "moot", "confirmed": "moot", "cancelled": None}


@pytest.mark.slow
def test_who_was_erased_is_told_of_nothing_any_more(centre, own_db):
    cancelled = {"event": "cancelled", "channels": ["email", "push"]}
    reminder = {"event": "reminder", "minutes_before": 60, "channels": ["email"], "to": ["second_contact"]}
    centre.settings(**rules(cancelled, reminder))
    centre.student.secondary_contact = second = make_user()
    centre.student.save()
    gone = centre.book_for_another(at(12))
    centre.book(at(10), confirm=True)
    people.erase_user(own_db, gone.client_id, by=centre.staff, cancel=True, now=NOW)
    people.erase_user(own_db, second, by=centre.staff, now=NOW)
    told(own_db, notices.hear)
    notices.make_reminders(at(9))
    assert log() == []


def test_a_draft_is_nobodys_news(centre, own_db):
    centre.settings(**EMAIL)
    centre.book(at(10), draft=True).cancel(now=NOW, reason="a mistake")
    told(own_db, notices.hear)
    assert log() == []


@pytest.mark.slow
def test_news_waits_for_the_morning_unless_the_session_is_sooner(own_db, sent):
    night = rules(event="confirmed", channels=["email"]) | {}
    night["notices"]["quiet_hours"] = {"start": "00:00", "end": "08:00"}
    with open_centre(own_db, weekly_schedule=ALWAYS, settings=night) as centre:
        early, late = centre.book(at(7, -2), now=NOW), centre.book(at(9, -2), now=NOW)
        for booked in (early, late):
            booked.confirm(now=NOW)
        told(own_db, notices.hear)
        assert [each for each, _ in sent(NOW + HOUR)] == [early.id]
        assert [each for each, _ in sent(at(8, -2))] == [late.id]


@pytest.mark.slow
def test_an_organization_that_is_switched_off_is_left_alone(own_db):
    with open_centre(own_db, settings=BOTH) as centre:
        centre.book(at(10), confirm=True)
    with own_db.privileged(reason="close"):
        centre.organization.active = False
        centre.organization.save()
    assert notices.deliver(own_db, {"email": Kept()}, now=at(9)) == notices.Delivered()


@pytest.mark.slow
def test_organizations_have_notices_of_their_own(own_db):
    booked = {}
    for _ in range(2):
        with open_centre(own_db, settings=reminders(60)) as centre:
            booked[centre.organization.id] = centre.book(at(10), confirm=True).id
    make_organization(own_db)
    kept = Kept(own_db)
    assert notices.deliver(own_db, {"email": kept}, now=at(9)).sent == 2
    assert {each.organization.id: each.notice.appointment_id for each in kept.outgoing} == booked
    assert kept.bound == [each.organization.id for each in kept.outgoing]


@walked("wrong", [{"batch": 0}, {"attempts": True}, {"lease": timedelta(0)}, {"lease": 5}])
def test_arguments_that_cannot_be_are_refused(own_db, wrong):
    with pytest.raises(ConfigurationError):
        notices.deliver(own_db, {"email": Kept()}, **wrong)
    with pytest.raises(ConfigurationError):
        notices.deliver(own_db, {"email": "smtp://"})


@pytest.mark.parametrize(
    "wrong",
    [
        {"rules": [{"event": "reminder", "channels": ["email"]}]},
        {"rules": [{"event": "booked", "minutes_before": 5, "channels": ["email"]}]},
        {"rules": [{"event": "booked", "channels": []}]},
        {"rules": [{"event": "booked", "channels": ["E-mail"]}]},
        {"rules": [{"event": "booked", "channels": ["email"], "to": ["everybody"]}]},
        {"quiet_hours": {"start": "22:00", "end": "22:00"}},
        {"quiet_hours": {"start": "08:00", "end": "07:00"}},
        {"texts": [{"wording": "booked", "language": "en", "subject": "x", "text": "{name.__class__}"}]},
        {"texts": [{"wording": "booked", "language": "en", "subject": "x", "text": "y"}] * 2},
        {"keep_days": -1},
    ],
)
def test_settings_that_make_no_sense_are_refused(centre, wrong):
    with pytest.raises(InvalidDataError):
        centre.settings(notices=wrong)


def log():
    return list(Notice.select().order_by(Notice.minutes_before.desc(), Notice.id))


def email_of(user_id):
    return User.get_by_id(user_id).email


def mute(user, channels):
    user.muted_channels = channels
    user.save()

"""E-mails through a real SMTP server, with what people typed into them."""

import re
from datetime import UTC, datetime, timedelta
from email import message_from_bytes
from email.policy import default

import pytest
from aiosmtpd.controller import Controller
from icalendar import Calendar

from rayces_core import Appointment, Role, StateTransition, User, people, scheduling, sign_in
from rayces_core.errors import ConfigurationError, UndeliverableError
from rayces_core.outbox.calendar import Entry, ics, uid_of
from rayces_core.outbox.letters import Letter
from rayces_core.outbox.mail import Mail
from rayces_core.outbox.message import Message
from rayces_core.outbox.relaying import Relay
from rayces_core.outbox.rendering import LANGUAGES, NAMES, Templates
from tests.factory import make_appointment, make_organization, make_student, make_user
from tests.outbox.boxes import put, standing
from tests.scheduling.worlds import NOW, at, open_centre
from tests.walking import walked

DAY, HOUR = timedelta(days=1), timedelta(hours=1)
AT = datetime(2031, 3, 3, 12, 0, tzinfo=UTC)


class Box:
    """What a mail server has taken; `refuses` is its answer to a recipient."""

    def __init__(self):
        self.mails, self.refuses = [], {}

    async def handle_RCPT(self, server, session, envelope, address, options):
        if address in self.refuses:
            return self.refuses[address]
        envelope.rcpt_tos.append(address)
        return "250 OK"

    async def handle_DATA(self, server, session, envelope):
        self.mails.append((envelope.rcpt_tos, message_from_bytes(envelope.content, policy=default)))
        return "250 OK"


class OnFreePort(Controller):
    """Port 0 asks for a free one, which the controller does not find out by itself."""

    def _trigger_server(self):
        self.port = self.server.sockets[0].getsockname()[1]
        super()._trigger_server()


@pytest.fixture(scope="module")
def smtp():
    box = Box()
    controller = OnFreePort(box, hostname="127.0.0.1", port=0)
    controller.start()
    box.url = f"smtp+plain://127.0.0.1:{controller.port}"
    yield box
    controller.stop()


@pytest.fixture
def box(smtp):
    smtp.mails.clear()
    smtp.refuses.clear()
    return smtp


@pytest.fixture
def a(bare_db):
    return make_organization(bare_db, name="Centro Norte", address="Calle 1", phone="011 4444")


@pytest.fixture
def appointment(bare_db, a):
    with bare_db.tenant(a):
        return make_appointment(
            client=make_user(email="eva@example.org", first_name="Eva", last_name="Gómez"),
            student=make_student(first_name="Luz", last_name="Sosa"),
            scheduled_at=AT,
        )


def mail(box, **options):
    names = ("invitation", "confirmation", "reset")
    links = {name: sign_in.link("https://{subdomain}.example.org/" + name + "/{token}") for name in names}
    return Mail(box.url, **({"sender": "bookings@example.org", "links": links} | options))


def written(db, box, organization, topic, subject, **payload):
    """The mail that a message of this topic makes."""
    options = payload.pop("options", {})
    put(db, organization, subject, topic=topic, **payload)
    Relay(db, {"mail": mail(box, **options)}, attempts=1).run_once()
    return box.mails[-1] if box.mails else None


def test_a_confirmation_is_written_to_who_booked_with_a_calendar_entry(bare_db, a, appointment, box):
    to, told = written(
        bare_db,
        box,
        a,
        "appointment.confirm",
        appointment.id,
        to_state="confirmed",
        scheduled_at=AT.isoformat(),
        duration_minutes=45,
    )
    assert to == ["eva@example.org"]
    assert told["From"] == "Centro Norte <bookings@example.org>"
    assert told["To"] == "Eva Gómez <eva@example.org>"
    assert told["Subject"] == "Confirmed: Luz Sosa on Monday 3 March 2031, 09:00"
    assert "45 minutes, with Ana Paz." in told.get_body(("plain",)).get_content()
    assert told["Auto-Submitted"] == "auto-generated"
    (attached,) = told.iter_attachments()
    assert attached.get_content_type() == "text/calendar"
    assert attached.get_param("method") == "REQUEST"
    calendar = Calendar.from_ical(attached.get_payload(decode=True))
    (event,) = calendar.walk("VEVENT")
    assert calendar["method"] == "REQUEST"
    assert event["uid"] == uid_of("appointment", appointment.id, a)
    assert (event.decoded("dtstart"), event.decoded("dtend")) == (AT, AT + timedelta(minutes=45))
    assert (event["sequence"], event["status"], event["location"]) == (0, "CONFIRMED", "Calle 1")


@pytest.mark.slow
@walked(
    ("language", "subject"), [("en", "A time is free: Luz Sosa on Monday"), ("es", "Se liberó un horario: Luz Sosa")]
)
def test_who_is_offered_a_time_is_told_until_when_it_is_kept(bare_db, a, appointment, box, language, subject):
    held = {"to_state": "pre_confirmed", "scheduled_at": AT.isoformat(), "expires_at": (AT - HOUR).isoformat()}
    options = {"options": {"language": language}}
    to, told = written(
        bare_db, box, a, "appointment.book", appointment.id, slot_request_id=7, **held, duration_minutes=45, **options
    )
    assert (to, told["Subject"][: len(subject)]) == (["eva@example.org"], subject)
    assert "08:00" in told.get_body(("plain",)).get_content()


@pytest.mark.slow
@walked(
    ("own", "given", "read"),
    [
        ("es", "en", "Confirmado"),
        (None, "en", "Confirmed"),
        ("en", "es", "Confirmed"),
        ("en", lambda user, organization: "es", "Confirmado"),
    ],
)
def test_a_letter_is_in_the_users_own_language(bare_db, a, appointment, box, own, given, read):
    with bare_db.tenant(a):
        User.update(language=own).where(User.id == appointment.client_id).execute()
    _, told = written(bare_db, box, a, "appointment.confirm", appointment.id, options={"language": given})
    assert told["Subject"].partition(":")[0] == read


def test_a_hosts_own_letter_that_is_not_in_the_users_language_is_in_the_hosts(bare_db, a, appointment, box, tmp_path):
    (tmp_path / "es").mkdir()
    (tmp_path / "es" / "welcome.txt").write_text("Hola\n\n{{ name }}", "utf-8")
    with bare_db.tenant(a):
        User.update(language="en").where(User.id == appointment.client_id).execute()

    def write(message):
        return [Letter("welcome", User.get_by_id(message.subject[1]))]

    options = {"folders": [tmp_path], "language": "es", "letters": {"host.welcome": write}}
    _, told = written(bare_db, box, a, "host.welcome", appointment.client_id, options=options)
    assert told["Subject"] == "Hola"


def test_a_cancellation_takes_the_same_entry_out_with_a_greater_sequence(bare_db, a, appointment, box):
    entries = []
    steps = (("confirm", "confirmed", "appointment.confirm"), ("reschedule", "confirmed", "appointment.reschedule"))
    for event, to_state, topic in (*steps, ("cancel", "cancelled", "appointment.cancel")):
        with bare_db.tenant(a):
            StateTransition.create(
                subject_type="Appointment",
                subject_id=appointment.id,
                event=event,
                from_state="confirmed",
                to_state=to_state,
                occurred_at=datetime.now(UTC) - timedelta(seconds=1),
            )
        _, told = written(
            bare_db, box, a, topic, appointment.id, to_state=to_state, from_state="confirmed", reason="ill"
        )
        (attached,) = told.iter_attachments()
        calendar = Calendar.from_ical(attached.get_payload(decode=True))
        entries.append((calendar["method"], calendar.walk("VEVENT")[0]))
    assert [(method, event["sequence"]) for method, event in entries] == [("REQUEST", 1), ("REQUEST", 2), ("CANCEL", 3)]
    assert len({event["uid"] for _, event in entries}) == 1
    assert "Reason: ill" in told.get_body(("plain",)).get_content()


@pytest.mark.slow
@pytest.mark.parametrize(
    ("topic", "payload", "subject"),
    [
        ("appointment.pre_confirm", {"to_state": "pre_confirmed", "expires_at": AT.isoformat()}, "Please confirm: Luz"),
        ("appointment.book", {"to_state": "pre_confirmed", "expires_at": AT.isoformat()}, "Please confirm: Luz"),
        ("appointment.reschedule", {"to_state": "confirmed"}, "New time: Luz"),
        ("appointment.expire", {"from_state": "pre_confirmed"}, "Cancelled: Luz"),
        ("appointment.book", {"to_state": "draft"}, None),
        ("appointment.cancel", {"from_state": "draft"}, None),
        ("appointment.execute", {}, None),
        ("note.written", {}, None),
    ],
)
def test_each_topic_has_its_letter_or_none(bare_db, a, appointment, box, topic, payload, subject):
    found = written(bare_db, box, a, topic, appointment.id, **payload)
    assert standing(bare_db)[1][0] == "delivered"
    assert (found is None) == (subject is None)
    if found is not None:
        assert found[1]["Subject"].startswith(subject)


@pytest.mark.slow
def test_nobody_writes_to_who_was_erased(bare_db, a, box):
    with bare_db.tenant(a):
        gone = make_user()
        people.erase_user(bare_db, gone, by=make_user(role=Role.STAFF))
    spent = {"user_id": gone.id, "transaction_type": "appointment_debit", "balance_after": 0}
    assert written(bare_db, box, a, "credit_transaction.post", 1, **spent) is None


def test_nobody_is_asked_to_confirm_what_is_cancelled(bare_db, a, appointment, box):
    with bare_db.tenant(a):
        appointment.cancel(reason="ill")
    assert written(bare_db, box, a, "appointment.book", appointment.id, to_state="pre_confirmed") is None


@pytest.mark.slow
def test_few_credits_are_told_of_when_they_are_spent(bare_db, a, box):
    with bare_db.tenant(a):
        user = make_user(email="eva@example.org", first_name="Eva")
    for kind, amount, left in (
        ("appointment_debit", -1, 3),
        ("purchase", 5, 1),
        ("admin_adjustment", -1, 1),
        ("appointment_debit", -1, 1),
    ):
        told = {"user_id": user.id, "transaction_type": kind, "amount": amount, "balance_after": left}
        written(bare_db, box, a, "credit_transaction.post", 9, **told)
    ((_, told),) = box.mails
    assert told["Subject"] == "1 credit left"


@pytest.mark.slow
@pytest.mark.parametrize("path", ["invitation", "confirmation", "reset"])
def test_the_link_of_an_e_mail_does_what_was_asked_for(bare_db, a, box, path):
    relay = Relay(bare_db, {"mail": mail(box, language="es")}, attempts=1)
    with bare_db.tenant(a):
        user = make_user(email="eva@example.org", first_name="Eva")
        if path == "reset":
            sign_in.request_reset("eva@example.org")
        else:
            {"invitation": sign_in.invite, "confirmation": sign_in.request_confirmation}[path](user)
    assert relay.run_once() == 1
    ((to, told),) = box.mails
    text = told.get_body(("plain",)).get_content()
    assert (to, "Hola Eva:" in text) == (["eva@example.org"], True)
    (token,) = re.findall(rf"https://{a.subdomain}\.example\.org/{path}/(\S+)", text)
    with bare_db.tenant(a):
        if path == "confirmation":
            assert sign_in.confirm_email(token) == user
        else:
            use = {"invitation": sign_in.accept_invitation, "reset": sign_in.reset_password}[path]
            assert use(token, "a long password of mine") == user


def test_a_link_whose_token_nobody_makes_is_refused(box):
    with pytest.raises(ConfigurationError, match=r"sign_in\.link"):
        mail(box, links={"reset": "https://example.org/{token}"})


@pytest.mark.slow
@pytest.mark.parametrize("firm", [True, False])
def test_a_session_that_is_booked_moved_and_cancelled_is_told_step_by_step(bare_db, box, firm):
    with open_centre(bare_db) as centre:
        booked = centre.book(at(10), confirm=firm)
        if not firm:
            booked.confirm(now=NOW + timedelta(minutes=1))
        scheduling.reschedule(booked, at(11), now=NOW + timedelta(minutes=2))
        Appointment.get_by_id(booked.id).cancel(reason="ill", now=NOW + timedelta(minutes=3))
    relay = Relay(bare_db, {"mail": mail(box)}, attempts=1)
    while relay.run_once():
        pass
    told, uids = [], set()
    for _, each in box.mails:
        (attached,) = each.iter_attachments()
        calendar = Calendar.from_ical(attached.get_payload(decode=True))
        (event,) = calendar.walk("VEVENT")
        told.append((each["Subject"].partition(":")[0], str(calendar["method"]), event["sequence"]))
        uids.add(str(event["uid"]))
    assert told == [("Confirmed", "REQUEST", 1), ("New time", "REQUEST", 2), ("Cancelled", "CANCEL", 3)]
    assert len(uids) == 1


@pytest.mark.slow
def test_a_session_whose_record_is_corrected_is_not_confirmed_to_anybody(bare_db, box):
    with open_centre(bare_db) as centre:
        booked = centre.book(at(10), confirm=True)
        booked.execute(now=at(12))
        booked.reopen(reason="mistaken", now=at(13))
    relay = Relay(bare_db, {"mail": mail(box)}, attempts=1)
    while relay.run_once():
        pass
    assert {state for state, *_ in standing(bare_db).values()} == {"delivered"}
    assert [each["Subject"].partition(":")[0] for _, each in box.mails] == ["Confirmed"]


def test_bookings_of_an_organization_with_e_mails_among_its_notices_are_left_to_those(bare_db, a, appointment, box):
    by_email = {"rules": [{"event": "confirmed", "channels": ["email"]}, {"event": "cancelled", "channels": ["sms"]}]}
    with bare_db.tenant(a):
        a.settings = {"notices": by_email}
        a.save()
    assert written(bare_db, box, a, "appointment.confirm", appointment.id) is None
    assert written(bare_db, box, a, "appointment.cancel", appointment.id) is not None


def test_without_a_link_an_invitation_is_given_up(bare_db, a, box):
    with bare_db.tenant(a):
        user = make_user()
    written(bare_db, box, a, "user.invited", user.id, options={"links": {}})
    assert standing(bare_db)[1][0] == "dead"
    assert "needs a link" in standing(bare_db)[1][3]


@pytest.mark.parametrize("answer", ["550 no such user", "450 try later"])
def test_what_the_server_refuses_for_good_is_not_tried_again(bare_db, a, appointment, box, answer):
    box.refuses["eva@example.org"] = answer
    put(bare_db, a, appointment.id, topic="appointment.confirm")
    Relay(bare_db, {"mail": mail(box)}).run_once()
    state, _, _, error = standing(bare_db)[1]
    assert state == ("dead" if answer[0] == "5" else "pending")
    assert answer[4:] in error


def test_a_server_that_is_away_is_tried_again(bare_db, a, appointment):
    put(bare_db, a, appointment.id, topic="appointment.confirm")
    deliver = Mail("smtp+plain://127.0.0.1:1", sender="bookings@example.org")
    Relay(bare_db, {"mail": deliver}).run_once()
    assert standing(bare_db)[1][0] == "pending"


# -- what people type -------------------------------------------------------------------------------------------------

NASTY = [
    "Eva\r\nBcc: all@example.org",
    "Eva\nX-Spam: no",
    'Eva", <x@evil.org>',
    "=?utf-8?q?x?=",
    "\u202eavE",
    "Ñandú 🎈",
    "x" * 250,
]


@pytest.mark.parametrize("name", NASTY)
def test_no_name_makes_a_header_or_a_recipient_of_its_own(name, box):
    deliver, organization = mail(box), type("O", (), {"name": name, "address": name, "id": 1})()
    user = User(id=1, email="eva@example.org", first_name=name, last_name="")
    values = {"student": name, "professional": name}
    rendered = Templates().render(
        "reset",
        "en",
        {
            "zone": None,
            "name": name,
            "organization": type("O", (), {"name": name, "phone": None})(),
            "link": "l",
            "expires_at": None,
        },
    )
    message = Message(1, 1, "id-1", "t", 1, ("User", 1), {}, AT, 1)
    made = deliver._mail(message, Letter("reset", user, values), 0, rendered, organization)
    deliver._server.send(made, 5)

    ((to, told),) = box.mails
    assert to == ["eva@example.org"]
    assert {"Bcc", "X-Spam"}.isdisjoint(told.keys())
    assert [address.addr_spec for address in told["To"].addresses] == ["eva@example.org"]
    assert [address.addr_spec for address in told["From"].addresses] == ["bookings@example.org"]
    assert "\n" not in told["Subject"]


@pytest.mark.parametrize(
    "email", ["eva@example.org\r\nBcc: x@y.org", "eva@example.org, x@y.org", "<x", "@", "", "a b@c.d"]
)
def test_an_address_that_is_none_is_given_up(a, box, email):
    deliver = mail(box)
    user = User(id=1, email=email, first_name="Eva", last_name="")
    rendered = Templates().render(
        "reset", "en", {"zone": None, "name": "Eva", "organization": a, "link": "l", "expires_at": None}
    )
    message = Message(1, 1, "id-1", "t", 1, ("User", 1), {}, AT, 1)
    with pytest.raises(UndeliverableError):
        deliver._mail(message, Letter("reset", user), 0, rendered, a)


@pytest.mark.parametrize("text", ["a\r\nATTENDEE:mailto:x@evil.org", 'a;b,c:d\\n"e"', "Ñ 🎈" * 60])
def test_no_name_makes_a_line_of_its_own_in_a_calendar(text):
    made = ics(Entry("uid-1", 3, "REQUEST", AT, 45, text, (text, "b@example.org"), (text, "e@example.org"), AT, text))
    (event,) = Calendar.from_ical(made).walk("VEVENT")
    assert event["attendee"] == "mailto:e@example.org"
    assert event["organizer"] == "mailto:b@example.org"
    assert made.count(b"\r\nATTENDEE") == 1
    assert all(len(line) <= 75 for line in made.split(b"\r\n"))


# -- templates --------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("language", LANGUAGES)
@pytest.mark.parametrize("name", NAMES)
def test_every_template_fills_in_with_and_without_what_may_be_missing(name, language, a):
    for whole in (True, False):
        values = {
            "organization": a,
            "zone": a.zone,
            "name": "Eva",
            "student": "Luz",
            "professional": "Ana",
            "starts_at": AT,
            "minutes": 45,
            "credits": 2 if whole else 1,
            "expires_at": AT,
            "moved": whole,
            "reason": "x" if whole else None,
            "link": "https://x" if whole else None,
        }
        made = Templates().render(name, language, values)
        assert made.subject
        assert "\n\n\n" not in made.text
        assert "Centro Norte" in made.text
        assert made.html is None


def test_both_languages_have_every_template():
    from importlib.resources import files

    for language in LANGUAGES:
        folder = files("rayces_core.outbox") / "templates" / language
        assert {each.name for each in folder.iterdir()} == {f"{name}.txt" for name in NAMES}


def test_a_hosts_templates_come_first_and_may_be_html(bare_db, a, appointment, box, tmp_path):
    (tmp_path / "en").mkdir()
    (tmp_path / "en" / "booking_confirmed.txt").write_text("Hi {{ name }}\n\nSee you.\n")
    (tmp_path / "en" / "booking_confirmed.html").write_text("<p>{{ student }}</p>")
    with bare_db.tenant(a):
        student = appointment.student
        student.first_name = "<b>Luz</b>"
        student.save()
    _, told = written(bare_db, box, a, "appointment.confirm", appointment.id, options={"folders": [tmp_path]})
    assert told["Subject"] == "Hi Eva"
    assert told.get_body(("html",)).get_content().strip() == "<p>&lt;b&gt;Luz&lt;/b&gt; Sosa</p>"


def test_a_template_that_asks_for_what_is_not_there_is_given_up(bare_db, a, appointment, box, tmp_path):
    (tmp_path / "en").mkdir()
    (tmp_path / "en" / "booking_confirmed.txt").write_text("Hi {{ nobody }}\n\nx")
    written(bare_db, box, a, "appointment.confirm", appointment.id, options={"folders": [tmp_path]})
    assert standing(bare_db)[1][0] == "dead"


@walked(
    ("server", "options"),
    [
        ("https://mail.example.org", {}),
        ("mail.example.org", {}),
        ("smtp://", {}),
        ("smtp://h:port", {}),
        ("smtp://h", {"sender": "nobody"}),
        ("smtp://h", {"sender": "a@b\r\nX: y"}),
        ("smtp://h", {"language": "../en"}),
        (None, {}),
    ],
)
def test_a_malformed_configuration_is_refused(server, options):
    with pytest.raises(ConfigurationError):
        Mail(server, **({"sender": "bookings@example.org"} | options))


def test_a_password_is_not_shown():
    assert "geheim" not in repr(Mail("smtp://u:geheim@h", sender="a@b.org")._server)

"""What a family is told of a time that is offered to it: an event of its own, over whatever channel there is."""

import json
import threading
import urllib.request
from datetime import date
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer

import pytest

from rayces_core import Notice, notices, outbox
from rayces_core.scheduling import accept_offer, decline_offer, offer_slots, request_slot
from tests.notices.senders import Kept, rules, told
from tests.outbox.test_mail import box, smtp  # noqa: F401 - fixtures
from tests.scheduling.worlds import ALWAYS, HOUR, INSTANT, NOW, another_family, at, open_centre

MONDAY = date(2031, 3, 3)
NIGHT = {"start": "00:00", "end": "08:00"}


@pytest.fixture
def opened(own_db):
    """Opens a centre with these settings."""
    blocks = []

    def open_(zone="UTC", **settings):
        blocks.append(open_centre(own_db, weekly_schedule=ALWAYS, settings=settings, zone=zone))
        return blocks[-1].__enter__()

    yield open_
    for block in blocks:
        block.__exit__(None, None, None)


@pytest.fixture
def http():
    """A provider of messages over HTTP: its address, and what was posted to it."""
    posted = []

    class Provider(BaseHTTPRequestHandler):
        def do_POST(self):
            body = self.rfile.read(int(self.headers["Content-Length"]))
            posted.append((self.headers["Idempotency-Key"], json.loads(body)))
            self.send_response(201)
            self.end_headers()

        def log_message(self, *_):
            pass

    with ThreadingHTTPServer(("127.0.0.1", 0), Provider) as server:
        thread = threading.Thread(target=server.serve_forever)
        thread.start()
        yield f"http://127.0.0.1:{server.server_port}", posted
        server.shutdown()
        thread.join()


def posting(url):
    """A channel whose sender posts to a provider."""

    def send(outgoing):
        body = json.dumps({"to": outgoing.address, "text": outgoing.text}).encode()
        headers = {"Idempotency-Key": outgoing.key, "Content-Type": "application/json"}
        with urllib.request.urlopen(urllib.request.Request(url, body, headers), timeout=60) as answer:
            return str(answer.status)

    return send


def an_offer(centre, **person):
    """A time that is offered to another family, as the relay tells of it."""
    family = another_family()
    for name, value in person.items():
        setattr(family["client"], name, value)
    family["client"].save()
    asked = family | {"professional": centre.professional, "from_day": MONDAY, "until_day": MONDAY}
    request = request_slot(**asked, now=NOW)
    (offer,) = offer_slots(NOW)
    told(centre.db, notices.hear)
    return request, offer


def deliver(db, senders, now=NOW):
    with db.privileged(reason="a worker's place"):
        return notices.deliver(db, senders, now=now)


def log():
    return list(Notice.select().order_by(Notice.id))


@pytest.mark.parametrize(
    ("zone", "subject", "words"),
    [
        ("UTC", "A time is free: ", "is offered to the next family"),
        ("America/Argentina/Buenos_Aires", "Se liberó un horario: ", "se lo ofrecemos a la familia que sigue"),
    ],
)
def test_every_channel_has_the_words_of_an_offer(opened, own_db, box, http, zone, subject, words):  # noqa: F811
    url, posted = http
    event = {"event": "offered", "channels": ["email", "whatsapp"]}
    centre = opened(zone, notices={"rules": [event, {"event": "booked", "channels": ["email", "whatsapp"]}]})
    request, offer = an_offer(centre, phone="+54 11 4321 5678")
    until = offer.expires_at.astimezone(centre.organization.zone).strftime("%H:%M")

    email = notices.Email(box.url, sender="bookings@example.org")
    assert deliver(own_db, {"email": email, "whatsapp": posting(url)}).sent == 2

    ((recipients, mail),) = box.mails
    assert recipients == [request.client.email]
    assert mail["Subject"].startswith(subject)
    ((key, sent),) = posted
    for text in (mail.get_content().replace("\n", " "), sent["text"]):
        assert words in text
        assert until in text
    assert (key, sent["to"]) == (f"notice-{centre.organization.id}-{log()[-1].id}", "+54 11 4321 5678")
    assert [(row.event, row.state) for row in log()] == [("offered", "sent")] * 2


@pytest.mark.parametrize(
    ("events", "subject"), [((), "A time is free"), (("booked",), "A time is free"), (("offered",), None)]
)
def test_the_letter_of_an_offer_goes_out_unless_the_organization_has_a_rule_for_it(opened, box, events, subject):  # noqa: F811
    centre = opened(notices={"rules": [{"event": event, "channels": ["email"]} for event in events]})
    an_offer(centre)
    told(centre.db, outbox.Mail(box.url, sender="bookings@example.org"))
    assert [mail["Subject"].partition(":")[0] for _, mail in box.mails] == ([] if subject is None else [subject])


def test_an_offer_is_told_in_the_organizations_own_words(opened, own_db):
    own = {"wording": "offered", "language": "en", "subject": "Free!", "text": "{student} until {expires_at}"}
    centre = opened(notices=rules(event="offered", channels=["email"])["notices"] | {"texts": [own]})
    an_offer(centre)
    kept = Kept()
    deliver(own_db, {"email": kept})
    assert [each.subject for each in kept.outgoing] == ["Free!"]


def test_an_offer_that_is_over_or_was_answered_is_told_to_nobody(opened, own_db):
    centre = opened(**rules(event="offered", channels=["email"]))
    kept = Kept()
    request, offer = an_offer(centre)
    assert deliver(own_db, {"email": kept}, offer.expires_at + INSTANT).skipped == 1
    decline_offer(request, now=NOW)
    offer_slots(NOW)
    told(own_db, notices.hear)
    accept_offer(request, now=NOW)
    assert deliver(own_db, {"email": kept}).skipped == 1
    assert kept.outgoing == []
    assert [row.reason for row in log()] == ["moot", "moot"]


@pytest.mark.parametrize(("minutes", "told_at"), [(120, NOW), (600, at(8, -2))])
def test_an_offer_waits_for_the_morning_unless_it_is_over_by_then(opened, own_db, minutes, told_at):
    rule = {"event": "offered", "channels": ["email"]}
    centre = opened(notices={"rules": [rule], "quiet_hours": NIGHT}, slot_offer_minutes=minutes)
    an_offer(centre)
    assert [row.due_at for row in log()] == [told_at]
    assert [deliver(own_db, {"email": Kept()}, now).sent for now in (NOW + HOUR, at(8, -2))] == (
        [1, 0] if told_at == NOW else [0, 1]
    )


def test_an_offer_that_failed_before_the_night_is_tried_in_it_where_it_ends_in_it(opened, own_db):
    rule = {"event": "offered", "channels": ["email"]}
    late = {"start": "01:00", "end": "08:00"}
    centre = opened(notices={"rules": [rule], "quiet_hours": late}, slot_offer_minutes=120)
    an_offer(centre)
    assert deliver(own_db, {"email": Kept(fails=OSError("away"))}).again == 1
    assert deliver(own_db, {"email": Kept()}, NOW + HOUR).sent == 1

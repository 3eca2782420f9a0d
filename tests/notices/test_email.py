"""The sender of e-mails, through a real SMTP server."""

import pytest

from rayces_core import Notice, notices
from rayces_core.errors import ConfigurationError
from tests.notices.senders import reminders
from tests.outbox.test_mail import box, smtp  # noqa: F401 - fixtures
from tests.scheduling.worlds import at, open_centre


def send(db, server, **names):
    sender = notices.Email(server.url, sender="bookings@example.org")
    with open_centre(db, settings=reminders(60)) as centre:
        for name, value in names.items():
            setattr(centre.client, name, value)
        centre.client.save()
        centre.book(at(10), confirm=True)
    notices.deliver(db, {"email": sender}, now=at(9))
    with db.tenant(centre.organization):
        return Notice.get()


@pytest.mark.slow
def test_an_e_mail_reaches_whom_the_notice_is_for(own_db, box):  # noqa: F811
    notice = send(own_db, box, first_name="Ana\r\nBcc: all@example.org")

    ((recipients, mail),) = box.mails
    assert (notice.state, notice.reference) == ("sent", mail["Message-ID"])
    assert recipients == [notice.address]
    assert mail["From"].addresses[0].addr_spec == "bookings@example.org"
    assert (mail["Bcc"], mail["Auto-Submitted"]) == (None, "auto-generated")
    assert mail["Subject"].startswith("Reminder: ")
    assert mail["Message-ID"] == f"<notice-{notice.organization_id}-{notice.id}@example.org>"
    assert "Hello Ana" in mail.get_content()


@pytest.mark.slow
@pytest.mark.parametrize(("answer", "state"), [("550 no such user", ("failed", 1)), ("450 try later", ("queued", 1))])
def test_what_the_server_refuses_for_good_is_not_tried_again(own_db, box, answer, state):  # noqa: F811
    box.refuses["eva@example.org"] = answer
    notice = send(own_db, box, email="eva@example.org")
    assert (notice.state, notice.attempts) == state
    assert answer[4:] in notice.reason


def test_a_sender_is_one_address():
    with pytest.raises(ConfigurationError):
        notices.Email("smtp://localhost", sender="bookings")

"""Links that work once: asked for through the outbox, minted for the e-mail, used up by one."""

from concurrent.futures import ThreadPoolExecutor
from datetime import timedelta
from types import SimpleNamespace

import pytest

from rayces_core import OutboxMessage, TenantNotSetError, clock, sign_in
from rayces_core.errors import (
    EmailUnconfirmedError,
    InvalidDataError,
    InvalidLinkError,
    UnauthenticatedError,
    UndeliverableError,
)
from rayces_core.models import SingleUseToken
from tests.factory import make_user
from tests.sign_in.conftest import PASSWORD, credential

NEW = "another long one"


@pytest.fixture
def link(user):
    """The link of a forgotten password, as the e-mail has it."""
    sign_in.request_reset(user.email)
    return sign_in.mint(SingleUseToken.get().id)


def test_a_forgotten_password_is_chosen_anew_once(user, link):
    assert sign_in.reset_password(link, NEW) == user
    assert sign_in.check_password(user.email, NEW) == user
    assert credential(user).email_confirmed_at is not None
    with pytest.raises(InvalidLinkError):
        sign_in.reset_password(link, "a third long one")


def test_who_has_chosen_a_password_by_a_link_can_be_signed_in_at_once(user, link):
    tokens = sign_in.Tokens("s" * 32)
    before = tokens.issue(user)
    now = tokens.issue(sign_in.reset_password(link, NEW))
    assert tokens.user(now) == user
    with pytest.raises(UnauthenticatedError):
        tokens.user(before)


def test_of_many_who_use_a_link_at_once_one_succeeds(db, a, user, link):
    def use(n):
        with db.tenant(a):
            try:
                return sign_in.reset_password(link, f"{NEW} {n}") and n
            except InvalidLinkError:
                return None

    with ThreadPoolExecutor(6) as pool:
        (won,) = [n for n in pool.map(use, range(6)) if n is not None]
    assert sign_in.check_password(user.email, f"{NEW} {won}") == user


def test_a_password_that_is_refused_does_not_use_the_link_up(user, link):
    with pytest.raises(InvalidDataError):
        sign_in.reset_password(link, "short")
    assert sign_in.reset_password(link, NEW) == user


def test_a_link_is_of_one_purpose_one_organization_and_expires(db, b, user, link):
    for use in (sign_in.confirm_email, lambda token: sign_in.accept_invitation(token, NEW)):
        with pytest.raises(InvalidLinkError):
            use(link)
    with db.tenant(b), pytest.raises(InvalidLinkError):
        sign_in.reset_password(link, NEW)
    with clock.frozen(clock.now() + timedelta(hours=3)), pytest.raises(InvalidLinkError):
        sign_in.reset_password(link, NEW)
    assert sign_in.check_password(user.email, PASSWORD) == user


@pytest.mark.parametrize("token", ["", None, "1", "1.", ".x", "x.y", "9" * 30 + ".x", "-1.x", "\u0661.x", "1.\x00"])
def test_what_is_no_link_is_refused(user, link, token):
    with pytest.raises(InvalidLinkError):
        sign_in.reset_password(token, NEW)


def test_the_message_names_the_request_and_holds_no_secret(user, link):
    (message,) = OutboxMessage.select()
    assert (message.topic, message.subject_type, message.subject_id) == ("user.reset_requested", "User", user.id)
    assert set(message.payload) == {"id", "request_id", "occurred_at", "expires_at"}
    kept = f"{message.payload} {list(SingleUseToken.select().dicts())}"
    assert link.partition(".")[2] not in kept


def test_every_e_mail_about_a_request_has_a_link_and_one_use_ends_all(user, link):
    again = sign_in.mint(SingleUseToken.get().id)
    assert again != link
    assert sign_in.reset_password(link, NEW) == user
    with pytest.raises(InvalidLinkError):
        sign_in.reset_password(again, NEW)
    with pytest.raises(InvalidLinkError):
        sign_in.mint(SingleUseToken.get().id)


def test_the_link_of_an_e_mail_is_written_from_its_message(user):
    sign_in.invite(user)
    message = SimpleNamespace(payload=OutboxMessage.get().payload)
    write = sign_in.link("https://{subdomain}.example.org/welcome?token={token}")
    url = write(message, user, SimpleNamespace(subdomain="north"))
    assert url.startswith("https://north.example.org/welcome?token=")
    assert sign_in.accept_invitation(url.partition("token=")[2], NEW) == user


def test_who_asks_again_at_once_gets_one_message_and_nobody_is_told_who_is_known(db, a, user):
    assert sign_in.request_reset("nobody@example.org") is sign_in.request_reset("no address") is None

    def ask(_):
        with db.tenant(a):
            sign_in.request_reset(user.email)

    with ThreadPoolExecutor(4) as pool:
        list(pool.map(ask, range(8)))
    assert OutboxMessage.select().count() == 1
    with clock.frozen(clock.now() + timedelta(minutes=3)):
        sign_in.request_reset(user.email)
    assert OutboxMessage.select().count() == 2


def test_a_request_that_is_undone_sends_nothing(db, user):
    with pytest.raises(ZeroDivisionError), db.atomic():
        sign_in.request_reset(user.email)
        raise ZeroDivisionError
    assert OutboxMessage.select().count() == 0


def test_confirming_notes_the_address(user):
    other = make_user()
    sign_in.request_confirmation(other)
    assert sign_in.confirm_email(sign_in.mint(SingleUseToken.get().id)) == other
    assert credential(other).email_confirmed_at is not None
    assert credential(other).password_hash is None


def test_what_people_sign_in_with_goes_with_them(user, link):
    sign_in.Tokens("s" * 32).issue(user, "phone")
    OutboxMessage.select().get()
    user.delete_instance()
    assert SingleUseToken.select().count() == 0


# -- an address that has changed ------------------------------------------------------------------------------------


def changed(user):
    user.email = "other@example.org"
    user.save()


ASKED = {
    sign_in.request_confirmation: sign_in.confirm_email,
    sign_in.invite: lambda token: sign_in.accept_invitation(token, NEW),
    lambda user: sign_in.request_reset(user.email): lambda token: sign_in.reset_password(token, NEW),
}


@pytest.mark.parametrize(("ask", "use"), ASKED.items(), ids=["confirmation", "invitation", "reset"])
def test_a_link_is_for_the_address_that_it_was_asked_for(user, ask, use):
    ask(user)
    request = SingleUseToken.get().id
    token = sign_in.mint(request)
    changed(user)
    for refused in (lambda: use(token), lambda: sign_in.mint(request)):
        with pytest.raises(InvalidLinkError):
            refused()
    ask(user)  # at once, though the one before is two minutes old at most
    assert use(sign_in.mint(SingleUseToken.select().order_by(SingleUseToken.id.desc()).get().id)) == user


def test_a_confirmation_is_of_one_address(user):
    sign_in.request_confirmation(user)
    sign_in.confirm_email(sign_in.mint(SingleUseToken.get().id))
    assert credential(user).confirms("ANA@example.org ")
    changed(user)
    assert not credential(user).confirms(user.email)
    with pytest.raises(EmailUnconfirmedError):
        sign_in.check_password(user.email, PASSWORD, only_confirmed=True)
    assert sign_in.check_password(user.email, PASSWORD) == user


def test_an_e_mail_about_a_link_that_is_of_no_use_any_more_is_given_up_at_once(user):
    sign_in.invite(user)
    message = SimpleNamespace(payload=OutboxMessage.get().payload)
    changed(user)
    with pytest.raises(UndeliverableError):
        sign_in.link("https://example.org/{token}")(message, user, SimpleNamespace(subdomain="north"))


@pytest.mark.parametrize("secret", ["\ud800", "\udfff" * 9, "\x00", "é"])
def test_a_link_with_what_is_no_text_is_none(user, link, secret):
    token = f"{link.partition('.')[0]}.{secret}"
    for use in ASKED.values():
        with pytest.raises(InvalidLinkError):
            use(token)


@pytest.mark.parametrize("email", ["\ud800@example.org", "a\x00@example.org", None, 5, ""])
def test_asking_for_a_link_for_what_is_no_address_tells_nothing(user, email):
    assert sign_in.request_reset(email) is None
    assert OutboxMessage.select().count() == 0


def test_links_need_a_tenant(db, user, link):
    request = SingleUseToken.get().id
    asking = [lambda _, ask=ask: ask(user) for ask in ASKED]
    with db.privileged(reason="a test"):
        for use in (*ASKED.values(), *asking, lambda _: sign_in.mint(request)):
            with pytest.raises(TenantNotSetError):
                use(link)
    assert OutboxMessage.select().count() == 1

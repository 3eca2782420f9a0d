"""Devices: each is signed out by itself, all of them by a new password or a sign-out without one."""

from datetime import timedelta

import pytest

from rayces_core import CrossTenantError, User, clock, sign_in
from rayces_core.errors import InvalidDataError, UnauthenticatedError
from tests.factory import make_user

TOKENS = sign_in.Tokens("s" * 32)


def is_in(token):
    try:
        return bool(TOKENS.user(token))
    except UnauthenticatedError:
        return False


def test_one_device_is_signed_out_and_the_others_stay(user):
    plain, phone, tablet = (
        TOKENS.issue(user),
        TOKENS.issue(user, "phone", address="203.0.113.7"),
        TOKENS.issue(user, "tablet"),
    )
    assert [(device.name, device.address) for device in sign_in.devices(user)] == [
        ("tablet", None),
        ("phone", "203.0.113.7"),
    ]
    sign_in.sign_out(user, sign_in.devices(user)[1])
    assert [is_in(token) for token in (plain, phone, tablet)] == [True, False, True]
    sign_in.sign_out(user, sign_in.devices(user)[0].id)
    assert [is_in(token) for token in (plain, phone, tablet)] == [True, False, False]


def test_a_sign_out_without_a_device_is_everybodys(user):
    tokens = [TOKENS.issue(user), TOKENS.issue(user, "phone")]
    before = user.jti
    sign_in.sign_out(user)
    assert not any(map(is_in, tokens))
    assert user.jti == User.get_by_id(user.id).jti != before
    assert sign_in.devices(user) == []
    assert is_in(TOKENS.issue(user))


def test_a_new_password_signs_out_everybody_and_ends_the_links(user):
    token = TOKENS.issue(user, "phone")
    sign_in.request_reset("ana@example.org")
    link = sign_in.mint(user.single_use_tokens.get().id)
    sign_in.set_password(user, "another long one")
    assert not is_in(token)
    with pytest.raises(sign_in.links.InvalidLinkError):
        sign_in.reset_password(link, "a third long one")
    assert sign_in.check_password("ana@example.org", "another long one") == user


def test_a_token_that_names_its_device_is_signed_out_by_what_it_says(user):
    plain, phone, tablet = TOKENS.issue(user), TOKENS.issue(user, "phone"), TOKENS.issue(user, "tablet")
    sign_in.sign_out(make_user(), TOKENS.claims(phone).device)
    assert is_in(phone)
    sign_in.sign_out(user, TOKENS.claims(phone).device)
    assert [is_in(token) for token in (plain, phone, tablet)] == [True, False, True]
    sign_in.sign_out(user, TOKENS.claims(plain).device)
    assert not any(map(is_in, (plain, tablet)))


def test_another_users_device_is_not_signed_out_by_it(db, b, user):
    phone = TOKENS.issue(user, "phone")
    sign_in.sign_out(make_user(), sign_in.devices(user)[0])
    assert is_in(phone)
    with db.tenant(b), pytest.raises(CrossTenantError):
        sign_in.sign_out(user)
    assert is_in(phone)


def test_a_device_expires(user):
    token = TOKENS.issue(user, "phone")
    with clock.frozen(clock.now() + timedelta(days=29)):
        assert is_in(token)
    with clock.frozen(clock.now() + timedelta(days=31)):
        assert not is_in(token)
        assert sign_in.devices(user) == []


@pytest.mark.parametrize("name", ["", "  ", 5, "a\0b", "\ud800"])
def test_a_device_has_a_name(user, name):
    with pytest.raises(InvalidDataError):
        TOKENS.issue(user, name)


def test_a_token_costs_no_query_and_its_user_one_with_a_device_too(user, asked):
    plain = TOKENS.issue(user)
    assert asked == []
    phone = TOKENS.issue(user, "phone")
    asked.clear()
    TOKENS.claims(phone)
    assert asked == []
    for token in (plain, phone):
        TOKENS.user(token)
    assert len(asked) == 2


def test_no_secret_is_in_what_is_shown(user):
    assert "s" * 32 not in repr(TOKENS)

"""Entering with e-mail address and password: who gets in, what is noted, and how guessing is slowed down."""

from concurrent.futures import ThreadPoolExecutor
from datetime import UTC, datetime, timedelta

import pytest

from rayces_core import CrossTenantError, InvalidDataError, TenantNotSetError, User, clock, sign_in
from rayces_core.errors import EmailUnconfirmedError, TooManyAttemptsError, WrongCredentialsError
from rayces_core.models import SignInAttempt
from rayces_core.sign_in import attempts, passwords
from rayces_core.sign_in.needed import hashers
from tests.factory import make_user
from tests.sign_in.conftest import HASH, PASSWORD, credential

MORNING = datetime(2031, 3, 3, 9, tzinfo=UTC)
HERE, THERE = "203.0.113.7", "198.51.100.9"


def refused(email="ana@example.org", password="wrong", **options):
    with pytest.raises((WrongCredentialsError, TooManyAttemptsError)) as caught:
        sign_in.check_password(email, password, **options)
    return caught.value


def test_the_right_password_gives_the_user_and_notes_the_sign_in(user):
    with clock.frozen(MORNING):
        first = sign_in.check_password("  ANA@Example.org ", PASSWORD, address=f"::ffff:{HERE}")
    assert first == user
    assert (first.sign_in_count, first.current_sign_in_at, first.last_sign_in_at) == (1, MORNING, MORNING)
    with clock.frozen(MORNING + timedelta(hours=1)):
        second = sign_in.check_password("ana@example.org", PASSWORD, address=THERE)
    assert (second.sign_in_count, second.current_sign_in_ip, second.last_sign_in_ip) == (2, THERE, HERE)
    assert second.last_sign_in_at == MORNING
    assert User.get_by_id(user.id).sign_in_count == 2


@pytest.mark.parametrize("address", [None, ""])
def test_an_empty_address_is_one_that_is_not_known(user, address):
    sign_in.check_password("ana@example.org", PASSWORD, address=HERE)
    entered = sign_in.check_password("ana@example.org", PASSWORD, address=address)
    assert (entered.current_sign_in_ip, entered.last_sign_in_ip) == (None, HERE)
    for _ in range(6):  # from this network a wait would have begun
        assert type(refused(address=address)) is WrongCredentialsError
    assert type(refused(address=HERE)) is WrongCredentialsError
    tokens = sign_in.Tokens("s" * 32)
    assert tokens.user(tokens.issue(user, "a phone", address=address)) == user
    assert {device.address for device in sign_in.devices(user)} == {None}


@pytest.mark.parametrize("address", [" ", "testclient", "203.0.113.7:80", "unix:", 5.5])
def test_an_address_that_is_none_is_refused(user, address):
    for use in (
        lambda: sign_in.check_password("ana@example.org", PASSWORD, address=address),
        lambda: sign_in.Tokens("s" * 32).issue(user, "a phone", address=address),
    ):
        with pytest.raises(InvalidDataError):
            use()


@pytest.mark.parametrize("email", ["ana@example.org", "nobody@example.org", "no address", "", None, "\x00", "a" * 1000])
def test_what_is_wrong_is_one_error_and_is_not_told_apart(user, email):
    make_user(email="bea@example.org")  # has no password
    errors = {str(refused(email)), str(refused("bea@example.org"))}
    assert len(errors) == 1


@pytest.mark.parametrize("password", ["", None, 5, "x" * 5000, PASSWORD + " "])
def test_another_password_is_wrong_whatever_it_is(user, password):
    assert type(refused(password=password)) is WrongCredentialsError


def test_a_hash_is_verified_for_everybody_so_that_the_time_tells_nothing(user, monkeypatch):
    seen = []

    class Watching:
        real = passwords._hashers()

        def hash(self, password):
            return self.real.hash(password)

        def verify_and_update(self, password, hashed):
            seen.append(hashed)
            return self.real.verify_and_update(password, hashed)

    monkeypatch.setattr(passwords, "_hashers", Watching)
    for email in ("ana@example.org", "nobody@example.org", "no address"):
        refused(email)
    assert len(seen) == 3
    assert all(hashed.startswith("$argon2id$") for hashed in seen)


def test_a_password_is_of_one_organization(db, user, b):
    with db.tenant(b):
        refused(password=PASSWORD)
        make_user(email="ana@example.org")
        refused(password=PASSWORD)
    with pytest.raises(CrossTenantError), db.tenant(b):
        sign_in.set_password(user, "another long one")


def test_privileged_work_signs_nobody_in(db):
    with db.privileged(reason="a test"), pytest.raises(TenantNotSetError):
        sign_in.check_password("ana@example.org", PASSWORD)


def test_only_a_confirmed_address_where_that_is_asked_for(user):
    with pytest.raises(EmailUnconfirmedError):
        sign_in.check_password("ana@example.org", PASSWORD, only_confirmed=True)
    sign_in.request_confirmation(user)
    sign_in.confirm_email(sign_in.mint(user.single_use_tokens.get().id))
    assert sign_in.check_password("ana@example.org", PASSWORD, only_confirmed=True) == user


def test_a_hash_of_devise_is_believed_and_exchanged(user):
    from bcrypt import gensalt, hashpw

    sign_in.import_password_hash(user, hashpw(PASSWORD.encode(), gensalt(4)).decode())
    assert sign_in.check_password("ana@example.org", PASSWORD) == user
    assert credential(user).password_hash.startswith("$argon2id$")
    assert sign_in.check_password("ana@example.org", PASSWORD) == user


@pytest.mark.parametrize("hashed", ["plain", "$1$md5", "", None, "$argon2i$v=19$x"])
def test_other_hashes_are_refused_and_not_told(user, hashed):
    with pytest.raises(InvalidDataError) as caught:
        sign_in.import_password_hash(user, hashed)
    assert caught.value.value is None


def test_hashers_are_of_full_strength():
    assert hashers().hash(PASSWORD).startswith("$argon2id$v=19$m=65536,t=3,p=4$")


# -- how guessing is slowed down ------------------------------------------------------------------------------------


def test_after_five_failures_from_one_place_each_further_one_waits_twice_as_long(user):
    now, waits = MORNING, []
    for _ in range(5):
        with clock.frozen(now):
            assert type(refused(address=HERE)) is WrongCredentialsError
    for _ in range(8):
        with clock.frozen(now):
            waits.append(refused(address=HERE).retry_after)
            assert refused(address=HERE, password=PASSWORD).retry_after == waits[-1]  # not looked at, not counted
        now += timedelta(seconds=waits[-1])
        with clock.frozen(now):
            assert type(refused(address=HERE)) is WrongCredentialsError
    assert waits == [15, 30, 60, 120, 240, 480, 900, 900]


def test_who_guesses_from_elsewhere_makes_the_owner_wait_a_minute_at_most(user):
    with clock.frozen(MORNING):
        for n in range(60):
            refused(address=f"198.51.100.{n}")
        wait = refused(address=HERE, password=PASSWORD).retry_after
    assert wait <= 60
    with clock.frozen(MORNING + timedelta(seconds=wait)):
        assert sign_in.check_password("ana@example.org", PASSWORD, address=HERE) == user


def test_one_place_that_tries_many_addresses_is_slowed_down(user):
    with clock.frozen(MORNING):
        kinds = [type(refused(f"user{n}@example.org", address=HERE)) for n in range(51)]
        assert kinds == [WrongCredentialsError] * 50 + [TooManyAttemptsError]
        assert sign_in.check_password("ana@example.org", PASSWORD, address=THERE) == user


def test_who_signs_in_starts_again_and_a_day_forgets(user):
    with clock.frozen(MORNING):
        for _ in range(4):
            refused(address=HERE)
        sign_in.check_password("ana@example.org", PASSWORD, address=HERE)
        for _ in range(5):
            assert type(refused(address=HERE)) is WrongCredentialsError
        assert type(refused(address=HERE)) is TooManyAttemptsError
    with clock.frozen(MORNING + timedelta(days=2)):
        for _ in range(5):
            assert type(refused(address=HERE)) is WrongCredentialsError


def test_many_at_once_are_as_many(db, a, user):
    def attempt(_):
        with db.tenant(a), clock.frozen(MORNING):
            return type(refused(address=HERE))

    with ThreadPoolExecutor(8) as pool:
        kinds = list(pool.map(attempt, range(24)))
    assert kinds.count(WrongCredentialsError) == 5
    assert kinds.count(TooManyAttemptsError) == 19


def test_nothing_is_counted_under_a_name_that_tells_who_it_was(user):
    refused(address=HERE)
    kept = " ".join(str(row) for row in SignInAttempt.select().dicts())
    assert HERE not in kept
    assert "ana" not in kept


def test_prune_takes_what_is_of_no_use_any_more(user):
    with clock.frozen(MORNING):
        refused(address=HERE)
        sign_in.request_reset("ana@example.org")
        sign_in.Tokens("s" * 32).issue(User.get_by_id(user.id), "phone")
        assert sign_in.prune() == 0
    with clock.frozen(MORNING + timedelta(days=60)):
        assert sign_in.prune() == len(attempts.LIMITS) + 2


def test_a_password_has_a_shortest_and_a_longest_length_and_is_not_told(user):
    for wrong in ("short", "x" * 2000, None, 12):
        with pytest.raises(InvalidDataError) as caught:
            sign_in.set_password(user, wrong)
        assert caught.value.value is None
        assert str(wrong) == "None" or str(wrong) not in str(caught.value) or wrong == 12
    assert credential(user).password_hash == HASH

"""Whom the counts of failed attempts hold up, and whom they do not."""

from concurrent.futures import ThreadPoolExecutor
from datetime import UTC, datetime, timedelta
from threading import Event, Thread

import pytest

from rayces_core import TransactionFailedError, clock, sign_in
from rayces_core.errors import EmailUnconfirmedError, TooManyAttemptsError, WrongCredentialsError
from rayces_core.models import SignInAttempt
from rayces_core.sign_in import attempts
from tests.sign_in.conftest import PASSWORD
from tests.sizes import quick_or_whole

MORNING = datetime(2031, 3, 3, 9, tzinfo=UTC)
EMAIL, HERE, THERE = "ana@example.org", "203.0.113.7", "198.51.100.9"


def tried(password=PASSWORD, address=HERE, email=EMAIL):
    try:
        return bool(sign_in.check_password(email, password, address=address))
    except (WrongCredentialsError, TooManyAttemptsError) as error:
        return type(error)


def guess_from_everywhere(times=60):
    return [tried("wrong", f"198.18.{n // 250}.{n % 250}") for n in range(times)]


def signed_in_before(user):
    tried()


def signed_in_before_the_last_time(user):
    tried()
    tried(address=THERE)


def has_a_device(user):
    sign_in.Tokens("s" * 32).issue(user, "phone", address=f"::ffff:{HERE}")


@pytest.mark.slow
@pytest.mark.parametrize("known", [signed_in_before, signed_in_before_the_last_time, has_a_device])
def test_who_guesses_from_elsewhere_never_holds_up_the_owner_at_a_known_place(user, known):
    with clock.frozen(MORNING - timedelta(days=1)):
        known(user)
    for seconds in range(0, 300, quick_or_whole(150, 60)):
        with clock.frozen(MORNING + timedelta(seconds=seconds)):
            assert guess_from_everywhere()[-1] is TooManyAttemptsError
            assert tried() is True


@pytest.mark.slow
def test_the_owners_sign_in_from_a_known_place_gives_the_guesser_nothing_back(user):
    with clock.frozen(MORNING):
        tried()
        guess_from_everywhere()
        assert tried() is True
        assert guess_from_everywhere(3) == [TooManyAttemptsError] * 3


def test_a_known_place_is_held_up_by_its_own_failures(user):
    with clock.frozen(MORNING):
        tried()
        assert [tried("wrong") for _ in range(6)] == [WrongCredentialsError] * 5 + [TooManyAttemptsError]


def test_a_place_that_is_another_users_is_not_known(user):
    with clock.frozen(MORNING):
        tried(address=THERE)
        guess_from_everywhere()
        assert tried() is TooManyAttemptsError


def test_a_place_is_a_64_of_ipv6(user):
    with clock.frozen(MORNING):
        kinds = [tried("wrong", f"2001:db8:0:1::{n:x}") for n in range(1, 7)]
        assert kinds == [WrongCredentialsError] * 5 + [TooManyAttemptsError]
        assert tried(address="2001:db8:0:2::1") is True
        guess_from_everywhere()
        assert tried(address="2001:db8:0:2:ffff::9") is True


@pytest.mark.slow
def test_right_passwords_use_up_nothing_of_a_place(user):
    with clock.frozen(MORNING):
        assert {tried() for _ in range(52)} == {True}
        assert SignInAttempt.select().count() == 0


def test_a_right_password_of_an_address_that_is_not_confirmed_uses_up_nothing(user):
    with clock.frozen(MORNING):
        for _ in range(8):
            with pytest.raises(EmailUnconfirmedError):
                sign_in.check_password(EMAIL, PASSWORD, address=HERE, only_confirmed=True)
        assert SignInAttempt.select().count() == 0


def test_a_right_password_takes_back_its_own_attempt_and_no_others(user):
    with clock.frozen(MORNING):
        for n in range(49):
            tried("wrong", email=f"user{n}@example.org")
        assert tried() is True
        assert tried("wrong", email="one@example.org") is WrongCredentialsError
        assert tried() is TooManyAttemptsError
    with clock.frozen(MORNING + timedelta(seconds=30)):
        assert tried() is True
        assert tried() is True
        assert tried("wrong", email="two@example.org") is WrongCredentialsError
        assert tried() is TooManyAttemptsError


def test_a_place_where_people_sign_in_is_forgiven_a_day_after_its_last_failure(user):
    with clock.frozen(MORNING):
        for n in range(49):
            tried("wrong", email=f"user{n}@example.org")
    with clock.frozen(MORNING + timedelta(hours=20)):
        assert tried() is True
    with clock.frozen(MORNING + timedelta(hours=25)):
        kinds = [tried("wrong", email=f"user{n}@example.org") for n in range(51)]
    assert kinds == [WrongCredentialsError] * 50 + [TooManyAttemptsError]


@pytest.mark.parametrize("password", ["wrong", PASSWORD])
def test_within_a_unit_of_work_nothing_is_checked_since_it_could_undo_the_count(db, user, password):
    with pytest.raises(TransactionFailedError), db.atomic():
        sign_in.check_password(EMAIL, password, address=HERE)
    with pytest.raises(TransactionFailedError), db.atomic(), db.atomic():
        sign_in.check_password(EMAIL, password)
    with pytest.raises(TransactionFailedError):
        db.retrying()(sign_in.check_password)(EMAIL, password)
    SignInAttempt._meta.database.begin()
    try:
        with pytest.raises(TransactionFailedError):
            sign_in.check_password(EMAIL, password)
    finally:
        SignInAttempt._meta.database.rollback()
    assert SignInAttempt.select().count() == 0


def test_a_burst_on_a_place_that_was_never_seen_is_counted_to_the_last(db, a, user):
    started, go = Event(), Event()

    def first():
        with db.tenant(a), clock.frozen(MORNING), db.atomic():
            attempts.count(EMAIL, HERE)
            started.set()
            go.wait(60)

    def attempt(_):
        with db.tenant(a), clock.frozen(MORNING):
            return tried("wrong")

    holder = Thread(target=first)
    holder.start()
    started.wait(60)
    with ThreadPoolExecutor(12) as pool:
        going = [pool.submit(attempt, n) for n in range(12)]
        holder.join(0.4)  # all wait for the row by now
        go.set()
        kinds = [each.result() for each in going]
    holder.join()
    assert (kinds.count(WrongCredentialsError), kinds.count(TooManyAttemptsError)) == (4, 8)


def test_pruning_waits_for_nobody_who_is_at_a_row(db, a, user):
    with clock.frozen(MORNING):
        assert tried("wrong") is WrongCredentialsError
    with clock.frozen(MORNING + timedelta(days=9)), ThreadPoolExecutor(1) as pool:

        def prune():
            with db.tenant(a), clock.frozen(MORNING + timedelta(days=9)):
                return sign_in.prune()

        with db.atomic():
            attempts.count(EMAIL, HERE)
            assert pool.submit(prune).result(60) == 0
        assert tried("wrong") is WrongCredentialsError
        assert SignInAttempt.select().count() == 3


@pytest.mark.parametrize("email", ["\ud800@example.org", "a\x00@example.org", "x" * 5000])
def test_an_address_that_cannot_be_stored_is_counted_like_any_other(user, email):
    with clock.frozen(MORNING):
        kinds = [tried("wrong", email=email) for _ in range(6)]
    assert kinds == [WrongCredentialsError] * 5 + [TooManyAttemptsError]

"""Passwords and hashes: what is believed, what is exchanged, and what a change of password leaves nobody to do."""

import logging
from datetime import UTC, datetime, timedelta
from threading import Event, Thread

import pytest
from bcrypt import gensalt, hashpw

from rayces_core import InvalidDataError, User, clock, sign_in
from rayces_core.errors import UnauthenticatedError, WrongCredentialsError
from rayces_core.models import Credential, SingleUseToken
from rayces_core.sign_in import entering
from rayces_core.sign_in.hashes import believable
from tests.sign_in.conftest import CHEAP, HASH, PASSWORD, credential
from tests.walking import walked

EMAIL, NEW = "ana@example.org", "the new long password"
MORNING = datetime(2031, 3, 3, 9, tzinfo=UTC)
BCRYPT = "$2a$04$ikJzxCiaPB9MBAhov82qG.VbF9GFDWtOZWyXIQddxabpA.tjI4MqO"

ARGON2 = "$argon2id$v=19$m=8,t=1,p=1$j3ZbfY+cvHz5ufVWrHBnOw$4NeetoPN0hBVF14DYgNI0KR0E+jeYz/4IAkGgLlztt4"


def devises(password: bytes) -> str:
    return hashpw(password[:72], gensalt(4, b"2a")).decode()


def signs_in(password):
    try:
        return bool(sign_in.check_password(EMAIL, password))
    except WrongCredentialsError:
        return False


def in_a_thread(db, a, work):
    def bound():
        with db.tenant(a):
            work()

    thread = Thread(target=bound)
    thread.start()
    return thread


@pytest.fixture
def changed_meanwhile(db, a, user, monkeypatch):
    """Somebody gives the user a new password just after the old one was found right."""
    real = entering.verify

    def verify(*given):
        found = real(*given)
        monkeypatch.setattr(entering, "verify", real)
        in_a_thread(db, a, lambda: sign_in.set_password(User.get_by_id(user.id), NEW)).join()
        return found

    monkeypatch.setattr(entering, "verify", verify)


@pytest.mark.parametrize("hashed", [HASH, devises(PASSWORD.encode())], ids=["argon2", "bcrypt"])
def test_a_password_that_was_changed_meanwhile_signs_nobody_in_and_does_not_come_back(user, hashed, request):
    sign_in.import_password_hash(user, hashed)
    request.getfixturevalue("changed_meanwhile")
    assert not signs_in(PASSWORD)
    assert not signs_in(PASSWORD)
    assert User.get_by_id(user.id).sign_in_count == 0
    assert signs_in(NEW)


def test_a_user_who_is_deleted_meanwhile_signs_in_no_more(user, monkeypatch):
    real = entering.verify
    monkeypatch.setattr(entering, "verify", lambda *given: (real(*given), User.delete_by_id(user.id))[0])
    assert not signs_in(PASSWORD)


def test_an_address_that_is_changed_meanwhile_signs_nobody_in(user, monkeypatch):
    real = entering.verify
    change = User.update(email="other@example.org").where(User.id == user.id)
    monkeypatch.setattr(entering, "verify", lambda *given: (real(*given), change.execute())[0])
    assert not signs_in(PASSWORD)
    assert User.get_by_id(user.id).sign_in_count == 0


@pytest.mark.slow
@pytest.mark.parametrize(
    "ask", [sign_in.request_confirmation, sign_in.invite, lambda u: sign_in.request_reset(u.email)]
)
def test_a_link_that_is_asked_for_while_the_password_changes_ends_with_it(db, a, user, ask):
    asked, go = Event(), Event()

    def asking():
        with db.atomic():
            ask(User.get_by_id(user.id))
            asked.set()
            go.wait(60)

    first = in_a_thread(db, a, asking)
    asked.wait(60)
    second = in_a_thread(db, a, lambda: sign_in.set_password(User.get_by_id(user.id), NEW))
    second.join(0.3)
    assert second.is_alive()
    go.set()
    first.join()
    second.join()
    assert not SingleUseToken.get().is_open(clock.now())


@pytest.mark.parametrize("password", ["x" * 73, "é" * 40, "a\x00b", "\ud800", "x" * 72 + "\ud800"])
@pytest.mark.parametrize("hashed", [HASH, devises(PASSWORD.encode())], ids=["argon2", "bcrypt"])
def test_a_password_that_a_hasher_cannot_take_is_a_wrong_one(user, hashed, password):
    sign_in.import_password_hash(user, hashed)
    assert not signs_in(password)


@pytest.mark.parametrize("password", ["x" * 80, "é" * 40])
def test_of_a_long_password_bcrypt_reads_72_bytes_as_devise_has_it_and_keeps_its_hash(user, password):
    sign_in.import_password_hash(user, devises(password.encode()))
    assert signs_in(password + " and what devise never saw")
    assert signs_in(password)
    assert credential(user).password_hash.startswith("$2a$")
    sign_in.set_password(user, password)
    assert signs_in(password)
    assert not signs_in(password + "y")


def test_of_a_password_the_longest_one_counts_to_its_end(user):
    sign_in.set_password(user, "x" * 1024)
    assert signs_in("x" * 1024)
    assert not signs_in("x" * 1025)
    assert not signs_in("x" * 1023)


def test_half_a_surrogate_pair_is_no_password(user):
    for password in ("\ud800" * 14, "long enough \udfff"):
        with pytest.raises(InvalidDataError) as caught:
            sign_in.set_password(user, password)
        assert caught.value.value is None
    assert signs_in(PASSWORD)


@walked(
    "hashed",
    [
        *("$2a$garbage", "$2b$12$short", "$2x$04$" + "a" * 53, BCRYPT[:-1], BCRYPT + "a", BCRYPT + "\n"),
        *(BCRYPT.replace("$04$", f"${cost}$") for cost in ("99", "03", "31", "17", "4")),
        *(BCRYPT[:28] + "/" + BCRYPT[29:], BCRYPT[:-1] + "P", BCRYPT.replace("i", "é", 1)),
        *("$argon2id$x", "$argon2id$", ARGON2[:-1], ARGON2[:-5], ARGON2 + "=", ARGON2.rpartition("$")[0] + "$AAAA"),
        *(ARGON2.replace("m=8", memory) for memory in ("m=7", "m=99999999999", "m=08", "m=9000000")),
        *(
            ARGON2.replace("t=1", "t=0"),
            ARGON2.replace("t=1", "t=99"),
            ARGON2.replace("p=1", "p=2"),
            ARGON2.replace("19", "18"),
        ),
        ARGON2.replace(ARGON2.split("$")[4], "AAAA"),
    ],
)
def test_a_hash_that_is_broken_or_takes_minutes_is_not_taken_over(user, hashed):
    with pytest.raises(InvalidDataError):
        sign_in.import_password_hash(user, hashed)
    assert signs_in(PASSWORD)


def test_every_hash_that_the_hashers_make_is_taken_over():
    assert believable(ARGON2)
    for n in range(40):
        made = (CHEAP.hash(f"{n}"), devises(b"%d" % n), hashpw(b"x", gensalt(4, b"2b")).decode())
        assert all(map(believable, [*made, made[1].replace("$2a$", "$2y$")]))
    assert believable(HASH.replace("v=19", "v=16"))
    assert believable(HASH.replace("v=19$", ""))


@pytest.mark.parametrize("hashed", ["$unknown", "$2b$99$" + "a" * 53, "$argon2id$x"])
def test_a_hash_that_was_written_past_the_library_and_cannot_be_read_lets_nobody_in(user, hashed, caplog):
    Credential.update(password_hash=hashed).where(Credential.user == user.id).execute()
    assert not signs_in(PASSWORD)
    assert not signs_in("\ud800")
    assert hashed not in caplog.text


def test_exchanging_a_hash_is_no_change_of_the_password(user):
    with clock.frozen(MORNING):
        sign_in.import_password_hash(user, devises(PASSWORD.encode()))
    with clock.frozen(MORNING + timedelta(days=9)):
        assert signs_in(PASSWORD)
        assert credential(user).password_hash.startswith("$argon2id$")
        assert credential(user).password_changed_at == MORNING
        sign_in.set_password(user, NEW)
        assert credential(user).password_changed_at == MORNING + timedelta(days=9)


def test_no_log_of_statements_shows_a_hash(user, caplog):
    caplog.set_level(logging.DEBUG)
    sign_in.set_password(user, NEW)
    sign_in.import_password_hash(user, devises(NEW.encode()))
    hashes = [credential(user).password_hash]
    assert signs_in(NEW)
    hashes.append(credential(user).password_hash)
    row = credential(user)
    row.password_hash = HASH
    row.save()
    assert "credentials" in caplog.text
    assert not [hashed for hashed in [*hashes, HASH, NEW] if hashed in caplog.text]


def test_a_hash_that_cannot_be_stored_is_not_told(user):
    with pytest.raises(InvalidDataError) as caught:
        Credential.update(password_hash="$a\x00b").where(Credential.user == user.id).execute()
    assert caught.value.value is None


def test_a_token_that_was_made_across_a_change_of_password_is_worth_nothing(db, a, user):
    tokens = sign_in.Tokens("s" * 32)
    entered = sign_in.check_password(EMAIL, PASSWORD)
    in_a_thread(db, a, lambda: sign_in.set_password(User.get_by_id(user.id), NEW)).join()
    for token in (tokens.issue(entered), tokens.issue(entered, "phone")):
        with pytest.raises(UnauthenticatedError):
            tokens.user(token)

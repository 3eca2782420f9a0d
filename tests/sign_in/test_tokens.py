"""Access tokens: of one organization, of one user, until it is revoked or expires."""

from datetime import timedelta

import jwt
import pytest

from rayces_core import User, clock
from rayces_core.errors import ConfigurationError, UnauthenticatedError
from rayces_core.sign_in import Tokens
from tests.factory import make_user
from tests.walking import walked

OLD, NEW = "o" * 32, "n" * 32


def test_a_token_tells_its_user_where_its_organization_is_bound_and_nowhere_else(db, a, b):
    tokens = Tokens(NEW)
    with db.tenant(a):
        user = make_user()
        token = tokens.issue(user)
        assert tokens.user(token) == user
        said = tokens.claims(token)
        assert (said.user_id, said.organization_id, said.jti) == (user.id, a.id, user.jti)
    with db.tenant(b), pytest.raises(UnauthenticatedError):
        tokens.claims(token)


def test_what_is_forged_malformed_or_incomplete_is_no_token(db, a):
    tokens = Tokens(NEW)
    with db.tenant(a):
        user = make_user()
        good = jwt.decode(tokens.issue(user), options={"verify_signature": False})
        forged = [jwt.encode(good, OLD, "HS256"), jwt.encode(good, None, "none"), "x", "x.y.z", "", "\x00"]
        for name in good:
            forged.append(jwt.encode({key: value for key, value in good.items() if key != name}, NEW, "HS256"))
        for wrong in ({"sub": "x"}, {"iss": "another"}, {"aud": "0"}, {"sub": str(user.id + 1)}, {"jti": "another"}):
            forged.append(jwt.encode(good | wrong, NEW, "HS256"))
        for token in forged:
            with pytest.raises(UnauthenticatedError):
                tokens.user(token)


@walked(
    "said",
    [
        *(
            {"sub": str(2**70)},
            {"sub": "-1"},
            {"sub": "9" * 3000},
            {"jti": "a\0b"},
            {"device": "a\0b"},
            {"exp": 10**30},
        ),
        *({"jti": "\ud800"}, {"device": "\ud800"}, {"device": "x" * 900}, {"device": ["x"]}, {"iat": None}),
    ],
)
def test_what_the_database_cannot_hold_is_nobodys_token_though_it_is_signed(db, a, said):
    tokens = Tokens(NEW)
    with db.tenant(a):
        token = tokens.issue(make_user())
        good = jwt.decode(token, options={"verify_signature": False})
        signed = jwt.encode(good | said, NEW, "HS256", headers=jwt.get_unverified_header(token))
        with pytest.raises(UnauthenticatedError):
            tokens.user(signed)


def test_another_jti_revokes_and_time_ends_it(db, a):
    tokens = Tokens(NEW, ttl=timedelta(minutes=5))
    with db.tenant(a):
        user = make_user()
        with clock.frozen(clock.now() - timedelta(minutes=6)):
            expired = tokens.issue(user)
        with pytest.raises(UnauthenticatedError):
            tokens.claims(expired)
        token = tokens.issue(user)
        User.update(jti="another").where(User.id == user.id).execute()
        assert tokens.claims(token).user_id == user.id
        with pytest.raises(UnauthenticatedError):
            tokens.user(token)


def test_keys_are_changed_by_a_list(db, a):
    with db.tenant(a):
        user = make_user()
        token = Tokens(OLD).issue(user)
        assert Tokens([NEW, OLD]).user(token) == user
        assert Tokens(NEW).user(Tokens([NEW, OLD]).issue(user)) == user
        with pytest.raises(UnauthenticatedError):
            Tokens([NEW]).claims(token)


@pytest.mark.parametrize("secret", ["", "short", [], ["n" * 32, "short"], "\ud800" * 32])
def test_a_secret_that_can_be_guessed_is_refused(secret):
    with pytest.raises(ConfigurationError):
        Tokens(secret)

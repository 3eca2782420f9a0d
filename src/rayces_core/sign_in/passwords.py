"""Passwords: hashed by Argon2id, never stored, never told.

Rule it guards: a new password signs out whoever was signed in and ends the links that were sent.
"""

from __future__ import annotations

import secrets
from functools import cache
from typing import Any, Final

from rayces_core import clock
from rayces_core.database.binding import current
from rayces_core.errors import InvalidDataError
from rayces_core.models.signing_in import Credential, SingleUseToken
from rayces_core.models.user import User
from rayces_core.sign_in.devices import sign_out
from rayces_core.sign_in.needed import hashers
from rayces_core.tenancy.scoping import check_reach

SHORTEST: Final = 12
LONGEST: Final = 1024
# Argon2id's and bcrypt's own signs, by which a hash that is brought along is recognised.
KNOWN: Final = ("$argon2id$", "$2a$", "$2b$", "$2y$")


def set_password(user: User, password: str) -> None:
    """Give the user this password: everybody who was signed in as the user is signed out, links that were sent end.

    Raises:
        InvalidDataError: it has fewer than 12 characters, or more than 1,024.
        CrossTenantError: the user is another tenant's.
    """
    check_reach(user)
    hashed = hash_of(checked(password))
    with current().engine.atomic():
        store(user, hashed)
        close_links(user)
        sign_out(user)


def import_password_hash(user: User, password_hash: str) -> None:
    """Take over a hash that was made elsewhere: Argon2id's, or bcrypt's as devise has it in `encrypted_password`.

    It is exchanged for one of today's strength when the user next signs in. A pepper that devise was given cannot be
    taken over: those users ask for a new password.

    Raises:
        InvalidDataError: it is neither.
    """
    check_reach(user)
    if not isinstance(password_hash, str) or not password_hash.startswith(KNOWN):
        raise InvalidDataError("password_hash", None, "needs a hash by Argon2id or bcrypt")
    store(user, password_hash)


def checked(password: object) -> str:
    """The password, if it is long enough; what it was is not told."""
    if not isinstance(password, str):
        raise InvalidDataError("password", None, f"needs text, got {type(password).__name__}")
    if not SHORTEST <= len(password) <= LONGEST:
        raise InvalidDataError("password", None, f"needs {SHORTEST} to {LONGEST:,} characters; any will do")
    return password


def store(user: User, hashed: str) -> None:
    """Write the hash."""
    now = clock.now()
    values: dict[str, Any] = {"password_hash": hashed, "password_changed_at": now, "updated_at": now}
    insert = Credential.insert(user=user, created_at=now, **values)
    insert.on_conflict(conflict_target=(Credential.organization, Credential.user), update=values).execute()


def hash_of(password: str) -> str:
    """Hash it anew, with a salt of its own."""
    made: str = _hashers().hash(password)
    return made


def verify(password: str, hashed: str | None) -> tuple[bool, str | None]:
    """Whether it is the password, and the hash to store instead, where that is weaker than today's.

    Without a hash one is verified all the same, so that the time it takes tells nothing.
    """
    right, better = _hashers().verify_and_update(password[:LONGEST], hashed or _nobodys())
    return right and hashed is not None, better


def close_links(user: User) -> None:
    """End every link that was sent to the user and not used."""
    still_open = SingleUseToken.used_at.is_null()
    SingleUseToken.update(used_at=clock.now()).where(SingleUseToken.user == user.id, still_open).execute()


@cache
def _hashers() -> Any:
    return hashers()


@cache
def _nobodys() -> str:
    return hash_of(secrets.token_urlsafe(32))

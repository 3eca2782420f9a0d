"""Passwords: hashed by Argon2id, never stored, never told.

Rules it guards: a new password signs out whoever was signed in and ends the links that were sent; whoever writes a
password, or believes one, has locked its user first, so that of two at once one comes after the other.
"""

from __future__ import annotations

import logging
import secrets
from functools import cache
from typing import Any, Final

from rayces_core import clock
from rayces_core.database.snapshots import unit_of_the_present
from rayces_core.errors import InvalidDataError
from rayces_core.models.signing_in import Credential, SingleUseToken
from rayces_core.models.user import User
from rayces_core.sign_in.devices import sign_out
from rayces_core.sign_in.hashes import believable, is_bcrypt
from rayces_core.sign_in.needed import hashers
from rayces_core.tenancy.scoping import check_saved

logger = logging.getLogger("rayces_core")

SHORTEST: Final = 12
LONGEST: Final = 1024
BCRYPT_READS: Final = 72  # bytes of a password; devise cuts the rest off, and so does what verifies its hashes


def set_password(user: User, password: str) -> None:
    """Give the user this password: everybody who was signed in as the user is signed out, links that were sent end.

    Raises:
        InvalidDataError: it has fewer than 12 characters, or more than 1,024, or half a character.
        CrossTenantError: the user is another tenant's.
    """
    check_saved(user, User, "user")
    hashed = hash_of(checked(password))
    with unit_of_the_present():
        lock(user.id)
        _store(user, hashed)
        close_links(user)
        sign_out(user)


def import_password_hash(user: User, password_hash: str) -> None:
    """Take over a hash that was made elsewhere: Argon2id's, or bcrypt's as devise has it in `encrypted_password`.

    It is exchanged for one of today's strength when the user next signs in; where bcrypt has read a part of the
    password only (over 72 bytes), when the user chooses a new one. A pepper that devise was given cannot be taken over:
    those users ask for a new password.

    Raises:
        InvalidDataError: it is neither, or incomplete, or would take minutes to verify.
    """
    check_saved(user, User, "user")
    if not isinstance(password_hash, str) or not believable(password_hash):
        raise InvalidDataError("password_hash", None, "needs a whole hash by Argon2id or bcrypt, of a usual cost")
    with unit_of_the_present():
        lock(user.id)
        _store(user, password_hash)


def checked(password: object) -> str:
    """The password, if it is long enough; what it was is not told."""
    if not isinstance(password, str):
        raise InvalidDataError("password", None, f"needs text, got {type(password).__name__}")
    if not SHORTEST <= len(password) <= LONGEST:
        raise InvalidDataError("password", None, f"needs {SHORTEST} to {LONGEST:,} characters; any will do")
    if _bytes_of(password) is None:
        raise InvalidDataError("password", None, "has half of a surrogate pair, which is no text; decode it as UTF-8")
    return password


def lock(user_id: int) -> User | None:
    """The user as it is now, which nobody else changes until the unit of work ends; None if it is gone.

    With the strongest lock at once: a change of `jti` needs it, and who asks for more later can meet another who does.
    """
    found: User | None = User.select().where(User.id == user_id).for_update().first()
    return found


def is_still(found: Credential, better: str | None) -> bool:
    """Whether the user, who is locked, has this hash still; then `better`, if any, takes its place."""
    mine = (Credential.user == found.user_id) & (Credential.password_hash == found.password_hash)
    if better is None:
        return Credential.select(Credential.id).where(mine).exists()
    return bool(Credential.update(password_hash=better, updated_at=clock.now()).where(mine).execute())


def hash_of(password: str) -> str:
    """Hash it anew, with a salt of its own."""
    made: str = _hashers().hash(password)
    return made


def verify(password: str, hashed: str | None) -> tuple[bool, str | None]:
    """Whether it is the password, and the hash to store instead, where that is weaker than today's.

    Without a hash one is verified all the same, so that the time it takes tells nothing.
    """
    given = _bytes_of(password) if len(password) <= LONGEST else None
    is_possible = hashed is not None and given is not None
    looked_at, given = hashed or _nobodys(), given or b""
    is_cut = is_bcrypt(looked_at) and len(given) > BCRYPT_READS
    try:
        right, better = _hashers().verify_and_update(given[:BCRYPT_READS] if is_cut else given, looked_at)
    except Exception as error:  # what a hasher says of a hash that it cannot read; it may quote it
        logger.warning("a user's password hash cannot be read (%s): nobody can sign in by it", type(error).__name__)
        return False, None
    return right and is_possible, None if is_cut else better


def close_links(user: User) -> None:
    """End every link that was sent to the user and not used."""
    still_open = SingleUseToken.used_at.is_null()
    SingleUseToken.update(used_at=clock.now()).where(SingleUseToken.user == user.id, still_open).execute()


def _store(user: User, hashed: str) -> None:
    now = clock.now()
    values: dict[str, Any] = {"password_hash": hashed, "password_changed_at": now, "updated_at": now}
    insert = Credential.insert(user=user, created_at=now, **values)
    insert.on_conflict(conflict_target=(Credential.organization, Credential.user), update=values).execute()


def _bytes_of(password: str) -> bytes | None:
    try:
        return password.encode()
    except UnicodeEncodeError:
        return None


@cache
def _hashers() -> Any:
    return hashers()


@cache
def _nobodys() -> str:
    return hash_of(secrets.token_urlsafe(32))

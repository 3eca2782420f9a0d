"""Entering with e-mail address and password."""

from __future__ import annotations

import ipaddress
from datetime import datetime
from typing import Any, Final

from peewee import SQL

from rayces_core import clock
from rayces_core.database.binding import current
from rayces_core.errors import EmailUnconfirmedError, InvalidDataError, TenantNotSetError, WrongCredentialsError
from rayces_core.models.signing_in import Credential
from rayces_core.models.user import User
from rayces_core.sign_in import attempts
from rayces_core.sign_in.passwords import store, verify

LONGEST_EMAIL: Final = 320


def check_password(email: str, password: str, *, address: str | None = None, only_confirmed: bool = False) -> User:
    """The user of the bound organization whom address and password belong to; it is noted as a sign-in.

    Args:
        email: in any case, with blanks around it. password: as it was typed.
        address: the network address that asks, for the user's trackable columns and to slow down who guesses.
        only_confirmed: refuse a user whose e-mail address was never confirmed.

    Returns:
        The user, with `sign_in_count`, `current_sign_in_at`, `last_sign_in_at` and both addresses as they are now.

    Raises:
        WrongCredentialsError: no such user, no password, or another one; they are not told apart, nor by the time.
        TooManyAttemptsError: too many have failed; `retry_after` says when the next one is looked at.
        EmailUnconfirmedError: only where it was asked for. TenantNotSetError: in privileged work.
    """
    if current().privileged:
        raise TenantNotSetError("signing in needs a tenant; wrap the code in `with db.tenant(...):`")
    known, given = _normal(email), password if isinstance(password, str) else ""
    asking = None if address is None else _address(address)
    attempts.count(known, asking)
    found = _find(known)
    right, better = verify(given, None if found is None else found[1])
    if found is None or not right:
        raise WrongCredentialsError
    user, _, confirmed_at = found
    if only_confirmed and confirmed_at is None:
        raise EmailUnconfirmedError
    with current().engine.atomic():
        attempts.forget(known, asking)
        if better is not None:
            store(user, better)
        return _note(user, asking)


def _find(email: str) -> tuple[User, str | None, datetime | None] | None:
    """The user of this address, the hash and when the address was confirmed, in one query."""
    query = User.select(User, Credential.password_hash, Credential.email_confirmed_at).where(User.email == email)
    try:
        found: Any = query.join(Credential, attr="credential").first()
    except InvalidDataError:  # no address at all
        return None
    return None if found is None else (found, found.credential.password_hash, found.credential.email_confirmed_at)


def _note(user: User, address: str | None) -> User:
    now = clock.now()
    values = {
        User.sign_in_count: User.sign_in_count + 1,
        User.last_sign_in_at: SQL("coalesce(current_sign_in_at, %s)", (now,)),
        User.last_sign_in_ip: SQL("coalesce(current_sign_in_ip, %s::inet)", (address,)),
        User.current_sign_in_at: now,
        User.current_sign_in_ip: address,
    }
    (noted,) = User.update(values).where(User.id == user.id).returning(User).execute()
    found: User = noted
    return found


def _normal(email: object) -> str:
    return email.strip().lower()[:LONGEST_EMAIL] if isinstance(email, str) else ""


def _address(address: object) -> str:
    try:
        found = ipaddress.ip_address(str(address).partition("%")[0])
    except ValueError:
        raise InvalidDataError("address", None, "needs an IPv4 or IPv6 address") from None
    mapped = getattr(found, "ipv4_mapped", None)
    return str(mapped or found)

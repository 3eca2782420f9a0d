"""Entering with e-mail address and password."""

from __future__ import annotations

from typing import Any, Final

from peewee import SQL

from rayces_core import clock
from rayces_core.database.binding import current
from rayces_core.database.snapshots import unit_of_the_present
from rayces_core.errors import (
    EmailUnconfirmedError,
    InactiveTenantError,
    InvalidDataError,
    RaycesError,
    TenantNotSetError,
    TransactionFailedError,
    WrongCredentialsError,
)
from rayces_core.models.signing_in import Credential
from rayces_core.models.user import User
from rayces_core.sign_in import attempts
from rayces_core.sign_in.addresses import address_of
from rayces_core.sign_in.passwords import is_still, verify
from rayces_core.tenancy.organization import Organization

LONGEST_EMAIL: Final = 320


def check_password(email: str, password: str, *, address: str | None = None, only_confirmed: bool = False) -> User:
    """The user of the bound organization whom address and password belong to; it is noted as a sign-in.

    Args:
        email: in any case, with blanks around it. password: as it was typed.
        address: the network address that asks, for the user's trackable columns and to slow down who guesses; None or
            "" where the server does not know it.
        only_confirmed: refuse a user whose e-mail address was never confirmed.

    Returns:
        The user, with `sign_in_count`, `current_sign_in_at`, `last_sign_in_at` and both addresses as they are now.

    Raises:
        WrongCredentialsError: no such user, no password, or another one; they are not told apart, nor by the time.
        TooManyAttemptsError: too many have failed; `retry_after` says when the next one is looked at.
        EmailUnconfirmedError: only where it was asked for. TenantNotSetError: in privileged work.
        TransactionFailedError: within a unit of work, which would take the count of failed attempts back.
        InactiveTenantError: all is right, but the organization has been switched off since the block was entered.
    """
    _check_place()
    known, given = _normal(email), password if isinstance(password, str) else ""
    asking = address_of(address)
    attempt = attempts.count(known, asking)
    found, better = _verified(known, given)
    refusal = _refusal(found, known, only_confirmed=only_confirmed)
    with unit_of_the_present():
        attempts.take_back(attempt)
        if refusal is None:
            return _note(found, known, asking, better)
    raise refusal


def _verified(email: str, password: str) -> tuple[Credential, str | None]:
    """The credential whose password it is, and the hash to store instead, if any."""
    found = _find(email)
    right, better = verify(password, None if found is None else found.password_hash)
    if found is None or not right:
        raise WrongCredentialsError
    return found, better


def _check_place() -> None:
    if current().privileged:
        raise TenantNotSetError("signing in needs a tenant; wrap the code in `with db.tenant(...):`")
    if current().engine.session.in_transaction:
        raise TransactionFailedError(
            "a unit of work is open here, and what it undoes are failed attempts too: call check_password before it"
        )


def _refusal(found: Credential, email: str, *, only_confirmed: bool) -> RaycesError | None:
    """Why the user may not enter though the password is right, if anything."""
    row: Any = found
    if not row.mine.active:
        return InactiveTenantError(current().organization_id)
    if only_confirmed and not found.confirms(email):
        return EmailUnconfirmedError()
    return None


def _find(email: str) -> Credential | None:
    """The credential of the user of this address, and whether the organization is active, in one query."""
    query = Credential.select(Credential, Organization.active).join(User).switch(Credential)
    query = query.join(Organization, on=(Organization.id == Credential.organization), attr="mine")
    try:
        found: Credential | None = query.where(User.email == email).first()
    except InvalidDataError:  # no address at all
        return None
    return found


def _note(found: Credential, email: str, address: str | None, better: str | None) -> User:
    """Note the sign-in, of a user whose address and password are still those that were looked at."""
    now = clock.now()
    values = {
        User.sign_in_count: User.sign_in_count + 1,
        User.last_sign_in_at: SQL("coalesce(current_sign_in_at, %s)", (now,)),
        User.last_sign_in_ip: SQL("coalesce(current_sign_in_ip, %s::inet)", (address,)),
        User.current_sign_in_at: now,
        User.current_sign_in_ip: address,
    }
    # Locks the user: who changes the password has done so before, or waits until this is over.
    noted: list[User] = list(User.update(values).where(User.id == found.user_id).returning(User).execute())
    if not noted or noted[0].email != email or not is_still(found, better):
        raise WrongCredentialsError
    return noted[0]


def _normal(email: object) -> str:
    return email.strip().lower()[:LONGEST_EMAIL] if isinstance(email, str) else ""

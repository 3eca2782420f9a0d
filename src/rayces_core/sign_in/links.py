"""Links that work once: a new password, a confirmed address, an invitation.

Asking for one writes a message to the outbox, which names the request and holds no secret; the secret is made when the
e-mail is, by `mint`, and only its hash is stored. Each e-mail about one request has its own, and one use ends all.

Rules it guards: of two who use one link at the same moment, one succeeds; a link is for the address it was asked for,
and none after that has changed. Who changes anything here has locked the user before, then the link.
"""

from __future__ import annotations

import hashlib
import hmac
import secrets
from collections.abc import Callable
from datetime import timedelta
from typing import Any, Final

from rayces_core import clock
from rayces_core.database.binding import current
from rayces_core.database.snapshots import unit_of_the_present
from rayces_core.errors import (
    InactiveTenantError,
    InvalidDataError,
    InvalidLinkError,
    TenantNotSetError,
    UndeliverableError,
)
from rayces_core.models.outbox import OutboxMessage
from rayces_core.models.signing_in import Credential, Purpose, SingleUseToken, email_hash
from rayces_core.models.user import User
from rayces_core.sign_in.passwords import checked, lock, set_password
from rayces_core.tenancy.organization import Organization
from rayces_core.tenancy.scoping import check_saved

LASTING: Final = {
    Purpose.RESET: timedelta(hours=2),
    Purpose.CONFIRMATION: timedelta(days=3),
    Purpose.INVITATION: timedelta(days=14),
}
TOPICS: Final = {
    Purpose.RESET: "user.reset_requested",
    Purpose.CONFIRMATION: "user.confirmation_requested",
    Purpose.INVITATION: "user.invited",
}
# A request within this time of the one before is the same one, so that nobody's mailbox is filled.
SAME: Final = timedelta(minutes=2)
MOST_SENT: Final = 20


def request_reset(email: str) -> None:
    """Ask for a link to choose a new password. Nothing that it returns or raises tells whether there is such a user.

    For a known address it asks the database more, which takes some milliseconds longer: where that must not tell
    either, answer first and ask afterwards, in a background task.
    """
    _check_place()
    try:
        user = User.get_or_none(User.email == email)
    except InvalidDataError:
        return
    if user is not None:
        _request(user, Purpose.RESET)


def request_confirmation(user: User) -> None:
    """Ask for a link by which the user confirms the e-mail address."""
    _request(user, Purpose.CONFIRMATION)


def invite(user: User) -> None:
    """Ask for a link by which a user who was entered by the desk chooses a first password."""
    _request(user, Purpose.INVITATION)


def reset_password(token: str, password: str) -> User:
    """Give the user whose link it is this password; the address is confirmed by that. Everybody is signed out.

    Raises:
        InvalidLinkError: the link is unknown, expired, used, or was for something else, or the user's address has
            changed. InvalidDataError: `password`. InactiveTenantError: the organization has been switched off.
    """
    return _choose(token, Purpose.RESET, password)


def accept_invitation(token: str, password: str) -> User:
    """Give who was invited a first password; raises as `reset_password` does."""
    return _choose(token, Purpose.INVITATION, password)


def confirm_email(token: str) -> User:
    """Note that the address is the user's; raises InvalidLinkError, and InactiveTenantError."""
    with unit_of_the_present():
        return _confirm(_use(token, Purpose.CONFIRMATION))


def mint(request_id: int) -> str:
    """Make the secret of a request, for one e-mail about it; the token that goes into the link.

    Raises:
        InvalidLinkError: the request has been used or has expired, or the user has another address by now, so there
            is nothing to send any more.
    """
    _check_place()
    secret = secrets.token_urlsafe(32)
    with unit_of_the_present():
        request = SingleUseToken.select().where(SingleUseToken.id == request_id).for_update().first()
        if request is None or not _is_of_use(request, User.get_or_none(User.id == request.user_id)):
            raise InvalidLinkError
        hashes = [*request.hashes, _hash_of(secret)][-MOST_SENT:]
        SingleUseToken.update(hashes=hashes).where(SingleUseToken.id == request.id).execute()
    return f"{request.id}.{secret}"


def link(url: str) -> Callable[..., str]:
    """Make what writes the link into an e-mail: for `outbox.mail`'s `links`.

    Args:
        url: with {token} in it, and {subdomain} where that is part of the address.
    """

    def write(message: Any, _user: User, organization: Any) -> str:
        try:
            token = mint(message.payload["request_id"])
        except InvalidLinkError as error:
            raise UndeliverableError("the request was used, has expired, or was for an address of before") from error
        return url.format(token=token, subdomain=organization.subdomain)

    return write


def _request(user: User, purpose: Purpose) -> None:
    _check_place()
    check_saved(user, User, "user")
    now, mine = clock.now(), (SingleUseToken.user == user.id) & (SingleUseToken.purpose == purpose)
    with unit_of_the_present():
        known = lock(user.id)  # who asks twice at once waits here for the first one
        if known is None:
            return
        newest = SingleUseToken.created_at.desc(), SingleUseToken.id.desc()
        latest = SingleUseToken.select().where(mine).order_by(*newest).first()
        if latest is not None and _is_of_use(latest, known) and latest.created_at > now - SAME:
            return
        request = SingleUseToken.create(
            user=user.id, purpose=purpose, email_hash=email_hash(known.email), expires_at=now + LASTING[purpose]
        )
        OutboxMessage.create(
            topic=TOPICS[purpose],
            subject_type="User",
            subject_id=user.id,
            payload={
                "id": user.id,
                "request_id": request.id,
                "occurred_at": now.isoformat(),
                "expires_at": request.expires_at.isoformat(),
            },
        )


def _check_place() -> None:
    """Refuse privileged work, where an e-mail address may be that of several users."""
    if current().privileged:
        raise TenantNotSetError("a link is one organization's; wrap the code in `with db.tenant(...):`")


def _choose(token: str, purpose: Purpose, password: str) -> User:
    checked(password)  # before the link is used up
    with unit_of_the_present():
        user = _use(token, purpose)
        set_password(user, password)
        return _confirm(user)


def _use(token: object, purpose: Purpose) -> User:
    """Use the link up: its user, locked."""
    _check_place()
    number, _, secret = str(token).partition(".")
    if not number.isascii() or not number.isdigit() or len(number) > 18:
        raise InvalidLinkError
    found = SingleUseToken.get_or_none(SingleUseToken.id == int(number), SingleUseToken.purpose == purpose)
    if found is None or not any(hmac.compare_digest(_hash_of(secret), known) for known in found.hashes):
        raise InvalidLinkError
    user = lock(found.user_id)
    request = SingleUseToken.select().where(SingleUseToken.id == found.id).for_update().first()
    if user is None or request is None or not _is_of_use(request, user):
        raise InvalidLinkError
    if not Organization.get_by_id(current().organization_id).active:
        raise InactiveTenantError(current().organization_id)
    SingleUseToken.update(used_at=clock.now()).where(SingleUseToken.id == request.id).execute()
    return user


def _is_of_use(request: SingleUseToken, user: User | None) -> bool:
    """Whether it is open, and its user's address still the one that it was asked for."""
    return user is not None and request.is_open(clock.now()) and request.email_hash == email_hash(user.email)


def _confirm(user: User) -> User:
    now, hashed = clock.now(), email_hash(user.email)
    changes = {"email_confirmed_at": now, "email_hash": hashed, "updated_at": now}
    insert = Credential.insert(user=user.id, created_at=now, **changes)
    insert.on_conflict(conflict_target=(Credential.organization, Credential.user), update=changes).execute()
    return user


def _hash_of(secret: str) -> str:
    return hashlib.sha256(secret.encode(errors="surrogatepass")).hexdigest()

"""Feeds: an address under which a user's sessions can be read, by whoever knows it, until it is revoked.

Rule it guards: the address names its organization, so it is read where no tenant is bound; its secret is compared with
a hash, in the same time whether there is such a feed or not; and who asks learns nothing but that there is none.
"""

from __future__ import annotations

import hashlib
import hmac
import re
import secrets
from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import TYPE_CHECKING, Final

from rayces_core import clock
from rayces_core.calendars.sessions import Session, sessions_of
from rayces_core.calendars.writing import CALLED, calendar_file
from rayces_core.database.binding import current
from rayces_core.errors import (
    FeedNotFoundError,
    InactiveTenantError,
    NotPermittedError,
    ReferenceNotFoundError,
    TenantNotSetError,
    UnknownTenantError,
)
from rayces_core.models.calendar_feed import NOBODYS, CalendarFeed, FeedDetails, known_details
from rayces_core.models.user import User, person_id
from rayces_core.state_machine.actors import check_actor
from rayces_core.tenancy.organization import Organization
from rayces_core.tenancy.scoping import check_saved

if TYPE_CHECKING:
    from rayces_core.database.database import Database

TOKEN: Final = re.compile(r"(\d{1,18})\.(\d{1,18})\.([A-Za-z0-9_-]{43})", re.ASCII)
# Without its secret the address cannot be had back, whatever is written beside it.
REVOKE: Final = """
UPDATE calendar_feeds SET revoked_at = coalesce(revoked_at, %(now)s), secret_hash = %(nobodys)s
 WHERE organization_id = %(tenant)s AND id = %(id)s RETURNING revoked_at"""


@dataclass(frozen=True, slots=True)
class FeedAddress:
    """A feed that was made, and the `token` of its address, which is told this once."""

    feed: CalendarFeed
    token: str

    def __repr__(self) -> str:
        return f"<FeedAddress of feed {self.feed.id}>"


@dataclass(frozen=True, slots=True)
class FeedBody:
    """What is read under an address: the file, and since when it is that one."""

    body: bytes
    changed_at: datetime


def create_feed(user: User, *, details: FeedDetails | str = FeedDetails.PRIVATE, by: User | None = None) -> FeedAddress:
    """Make an address under which the user's sessions can be read.

    Args:
        user: who gives sessions, books them or brings a student to them; of a duplicate it is the one that remains.
        details: `private` names no student, `full` does. by: the acting user: the same one, or staff.

    Returns:
        The feed, and the token that goes into the address: nothing tells it again.

    Raises:
        NotPermittedError: `by` is neither. CrossTenantError: the user is another organization's.
        ReferenceNotFoundError: the user was erased. InvalidDataError: `details`.
        TenantNotSetError: no tenant is bound, or the work is privileged.
    """
    organization_id = _place()
    check_saved(user, User, "user")
    told, secret = known_details(details), secrets.token_urlsafe(32)
    with current().engine.atomic():
        whose = person_id(user.id)
        _check_whose(whose, by, "make a feed")
        _check_known(whose)
        feed = CalendarFeed.create(user=whose, secret_hash=_hash_of(secret), details=told)
    return FeedAddress(feed, f"{organization_id}.{feed.id}.{secret}")


def revoke_feed(feed: CalendarFeed, *, by: User | None = None) -> None:
    """Have the address answer nobody any more; one that is revoked already stays so.

    Raises:
        NotPermittedError: `by` is neither the feed's user nor staff. CrossTenantError: another organization's.
    """
    check_saved(feed, CalendarFeed, "feed", "make it with calendars.create_feed(...)")
    _check_whose(feed.user_id, by, "revoke a feed")
    if feed.revoked_at is None:
        values = {"tenant": feed.organization_id, "id": feed.id, "now": clock.now(), "nobodys": NOBODYS}
        (feed.revoked_at,) = current().engine.run_prepared(REVOKE, values).fetchone()


def read_feed(database: Database, token: str, *, called: str = CALLED, now: datetime | None = None) -> bytes:
    """The calendar that is read under an address, from the past days to those ahead that the organization has set.

    Args:
        token: as `create_feed` gave it, with or without `.ics` after it. No tenant need be bound.
        called: what a session is named where nothing else may be told, such as "Turno".

    Raises:
        FeedNotFoundError: there is no such feed, or it is revoked, or its organization is switched off.
    """
    return feed_body(database, token, called=called, now=now).body


def feed_body(database: Database, token: str, *, called: str = CALLED, now: datetime | None = None) -> FeedBody:
    """The same with what a host needs to answer that nothing has changed."""
    found, moment = TOKEN.fullmatch(str(token).removesuffix(".ics")), clock.moment(now)
    if found is None:
        raise FeedNotFoundError
    organization_id, feed_id, secret = found.groups()
    try:
        with database.tenant(int(organization_id)):
            feed = _found(int(feed_id), secret)
            organization = Organization.get_by_id(int(organization_id))
            sessions = _sessions(feed, organization, moment)
            body = calendar_file(sessions, organization, details=feed.details, called=called)
            return FeedBody(body, feed.read_now(body, moment))
    except (UnknownTenantError, InactiveTenantError):
        raise FeedNotFoundError from None


def _sessions(feed: CalendarFeed, organization: Organization, now: datetime) -> list[Session]:
    policy = organization.policy
    since = now - timedelta(days=policy.calendar_past_days)
    return sessions_of(feed.user_id, since, now + timedelta(days=policy.calendar_days_ahead), now)


def _found(feed_id: int, secret: str) -> CalendarFeed:
    feed = CalendarFeed.get_or_none(CalendarFeed.id == feed_id)
    is_it = hmac.compare_digest(_hash_of(secret), NOBODYS if feed is None else feed.secret_hash)
    if feed is None or not is_it:
        raise FeedNotFoundError
    return feed


def _check_whose(user_id: int, by: User | None, what: str) -> None:
    if by is None:
        return
    check_actor(by, User)
    if not by.is_staff and by.id != user_id:
        raise NotPermittedError(what, by.id, ("the user whose it is", "staff and admins"))


def _check_known(user_id: int) -> None:
    """Raise where the user was erased; locked, as an erasure takes the feeds that it finds."""
    known = User.select().where((User.id == user_id) & User.erased_at.is_null())
    if known.for_update("FOR KEY SHARE").first() is None:  # type: ignore[arg-type]
        message = "there is no such user in this organization, or it was erased"
        raise ReferenceNotFoundError(message, table="calendar_feeds", fields=("user_id",))


def _place() -> int:
    binding = current()
    if binding.organization_id is None:
        raise TenantNotSetError("a feed is one organization's; wrap the code in `with db.tenant(...):`")
    return binding.organization_id


def _hash_of(secret: str) -> str:
    return hashlib.sha256(secret.encode()).hexdigest()

"""CalendarFeed: a secret address under which a user's sessions can be read as a calendar."""

from __future__ import annotations

import hashlib
from datetime import datetime, timedelta
from enum import StrEnum

from peewee import Check

from rayces_core import clock
from rayces_core.errors import InvalidDataError
from rayces_core.fields import EnumField, StringField, UTCDateTimeField, settled
from rayces_core.models.user import User
from rayces_core.tenancy.model import TenantForeignKey, TenantModel

# The hash of no secret.
NOBODYS = "0" * 64
AGAIN = "revoke it and make another one with calendars.create_feed(...)"


class FeedDetails(StrEnum):
    """What a feed tells of a session."""

    PRIVATE = "private"
    FULL = "full"


def known_details(given: object) -> FeedDetails:
    """What a feed is to tell; an InvalidDataError for anything else."""
    if given not in [each.value for each in FeedDetails]:
        raise InvalidDataError("details", given, f"must be one of {', '.join(FeedDetails)}")
    return FeedDetails(given)


class CalendarFeed(TenantModel):
    """An address that was given out, made with `calendars.create_feed`. The address itself is not stored.

    Attributes:
        user: whose sessions it has. secret_hash: SHA-256 of the secret in the address; `NOBODYS` once that is revoked.
        details: `private` names no student, `full` does.
        revoked_at: since when it answers nobody. last_read_at: when it was read, to the hour.
        body_hash, changed_at: SHA-256 of the file as it was read last, and since when it is that.
    """

    user = settled(TenantForeignKey(User, backref="calendar_feeds", on_delete="CASCADE"), AGAIN)
    user_id: int
    secret_hash = settled(StringField(), AGAIN)
    details = settled(EnumField(FeedDetails, default=FeedDetails.PRIVATE), AGAIN)
    created_at = settled(UTCDateTimeField(default=clock.now), AGAIN)
    revoked_at = UTCDateTimeField(null=True)
    last_read_at = UTCDateTimeField(null=True)
    body_hash = StringField(null=True)
    changed_at = UTCDateTimeField(null=True)

    class Meta:
        """The table and its rules."""

        table_name = "calendar_feeds"
        personal = {"gone": "secret_hash details body_hash"}
        merging = {"moved": "user_id"}
        erased_with = "user_id"
        defaults_in_database = True
        constraints = [
            Check("secret_hash ~ '^[0-9a-f]{64}$'", name="calendar_feeds_secret_hash_check"),
            Check("details IN ('private', 'full')", name="calendar_feeds_details_check"),
            Check(f"(revoked_at IS NULL) = (secret_hash <> '{NOBODYS}')", name="calendar_feeds_revoked_at_check"),
            Check("(changed_at IS NULL) = (body_hash IS NULL)", name="calendar_feeds_changed_at_check"),
        ]

    def read_now(self, body: bytes, now: datetime) -> datetime:
        """Note that it is read, and since when its file is this one; each one that differs has a second of its own.

        It writes only where the file differs, or was last read an hour ago.
        """
        found = hashlib.sha256(body).hexdigest()
        changed_at = self.changed_at
        if changed_at is None or found != self.body_hash:
            changed_at = now if changed_at is None else max(now, changed_at + timedelta(seconds=1))
        if found != self.body_hash or self.last_read_at is None or now - self.last_read_at >= timedelta(hours=1):
            read = CalendarFeed.update(last_read_at=now, body_hash=found, changed_at=changed_at)
            read.where(CalendarFeed.id == self.id).execute()
        return changed_at


CalendarFeed.add_index(CalendarFeed.organization, CalendarFeed.user, name="index_calendar_feeds_on_user_id")

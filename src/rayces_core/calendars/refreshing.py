"""Reading calendars elsewhere anew, and writing down when they are busy.

Rule it guards: while a calendar is read nothing is locked and no connection is held; what was read replaces what was
known in one unit of work, and whoever books meanwhile decides anew. A calendar that cannot be read keeps what it had.
"""

from __future__ import annotations

import logging
from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import TYPE_CHECKING, Any, Final

from rayces_core import clock
from rayces_core.calendars.busy import Stretch, busy_times
from rayces_core.calendars.fetching import Fetched, Fetcher
from rayces_core.database.binding import current
from rayces_core.errors import (
    InactiveTenantError,
    OutsideCalendarError,
    RaycesError,
    TenantMovedError,
    TenantMovingError,
    UnknownTenantError,
)
from rayces_core.models.outside_calendar import OutsideCalendar
from rayces_core.models.professional import Professional
from rayces_core.outbox.calendar import uid_host
from rayces_core.tenancy.organization import Organization

if TYPE_CHECKING:
    from rayces_core.database.database import Database

logger = logging.getLogger("rayces_core")

EVERY: Final = timedelta(minutes=15)
# However a server answers, all of a calendar is read so often: repeated events reach further every day.
WHOLE_EVERY: Final = timedelta(days=1)
BEYOND: Final = timedelta(days=35)
LONGEST_FAILURE: Final = 500

# Whoever reads a calendar says so first, and who says so at the same moment waits here and finds it said.
TAKEN: Final = """
UPDATE outside_calendars SET tried_at = %(now)s, updated_at = %(now)s
 WHERE organization_id = %(tenant)s AND id = %(id)s AND (tried_at IS NULL OR tried_at <= %(before)s)
RETURNING url, etag, last_modified, read_at
"""
HELD: Final = """
SELECT professional_id FROM outside_calendars
 WHERE organization_id = %(tenant)s AND id = %(id)s AND tried_at = %(now)s FOR NO KEY UPDATE
"""
KNOWN: Final = """
SELECT begins_at, ends_at FROM outside_busy WHERE organization_id = %(tenant)s AND calendar_id = %(id)s
"""
GONE: Final = """
DELETE FROM outside_busy
 WHERE organization_id = %(tenant)s AND calendar_id = %(id)s AND begins_at = ANY(%(starts)s::timestamptz[])
"""
NEW: Final = """
INSERT INTO outside_busy (organization_id, calendar_id, professional_id, begins_at, ends_at)
SELECT %(tenant)s, %(id)s, %(professional)s, given.begins_at, given.ends_at
  FROM unnest(%(starts)s::timestamptz[], %(ends)s::timestamptz[]) AS given(begins_at, ends_at)
RETURNING 1
"""
# Whoever books has read the professional's row before, and asks for it again.
TOUCHED: Final = """
UPDATE professionals SET updated_at = updated_at WHERE organization_id = %(tenant)s AND user_id = %(professional)s
"""
NOTED: Final = """
UPDATE outside_calendars SET failing_since = NULL, failure = NULL, updated_at = %(now)s,
       etag = CASE WHEN %(whole)s THEN %(etag)s::varchar ELSE etag END,
       last_modified = CASE WHEN %(whole)s THEN %(last_modified)s::varchar ELSE last_modified END,
       read_at = CASE WHEN %(whole)s THEN %(now)s ELSE read_at END
 WHERE organization_id = %(tenant)s AND id = %(id)s
"""
FAILED: Final = """
UPDATE outside_calendars
   SET failing_since = coalesce(failing_since, %(now)s), failure = %(failure)s, updated_at = %(now)s
 WHERE organization_id = %(tenant)s AND id = %(id)s AND tried_at = %(now)s
"""


@dataclass(frozen=True, slots=True)
class Refreshed:
    """What became of one calendar: `outcome` is "read", "unchanged" or "failed", `reason` why it failed.

    That may be the `code` of an error of the database. `added` and `removed` are the stretches of time that it has and
    had.
    """

    organization_id: int
    calendar_id: int
    outcome: str
    reason: str | None = None
    added: int = 0
    removed: int = 0


def refresh_calendars(
    database: Database,
    *,
    organization: Organization | str | int | None = None,
    every: timedelta = EVERY,
    fetcher: Fetcher | None = None,
    now: datetime | None = None,
) -> list[Refreshed]:
    """Read the calendars elsewhere that are due, one after the other, each committed by itself.

    It may run in any number of processes: a calendar is read by one of them. What is active no more is not read.

    Args:
        organization: only its calendars, by subdomain, id or instance; without it those of all.
        every: how long after an attempt a calendar is due again; `timedelta(0)` is now.
        fetcher: how they are read. now: the present; without it the clock's.

    Returns:
        What became of each; nothing is raised for a calendar that cannot be read.
    """
    reading, moment = fetcher or Fetcher(), clock.moment(now)
    made = (
        _refresh(database, place, key, reading, moment, moment - every)
        for place, key in _due(database, organization, moment - every)
    )
    return [each for each in made if each is not None]


def _due(database: Database, organization: Any, before: datetime) -> list[tuple[int, int]]:
    columns = OutsideCalendar.organization, OutsideCalendar.id
    due = OutsideCalendar.select(*columns).join(Professional).where(Professional.active)
    due = due.where(OutsideCalendar.tried_at.is_null() | (OutsideCalendar.tried_at <= before)).order_by(*columns)
    if organization is not None:
        with database.tenant(organization):
            return [(each.organization_id, each.id) for each in due]
    with database.privileged(reason="refresh calendars"):
        return [(each.organization_id, each.id) for each in due]


def _refresh(
    database: Database, place: int, key: int, fetcher: Fetcher, now: datetime, before: datetime
) -> Refreshed | None:
    given: dict[str, Any] = {"tenant": place, "id": key, "now": now, "before": before}
    try:
        with database.tenant(place):
            taken = current().engine.run_prepared(TAKEN, given).fetchone()
            organization = Organization.get_by_id(place)
        if taken is None:
            return None
        return _read(database, organization, given, fetcher, *taken)
    except (UnknownTenantError, InactiveTenantError, TenantMovingError, TenantMovedError):
        return None
    except RaycesError as error:  # a lock or a time limit, say; the others' are read all the same
        logger.warning("calendar %d of organization %d is left to the next time: %s", key, place, error)
        return Refreshed(place, key, "failed", error.code)


def _read(
    database: Database,
    organization: Organization,
    given: dict[str, Any],
    fetcher: Fetcher,
    url: str,
    etag: str | None,
    last_modified: str | None,
    read_at: datetime | None,
) -> Refreshed | None:
    now = given["now"]
    is_fresh = read_at is not None and read_at > now - WHOLE_EVERY
    since = now - timedelta(days=1)
    until = now + timedelta(days=organization.policy.booking_window_days) + BEYOND
    try:
        known = {"etag": etag, "last_modified": last_modified} if is_fresh else {}
        fetched = fetcher.fetch(url, **known)
        found = None
        if fetched.body is not None:
            found = busy_times(fetched.body, since, until, organization.zone, uid_host(organization))
    except OutsideCalendarError as error:
        with database.tenant(organization.id):
            current().engine.run_prepared(FAILED, given | {"failure": str(error)[:LONGEST_FAILURE]})
        return Refreshed(organization.id, given["id"], "failed", error.reason)
    with database.tenant(organization.id), current().engine.atomic():
        return _written(given, fetched, found)


def _written(given: dict[str, Any], fetched: Fetched, found: list[Stretch] | None) -> Refreshed | None:
    run = current().engine.run_prepared
    held = run(HELD, given).fetchone()
    if held is None:  # removed meanwhile, or read by somebody else since
        return None
    added: list[Stretch] = []
    removed: list[Stretch] = []
    if found is not None:
        known = {tuple(row) for row in run(KNOWN, given).fetchall()}
        added, removed = sorted(set(found) - known), sorted(known - set(found))
        _replace(given | {"professional": held[0]}, added, removed)
    whole = {"whole": found is not None, "etag": fetched.etag, "last_modified": fetched.last_modified}
    run(NOTED, given | whole)
    outcome = "unchanged" if found is None else "read"
    return Refreshed(given["tenant"], given["id"], outcome, added=len(added), removed=len(removed))


def _replace(given: dict[str, Any], added: list[Stretch], removed: list[Stretch]) -> None:
    run = current().engine.run_prepared
    if removed:
        run(GONE, given | {"starts": [begins for begins, _ in removed]})
    if added:
        run(TOUCHED, given)
        run(NEW, given | {"starts": [begins for begins, _ in added], "ends": [ends for _, ends in added]})

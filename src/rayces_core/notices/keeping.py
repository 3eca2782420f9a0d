"""What operators do with notices: see how the queue stands, try again what was given up, forget what is old."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import TYPE_CHECKING, Any, Final

from rayces_core import clock
from rayces_core.database.binding import current
from rayces_core.errors import InvalidDataError
from rayces_core.models.notice import NoticeState
from rayces_core.tenancy.organization import Organization
from rayces_core.tenancy.sweeping import each_in_turn

if TYPE_CHECKING:
    from rayces_core.database.database import Database

STATES: Final = tuple(each.value for each in NoticeState)
# Those of one organization, or of all: but for one that is moved to another cell, and the copy that is left of it.
_OF: Final = {
    True: "notices.organization_id = %(tenant)s",
    False: "notices.organization_id NOT IN (SELECT id FROM organizations WHERE moving IS NOT NULL)",
}
_STANDING: Final = """
SELECT count(*) FILTER (WHERE state = 'queued'), count(*) FILTER (WHERE state = 'queued' AND retry_at <= %(now)s),
       count(*) FILTER (WHERE state = 'sent'), count(*) FILTER (WHERE state = 'failed'),
       count(*) FILTER (WHERE state = 'skipped'),
       min(due_at) FILTER (WHERE state = 'queued' AND due_at <= %(now)s)
  FROM notices WHERE {of}"""
_LISTED: Final = """
SELECT organization_id, id, appointment_id, purchase_id, recipient_id, event, minutes_before, channel, state, reason,
       attempts, due_at, sent_at, reference
  FROM notices WHERE {of} AND state = ANY (%(states)s::text[])
 ORDER BY organization_id, due_at DESC, id DESC LIMIT %(limit)s"""
_RETRY: Final = """
UPDATE notices SET state = 'queued', attempts = 0, retry_at = %(now)s, updated_at = %(now)s
 WHERE {of} AND state = 'failed' AND occurs_at > %(now)s"""
# What is still to come keeps its rows: they are why it is not told of twice.
_FORGET: Final = """
UPDATE notices SET address = NULL, updated_at = %(now)s
 WHERE organization_id = %(tenant)s AND occurs_at < least(%(addresses_before)s::timestamptz, %(now)s)
   AND address IS NOT NULL AND state <> 'queued'"""
_PRUNE: Final = """
DELETE FROM notices WHERE organization_id = %(tenant)s AND occurs_at < least(%(rows_before)s::timestamptz, %(now)s)"""


@dataclass(frozen=True, slots=True)
class Standing:
    """How many notices there are in each state; `due` of the queued ones by now, the oldest since when."""

    queued: int
    due: int
    sent: int
    failed: int
    skipped: int
    oldest_due_at: datetime | None


@dataclass(frozen=True, slots=True)
class ListedNotice:
    """A notice as an operator sees it; nothing of its address and its words."""

    organization_id: int
    id: int
    appointment_id: int | None
    purchase_id: int | None
    recipient_id: int
    event: str
    minutes_before: int
    channel: str
    state: str
    reason: str | None
    attempts: int
    due_at: datetime
    sent_at: datetime | None
    reference: str | None


@dataclass(frozen=True, slots=True)
class Pruned:
    """How many rows are deleted, and how many others have lost their address."""

    deleted: int
    forgotten: int


def standing(db: Database, *, organization: int | None = None, now: datetime | None = None) -> Standing:
    """How the queue and the log stand, of one organization or of all: for metrics and alarms."""
    row = _privileged(db, "how notices stand", _STANDING, organization, {"now": clock.moment(now)}).fetchone()
    return Standing(*row)


def listed(
    db: Database, *, state: str | None = "failed", organization: int | None = None, limit: int = 100
) -> list[ListedNotice]:
    """Notices in a state (None for any), the newest of each organization first.

    Raises:
        InvalidDataError: there is no such state.
    """
    if state is not None and state not in STATES:
        raise InvalidDataError("state", state, f"must be one of {', '.join(STATES)}")
    values = {"states": list(STATES) if state is None else [state], "limit": limit}
    rows = _privileged(db, "rayces notices list", _LISTED, organization, values)
    return [ListedNotice(*row) for row in rows.fetchall()]


def retry(db: Database, *, organization: int | None = None, now: datetime | None = None) -> int:
    """Have what was given up tried again, of what is still to come; returns how many."""
    values = {"now": clock.moment(now)}
    return int(_privileged(db, "rayces notices retry", _RETRY, organization, values).rowcount)


def prune(db: Database, *, now: datetime | None = None) -> Pruned:
    """Forget addresses and delete rows whose sessions are longer ago than their organization's settings keep them.

    Raises:
        RaycesError: it failed for an organization, or more; it is done for all the others.
    """
    moment = clock.moment(now)
    with db.privileged(reason="rayces notices prune"):
        organizations = list(Organization.select().where(Organization.active == True, Organization.moving.is_null()))  # noqa: E712 - SQL
    counts: list[Pruned] = []

    def pruned(organization: Organization) -> int:
        counts.append(_prune(db, organization, moment))
        return counts[-1].deleted

    each_in_turn(organizations, pruned, lambda organization: f"pruning notices of {organization.id}")
    return Pruned(sum(each.deleted for each in counts), sum(each.forgotten for each in counts))


def _prune(db: Database, organization: Organization, moment: datetime) -> Pruned:
    kept = organization.policy.notices
    values = {
        "tenant": organization.id,
        "now": moment,
        "addresses_before": moment - timedelta(days=kept.keep_addresses_days),
        "rows_before": moment - timedelta(days=kept.keep_days),
    }
    with db.tenant(organization.id):
        run = current().engine.run_prepared
        return Pruned(int(run(_PRUNE, values).rowcount), int(run(_FORGET, values).rowcount))


def _privileged(db: Database, reason: str, sql: str, organization: int | None, values: dict[str, Any]) -> Any:
    with db.privileged(reason=reason):
        of = _OF[organization is not None]
        return current().engine.run_prepared(sql.format(of=of), values | {"tenant": organization})

"""What operators do with the outbox: look at it, try dead messages again, and delete what is long settled."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import TYPE_CHECKING, Any, Final
from uuid import UUID

from rayces_core.errors import InvalidDataError
from rayces_core.tenancy.organization import on_their_way

if TYPE_CHECKING:
    from rayces_core.database.database import Database

STATES: Final = ("pending", "delivered", "dead")
BATCH: Final = 1000
_STATE: Final = "CASE WHEN settled_at IS NULL THEN 'pending' WHEN dead THEN 'dead' ELSE 'delivered' END"
# In the words of the indexes of what is settled and what is not.
_OF_STATE: Final = {
    "pending": "settled_at IS NULL",
    "delivered": "settled_at IS NOT NULL AND NOT dead",
    "dead": "settled_at IS NOT NULL AND dead",
}
# Neither what a tenant has who is moved to another cell, nor the copy that is left of one: nobody writes it here.
_HERE: Final = "organization_id <> ALL (%(moving)s::bigint[])"
_LISTED: Final = f"""
SELECT organization_id, id, message_id::text, topic, subject_type, subject_id, {_STATE}, attempts, delivered_to,
       last_error, occurred_at, available_at, settled_at
  FROM outbox_messages WHERE {{where}} ORDER BY organization_id, id LIMIT %(limit)s"""
_RETRY: Final = """
UPDATE outbox_messages SET dead = false, settled_at = NULL, attempts = 0, available_at = clock_timestamp()
 WHERE (organization_id, id) IN (
    SELECT organization_id, id FROM outbox_messages WHERE {where} ORDER BY settled_at LIMIT %(batch)s
       FOR UPDATE SKIP LOCKED)"""
_PRUNE: Final = f"""
DELETE FROM outbox_messages WHERE (organization_id, id) IN (
    SELECT organization_id, id FROM outbox_messages
     WHERE settled_at < clock_timestamp() - %(age)s AND (%(dead)s OR NOT dead)
       AND {_HERE}
     ORDER BY settled_at LIMIT %(batch)s FOR UPDATE SKIP LOCKED)"""
_COUNTED: Final = f"""
SELECT {_STATE}, count(*) FROM outbox_messages WHERE {{where}} GROUP BY 1"""


@dataclass(frozen=True, slots=True)
class Listed:
    """A message as an operator sees it: how its delivery stands, and nothing of its payload."""

    organization_id: int
    id: int
    message_id: str
    topic: str
    subject_type: str
    subject_id: int
    state: str
    attempts: int
    delivered_to: list[str]
    last_error: str | None
    occurred_at: datetime
    available_at: datetime
    settled_at: datetime | None


def listed(
    db: Database,
    *,
    state: str | None = "dead",
    organization: int | None = None,
    topic: str | None = None,
    limit: int = 100,
) -> list[Listed]:
    """Messages in a state (None for any), the oldest of each organization first.

    Raises:
        InvalidDataError: there is no such state.
    """
    where, values = _where(state, organization, topic)
    rows = _privileged(db, "rayces outbox list", _LISTED.format(where=where), values | {"limit": limit})
    return [Listed(*row) for row in rows.fetchall()]


def counted(db: Database, *, organization: int | None = None) -> dict[str, int]:
    """How many messages are in each state, of one organization or of all, each counted in the cell where it lives."""
    where, values = _where(None, organization, None)
    found = _privileged(db, "rayces outbox list", _COUNTED.format(where=where), values).fetchall()
    return dict.fromkeys(STATES, 0) | dict(found)


def retry(
    db: Database,
    *,
    message_ids: Iterable[str] | None = None,
    organization: int | None = None,
    topic: str | None = None,
) -> int:
    """Have dead messages delivered after all, to those who do not have them; returns how many.

    All of them, or those of an organization, of a topic or with these `message_ids`. What came after them may have been
    delivered meanwhile; they are not put back before it.
    """
    where, values = _where("dead", organization, topic)
    if message_ids is not None:
        where += " AND message_id = ANY (%(message_ids)s::uuid[])"
        values["message_ids"] = [_uuid(each) for each in message_ids]
    return _in_batches(db, "rayces outbox retry", _RETRY.format(where=where), values)


def prune(db: Database, *, older_than: timedelta, dead: bool = False, batch: int = BATCH) -> int:
    """Delete what was delivered longer ago than that, and with `dead` what was given up as well; returns how many.

    In batches that commit by themselves, so that nothing waits for it.
    """
    if not isinstance(older_than, timedelta) or older_than < timedelta(0):
        raise InvalidDataError("older_than", older_than, "must be a timedelta of zero or more")
    return _in_batches(db, "rayces outbox prune", _PRUNE, {"age": older_than, "dead": dead}, batch)


def _in_batches(db: Database, reason: str, sql: str, values: dict[str, Any], batch: int = BATCH) -> int:
    done = 0
    with db.privileged(reason=reason):
        while True:
            changed = int(db.execute_sql(sql, values | {"batch": batch, "moving": on_their_way()}).rowcount)
            done += changed
            if changed < batch:
                return done


def _privileged(db: Database, reason: str, sql: str, values: dict[str, Any]) -> Any:
    with db.privileged(reason=reason):
        return db.execute_sql(sql, values | {"moving": on_their_way()})


def _where(state: str | None, organization: int | None, topic: str | None) -> tuple[str, dict[str, Any]]:
    if state is not None and state not in STATES:
        raise InvalidDataError("state", state, f"must be one of {', '.join(STATES)}")
    given = {"organization_id": organization, "topic": topic}
    named = {name: value for name, value in given.items() if value is not None}
    conditions = [f"{name} = %({name})s" for name in named] + ([] if state is None else [_OF_STATE[state]])
    if organization is None:
        conditions.append(_HERE)
    return " AND ".join(conditions), named


def _uuid(given: str) -> str:
    try:
        return str(UUID(str(given)))
    except ValueError:
        raise InvalidDataError("message_id", given, "must be a UUID, as `rayces outbox list` shows it") from None

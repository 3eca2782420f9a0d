"""The statements of delivering: claim what is due, say what became of it, give back what was not begun.

Rules they guard. What is claimed is another's after the lease, so a worker that dies loses nothing. What a worker says
of a notice counts only while `attempts` is what it was given. What has become moot, or no rule wants any more, is
skipped when it is claimed, and what is sent goes to the address that the person has by then.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable
from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import Any, Final

from rayces_core.database.binding import current
from rayces_core.fields.notices import CREDITS_EXPIRING, NoticeRule
from rayces_core.models.notice import Notice
from rayces_core.notices.expiring import IS_LEFT
from rayces_core.notices.making import ADDRESS, AUDIENCE, MOVED, NO_ADDRESS, wanted_by
from rayces_core.state_machine.telling import has_told, is_told, told

_NAMES: Final = [f'"{field.column_name}"' for field in Notice._meta.sorted_fields]
_CLAIM: Final = f"""
WITH due AS (
    SELECT id FROM notices
     WHERE organization_id = %(tenant)s AND state = 'queued' AND retry_at <= %(now)s
       AND (channel = ANY (%(channels)s::text[]) OR occurs_at <= %(now)s)
       AND EXISTS (SELECT 1 FROM organizations WHERE organizations.id = %(tenant)s AND moving IS NULL)
     ORDER BY retry_at, id LIMIT %(batch)s FOR NO KEY UPDATE SKIP LOCKED
), judged AS (
    SELECT notice.id, {ADDRESS.format(channel="notice.channel")} AS address,
           coalesce(%(quiet_until)s::timestamptz < CASE WHEN notice.event = 'offered'
               THEN least(notice.occurs_at, booked.expires_at) ELSE notice.occurs_at END, false) AS is_put_off, CASE
        WHEN notice.occurs_at <= %(now)s THEN 'too_late'
        WHEN booked.scheduled_at <> notice.occurs_at THEN 'moved'
        WHEN NOT CASE
            WHEN notice.event = '{CREDITS_EXPIRING}' THEN {IS_LEFT}
            WHEN notice.event = 'cancelled' THEN booked.state = 'cancelled'
            WHEN notice.event = 'booked' THEN booked.state = 'pre_confirmed'
            WHEN notice.event = 'offered' THEN booked.state = 'pre_confirmed' AND booked.expires_at >= %(now)s
            WHEN notice.event = 'confirmed' THEN booked.state = 'confirmed'
            ELSE booked.state = 'confirmed' OR booked.state = 'pre_confirmed' AND booked.expires_at >= %(now)s
        END THEN 'moot'
        WHEN NOT EXISTS (
            SELECT FROM unnest(%(rule_events)s::text[], %(rule_minutes)s::integer[], %(rule_channels)s::text[],
                               %(rule_audiences)s::text[]) AS wanted (event, minutes, channel, audience)
             WHERE wanted.event = notice.event AND wanted.minutes = notice.minutes_before
               AND wanted.channel = notice.channel
               AND (notice.event = '{CREDITS_EXPIRING}' OR notice.recipient_id = {AUDIENCE})
        ) THEN 'unwanted'
        WHEN notice.event = 'reminder' AND notice.cause_id <> (SELECT moved.cause FROM {MOVED}) THEN 'moved'
        WHEN notice.event = 'reminder' AND EXISTS (
            SELECT 1 FROM notices AS nearer
             WHERE nearer.organization_id = %(tenant)s AND nearer.appointment_id = notice.appointment_id
               AND nearer.event = 'reminder' AND nearer.minutes_before < notice.minutes_before
               AND nearer.cause_id = notice.cause_id AND nearer.occurs_at = notice.occurs_at
               AND nearer.channel = notice.channel AND nearer.recipient_id = notice.recipient_id
               AND nearer.due_at <= %(now)s
        ) THEN 'superseded'
        WHEN notice.event = '{CREDITS_EXPIRING}' AND EXISTS (
            SELECT 1 FROM notices AS nearer
             WHERE nearer.organization_id = %(tenant)s AND nearer.purchase_id = notice.purchase_id
               AND nearer.minutes_before < notice.minutes_before AND nearer.channel = notice.channel
               AND nearer.due_at <= %(now)s
        ) THEN 'superseded'
        WHEN person.muted_channels ? notice.channel THEN 'muted'
        WHEN notice.channel <> 'push' AND {ADDRESS.format(channel="notice.channel")} IS NULL THEN '{NO_ADDRESS}'
        WHEN notice.event IN ('reminder', '{CREDITS_EXPIRING}') AND %(quiet_until)s::timestamptz >= notice.occurs_at
            THEN 'quiet_hours'
        WHEN notice.attempts >= %(attempts)s THEN 'given_up'
    END AS reason
      FROM due
      JOIN notices AS notice ON notice.organization_id = %(tenant)s AND notice.id = due.id
      LEFT JOIN appointments AS booked ON booked.organization_id = %(tenant)s AND booked.id = notice.appointment_id
      LEFT JOIN students AS student ON student.organization_id = %(tenant)s AND student.id = booked.student_id
      JOIN users AS person ON person.organization_id = %(tenant)s AND person.id = notice.recipient_id
)
UPDATE notices AS notice SET updated_at = %(now)s, address = judged.address,
       state = CASE WHEN judged.reason IS NULL THEN 'queued' WHEN judged.reason = 'given_up' THEN 'failed'
                    ELSE 'skipped' END,
       reason = CASE WHEN judged.reason IS NULL AND judged.is_put_off THEN notice.reason ELSE judged.reason END,
       attempts = notice.attempts + CASE WHEN judged.reason IS NULL AND NOT judged.is_put_off THEN 1 ELSE 0 END,
       retry_at = CASE WHEN judged.reason IS NOT NULL THEN notice.retry_at
                       WHEN judged.is_put_off THEN %(quiet_until)s::timestamptz ELSE %(leased_until)s END
  FROM judged WHERE notice.organization_id = %(tenant)s AND notice.id = judged.id AND notice.state = 'queued'
RETURNING {", ".join(f"notice.{name}" for name in _NAMES)}, judged.is_put_off"""
_SETTLE: Final = """
WITH settled AS (
    UPDATE notices SET state = %(state)s, reason = %(reason)s, sent_at = %(sent_at)s, reference = %(reference)s,
           retry_at = coalesce(%(retry_at)s, retry_at), updated_at = %(now)s
     WHERE organization_id = %(tenant)s AND id = %(id)s AND state = 'queued' AND attempts = %(attempts)s
    RETURNING *
){told}
SELECT id FROM settled"""
_TOLD: Final = told(
    "Notice",
    "fail",
    {"notice": '"event"', "occurred_at": "%(now)s::timestamptz"},
    (
        *("appointment_id", "purchase_id", "recipient_id", "minutes_before", "occurs_at"),
        *("channel", "state", "reason", "attempts"),
    ),
    source="settled",
    organization="%(tenant)s",
    at="%(now)s",
)
_GIVE_BACK: Final = """
UPDATE notices SET attempts = notices.attempts - 1, retry_at = %(now)s, updated_at = %(now)s
  FROM unnest(%(ids)s::bigint[], %(attempts)s::integer[]) AS held (id, attempts)
 WHERE notices.organization_id = %(tenant)s AND notices.id = held.id AND notices.state = 'queued'
   AND notices.attempts = held.attempts"""


@dataclass(frozen=True, slots=True)
class Claimed:
    """Notices to send now, how many others were put off until quiet hours end, and what became of the rest."""

    notices: list[Notice]
    settled: Counter[str]
    put_off: int

    @property
    def found_something(self) -> bool:
        """Whether another claim may find more at once."""
        return bool(self.notices or self.settled or self.put_off)


def claim(
    channels: Iterable[str],
    rules: Iterable[NoticeRule],
    now: datetime,
    *,
    quiet_until: datetime | None,
    batch: int,
    lease: timedelta,
    attempts: int,
) -> Claimed:
    """Take due notices of the bound tenant for the length of the lease; what others hold is left to them.

    Args:
        channels: for which there is a sender. rules: those of the organization, by which each is still wanted.
    """
    values: dict[str, Any] = {"tenant": current().organization_id, "channels": list(channels), "now": now}
    values |= {f"rule_{name}": column for name, column in wanted_by(rules).items()}
    values |= {"quiet_until": quiet_until, "batch": batch, "leased_until": now + lease, "attempts": attempts}
    cursor = current().engine.run_prepared(_CLAIM, values)
    rows = cursor.fetchall()
    found: list[Notice] = Notice._from_rows(cursor.description[:-1], [row[:-1] for row in rows])
    taken, settled, put_off = [], Counter[str](), 0
    for notice, (*_, is_put_off) in zip(found, rows, strict=True):
        if notice.state != "queued":
            settled[str(notice.state)] += 1
        elif is_put_off:
            put_off += 1
        else:
            taken.append(notice)
    return Claimed(sorted(taken, key=lambda notice: (notice.due_at, notice.id)), settled, put_off)


def settle(
    notice: Notice,
    now: datetime,
    state: str,
    *,
    reason: str | None = None,
    reference: str | None = None,
    retry_at: datetime | None = None,
) -> bool:
    """Write down what became of a notice; returns whether it counts: else another holds it by now.

    One that is given up leaves a message `notice.fail` in the outbox, in the same statement.
    """
    tells = state == "failed" and is_told()
    values: dict[str, Any] = {
        "tenant": current().organization_id,
        "id": notice.id,
        "attempts": notice.attempts,
        "now": now,
    }
    values |= {"state": state, "reason": reason, "reference": reference, "retry_at": retry_at}
    values |= {"sent_at": now if state == "sent" else None}
    counts = bool(current().engine.run_prepared(_SETTLE.format(told=_TOLD if tells else ""), values).fetchall())
    if tells and counts:
        has_told()
    return counts


def give_back(notices: Iterable[Notice], now: datetime) -> None:
    """Let others have these, that nobody has begun to send."""
    held = list(notices)
    if held:
        values = {"ids": [each.id for each in held], "attempts": [each.attempts for each in held]}
        current().engine.run_prepared(_GIVE_BACK, values | {"tenant": current().organization_id, "now": now})

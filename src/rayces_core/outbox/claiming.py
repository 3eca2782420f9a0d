"""The relay's statements: claim, settle, wake, hold on, give back. Each takes many messages at once, and is short.

Rules they guard. A message is claimed when it is due and the first pending one of its subject; that it is claimed is
`available_at` moved ahead, so that no transaction stays open while it is delivered, and a relay that dies loses it in
time. `attempts` grows with each claim, and what a relay says of a message counts only while that number is the same.

No statement looks at more than a bounded number of rows, however many wait. What is due but held back by an earlier
one of its subject is put off until that one's own time, so that it is not looked at again and again; once that one is
settled, the next of the subject is woken. That is a message of its own: a claim that still saw the earlier one pending
began before it, so `available_at` is then later than that claim's moment, and it puts off nothing that was woken.
"""

from __future__ import annotations

import json
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, Final

from rayces_core.database.binding import current
from rayces_core.database.messages import Message as Sent
from rayces_core.outbox.message import Message

if TYPE_CHECKING:
    from rayces_core.database.database import Database

LOOKS_PER_MESSAGE: Final = 3
# By this the next of a subject is known to have been due; one that is to come later (`put(at=...)`) is not woken.
PUT_OFF: Final = "waits for an earlier message of its subject"

_CLAIM_TYPES: Final = {
    "after": "bigint",
    "busy": "bigint[]",
    "looks": "integer",
    "most": "integer",
    "per_tenant": "integer",
    "batch": "integer",
    "lease": "double precision",
    "put_off": "text",
}
# Tenants are found one by one in the index of what is pending, so that neither what is settled nor a flood is read.
_CLAIM: Final = Sent(
    """
WITH RECURSIVE tenants (id) AS (
    (SELECT organization_id FROM outbox_messages
      WHERE settled_at IS NULL AND organization_id > %(after)s ORDER BY organization_id, available_at LIMIT 1)
    UNION ALL
    SELECT (SELECT organization_id FROM outbox_messages
             WHERE settled_at IS NULL AND organization_id > tenants.id ORDER BY organization_id, available_at LIMIT 1)
      FROM tenants WHERE tenants.id IS NOT NULL
), look AS MATERIALIZED (
    SELECT due.* FROM tenants CROSS JOIN LATERAL (
        SELECT organization_id, id, subject_type, subject_id, available_at FROM outbox_messages
         WHERE organization_id = tenants.id AND settled_at IS NULL AND available_at <= statement_timestamp()
           AND organization_id <> ALL (%(busy)s)
           AND EXISTS (SELECT 1 FROM organizations WHERE organizations.id = tenants.id AND active AND moving IS NULL)
         ORDER BY available_at, id LIMIT %(looks)s
    ) AS due LIMIT %(most)s
), headed AS MATERIALIZED (
    SELECT look.*, head.id AS head_id, head.available_at AS head_at FROM look CROSS JOIN LATERAL (
        SELECT id, available_at FROM outbox_messages AS earlier
         WHERE earlier.organization_id = look.organization_id AND earlier.subject_type = look.subject_type
           AND earlier.subject_id = look.subject_id AND earlier.settled_at IS NULL
         ORDER BY id LIMIT 1
    ) AS head
), ready AS (
    SELECT organization_id, head_id AS id,
           row_number() OVER (PARTITION BY organization_id ORDER BY min(available_at), head_id) AS turn
      FROM headed WHERE head_at <= statement_timestamp() GROUP BY organization_id, head_id
), chosen AS MATERIALIZED (
    SELECT organization_id, id FROM ready WHERE turn <= %(per_tenant)s ORDER BY turn, organization_id LIMIT %(batch)s
), taken AS MATERIALIZED (
    SELECT organization_id, id FROM outbox_messages
      JOIN chosen USING (organization_id, id)
     WHERE settled_at IS NULL AND available_at <= statement_timestamp()
       FOR UPDATE OF outbox_messages SKIP LOCKED
), aside AS MATERIALIZED (
    SELECT outbox_messages.organization_id, outbox_messages.id, head_at FROM outbox_messages
      JOIN headed ON headed.organization_id = outbox_messages.organization_id AND headed.id = outbox_messages.id
     WHERE head_id <> headed.id AND head_at > statement_timestamp() AND settled_at IS NULL
       AND outbox_messages.available_at <= statement_timestamp()
       FOR UPDATE OF outbox_messages SKIP LOCKED
), put_off AS (
    UPDATE outbox_messages SET available_at = head_at, last_error = %(put_off)s FROM aside
     WHERE outbox_messages.organization_id = aside.organization_id AND outbox_messages.id = aside.id RETURNING 1
), claimed AS (
    UPDATE outbox_messages
       SET attempts = attempts + 1, last_error = NULL,
           available_at = clock_timestamp() + %(lease)s * interval '1 second'
      FROM taken WHERE outbox_messages.organization_id = taken.organization_id AND outbox_messages.id = taken.id
    RETURNING outbox_messages.organization_id, outbox_messages.id, message_id::text, topic, version, subject_type,
              subject_id, payload, occurred_at, attempts, delivered_to
)
SELECT (SELECT count(*) FROM put_off), (SELECT max(organization_id) FROM look), claimed.*
  FROM (VALUES (1)) AS one (row) LEFT JOIN claimed ON true ORDER BY claimed.organization_id, claimed.id""",
    types=_CLAIM_TYPES,
)

_SETTLE: Final = Sent(
    """
UPDATE outbox_messages SET
    dead = said.state = 'dead', delivered_to = said.delivered_to::jsonb, last_error = said.error,
    attempts = outbox_messages.attempts - said.untried,
    settled_at = CASE WHEN said.state = 'pending' THEN NULL ELSE clock_timestamp() END,
    available_at = CASE WHEN said.state = 'pending' THEN clock_timestamp() + said.pause * interval '1 second'
                   ELSE available_at END
  FROM unnest(%(organizations)s, %(ids)s, %(attempts)s, %(states)s, %(delivered_to)s, %(errors)s, %(pauses)s,
              %(untried)s)
       AS said (organization_id, id, attempts, state, delivered_to, error, pause, untried)
 WHERE outbox_messages.organization_id = said.organization_id AND outbox_messages.id = said.id
   AND outbox_messages.settled_at IS NULL AND outbox_messages.attempts = said.attempts
RETURNING outbox_messages.organization_id, outbox_messages.id""",
    types={
        "organizations": "bigint[]",
        "ids": "bigint[]",
        "attempts": "integer[]",
        "states": "text[]",
        "delivered_to": "text[]",
        "errors": "text[]",
        "pauses": "double precision[]",
        "untried": "integer[]",
    },
)

# One that was tried is somebody's, or waits for another time of its own.
_WAKE: Final = Sent(
    """
WITH next AS MATERIALIZED (
    SELECT DISTINCT settled.organization_id, pending.id
      FROM unnest(%(organizations)s, %(types)s, %(ids)s) AS settled (organization_id, subject_type, subject_id)
     CROSS JOIN LATERAL (
        SELECT id FROM outbox_messages
         WHERE outbox_messages.organization_id = settled.organization_id
           AND outbox_messages.subject_type = settled.subject_type
           AND outbox_messages.subject_id = settled.subject_id AND settled_at IS NULL ORDER BY id LIMIT 1
     ) AS pending
)
UPDATE outbox_messages SET available_at = clock_timestamp(), last_error = nullif(last_error, %(put_off)s) FROM next
 WHERE outbox_messages.organization_id = next.organization_id AND outbox_messages.id = next.id
   AND settled_at IS NULL AND attempts = 0 AND (available_at <= clock_timestamp() OR last_error = %(put_off)s)""",
    types={"organizations": "bigint[]", "types": "text[]", "ids": "bigint[]", "put_off": "text"},
)

_HOLD: Final = Sent(
    """
UPDATE outbox_messages SET available_at = clock_timestamp() + %(lease)s * interval '1 second'
  FROM unnest(%(organizations)s, %(ids)s, %(attempts)s) AS held (organization_id, id, attempts)
 WHERE outbox_messages.organization_id = held.organization_id AND outbox_messages.id = held.id
   AND settled_at IS NULL AND outbox_messages.attempts = held.attempts
RETURNING outbox_messages.organization_id, outbox_messages.id, outbox_messages.attempts""",
    types={"organizations": "bigint[]", "ids": "bigint[]", "attempts": "integer[]", "lease": "double precision"},
)


@dataclass(frozen=True, slots=True)
class Claim:
    """What one claim gave: messages with those who have them already, how many were put off, and where it ended."""

    messages: list[tuple[Message, tuple[str, ...]]]
    put_off: int
    last_tenant: int | None

    @property
    def found_something(self) -> bool:
        """Whether another claim may find more at once."""
        return bool(self.messages or self.put_off)


@dataclass(frozen=True, slots=True)
class Verdict:
    """What became of a claimed message: "delivered", "dead", or "pending" again after `pause` seconds."""

    message: Message
    state: str
    delivered_to: tuple[str, ...]
    error: str | None = None
    pause: float = 0.0
    was_tried: bool = True


def claim(db: Database, *, after: int, busy: Sequence[int], batch: int, per_tenant: int, lease: float) -> Claim:
    """Take up to `batch` messages for `lease` seconds, at most `per_tenant` of each tenant, none of `busy` ones.

    Tenants come in the order of their ids, from the one after `after` on.
    """
    looks = per_tenant * LOOKS_PER_MESSAGE
    values = {"after": after, "busy": list(busy), "looks": looks, "most": max(looks, batch * LOOKS_PER_MESSAGE)}
    values |= {"lease": float(lease), "put_off": PUT_OFF}
    rows = _run(db, _CLAIM, {**values, "per_tenant": per_tenant, "batch": batch}).fetchall()
    messages = [(_message(row[2:]), _names(row[12])) for row in rows if row[2] is not None]
    return Claim(messages, rows[0][0], rows[0][1])


def _message(row: Sequence[Any]) -> Message:
    organization, id_, message_id, topic, version, subject_type, subject_id, payload, occurred_at, attempts, _ = row
    subject = (subject_type, subject_id)
    return Message(organization, id_, message_id, topic, version, subject, payload, occurred_at, attempts)


def _names(delivered_to: Any) -> tuple[str, ...]:
    return tuple(map(str, delivered_to)) if isinstance(delivered_to, list) else ()


def settle(db: Database, verdicts: Iterable[Verdict]) -> int:
    """Write down what became of these; returns how many it counts for, since others are not held here any more."""
    said = sorted(verdicts, key=lambda each: (each.message.organization_id, each.message.id))
    values = _held([each.message for each in said]) | {
        "states": [each.state for each in said],
        "delivered_to": [json.dumps(each.delivered_to) for each in said],
        "errors": [each.error for each in said],
        "pauses": [float(each.pause) for each in said],
        "untried": [0 if each.was_tried else 1 for each in said],
    }
    return len(_run(db, _SETTLE, values).fetchall()) if said else 0


def wake(db: Database, settled: Iterable[Message]) -> None:
    """Have what waited for these be due now; in a message of its own, after the one that settled them."""
    subjects = sorted({(each.organization_id, *each.subject) for each in settled})
    if subjects:
        organizations, types, ids = (list(column) for column in zip(*subjects, strict=True))
        _run(db, _WAKE, {"organizations": organizations, "types": types, "ids": ids, "put_off": PUT_OFF})


def hold(db: Database, messages: Sequence[Message], lease: float) -> set[tuple[int, int, int]]:
    """Keep these for another `lease` seconds; returns organization, id and attempt of those still held here."""
    ordered = sorted(messages, key=lambda each: (each.organization_id, each.id))
    return set(_run(db, _HOLD, _held(ordered) | {"lease": float(lease)}).fetchall()) if ordered else set()


def _held(messages: Sequence[Message]) -> dict[str, Any]:
    return {
        "organizations": [each.organization_id for each in messages],
        "ids": [each.id for each in messages],
        "attempts": [each.attempt for each in messages],
    }


def _run(db: Database, message: Sent, values: dict[str, Any]) -> Any:
    # As db.privileged() does, but that would log two lines at each poll; the relay's start is logged instead.
    with db._within(db._admin):
        return current().engine.run_message(message, values)

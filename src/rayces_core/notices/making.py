"""Making notices: reminders of sessions, news of credits that expire, and what the outbox tells; each once.

Rule it guards: nothing is made for a channel that the person has muted, nor twice for the same occurrence.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from datetime import datetime, timedelta
from typing import Any, Final

from rayces_core import clock
from rayces_core.database.binding import current
from rayces_core.errors import TenantNotSetError
from rayces_core.fields.notices import REMINDER, NoticeRule
from rayces_core.notices.quiet import DAY, quiet_until, reminder_due
from rayces_core.outbox.letters import noticed
from rayces_core.outbox.message import Message
from rayces_core.state_machine.readers import latest_told
from rayces_core.tenancy.organization import Organization

# What is due after quiet hours may have to go out before them.
LOOKAHEAD: Final = DAY
NO_ADDRESS: Final = "no_address"
# Whom of an appointment `booked` a rule has in mind.
AUDIENCE: Final = """CASE
       WHEN wanted.audience = 'client' THEN booked.client_id
       WHEN wanted.audience = 'professional' THEN booked.professional_id
       WHEN wanted.audience = 'second_professional' THEN booked.second_professional_id
       ELSE student.secondary_contact_id END"""
# Who is told, over what, at which address: of an appointment `booked` and of what was asked for, `wanted`. Who was
# erased has no address.
_WHO: Final = f"""
  JOIN students AS student ON student.organization_id = %(tenant)s AND student.id = booked.student_id
  CROSS JOIN unnest(%(minutes)s::integer[], %(channels)s::text[], %(audiences)s::text[])
       AS wanted (minutes, channel, audience)
  JOIN users AS person ON person.organization_id = %(tenant)s AND person.id = {AUDIENCE}
       AND person.erased_at IS NULL"""
ADDRESS: Final = """CASE WHEN {channel} = 'email' THEN person.email WHEN {channel} = 'push' THEN NULL
       ELSE nullif(btrim(person.phone), '') END"""
_ADDRESS: Final = ADDRESS.format(channel="wanted.channel")
# Of an appointment `booked`: the row of the journal that tells of its last move, as history() puts them in order, and
# when it was moved last.
MOVED: Final = f"""(
      SELECT coalesce((array_agg(step.id ORDER BY step.latest DESC, step.id DESC))[1], 0) AS cause,
             max(step.occurred_at) AS at
        FROM (SELECT entry.id, entry.event, entry.occurred_at, {latest_told("entry")} AS latest
                FROM state_transitions AS entry
               WHERE organization_id = %(tenant)s AND subject_type = 'Appointment' AND subject_id = booked.id) AS step
       WHERE step.event = 'reschedule'
  ) AS moved"""
_COMING: Final = f"""
SELECT booked.id, person.id, wanted.minutes, moved.cause, booked.scheduled_at, wanted.channel, {_ADDRESS},
       greatest(booked.pre_confirmed_at, moved.at)
  FROM appointments AS booked {_WHO}
  CROSS JOIN LATERAL {MOVED}
 WHERE booked.organization_id = %(tenant)s AND booked.scheduled_at > %(now)s AND booked.scheduled_at <= %(until)s
   AND booked.scheduled_at <= %(now)s + %(lookahead)s + make_interval(mins => wanted.minutes)
   AND (booked.state = 'confirmed' OR booked.state = 'pre_confirmed' AND booked.expires_at >= %(now)s)
   AND NOT person.muted_channels ? wanted.channel
   AND NOT EXISTS (
       SELECT 1 FROM notices AS made
        WHERE made.organization_id = %(tenant)s AND made.appointment_id = booked.id AND made.event = 'reminder'
          AND made.minutes_before = wanted.minutes AND made.cause_id = moved.cause
          AND made.occurs_at = booked.scheduled_at AND made.channel = wanted.channel AND made.recipient_id = person.id
   )
 ORDER BY booked.scheduled_at, booked.id"""
_HAPPENED: Final = f"""
SELECT person.id, wanted.channel, {_ADDRESS} FROM appointments AS booked {_WHO}
 WHERE booked.organization_id = %(tenant)s AND booked.id = %(appointment)s
   AND NOT person.muted_channels ? wanted.channel ORDER BY 1, 2"""
# A phone that nobody has is told to the desk, in the log.
_MAKE: Final = f"""
INSERT INTO notices (organization_id, appointment_id, purchase_id, recipient_id, event, minutes_before, cause_id,
                     occurs_at, channel, address, due_at, retry_at, state, reason, created_at, updated_at)
SELECT %(tenant)s, made.*, made.due_at,
       CASE WHEN made.address IS NULL AND made.channel <> 'push' THEN 'skipped' ELSE 'queued' END,
       CASE WHEN made.address IS NULL AND made.channel <> 'push' THEN '{NO_ADDRESS}' END, %(now)s, %(now)s
  FROM unnest(%(appointments)s::bigint[], %(purchases)s::bigint[], %(recipients)s::bigint[],
              %(events)s::text[], %(minutes)s::integer[],
              %(causes)s::bigint[], %(occurrences)s::timestamptz[], %(channels)s::text[], %(addresses)s::text[],
              %(dues)s::timestamptz[])
       AS made (appointment_id, purchase_id, recipient_id, event, minutes_before, cause_id, occurs_at, channel, address,
                due_at)
    ON CONFLICT DO NOTHING
RETURNING id"""
_COLUMNS: Final = (
    *("appointments", "purchases", "recipients", "events", "minutes", "causes", "occurrences"),
    *("channels", "addresses", "dues"),
)


def make_reminders(now: datetime | None = None) -> int:
    """Put the reminders of the bound tenant into the queue whose time comes within a day; returns how many.

    Each is for one stage, person and channel. A moved session gets its own anew. What was booked or moved lately is
    reminded of no sooner than `reminder_quiet_minutes` later, when the family was told of it.
    """
    moment, organization = clock.moment(now), organization_of()
    policy = organization.policy
    rules = policy.notices.rules_for(REMINDER)
    if not rules:
        return 0
    wanted = wanted_by(rules)
    until = moment + LOOKAHEAD + timedelta(minutes=max(wanted["minutes"]))
    values = wanted | {"tenant": organization.id, "now": moment, "until": until, "lookahead": LOOKAHEAD}
    made = []
    for row in current().engine.run_prepared(_COMING, values).fetchall():
        appointment, person, minutes, cause, occurs_at, channel, address, told_at = row
        due = reminder_due(
            occurs_at,
            timedelta(minutes=minutes),
            since=told_at + timedelta(minutes=policy.reminder_quiet_minutes),
            hours=policy.notices.quiet_hours,
            zone=organization.zone,
        )
        if due is not None:
            made.append((appointment, None, person, REMINDER, minutes, cause, occurs_at, channel, address, due))
    return make(organization, made, moment)


def hear(message: Message) -> None:
    """Queue what the organization wants told of a booking, an offer, a confirmation, a move or a cancellation.

    A deliverer of a relay: `outbox.relay(db, {"notices": notices.hear})`. The same message makes nothing twice.
    """
    event, payload = noticed(message), message.payload
    if event is None or _is_draft(payload, event):
        return
    organization = organization_of()
    rules = organization.policy.notices.rules_for(event)
    if not rules:
        return
    occurs_at, moment = datetime.fromisoformat(payload["scheduled_at"]), message.occurred_at
    appointment = message.subject[1]
    values = wanted_by(rules) | {"tenant": organization.id, "appointment": appointment}
    due = _due(organization, moment, _until(event, payload, occurs_at))
    made = [
        (appointment, None, person, event, 0, message.id, occurs_at, channel, address, due)
        for person, channel, address in current().engine.run_prepared(_HAPPENED, values).fetchall()
    ]
    make(organization, made, moment)


def _is_draft(payload: dict[str, Any], event: str) -> bool:
    """Whether nobody outside has known of it."""
    return payload.get("to_state") == "draft" or (event == "cancelled" and payload.get("from_state") == "draft")


def _until(event: str, payload: dict[str, Any], occurs_at: datetime) -> datetime:
    """When it is too late to be told: the session has begun, or the offer is over."""
    expires_at = payload.get("expires_at") if event == "offered" else None
    return occurs_at if expires_at is None else min(occurs_at, datetime.fromisoformat(expires_at))


def _due(organization: Organization, moment: datetime, until: datetime) -> datetime:
    """At once, or when the quiet hours end; at once too where it is too late by then."""
    end = quiet_until(moment, organization.policy.notices.quiet_hours, organization.zone)
    return moment if end is None or end >= until else end


def organization_of() -> Organization:
    """The bound organization; raises TenantNotSetError."""
    tenant = current().organization_id
    if tenant is None:
        raise TenantNotSetError("notices are one organization's; wrap the code in `with db.tenant(...):`")
    return Organization.get_by_id(tenant)


def wanted_by(rules: Iterable[NoticeRule]) -> dict[str, list[Any]]:
    """What the rules want, each once: of which event, so many minutes before, over which channel, and who is told."""
    each = dict.fromkeys(
        (rule.event, rule.minutes_before or 0, channel, audience)
        for rule in rules
        for channel in rule.channels
        for audience in rule.to
    )
    names = ("events", "minutes", "channels", "audiences")
    return {name: [row[place] for row in each] for place, name in enumerate(names)}


def make(organization: Organization, made: Sequence[tuple[Any, ...]], moment: datetime) -> int:
    """Put these into the queue that are not there yet, each in the order of the columns; returns how many."""
    if not made:
        return 0
    columns = dict(zip(_COLUMNS, map(list, zip(*made, strict=True)), strict=True))
    values = columns | {"tenant": organization.id, "now": moment}
    return len(current().engine.run_prepared(_MAKE, values).fetchall())

"""Professionals' requests for time off, known by who asks for which days and hours and, where it is said, since when.

Rule it guards: what comes approved is among the professional's blocked dates, once, as if it had been approved here;
and a request that is there is never changed.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from datetime import datetime
from typing import Any, Final

from rayces_core.fields.schemas import END_OF_DAY, MOST_BLOCKED
from rayces_core.importing import values
from rayces_core.importing.choices import Choice
from rayces_core.importing.columns import Column
from rayces_core.importing.names import person
from rayces_core.importing.record import Fault, Record, fault, quoted, user
from rayces_core.importing.records.appointment_writing import REASON
from rayces_core.importing.records.people import PROFESSIONALS, named, nobody
from rayces_core.importing.records.slot_requests import clock
from rayces_core.importing.words import named as with_names
from rayces_core.models.time_off import IN_ORDER, PERIOD, TimeOffRequest

STATES: Final = {
    "requested": ("requested", "pedido", "pedida", "pendiente", "pendente"),
    "approved": ("approved", "aprobado", "aprobada", "aprovado", "aprovada"),
    "declined": ("declined", "rechazado", "rechazada", "recusado", "recusada"),
    "withdrawn": ("withdrawn", "retirado", "retirada"),
}
MOST_DAYS: Final = 365
LONGEST_NOTE: Final = 500

COLUMNS: Final = (
    Column(
        "professional",
        person,
        required=True,
        example="eva.luna@example.org",
        about="By e-mail address, or by name where it is one's alone; the profile must be there already.",
    ),
    Column("starts_on", values.date, required=True, example="2031-07-14", about="The first day."),
    Column("ends_on", values.date, example="2031-07-18", about="The last day; the first one where it is empty."),
    Column("from_time", clock, about="Where only hours of each day are asked for: when they begin."),
    Column("until_time", clock, about="When they end, up to 24:00."),
    Column("note", values.text, example="Holiday", about="Why, as the professional tells it."),
    Column("state", Choice(STATES, {}), about="requested (the default), approved, declined or withdrawn."),
    Column("decided_at", values.moment, about="Of what is decided; the moment of the import where it is empty."),
    Column("created_at", values.moment, about="When it was asked for; it tells two requests for the same days apart."),
)
PLAIN: Final = {
    "starts_on": "date",
    "ends_on": "date",
    "from_time": "varchar",
    "until_time": "varchar",
    "note": "varchar",
    "state": "varchar",
    "decided_at": "timestamptz",
    "created_at": "timestamptz",
}
DEFAULTS: Final = {"ends_on": "coalesce(s.ends_on, s.starts_on)"}


def rules(row: Mapping[str, Any], now: datetime) -> Iterable[Fault]:
    """What the values of a request say about each other."""
    begins, ends = row.get("from_time"), row.get("until_time")
    if (begins is None) != (ends is None):
        missing = "from_time" if begins is None else "until_time"
        yield missing, "is empty, and the other end of the hours is not", "fill it in, or empty both for whole days"
    elif begins is not None and ends is not None and (begins >= ends or begins == END_OF_DAY):
        yield "until_time", "is not after from_time", "correct one of the two"
    yield from _days(row)
    if len(row.get("note") or "") > LONGEST_NOTE:
        yield "note", f"has more than {LONGEST_NOTE} characters", "shorten it"
    yield from _moments(row, now)


def _days(row: Mapping[str, Any]) -> Iterable[Fault]:
    first, last = row.get("starts_on"), row.get("ends_on")
    if first is not None and last is not None and not 0 <= (last - first).days <= MOST_DAYS:
        yield "ends_on", "is not within a year from starts_on on", "correct one of the two"


def _moments(row: Mapping[str, Any], now: datetime) -> Iterable[Fault]:
    decided, asked = row.get("decided_at"), row.get("created_at")
    for name, at in (("decided_at", decided), ("created_at", asked)):
        if at is not None and at > now:
            yield name, "lies ahead", "correct it"
    if decided is not None and asked is not None and decided < asked:
        yield "decided_at", "is before created_at", "correct one of the two"
    if decided is not None and (row.get("state") or "requested") == "requested":
        yield "decided_at", "does not go with the state requested", "empty it, or correct the state"


RESOLVING: Final = f"""
SELECT s.row, s.faulty, {", ".join(DEFAULTS.get(name, f"s.{name}") for name in PLAIN)}, p.user_id
  FROM staged AS s
  {user("professional", "worker")} {named("professional", "named_worker", PROFESSIONALS)}
  LEFT JOIN professionals AS p
    ON p.organization_id = %(tenant)s AND p.user_id = coalesce(worker.id, named_worker.id)
"""
PLACE: Final = ("professional_id", "starts_on", "ends_on", "from_time", "until_time")
SAME: Final = " AND ".join(
    (
        *(f"t.{name} IS NOT DISTINCT FROM r.{name}" for name in PLACE),
        "(r.created_at IS NULL OR t.created_at = r.created_at)",
    )
)
# Of a request `asked` and its professional `away`, whose blocked dates came along with the profile perhaps.
IS_BLOCKED: Final = f"""EXISTS (
        SELECT 1 FROM jsonb_array_elements(away.blocked_dates) AS known (period) WHERE known.period = {PERIOD})"""
NO_ROOM: Final = fault(
    "state",
    "r.state",
    quoted(f"would be one more than the {MOST_BLOCKED} blocked dates that a professional can have"),
    quoted("remove past ones from the professional first, or leave the row out"),
    f"""FROM (
        SELECT asked.row, asked.state, jsonb_array_length(away.blocked_dates)
               + count(*) OVER (PARTITION BY asked.professional_id ORDER BY asked.row) AS many
          FROM resolved AS asked
          JOIN professionals AS away ON away.organization_id = %(tenant)s AND away.user_id = asked.professional_id
         WHERE asked.existing_id IS NULL AND asked.state = 'approved' AND NOT {IS_BLOCKED}
    ) AS r WHERE r.many > {MOST_BLOCKED}""",
)

TIME_OFF: Final = Record(
    name="time_off_requests",
    model=TimeOffRequest,
    columns=with_names("time_off_requests", COLUMNS),
    types={**{column.name: "varchar" for column in COLUMNS}, **PLAIN},
    fields={name: getattr(TimeOffRequest, name) for name in PLAIN if name != "state"},
    rules=rules,
    resolved={**PLAIN, "professional_id": "bigint"},
    resolving=RESOLVING,
    matching=SAME,
    same_key=", ".join(f"r.{name}" for name in (*PLACE, "created_at")),
    key="professional, starts_on, ends_on, from_time, until_time",
    compared={name: (name, f"t.{name}") for name in ("note", "state", "decided_at")},
    fixed=tuple(column.name for column in COLUMNS),
    why_fixed="an import never changes a request; decide on it here, or leave the row out",
    checks=(nobody("professional", "professional_id", PROFESSIONALS), NO_ROOM),
    # Whoever books locks the professional too, and decides anew where the row has changed.
    locking="""
        SELECT 1 FROM professionals
         WHERE organization_id = %(tenant)s AND user_id IN (SELECT professional_id FROM resolved)
         ORDER BY user_id FOR NO KEY UPDATE
    """,
    inserting=f"""
        WITH made AS (
            INSERT INTO time_off_requests (
                organization_id, professional_id, starts_on, ends_on, from_time, until_time, note, state, decided_at,
                created_at, updated_at
            ) SELECT %(tenant)s, r.professional_id, r.starts_on, r.ends_on, r.from_time, r.until_time, r.note,
                     coalesce(r.state, 'requested'),
                     CASE WHEN coalesce(r.state, 'requested') <> 'requested' THEN coalesce(r.decided_at, %(now)s) END,
                     coalesce(r.created_at, least(r.decided_at, %(now)s)), %(now)s
                FROM resolved AS r WHERE r.existing_id IS NULL ORDER BY r.row
            RETURNING *
        ), granted AS (
            SELECT asked.professional_id, {PERIOD} AS period
              FROM made AS asked
              JOIN professionals AS away ON away.organization_id = %(tenant)s AND away.user_id = asked.professional_id
             WHERE asked.state = 'approved' AND NOT {IS_BLOCKED}
        ), blocked AS (
            UPDATE professionals AS away SET updated_at = %(now)s, blocked_dates = (
                SELECT jsonb_agg(period ORDER BY {IN_ORDER})
                  FROM (SELECT jsonb_array_elements(away.blocked_dates)
                        UNION ALL SELECT granted.period FROM granted WHERE granted.professional_id = away.user_id
                  ) AS every (period))
             WHERE away.organization_id = %(tenant)s AND away.user_id IN (SELECT professional_id FROM granted)
            RETURNING 1
        )
        INSERT INTO state_transitions (
            organization_id, subject_type, subject_id, event, from_state, to_state, reason, occurred_at, made_up
        ) SELECT %(tenant)s, 'TimeOffRequest', made.id, step.event, 'requested', made.state, '{REASON}',
                 made.decided_at, made.decided_at = %(now)s
            FROM made
            JOIN (VALUES ('approved', 'approve'), ('declined', 'decline'), ('withdrawn', 'withdraw'))
                 AS step (state, event) ON step.state = made.state
           ORDER BY made.id
    """,
)

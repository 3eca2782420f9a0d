"""What decides whether an appointment can be booked or moved, read in one statement.

Rule it guards: booking asks the same calendar as listing, at the same moment, so that an overdue hold is in nobody's
way. What is decided of it is in `deciding`.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace
from datetime import datetime, timedelta
from typing import Any, Final

from rayces_core.database.binding import current
from rayces_core.database.messages import Message
from rayces_core.errors import TenantNotSetError
from rayces_core.fields.schemas import OrganizationSettings
from rayces_core.models.appointment_states import PRE_CONFIRMED, AppointmentState
from rayces_core.models.appointment_time import BESIDE_THE_GROUP, busy, holds_time, overdue_in_the_way
from rayces_core.scheduling.calendar import NOTHING, Calendar, SetAside, check_duration
from rayces_core.scheduling.calendars import (
    COLUMN_COUNT,
    calendar_columns,
    calendar_source,
    calendar_values,
    calendars_of,
    policy_of,
)
from rayces_core.scheduling.holdings import NOTHING_BESIDE, Beside, with_needs
from rayces_core.scheduling.services import Booked
from rayces_core.scheduling.terms import COLUMN_COUNT as SERVICE_COLUMN_COUNT
from rayces_core.scheduling.terms import OF_GROUP, OF_MOVED, OF_SERVICE, OWN, Terms

LONGEST: Final = timedelta(minutes=480)

NO_HOLD: Final = ", ".join(f"'{state}'" for state in AppointmentState if state != PRE_CONFIRMED)

TYPES: Final = {
    "tenant": "bigint",
    "start": "timestamptz",
    "end": "timestamptz",
    "now": "timestamptz",
    "moving": "bigint",
    "group": "bigint",
    "minutes": "integer",
    "professional": "bigint",
    "student": "bigint",
    "client": "bigint",
    "key": "varchar",
    "service": "bigint",
}

# Of the client: what is held and not confirmed, and what lies ahead.
OPEN_HOLDS: Final = f"""(
    SELECT count(*) FROM appointments AS held
     WHERE held.organization_id = %(tenant)s AND held.client_id = %(client)s AND held.state NOT IN ({NO_HOLD})
       AND held.expires_at >= %(now)s
)"""
FUTURE_SESSIONS: Final = f"""(
    SELECT count(*) FROM appointments AS ahead
     WHERE ahead.organization_id = %(tenant)s AND ahead.client_id = %(client)s AND ahead.scheduled_at > %(now)s
       AND {holds_time("ahead")}
)"""
NO_LIMIT: Final = 2**31 - 1
# The client's row is locked, so that nobody else adds one meanwhile.
WITHIN_LIMITS: Final = f"""
AND {OPEN_HOLDS} < coalesce(%(open_holds_per_client)s::integer, {NO_LIMIT})
AND {FUTURE_SESSIONS} < coalesce(%(future_sessions_per_client)s::integer, {NO_LIMIT})
"""


def _if_set(setting: str, count: str) -> str:
    return f"CASE WHEN organization.settings ->> '{setting}' IS NOT NULL THEN {count} END"


# Until the last day of the stay, which may lie ahead, and from the day after a leave: by the organization's calendar.
IS_EXPECTED: Final = """CASE
               WHEN student.admission_state = 'discharged'
                   THEN (%(start)s AT TIME ZONE organization.time_zone)::date <= student.discharge_date
               WHEN student.admission_state = 'on_leave'
                   THEN (%(start)s AT TIME ZONE organization.time_zone)::date > student.on_leave_until
           END"""


def _any_overdue(condition: str) -> str:
    # Said this way round, so that the index over all holds of the organization does not seem to serve: it would be
    # read from its beginning, and where no sweep has run for long that is much.
    held = f"dead.organization_id = %(tenant)s AND dead.state NOT IN ({NO_HOLD})"
    return f"EXISTS (SELECT 1 FROM appointments AS dead WHERE {held} AND {condition})"


def _facts_sql(
    terms: Terms,
    student: str,
    client: str,
    joined: str,
    earlier: str,
    condition: str,
    further: str,
    beside: str = "",
) -> Message:
    minutes = f"coalesce(%(minutes)s, {terms.minutes})"
    until = f"%(start)s + make_interval(mins => {minutes})"
    place = {"start": "%(start)s", "until": until, "own": "%(moving)s", "tenant": "%(tenant)s"}
    in_the_way = overdue_in_the_way(
        "dead",
        start="%(start)s",
        until=until,
        occupied_from=f"%(start)s - make_interval(mins => {terms.before})",
        occupied_until=f"%(start)s + make_interval(mins => {minutes} + {terms.after})",
        people={"own": "%(moving)s", "professional": "professional.user_id", "student": student, "client": client},
    )
    sql = f"""
    SELECT {calendar_columns(terms)}, {terms.columns}, organization.settings::text, {minutes},
           professional.xmin::text,
           student.id, student.xmin::text, student.admission_state, {IS_EXPECTED}, student.primary_contact_id,
           student.secondary_contact_id, client.id,
           professional.accepts_new_clients OR EXISTS (
               SELECT 1 FROM appointments AS known
                WHERE known.organization_id = %(tenant)s AND known.student_id = {student}
                  AND known.professional_id = professional.user_id AND {holds_time("known")}
           ),
           {busy("student_id", student, **place)},
           {busy("client_id", client, **place, beside=beside)},
           {" OR ".join(map(_any_overdue, in_the_way))},
           {further}
      FROM {calendar_source(terms, joined)} {earlier}
      LEFT JOIN students AS student ON student.organization_id = %(tenant)s AND student.id = {student}
           AND student.erased_at IS NULL
      LEFT JOIN users AS client ON client.organization_id = %(tenant)s AND client.id = {client}
           AND client.merged_into_id IS NULL AND client.erased_at IS NULL
     WHERE professional.organization_id = %(tenant)s {condition}"""
    return Message(sql, types=TYPES)


def seats_held(group: str) -> str:
    """SQL: how many seats of `group` are held at %(now)s."""
    return f"""(
    SELECT count(*) FROM appointments AS seated
     WHERE seated.organization_id = %(tenant)s AND seated.group_session_id = {group}.id AND seated.seat IS NOT NULL
       AND {holds_time("seated")})"""


def attendees_busy(person: str) -> str:
    """SQL: id of a session elsewhere, at the time asked for, of a student or client who attends the group."""
    until = "%(start)s + make_interval(mins => coalesce(%(minutes)s, 0))"
    return f"""(
    SELECT other.id FROM appointments AS seated
      JOIN appointments AS other ON other.organization_id = %(tenant)s AND other.{person}_id = seated.{person}_id
     WHERE seated.organization_id = %(tenant)s AND seated.group_session_id = coalesce(%(group)s, 0)
       AND seated.seat IS NOT NULL AND {holds_time("seated")} AND {holds_time("other")}{BESIDE_THE_GROUP}
       AND other.scheduled_at < {until} AND other.scheduled_at > %(start)s - interval '8 hours'
       AND other.scheduled_at + make_interval(mins => other.duration_minutes) > %(start)s
     ORDER BY other.scheduled_at LIMIT 1)"""


# A key that is not given is compared as one that no request has, since a row of nobody could be sent to no shard; so is
# whoever is not asked for, as an id that nobody has.
EARLIER: Final = "CASE WHEN %(key)s IS NOT NULL THEN earlier_request.id END"


def _to_book(terms: Terms) -> Message:
    return _facts_sql(
        terms,
        "%(student)s",
        "%(client)s",
        "",
        """LEFT JOIN appointments AS earlier_request ON earlier_request.organization_id = %(tenant)s
            AND earlier_request.idempotency_key = coalesce(%(key)s, '')""",
        "AND professional.user_id = %(professional)s",
        f"""{EARLIER}, earlier_request.request_fingerprint,
           {_if_set("open_holds_per_client", OPEN_HOLDS)}, {_if_set("future_sessions_per_client", FUTURE_SESSIONS)}""",
    )


TO_BOOK: Final = _to_book(OWN)
TO_BOOK_A_SERVICE: Final = _to_book(OF_SERVICE)
TO_MOVE: Final = _facts_sql(
    OF_MOVED,
    "moved.student_id",
    "moved.client_id",
    """JOIN appointments AS moved ON moved.organization_id = %(tenant)s AND moved.id = %(moving)s
            AND professional.user_id = coalesce(%(professional)s, moved.professional_id)""",
    """LEFT JOIN state_transitions AS earlier_request ON earlier_request.organization_id = %(tenant)s
            AND earlier_request.idempotency_key = coalesce(%(key)s, '')""",
    "",
    f"""moved.state, moved.scheduled_at, moved.expires_at, moved.professional_id, moved.duration_minutes,
           {EARLIER}, earlier_request.request_fingerprint, moved.group_session_id, moved.second_professional_id,
           moved.room_id, moved.device_id""",
)
# Of a group session: who held a seat and let it pass has none, whatever a sweep has come to.
SEATS_OVERDUE: Final = """EXISTS (SELECT 1 FROM appointments AS dead
                    WHERE dead.organization_id = %(tenant)s AND dead.group_session_id = coalesce(%(group)s, 0)
                      AND dead.seat IS NOT NULL AND dead.state = 'pre_confirmed' AND dead.expires_at < %(now)s)"""
# Of a group session that is attended, after what is read of every booking: its row, and how many seats are held.
TO_ATTEND: Final = _facts_sql(
    replace(OF_GROUP, minutes="attended.duration_minutes"),
    "%(student)s",
    "%(client)s",
    """JOIN group_sessions AS attended ON attended.organization_id = %(tenant)s AND attended.id = %(group)s
            AND attended.professional_id = professional.user_id""",
    """LEFT JOIN appointments AS earlier_request ON earlier_request.organization_id = %(tenant)s
            AND earlier_request.idempotency_key = coalesce(%(key)s, '')""",
    "",
    f"""{EARLIER}, earlier_request.request_fingerprint,
           {_if_set("open_holds_per_client", OPEN_HOLDS)}, {_if_set("future_sessions_per_client", FUTURE_SESSIONS)},
           attended.state, attended.scheduled_at, attended.duration_minutes, attended.capacity,
           {seats_held("attended")},
           {SEATS_OVERDUE}""",
    beside=BESIDE_THE_GROUP,
)
# What decides whether a professional can have a group session, where nobody attends it yet or everybody comes along.
TO_GATHER: Final = _facts_sql(
    OF_GROUP,
    "0::bigint",
    "0::bigint",
    "",
    "",
    "AND professional.user_id = %(professional)s",
    f"{attendees_busy('student')}, {attendees_busy('client')}, {SEATS_OVERDUE}",
)


@dataclass(frozen=True, slots=True)
class Wish:
    """The time that is asked for, and which of the rules staff have set aside.

    Attributes: `moving`, id of the appointment that is to be moved there; `group`, of the group session that is to be
    attended or moved; `beside`, what is asked for besides the professional; `again`, another was quicker.
    """

    start: datetime
    duration_minutes: int | None
    now: datetime
    aside: SetAside = NOTHING
    allow_overlap: bool = False
    moving: int | None = None
    group: int | None = None
    beside: Beside = NOTHING_BESIDE
    again: bool = False


@dataclass(frozen=True, slots=True)
class Facts:
    """What is known of the professional, the student and the client around the time asked for.

    Attributes: `is_expected`, whether a student who leaves or is away will be there on that day; `minutes`, length of
    the session; `version` and `student_version`, which versions of the professional's and the student's rows they are;
    `contacts`, ids of the student's contacts; `is_welcome`, whether new clients are taken or the student has an
    appointment there; `student_busy` and `client_busy`, ids of appointments in the way; `meets_overdue`, whether an
    overdue hold is in the way, which is in nobody's way once it is expired; `service`, the one that is booked or that
    the appointment has; `further`, the columns after these.
    """

    calendar: Calendar
    policy: OrganizationSettings
    minutes: int
    version: str
    student_id: int | None
    student_version: str
    admission_state: str
    is_expected: bool | None
    contacts: tuple[int | None, int | None]
    client_id: int | None
    is_welcome: bool
    student_busy: int | None
    client_busy: int | None
    meets_overdue: bool
    service: Booked | None
    further: Sequence[Any]


def read_facts(message: Message, wish: Wish, **values: Any) -> Facts | None:
    """Read the facts for the time that is wished; None if there is no such professional or appointment."""
    binding = current()
    if binding.privileged:
        raise TenantNotSetError("booking needs a tenant; wrap the code in `with db.tenant(...):`")
    start, until = wish.start, wish.start + LONGEST
    given = calendar_values(start, until, wish.now, moving=wish.moving, group=wish.group)
    given |= {"minutes": wish.duration_minutes} | values
    row = binding.engine.run_message(message, given).fetchone()
    if row is None:
        return None
    (calendar,) = calendars_of([row], start, until)
    of_service, rest = row[COLUMN_COUNT:][:SERVICE_COLUMN_COUNT], row[COLUMN_COUNT + SERVICE_COLUMN_COUNT :]
    settings, minutes, version, student, student_version, state, expected, first, second, *rest = rest
    client, is_welcome, *rest = rest
    service = Booked.of(of_service)
    return Facts(
        calendar=calendar if service is None else replace(calendar, room_features=service.room_features),
        policy=policy_of(settings),
        minutes=check_duration(minutes),
        version=version,
        student_id=student,
        student_version=student_version,
        admission_state=state,
        is_expected=expected,
        contacts=(first, second),
        client_id=client,
        is_welcome=is_welcome,
        student_busy=rest[0],
        client_busy=rest[1],
        meets_overdue=rest[2],
        service=service,
        further=rest[3:],
    )


def needing(facts: Facts, wish: Wish) -> Facts:
    """The facts with what the session needs besides the professional, which is read where it needs anything."""
    until = wish.start + LONGEST
    (calendar,) = with_needs(
        [facts.calendar], wish.beside, wish.start, until, wish.now, moving=wish.moving, group=wish.group
    )
    return replace(facts, calendar=calendar)

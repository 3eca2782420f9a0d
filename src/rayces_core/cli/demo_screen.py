"""What the demo shows: each tenant's rows, and what came of every attempt to reach another's."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator
from datetime import datetime
from typing import Any

from rich.table import Table
from rich.text import Text

from rayces_core.cli.demo_walls import Outcome
from rayces_core.cli.output import GREEN, HEADING, RED, styled, table
from rayces_core.database.database import Database
from rayces_core.fields.schemas import WEEKDAYS
from rayces_core.models import (
    Appointment,
    AppointmentSeries,
    CalendarFeed,
    ClosedDay,
    CreditBalance,
    CreditKind,
    CreditLot,
    CreditLotMovement,
    CreditPackage,
    CreditTransaction,
    GroupSession,
    Invoice,
    InvoiceCounter,
    InvoiceLine,
    Like,
    Notice,
    Organization,
    Post,
    Professional,
    ProfessionalService,
    Resource,
    Role,
    Service,
    SlotRequest,
    StateTransition,
    Student,
    TimeOffRequest,
    User,
)
from rayces_core.showing import counted

WALL_WIDTH = len("3 composite key")

EXAMPLES, LOOKED_AT = 3, 500
ROWS: list[tuple[type[Any], Callable[[Any], str]]] = [
    (Organization, lambda row: f"{row.name}, {row.time_zone}, {row.currency}"),
    (User, lambda row: f"{row.full_name} ({Role(row.role).name.lower()}), {_address(row)}"),
    (Professional, lambda row: ", ".join((f"{row.title} {row.user.full_name}", row.specialization, *_hours(row)))),
    (CreditKind, lambda row: row.name),
    (CreditPackage, lambda row: f"{row.name}: {counted(row.credits, 'credits')}"),
    (Service, lambda row: f"{row.name}, {row.duration_minutes} minutes, {counted(row.credits, 'credits')}"),
    (ProfessionalService, lambda row: f"{row.professional.user.full_name} gives {row.service.name}"),
    (Resource, lambda row: ", ".join((f"{row.name} ({row.kind})", *row.features, *_blocked(row)))),
    (Student, lambda row: f"{row.full_name}, {row.grade_level}, {row.admission_state.replace('_', ' ')}"),
    (GroupSession, lambda row: f"{_local(row)} {row.name}, {row.attending()} of {row.capacity}"),
    (Appointment, lambda row: ", ".join((f"{_local(row)} {row.student.full_name}: {_state(row)}", *_beside(row)))),
    (AppointmentSeries, lambda row: f"{row.rule} from {_local(row, row.starts_at)}"),
    (ClosedDay, lambda row: f"{row.day}: {row.name}"),
    (SlotRequest, lambda row: f"{row.student.full_name} until {row.until_day}, {row.state}"),
    (TimeOffRequest, lambda row: f"{row.professional.user.full_name} on {row.starts_on}, {row.state}"),
    (CalendarFeed, lambda row: f"sessions of {row.user.full_name}, {row.details} details"),
    (Notice, lambda row: f"{row.event} to {row.recipient.full_name} by {row.channel}, {row.state}"),
    (CreditBalance, lambda row: f"{row.user.full_name}: {row.balance}, {row.available} available"),
    (CreditTransaction, lambda row: f"{row.user.full_name}: {row.transaction_type.replace('_', ' ')} {row.amount:+d}"),
    (CreditLot, lambda row: f"{row.remaining} of {row.credits} until {row.expires_at:%Y-%m-%d}"),
    (CreditLotMovement, lambda row: f"{row.amount:+d} of a lot"),
    (InvoiceCounter, lambda row: f"{row.kind} {row.series}{row.last_number}"),
    (Invoice, lambda row: f"{row.kind} {row.title or ''} of {row.user.full_name}, {row.state}"),
    (InvoiceLine, lambda row: f"{row.description}: {row.total_cents} cents"),
    (Post, lambda row: f"{row.user.full_name}: {row.content}"),
    (Like, lambda row: f"{row.user.full_name} likes what {row.post.user.full_name} wrote"),
    (StateTransition, lambda row: f"{row.subject_type} {row.subject_id}: {row.event}, now {row.to_state}"),
]


def what_a_tenant_sees(database: Database, organization: Organization) -> Table:
    """Counts and a few rows of each model, read as that tenant."""
    shown = table("Model", "Rows", "For example", title=f'with db.tenant("{organization.subdomain}"):')
    shown.columns[1].justify = "right"
    with database.tenant(organization):
        for model, describe in ROWS:
            rows = list(map(describe, model.select().order_by(model.id).limit(LOOKED_AT)))
            shown.add_row(model.__name__, str(model.select().count()), "\n".join(_spread(rows)))
    return shown


def what_was_refused(kind: str, outcomes: Iterable[Outcome]) -> Table:
    """Attempts of one kind, what refused each, and its words; in red what was not refused."""
    shown = table(kind, "Refused by", "What came back", lines=True)
    shown.expand = True
    shown.columns[0].ratio, shown.columns[1].width, shown.columns[2].ratio = 1, WALL_WIDTH, 1
    for outcome in outcomes:
        refused_by = styled(outcome.attempt.wall, GREEN) if outcome.refused else styled("NOT REFUSED", RED)
        shown.add_row(outcome.attempt.code, refused_by, styled(outcome.words, "default" if outcome.refused else RED))
    return shown


def heading(text: str) -> Text:
    """A line that begins a part."""
    return styled(f"\n{text}\n", HEADING)


def _spread(rows: list[str]) -> list[str]:
    """The first, the last, and of those between them the one that says most."""
    return rows if len(rows) <= EXAMPLES else [rows[0], max(rows[1:-1], key=len), rows[-1]]


def _address(row: User) -> str:
    return f"merged into {row.merged_into.full_name}" if row.merged_into is not None else row.email


def _hours(profile: Professional) -> Iterator[str]:
    yield _days(profile.weekly_schedule)
    for dated in profile.dated_schedules:
        yield f"from {dated['start']} {_days(dated['schedule'])}"
    for other in profile.date_overrides:
        yield f"other hours on {other['date']}"


def _days(schedule: dict[str, Any]) -> str:
    return " ".join(day[:3].capitalize() for day in WEEKDAYS if day in schedule)


def _state(row: Appointment) -> str:
    return row.state.replace("_", "-")


def _beside(row: Appointment) -> Iterator[str]:
    """What a session holds besides its professional."""
    if row.second_professional is not None:
        yield f"{row.second_professional.user.full_name} too"
    if row.device is not None:
        yield f"with the {row.device.name.lower()}"


def _blocked(row: Resource) -> list[str]:
    return [f"blocked on {period.start}" for period in row.blocked_periods]


def _local(row: Any, moment: datetime | None = None) -> str:
    """A moment of a row, or the one that it begins at, by its organization's clock."""
    at: datetime = (moment or row.scheduled_at).astimezone(row.organization.zone)
    return f"{at:%a %d %b %H:%M}"

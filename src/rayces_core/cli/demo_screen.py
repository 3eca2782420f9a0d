"""What the demo shows: each tenant's rows, and what came of every attempt to reach another's."""

from __future__ import annotations

from collections.abc import Callable, Iterable
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
    CreditBalance,
    CreditTransaction,
    Like,
    Organization,
    Post,
    Professional,
    Role,
    StateTransition,
    Student,
    User,
)

WALL_WIDTH = len("3 composite key")

EXAMPLES, LOOKED_AT = 3, 500
ROWS: list[tuple[type[Any], Callable[[Any], str]]] = [
    (Organization, lambda row: f"{row.name}, {row.time_zone}, {row.currency}"),
    (User, lambda row: f"{row.full_name} ({Role(row.role).name.lower()}), {row.email}"),
    (Professional, lambda row: f"{row.title} {row.user.full_name}, {row.specialization}, {_days(row)}"),
    (Student, lambda row: f"{row.full_name}, {row.grade_level}, {row.admission_state.replace('_', ' ')}"),
    (Appointment, lambda row: f"{_local(row)} {row.student.full_name}: {row.state.replace('_', '-')}"),
    (CreditBalance, lambda row: f"{row.user.full_name}: {row.balance}"),
    (CreditTransaction, lambda row: f"{row.user.full_name}: {row.transaction_type.replace('_', ' ')} {row.amount:+d}"),
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
            rows = list(model.select().order_by(model.id).limit(LOOKED_AT))
            shown.add_row(model.__name__, str(model.select().count()), "\n".join(map(describe, _spread(rows))))
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


def _spread(rows: list[Any]) -> list[Any]:
    """The first, the last and what lies between them, evenly."""
    if len(rows) <= EXAMPLES:
        return rows
    return [rows[place * (len(rows) - 1) // (EXAMPLES - 1)] for place in range(EXAMPLES)]


def _days(profile: Professional) -> str:
    return " ".join(day[:3].capitalize() for day in WEEKDAYS if day in profile.weekly_schedule)


def _local(appointment: Appointment) -> str:
    at: datetime = appointment.scheduled_at.astimezone(appointment.organization.zone)
    return f"{at:%a %d %b %H:%M}"

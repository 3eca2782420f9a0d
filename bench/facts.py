"""What the contenders are told about the data, and the columns that each of them reads."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from typing import Any

COLUMNS = (
    "organization_id",
    "id",
    "professional_id",
    "student_id",
    "client_id",
    "scheduled_at",
    "duration_minutes",
    "buffer_minutes",
    "occupied_until",
    "state",
    "pre_confirmed_at",
    "expires_at",
    "confirmed_at",
    "executed_at",
    "no_show_at",
    "cancelled_at",
    "cancelled_by_id",
    "cancellation_reason",
    "notes",
    "professional_notes",
    "uses_credit",
    "credits_used",
    "metadata",
    "created_at",
    "updated_at",
)

FIRST_DAY = datetime(2031, 1, 1, tzinfo=UTC)


@dataclass(frozen=True)
class Facts:
    """One organization and keys to ask for; `ids` are spread over all its appointments, `last_id` is the table's."""

    organization_id: int
    subdomain: str
    rows: int
    last_id: int
    ids: tuple[int, ...]
    professionals: tuple[int, ...]
    students: tuple[int, ...]
    clients: tuple[int, ...]

    def new_appointment(self, number: int) -> dict[str, Any]:
        """Column values of an appointment that is not there yet; a draft, which takes no time of anybody."""
        return {
            "professional_id": self.professionals[number % len(self.professionals)],
            "student_id": self.students[number % len(self.students)],
            "client_id": self.clients[number % len(self.clients)],
            "scheduled_at": FIRST_DAY + timedelta(days=4000, minutes=number),
            "duration_minutes": 45,
            "notes": f"first session {number}",
        }

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
    "idempotency_key",
    "request_fingerprint",
    "created_at",
    "updated_at",
)

FIRST_DAY = datetime(2031, 1, 1, tzinfo=UTC)
NOW = FIRST_DAY - timedelta(hours=12)  # when all booking happens

# Sessions are booked in the evenings, after those that are there: five, of an hour and a quarter with the buffer.
EVENING = timedelta(hours=20)
EVENINGS = 720
SESSIONS_AN_EVENING = 5
SPACING = timedelta(minutes=75)


@dataclass(frozen=True)
class Agenda:
    """An organization of its own whose free time from `start` to `end` is looked for at `now`, and its free slots."""

    organization_id: int
    subdomain: str
    professionals: int
    appointments: int
    start: datetime
    end: datetime
    now: datetime
    slots: int


@dataclass(frozen=True)
class Ledger:
    """An organization of its own whose credits are moved: the users who have a balance, and the last entry there is."""

    organization_id: int
    subdomain: str
    users: tuple[int, ...]
    last_entry_id: int

    @property
    def batch(self) -> int:
        """How many purchases are made at once: two for each balance."""
        return 2 * len(self.users)

    def purchases(self, users: int) -> list[dict[str, int]]:
        """A batch of purchases by the first so many users, taking turns."""
        return [{"user": self.users[number % users], "credits": 1 + number % 9} for number in range(self.batch)]


@dataclass(frozen=True)
class Facts:
    """One organization and keys to ask for; `ids` are spread over all its appointments, `last_…` are the table's."""

    organization_id: int
    subdomain: str
    rows: int
    last_id: int
    last_transition_id: int
    ids: tuple[int, ...]
    professionals: tuple[int, ...]
    students: tuple[int, ...]
    clients: tuple[int, ...]
    agenda: Agenda
    ledger: Ledger

    def counted(self, unit: str) -> int:
        """How many rows, slots or purchases a call is about that is counted in them; 1 for other calls."""
        return {"rows": self.rows, "slots": self.agenda.slots, "purchases": self.ledger.batch}.get(unit, 1)

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

    def new_booking(self, number: int) -> dict[str, Any]:
        """Whom and when to book; no two numbers collide until all evenings of all professionals are used up."""
        place, who = divmod(number, len(self.professionals))
        evening, session = divmod(place, SESSIONS_AN_EVENING)
        return {
            "professional": self.professionals[who],
            "student": self.students[number % len(self.students)],
            "client": self.clients[number % len(self.clients)],
            "scheduled_at": FIRST_DAY + timedelta(days=evening % EVENINGS) + EVENING + session * SPACING,
        }

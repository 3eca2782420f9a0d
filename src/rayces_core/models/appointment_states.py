"""Where an appointment stands, and which of its states take the professional's time."""

from __future__ import annotations

from enum import StrEnum


class AppointmentState(StrEnum):
    """Where an appointment stands."""

    DRAFT = "draft"
    PRE_CONFIRMED = "pre_confirmed"
    CONFIRMED = "confirmed"
    EXECUTED = "executed"
    CANCELLED = "cancelled"
    NO_SHOW = "no_show"

    @property
    def is_final(self) -> bool:
        """Whether nothing can follow but a correction by the staff."""
        return self in (AppointmentState.EXECUTED, AppointmentState.CANCELLED, AppointmentState.NO_SHOW)

    @property
    def occupies_time(self) -> bool:
        """Whether the professional's time is taken; drafts and cancelled appointments take none."""
        return self not in (AppointmentState.DRAFT, AppointmentState.CANCELLED)


DRAFT, PRE_CONFIRMED, CONFIRMED, EXECUTED, CANCELLED, NO_SHOW = AppointmentState
OCCUPYING = tuple(state for state in AppointmentState if state.occupies_time)
OCCUPYING_SQL = ", ".join(f"'{state}'" for state in OCCUPYING)
_IDLE_SQL = ", ".join(f"'{state}'" for state in AppointmentState if not state.occupies_time)
EXPIRED = "expired"


def occupies(row: str) -> str:
    """SQL: the state of `row` takes the professional's time.

    Said by the states that take none, so that the exclusion constraint's index, which has the others, does not seem to
    serve. It knows a professional and no order: all that was ever booked there would be read, for the last of it.
    """
    return f"{row}.state NOT IN ({_IDLE_SQL})"

"""Taking a draft's time: decided on as a booking is, by the same function, and written if what it has seen still holds.

Rule it guards: what has come since the draft was made counts. When it may be asked for was decided then: the weekly
hours, the notice, the window and the grid are not asked again.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import replace
from datetime import datetime
from typing import Any, Final

from rayces_core.database.binding import current
from rayces_core.errors import NotPermittedError
from rayces_core.models.appointment import Appointment
from rayces_core.models.appointment_time import TAKEN
from rayces_core.models.permissions import STAFF
from rayces_core.models.user import User
from rayces_core.scheduling.calendar import SetAside
from rayces_core.scheduling.calendars import reading
from rayces_core.scheduling.deciding import decide
from rayces_core.scheduling.facts import TO_MOVE, Facts, Wish, needing, read_facts
from rayces_core.scheduling.holdings import COLUMNS, Beside, beside_values, held_by

OVERRIDE: Final = "override_blocked"


def decide_draft(draft: Appointment, now: datetime, by: User | None, given: Mapping[str, Any]) -> dict[str, Any]:
    """Raise the BookingError that says why a draft cannot take its time; in privileged work nothing is asked.

    `given` may say `override_blocked`, which staff alone do. Returns which versions of others' rows were seen.
    """
    sets_aside = bool(given.get(OVERRIDE))
    if sets_aside and by is not None and not STAFF(None, by):
        raise NotPermittedError(f"pre_confirm with {OVERRIDE}", by.id, (STAFF.who,))
    if current().privileged:
        return {}
    aside = SetAside(schedule=True, blocked=sets_aside, window=True, notice=True)
    held = {column: key for column in COLUMNS if (key := getattr(draft, column)) is not None}
    wish = Wish(
        draft.scheduled_at, draft.duration_minutes, now, aside, draft.allows_overlap, draft.id, beside=Beside(held)
    )
    with reading():
        facts = read_facts(TO_MOVE, wish, professional=None, key=None)
        if facts is None:
            return {}
        buffers = {name: getattr(draft, name) for name in ("buffer_before_minutes", "buffer_minutes")}
        facts = needing(replace(facts, calendar=replace(facts.calendar, **buffers)), wish)
    decide(facts, wish, None, anew=True)
    return _seen(facts, wish)


def _seen(facts: Facts, wish: Wish) -> dict[str, Any]:
    held = held_by(facts.calendar, wish.start, facts.minutes, wish.aside)
    beside = beside_values(held)
    return {
        "seen_professional": facts.version,
        "seen_student": facts.student_version,
        **{f"seen_{role}": beside[f"{role}_version"] for role in TAKEN},
        "seen_service": None if facts.service is None else facts.service.version,
        "seen_giving": None if facts.service is None else facts.service.giving_version or "",
    }


WITHOUT: Final = ("service", "second_professional", "room", "device")
Appointment.lifecycle.decided_by(
    "pre_confirm",
    decide_draft,
    reads=(
        *("scheduled_at", "duration_minutes", "buffer_before_minutes", "buffer_minutes", "allows_overlap"),
        *("professional", "student", "client", *WITHOUT),
    ),
    may_lack=WITHOUT,
)

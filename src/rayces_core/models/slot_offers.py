"""What becomes of a slot request goes by its offer, an appointment: in the unit of work of that one's event."""

from __future__ import annotations

from typing import Any, Final

from rayces_core.models.appointment import Appointment
from rayces_core.models.slot_request import SlotRequest
from rayces_core.state_machine import StateChange

# The appointment's event → the request's.
FOLLOWS: Final = {"confirm": "take", "cancel": "decline", "expire": "miss"}


def _is_offer(appointment: Any) -> bool:
    return appointment.slot_request_id is not None


@Appointment.lifecycle.within(*FOLLOWS, when=_is_offer, reads=("slot_request",))
def follow_the_offer(change: StateChange) -> None:
    """Move the request on, if it still waits for an answer: an appointment that was taken may be cancelled later."""
    offer = change.subject
    SlotRequest.lifecycle.move_many(
        FOLLOWS[change.event],
        "id = %(request)s",
        {"request": offer.slot_request_id},
        organization=offer.organization_id,
        by=change.actor,
        reason=change.reason,
        now=change.occurred_at,
    )

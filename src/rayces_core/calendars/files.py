"""One appointment as a file, for an e-mail or a download."""

from __future__ import annotations

from datetime import datetime

from rayces_core import clock
from rayces_core.calendars.sessions import session_of
from rayces_core.calendars.writing import CALLED, CANCEL, PUBLISH, calendar_file
from rayces_core.models.appointment import Appointment
from rayces_core.models.calendar_feed import FeedDetails, known_details
from rayces_core.models.user import User
from rayces_core.tenancy.organization import Organization
from rayces_core.tenancy.scoping import check_saved


def appointment_ics(
    appointment: Appointment,
    *,
    user: User | int | None = None,
    details: FeedDetails | str = FeedDetails.FULL,
    called: str = CALLED,
    now: datetime | None = None,
) -> bytes:
    """The appointment as a calendar file: METHOD:CANCEL of one that is cancelled, PUBLISH of any other.

    Args:
        user: whom it is for; without it the client. details, called: as for `create_feed` and `read_feed`.

    Raises:
        CrossTenantError: another organization's. InvalidDataError: `details`.
    """
    check_saved(appointment, Appointment, "appointment")
    told = known_details(details)
    whose = user.id if isinstance(user, User) else user
    session = session_of(appointment.id, appointment.client_id if whose is None else whose, clock.moment(now))
    method = CANCEL if session.status == "CANCELLED" else PUBLISH
    organization = Organization.get_by_id(appointment.organization_id)
    return calendar_file([session], organization, details=told, method=method, called=called)

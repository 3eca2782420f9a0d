"""Calendars elsewhere, whose times count as busy: added and removed.

Rule it guards: a professional adds to the own time alone; staff to anybody's.
"""

from __future__ import annotations

from typing import Final

from rayces_core.errors import InvalidDataError, NotPermittedError
from rayces_core.models.outside_calendar import OutsideCalendar
from rayces_core.models.professional import Professional
from rayces_core.models.user import User
from rayces_core.outbox.endpoints import checked_url
from rayces_core.scheduling.availability import id_of
from rayces_core.state_machine.actors import check_actor
from rayces_core.tenancy.scoping import check_saved

SUBSCRIBED: Final = ("webcal://", "webcals://")


def add_outside_calendar(
    professional: Professional | User | int, url: str, *, name: str, by: User | None = None
) -> OutsideCalendar:
    """Have a calendar elsewhere count: what it has is busy here, once `refresh_calendars` has read it.

    Args:
        professional: a Professional, its User, or the user's id.
        url: where it is read, https, http or webcal. It is asked for when calendars are refreshed, not now.
        name: what it is called here. by: the acting user: the professional, or staff.

    Raises:
        NotPermittedError: `by` is neither. InvalidDataError: the URL or the name is none.
        DuplicateError: the professional has it already. ReferenceNotFoundError: there is no such professional.
        CrossTenantError: another organization's.
    """
    user_id = id_of(professional)
    _check_whose(user_id, by)
    return OutsideCalendar.create(professional=user_id, url=_url(url), name=str(name).strip())


def remove_outside_calendar(calendar: OutsideCalendar, *, by: User | None = None) -> None:
    """Forget a calendar elsewhere; its times are free at once.

    Raises:
        NotPermittedError: `by` is neither the professional nor staff. CrossTenantError: another organization's.
    """
    check_saved(calendar, OutsideCalendar, "calendar")
    _check_whose(calendar.professional_id, by)
    calendar.delete_instance()


def _check_whose(user_id: int, by: User | None) -> None:
    if by is None:
        return
    check_actor(by, User)
    if not by.is_staff and by.id != user_id:
        raise NotPermittedError(
            "change the calendars of a professional", by.id, ("the professional", "staff and admins")
        )


def _url(given: object) -> str:
    text = given.strip() if isinstance(given, str) else ""
    for scheme in SUBSCRIBED:
        if text.lower().startswith(scheme):
            text = f"https://{text[len(scheme) :]}"
    try:
        return checked_url(text, ("https", "http"))
    except InvalidDataError as error:
        raise InvalidDataError("url", None, error.reason) from None

"""What calendars outside raise: those that read here, and those that are read."""

from __future__ import annotations

from rayces_core.errors.base import RaycesError


class FeedNotFoundError(RaycesError, LookupError):
    """No calendar is read under this address: it never was one, or it has been revoked; answer with 404."""

    code = "feed_not_found"

    def __init__(self) -> None:
        super().__init__("no calendar is read under this address; ask for a new one")


class OutsideCalendarError(RaycesError):
    """A calendar elsewhere could not be read; what was read of it before still counts.

    Attributes: `reason`, "refused_address", "unreachable", "status", "redirects", "too_large", "broken" or "too_many".
    """

    code = "outside_calendar"

    def __init__(self, reason: str, message: str) -> None:
        self.reason = reason
        super().__init__(message)

"""What a service says of a booking, and when it is refused.

Rule it guards: a service that is not offered any more, or not given by the professional, is booked by nobody, and one
that only the centre books by no family. A session that is moved keeps its service, so only whoever gets it is asked.
"""

from __future__ import annotations

import json
from collections.abc import Sequence
from dataclasses import dataclass, replace
from typing import Any, Final

from rayces_core.errors import (
    InvalidDataError,
    NotPermittedError,
    ReferenceNotFoundError,
    ServiceInactiveError,
    ServiceNotGivenError,
)
from rayces_core.models.permissions import STAFF
from rayces_core.models.service import Service
from rayces_core.models.user import User
from rayces_core.tenancy.scoping import check_reach

# Of the locked professional's row, which is the version that was decided on; the first price that is told counts.
PRICE: Final = ", ".join(
    f"""(SELECT CASE WHEN giving.price_cents IS NOT NULL THEN giving.{column}
                WHEN service.price_cents IS NOT NULL THEN service.{column}
                WHEN asked.session_price_cents IS NOT NULL THEN asked.{own} END
           FROM professionals AS asked
           JOIN services AS service ON service.organization_id = %(tenant)s AND service.id = %(service)s
           LEFT JOIN professional_services AS giving ON giving.organization_id = %(tenant)s
                 AND giving.service_id = service.id AND giving.professional_id = asked.user_id
          WHERE asked.organization_id = %(tenant)s AND asked.user_id = %(professional)s)"""
    for column, own in (("price_cents", "session_price_cents"), ("currency", "currency"))
)
# What the professional asks for today: the locked row's, which is the version that was decided on.
PRICE_OF_PROFESSIONAL: Final = ", ".join(
    f"""(SELECT {column} FROM professionals AS asked
         WHERE asked.organization_id = %(tenant)s AND asked.user_id = %(professional)s
           AND asked.session_price_cents IS NOT NULL)"""
    for column in ("session_price_cents", "currency")
)
CREDIT_KIND: Final = "(SELECT credit_kind_id FROM services WHERE organization_id = %(tenant)s AND id = %(service)s)"
UNCHANGED: Final = """
AND EXISTS (
    SELECT 1 FROM services
     WHERE organization_id = %(tenant)s AND id = %(service)s AND xmin::text = %(service_version)s
) AND (
    SELECT xmin::text FROM professional_services
     WHERE organization_id = %(tenant)s AND service_id = %(service)s AND professional_id = %(professional)s
) IS NOT DISTINCT FROM %(giving_version)s"""


@dataclass(frozen=True, slots=True)
class Booked:
    """A service as it was read with the calendar; `giving_version` is None where the professional does not give it."""

    id: int
    version: str
    active: bool
    families_may_book: bool
    credits: int
    giving_version: str | None
    room_features: tuple[str, ...]

    @classmethod
    def of(cls, columns: Sequence[Any]) -> Booked | None:
        """The service in the `columns` of Terms, if there is one."""
        if columns[0] is None:
            return None
        return replace(cls(*columns), room_features=tuple(json.loads(columns[-1])))


def service_id(given: object) -> int | None:
    """The id of a Service, or the id itself; raises InvalidDataError or CrossTenantError."""
    if given is None:
        return None
    if isinstance(given, Service):
        check_reach(given)
        given = given.id
    if isinstance(given, bool) or not isinstance(given, int):
        raise InvalidDataError("service", given, "needs a saved Service or an id")
    return given


def check_found(wanted: int | None, found: Booked | None) -> None:
    """Raise unless the service that is asked for is one of this organization's."""
    if wanted is not None and found is None:
        raise ReferenceNotFoundError(
            f"there is no service {wanted} in this organization", table="appointments", fields=("service_id",)
        )


def check_own_length(service: int | None, duration_minutes: int | None, by: User | None, action: str = "book") -> None:
    """Raise if a family asks for another length than the service has."""
    if service is not None and duration_minutes is not None and by is not None and not STAFF(None, by):
        raise NotPermittedError(f"{action} a service at another length", by.id, (STAFF.who,))


def check_booked(service: Booked | None, by: User | None) -> None:
    """Raise unless the acting user may book the service with the professional."""
    if service is None:
        return
    if not service.families_may_book and by is not None and not STAFF(None, by):
        raise NotPermittedError("book this service", by.id, (STAFF.who,))
    if not service.active:
        raise ServiceInactiveError("the service is not offered any more; choose another one", service_id=service.id)
    check_given(service)


def check_given(service: Booked | None) -> None:
    """Raise unless the professional gives the service."""
    if service is not None and service.giving_version is None:
        raise ServiceNotGivenError(
            "the professional does not give this service; choose another one", service_id=service.id
        )

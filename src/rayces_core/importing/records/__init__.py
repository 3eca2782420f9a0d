"""The record types that can be imported, by name and by model."""

from __future__ import annotations

from typing import Any, Final

from rayces_core.errors import ConfigurationError
from rayces_core.importing.record import Record
from rayces_core.importing.records.appointments import APPOINTMENTS
from rayces_core.importing.records.closed_days import CLOSED_DAYS
from rayces_core.importing.records.credit_kinds import CREDIT_KINDS
from rayces_core.importing.records.credit_packages import CREDIT_PACKAGES
from rayces_core.importing.records.credits import CREDITS
from rayces_core.importing.records.group_sessions import GROUP_SESSIONS
from rayces_core.importing.records.organizations import ORGANIZATIONS
from rayces_core.importing.records.professionals import PROFESSIONALS
from rayces_core.importing.records.resources import RESOURCES
from rayces_core.importing.records.services import GIVEN, SERVICES
from rayces_core.importing.records.slot_requests import SLOT_REQUESTS
from rayces_core.importing.records.social import LIKES, POSTS
from rayces_core.importing.records.students import STUDENTS
from rayces_core.importing.records.time_off import TIME_OFF
from rayces_core.importing.records.users import USERS

__all__ = ["RECORDS", "Record", "add", "record_of"]

# In the order in which they can follow each other: each refers to those before it only.
RECORDS: Final = {
    record.name: record
    for record in (
        *(ORGANIZATIONS, USERS, PROFESSIONALS, CREDIT_KINDS, CREDIT_PACKAGES, SERVICES, GIVEN, RESOURCES, CLOSED_DAYS),
        *(TIME_OFF, STUDENTS, SLOT_REQUESTS, GROUP_SESSIONS, APPOINTMENTS, CREDITS, POSTS, LIKES),
    )
}
_BY_MODEL: Final[dict[Any, Record]] = {record.model: record for record in RECORDS.values()}


def add(record: Record) -> None:
    """Have a record type of a host's be one of them; one of the same model is replaced."""
    for name in [name for name, each in RECORDS.items() if each.model is record.model]:
        del RECORDS[name]
    RECORDS[record.name] = _BY_MODEL[record.model] = record


def record_of(what: object) -> Record:
    """The record type that a name, a model or a Record stands for.

    Raises:
        ConfigurationError: there is none.
    """
    if isinstance(what, Record):
        return what
    found = RECORDS.get(what.strip().lower()) if isinstance(what, str) else _BY_MODEL.get(what)
    if found is None:
        shown = what if isinstance(what, str) else getattr(what, "__name__", repr(what))
        raise ConfigurationError(f"{shown!s:.60} cannot be imported; there are {', '.join(RECORDS)}")
    return found

"""What metrics of the ledger and of the journal have in common: they read no appointments."""

from __future__ import annotations

from rayces_core.errors import InvalidDataError


def nothing_of_appointments(where: object, counted: str) -> None:
    """Refuse `where`, an expression over Appointment, where something else is counted.

    Raises:
        InvalidDataError: it is given.
    """
    if where is not None:
        raise InvalidDataError("where", where, f"is over Appointment, and {counted} are none; leave it out, or use by=")

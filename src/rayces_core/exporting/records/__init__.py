"""The record types that can be exported: what their columns are called for people, and the SQL that they come from.

Rule it guards: what an import of the same type knows is exported under the very name that the import gives it, with
e-mail addresses for references, so a file goes out and comes in again. Ids and the rest follow after.
"""

from __future__ import annotations

from typing import Final

from rayces_core.errors import InvalidDataError
from rayces_core.exporting.records.calendar import CALENDAR
from rayces_core.exporting.records.centre import CENTRE
from rayces_core.exporting.records.ledger import LEDGER
from rayces_core.exporting.records.shape import Record
from rayces_core.exporting.records.told import TOLD

__all__ = ["OURS", "RECORDS", "add", "record_of"]

OURS: Final = {record.name: record for record in (*CENTRE, *CALENDAR, *LEDGER, *TOLD)}
RECORDS: Final = dict(OURS)


def add(record: Record) -> None:
    """Have a record type of a host's be one of them; one of the same model is replaced."""
    for name in [name for name, each in RECORDS.items() if each.model is record.model]:
        del RECORDS[name]
    RECORDS[record.name] = record


def record_of(wanted: object) -> Record:
    """The record type of that name or model.

    Raises:
        InvalidDataError: there is none.
    """
    for record in RECORDS.values():
        if wanted in (record.name, record.model, record):
            return record
    raise InvalidDataError("record", wanted, f"is no record type; there are {', '.join(RECORDS)}")

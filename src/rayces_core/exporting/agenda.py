"""Appointments as a calendar (.ics, RFC 5545): an event for each, with what a calendar has no word for beside it.

Rule it guards: what an import reads of it is the appointment as it was. What a calendar shows is in the properties that
it knows; every other column is one of its own, X-RAYCES-STATE and so on.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from contextlib import contextmanager
from datetime import timedelta
from typing import IO, Any, Final

from rayces_core.errors import InvalidDataError
from rayces_core.exporting.layout import Layout, Rows, document, local, wanted
from rayces_core.exporting.records.shape import Column, Kind

NEEDED: Final = ("id", "scheduled_at", "duration_minutes")
STATUS: Final = {"draft": "TENTATIVE", "pre_confirmed": "TENTATIVE", "cancelled": "CANCELLED"}
# Columns that a calendar has its own property for.
OF_CALENDARS: Final = ("scheduled_at", "duration_minutes", "professional", "client", "notes")
BEGIN: Final = b"BEGIN:VCALENDAR\r\nVERSION:2.0\r\nPRODID:-//rayces-core//exporting//EN\r\n"
END: Final = b"END:VCALENDAR\r\n"


@contextmanager
def calendar(layout: Layout, file: IO[bytes]) -> Iterator[Callable[[Rows], object]]:
    """A function that writes appointments as events; the calendar is complete when the block ends.

    Raises:
        InvalidDataError: these are no appointments, or a column that an event needs was left out.
    """
    if layout.name != "appointments":
        raise InvalidDataError("format", "ics", f"is for appointments, not for {layout.name}; name another format")
    if missing := [name for name in NEEDED if name not in layout.header]:
        raise InvalidDataError("columns", layout.header, f"an event needs {', '.join(missing)} as well; add it")
    file.write(BEGIN)
    yield lambda rows: file.write(b"".join(_event(layout, row) for row in rows))
    file.write(END)


def _event(layout: Layout, row: tuple[Any, ...]) -> bytes:
    calendars = wanted("icalendar")
    values = dict(zip(layout.header, row, strict=True))
    event, starts = calendars.Event(), values["scheduled_at"]
    event.add("uid", f"appointment-{values['id']}@rayces-core")
    event.add("dtstamp", values.get("updated_at") or starts)
    event.add("dtstart", starts)
    event.add("dtend", starts + timedelta(minutes=values["duration_minutes"]))
    name = " ".join(filter(None, (values.get("student_first_name"), values.get("student_last_name"))))
    event.add("summary", _plain(name or "appointment"))
    event.add("status", STATUS.get(values.get("state") or "", "CONFIRMED"))
    for key, column in (("organizer", "professional"), ("attendee", "client")):
        if values.get(column):
            event.add(key, f"mailto:{values[column]}")
    if values.get("notes"):
        event.add("description", _plain(values["notes"]))
    for own, value in zip(layout.columns, row, strict=True):
        if value is not None and own.name not in OF_CALENDARS:
            event.add(f"x-rayces-{own.name.replace('_', '-')}", _plain(_shown(own, value, layout)))
    return bytes(event.to_ical())


def _shown(column: Column, value: Any, layout: Layout) -> str:
    if column.kind is Kind.MOMENT:
        return local(value, layout.zone).isoformat()
    if column.kind is Kind.DATE:
        return str(value.isoformat())
    if column.kind is Kind.MONEY:
        return f"{value // 100}.{value % 100:02}"
    if column.kind is Kind.BOOLEAN:
        return "true" if value else "false"
    return document(value) if column.kind is Kind.DOCUMENT else str(value)


def _plain(text: str) -> str:
    """A text without the signs that a calendar may not have; lines end one way."""
    lines = text.replace("\r\n", "\n").replace("\r", "\n")
    return "".join(sign for sign in lines if sign in "\n\t" or sign >= " ")

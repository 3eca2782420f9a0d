"""Weekly hours as people write them, and one set of them after another."""

import re
from datetime import date, timedelta
from typing import Any

from rayces_core import RaycesError
from rayces_core.integrations.problems import declare

WEEKDAYS = ("monday", "tuesday", "wednesday", "thursday", "friday", "saturday", "sunday")
WINDOW = re.compile(r"(\d{1,2}:\d{2})\s*[-\u2013]\s*(\d{1,2}:\d{2})")
Schedule = dict[str, list[dict[str, str]]]


class HoursError(RaycesError):
    """Hours are not written as the pages take them."""

    code = "centre_hours"


declare(
    HoursError,
    status=422,
    en="Write the hours of a day like this: 9:00-13:00, 14:00-18:00",
    es="Escriba las horas de un día así: 9:00-13:00, 14:00-18:00",
)


def windows_of(text: str) -> list[dict[str, str]]:
    """The hours that a field holds, such as "9:00-13:00, 14:00-18:00"."""
    parts = [part.strip() for part in re.split("[,;]", text) if part.strip()]
    found = [WINDOW.fullmatch(part) for part in parts]
    if not all(found):
        raise HoursError(f"{text!r} needs hours such as 9:00-13:00, 14:00-18:00")
    return [{"start": each[1].zfill(5), "end": each[2].zfill(5)} for each in found if each]


def text_of(schedule: Schedule, day: str) -> str:
    return ", ".join(f"{window['start']}-{window['end']}" for window in schedule.get(day, ()))


def from_day_on(dated: list[dict[str, Any]], start: date, schedule: Schedule) -> list[dict[str, Any]]:
    """The schedules with one that holds from `start` until the next one begins: what held then ends the day before."""
    first, before = start.isoformat(), (start - timedelta(days=1)).isoformat()
    earlier = [each | {"end": min(each.get("end") or before, before)} for each in dated if each["start"] < first]
    later = [each for each in dated if each["start"] > first]
    begins = min((date.fromisoformat(each["start"]) for each in later), default=None)
    end = {"end": begins - timedelta(days=1)} if begins else {}
    return [*earlier, {"start": start, "schedule": schedule} | end, *later]

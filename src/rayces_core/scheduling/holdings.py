"""What a session needs besides its professional: a second one, a room, a device, and when these can be had.

Rule it guards: they are asked as the professional is, for the same span of time, buffers included, so free time is what
all of them have in common; and a room that was not named is the first one that is free and has what is needed.
"""

from __future__ import annotations

import json
import random
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field, replace
from datetime import datetime
from enum import Enum
from typing import Any, Final

from rayces_core.database.binding import current
from rayces_core.errors import InvalidDataError, ReferenceNotFoundError
from rayces_core.models.appointment_time import holds_time
from rayces_core.models.professional import Professional
from rayces_core.models.resource import Resource
from rayces_core.models.user import User
from rayces_core.scheduling.calendar import NOTHING, Calendar, Held, Need, SetAside, chosen
from rayces_core.scheduling.calendars import HOURS, hours_but, hours_of, spans
from rayces_core.tenancy.scoping import check_reach

SECOND, ROOM, DEVICE = COLUMNS = ("second_professional_id", "room_id", "device_id")
NAMES: Final = {SECOND: "second professional", ROOM: "room", DEVICE: "device"}
ITSELF: Final = "is the professional of the session already"


class Kept(Enum):
    """What is not said of a session that is moved stays as it is."""

    SAME = "same"


SAME: Final = Kept.SAME


@dataclass(frozen=True, slots=True)
class Beside:
    """What is asked for besides the professional.

    Attributes: `ids`, by column; `room_with`, the features of a room that is not named, None where none is asked for;
    `kept`, the columns of `ids` that the session has already.
    """

    ids: dict[str, int] = field(default_factory=dict)
    room_with: tuple[str, ...] | None = None
    kept: frozenset[str] = frozenset()

    @property
    def is_asked(self) -> bool:
        """Whether anything is."""
        return bool(self.ids) or self.room_with is not None

    @property
    def given(self) -> list[str]:
        """The arguments that ask for something, for a message."""
        names = [column.removesuffix("_id") for column in COLUMNS if column in self.ids and column not in self.kept]
        return names + ([] if self.room_with is None else ["room_with"])

    def changes(self, has: Sequence[int | None]) -> bool:
        """Whether a session that has these, in the order of COLUMNS, would have others, or a room is to be chosen."""
        return self.room_with is not None or [self.ids.get(column) for column in COLUMNS] != list(has)

    @property
    def as_asked(self) -> list[Any]:
        """What a fingerprint is made of; empty where nothing is asked."""
        if not self.is_asked:
            return []
        return [["beside", *(self.ids.get(column) for column in COLUMNS), self.room_with and list(self.room_with)]]


NOTHING_BESIDE: Final = Beside()


def beside_of(
    second_professional: object = None, room: object = None, device: object = None, room_with: object = None
) -> Beside:
    """What is asked for besides the professional, from the arguments of a booking.

    Raises:
        InvalidDataError, CrossTenantError: an argument is malformed, or another organization's.
    """
    if room is not None and room_with is not None:
        raise InvalidDataError("room_with", room_with, "say either which room, or what it has to have")
    found = {
        SECOND: _person(second_professional),
        ROOM: _resource(room, "room"),
        DEVICE: _resource(device, "device"),
    }
    if found[ROOM] is not None and found[ROOM] == found[DEVICE]:
        raise InvalidDataError("device", device, "is the room already")
    return Beside({column: key for column, key in found.items() if key is not None}, features_of(room_with))


def features_of(given: object) -> tuple[str, ...] | None:
    """The features that a room has to have, as they are stored."""
    if given is None:
        return None
    listed = list(given) if isinstance(given, Iterable) and not isinstance(given, str) else given
    try:
        return tuple(Resource.features.encode(listed)[0])
    except InvalidDataError as error:
        raise InvalidDataError("room_with", given, error.reason) from None


def _person(given: object) -> int | None:
    if given is None:
        return None
    if isinstance(given, Professional | User):
        check_reach(given)
        given = given.user_id if isinstance(given, Professional) else given.id
    return _whole(given, "second_professional", "a saved Professional, its User")


def _resource(given: object, name: str) -> int | None:
    if given is None:
        return None
    if isinstance(given, Resource):
        check_reach(given)
        if given.kind != name:
            raise InvalidDataError(name, given, f"is a {given.kind}")
        given = given.id
    return _whole(given, name, "a saved Resource")


def _whole(given: object, name: str, kinds: str) -> int:
    if isinstance(given, bool) or not isinstance(given, int):
        raise InvalidDataError(name, given, f"needs {kinds} or an id")
    return given


def beside_of_moved(has: Sequence[int | None], asked: dict[str, Any]) -> Beside:
    """What a session that has these (in the order of COLUMNS) needs once it is moved; what is not said stays."""
    said = {name: value for name, value in asked.items() if value is not SAME}
    given = beside_of(**said)
    kept = {
        column: key
        for column, key in zip(COLUMNS, has, strict=True)
        if key is not None and column.removesuffix("_id") not in said
    }
    return Beside(kept | given.ids, given.room_with, frozenset(kept))


def said_of_moved(beside: Beside, asked: dict[str, Any]) -> dict[str, Any]:
    """What was said of it, by argument, as ids and features: what `beside_of_moved` can be given again."""
    said = {name: beside.ids.get(f"{name}_id") for name, value in asked.items() if value is not SAME}
    if beside.room_with is None:
        said.pop("room_with", None)
        return said
    return {**said, "room_with": list(beside.room_with)}


def check_second(beside: Beside, professional_id: int) -> None:
    """Raise if the second professional is the first one as well."""
    if beside.ids.get(SECOND) == professional_id:
        raise InvalidDataError("second_professional", professional_id, ITSELF)


# -- writing ----------------------------------------------------------------------------------------------------------

# Who or what a session does without is no number that a row has: of a comparison with nothing, routers make no task.
NOBODYS: Final = "coalesce(%({})s::bigint, 0)"
# Not `IS NULL OR`: where that is known to hold nothing is asked of the table, and Citus looks for its rows everywhere.
SAME_BESIDE: Final = " AND ".join(
    f"""(%({role})s IS NOT NULL) = EXISTS (
    SELECT 1 FROM {table}
     WHERE organization_id = %(tenant)s AND {key} = {NOBODYS.format(role)}
       AND xmin::text = coalesce(%({role}_version)s, '')
)"""
    for role, table, key in (
        ("second_professional", "professionals", "user_id"),
        ("room", "resources", "id"),
        ("device", "resources", "id"),
    )
)


# -- reading ----------------------------------------------------------------------------------------------------------

# No session occupies more than 8 hours and a day of buffer on either side.
_NEAR: Final = (
    "{row}.scheduled_at > %(start)s - interval '80 hours' AND {row}.scheduled_at < %(end)s + interval '48 hours'"
)


def _busy(*of: tuple[str, str]) -> str:
    """Columns: the spans in which it is held, and whether an overdue hold may be in the way."""
    held = " UNION ALL ".join(
        f"""SELECT taken.occupied_from AS begins, taken.occupied_until AS ends
          FROM appointments AS taken
         WHERE taken.organization_id = %(tenant)s AND taken.{column} = {key} AND {_NEAR.format(row="taken")}
           AND taken.group_session_id IS NULL AND {holds_time("taken")} AND taken.id IS DISTINCT FROM %(moving)s
         UNION ALL
        SELECT held.scheduled_at, held.occupied_until
          FROM group_sessions AS held
         WHERE held.organization_id = %(tenant)s AND held.{column} = {key} AND {_NEAR.format(row="held")}
           AND held.state = 'open' AND held.id IS DISTINCT FROM %(group)s"""
        for column, key in of
    )
    overdue = " OR ".join(
        f"""EXISTS (SELECT 1 FROM appointments AS dead
             WHERE dead.organization_id = %(tenant)s AND dead.{column} = {key} AND {_NEAR.format(row="dead")}
               AND dead.state = 'pre_confirmed' AND dead.expires_at < %(now)s)"""
        for column, key in of
    )
    return f"""(SELECT string_agg(timestamptz_send(span.begins) || timestamptz_send(span.ends), ''
                              ORDER BY span.begins) FROM ({held}) AS span), {overdue}"""


READ: Final = f"""
SELECT 'professional', professional.user_id, '', professional.active, NULL::text,
       {HOURS},
       professional.xmin::text, {_busy(("professional_id", "professional.user_id"), (SECOND, "professional.user_id"))}
  FROM professionals AS professional
 WHERE professional.organization_id = %(tenant)s AND professional.user_id = coalesce(%(second)s::bigint, 0)
 UNION ALL
(SELECT thing.kind, thing.id, thing.name, thing.active, thing.features::text,
       NULL, thing.blocked_dates::text, NULL, NULL, NULL, NULL,
       thing.xmin::text,
       {_busy((ROOM, "thing.id"), (DEVICE, "thing.id"))}
  FROM resources AS thing
 WHERE thing.organization_id = %(tenant)s
   AND (thing.id = coalesce(%(room)s::bigint, 0) OR thing.id = coalesce(%(device)s::bigint, 0)
        OR %(any_room)s AND thing.kind = 'room' AND thing.active)
 ORDER BY lower(thing.name), thing.id)
"""


@dataclass(frozen=True, slots=True)
class _Found:
    """A row of READ: `told` is a resource's features."""

    kind: str
    name: str
    active: bool
    told: str | None
    held: Held

    def has(self, features: Iterable[str]) -> bool:
        return set(features) <= set(json.loads(self.told or "[]"))


def with_needs(
    calendars: Sequence[Calendar],
    beside: Beside,
    start: datetime,
    end: datetime,
    now: datetime,
    *,
    moving: int | None = None,
    group: int | None = None,
) -> list[Calendar]:
    """The calendars with what a session needs besides, read by one statement where it needs anything.

    Args:
        calendars: as they were read from `start` to `end`. now, moving, group: as for `calendar_values`.

    Raises:
        ReferenceNotFoundError: there is no such professional, room or device.
    """
    if not beside.is_asked and not any(calendar.room_features for calendar in calendars):
        return list(calendars)
    found = _read(beside, start, end, now, moving, group)
    return [replace(calendar, needs=_needs(calendar, beside, found)) for calendar in calendars]


def _read(
    beside: Beside, start: datetime, end: datetime, now: datetime, moving: int | None, group: int | None
) -> list[_Found]:
    ids = beside.ids
    values = {
        "tenant": current().organization_id,
        "second": ids.get(SECOND),
        "room": ids.get(ROOM),
        "device": ids.get(DEVICE),
        # Also where the service asks for features, or another room may do.
        "any_room": ROOM not in ids or ROOM in beside.kept,
        "start": start,
        "end": end,
        "now": now,
        "moving": moving,
        "group": group,
    }
    rows = current().engine.run_prepared(READ, values).fetchall()
    return [_found(*row) for row in rows]


def _found(
    kind: str,
    key: int,
    name: str,
    active: bool,
    told: str | None,
    *rest: Any,
) -> _Found:
    *stored, version, busy, meets_overdue = rest
    is_resource = kind != "professional"
    hours = hours_but(stored[1]) if is_resource else hours_of(key, *stored)
    held = Held(key, spans(busy), hours, None, version, meets_overdue, is_resource)
    return _Found(kind, name, active, told, held)


def _needs(calendar: Calendar, beside: Beside, found: Sequence[_Found]) -> list[Need]:
    needs = []
    if SECOND in beside.ids:
        needs.append(Need(SECOND, [_second(calendar, beside, found)]))
    room = _room(calendar, beside, found)
    if room is not None:
        needs.append(room)
    if DEVICE in beside.ids:
        device = _by_id(found, "device", beside.ids[DEVICE], DEVICE)
        needs.append(Need(DEVICE, [_fit(device, DEVICE in beside.kept, ())]))
    return needs


def _second(calendar: Calendar, beside: Beside, found: Sequence[_Found]) -> Held:
    person = _by_id(found, "professional", beside.ids[SECOND], SECOND)
    if person.held.id == calendar.professional_id:
        return replace(person.held, unfit=ITSELF)
    return _fit(person, SECOND in beside.kept, ())


def _room(calendar: Calendar, beside: Beside, found: Sequence[_Found]) -> Need | None:
    features = tuple(sorted({*(beside.room_with or ()), *calendar.room_features}))
    fitting = [each for each in found if each.kind == "room" and each.has(features)]
    if ROOM in beside.ids:
        own = _by_id(found, "room", beside.ids[ROOM], ROOM)
        if ROOM not in beside.kept or (not features and beside.room_with is None):
            return Need(ROOM, [_fit(own, ROOM in beside.kept, features)])
        fitting.sort(key=lambda each: each is not own)
    elif not features and beside.room_with is None:
        return None
    return Need(ROOM, [each.held for each in fitting], features, beside.ids.get(ROOM))


def _by_id(found: Sequence[_Found], kind: str, key: int, column: str) -> _Found:
    for each in found:
        if (each.kind, each.held.id) == (kind, key):
            return each
    raise ReferenceNotFoundError(
        f"there is no such {NAMES[column]} in this organization", table="appointments", fields=(column,)
    )


def _fit(found: _Found, is_kept: bool, features: tuple[str, ...]) -> Held:
    if not found.active and not is_kept:
        return replace(found.held, unfit="is not active")
    if features and not found.has(features):
        return replace(found.held, unfit=f"has not all of what the service needs: {', '.join(features)}")
    return found.held


# -- choosing ---------------------------------------------------------------------------------------------------------


def held_by(
    calendar: Calendar, start: datetime, duration_minutes: int, aside: SetAside = NOTHING, *, again: bool = False
) -> dict[str, Held]:
    """What a session that begins there holds, by column: of several rooms the first one that is free.

    Args:
        again: another was quicker, so of several any one but the own, as all who wait would take the first.
    """
    held = {}
    for need in calendar.needs:
        options = chosen(calendar, need, start, duration_minutes, aside)
        if options:
            is_any = again and options[0].id != need.own
            held[need.column] = random.choice(options) if is_any else options[0]  # noqa: S311 - no secret
    return held


def would_hold(calendar: Calendar, start: datetime, duration_minutes: int, aside: SetAside) -> list[int | None]:
    """The ids of what a session that begins there holds, in the order of COLUMNS."""
    held = held_by(calendar, start, duration_minutes, aside)
    return [held[column].id if column in held else None for column in COLUMNS]


def beside_values(held: Mapping[str, Held]) -> dict[str, Any]:
    """The values of a statement for what a session holds besides its professional."""
    values: dict[str, Any] = {}
    for column in COLUMNS:
        role, found = column.removesuffix("_id"), held.get(column)
        values |= {role: None if found is None else found.id, f"{role}_version": found and found.version}
        values[f"was_{role}"] = None
    return values

"""What a centre of the demo is told by: who is there, what was booked, what was paid.

Rule it guards: moments are given as a weekday and an hour of a week, counted from this one, so that what is past is
past and what is ahead is ahead whenever the demo runs.
"""

from __future__ import annotations

from dataclasses import dataclass

from rayces_core.models import AdmissionState, AppointmentState, Role

# People are named by the part of their address before the @.


@dataclass(frozen=True)
class Person:
    """A user."""

    name: str
    first_name: str
    last_name: str
    role: Role = Role.GUARDIAN
    phone: str | None = None


@dataclass(frozen=True)
class Duplicate:
    """Somebody who was written twice, and was found to be `of`, another person."""

    person: Person
    of: str
    reason: str


@dataclass(frozen=True)
class HoursFrom:
    """Weekly hours that hold from the Monday of a week on: weekday → windows."""

    week: int
    hours: dict[str, list[tuple[str, str]]]


@dataclass(frozen=True)
class OtherHours:
    """The hours of one date instead of the weekly ones: `week` and `day` as of a Session; without windows, none."""

    week: int
    day: int
    windows: tuple[tuple[str, str], ...]
    reason: str


@dataclass(frozen=True)
class Profile:
    """The working profile of a professional: `hours` is weekday → windows, prices are in cents."""

    person: str
    title: str
    specialization: str
    license_number: str
    hours: dict[str, list[tuple[str, str]]]
    price_cents: int
    session_minutes: int = 45
    buffer_minutes: int = 15
    later: tuple[HoursFrom, ...] = ()
    other_hours: tuple[OtherHours, ...] = ()


@dataclass(frozen=True)
class Offer:
    """A service, and which professionals give it; the first that names a professional is what their sessions are."""

    name: str
    professionals: tuple[str, ...]
    minutes: int
    price_cents: int
    colour: str
    credits: int = 1
    families_may_book: bool = True
    room_features: tuple[str, ...] = ()


@dataclass(frozen=True)
class Child:
    """A student; `contacts` are guardians, the first one pays."""

    first_name: str
    last_name: str
    born: str
    grade: str
    contacts: tuple[str, ...]
    admission: AdmissionState = AdmissionState.ENROLLED
    notes: str | None = None


@dataclass(frozen=True)
class Session:
    """An appointment: `week` counts from this one, `day` is 0 on Monday, `at` is local time.

    `second` is another professional who takes part; `service` is named where it is not the professional's first one.
    """

    professional: str
    child: str
    week: int
    day: int
    at: str
    state: AppointmentState
    paid: bool = True
    reason: str | None = None
    second: str | None = None
    device: str | None = None
    service: str | None = None


@dataclass(frozen=True)
class Weekly:
    """A child's confirmed session of every week: `week`, `day` and `at` as of a Session, and how many there are."""

    professional: str
    child: str
    week: int
    day: int
    at: str
    count: int


@dataclass(frozen=True)
class Group:
    """A group session and the children who attend it: `week`, `day` and `at` as of a Session.

    `given_up` is who of them gave a seat back, and `waiting` who waited for one, and has it.
    """

    professional: str
    name: str
    week: int
    day: int
    at: str
    capacity: int
    children: tuple[str, ...]
    room: str
    given_up: str | None = None
    waiting: str | None = None


@dataclass(frozen=True)
class ClosedOn:
    """A day on which the centre is closed: `week` and `day` as of a Session."""

    name: str
    week: int
    day: int


@dataclass(frozen=True)
class Thing:
    """A room or a device, and the days on which it is not booked."""

    name: str
    features: tuple[str, ...] = ()
    kind: str = "room"
    blocked: tuple[ClosedOn, ...] = ()


@dataclass(frozen=True)
class Absence:
    """A day that a professional asks to have off, from `week` and `day` as of a Session; `hours` of it, or all.

    `events` are what became of the request: the desk's name for each, in order.
    """

    professional: str
    week: int
    day: int
    note: str
    hours: tuple[str, str] | None = None
    events: tuple[str, ...] = ()


@dataclass(frozen=True)
class Wait:
    """A child that waits for an hour of a professional's that is taken: `week` and `day` as of a Session."""

    child: str
    professional: str
    week: int
    day: int
    hours: tuple[str, str]


@dataclass(frozen=True)
class Purchase:
    """Credits that a guardian bought, by whole days before today; `status` as in the ledger."""

    guardian: str
    credits: int
    days_ago: int
    reference: str
    status: str = "completed"


@dataclass(frozen=True)
class Pack:
    """A package of workshops that the desk sold, by whole days before today: how many there are, for how many days."""

    guardian: str
    name: str
    credits: int
    valid_days: int
    days_ago: int


@dataclass(frozen=True)
class Message:
    """A post, and who liked it."""

    author: str
    content: str
    likes: tuple[str, ...] = ()


@dataclass(frozen=True)
class Centre:
    """An organization with everything in it."""

    name: str
    subdomain: str
    phone: str
    address: str
    people: tuple[Person, ...]
    profiles: tuple[Profile, ...]
    offers: tuple[Offer, ...]
    children: tuple[Child, ...]
    sessions: tuple[Session, ...]
    purchases: tuple[Purchase, ...]
    adjustment: tuple[str, int, str]
    messages: tuple[Message, ...]
    groups: tuple[Group, ...] = ()
    things: tuple[Thing, ...] = ()
    closed: tuple[ClosedOn, ...] = ()
    absences: tuple[Absence, ...] = ()
    waits: tuple[Wait, ...] = ()
    weekly: tuple[Weekly, ...] = ()
    duplicates: tuple[Duplicate, ...] = ()
    packs: tuple[Pack, ...] = ()

"""Credits and admissions by loops over the entries of a ledger and the rows of a journal; and random ones."""

from __future__ import annotations

from dataclasses import dataclass, field
from datetime import UTC, date, datetime, timedelta
from fractions import Fraction
from typing import Any

from hypothesis import strategies as st

from rayces_core import Database, Organization, StateTransition
from tests.analysis.slow.counting import period_of, periods, ratio
from tests.analysis.slow.worlds import DAY, HOUR, MINUTE, PLACES, World
from tests.factory import make_balance, make_completed, make_organization, make_student, make_transaction

Row = dict[str, Any]
# State → where the admission may go from there.
WAYS = {
    "prospect": ("applied", "rejected"),
    "applied": ("waitlisted", "admitted", "rejected"),
    "waitlisted": ("admitted", "rejected"),
    "admitted": ("enrolled", "discharged"),
    "enrolled": ("on_leave", "discharged"),
    "on_leave": ("enrolled", "discharged"),
    "discharged": ("applied",),
    "rejected": ("applied",),
}


@dataclass
class Books:
    """A centre of which only the ledger and the journal count.

    `entries`: for each client (moment, kind, amount, whether it counts); `steps`: for each student (moment, state
    before, state after, whether it was made up).
    """

    zone: str
    first: date
    last: date
    now: datetime
    entries: list[list[tuple[datetime, str, int, bool]]]
    steps: list[list[tuple[datetime, str, str, bool]]]
    grades: list[str | None]
    organization: Any = None
    clients: list[int] = field(default_factory=list)
    students: list[int] = field(default_factory=list)

    @property
    def world(self) -> World:
        """What tells its periods."""
        return World(self.zone, 24, [], [], [], self.first, self.last, self.now, self.organization)

    def insert(self, db: Database) -> Organization:
        """Write it as an organization of its own."""
        self.organization = make_organization(db, time_zone=self.zone)
        with db.tenant(self.organization), db.atomic():
            for entries in self.entries:
                balance = make_balance()
                self.clients.append(balance.user_id)
                for at, kind, amount, counts in entries:
                    by_hand = {"reason": "x", "created_by": balance.user_id} if kind == "admin_adjustment" else {}
                    told = {"credit_balance": balance, "amount": amount, "transaction_type": kind, **by_hand}
                    if counts:
                        make_completed(processed_at=at, **told)
                    else:
                        make_transaction(**told)
            for steps, grade in zip(self.steps, self.grades, strict=True):
                student = make_student(grade_level=grade)
                self.students.append(student.id)
                rows = [
                    {
                        "subject_type": "Student",
                        "subject_id": student.id,
                        "event": f"to_{after}",
                        "from_state": before,
                        "to_state": after,
                        "occurred_at": at,
                        "made_up": made_up,
                    }
                    for at, before, after, made_up in steps
                ]
                if rows:
                    StateTransition.insert_many(rows).execute()
        return self.organization


@st.composite
def ledgers(draw, around: datetime):
    made, at, balance = [], around - DAY * draw(st.integers(0, 40)), 0
    for _ in range(draw(st.integers(0, 6))):
        at += MINUTE * draw(st.integers(0, 1500) | st.integers(0, 20).map(lambda n: 60 * n))
        kind = draw(st.sampled_from(["purchase", "admin_adjustment", "appointment_debit"]))
        counts = kind != "purchase" or draw(st.booleans())
        amount = draw(st.integers(1, 9))
        if kind == "appointment_debit" or (kind == "admin_adjustment" and draw(st.booleans())):
            amount = -min(amount, balance)
        if amount:
            made.append((at, kind, amount, counts))
            balance += amount if counts else 0
    return made


@st.composite
def journals(draw, around: datetime):
    made, at, state = [], around - DAY * draw(st.integers(-2, 40)), "prospect"
    imported = draw(st.sampled_from([0, 0, 0, 1, 2]))
    for number in range(draw(st.integers(0, 8))):
        at += draw(st.sampled_from([timedelta(), HOUR, DAY])) * draw(st.integers(0, 9))
        after = draw(st.sampled_from(WAYS[state]))
        made.append((at, state, after, number < imported))
        state = after
    return made


@st.composite
def books(draw):
    zone, change = draw(st.sampled_from(PLACES))
    around = change.replace(minute=0, tzinfo=UTC) + HOUR * draw(st.integers(-20, 20))
    first = around.date() - DAY * draw(st.integers(0, 40))
    students = draw(st.integers(0, 4))
    return Books(
        zone,
        first,
        first + DAY * draw(st.integers(1, 60)),
        around + HOUR * draw(st.integers(-200, 1500)),
        [draw(ledgers(around)) for _ in range(draw(st.integers(0, 3)))],
        [draw(journals(around)) for _ in range(students)],
        [draw(st.sampled_from([None, "3", "4"])) for _ in range(students)],
    )


# -- credits ----------------------------------------------------------------------------------------------------------


def credit_liability(books: Books, every: str | None = None, by: tuple[str, ...] = ()) -> list[Row]:
    world, rows = books.world, []
    whose = [[number] for number in range(len(books.entries))] if by else [range(len(books.entries))]
    firsts = periods(world, every)
    for first, after in zip(firsts, [*firsts[1:], books.last], strict=True):
        for numbers in whose:
            told = [
                (world.local(at).date(), kind, amount)
                for number in numbers
                for at, kind, amount, counts in books.entries[number]
                if counts and world.local(at).date() < after
            ]
            within = [(kind, amount) for day, kind, amount in told if day >= first]
            rows.append(
                {
                    "organization_id": books.organization.id,
                    **({"period": first} if every else {}),
                    **({"client_id": books.clients[numbers[0]]} if by else {}),
                    "purchased": sum(amount for kind, amount in within if kind == "purchase"),
                    "used": -sum(amount for kind, amount in within if kind == "appointment_debit"),
                    "refunded": 0,
                    "adjusted": sum(amount for kind, amount in within if kind == "admin_adjustment"),
                    "expired": 0,
                    "outstanding": sum(amount for _, _, amount in told),
                }
            )
    return rows


# -- admissions -------------------------------------------------------------------------------------------------------


@dataclass
class Application:
    """One application, and when it came to each state first."""

    student: int
    grade: str | None
    period: date
    at: datetime
    reached: dict[str, datetime]


def applications(books: Books, every: str | None) -> list[Application]:
    world, found = books.world, []
    for student, (steps, grade) in enumerate(zip(books.steps, books.grades, strict=True)):
        attempts: list[list[tuple[datetime, str, bool]]] = []
        for at, _, after, made_up in steps:
            if at <= books.now:
                if after == "applied":
                    attempts.append([])
                if attempts:
                    attempts[-1].append((at, after, made_up))
        for attempt in attempts:
            applied = attempt[0][0]
            day = world.local(applied).date()
            if any(made_up for _, _, made_up in attempt) or not books.first <= day < books.last:
                continue
            reached: dict[str, datetime] = {}
            for at, state, _ in attempt:
                reached.setdefault(state, at)
            period = period_of(world, day, every)
            found.append(Application(books.students[student], grade, period, applied, reached))
    return found


def admission_wait(books: Books, every: str | None = None, by: tuple[str, ...] = ()) -> list[Row]:
    found = applications(books, every)
    groups: dict[Any, list[tuple[timedelta, bool]]] = {}
    told = []
    for one in found:
        ends = [one.reached[state] for state in ("rejected", "discharged") if state in one.reached]
        censored = "enrolled" not in one.reached
        waited = (min(ends, default=books.now) if censored else one.reached["enrolled"]) - one.at
        key = (one.period, one.grade if by else None)
        groups.setdefault(key, []).append((waited, censored))
        told.append((one, key, waited, censored))
    return [
        {
            "organization_id": books.organization.id,
            **({"period": one.period} if every else {}),
            **({"grade": one.grade} if by else {}),
            "student_id": one.student,
            "applied_at": one.at,
            "enrolled_at": one.reached.get("enrolled"),
            "wait_days": waited / DAY,
            "censored": censored,
            "median_days": _kaplan_meier_median(groups[key]),
        }
        for one, key, waited, censored in told
    ]


def _kaplan_meier_median(waits: list[tuple[timedelta, bool]]) -> float | None:
    left = Fraction(1)
    for wait in sorted({waited for waited, _ in waits}):
        at_risk = sum(waited >= wait for waited, _ in waits)
        began = sum(waited == wait and not censored for waited, censored in waits)
        left *= Fraction(at_risk - began, at_risk)
        if began and left <= Fraction(1, 2):
            return wait / DAY
    return None


def admission_funnel(
    books: Books, every: str | None = None, by: tuple[str, ...] = (), window: int | None = 180
) -> list[Row]:
    found = applications(books, every)
    longest = timedelta(days=100_000) if window is None else DAY * window
    rows = []
    for period in periods(books.world, every):
        for grade in sorted({one.grade for one in found}, key=str) if by else [None]:
            group = [one for one in found if one.period == period and (not by or one.grade == grade)]
            counts = {
                stage: sum(stage in one.reached and one.reached[stage] - one.at <= longest for one in group)
                for stage in ("waitlisted", "admitted", "enrolled", "rejected")
            }
            pending = [
                one
                for one in group
                if not {"enrolled", "rejected", "discharged"} & one.reached.keys() and books.now - one.at < longest
            ]
            rows.append(
                {
                    "organization_id": books.organization.id,
                    **({"period": period} if every else {}),
                    **({"grade": grade} if by else {}),
                    "applied": len(group),
                    **counts,
                    "conversion": ratio(counts["enrolled"], len(group)),
                    "pending": len(pending),
                }
            )
    return rows

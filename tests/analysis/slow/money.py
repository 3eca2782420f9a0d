"""Revenue, clients and lead times by loops, of centres whose sessions have prices and moves, or were imported."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Iterator
from dataclasses import dataclass
from datetime import UTC, date, datetime, timedelta
from typing import Any

from hypothesis import strategies as st

from rayces_core import Database, Organization
from tests.analysis.slow.counting import COLUMN, Key, apart, counted, of_sessions, ratio
from tests.analysis.slow.worlds import DAY, HOUR, MINUTE, PLACES, STATES, Person, Session, World, worlds

Row = dict[str, Any]
CURRENCIES = ("ARS", "EUR", "CLP")


@dataclass(frozen=True)
class Told:
    """What a session has besides: its price, the starts that it was moved from, whether `created` was made up."""

    price: tuple[int, str] | None
    moves: tuple[datetime, ...]
    made_up: bool


@dataclass
class Priced:
    """A centre, and what each of its sessions has besides, by place."""

    world: World
    told: list[Told]

    def insert(self, db: Database) -> Organization:
        """Write it as an organization of its own."""
        organization = self.world.insert(db)
        with db.tenant(organization), db.atomic():
            ids = [key for (key,) in db.execute_sql("SELECT id FROM appointments ORDER BY id").fetchall()]
            for key, told in zip(ids, self.told, strict=True):
                cents, currency = told.price or (None, None)
                db.execute_sql(
                    "UPDATE appointments SET price_cents = %s, currency = %s, created_at_made_up = %s WHERE id = %s",
                    (cents, currency, told.made_up, key),
                )
                for start in told.moves:
                    db.execute_sql(MOVED, (organization.id, key, f"{start:%Y-%m-%dT%H:%M:%SZ}"))
        return organization

    def of(self, session: Session) -> Told:
        """What the session has besides."""
        return next(told for one, told in zip(self.world.sessions, self.told, strict=True) if one is session)


MOVED = """
INSERT INTO state_transitions (organization_id, subject_type, subject_id, event, from_state, to_state, details)
VALUES (%s, 'Appointment', %s, 'reschedule', 'confirmed', 'confirmed', jsonb_build_object('scheduled_at', %s))
"""


@st.composite
def beside(draw, session: Session):
    price = draw(st.none() | st.tuples(st.integers(0, 2**31 - 1), st.sampled_from(CURRENCIES)))
    moves = draw(st.lists(st.integers(-5000, 5000).map(lambda n: session.start + MINUTE * n), max_size=2))
    return Told(price, tuple(moves), draw(st.sampled_from([False, False, True])))


@st.composite
def priced(draw, of=worlds):
    world = draw(of())
    return Priced(world, [draw(beside(session)) for session in world.sessions])


@st.composite
def long_worlds(draw):
    """Centres over several months: who comes when, at hours that lie near the ends of months too."""
    zone, change = draw(st.sampled_from(PLACES))
    begin = datetime(change.year, 1, 1, tzinfo=UTC)
    slots = draw(st.lists(st.integers(0, 24 * 150), max_size=14, unique=True))
    near_ends = draw(st.lists(st.tuples(st.integers(2, 5), st.integers(-14, 14)), max_size=4, unique=True))
    starts = {begin + HOUR * n for n in slots}
    starts |= {datetime(change.year, month, 1, tzinfo=UTC) + HOUR * n for month, n in near_ends}
    states = st.sampled_from(["executed", "executed", "executed", *STATES])
    made = [
        Session(0, draw(st.integers(0, 1)), draw(st.integers(0, 1)), at, 45, 0, draw(states), at - DAY, at, at - HOUR)
        for at in sorted(starts)
    ]
    first = begin.date() + DAY * draw(st.integers(-20, 60))
    last = first + DAY * draw(st.integers(1, 120))
    people = [Person({}, specialization="speech therapy")]
    return World(zone, 24, people, ["3", None], made, first, last, begin + DAY * draw(st.integers(0, 200)))


# -- the metrics ------------------------------------------------------------------------------------------------------


def _executed(priced: Priced, by: tuple[str, ...]) -> Iterator[tuple[date, Key, Session, str]]:
    for day, key, session in of_sessions(priced.world, by):
        if session.state == "executed":
            told = priced.of(session)
            yield day, key, session, told.price[1] if told.price else priced.world.organization.currency


def revenue(priced: Priced, every: str | None = None, by: tuple[str, ...] = ()) -> list[Row]:
    def figures(facts: list[Session]) -> Row:
        prices = [priced.of(one).price for one in facts]
        return {
            "sessions": len(facts),
            "unpriced": prices.count(None),
            "revenue_cents": sum(price[0] for price in prices if price is not None),
        }

    rows = [(day, (*key, currency), one) for day, key, one, currency in _executed(priced, by)]
    own = None if by else [(priced.world.organization.currency,)]
    return counted(priced.world, every, (*by, "currency"), rows, figures, own)


def lifetime_value(priced: Priced, every: str | None = None, by: tuple[str, ...] = ()) -> list[Row]:
    def figures(facts: list[tuple[date, Session]]) -> Row:
        days = [day for day, _ in facts]
        prices = [priced.of(one).price for _, one in facts]
        return {
            "first_day": min(days, default=None),
            "last_day": max(days, default=None),
            "sessions": len(facts),
            "revenue_cents": sum(price[0] for price in prices if price is not None),
        }

    ids = priced.world.ids["client"]
    rows = [(day, (*key, ids[one.client], currency), (day, one)) for day, key, one, currency in _executed(priced, by)]
    found = counted(priced.world, every, (*by, "client", "currency"), rows, figures)
    return [{name: row[name] for name in row if name != "currency"} | {"currency": row["currency"]} for row in found]


def lead_time(priced: Priced, every: str | None = None, by: tuple[str, ...] = ()) -> list[Row]:
    def hours(one: Session) -> float | None:
        told = priced.of(one)
        booked = one.state != "draft" and (one.state != "cancelled" or one.was_held or one.was_confirmed)
        ahead = (told.moves[0] if told.moves else one.start) - one.created
        return ahead / HOUR if booked and not told.made_up and ahead >= timedelta() else None

    def percentile(values: list[float], tenths: int) -> float | None:
        if not values:
            return None
        whole, rest = divmod((len(values) - 1) * tenths, 10)
        return values[whole] + (values[min(whole + 1, len(values) - 1)] - values[whole]) * rest / 10

    def figures(facts: list[Session]) -> Row:
        values = sorted(ahead for one in facts if (ahead := hours(one)) is not None)
        tenths = {"p10_hours": 1, "median_hours": 5, "p90_hours": 9}
        return {"n": len(values)} | {name: percentile(values, place) for name, place in tenths.items()}

    return counted(priced.world, every, by, of_sessions(priced.world, by), figures)


def retention(world: World, every: str | None = None, by: tuple[str, ...] = ()) -> list[Row]:
    came: dict[int, list[Session]] = defaultdict(list)
    for one in sorted(world.sessions, key=lambda one: one.start):
        if one.state == "executed" and world.local(one.start).date() < world.last:
            came[one.client].append(one)
    cohorts: dict[tuple[Key, date], list[int]] = defaultdict(list)
    for client, sessions in came.items():
        if world.local(sessions[0].start).date() >= world.first:
            key = tuple(apart(world, sessions[0], name) for name in by)
            cohorts[key, _month(world, sessions[0])].append(client)
    months = [world.first.replace(day=1)]
    while _next(months[-1]) < world.last:
        months.append(_next(months[-1]))
    present = min(world.last, world.local(world.now).date())
    rows = []
    for key in {key for key, _ in cohorts} if by else {()}:
        for cohort in months:
            clients = cohorts[key, cohort]
            for age, month in enumerate(month for month in months if month >= cohort):
                active = sum(any(_month(world, one) == month for one in came[client]) for client in clients)
                is_over = _next(month) <= present
                rows.append(
                    {
                        "organization_id": world.organization.id,
                        **({"period": cohort} if every else {}),
                        **dict(zip((COLUMN.get(name, name) for name in by), key, strict=True)),
                        "cohort": cohort,
                        "age_months": age,
                        "clients": len(clients),
                        "active": active if is_over else None,
                        "retention": ratio(active, len(clients)) if is_over else None,
                    }
                )
    return rows


def _month(world: World, one: Session) -> date:
    return world.local(one.start).date().replace(day=1)


def _next(month: date) -> date:
    return (month + timedelta(days=31)).replace(day=1)

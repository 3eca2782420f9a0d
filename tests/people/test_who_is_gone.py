"""Who was erased, and who turned out to be another: every operation that takes a person works for a reason, or refuses.

The walk goes through each place of a person in each function of the rooms below; a new one fails until it is said here.
"""

from __future__ import annotations

import inspect
from dataclasses import dataclass
from datetime import timedelta
from typing import Any

import pytest

from rayces_core import Database, Role, User, credits, invoicing, people, scheduling
from rayces_core.credits.packages import purchase_again
from rayces_core.errors import (
    InvalidDataError,
    MergeRefusedError,
    ProfessionalInactiveError,
    ReferenceNotFoundError,
)
from rayces_core.people.erasing import _Erasure
from tests.factory import (
    START,
    make_appointment,
    make_group,
    make_issued,
    make_package,
    make_professional,
    make_slot_request,
    make_student,
    make_user,
    next_time,
)
from tests.scheduling.worlds import ALWAYS, Other
from tests.walking import walked

ROOMS = (credits, invoicing, people, scheduling)
PEOPLE = ("User", "Student", "Professional")
NOW, DAY = START - timedelta(days=1), timedelta(days=1)
DAYS = (START.date(), (START + 9 * DAY).date())
ANYWHEN = {"override_schedule": True, "override_window": True, "now": NOW}


@dataclass
class Gone:
    """A centre with a desk and a family, of whom each kind of person has one who is not there any more."""

    db: Database
    desk: User
    ana: User
    persons: dict[str, Any]


@pytest.fixture(scope="module")
def module_db(create_database, template):
    """A database of this module's own."""
    with Database.connect(create_database(template), max_connections=20, pool_timeout=60) as database:
        yield database


@pytest.fixture(scope="module")
def centre(module_db):
    """Somebody of each kind was erased: a guardian whom credits came to since, a professional, staff, a student."""
    with module_db.tenant(module_db.create_organization("Centre", subdomain="centre")):
        desk, ana = make_user(role=Role.STAFF), make_user()
        credits.purchase(ana, 500)
        guardian, staff, student = make_user(), make_user(role=Role.STAFF), make_student()
        professional = make_professional(weekly_schedule=ALWAYS)
        awaited = credits.purchase(guardian, 50, pending=True, payment_method="mp", payment_reference="17")
        for user in (guardian, staff, professional.user_id):
            people.erase_user(module_db, user, by=desk, forfeit=True)
        people.erase_student(module_db, student, by=desk)
        purchase_again(type(awaited).get_by_id(awaited.id))
        persons = {"guardian": guardian.id, "by": User.get_by_id(staff.id), "student": student.id}
        yield Gone(module_db, desk, ana, persons | {"professional": professional.user_id})


def merged(centre: Gone, role: Role) -> User:
    """Who was merged into another."""
    twin = make_user(role=role)
    credits.purchase(twin, 50)
    people.merge_users(make_user(role=role), twin, by=centre.desk)
    credits.purchase(twin, 9)  # a payment that was awaited
    return User.get_by_id(twin.id)


def session(centre: Gone, **more: Any) -> Any:
    return make_appointment(client=centre.ana, scheduled_at=next_time(), **more)


def offered(centre: Gone) -> Any:
    request = make_slot_request(client=centre.ana)
    session(centre, slot_request=request).pre_confirm(now=NOW)
    return type(request).get_by_id(request.id)


def held(centre: Gone) -> Any:
    made = session(centre)
    made.pre_confirm(now=NOW)
    made.confirm(now=NOW)
    return made


def in_series(centre: Gone) -> Any:
    asked = wish(centre) | {"client": make_user()} | ANYWHEN
    return scheduling.book_series(scheduled_at=next_time(), count=2, **asked).booked[0]


def wish(centre: Gone) -> dict[str, Any]:
    return {"student": make_student(), "professional": make_professional(), "client": centre.ana, "by": centre.desk}


def bought(centre: Gone) -> Any:
    return credits.purchase(centre.ana, 1)


def closing(centre: Gone) -> Any:
    return credits.purchase(centre.ana, 1, pending=True)


def refundable(centre: Gone) -> Any:
    made = session(centre)
    credits.debit(centre.ana, 1, appointment=made)
    return made


# Functions that pass a person on in options of theirs → which.
UNTYPED = {
    "book_series": ("student", "client", "professional", "second_professional", "by"),
}
# Function → how it is called: with what it needs besides the person that a case puts in its place.
CALLS = {
    "credits.adjust": lambda c, **w: credits.adjust(**{"user": c.ana, "credits": 1, "reason": "x", "by": c.desk} | w),
    "credits.available": lambda c, **w: credits.available(**w),
    "credits.balance": lambda c, **w: credits.balance(**w),
    "credits.balances": lambda c, **w: credits.balances(**w),
    "credits.complete": lambda c, **w: credits.complete(closing(c), **w),
    "credits.debit": lambda c, **w: credits.debit(**{"user": c.ana, "credits": 1} | w),
    "credits.debit_many": lambda c, by=None, user=None: credits.debit_many(
        [{"user": user or c.ana, "credits": 1}], by=by
    ),
    "credits.fail": lambda c, **w: credits.fail(closing(c), "x", **w),
    "credits.lots": lambda c, **w: credits.lots(**w),
    "credits.purchase": lambda c, **w: credits.purchase(**{"user": c.ana, "credits": 1} | w),
    "credits.purchase_many": lambda c, by=None, user=None: credits.purchase_many(
        [{"user": user or c.ana, "credits": 1}], by=by
    ),
    "credits.purchase_package": lambda c, **w: credits.purchase_package(
        **{"user": c.ana, "package": make_package()} | w
    ),
    "credits.refund": lambda c, **w: credits.refund(refundable(c), **w),
    "credits.statement": lambda c, **w: credits.statement(start=NOW, end=START, **w),
    "credits.take_back": lambda c, **w: credits.take_back(bought(c), reason="x", **w),
    "credits.transfer": lambda c, **w: credits.transfer(
        **{"from_user": c.ana, "to_user": make_user(), "credits": 1, "reason": "x", "by": c.desk} | w
    ),
    "people.erase_student": lambda c, **w: people.erase_student(c.db, **{"student": make_student(), "by": c.desk} | w),
    "people.erase_user": lambda c, **w: people.erase_user(
        c.db, **{"user": make_user(), "by": c.desk, "forfeit": True} | w
    ),
    "people.forward_credits": lambda c, **w: people.forward_credits(**w),
    "people.merge_users": lambda c, **w: people.merge_users(
        **{"keep": make_user(), "duplicate": make_user(), "by": c.desk} | w
    ),
    "people.preview_merge": lambda c, **w: people.preview_merge(
        **{"keep": make_user(), "duplicate": make_user(), "by": c.desk} | w
    ),
    "people.person_behind": lambda c, **w: people.person_behind(**w),
    "invoicing.credit_note": lambda c, **w: invoicing.credit_note(make_issued(), reason="x", **w),
    "invoicing.draft_invoice": lambda c, **w: invoicing.draft_invoice(
        **{"user": c.ana, "since": DAYS[0], "until": DAYS[1]} | w
    ),
    "invoicing.due_lines": lambda c, user: invoicing.due_lines(user, *DAYS),
    "scheduling.accept_offer": lambda c, **w: scheduling.accept_offer(offered(c), now=NOW, **w),
    "scheduling.affected_by": lambda c, professional: scheduling.affected_by(professional, now=NOW),
    "scheduling.attendance_list": lambda c, **w: scheduling.attendance_list(DAYS[0], **w),
    "scheduling.book": lambda c, **w: scheduling.book(scheduled_at=START, **wish(c) | ANYWHEN | w),
    "scheduling.book_group": lambda c, **w: scheduling.book_group(
        make_group(), **{"student": make_student(), "client": c.ana, "by": c.desk, "now": NOW} | w
    ),
    "scheduling.book_series": lambda c, **w: scheduling.book_series(
        scheduled_at=START, count=2, **wish(c) | ANYWHEN | w
    ),
    "scheduling.cancel_group_session": lambda c, **w: scheduling.cancel_group_session(
        make_group(), reason="x", now=NOW, **w
    ),
    "scheduling.create_group_session": lambda c, **w: scheduling.create_group_session(
        **{"professional": make_professional(), "scheduled_at": START, "capacity": 2, "by": c.desk} | ANYWHEN | w
    ),
    "scheduling.decline_offer": lambda c, **w: scheduling.decline_offer(offered(c), now=NOW, **w),
    "scheduling.find_slots": lambda c, professionals=None, **w: scheduling.find_slots(
        START, START + DAY, professionals=[professionals or make_professional()], now=NOW, **w
    ),
    "scheduling.free_slots": lambda c, **w: scheduling.free_slots(
        start=START, end=START + DAY, now=NOW, **{"professional": make_professional(weekly_schedule=ALWAYS)} | w
    ),
    "scheduling.group_slots": lambda c, **w: scheduling.group_slots(START, START + DAY, now=NOW, **w),
    "scheduling.mark_attendance": lambda c, **w: scheduling.mark_attendance(
        {held(c).id: "executed"}, now=START + 900 * DAY, **w
    ),
    "scheduling.request_slot": lambda c, **w: scheduling.request_slot(
        **{"student": make_student(), "client": c.ana, "until_day": DAYS[1], "now": NOW, "by": c.desk} | w
    ),
    "scheduling.request_time_off": lambda c, **w: scheduling.request_time_off(
        **{"professional": make_professional(), "start": DAYS[0], "end": DAYS[0], "by": c.desk} | w
    ),
    "scheduling.reschedule": lambda c, **w: scheduling.reschedule(
        session(c), **{"scheduled_at": next_time(), "by": c.desk} | ANYWHEN | w
    ),
    "scheduling.cancel_series": lambda c, **w: scheduling.cancel_series(in_series(c), now=NOW, **w),
    "scheduling.reschedule_series": lambda c, **w: scheduling.reschedule_series(
        in_series(c), next_time(), **ANYWHEN | w
    ),
    "scheduling.reschedule_group": lambda c, **w: scheduling.reschedule_group(make_group(), next_time(), **ANYWHEN | w),
    "scheduling.withdraw_slot_request": lambda c, **w: scheduling.withdraw_slot_request(
        make_slot_request(client=c.ana), now=NOW, **w
    ),
    "scheduling.working_time": lambda c, professional: scheduling.working_time(professional, START, START + DAY),
}

# A place of a person → what becomes of who was erased there, and of who was merged: an error, or why it works.
STAYS = "what happened stays, and is read"
TAKEN = "what came to somebody who is gone is taken away again"
FORWARDED = "credits of a duplicate go on with people.forward_credits"
IDLE = "who was erased works no more: nothing is offered, nothing is hit"
REPEATED = "it was done before"
FOLLOWED = "the one behind is meant"
NOBODY, NO_ACTOR = ReferenceNotFoundError, InvalidDataError
READ, GIVES, TAKES = (STAYS, STAYS), (NOBODY, FORWARDED), (TAKEN, TAKEN)
BOOKS, WORKS = (NOBODY, NOBODY), (ProfessionalInactiveError, None)
PLACES = {
    **{("credits." + name, "user"): READ for name in ("available", "balance", "balances", "lots", "statement")},
    **{("credits." + name, "user"): GIVES for name in ("adjust", "purchase", "purchase_package")},
    ("credits.purchase_many", "rows"): GIVES,
    ("credits.transfer", "to_user"): GIVES,
    ("credits.debit", "user"): TAKES,
    ("credits.debit_many", "rows"): TAKES,
    ("credits.take_back", "from_user"): TAKES,
    ("credits.transfer", "from_user"): TAKES,
    ("people.erase_student", "student"): (REPEATED, None),
    ("people.erase_user", "user"): (REPEATED, FOLLOWED),
    **{(f"people.{name}", "keep"): (MergeRefusedError, FOLLOWED) for name in ("merge_users", "preview_merge")},
    **{(f"people.{name}", "duplicate"): (MergeRefusedError,) * 2 for name in ("merge_users", "preview_merge")},
    ("people.person_behind", "user"): (STAYS, FOLLOWED),
    ("invoicing.draft_invoice", "user"): (STAYS, FOLLOWED),
    ("invoicing.due_lines", "user"): (STAYS, FOLLOWED),
    **{(f"scheduling.{name}", "client"): BOOKS for name in ("book", "book_group", "book_series", "request_slot")},
    **{
        (f"scheduling.{name}", "student"): (NOBODY, None)
        for name in ("book", "book_group", "book_series", "request_slot")
    },
    **{
        (f"scheduling.{name}", role): WORKS
        for name in ("book", "book_series", "create_group_session", "reschedule")
        for role in ("professional", "second_professional")
    },
    ("scheduling.reschedule_group", "second_professional"): WORKS,
    ("scheduling.request_slot", "professional"): (NOBODY, None),
    ("scheduling.request_time_off", "professional"): (NOBODY, None),
    **{
        (f"scheduling.{name}", "professional"): (IDLE, None)
        for name in ("affected_by", "free_slots", "group_slots", "working_time")
    },
    ("scheduling.attendance_list", "professional"): (STAYS, None),
    ("scheduling.find_slots", "professionals"): (IDLE, None),
    **{(f"scheduling.{name}", "second_professional"): (IDLE, None) for name in ("find_slots", "free_slots")},
}


def places() -> list[tuple[str, str]]:
    """Each place of a person in the functions of the rooms."""
    found = [(f"scheduling.{name}", role) for name, roles in UNTYPED.items() for role in roles]
    for room in ROOMS:
        for name, function in inspect.getmembers(room, inspect.isfunction):
            for parameter in inspect.signature(function).parameters.values() if name in room.__all__ else ():
                if any(kind in str(parameter.annotation) for kind in PEOPLE) or parameter.name == "rows":
                    found.append((f"{room.__name__.split('.')[1]}.{name}", parameter.name))
    return [place for place in found if place != ("invoicing.attendance_pdf", "rows")]


def kind_of(parameter: str) -> str:
    if parameter == "by" or parameter == "student":
        return parameter
    return "professional" if "professional" in parameter else "guardian"


CASES = [
    (function, parameter, gone)
    for function, parameter in places()
    for gone in ("erased", "merged")
    if gone == "erased" or kind_of(parameter) in ("guardian", "by")  # no other is ever merged
]


@pytest.mark.slow
@walked(("function", "parameter", "gone"), CASES)
def test_who_is_gone_is_refused_or_there_is_a_reason(centre, function, parameter, gone):
    kind = kind_of(parameter)
    role = Role.STAFF if kind == "by" else Role.GUARDIAN
    person = centre.persons[kind] if gone == "erased" else merged(centre, role)
    outcomes = (NO_ACTOR, NO_ACTOR) if kind == "by" else PLACES[function, parameter]
    outcome = outcomes[gone == "merged"]
    call = CALLS[function]
    if isinstance(outcome, str):
        call(centre, **{"user" if parameter == "rows" else parameter: person})
        return
    with pytest.raises(outcome) as caught:
        call(centre, **{"user" if parameter == "rows" else parameter: person})
    if kind == "by":
        assert "nobody acts as it" in str(caught.value) or "who acts instead" in str(caught.value)


def test_every_place_of_a_person_is_walked():
    assert {place for place in places() if place[1] != "by"} == set(PLACES)
    assert {function for function, _ in places()} == set(CALLS)


@pytest.mark.parametrize(
    "give",
    [
        lambda c, of: credits.adjust(of, 1, reason="x", by=c.desk),
        lambda c, of: credits.transfer(c.ana, of, 1, reason="x", by=c.desk),
        lambda c, of: credits.purchase_many([{"user": c.ana, "credits": 1}, {"user": of, "credits": 1}]),
    ],
)
@pytest.mark.parametrize("had_a_balance", [True, False])
def test_what_is_given_while_somebody_is_erased_waits_and_is_refused(centre, give, had_a_balance):
    filo = make_user()
    if had_a_balance:
        credits.purchase(filo, 1)
        credits.debit(filo, 1)
    erasure = _Erasure(centre.desk, None, False, False, user=filo.id)
    with centre.db.privileged(reason="test"), centre.db.atomic():
        erasure.carried_out()
        meanwhile = Other(centre.db, filo.organization, lambda: give(centre, filo))
        meanwhile.wait_until_blocked()
    assert isinstance(meanwhile.finish(), ReferenceNotFoundError)
    assert (credits.balance(filo), credits.verify().is_clean) == (0, True)


def test_a_request_that_was_made_before_gives_what_it_made(centre):
    filo = make_user()
    rows = [{"user": filo, "credits": 1, "idempotency_key": f"many {filo.id}"}]
    credits.purchase_many(rows)
    people.erase_user(centre.db, filo, by=centre.desk, forfeit=True)
    (again,) = credits.purchase_many(rows)
    assert again.was_repeated
    with pytest.raises(ReferenceNotFoundError, match="was erased") as caught:
        credits.purchase_many([{"user": centre.ana, "credits": 1}, {"user": filo, "credits": 1}])
    assert caught.value.__notes__ == ["row 1, counted from 0"]


def test_what_somebody_who_is_gone_is_owed_is_given_back_and_what_is_left_taken(centre):
    """A cancellation gives back to whoever paid; what nobody can use any more is taken, or goes to somebody."""
    filo = make_user()
    credits.purchase(filo, 2)
    made = make_appointment(client=filo, scheduled_at=next_time())
    credits.debit(filo, 2, appointment=made)
    people.erase_user(centre.db, filo, by=centre.desk, cancel=True)
    assert credits.refund(made).balance_after == 2
    credits.transfer(filo, centre.ana, 1, reason="to the family", by=centre.desk)
    assert credits.adjust(filo, -1, reason="nobody's", by=centre.desk).balance_after == 0

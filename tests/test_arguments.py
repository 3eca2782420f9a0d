"""What is no row, no day and no number of anything is an error of this library's that says so, whoever passes it."""

from __future__ import annotations

import inspect
from collections.abc import Callable, Iterator
from contextlib import suppress
from datetime import timedelta
from typing import Any

import peewee
import pytest

from rayces_core import Role, calendars, clock, credits, invoicing, notices, outbox, people, scheduling, sign_in
from rayces_core.errors import InvalidDataError, RaycesError
from rayces_core.tenancy.scoping import check_saved
from tests.factory import (
    START,
    make_appointment,
    make_completed,
    make_feed,
    make_group,
    make_issued,
    make_outside_calendar,
    make_package,
    make_professional,
    make_slot_request,
    make_student,
    make_transaction,
    make_user,
)
from tests.scheduling.worlds import ALWAYS

ROOMS = (calendars, credits, invoicing, notices, outbox, people, scheduling, sign_in)
NO_ARGUMENTS = (None, object(), "x", b"x", 1.5, -1, 10**30, True, [], {})
NO_OPTIONS = (object(), "x", -1, 10**30, [5], {"x": 5})
# They are called by this library, or put together by a program: not with what a request brought.
_CHANGES = ("debit_at_confirmation", "give_back_at_no_show", "open_lot_at_completion", "refund_at_cancellation")
OF_PROGRAMS = {
    **dict.fromkeys((*_CHANGES, "settle_correction", "use_policy"), "a change, or a policy"),
    **dict.fromkeys(("hear", "booking_letter", "on", "render"), "a message of the outbox, or a topic in the code"),
    **dict.fromkeys(("quiet_until", "reminder_due"), "hours that the settings hold"),
    "money": "an amount of an invoice",
}
# A worker says these where it begins.
OF_WORKERS = {"deliver", "refresh_calendars"}


def make_buyer() -> Any:
    user = make_user()
    credits.purchase(user, 5)
    return user


# Name of a parameter that has to be given, where need be with its function → what makes a good one.
GOOD: dict[str, Callable[[], Any]] = {
    **dict.fromkeys(("user", "client", "keep", "duplicate", "from_user", "to_user"), make_buyer),
    **dict.fromkeys(("request_time_off.start", "request_time_off.end"), START.date),
    **dict.fromkeys(("start", "scheduled_at"), lambda: START),
    **dict.fromkeys(("since", "day"), START.date),
    **dict.fromkeys(("until", "until_day"), (START + timedelta(days=9)).date),
    **dict.fromkeys(("name", "password", "reason", "token"), lambda: "a"),
    **dict.fromkeys(("rows", "marks", "payload"), dict),
    "appointment": make_appointment,
    "by": lambda: make_user(role=Role.ADMIN),
    "calendar": make_outside_calendar,
    "capacity": lambda: 2,
    "credits": lambda: 1,
    "email": lambda: "ana@example.org",
    "end": lambda: START + timedelta(hours=5),
    "feed": make_feed,
    "group": make_group,
    "invoice": make_issued,
    "older_than": lambda: timedelta(days=1),
    "organization": lambda: make_user().organization,
    "package": make_package,
    "professional": lambda: make_professional(weekly_schedule=ALWAYS),
    "purchase": make_completed,
    "request": make_slot_request,
    "student": make_student,
    "subject": make_student,
    "topic": lambda: "centre.opened",
    "transaction": make_transaction,
    "url": lambda: "https://example.org/calendar.ics",
}


class _TakenBackError(Exception):
    """Undoes what an argument that is taken after all has done."""


def functions() -> Iterator[Any]:
    for room in ROOMS:
        for name in room.__all__:
            function = getattr(room, name)
            if inspect.isfunction(function) and needed(function) and name not in OF_PROGRAMS:
                yield pytest.param(function, id=f"{room.__name__.rpartition('.')[2]}.{name}")


def needed(function: Callable[..., Any]) -> list[str]:
    """The parameters that have to be given, apart from the Database."""
    given = inspect.signature(function).parameters.values()
    return [each.name for each in given if each.default is each.empty and each.name not in ("db", "database")]


def options(function: Callable[..., Any]) -> list[str]:
    """The parameters that may be left out."""
    return [each.name for each in inspect.signature(function).parameters.values() if each.default is not each.empty]


def with_options() -> Iterator[Any]:
    for each in functions():
        (function,) = each.values
        if function.__name__ not in OF_WORKERS:
            yield from (pytest.param(function, name, id=f"{each.id}-{name}") for name in options(function))


def good_arguments(db: Any, function: Callable[..., Any]) -> dict[str, Any]:
    databases = {name: db for name in inspect.signature(function).parameters if name in ("db", "database")}
    names = {name: f"{function.__name__}.{name}" for name in needed(function) if name != "options"}
    return databases | {name: GOOD.get(own, GOOD.get(name))() for name, own in names.items()}


@pytest.mark.parametrize("function", list(functions()))
def test_what_is_no_argument_is_an_error_of_the_library(db: Any, a: Any, function: Callable[..., Any]) -> None:
    databases = {name: db for name in inspect.signature(function).parameters if name in ("db", "database")}
    for wrong in NO_ARGUMENTS:
        with db.tenant(a):
            try:
                with db.atomic():
                    function(**dict.fromkeys(needed(function), wrong), **databases)
            except (RaycesError, peewee.DoesNotExist):
                pass


@pytest.mark.slow
@pytest.mark.parametrize(("function", "name"), list(with_options()))
def test_what_is_no_option_is_an_error_of_the_library(db: Any, a: Any, function: Callable[..., Any], name: str) -> None:
    with db.tenant(a), clock.frozen(START - timedelta(days=5)):
        good: dict[str, Any] = {}
        for wrong in NO_OPTIONS:
            good = good or good_arguments(db, function)
            with suppress(RaycesError, peewee.DoesNotExist, _TakenBackError), db.atomic():
                function(**good, **{name: wrong})
                good = {}
                raise _TakenBackError


def test_the_names_of_what_programs_put_together_are_there() -> None:
    assert OF_PROGRAMS.keys() <= {name for room in ROOMS for name in room.__all__}


def test_a_row_is_one_of_its_model_that_was_saved(db: Any, a: Any) -> None:
    with db.tenant(a):
        user = make_user()
        check_saved(user, type(user), "user")
        for wrong, says in (
            (None, "needs a saved User, got NoneType"),
            (make_student(), "needs a saved User, got Student"),
            (type(user)(), "is not saved yet; invite them"),
        ):
            with pytest.raises(InvalidDataError, match=says) as refused:
                check_saved(wrong, type(user), "user", "invite them")
            assert refused.value.field == "user"

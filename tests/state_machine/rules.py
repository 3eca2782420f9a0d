"""The rule book's lifecycles, written out by hand, and a row in each of their states."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import Any

from rayces_core import Appointment, CreditTransaction, GroupSession, SlotRequest, Student, TimeOffRequest
from tests.factory import (
    START,
    make_appointment,
    make_group,
    make_slot_request,
    make_student,
    make_time_off,
    make_transaction,
    next_time,
)


@dataclass(frozen=True)
class Rule:
    """One event: the states it leads from and to, and the columns that it writes besides state and updated_at.

    A target of None keeps the state. `given` are arguments that it cannot do without.
    """

    sources: tuple[str, ...]
    target: str | None
    writes: tuple[str, ...] = ()
    given: tuple[tuple[str, Any], ...] = ()

    def target_from(self, state: Any) -> str:
        return str(state) if self.target is None else self.target


RULES: dict[Any, dict[str, Rule]] = {
    Appointment: {
        "pre_confirm": Rule(("draft",), "pre_confirmed", ("pre_confirmed_at", "expires_at")),
        "confirm": Rule(("pre_confirmed",), "confirmed", ("confirmed_at",)),
        "execute": Rule(("confirmed",), "executed", ("executed_at",)),
        "mark_no_show": Rule(("confirmed",), "no_show", ("no_show_at",)),
        "cancel": Rule(
            ("draft", "pre_confirmed", "confirmed"),
            "cancelled",
            ("cancelled_at", "cancelled_by", "cancellation_reason"),
        ),
        "expire": Rule(("pre_confirmed",), "cancelled", ("cancelled_at", "cancelled_by", "cancellation_reason")),
        "change_price": Rule(
            ("draft", "pre_confirmed", "confirmed"), None, ("price_cents", "currency"), (("price_cents", 1500),)
        ),
        "correct_to_executed": Rule(("no_show",), "executed", ("executed_at", "no_show_at")),
        "correct_to_no_show": Rule(("executed",), "no_show", ("executed_at", "no_show_at")),
        "reopen": Rule(("executed", "no_show"), "confirmed", ()),
    },
    Student: {
        "apply": Rule(("prospect",), "applied"),
        "waitlist": Rule(("applied",), "waitlisted"),
        "admit": Rule(("applied", "waitlisted"), "admitted", ("admission_date",)),
        "enroll": Rule(("admitted",), "enrolled"),
        "suspend": Rule(("enrolled",), "on_leave"),
        "resume": Rule(("on_leave",), "enrolled"),
        "discharge": Rule(("admitted", "enrolled", "on_leave"), "discharged", ("discharge_date",)),
        "reject": Rule(("prospect", "applied", "waitlisted"), "rejected"),
        "reapply": Rule(("rejected", "discharged"), "applied"),
    },
    CreditTransaction: {
        "complete": Rule(("pending",), "completed", ("processed_at", "balance_before", "balance_after", "sequence")),
        "fail": Rule(("pending",), "failed", ("processed_at",)),
    },
    GroupSession: {
        "cancel": Rule(("open",), "cancelled", ("cancelled_at", "cancelled_by", "cancellation_reason", "open_seats")),
        "change_capacity": Rule(("open",), None, ("capacity", "open_seats"), (("capacity", 5),)),
    },
    TimeOffRequest: {
        "approve": Rule(("requested",), "approved", ("decided_at",)),
        "decline": Rule(("requested",), "declined", ("decided_at",)),
        "withdraw": Rule(("requested",), "withdrawn", ("decided_at",)),
        "revoke": Rule(("approved",), "withdrawn", ("decided_at",)),
    },
    SlotRequest: {
        "offer": Rule(("waiting",), "offered"),
        "take": Rule(("offered",), "taken"),
        "decline": Rule(("offered",), "waiting"),
        "miss": Rule(("offered",), "waiting", ("place_at",)),
        "withdraw": Rule(("waiting",), "withdrawn"),
        "lapse": Rule(("waiting",), "lapsed"),
    },
}
# Events that change something else than the state.
KEEPING: dict[Any, tuple[str, ...]] = {
    Appointment: ("reschedule",),
    GroupSession: ("create", "reschedule"),
    Student: (),
    TimeOffRequest: (),
    SlotRequest: (),
    CreditTransaction: ("posted",),
}

REACHED = {
    "draft": (),
    "pre_confirmed": ("pre_confirmed_at", "expires_at"),
    "confirmed": ("pre_confirmed_at", "expires_at", "confirmed_at"),
    "executed": ("pre_confirmed_at", "expires_at", "confirmed_at", "executed_at"),
    "no_show": ("pre_confirmed_at", "expires_at", "confirmed_at", "no_show_at"),
    "cancelled": ("cancelled_at",),
}


def steps() -> Iterator[tuple[Any, str, str]]:
    """Every pair of a state and an event, of every machine."""
    for model, rules in RULES.items():
        for state in model.lifecycle.states:
            for event in rules:
                yield model, str(state), event


def allowed_from(model: Any, state: str) -> tuple[str, ...]:
    return tuple(event for event, rule in RULES[model].items() if state in rule.sources)


def make_in(model: Any, state: str, **columns: Any) -> Any:
    """A row in `state`, with the stamps that belong to it, as an import would bring it."""
    if model is Student:
        return make_student(admission_state=state, **columns)
    if model is CreditTransaction:
        settled = {} if state == "pending" else {"processed_at": datetime.fromisoformat("2031-01-01T00:00Z")}
        return make_transaction(status=state, **settled, **columns)
    if model is TimeOffRequest:
        return make_time_off(state=state, **({} if state == "requested" else {"decided_at": START}), **columns)
    if model is SlotRequest:
        return make_slot_request(state=state, **columns)
    if model is GroupSession:
        gone = {"open_seats": 0, "cancelled_at": START, "cancellation_reason": "moved away"}
        return make_group(state=state, **(gone if state == "cancelled" else {}), **columns)
    columns.setdefault("scheduled_at", next_time())
    stamps = {name: columns["scheduled_at"] - timedelta(days=1) for name in REACHED[state]}
    why = {"cancellation_reason": "moved away"} if state == "cancelled" else {}
    return make_appointment(**{"state": state, **stamps, **why, **columns})


def moment_for(row: Any, event: str) -> datetime:
    """A moment at which the guards of `event` hold."""
    if not isinstance(row, Appointment):
        return datetime.fromisoformat("2031-02-03T15:00Z")
    days = {
        "execute": 0,
        "mark_no_show": 0,
        "expire": 1,
        "correct_to_executed": 2,
        "correct_to_no_show": 2,
        "reopen": 2,
    }
    return row.scheduled_at + timedelta(days=days.get(event, -9))


def fire(row: Any, event: str, **given: Any) -> None:
    """Make `event` happen at a moment that suits it."""
    given.setdefault("now", moment_for(row, event))
    if not given.get("by") and event == "cancel":
        given.setdefault("reason", "the family asked")
    for name, value in RULES[type(row)][event].given:
        given.setdefault(name, value)
    getattr(row, event)(**given)


def stored(row: Any) -> dict[str, Any]:
    """All columns of a row as the database has them."""
    return dict(type(row).get_by_id(row.id).__data__)


def columns(row: Any) -> dict[str, Any]:
    """All columns of a row as the object has them."""
    return {name: row.__data__.get(name) for name in type(row)._meta.fields}


def in_memory(row: Any) -> tuple[Any, ...]:
    """All that an object knows: its values, its relations and what is unsaved."""
    return dict(row.__data__), dict(row.__rel__), set(row._dirty)


def replayed(row: Any) -> str:
    """The state that the journal leads to; fails where a row of it does not follow from the one before."""
    state = str(type(row).lifecycle.initial)
    for change in row.history():
        assert change.from_state == state, [(one.event, one.from_state, one.to_state) for one in row.history()]
        if change.event not in KEEPING[type(row)]:
            rule = RULES[type(row)][change.event]
            assert change.from_state in rule.sources
            assert change.to_state == rule.target_from(change.from_state)
        state = change.to_state
    return state

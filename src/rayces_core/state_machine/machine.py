"""StateMachine: declares events on a model's methods, makes their transitions, and tells who subscribed."""

from __future__ import annotations

import functools
from collections.abc import Callable, Iterable, Mapping, Sequence
from contextlib import nullcontext
from dataclasses import replace
from enum import StrEnum
from inspect import signature
from typing import Any, Concatenate, ParamSpec, TypeVar

import peewee

from rayces_core import clock
from rayces_core.database.binding import current
from rayces_core.database.snapshots import check_present
from rayces_core.errors import BookingError, ConfigurationError, InvalidDataError
from rayces_core.fields import note_changes_in_place
from rayces_core.state_machine.actors import check_actor
from rayces_core.state_machine.announcing import Announcements, Deciding, Effect
from rayces_core.state_machine.declaration import (
    DatabaseGuard,
    Decision,
    Guard,
    Permission,
    StateChange,
    Transition,
    Writes,
)
from rayces_core.state_machine.picture import picture
from rayces_core.state_machine.readers import actor_of, available_events, history, predicate
from rayces_core.state_machine.refusals import has_read, invalid, locked, permits, refusal_of
from rayces_core.state_machine.statement import Move, lock_before, move_row, move_rows
from rayces_core.state_machine.taking_up import take_up
from rayces_core.state_machine.telling import columns_of, is_told

M = TypeVar("M")
P = ParamSpec("P")
Listener = TypeVar("Listener", bound=Callable[[StateChange], object])


class StateMachine:
    """The states of one field, and the events that lead from one to the next.

    Args:
        field: name of the model's StateField.
        states: the enum of its values; the first is where a row begins.
        journal: model that gets a row for each transition (columns subject_type, subject_id, event, from_state,
            to_state, actor_id, reason, occurred_at, details); None keeps no journal.
        keeping: events that keep the state; they are made elsewhere, and journalled and announced like the others.
        wired_by: names of modules above the model that attach effects and decisions; they are imported before the
            first event, so that these run whatever a program has imported.
        also: event → one of `keeping` that it is announced as besides.
        tells: fields of the row that a message about each transition has besides, for whoever is told outside (see
            docs/events.md); None writes no messages.
    """

    def __init__(
        self,
        field: str,
        states: type[StrEnum],
        *,
        journal: Any = None,
        keeping: Iterable[str] = (),
        wired_by: Iterable[str] = (),
        also: Mapping[str, str] | None = None,
        tells: Iterable[str] | None = None,
    ) -> None:
        self.field, self.states, self.journal, self.keeping = field, states, journal, tuple(keeping)
        self.initial = next(iter(states))
        self.transitions: dict[str, Transition] = {}
        self._announcements, self._also = Announcements(wired_by), dict(also or {})
        self.tells = None if tells is None else tuple(tells)

    def __set_name__(self, owner: type, name: str) -> None:
        self.owner = owner
        for event in self.transitions:
            setattr(owner, f"can_{event}", predicate(self.can, event))
        owner.available_events = available_events(self.can, self.transitions)
        if self.journal is not None:
            owner.history, owner.actor_of = history(self.journal, owner.__name__), actor_of

    def __repr__(self) -> str:
        return f"<StateMachine {self._name}: {', '.join(self.states)}>"

    def _repr_html_(self) -> str:
        return picture(self._name, [str(state) for state in self.states], list(self.transitions.values()))

    @property
    def _name(self) -> str:
        owner = getattr(self, "owner", None)  # not there while its model is being made
        return self.field if owner is None else f"{owner.__name__}.{self.field}"

    # -- declaring --------------------------------------------------------------------------------------------

    def transition(
        self,
        *,
        source: StrEnum | Iterable[StrEnum],
        target: StrEnum | None,
        stamp: str | None = None,
        permitted: Iterable[Permission] = (),
        guards: Iterable[Guard] = (),
        database_guard: DatabaseGuard | None = None,
        steps: str = "",
        afterwards: str = "",
        corrects: bool = False,
        remembers: Iterable[str] = (),
        picks: Iterable[str] = (),
    ) -> Callable[[Callable[Concatenate[M, P], Writes]], Callable[Concatenate[M, P], None]]:
        """Make the decorated method an event: calling it moves the row from `source` to `target`, or keeps the state.

        The method's own body says what is written besides, as a mapping of fields to values or peewee.SQL. It does
        not look at the row, since it also speaks for many rows at once. All its arguments are keywords; of them,
        `by`, `reason` and `now` go into the journal.

        Args:
            stamp: field that gets the moment of the transition.
            permitted: who may act, where `by` is given; empty lets everybody.
            guards: conditions on the row. database_guard: a condition on other rows.
            steps: common table expressions that run within the statement, before the row moves. afterwards: those that
                run once it has, as they read `moved`, which has that row; `{mine}` stands for the organization of
                `mine`, with AND behind it. Both are for one row, or with `picks` for many.
            corrects: puts a mistake right, so a state that only such events leave is final all the same.
            remembers: fields that are overwritten, whose values before go into the journal's `details`.
            picks: fields whose values before `afterwards` finds in `picked`, as was_ and their name.
        """
        sources = (source,) if isinstance(source, StrEnum) else tuple(source)
        if unknown := [state for state in (*sources, target or sources[0]) if state not in list(self.states)]:
            raise ConfigurationError(f"{unknown[0]!r} is no {self.states.__name__}")

        def declare(body: Callable[Concatenate[M, P], Writes]) -> Callable[Concatenate[M, P], None]:
            event = body.__name__
            defaults = {name: p.default for name, p in signature(body).parameters.items() if p.default is not p.empty}
            if event in self.transitions:
                raise ConfigurationError(f"the event {event!r} is declared twice")
            made = Transition(
                event,
                sources,
                target,
                stamp,
                tuple(permitted),
                tuple(guards),
                database_guard,
                steps,
                afterwards,
                body,
                defaults,
                corrects,
                tuple(remembers),
                tuple(picks),
            )
            self.transitions[event] = made

            @functools.wraps(body)
            def fire(row: M, /, *unnamed: P.args, **given: P.kwargs) -> None:
                if unnamed:
                    raise TypeError(f"{event}() takes keywords only, such as by=, reason= and now=")
                self._fire(row, made, given)

            return fire

        return declare

    def on(self, *events: str) -> Callable[[Listener], Listener]:
        """Subscribe the decorated function to these events, or to all: it gets the StateChange.

        It runs after the outermost commit, never for what was rolled back; if it fails, that is logged. Subscribers are
        told in the order of their registration, each once, and of a change before those that follow from it.

        Raises:
            ConfigurationError: there is no such event, or it is a coroutine or generator function.
        """
        self._check_known(events)

        def subscribe(listener: Listener) -> Listener:
            self._announcements.subscribe(listener, events)
            return listener

        return subscribe

    def off(self, listener: Callable[[StateChange], object]) -> None:
        """Unsubscribe a function from every event, whether `on` or `within` subscribed it."""
        self._announcements.unsubscribe(listener)

    def within(
        self,
        *events: str,
        when: Callable[[Any], bool] | None = None,
        reads: Iterable[str] = (),
        prepare: Callable[[Sequence[StateChange]], Sequence[StateChange]] | None = None,
    ) -> Callable[[Listener], Listener]:
        """Have the decorated function run in the transaction of these events, or of all: if it fails, all is undone.

        Args:
            when: rows that it runs for, `when(row)`; others keep their single statement.
            reads: fields that `when` and the function look at. `when` is told by the row as the database has it; the
                function gets the caller's object, which has them fresh too, but keeps what was assigned and not saved.
            prepare: is given all the changes of one statement, such as a sweep's, and gives those that the function has
                something to do for.
        """
        self._check_known(events)

        def attach(effect: Listener) -> Listener:
            self._announcements.attach(Effect(effect, when, tuple(reads), prepare), events)
            return effect

        return attach

    def decided_by(self, event: str, decide: Decision, *, reads: Iterable[str], may_lack: Iterable[str] = ()) -> None:
        """Have `decide(row, now, actor, given)` raise the BookingError that speaks against the event.

        It decides without locks, and gives what it has seen, which the event's `database_guard` compares under its own;
        where that has changed it decides again, under them. `given` is what the event was called with.

        Args:
            reads: fields of the row that it looks at. may_lack: those of them that are None where a new row has none.
        """
        self._check_known((event,))
        self._announcements.decisions[event] = Deciding(decide, tuple(reads), frozenset(may_lack))

    def _check_known(self, events: Iterable[str]) -> None:
        for event in events:
            if event not in self.transitions and event not in self.keeping:
                known = ", ".join((*self.transitions, *self.keeping))
                raise ConfigurationError(f"there is no event {event!r}; there are {known}")

    # -- asking -----------------------------------------------------------------------------------------------

    def events_from(self, state: StrEnum) -> tuple[str, ...]:
        """The events that start from a state."""
        return tuple(event for event, transition in self.transitions.items() if state in transition.sources)

    def can(self, row: Any, event: str, by: Any = None, now: Any = None) -> bool:
        """Whether the event is possible, as far as the row in memory tells; asks no database."""
        transition, moment = self.transitions[event], clock.moment(now)
        if row._pk is None or row.__data__.get(self.field) not in transition.sources:
            return False
        if by is not None:
            check_actor(by, self._user_model, row)
            if not permits(transition, row, by):
                return False
        return has_read(row, transition) and all(guard.holds(row, moment) for guard in transition.guards)

    # -- firing -----------------------------------------------------------------------------------------------

    def move_many(
        self,
        event: str,
        where: str,
        values: Mapping[str, Any],
        *,
        limit: int | None = None,
        skip_locked: bool = False,
        organization: int | None = None,
        **given: Any,
    ) -> list[Any]:
        """Make the transition of every row that `where` finds, in one statement; returns those rows.

        `where` is SQL on the table's columns, and has to say what the event's guards say. In privileged work it is
        about `organization`, or all of them.
        """
        transition = self.transitions[event]
        given = {**transition.defaults, **given}
        move = self._move(self.owner, transition, given)
        with current().engine.atomic(findable=True):
            cursor = move_rows(move, where, values, limit=limit, skip_locked=skip_locked, organization=organization)
            found = cursor.fetchall()
            rows = self.owner._from_rows(cursor.description[:-1], [row[:-1] for row in found])
            changes = [
                self._change(row, move, self.states(from_state), given)
                for row, (*_, from_state) in zip(rows, found, strict=True)
            ]
            self._announcements.announce_all(event, changes)
        return rows

    def announce(self, change: StateChange, stored: Any = None) -> None:
        """Run what belongs to the transition's transaction, and have subscribers told once it is committed."""
        self._announcements.announce(change, stored)
        if (another := self._also.get(change.event)) is not None:
            self._announcements.announce(replace(change, event=another), stored)

    def is_heard(self, event: str) -> bool:
        """Whether anybody is told of the event, or anything runs with it."""
        return self._announcements.is_heard(event)

    def has_effects(self, event: str, row: Any = None) -> bool:
        """Whether something runs in the event's transaction, for this row or for some, so that one is needed."""
        events = (event, *([self._also[event]] if event in self._also else []))
        return any(self._announcements.has_effects(each, row) for each in events)

    def _fire(self, row: Any, transition: Transition, arguments: Mapping[str, Any]) -> None:
        given = {**transition.defaults, **arguments}
        move = self._move(type(row), transition, given)
        if row._pk is None:
            raise InvalidDataError(f"{type(row).__name__}.id", None, "the row is not saved yet; save it first")
        if move.actor is not None:
            check_actor(move.actor, self._user_model, row)
        # What memory says is tried first, as it is nearly always right; only the database's word counts.
        if self._seems_right(row, move) and (told := self._foreseen(row, move, given)) is not None:
            with current().engine.atomic() if self.has_effects(transition.event, row) else nullcontext():
                from_state = row.__data__[self.field]
                values = move_row(move, row, from_state, self._seen(row, move), told)
                if values is not None:
                    self._finish(row, move, from_state, values, given)
                    return
        with current().engine.atomic():
            from_state, values, stored = self._make_locked(row, move, given)
            self._finish(row, move, from_state, values, given, stored)

    def _seems_right(self, row: Any, move: Move) -> bool:
        deciding = self._announcements.decision(move.transition.event)
        known = row.__data__.keys() | (deciding.may_lack if deciding else ())
        return known >= set(self._looked_at(move)) and refusal_of(row, move, self) is None

    def _finish(
        self, row: Any, move: Move, from_state: Any, values: Any, given: Mapping[str, Any], stored: Any = None
    ) -> None:
        self.take_up(row, values)
        self.announce(self._change(row, move, from_state, given), stored)

    def _make_locked(self, row: Any, move: Move, given: Mapping[str, Any]) -> tuple[StrEnum, dict[str, Any], Any]:
        """Decide by the row as it stands in the database, locked so that it stays so; gives that row too, moved."""
        guard = move.transition.database_guard
        if guard is not None and guard.locks:
            lock_before(guard, row)
        fresh = locked(row)
        refusal = refusal_of(fresh, move, self)
        if refusal is not None:
            raise refusal
        if self._announcements.decision(move.transition.event) is not None:
            check_present()
        told = self._announcements.decide(fresh, move, given)
        from_state = fresh.__data__[self.field]
        values = move_row(move, fresh, from_state, {}, told)
        if values is None and guard is not None and guard.clear is not None:
            guard.clear(fresh, move.now)
            values = move_row(move, fresh, from_state, {}, told)
        if values is None:
            raise guard.refusal(fresh, move.now) if guard else invalid(fresh, move.transition, self)
        note_changes_in_place(row)
        unsaved = row.dirty_field_names
        known = {k: v for k, v in fresh.__data__.items() if k not in unsaved} | values
        self.take_up(fresh, values)
        return from_state, known, fresh

    def _foreseen(self, row: Any, move: Move, given: Mapping[str, Any]) -> Mapping[str, Any] | None:
        """What was decided by the row in memory; None where that is refused, as the stored one may be another."""
        try:
            return self._announcements.decide(row, move, given)
        except BookingError:
            return None

    def _seen(self, row: Any, move: Move) -> dict[str, Any]:
        return {name: row.__data__.get(name) for name in self._looked_at(move) if name != self.field}

    def _looked_at(self, move: Move) -> tuple[str, ...]:
        """The columns that the decision depends on."""
        transition = move.transition
        own = transition.reads if move.actor is None else transition.actor_reads
        return (*own, *(name for name in self._announcements.reads(transition.event) if name not in own))

    def _move(self, model: Any, transition: Transition, given: Mapping[str, Any]) -> Move:
        now, actor, reason = clock.moment(given.get("now")), given.get("by"), given.get("reason")
        self._check_reason(reason)
        if actor is not None:
            check_actor(actor, self._user_model)
        writes = transition.body(model, **{**given, "now": now})
        return Move(
            transition,
            model,
            model._meta.fields[self.field],
            self.journal,
            self.owner.__name__,
            writes or {},
            actor,
            reason,
            now,
            columns_of(model, self.tells) if self.tells is not None and is_told() else None,
        )

    def _check_reason(self, reason: Any) -> None:
        if reason is not None and not isinstance(reason, str):
            raise InvalidDataError("reason", reason, f"must be a text, got {type(reason).__name__}")
        if self.journal is not None:
            self.journal.reason.db_value(reason)

    @property
    def _user_model(self) -> Any:
        return peewee.Model if self.journal is None else self.journal.actor.rel_model

    def _change(self, row: Any, move: Move, from_state: Any, given: Mapping[str, Any]) -> StateChange:
        to_state = move.transition.target or from_state
        return StateChange(row, move.transition.event, from_state, to_state, move.actor, move.reason, move.now, given)

    def take_up(self, row: Any, values: Mapping[str, Any]) -> None:
        """Put what was written into the object, and take it out again should the transaction be undone."""
        take_up(row, values)

"""The SQL of a transition: the row moves and its journal row is written in one statement, or neither is.

The text of each shape is made once for a model. The organization is named in every part of it, and the tenant
travels in front as in every statement; a guard's lock goes first in the same message.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from datetime import datetime
from functools import cache
from typing import Any, Final

import peewee

from rayces_core import clock
from rayces_core.database.binding import current
from rayces_core.database.messages import Message
from rayces_core.state_machine.declaration import DatabaseGuard, Transition
from rayces_core.state_machine.telling import told
from rayces_core.tenancy.scoping import known_tenant_of

TYPES: Final = {
    "organization_id": "bigint",
    "id": "bigint",
    "from_state": "varchar",
    "actor_id": "bigint",
    "reason": "varchar",
    "now": "timestamptz",
    "is_set": "boolean",
}


@dataclass(frozen=True, slots=True)
class Move:
    """One transition about to be made: of what, by whom, when, why, and what is written besides.

    `tells` are the columns that its message has, None where there is none.
    """

    transition: Transition
    model: Any
    field: peewee.Field
    journal: Any
    subject_type: str
    writes: Mapping[str, Any]
    actor: Any
    reason: str | None
    now: datetime
    tells: tuple[str, ...] | None = None

    @property
    def written(self) -> dict[str, Any]:
        """Every column that is written, state and stamp included, as values or as peewee.SQL."""
        target = self.transition.target
        written = {**({} if target is None else {self.field.name: target}), **self.writes}
        if self.transition.stamp is not None:
            written.setdefault(self.transition.stamp, self.now)
        if "updated_at" in self.model._meta.fields:
            written["updated_at"] = self.now
        return written


def move_row(
    move: Move, row: Any, from_state: Any, seen: Mapping[str, Any], told: Mapping[str, Any]
) -> dict[str, Any] | None:
    """Move `row` if it is in `from_state`, its columns are still as `seen` and others' rows as a decision has `told`.

    Returns the values written, those that the database computed included; None if there was no such row.
    """
    written = move.written
    computed = tuple(name for name, value in written.items() if isinstance(value, peewee.SQL))
    names = ((name, getattr(written[name], "sql", "")) for name in written)
    shape = ("move", move.transition.event, move.tells, *names, *seen)
    message = move.model._meta.remember(shape, lambda: _row_message(move, written, tuple(seen), computed))
    fields = move.model._meta.fields
    was = {f"was_{name}": fields[name].db_value(value) for name, value in seen.items()}
    guard = move.transition.database_guard
    decided: dict[str, Any] = {} if guard is None else {**dict.fromkeys(guard.seen), **told}
    facts = _facts(move, written) | was | place_of(row) | decided | {"from_state": str(from_state)}
    engine = current().engine
    made = move.model._meta.remember(("made", *shape), lambda: _made_message(move, written, computed))
    found = engine.run_message(message, facts, made=made).fetchone()
    if found is None:
        return None
    engine.note_transaction(found[-1])
    read = {name: fields[name].python_value(value) for name, value in zip(computed, found[1:-1], strict=True)}
    return written | read


def move_rows(
    move: Move,
    where: str,
    values: Mapping[str, Any],
    *,
    limit: int | None,
    skip_locked: bool,
    organization: int | None = None,
) -> Any:
    """Move every row that `where` finds; returns the cursor of all columns and, last, the state each came from.

    `where` is SQL on the columns of the table, with `values` for its placeholders. `organization` is whose rows they
    are in privileged work; all without it.
    """
    written, tenant = move.written, current().organization_id or organization
    names = tuple((name, getattr(written[name], "sql", "")) for name in written)
    shape = ("move rows", move.transition.event, move.tells, where, limit is None, skip_locked, tenant is None, names)
    sql = move.model._meta.remember(shape, lambda: _rows_sql(move, written, where, limit, skip_locked, tenant))
    given = {"organization_id": tenant, "limit": limit, **values}
    return current().engine.run_prepared(sql, _facts(move, written) | given)


def lock_before(guard: DatabaseGuard, row: Any) -> None:
    """Take a guard's locks by themselves."""
    current().engine.run_message(_locking(guard), place_of(row))


@cache
def _locking(guard: DatabaseGuard) -> Message:
    return Message(*guard.locks, types=TYPES)


def place_of(row: Any) -> dict[str, Any]:
    """Organization and id of a row, as statements name them."""
    own = known_tenant_of(row)
    return {"organization_id": current().organization_id if own is None else own, "id": row._pk}


def _facts(move: Move, written: Mapping[str, Any]) -> dict[str, Any]:
    fields = move.model._meta.fields
    facts = {
        f"set_{name}": fields[name].db_value(value)
        for name, value in written.items()
        if not isinstance(value, peewee.SQL)
    }
    # The moment of the ledger is the server's, unless the program has set the clock.
    told = {"now": move.now, "is_set": clock.is_frozen()}
    return facts | told | {"actor_id": getattr(move.actor, "_pk", None), "reason": move.reason}


def _row_message(move: Move, written: Mapping[str, Any], seen: tuple[str, ...], computed: tuple[str, ...]) -> Message:
    fields, guard = move.model._meta.fields, move.transition.database_guard
    conditions = [
        '"organization_id" = %(organization_id)s',
        '"id" = %(id)s',
        f'"{move.field.column_name}" = %(from_state)s',
        *(f'"{fields[name].column_name}" IS NOT DISTINCT FROM %(was_{name})s' for name in seen),
        *((f"({guard.sql})",) if guard else ()),
    ]
    asked = ", ".join(['"id"', *(f'"{fields[name].column_name}"' for name in computed)])
    returning = ", ".join(dict.fromkeys([*asked.split(", "), *(f'"{name}"' for name in move.tells or ())]))
    types = TYPES | {f"set_{name}": _type_of(fields[name]) for name in written}
    types |= {f"was_{name}": _type_of(fields[name]) for name in seen}
    types |= dict.fromkeys(guard.seen if guard else (), "text")
    steps, source = f"{move.transition.steps}, " if move.transition.steps else "", ""
    table = move.model._meta.table_name
    if move.transition.remembers or move.transition.picks:
        # Locked first, and joined, so that these are the values that are overwritten.
        steps += f"""picked AS (
        SELECT "organization_id" AS "of_organization", "id" AS "of_id"{_remembered(move)} FROM "{table}"
        WHERE "organization_id" = %(organization_id)s AND "id" = %(id)s FOR NO KEY UPDATE
    ), """
        source = "FROM picked"
        conditions += ['"organization_id" = "of_organization"', '"id" = "of_id"']
    afterwards = _afterwards(move, 'mine."organization_id" = %(organization_id)s AND ')
    sql = f"""WITH {steps}moved AS (
        UPDATE "{table}" SET {_assignments(move, written)} {source}
        WHERE {" AND ".join(conditions)} RETURNING {returning}
    ){afterwards}{_noted(move, "%(organization_id)s", "%(from_state)s", _details(move, ""))}{
        _told(move, "%(organization_id)s", "%(from_state)s")
    }
    SELECT {asked}, pg_current_xact_id() FROM moved"""
    return Message(*(guard.locks if guard else ()), sql, types=types)


def _made_message(move: Move, written: Mapping[str, Any], computed: tuple[str, ...]) -> Message | None:
    """Asks for the row that was moved, as the move itself gives it: the journal tells by whom, when and why it was.

    Several may have been at one moment, where the program tells it; so what was written is still there as well, unless
    something was written since.
    """
    if move.journal is None:
        return None
    fields = move.model._meta.fields
    types = TYPES | {f"set_{name}": _type_of(fields[name]) for name in written}
    still = " AND ".join(
        f'"{fields[name].column_name}" IS NOT DISTINCT FROM %(set_{name})s' for name in written if name not in computed
    )
    if "updated_at" in written and "updated_at" not in computed:
        still = f'"updated_at" IS DISTINCT FROM %(set_updated_at)s OR {still}'
    read = "".join(f', "{move.model._meta.fields[name].column_name}"' for name in computed)
    sql = f"""SELECT "id"{read}, NULL FROM "{move.model._meta.table_name}"
        WHERE "organization_id" = %(organization_id)s AND "id" = %(id)s AND EXISTS (
            SELECT 1 FROM "{move.journal._meta.table_name}"
             WHERE organization_id = %(organization_id)s AND subject_type = '{move.subject_type}'
               AND subject_id = %(id)s AND event = '{move.transition.event}' AND from_state = %(from_state)s
               AND actor_id IS NOT DISTINCT FROM %(actor_id)s AND reason IS NOT DISTINCT FROM %(reason)s
               AND occurred_at = %(now)s) AND ({still or "true"})"""
    return Message(sql, types=types)


def _type_of(field: peewee.Field) -> str:
    return str(field.field_type)


def _rows_sql(
    move: Move, written: Mapping[str, Any], where: str, limit: int | None, skip_locked: bool, tenant: int | None
) -> str:
    meta, state = move.model._meta, move.field.column_name
    own = "" if tenant is None else '"organization_id" = %(organization_id)s AND '
    sources = ", ".join(f"'{source}'" for source in move.transition.sources)
    columns = ", ".join(f'"row"."{field.column_name}"' for field in meta.sorted_fields)
    of_this = 'WHERE picked."organization_id" = moved."organization_id" AND picked."id" = moved."id"'
    mine = "" if tenant is None else 'mine."organization_id" = %(organization_id)s AND '
    afterwards = _afterwards(move, mine) if move.transition.picks else ""
    row_own = "" if tenant is None else '"row"."organization_id" = %(organization_id)s AND '
    organization = '"organization_id"' if tenant is None else "%(organization_id)s"
    return f"""WITH picked AS (
        SELECT "organization_id", "organization_id" AS "of_organization", "id",
               "{state}" AS "from_state"{_remembered(move)} FROM "{meta.table_name}"
        WHERE {own}"{state}" IN ({sources}) AND ({where}) ORDER BY "organization_id", "id"
        {"" if limit is None else "LIMIT %(limit)s"} FOR NO KEY UPDATE {"SKIP LOCKED" if skip_locked else ""}
    ), moved AS (
        UPDATE "{meta.table_name}" AS "row" SET {_assignments(move, written)} FROM picked
        WHERE {row_own}"row"."organization_id" = picked."organization_id" AND "row"."id" = picked."id"
        RETURNING {columns}, picked."from_state"
    ){afterwards}{_noted(move, organization, '"from_state"', _details(move, of_this))}{
        _told(move, organization, '"from_state"')
    } SELECT * FROM moved"""


def _remembered(move: Move) -> str:
    fields = move.model._meta.fields
    names = (*move.transition.remembers, *move.transition.picks)
    return "".join(f', "{fields[name].column_name}" AS "was_{name}"' for name in names)


def _afterwards(move: Move, mine: str) -> str:
    # Replaced, as there are braces in SQL of its own.
    return f", {move.transition.afterwards.replace('{mine}', mine)}" if move.transition.afterwards else ""


def _details(move: Move, which: str) -> str:
    """What the journal keeps of the values that the row has no more."""
    pairs = ", ".join(f"'{name}', picked.\"was_{name}\"" for name in move.transition.remembers)
    return f"(SELECT jsonb_strip_nulls(jsonb_build_object({pairs})) FROM picked {which})"


def _assignments(move: Move, written: Mapping[str, Any]) -> str:
    fields = move.model._meta.fields
    return ", ".join(
        f'"{fields[name].column_name}" = {value.sql if isinstance(value, peewee.SQL) else f"%(set_{name})s"}'
        for name, value in written.items()
    )


def _told(move: Move, organization: str, from_state: str) -> str:
    if move.tells is None:
        return ""
    target = move.transition.target
    facts = {
        "from_state": f"{from_state}::varchar",
        "to_state": f"{from_state}::varchar" if target is None else f"'{target}'",
        "actor_id": "%(actor_id)s::bigint",
        "reason": "%(reason)s::varchar",
        "occurred_at": "%(now)s::timestamptz",
    }
    return told(
        move.subject_type,
        move.transition.event,
        facts,
        move.tells,
        source="moved",
        organization=organization,
        at="%(now)s",
        order=' ORDER BY "id"',
    )


def _noted(move: Move, organization: str, from_state: str, details: str) -> str:
    if move.journal is None:
        return ""
    column, value = (", details", f", {details}") if move.transition.remembers else ("", "")
    target = move.transition.target
    return f""", noted AS (
        INSERT INTO "{move.journal._meta.table_name}" (organization_id, subject_type, subject_id, event, from_state,
            to_state, actor_id, reason, occurred_at{column})
        SELECT {organization}, '{move.subject_type}', "id", '{move.transition.event}', {from_state},
            {from_state if target is None else f"'{target}'"}, %(actor_id)s::bigint, %(reason)s::varchar,
            %(now)s{value}
        FROM moved RETURNING 1
    )"""

"""What could stop a way back half way, looked for before: others' objects, others' tables, rows that break a rule.

Rule it guards: what the catalogue and the rows can tell is told before the first statement runs, with the SQL that
clears the way; only locks, which come and go, are left to the run.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from dataclasses import dataclass

import peewee

from rayces_core.migrating.counting import counted, seen
from rayces_core.migrating.depending import Address, address_of, dependents, dependents_on_type
from rayces_core.migrating.effects import Called, Changed, Demanded, Dropped, Effect, Referring, Retyped, Unknown
from rayces_core.migrating.retyping import unfit
from rayces_core.migrations.session import MigrationDatabase

_OTHER_OWNER = """
SELECT pg_get_userbyid(c.relowner), format('ALTER TABLE %%s OWNER TO %%I;', c.oid::regclass, current_user)
  FROM pg_class c JOIN pg_namespace n ON n.oid = c.relnamespace
 WHERE c.oid = to_regclass(%(name)s) AND NOT pg_has_role(c.relowner, 'USAGE')
   AND NOT (%(is_dropped)s AND pg_has_role(n.nspowner, 'USAGE'))
"""
_TWINS = "SELECT count(*) FROM (SELECT FROM {table} WHERE {condition} GROUP BY {columns} HAVING count(*) > 1) AS twins"
_ORPHANS = "NOT EXISTS (SELECT FROM {target} AS target WHERE {same}) AND num_nulls({columns}) = 0"


@dataclass(frozen=True, slots=True)
class Hindrance:
    """Something that would stop the way back of `migration`: what it is, and the SQL that clears it away, if any."""

    migration: str
    what: str
    remedy: str = ""

    def __str__(self) -> str:
        """As a line of an error says it."""
        return f"{self.migration}: {self.what}{f': {self.remedy}' if self.remedy else ''}"


def hindrances(database: MigrationDatabase, way_back: list[tuple[str, list[Effect]]]) -> Iterator[Hindrance]:
    """What stands in the way of these migrations' effects, in their order: each name with what it does."""
    told: set[str] = set()
    looking = _Looking(database, way_back)
    for name, effects in way_back:
        for hindrance in looking.at(name, effects):
            key = hindrance.remedy or hindrance.what
            if key not in told:
                told.add(key)
                yield hindrance


class _Looking:
    """Looks at one migration after another, and remembers what the earlier ones have done by then."""

    def __init__(self, database: MigrationDatabase, way_back: list[tuple[str, list[Effect]]]) -> None:
        self._database = database
        self._plain = {name: self._addresses(effects, cascades=False) for name, effects in way_back}
        plain = [address for each in self._plain.values() for address in each]
        self._gone = plain + [address for _, each in way_back for address in self._addresses(each, cascades=True)]
        # Nearly always there is nothing, and then no migration has to be asked by itself.
        self._is_depended_on = bool(plain and dependents(database, plain, self._gone))
        self._owned: set[str] = set()
        self._changed: set[str] = set()

    def at(self, name: str, effects: list[Effect]) -> Iterator[Hindrance]:
        """What stands in the way of one of them."""
        yield from self._dependents(name, effects)
        for effect in effects:
            yield from self._owners(name, effect)
            self._changed |= _changed(effect)
            if not self._changed & {"", _table(effect)}:
                yield from _broken(self._database, name, effect)

    def _addresses(self, effects: Iterable[Effect], *, cascades: bool) -> list[Address]:
        dropped = [effect for effect in effects if isinstance(effect, Dropped) and effect.cascades == cascades]
        found = (address_of(self._database, effect) for effect in dropped)
        return [address for address in found if address is not None]

    def _dependents(self, name: str, effects: list[Effect]) -> Iterator[Hindrance]:
        if self._is_depended_on and self._plain[name]:
            for found in dependents(self._database, self._plain[name], self._gone):
                yield Hindrance(name, f"{found.what} depends on {found.on}", found.remedy)
        for effect in effects:
            if isinstance(effect, Retyped):
                for found in dependents_on_type(self._database, effect, self._gone):
                    yield Hindrance(name, f"{found.what} depends on {found.on}, whose type changes", found.remedy)

    def _owners(self, name: str, effect: Effect) -> Iterator[Hindrance]:
        is_dropped = isinstance(effect, Dropped) and effect.kind == "table"
        table = effect.name if isinstance(effect, Dropped) and is_dropped else _table(effect)
        key = f"{table}{' dropped' if is_dropped else ''}"
        if isinstance(effect, Changed) or not table or key in self._owned:
            return
        self._owned.add(key)
        values = {"name": table.replace("%%", "%"), "is_dropped": is_dropped}
        row = self._database.execute_sql(_OTHER_OWNER, values).fetchone()
        if row is not None:
            yield Hindrance(name, f"{table} belongs to {row[0]}, and only its owner may do this", row[1])


def _broken(database: MigrationDatabase, name: str, effect: Effect) -> Iterator[Hindrance]:
    """Rows that break what the effect demands; nothing where that cannot be asked before the way back has begun."""
    try:
        if isinstance(effect, Demanded) and effect.columns:
            condition = f"num_nulls({effect.columns}) = 0{f' AND ({effect.condition})' if effect.condition else ''}"
            twins = seen(database, _TWINS.format(table=effect.table, condition=condition, columns=effect.columns))
            if twins:
                keys = "1 key" if twins == 1 else f"{twins} keys"
                yield Hindrance(name, f"{effect.table} has {keys} twice, against {effect.what}")
        elif isinstance(effect, Demanded | Referring):
            broken = counted(database, effect.table, _condition(effect))
            if broken and broken.rows is not None and not broken.is_estimate:
                verb = "breaks" if broken.rows == 1 else "break"
                yield Hindrance(name, f"{broken} of {effect.table} {verb} {effect.what}")
        elif isinstance(effect, Retyped):
            found = unfit(database, effect)
            if found and found.stops:
                what = f"{effect.table}.{effect.column} has values that {effect.type} does not hold"
                yield Hindrance(name, what if found.rows.rows is None else f"{what}, {found.rows}")
    except peewee.PeeweeException:
        return


def _condition(effect: Demanded | Referring) -> str:
    if isinstance(effect, Demanded):
        return effect.condition
    pairs = zip(effect.columns, effect.target_columns, strict=False)
    same = " AND ".join(f"target.{theirs} = {effect.table}.{ours}" for ours, theirs in pairs)
    return _ORPHANS.format(target=effect.target, same=same, columns=", ".join(effect.columns))


def _changed(effect: Effect) -> set[str]:
    if isinstance(effect, Unknown):
        return {""}
    return {effect.table} if isinstance(effect, Changed) else set()


def _table(effect: Effect) -> str:
    return "" if isinstance(effect, Unknown | Called) else effect.table

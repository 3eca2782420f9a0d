"""What undoing migrations would take away, and what would stop it: looked for before anything runs.

Rule it guards: no row goes without having been told to, no way back begins that the catalogue shows to end half way,
and the rows of two organizations never become one's.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from dataclasses import dataclass, replace
from typing import Any

from rayces_core.errors import MigrationError
from rayces_core.migrating.accompanying import others
from rayces_core.migrating.effects import Called, Effect, Renamed, Unknown, effects
from rayces_core.migrating.files import MigrationFile
from rayces_core.migrating.foreseeing import foreseen
from rayces_core.migrating.hindering import Hindrance, hindrances
from rayces_core.migrating.losing import Losing, Loss, WayBack
from rayces_core.migrating.statements import statements_of
from rayces_core.migrations.session import MigrationDatabase

# What is not volatile cannot write.
_WRITING = """
SELECT DISTINCT p.proname::text
  FROM pg_proc p JOIN pg_namespace n ON n.oid = p.pronamespace
 WHERE p.proname = ANY (%s::text[]) AND p.provolatile = 'v' AND n.nspname NOT IN ('pg_catalog', 'information_schema')
   AND NOT EXISTS (SELECT FROM pg_depend d
                    WHERE d.classid = 'pg_proc'::regclass AND d.objid = p.oid AND d.deptype = 'e')
 ORDER BY 1
"""


@dataclass(frozen=True)
class Undoing:
    """What undoing these `migrations`, newest first, would do.

    Attributes:
        losses: every table and column that is dropped, and rows that are deleted, empty ones included.
        taken_along: what CASCADE drops besides.
        unheld: tables of several organizations that no policy would keep apart any more.
        mixed: tables whose rows would no longer say whose they are, though they are several organizations'.
        unforeseen: what could take anything away and cannot be read: functions of Python and of SQL, DO blocks.
        hindrances: what would stop it half way.
        others: functions, triggers, views, types, policies and sequences that are dropped; no row goes with them.
    """

    migrations: tuple[str, ...]
    losses: tuple[Loss, ...] = ()
    taken_along: tuple[str, ...] = ()
    unheld: tuple[str, ...] = ()
    mixed: tuple[str, ...] = ()
    unforeseen: tuple[str, ...] = ()
    hindrances: tuple[Hindrance, ...] = ()
    others: tuple[str, ...] = ()

    @property
    def needs_yes(self) -> bool:
        """Whether something would be lost, as far as can be told."""
        return bool(self.taken_along or self.unheld or self.unforeseen) or any(loss.rows != 0 for loss in self.losses)

    def lines(self) -> Iterator[str]:
        """What it takes away, a line each."""
        yield from map(str, self.losses)
        yield from self.taken_along
        for table in self.unheld:
            yield f"{table}: nothing in the database would keep its organizations apart"
        for what in self.unforeseen:
            yield f"{what}: what it does cannot be told before"

    def obstacles(self) -> Iterator[str]:
        """What has to be cleared away before, whatever one agrees to; a line each."""
        yield from map(str, self.hindrances)
        if self.mixed:
            yield (
                f"the rows of several organizations in {', '.join(self.mixed)} would no longer say whose they are; "
                "keep one organization's: `rayces export tenant` saves the others, then delete their rows"
            )

    def _lost(self) -> Iterator[str]:
        empty = {str(loss) for loss in self.losses if loss.rows == 0}
        return (line for line in self.lines() if line not in empty)

    def refuse(self, *, yes: bool) -> None:
        """Raise MigrationError where it would end half way, mix organizations, or lose rows without `yes`."""
        obstacles = list(self.obstacles())
        if obstacles:
            raise MigrationError(
                f"undoing this would end half way or mix rows, so nothing was undone:{_listed(obstacles)}"
            )
        if self.needs_yes and not yes:
            raise MigrationError(
                f"this would be gone, so nothing was undone; --yes (yes=True) says so:{_listed(self._lost())}"
            )


def looked_at(database: MigrationDatabase, files: Iterable[MigrationFile]) -> Undoing:
    """What undoing `files`, newest first, would do; nothing is run."""
    with database.atomic():
        database.command("SET TRANSACTION READ ONLY")
        way_back, unforeseen = _read(database, files)
        losing = Losing(database, way_back)
        return Undoing(
            tuple(name for name, _ in way_back),
            losing.losses,
            losing.taken_along,
            losing.unheld,
            losing.mixed,
            tuple(unforeseen),
            tuple(hindrances(database, way_back)),
            others(database, way_back),
        )


def _read(database: MigrationDatabase, files: Iterable[MigrationFile]) -> tuple[WayBack, list[str]]:
    way_back: WayBack = []
    unforeseen: list[str] = []
    names: dict[str, str] = {}
    for file in files:
        found = list(_found(database, file))
        unforeseen += [f"{file.name}: {effect.what}" for effect in found if isinstance(effect, Unknown)]
        way_back.append((file.name, [_as_now(effect, names) for effect in found]))
    return way_back, unforeseen


def _found(database: MigrationDatabase, file: MigrationFile) -> Iterator[Effect]:
    """The effects of a way back; each function that it calls is an unknown one."""
    steps = foreseen(database, file, back=True)
    if steps is None:
        yield Unknown("the function rollback")
    called: set[str] = set()
    for step in steps or ():
        if step.is_call:
            yield Unknown(f"the function {step.text}")
        for effect in (each for statement in statements_of(step) for each in effects(statement)):
            if isinstance(effect, Called):
                called |= effect.names
            else:
                yield effect
    if called:
        rows = database.execute_sql(_WRITING, (sorted(called),)).fetchall()
        yield from (Unknown(f"the function {name}") for (name,) in rows)


def _as_now(effect: Effect, names: dict[str, str]) -> Effect:
    """The effect on what the table is called before the way back begins."""
    known: Any = effect
    for attribute in ("table", "name"):
        name = getattr(effect, attribute, "").lower()
        if name in names and not isinstance(effect, Renamed):
            known = replace(known, **{attribute: names[name]})
    if isinstance(effect, Renamed):
        names[effect.name.lower()] = names.get(effect.table.lower(), effect.table)
    return known  # type: ignore[no-any-return]


def _listed(lines: Iterable[object]) -> str:
    return "".join(f"\n  {line}" for line in lines)

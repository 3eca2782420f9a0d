"""Moves a tenant from one cell to another, a step after the other; each is noted once it is done, and can be redone.

Rule it guards: from the moment it is held until the move is over or cancelled, nobody writes the tenant anywhere; and
by the time that writing goes on in the other cell, no process can still believe that the tenant lives in the first.
"""

from __future__ import annotations

import time
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from datetime import UTC, datetime, timedelta
from typing import Final

from psycopg2.extensions import connection as Connection  # noqa: N812 - psycopg2 names its classes in lower case

from rayces_core.cells import copying, freezing, ranges
from rayces_core.cells.catalogue import Catalogue, Written
from rayces_core.cells.connecting import connected, rows, unit
from rayces_core.cells.marking import check_cell
from rayces_core.cells.placements import Placement
from rayces_core.cells.steps import Move
from rayces_core.cells.tables import Moved, alike, hanging, moved_tables, same_migrations
from rayces_core.credits import verify
from rayces_core.database.database import Database
from rayces_core.errors import MoveError, RaycesError
from rayces_core.models import Organization

Progress = Callable[[str], None]
GRACE: Final = timedelta(hours=1)
SLACK: Final = 1.05  # clocks of machines do not run alike
NAME: Final = "rayces move"


class Mover:
    """One tenant's move, while this process alone is at it.

    Args:
        written: the catalogue, held for this tenant. source, target: the two cells. progress: told what is being done.
        tables: those of the two cells, by name of the cell, as far as they were looked up.
    """

    def __init__(
        self,
        written: Written,
        move: Move,
        source: Database[Organization],
        target: Database[Organization],
        progress: Progress | None = None,
        *,
        tables: Mapping[str, list[Moved]] | None = None,
    ) -> None:
        self.written, self.move = written, move
        self._source, self._target, self._progress = source, target, progress
        self._id = move.tenant_id
        self._found = dict(tables or {})
        self._is_held = True  # as far as is known

    def run(self) -> Move:
        """Go on until the tenant is written in the other cell; returns the move.

        Raises:
            MoveError: it cannot go on; what was done stays, and the message says what to do.
        """
        steps = {
            "begun": self._freeze,
            "frozen": self._copy,
            "copied": self._check,
            "checked": self._open,
            "opening": self._switch,
            "switched": self._thaw,
        }
        if self.move.step == "cancelling":
            raise MoveError(f"the move of {self.move.subdomain} is being cancelled: rayces move cancel, first")
        try:
            with connected(self._source.admin_url, NAME) as source, connected(self._target.admin_url, NAME) as target:
                check_cell(source, self.move.source)
                check_cell(target, self.move.target)
                while (step := steps.get(self.move.step)) is not None:
                    step(source, target)
        except RaycesError as error:
            raise self._stopped(error) from error
        self._forget()
        return self.move

    def _stopped(self, error: RaycesError) -> MoveError:
        """What is said of a move that cannot go on: how far it is, and who may write meanwhile."""
        name = self.move.subdomain
        way = f"rayces move tenant {name} --to {self.move.target} goes on from there"
        back = f", rayces move cancel {name} leaves it in {self.move.source!r}" if self.move.may_be_cancelled else ""
        held = "not all of its rows can be written" if self.move.step == "begun" else f"nobody writes {name}"
        held = f"{held} until it ends" if self._is_held else f"{name} is written as ever"
        return MoveError(f"the move of {name} stands at {self.move.step!r}, and {held}: {error}. {way}{back}")

    def _freeze(self, source: Connection, _: Connection) -> None:
        tables = self._tables_of(self._source)
        self._is_held = self._id in freezing.held_tenants(source)  # by an attempt that was stopped
        self._tell("preparing to hold its rows")
        roles = {"app_role": self._source.app_role, "admin_role": self._source.admin_role}
        freezing.watch(source, tables, self._id, **roles)
        self._tell("holding its rows")
        self._is_held = True
        freezing.say(source, self._source.admin_role, self._id, "leaving", self.move.target)
        freezing.drain(source, self._source.admin_role, self._id)
        freezing.freeze(source, tables, self._id)
        self._done("frozen")

    def _copy(self, source: Connection, target: Connection) -> None:
        tables, theirs = self._tables()
        alike(tables, theirs, self.move.target)
        refuse_hanging(source, tables, self.move.subdomain, self._id)
        freezing.freeze(target, theirs, self._id)
        copied = copying.copy(
            source,
            target,
            tables,
            self._id,
            roles=(self._source.admin_role, self._target.admin_role),
            source_cell=self.move.source,
            progress=lambda name: self._tell(f"copying {name}"),
        )
        self._done("copied", rows_copied=copied)

    def _check(self, source: Connection, target: Connection) -> None:
        tables, theirs = self._tables()
        self._tell("comparing both copies")
        ours = copying.checksums(source, tables, self._id, admin_role=self._source.admin_role)
        there = copying.checksums(target, tables, self._id, admin_role=self._target.admin_role)
        unlike = [name for name, found in ours.items() if there[name] != found]
        if unlike or len(theirs) != len(tables):
            raise MoveError(
                f"the copy in cell {self.move.target!r} is not what it was copied from ({', '.join(unlike)[:200]}); "
                "look for triggers that change what is written, have them do nothing while "
                "current_setting('rayces.restoring', true) = 'on', cancel, and move again"
            )
        self._done("checked", checksums={name: digest for name, (digest, _) in ours.items()})

    def _open(self, _: Connection, target: Connection) -> None:
        ids = ranges.range_of(check_cell(target, self.move.target))
        tables, admin = self._tables_of(self._target), self._target.admin_role
        copying.number_anew(target, tables, self._id, admin_role=admin, ids=ids)
        # Both copies are held and alike, so whoever finds either reads the same.
        freezing.say(target, self._target.admin_role, self._id, "opening", self.move.source)
        self._target.engine.forget_organizations()
        # Switched off or not, as far as it is moved it is bound.
        with self._target._within(self._target._binding_of(self._id)):
            found = verify().discrepancies
        if found:
            raise MoveError(f"the ledger does not add up: {found[0]}; see `rayces credits verify`")
        self._done("opening")

    def _switch(self, source: Connection, _: Connection) -> None:
        self._tell("switching the catalogue")
        if made := freezing.unheld(source, moved_tables(self._source), self._id):
            raise MoveError(f"{', '.join(made)[:200]} was made since its rows were held: cancel, and move again")
        self.written.check_lock()
        self.move = self.written.switch(self.move)

    def _thaw(self, source: Connection, target: Connection) -> None:
        self._tell("waiting until no process believes the old place")
        time.sleep(self.written.trusted_seconds() * SLACK)
        freezing.say(source, self._source.admin_role, self._id, "left", self.move.target)
        freezing.say(target, self._target.admin_role, self._id, None, None)
        freezing.thaw(target, self._tables_of(self._target), self._id)
        self._done("opened")

    # -- after it, or instead of it ---------------------------------------------------------------------------

    def finish(self, grace: timedelta) -> Move:
        """Delete the old copy; returns the move.

        Raises:
            MoveError: the tenant is not in the other cell yet, or not for so long.
        """
        if self.move.step != "opened" or self.move.switched_at is None:
            raise MoveError(f"the move of {self.move.subdomain} is at {self.move.step!r}: let it come to its end first")
        due = self.move.switched_at + grace
        if datetime.now(UTC) < due:
            raise MoveError(
                f"the old copy of {self.move.subdomain} is kept until {due.astimezone(UTC):%Y-%m-%d %H:%M:%S} UTC; "
                "finish the move then, or with a shorter grace"
            )
        with connected(self._source.admin_url, NAME) as source:
            check_cell(source, self.move.source)
            self._tell("waiting for units of work that may have read it")
            freezing.outlast(source, self.move.source)
            refuse_hanging(source, self._tables_of(self._source), self.move.subdomain, self._id)
            self._clear(source, self._source, ("left",))
        self.move = self.written.end(self.move, "finished")
        self._forget()
        return self.move

    def cancel(self) -> Move:
        """Leave the tenant where it was, and take the copy away; returns the move.

        Raises:
            MoveError: the tenant lives in the other cell already.
        """
        if not self.move.may_be_cancelled:
            raise MoveError(
                f"{self.move.subdomain} lives in cell {self.move.target!r} already; finish this move, and move it back"
            )
        if self.move.step != "cancelling":
            self._done("cancelling")
        with connected(self._source.admin_url, NAME) as source, connected(self._target.admin_url, NAME) as target:
            check_cell(source, self.move.source)
            check_cell(target, self.move.target)
            self._clear(target, self._target, ("arriving", "opening"))
            freezing.thaw(source, self._tables_of(self._source), self._id)
            freezing.say(source, self._source.admin_role, self._id, None, None)
        self.move = self.written.end(self.move, "cancelled")
        self._forget()
        return self.move

    def _clear(self, connection: Connection, database: Database[Organization], states: tuple[str, ...]) -> None:
        tables = self._tables_of(database)
        self._tell("deleting the copy that is not needed")
        copying.remove(connection, tables, self._id, admin_role=database.admin_role, states=states)
        freezing.thaw(connection, tables, self._id)

    # -- in all of them ---------------------------------------------------------------------------------------

    def _tables(self) -> tuple[list[Moved], list[Moved]]:
        return self._tables_of(self._source), self._tables_of(self._target)

    def _tables_of(self, database: Database[Organization]) -> list[Moved]:
        """Looked up once: a move takes minutes, and where a table is changed meanwhile the checksums differ."""
        name = self.move.source if database is self._source else self.move.target
        if name not in self._found:
            self._found[name] = moved_tables(database)
        return self._found[name]

    def _done(self, step: str, **facts: object) -> None:
        self.written.check_lock()
        self.move = self.written.step(self.move, step, **facts)

    def _tell(self, what: str) -> None:
        if self._progress:
            self._progress(what)

    def _forget(self) -> None:
        for database in (self._source, self._target):
            database.engine.forget_organizations()


def refuse_hanging(connection: Connection, tables: list[Moved], subdomain: str, organization_id: int) -> None:
    """Raise MoveError where tables that are not moved have rows which hang on the tenant's."""
    if found := hanging(connection, tables, organization_id):
        raise MoveError(
            f"rows of {', '.join(found)[:200]} refer to rows of {subdomain}, and those tables have no organization_id: "
            "they would be left behind, and deleted or in the way when the old copy is. Give the tables that column, "
            "or delete the rows"
        )


def check_both(
    source: tuple[str, Database[Organization]], target: tuple[str, Database[Organization]], there: Placement
) -> dict[str, list[Moved]]:
    """Raise MoveError or CellError where a tenant cannot be moved between two cells as they are; gives their tables."""
    for name, database in (source, target):
        if database.engine.kind.binds_apart:
            raise MoveError(
                f"cell {name!r} is a cluster of Citus, and tenants move between cells of PostgreSQL itself only: its "
                "shards take no triggers, which hold a tenant that is moved, and give ids of their own. With new ids "
                "`rayces export tenant` and `rayces import tenant` bring one in or out"
            )
        with connected(database.admin_url, NAME) as connection:
            _check_owner(connection, name)
            number = check_cell(connection, name)
            if astray := [each.name for each in ranges.beyond(connection, number)]:
                raise MoveError(
                    f"cell {name!r} may give other cells' ids to rows of {', '.join(astray)[:200]}; run `rayces cells "
                    "migrate` first"
                )
    same_migrations(source[1], target[1], target[0])
    tables = {name: moved_tables(database) for name, database in (source, target)}
    alike(tables[source[0]], tables[target[0]], target[0])
    assert there.id is not None  # noqa: S101 - it is placed
    with connected(source[1].admin_url, NAME) as connection:
        refuse_hanging(connection, tables[source[0]], there.subdomain, there.id)
    with connected(target[1].admin_url, NAME) as connection:
        _refuse_taken(connection, target[1].admin_role, target[0], there)
    return tables


def _refuse_taken(connection: Connection, admin_role: str, cell: str, there: Placement) -> None:
    """Raise MoveError where the other cell has its subdomain or id: of SQL's making, or an old copy of one renamed."""
    with unit(connection, local=copying.as_admin(admin_role)) as cursor:
        cursor.execute(
            "SELECT id, subdomain FROM organizations WHERE id = %s OR subdomain = %s", (there.id, there.subdomain)
        )
        found = cursor.fetchone()
    if found:
        raise MoveError(
            f"cell {cell!r} has an organization {found[0]} of its own, called {found[1]}; where that is the old copy "
            "of one that was renamed since, finish its move first"
        )


_OWNERS: Final = """
SELECT DISTINCT quote_ident(pg_get_userbyid(c.relowner)), quote_ident(session_user) FROM pg_class c
  JOIN pg_class root ON root.oid = to_regclass('organizations')
 WHERE c.relkind IN ('r', 'p') AND NOT pg_has_role(c.relowner, 'USAGE') AND (c.oid = root.oid OR EXISTS (
       SELECT FROM pg_attribute a WHERE a.attrelid = c.oid AND a.attname = 'organization_id' AND NOT a.attisdropped))
"""


def _check_owner(connection: Connection, cell: str) -> None:
    """Only who owns a table, or is a member of who does, makes triggers and policies on it."""
    missing = rows(connection, _OWNERS)
    if missing:
        login, owners = missing[0][1], ", ".join(owner for owner, _ in missing)
        inheriting = " WITH INHERIT TRUE" if connection.server_version >= 160_000 else ""
        raise MoveError(
            f"cell {cell!r}: the tables are of {owners}, and the login of admin_url, {login}, is no member of that "
            f"role, so it cannot hold a tenant's rows; as a DBA: GRANT {owners} TO {login}{inheriting};"
        )


@contextmanager
def under_way(
    catalogue: Catalogue, databases: Mapping[str, Database[Organization]], tenant: str, progress: Progress | None
) -> Iterator[Mover]:
    """The move of a tenant that has not ended, for the block; raises MoveError where there is none."""
    with catalogue.held(tenant) as written:
        move = written.move_of(tenant)
        if move is None:
            raise MoveError(f"no move of {tenant!r} is under way; look at `rayces move list --all`")
        for name in (move.source, move.target):
            if name not in databases:
                raise MoveError(f"{tenant} is moved between cells of which {name!r} is not one of these")
        yield Mover(written, move, databases[move.source], databases[move.target], progress)

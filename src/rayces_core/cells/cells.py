"""Cells: what an application holds instead of one Database, once its tenants live in several."""

from __future__ import annotations

import os
from collections.abc import Iterator, Mapping
from datetime import timedelta
from functools import partial
from typing import Any, Self

from rayces_core.cells import auditing, placing
from rayces_core.cells.catalogue import Catalogue
from rayces_core.cells.configured import read_file
from rayces_core.cells.connecting import connected
from rayces_core.cells.marking import set_up
from rayces_core.cells.moving import GRACE, Mover, Progress, check_both, under_way
from rayces_core.cells.placements import Placement, Remembered
from rayces_core.cells.results import CellFindings, CellMigrated
from rayces_core.cells.steps import Move
from rayces_core.cells.working import Working
from rayces_core.citus import distribute
from rayces_core.database.blocks import TenantBlock
from rayces_core.database.database import Database
from rayces_core.database.tenants import checked_key
from rayces_core.errors import (
    CellError,
    ConfigurationError,
    DatabaseUnreachableError,
    MoveError,
    RaycesError,
    UnknownTenantError,
)
from rayces_core.models import Organization

CELLS_VARIABLE = "RAYCES_CELLS"
TRUSTED_SECONDS = 5.0
MIGRATING = "cells migrate"  # no tenant's name, as it has a blank


class Cells(Working):
    """Several databases, each with tenants of its own, and the catalogue that says which has whom.

    One object serves all threads and tasks of a process. `for database in cells` gives each cell's Database, for
    `privileged(reason=…)` and the like; `cells["a"]` gives one.

    Args:
        databases: name → URL of each cell; or a mapping of what `Database.connect` takes, `url` and what is that cell's
            alone, such as `engine="citus"` or `replicas`; or a Database of it that was made already.
        catalogue: the name of the cell whose database has the catalogue, or the URL of another one.
        catalogue_admin_url: of a login that may write it, where `catalogue` is a URL and its login may not.
        place: cell → number of its tenants; gives the cell of a new tenant. Default: the one with the fewest.
        trusted_seconds: how long a process believes where a tenant lives, and so how long a move waits before the
            tenant is written again; `migrate()` notes it for all processes.
        options: of `Database.connect`, for each cell that is no Database yet and does not say otherwise.

    Raises:
        ConfigurationError: an argument is malformed, or `catalogue` is no cell's name and no URL.
    """

    def __init__(
        self,
        databases: Mapping[str, str | Mapping[str, Any] | Database[Organization]],
        *,
        catalogue: str,
        catalogue_admin_url: str | None = None,
        place: placing.Rule = placing.fewest,
        trusted_seconds: float = TRUSTED_SECONDS,
        **options: Any,
    ) -> None:
        if not databases:
            raise ConfigurationError('name one cell at least: Cells({"a": "postgresql://…"}, catalogue="a")')
        if trusted_seconds < 0:
            raise ConfigurationError("trusted_seconds must be zero or more")
        self._databases = {_name(name): _database(name, given, options) for name, given in databases.items()}
        self._place, self._trusted_seconds = place, float(trusted_seconds)
        self._known = Remembered()
        first = next(iter(self._databases.values()))
        self._app_role, self._admin_role = first.app_role, first.admin_role
        self._catalogue = self._catalogue_at(catalogue, catalogue_admin_url)
        for name, database in self._databases.items():
            database.refuse_beside = self._refusing(name)
            for engine in database._engines:
                engine.refuse_moved = self._refusing_moved(name)

    def _catalogue_at(self, given: str, admin_url: str | None) -> Catalogue:
        if given in self._databases:
            database = self._databases[given]
            urls = (database.url, admin_url or database.admin_url)
        elif "://" in given or "=" in given:
            urls = (given, admin_url or given)
        else:
            raise ConfigurationError(f"catalogue={given!r} is no cell's name and no URL of a database")
        return Catalogue(*urls, app_role=self._app_role, admin_role=self._admin_role)

    @classmethod
    def from_file(cls, path: str | os.PathLike[str], **options: Any) -> Self:
        """The cells of a TOML file: `catalogue = "a"`, and a table `[cells]` of names and URLs.

        Instead of a URL there may be `{url = "…", admin_url = "…"}`. A text that begins with `$` is the name of the
        environment variable that holds it, so that the file has no passwords.

        Raises:
            ConfigurationError: the file cannot be read, or is malformed.
        """
        return cls(**read_file(path), **options)

    @classmethod
    def from_env(cls, **options: Any) -> Self:
        """The cells of the file that the environment variable RAYCES_CELLS names."""
        path = os.environ.get(CELLS_VARIABLE, "").strip()
        if not path:
            raise ConfigurationError(f"set {CELLS_VARIABLE} to the path of a TOML file that lists the cells")
        return cls.from_file(path, **options)

    # -- the cells --------------------------------------------------------------------------------------------

    def __iter__(self) -> Iterator[Database[Organization]]:
        return iter(self._databases.values())

    def __len__(self) -> int:
        return len(self._databases)

    def __contains__(self, name: object) -> bool:
        return name in self._databases

    def items(self) -> Iterator[tuple[str, Database[Organization]]]:
        """Each cell's name and Database."""
        return iter(self._databases.items())

    def close(self) -> None:
        """Close every connection; a Database that was given is closed as well."""
        self._catalogue.close()
        for database in self:
            database.close()

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        self.close()

    def __repr__(self) -> str:
        return f"<Cells {', '.join(self._databases)}>"

    # -- tenants ----------------------------------------------------------------------------------------------

    def tenant(
        self,
        tenant: str | int | Organization,
        *,
        cached_only: bool = False,
        read_only: bool | None = None,
        after: str | None = None,
    ) -> TenantBlock[Organization]:
        """Bind an organization in its cell for the `with` block, as `Database.tenant` does.

        Args:
            tenant: subdomain, id, or an Organization that was saved.
            cached_only: never ask a database, for an event loop's thread.
            read_only: the server refuses what writes (ReadOnlyError), and a replica of the cell is read that has all
                that was written here, where there is one. None: as the block around it, of whatever cell.
            after: of a block that reads from a replica, the token of what it must have besides; see `causal_token`.

        Raises:
            UnknownTenantError, InactiveTenantError: there is none, or it is switched off.
            TenantNotCachedError: `cached_only`, and it has not been looked up here lately.
            CellSwitchError: a unit of work is open in another cell. TenantSwitchError: one of another tenant is.
            TenantMovedError: within a block that goes on longer than a move: it lives elsewhere by now.
        """
        way = partial(self._way, read_only, after)
        return TenantBlock(lambda: self._bound(tenant, cached_only), self._holder, way=way)

    def placement(self, tenant: str | int) -> Placement | None:
        """Where a tenant lives, as the catalogue has it now; None where there is none."""
        return self._catalogue.find(checked_key(tenant))[0]

    def create_organization(
        self, name: str, *, subdomain: str, cell: str | None = None, **columns: Any
    ) -> Organization:
        """Make an organization in a cell and return it; `tenant()` accepts it at once.

        Args:
            cell: where; default: as the rule that the cells were made with says.

        Raises:
            DuplicateError: the subdomain is taken, in whatever cell. CellError: there is no such cell.
            CheckFailedError, InvalidDataError: a value is malformed.
        """
        choose: placing.Rule = self._place if cell is None else lambda _: cell
        made = placing.create(self._catalogue, self._databases, name, subdomain, columns, choose)
        self._known.forget()
        return made

    def rename(self, subdomain: str, new: str) -> Organization:
        """Give a tenant another subdomain, which no tenant of any cell may have; returns its organization.

        Processes find it by the old name for some seconds more. Done again it completes what was stopped.

        Raises:
            UnknownTenantError: there is no such tenant. DuplicateError: the name is taken.
            CellError: it is being moved. CheckFailedError: the name is malformed.
        """
        made = placing.rename(self._catalogue, self._databases, subdomain, new)
        self.forget_tenants()
        return made

    # -- all cells --------------------------------------------------------------------------------------------

    def migrate(self, to: int | str | None = None) -> list[CellMigrated]:
        """Bring every cell's schema up to date, one after the other, and make each a cell; returns a line for each.

        The catalogue is made first. A database that has tenants becomes a cell as well, if its ids are no other cell's.
        Of a cluster of Citus the tables are distributed too, as `rayces citus distribute` does it.

        Raises:
            CellError: a cell failed; those after it were not tried. `results` has the lines.
        """
        self._refuse_twins()
        self._catalogue.make(self._trusted_seconds, app_role=self._app_role, admin_role=self._admin_role)
        results: list[CellMigrated] = []
        for name, database in self._databases.items():
            failed = next((result for result in results if result.error is not None), None)
            results.append(CellMigrated(name, "not tried") if failed else self._migrated(name, database, to))
        # Its roles may be there only now.
        self._catalogue.make(self._trusted_seconds, app_role=self._app_role, admin_role=self._admin_role)
        self._known.forget()
        if failed := next((result for result in results if result.error is not None), None):
            raise CellError(f"cell {failed.cell!r}: {failed.error}", results=results) from failed.error
        return results

    def _migrated(self, name: str, database: Database[Organization], to: int | str | None) -> CellMigrated:
        applied: list[str] = []
        try:
            applied = database.migrate(to)
            if database.engine.kind.binds_apart:
                distribute(database.admin_url, app_role=database.app_role, admin_role=database.admin_role)
            with self._catalogue.held(MIGRATING) as written, connected(database.admin_url) as connection:
                set_up(connection, name, written, database.admin_role)
            with self._catalogue.writing() as written:
                placing.reconcile(written, name, database)
        except RaycesError as error:
            return CellMigrated(name, "failed", applied, error)
        return CellMigrated(name, "migrated", applied)

    def _refuse_twins(self) -> None:
        """Two names of one database would be two cells with one range of ids."""
        seen: dict[tuple[str, ...], str] = {}
        for name, database in self._databases.items():
            try:
                identity = auditing.identity_of(database)
            except DatabaseUnreachableError:
                continue  # it fails at its turn, and says so there
            if identity in seen:
                raise CellError(f"cells {seen[identity]!r} and {name!r} are one database; give each its own")
            seen[identity] = name

    def doctor(self) -> list[CellFindings]:
        """Audit every cell as `rayces doctor` does, and what the cells need beside; a line for each, none left out."""
        return auditing.audited(self._catalogue, self._databases)

    # -- moving -----------------------------------------------------------------------------------------------

    def move(self, tenant: str, *, to: str, progress: Progress | None = None) -> Move:
        """Move a tenant with all its rows to another cell; goes on with a move there that was stopped.

        Its rows are read all the while and keep their ids. Who writes them meanwhile gets TenantMovingError, a few
        seconds longer than copying takes; other tenants notice nothing. The old copy is kept, and read by nobody,
        until `finish_move`.

        Args:
            tenant: its subdomain. to: the name of the cell. progress: called with what is being done.

        Raises:
            UnknownTenantError: there is no such tenant. CellError: there is no such cell.
            MoveError: it cannot be moved so; the message says how far it is and what to do.
        """
        target = self[to]
        with self._catalogue.held(tenant) as written:
            move, tables = written.move_of(tenant), None
            if move is None:
                there = written.placement(tenant)
                if there is None or there.id is None:
                    raise UnknownTenantError(tenant)
                if there.cell == to:
                    raise MoveError(f"{tenant} lives in cell {to!r} already")
                tables = check_both((there.cell, self[there.cell]), (to, target), there)
                move = written.begin_move(there, to)
            elif move.target != to:
                raise MoveError(f"{tenant} is being moved to {move.target!r}: let that end, or cancel it first")
            elif move.step == "opened":
                raise MoveError(f"{tenant} lives in cell {to!r} already; finish its move to delete the old copy")
            moved = Mover(written, move, self[move.source], target, progress, tables=tables).run()
        self._known.forget()
        return moved

    def finish_move(self, tenant: str, *, grace: timedelta = GRACE, progress: Progress | None = None) -> Move:
        """Delete the old copy of a tenant that was moved longer than `grace` ago.

        Raises:
            MoveError: there is no such move, or it is not so far.
        """
        with under_way(self._catalogue, self._databases, tenant, progress) as mover:
            return mover.finish(grace)

    def cancel_move(self, tenant: str, *, progress: Progress | None = None) -> Move:
        """Leave a tenant where it is, and take the copy away; it is written again.

        Raises:
            MoveError: there is no such move, or the tenant lives in the other cell already.
        """
        with under_way(self._catalogue, self._databases, tenant, progress) as mover:
            return mover.cancel()

    def moves(self, *, ended: bool = False) -> list[Move]:
        """The moves that are under way or not finished, the newest first; with `ended` all there ever were."""
        with self._catalogue.writing() as written:
            return written.moves(ended=ended)

    def placements(self) -> list[Placement]:
        """Where every tenant lives, by subdomain."""
        with self._catalogue.writing() as written:
            return written.placements()


def _database(name: str, given: object, options: Mapping[str, Any]) -> Database[Organization]:
    if isinstance(given, Database):
        return given
    own = {"url": given} if isinstance(given, str) else given
    if not isinstance(own, Mapping) or not isinstance(own.get("url"), str):
        raise ConfigurationError(f'cell {name!r} needs a URL, {{"url": "…", …}}, or a Database')
    return Database.connect(**{**options, **own})


def _name(name: object) -> str:
    if not isinstance(name, str) or not name.isidentifier() or len(name) > 40:
        raise ConfigurationError(f"{name!r} is no name of a cell: letters, digits and _, at most 40, no digit first")
    return name

"""The part of a Database that brings its schema up to date."""

from __future__ import annotations

from typing import TYPE_CHECKING

from rayces_core.database.engine import Engine
from rayces_core.database.options import Options
from rayces_core.database.tenants import Remembered
from rayces_core.errors import ConfigurationError
from rayces_core.migrations.session import auditor_of, reader_of

if TYPE_CHECKING:
    from rayces_core.embedded.server import EmbeddedServer
    from rayces_core.migrating.runner import MigrationStatus, Runner


class Migrated:
    """What a Database does about its schema."""

    admin_url: str
    app_role: str
    admin_role: str
    _options: Options
    _server: EmbeddedServer | None
    _tenants: Engine
    _admins: Engine
    _engines: tuple[Engine, ...]
    _organizations: Remembered

    def migrate(self, to: int | str | None = None) -> list[str]:
        """Bring the schema up to the newest migration, or to `to`; returns the names of those applied."""
        self._look_again()
        applied = self._runner().up(to)
        if self._server is not None:  # the roles that they may become are there now
            self._server.held_login(self.app_role)
            self._server.held_login(reader_of(self.admin_role), auditor_of(self.admin_role))
        return applied

    def rollback(self, to: int | str | None = None, *, count: int | None = None, yes: bool = False) -> list[str]:
        """Undo migrations newer than `to` (0 undoes all), or the last `count` (default 1); returns their names.

        Raises MigrationError where rows would be lost and `yes` is not given; nothing was undone then.
        """
        self._look_again()
        return self._runner().down(to, count=count, yes=yes)

    def _look_again(self) -> None:
        for engine in self._engines:
            engine.checked = False
        self._organizations.forget()

    def migration_status(self) -> list[MigrationStatus]:
        """Every migration with its state: applied, pending, dirty, changed or missing."""
        return self._runner().status()

    def _runner(self) -> Runner:
        if self._options.reads_only:
            raise ConfigurationError("a reader knows nothing of migrations; ask the Database that it was made of")
        # peewee-migrate is slow to import and needed by deploys only.
        from rayces_core.migrating.runner import Runner

        return Runner(self.admin_url, app_role=self.app_role, admin_role=self.admin_role)

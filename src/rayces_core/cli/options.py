"""Options that every command takes, before or after its name, and the Database they lead to."""

from __future__ import annotations

import os
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, TypeVar

import click

if TYPE_CHECKING:
    from rayces_core.cli.interrupt import Interruption
    from rayces_core.database.database import Database

URL_VARIABLE = "RAYCES_DATABASE_URL"
ADMIN_URL_VARIABLE = "RAYCES_ADMIN_DATABASE_URL"
REPLICAS_VARIABLE = "RAYCES_REPLICA_DATABASE_URLS"
ENGINE_VARIABLE = "RAYCES_DATABASE_ENGINE"
Command = TypeVar("Command", bound=Callable[..., Any])


@dataclass
class Settings:
    """What was asked for on the command line; the last mention of an option counts."""

    database_url: str | None = None
    app_role: str = "rayces_app"
    admin_role: str = "rayces_admin"
    engine: str | None = None
    debug: bool = False
    interruption: Interruption | None = None

    def replicas(self, given: Sequence[str]) -> Sequence[str]:
        """The URLs that an option gave, or those of the environment where that names the database as well."""
        return given or ([] if self.database_url else os.environ.get(REPLICAS_VARIABLE, "").split())

    @contextmanager
    def database(self, *, replicas: Sequence[str] = ()) -> Iterator[Database]:
        """The database that --database-url or RAYCES_DATABASE_URL names; connects when first used, closed at the end.

        RAYCES_ADMIN_DATABASE_URL, where it is set, is the URL of privileged work and of migrations;
        RAYCES_DATABASE_ENGINE is what --engine says else.

        Within the block Ctrl-C ends a statement that the server is still working on.

        Raises:
            click.UsageError: neither names one. ConfigurationError: the URL or a role name is malformed.
        """
        url = self.database_url or os.environ.get(URL_VARIABLE, "").strip()
        if not url:
            raise click.UsageError(
                f"no database is named: set {URL_VARIABLE} or give --database-url postgresql://user:password@host/name",
                click.get_current_context(),
            )
        import rayces_core.models  # noqa: F401 - makes Organization known
        from rayces_core.cli.interrupt import interruptible_statements
        from rayces_core.database.database import Database

        admin_url = os.environ.get(ADMIN_URL_VARIABLE, "").strip() or None
        if self.database_url:
            admin_url = None  # it belongs to the other variable
        engine: Any = self.engine or os.environ.get(ENGINE_VARIABLE, "").strip() or "postgresql"
        roles: dict[str, Any] = {"app_role": self.app_role, "admin_role": self.admin_role}
        database = Database.connect(url, admin_url=admin_url, engine=engine, replicas=replicas, **roles)
        with interruptible_statements() as interruption, database:
            self.interruption = interruption
            yield database


def _remember(context: click.Context, option: click.Parameter, value: Any) -> None:
    if value is not None and option.name:
        setattr(context.ensure_object(Settings), option.name, value)


def _option(name: str, **attributes: Any) -> Callable[[Command], Command]:
    return click.option(name, default=None, expose_value=False, callback=_remember, **attributes)


_DATABASE_URL = _option(
    "--database-url", metavar="URL", help=f"The PostgreSQL database, postgresql://…; default: {URL_VARIABLE}."
)
_APP_ROLE = _option("--app-role", metavar="ROLE", help="Role of tenant work; default: rayces_app.")
_ADMIN_ROLE = _option("--admin-role", metavar="ROLE", help="Role of privileged work; default: rayces_admin.")
_ENGINE = _option("--engine", metavar="NAME", help=f"postgresql or citus; default: {ENGINE_VARIABLE} or postgresql.")
_DEBUG = _option("--debug", is_flag=True, help="Show the traceback of an error.")


def database_options(command: Command) -> Command:
    """Let a command take what it needs to reach its database."""
    return _DATABASE_URL(_APP_ROLE(_ADMIN_ROLE(_ENGINE(_DEBUG(command)))))


def debug_option(command: Command) -> Command:
    """Let a command that reaches no database take --debug."""
    return _DEBUG(command)


def subdomain_or_id(name: str) -> str | int:
    """What --organization names: digits are an id, all else a subdomain."""
    return int(name) if name.isascii() and name.isdigit() else name

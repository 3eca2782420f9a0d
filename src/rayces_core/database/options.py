"""The options of a Database, in one place."""

from __future__ import annotations

import os
from collections.abc import Iterable
from dataclasses import dataclass, field, replace
from typing import Any, Final, Literal

from rayces_core.database.timeouts import timeout_setting
from rayces_core.errors import ConfigurationError
from rayces_core.migrations.session import auditor_of, reader_of

FIND_OUT_SECONDS: Final = 10.0
POSTGRESQL: Final = "postgresql"
CITUS: Final = "citus"
URL_VARIABLE: Final = "RAYCES_DATABASE_URL"
# Variable → option of Database.connect.
VARIABLES: Final = {"RAYCES_ADMIN_DATABASE_URL": "admin_url", "RAYCES_DATABASE_ENGINE": "engine"}


@dataclass(frozen=True, slots=True, kw_only=True)
class Options:
    """How a Database works; see `Database.connect` for what each means."""

    admin_url: str | None = None
    max_connections: int = 20
    pool_timeout: float = 30.0
    app_role: str = "rayces_app"
    admin_role: str = "rayces_admin"
    tenant_cache_seconds: float = 30.0
    in_event_loop: Literal["allow", "refuse"] = "allow"
    idle_in_transaction_seconds: float | None = 300.0
    find_out_seconds: float = FIND_OUT_SECONDS
    outbox: bool = True
    engine: Literal["postgresql", "citus"] = "postgresql"
    replicas: Iterable[str] = ()
    replica_wait_seconds: float = 0.0
    replica_rest_seconds: float = 10.0
    replica_lag_seconds: float | None = 60.0
    connect_options: dict[str, Any] = field(default_factory=dict)
    # What `reader()` says, and no caller of connect().
    reads_only: bool = False
    statement_timeout_seconds: float | None = None

    def __post_init__(self) -> None:
        object.__setattr__(self, "replicas", _listed(self.replicas))
        if not (self.replica_wait_seconds >= 0 and self.replica_rest_seconds >= 0):
            raise ConfigurationError("replica_wait_seconds and replica_rest_seconds must be numbers of seconds from 0")
        if self.replica_lag_seconds is not None and not self.replica_lag_seconds >= 0:
            raise ConfigurationError("replica_lag_seconds must be a number of seconds from 0, or None for no limit")
        if self.in_event_loop not in ("allow", "refuse"):
            raise ConfigurationError(f'in_event_loop must be "allow" or "refuse", not {self.in_event_loop!r}')
        if self.engine == CITUS and tuple(self.replicas):
            raise ConfigurationError("with Citus there are no replicas=; it has its own for each node")
        if self.engine not in (POSTGRESQL, CITUS):
            raise ConfigurationError(f'engine must be "postgresql" or "citus", not {self.engine!r}')
        if self.idle_in_transaction_seconds is not None and not self.idle_in_transaction_seconds > 0:
            raise ConfigurationError("idle_in_transaction_seconds must be above zero, or None for no limit")
        if not self.find_out_seconds >= 0:
            raise ConfigurationError("find_out_seconds must be a number of seconds, 0 to ask only once")
        timeout_setting(self.statement_timeout_seconds)

    @property
    def session_settings(self) -> dict[str, str]:
        """What each session begins with, as the server names and spells it."""
        settings = {"default_transaction_read_only": "on"} if self.reads_only else {}
        return settings | timeout_setting(self.statement_timeout_seconds)

    def for_reading(self, admin_url: str | None, statement_timeout: float | None) -> Options:
        """The same for who only reads: with the roles that do, and sessions that write nothing."""
        if self.engine == CITUS:
            raise ConfigurationError("with Citus there is no reader: its other nodes do not know who has logged in")
        given = (self.app_role, self.admin_role)
        app_role, admin_role = given if self.reads_only else (reader_of(given[1]), auditor_of(given[1]))
        return replace(
            self,
            app_role=app_role,
            admin_role=admin_role,
            admin_url=admin_url,
            reads_only=True,
            replicas=(),
            statement_timeout_seconds=statement_timeout,
        )


def _listed(urls: object) -> tuple[str, ...]:
    if isinstance(urls, str) or not isinstance(urls, Iterable):
        raise ConfigurationError("replicas must be a list of URLs")
    return tuple(urls)


OWN = frozenset(Options.__dataclass_fields__) - {"connect_options", "reads_only", "statement_timeout_seconds"}


def options_of(given: dict[str, Any]) -> Options:
    """The options named in `given`; what else is there goes to the driver."""
    mine = {name: value for name, value in given.items() if name in OWN}
    return Options(**mine, connect_options={name: value for name, value in given.items() if name not in OWN})


def environment() -> tuple[str, dict[str, Any]]:
    """The URL that the environment names, and the options.

    Raises:
        ConfigurationError: it names no URL.
    """
    url = os.environ.get(URL_VARIABLE, "").strip()
    if not url:
        raise ConfigurationError(f"set {URL_VARIABLE}, for example {URL_VARIABLE}=postgresql://user:password@host/name")
    said: dict[str, Any] = {option: os.environ.get(variable, "").strip() for variable, option in VARIABLES.items()}
    said["replicas"] = os.environ.get("RAYCES_REPLICA_DATABASE_URLS", "").split()
    return url, {option: value for option, value in said.items() if value}

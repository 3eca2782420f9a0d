"""A database to harden, and what a session of tenants may do in it."""

from __future__ import annotations

import uuid
from dataclasses import dataclass, field
from typing import Any

import psycopg2
from psycopg2 import errors
from psycopg2.extensions import make_dsn

from rayces_core import Database
from rayces_core.doctor import audit
from rayces_core.doctor.repairing import Repair
from rayces_core.migrating.hardening import ROLES_CALL_IT_BEFORE, Hardening
from rayces_core.migrations.session import dedicated
from tests.conftest import on_server


@dataclass
class Fortress:
    """A migrated database: `url` is a superuser's; `login` holds the two roles and inherits neither."""

    url: str
    login: str
    connection: Any
    made: list[str] = field(default_factory=list)

    @property
    def login_url(self) -> str:
        return make_dsn(self.url, user=self.login, password="x")

    @property
    def modern(self) -> bool:
        return bool(self.connection.server_version >= 160_000)

    @property
    def roles_keep_set_config(self) -> bool:
        return bool(self.connection.server_version < ROLES_CALL_IT_BEFORE)

    def sql(self, statement: str) -> list[tuple[Any, ...]]:
        cursor = self.connection.cursor()
        cursor.execute(statement)
        return cursor.fetchall() if cursor.description else []

    def make_login(self, name: str) -> str:
        options = " WITH INHERIT FALSE, SET TRUE" if self.modern else ""
        self.sql(f"CREATE ROLE {name} LOGIN NOINHERIT PASSWORD 'x'")
        self.sql(f"GRANT rayces_app, rayces_admin TO {name}{options}")
        self.made.append(name)
        return name

    def hardening(self, url: str | None = None, **options: Any) -> Hardening:
        own = dedicated(url or self.url)
        own.app_role, own.admin_role = "rayces_app", "rayces_admin"
        return Hardening(own, **options)

    def harden(self, **options: Any) -> None:
        self.hardening(**options).run()

    def repair(self, **options: Any) -> None:
        own = dedicated(self.url)
        own.app_role, own.admin_role = "rayces_app", "rayces_admin"
        Repair(own, **options).run()

    def empty_beside(self) -> Fortress:
        """A database that holds nothing yet, for the same login; `drop` ends it."""
        name = f"beside_{uuid.uuid4().hex[:12]}"
        self.sql(f"CREATE DATABASE {name} TEMPLATE template0")
        connection = psycopg2.connect(make_dsn(self.url, dbname=name))
        connection.autocommit = True
        return Fortress(make_dsn(self.url, dbname=name), self.login, connection)

    def drop(self) -> None:
        name = self.connection.info.dbname
        self.connection.close()
        on_server(make_dsn(self.url, dbname="postgres"), f"DROP DATABASE {name} WITH (FORCE)")

    def checks(self) -> set[str]:
        with Database.connect(self.login_url) as database:
            return {finding.check for finding in audit(database)}

    def session(self, role: str, login: str | None = None) -> Any:
        """A connection of the login, once it is `role`."""
        connection = psycopg2.connect(make_dsn(self.url, user=login or self.login, password="x"))
        connection.cursor().execute(f"SET ROLE {role}")
        return connection

    def refuses(self, statement: str, role: str = "rayces_app") -> bool:
        """Whether a session of the login, once it is `role`, is denied this."""
        connection = psycopg2.connect(self.login_url)
        connection.cursor().execute(f"SET ROLE {role}")
        try:
            connection.cursor().execute(statement)
        except errors.InsufficientPrivilege:
            return True
        finally:
            connection.close()
        return False

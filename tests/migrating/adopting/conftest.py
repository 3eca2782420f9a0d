"""MyHubs: databases of a running Rails application, with its own logins."""

from __future__ import annotations

import uuid
from collections.abc import Callable, Iterator
from contextlib import ExitStack, closing
from dataclasses import dataclass
from typing import Any

import psycopg2
import pytest
from psycopg2.extensions import make_dsn, parse_dsn

from rayces_core.migrating.adopting import Adoption
from tests.conftest import cloned, on_server

from .myhub import ROWS, SCHEMA, OldApplication


@dataclass
class MyHub:
    """A MyHub: `url` is a superuser's, `owner_url` the login's that owns the tables."""

    url: str
    owner: str
    owner_url: str
    connect: Callable[[str], Any]
    connection: Any

    def sql(self, statement: str) -> list[tuple[Any, ...]]:
        cursor = self.connection.cursor()
        cursor.execute(statement)
        return cursor.fetchall() if cursor.description else []

    def adoption(self, **options: Any) -> Adoption:
        facts = {"name": "North Hub", "subdomain": "north", "retry_seconds": 20.0} | options
        # ROWS spell addresses with capitals; a test that is about them says so by a choice of its own, or None.
        spelling = {} if facts.pop("spelling", "lower-case") is None else {"email-spelling": "lower-case"}
        facts["choices"] = spelling | dict(facts.get("choices") or {})
        return Adoption(facts.pop("url", self.url), **facts)

    def again(self, **options: Any) -> Adoption:
        """An adoption that is not told what it was begun with."""
        return self.adoption(name=None, subdomain=None, **options)

    def application(self, user: str | None = None) -> OldApplication:
        return OldApplication(self.connect(make_dsn(self.url, user=user or self.owner, password="x")))


@pytest.fixture
def login(fresh_roles: Any, server_url: str) -> Callable[..., str]:
    """Make a role that may log in."""

    def make(attributes: str = "") -> str:
        name = fresh_roles()
        connection = psycopg2.connect(server_url)
        connection.autocommit = True
        connection.cursor().execute(f"CREATE ROLE {name} LOGIN PASSWORD 'x' {attributes}")
        connection.close()
        return name

    return make


# As a DBA prepares a login that may not create roles: as the library says it, which before PostgreSQL 16 is through a
# role that inherits nothing.
ROLES = """
DO $$
DECLARE
    name text;
    modern boolean := current_setting('server_version_num')::int >= 160000;
    wanted text[] := '{{rayces_app,rayces_admin,rayces_reader,rayces_auditor}}';
BEGIN
    IF NOT modern THEN wanted := array_append(wanted, 'rayces_holders'); END IF;
    FOREACH name IN ARRAY wanted LOOP
        IF NOT EXISTS (SELECT FROM pg_roles WHERE rolname = name) THEN
            EXECUTE format('CREATE ROLE %I NOLOGIN NOINHERIT NOBYPASSRLS', name);
        END IF;
    END LOOP;
    IF modern THEN
        EXECUTE 'GRANT rayces_app, rayces_admin, rayces_reader, rayces_auditor TO {owner} WITH INHERIT FALSE, SET TRUE';
    ELSE
        GRANT rayces_app, rayces_admin, rayces_reader, rayces_auditor TO rayces_holders;
        GRANT rayces_holders TO {owner};
    END IF;
END
$$;
ALTER DATABASE {database} OWNER TO {owner};
"""


def make_myhub(url: str, owner: str, connect: Callable[[str], Any]) -> MyHub:
    return make_bare_myhub(url, owner, connect, f"{SCHEMA} {ROWS}")


def make_bare_myhub(url: str, owner: str, connect: Callable[[str], Any], script: str) -> MyHub:
    """A database of that owner with what the script makes."""
    connection = connect(url)
    cursor = connection.cursor()
    cursor.execute(ROLES.format(owner=owner, database=parse_dsn(url)["dbname"]))
    cursor.execute(f"SET ROLE {owner}; {script}; RESET ROLE")
    return MyHub(url, owner, make_dsn(url, user=owner, password="x"), connect, connection)


@pytest.fixture(scope="session")
def old_owner(server_url: str) -> Iterator[str]:
    """A login that owns the tables of several databases."""
    name = f"r_{uuid.uuid4().hex[:12]}"
    on_server(server_url, f"CREATE ROLE {name} LOGIN PASSWORD 'x'")
    yield name
    on_server(server_url, f"DROP ROLE {name}")


@pytest.fixture(scope="session")
def prepared(server_url: str, old_owner: str) -> Iterator[Callable[..., str]]:
    """Make a MyHub of that owner, let it be prepared, and return the name of the template that it is then."""
    with ExitStack() as made:

        def prepare(prepare_it: Callable[[MyHub], object]) -> str:
            url = made.enter_context(cloned(server_url, "template0"))
            with ExitStack() as opened:

                def connect(to: str) -> Any:
                    connection = opened.enter_context(closing(psycopg2.connect(to)))
                    connection.autocommit = True
                    return connection

                prepare_it(make_myhub(url, old_owner, connect))
            return str(parse_dsn(url)["dbname"])

        yield prepare


@pytest.fixture(scope="session")
def adopted_template(prepared: Callable[..., str]) -> str:
    """An adopted MyHub, made once."""
    return prepared(lambda myhub: myhub.adoption().run())


@pytest.fixture(scope="session")
def adopted_by_its_owner_template(prepared: Callable[..., str]) -> str:
    """The same, adopted by the login that owns the tables."""
    return prepared(lambda myhub: myhub.adoption(url=myhub.owner_url).run())


@pytest.fixture
def copy_of(server_url: str, old_owner: str, connect: Any) -> Iterator[Callable[[str], MyHub]]:
    """A MyHub of the test's own, copied from a template."""
    with ExitStack() as copies:

        def copy(template: str) -> MyHub:
            url = copies.enter_context(cloned(server_url, template))
            on_server(url, f'ALTER DATABASE "{parse_dsn(url)["dbname"]}" OWNER TO {old_owner}')
            return MyHub(url, old_owner, make_dsn(url, user=old_owner, password="x"), connect, connect(url))

        yield copy


@pytest.fixture
def adopted(adopted_template: str, copy_of: Callable[[str], MyHub]) -> MyHub:
    """An adopted MyHub."""
    return copy_of(adopted_template)


@pytest.fixture
def adopted_by_its_owner(adopted_by_its_owner_template: str, copy_of: Callable[[str], MyHub]) -> MyHub:
    """One that was adopted by the login that owns the tables."""
    return copy_of(adopted_by_its_owner_template)


@pytest.fixture
def myhub(login: Any, make_database: Any, connect: Any) -> Iterator[MyHub]:
    """A MyHub with a few rows, whose application logs in as the tables' owner."""
    made = make_myhub(make_database(), login(), connect)
    yield made
    made.sql(f"REASSIGN OWNED BY {made.owner} TO CURRENT_USER")
    made.sql(f"DROP OWNED BY {made.owner} CASCADE")


TURKISH = "LOCALE_PROVIDER icu ICU_LOCALE 'tr-TR' LOCALE 'C' ENCODING 'UTF8'"


@pytest.fixture
def database_in(request: pytest.FixtureRequest) -> Iterator[Callable[[str], str]]:
    """Make an empty database of this locale; the embedded server knows nothing of ICU."""
    with ExitStack() as made:

        def make(options: str) -> str:
            server_url = request.getfixturevalue("oldest_server_url" if "icu" in options else "server_url")
            name = f"rayces_test_{uuid.uuid4().hex[:12]}"
            on_server(server_url, f'CREATE DATABASE "{name}" TEMPLATE template0 {options}')
            made.callback(on_server, server_url, f'DROP DATABASE "{name}" WITH (FORCE)')
            return str(make_dsn(server_url, dbname=name))

        yield make

"""Databases of the specification's Rails application, with the old application's own login."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from contextlib import ExitStack, closing
from dataclasses import dataclass
from typing import Any

import psycopg2
import pytest
from psycopg2.extensions import make_dsn, parse_dsn

from rayces_core.migrating.adopting.choosing import adoption_of
from rayces_core.migrating.adopting.rails import RailsAdoption
from tests.conftest import cloned, on_server
from tests.migrating.adopting.conftest import ROLES

from .database import CHOICES, ROWS, SCHEMA


@dataclass
class Rails:
    """A Rails application's database: `url` is a superuser's, `owner_url` the login's that owns the tables."""

    url: str
    owner: str
    owner_url: str
    connect: Callable[[str], Any]
    connection: Any

    def sql(self, statement: str, *values: object) -> list[tuple[Any, ...]]:
        cursor = self.connection.cursor()
        cursor.execute(statement, values or None)
        return cursor.fetchall() if cursor.description else []

    def one(self, statement: str, *values: object) -> Any:
        ((value,),) = self.sql(statement, *values)
        return value

    def adoption(self, **options: Any) -> RailsAdoption:
        facts = {"choices": CHOICES, "retry_seconds": 20.0} | options
        made = adoption_of(facts.pop("url", self.url), **facts)
        assert isinstance(made, RailsAdoption)
        return made

    def open_kinds(self, **choices: str) -> dict[tuple[str, str], int]:
        """What stands in the way of an adoption with these choices: (kind, table) → how many rows."""
        found = self.adoption(choices={"roles": "rails"} | choices).report().open
        return {(each.kind, each.what.split()[1]): each.count for each in found}


def make_rails(url: str, owner: str, connect: Callable[[str], Any], script: str) -> Rails:
    connection = connect(url)
    cursor = connection.cursor()
    cursor.execute(ROLES.format(owner=owner, database=parse_dsn(url)["dbname"]))
    cursor.execute(f"SET ROLE {owner}; {script} RESET ROLE")
    return Rails(url, owner, make_dsn(url, user=owner, password="x"), connect, connection)


@pytest.fixture(scope="session")
def rails_template(server_url: str, old_owner: str) -> Iterator[Callable[..., str]]:
    """Make a database of that owner by a script, let it be prepared, and give the name of the template that it is."""
    with ExitStack() as made:

        def prepare(script: str, prepare_it: Callable[[Rails], object] = lambda _: None) -> str:
            url = made.enter_context(cloned(server_url, "template0"))
            with ExitStack() as opened:

                def connect(to: str) -> Any:
                    connection = opened.enter_context(closing(psycopg2.connect(to)))
                    connection.autocommit = True
                    return connection

                prepare_it(make_rails(url, old_owner, connect, script))
            return str(parse_dsn(url)["dbname"])

        yield prepare


@pytest.fixture
def copy_of_rails(server_url: str, old_owner: str, connect: Any) -> Iterator[Callable[[str], Rails]]:
    """A database of the test's own, copied from a template."""
    with ExitStack() as copies:

        def copy(template: str) -> Rails:
            url = copies.enter_context(cloned(server_url, template))
            on_server(url, f'ALTER DATABASE "{parse_dsn(url)["dbname"]}" OWNER TO {old_owner}')
            return Rails(url, old_owner, make_dsn(url, user=old_owner, password="x"), connect, connect(url))

        yield copy


@pytest.fixture(scope="session")
def full_template(rails_template: Callable[..., str]) -> str:
    """The specification's database with some thousand rows in three organizations."""
    return rails_template(SCHEMA + ROWS)


@pytest.fixture
def rails(full_template: str, copy_of_rails: Callable[[str], Rails]) -> Rails:
    """The specification's database with some thousand rows in three organizations."""
    return copy_of_rails(full_template)


@pytest.fixture(scope="session")
def adopted_template(rails_template: Callable[..., str]) -> str:
    """The same, adopted by the login that owns the tables."""
    return rails_template(SCHEMA + ROWS, lambda rails: rails.adoption(url=rails.owner_url).run())


@pytest.fixture
def adopted(adopted_template: str, copy_of_rails: Callable[[str], Rails]) -> Rails:
    """The same, adopted."""
    return copy_of_rails(adopted_template)


@pytest.fixture(scope="session")
def small_template(rails_template: Callable[..., str]) -> str:
    """Two organizations with a handful of rows each."""
    from .dirt import FEW

    return rails_template(SCHEMA + FEW)


@pytest.fixture
def small(small_template: str, copy_of_rails: Callable[[str], Rails]) -> Rails:
    """Two organizations with a handful of rows each."""
    return copy_of_rails(small_template)


@pytest.fixture(scope="session")
def small_adopted_template(rails_template: Callable[..., str]) -> str:
    """The same, adopted by the login that owns the tables."""
    from .dirt import FEW

    return rails_template(SCHEMA + FEW, lambda rails: rails.adoption(url=rails.owner_url).run())


@pytest.fixture
def small_adopted(small_adopted_template: str, copy_of_rails: Callable[[str], Rails]) -> Rails:
    """Two organizations with a handful of rows each, adopted."""
    return copy_of_rails(small_adopted_template)


class Stopped(Exception):
    """An adoption is stopped here."""


def begin(rails: Rails) -> None:
    """Begin an adoption, and stop before its one transaction: this library's tables are there, empty."""

    def stop(_: object) -> None:
        raise Stopped

    adoption = rails.adoption(url=rails.owner_url, choices={"roles": "rails"})
    adoption._exchange = stop  # type: ignore[method-assign,assignment]
    with pytest.raises(Stopped):
        adoption.run()


@pytest.fixture(scope="session")
def begun_template(rails_template: Callable[..., str]) -> str:
    """Two organizations with a handful of rows each, whose adoption goes on with the exchange of the tables."""
    from .dirt import FEW

    return rails_template(SCHEMA + FEW, begin)


@pytest.fixture
def begun(begun_template: str, copy_of_rails: Callable[[str], Rails]) -> Rails:
    """Two organizations with a handful of rows each, whose adoption goes on with the exchange of the tables."""
    return copy_of_rails(begun_template)

"""The whole suite in a laboratory: what it takes for a migrated database is a distributed one, on every node.

`tests/__init__.py` installs it where RAYCES_TEST_CITUS_URL is set, so in the processes that tests start as well. A
Database whose URL names such a database has Citus' engine then, and its tenants' work logs in as the application's
role; its `url` stays the superuser's, as tests look at the database by it.
"""

import os
import uuid
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import replace
from functools import wraps
from typing import Any

from psycopg2.extensions import make_dsn, parse_dsn

from rayces_core.citus import distribute
from rayces_core.database.database import Database
from rayces_core.database.options import CITUS, Options
from rayces_core.migrating.runner import Runner
from tests.citus.lab import drop_database, made_database, run

LABORATORY = os.environ.get("RAYCES_TEST_CITUS_URL", "")
# What a database of every node is called; others are the coordinator's own, as PostgreSQL has them.
DISTRIBUTED = "rayces_citus_"
_LEFT = "SELECT pg_terminate_backend(pid, 5000) FROM pg_stat_activity WHERE datname = '{name}'"


def install() -> None:
    """Have each Database that is made from now on take Citus' engine where its URL names a distributed one."""
    made = Database.__init__

    @wraps(made)
    def on_citus(self: Database[Any], url: str, *, server: Any = None, options: Options | None = None) -> None:
        given = options or Options()
        named = parse_dsn(url)
        if not named.get("dbname", "").startswith(DISTRIBUTED) or given.engine == CITUS:
            made(self, url, server=server, options=given)
            return
        is_superuser = named.get("user") == "postgres"
        login = make_dsn(url, user=given.app_role) if is_superuser else url
        made(self, login, server=server, options=replace(given, engine=CITUS, admin_url=given.admin_url or url))
        if is_superuser:
            self.url = make_dsn(self.url, user="postgres")

    Database.__init__ = on_citus  # type: ignore[method-assign]


def url_of(login: str) -> str:
    """What a Database whose tenants' work has this login was made by: in a laboratory the superuser's URL."""
    is_distributed = parse_dsn(login).get("dbname", "").startswith(DISTRIBUTED)
    return make_dsn(login, user="postgres") if is_distributed else login


@contextmanager
def template(url: str) -> Iterator[str]:
    """Name of a database that is migrated, distributed and empty, on every node; nobody can connect to it."""
    name = f"{DISTRIBUTED}{uuid.uuid4().hex[:12]}"
    own = made_database(url, name)
    try:
        Runner(own, app_role="rayces_app", admin_role="rayces_admin").up()
        distribute(own)
        for node in nodes(url):
            run(node, f'ALTER DATABASE "{name}" ALLOW_CONNECTIONS false')
        yield name
    finally:
        drop_database(url, name)


@contextmanager
def cloned(url: str, template: str) -> Iterator[str]:
    """A copy of the template for the block, on every node; gives its URL."""
    name = f"{DISTRIBUTED}{uuid.uuid4().hex[:12]}"
    try:
        for node in nodes(url):
            run(node, _LEFT.format(name=template))  # Citus' own, besides
            run(node, f'CREATE DATABASE "{name}" TEMPLATE "{template}" STRATEGY FILE_COPY')
        own = make_dsn(url, dbname=name)
        run(own, f'ALTER DATABASE "{name}" SET citus.enable_local_reference_table_foreign_keys TO off')
        yield own
    finally:
        drop_database(url, name)


def take_in(url: str) -> None:
    """Distribute the tables that a test has made beside the library's; on PostgreSQL itself there is nothing to do."""
    if parse_dsn(url)["dbname"].startswith(DISTRIBUTED):
        distribute(url)


def nodes(url: str) -> list[str]:
    """The URL of each node, the coordinator's first."""
    where = run(url, "SELECT nodename, nodeport FROM pg_dist_node ORDER BY groupid")
    return [make_dsn(url, host=host, port=port) for host, port in where]

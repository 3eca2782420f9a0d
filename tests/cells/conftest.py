"""Databases of the run's server as cells."""

import itertools
import json
import shutil
from collections.abc import Callable, Iterator
from contextlib import ExitStack, contextmanager

import pytest
from psycopg2.extensions import parse_dsn

from rayces_core.cells import Cells
from rayces_core.models import TENANT_MODELS, Organization
from tests.factory import rows_of
from tests.tenancy.test_walls import run_bouncer

_numbers = itertools.count(1)


@pytest.fixture(scope="session")
def cells(create_database: Callable[..., str], set_up: dict[str, str]) -> Iterator[Cells]:
    """Cells a and b, which tests share; each has tenants of its own."""
    urls = {name: create_database(cell) for name, cell in set_up.items()}
    with Cells(urls, catalogue="a", trusted_seconds=0) as made:
        yield made


@pytest.fixture(scope="session")
def set_up(create_database: Callable[..., str], template: str) -> dict[str, str]:
    """Names of databases that are cells a and b, which nobody is connected to."""
    urls = {name: create_database(template) for name in "ab"}
    with Cells(urls, catalogue="a", trusted_seconds=0) as made:
        made.migrate()
    return {name: parse_dsn(url)["dbname"] for name, url in urls.items()}


@pytest.fixture(scope="session")
def behind(cells: Cells, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Cells]:
    """The shared cells by the addresses of a PgBouncer each, which pools transactions."""
    program = shutil.which("pgbouncer") or shutil.which("pgbouncer", path="/usr/sbin:/usr/local/sbin")
    if program is None:
        pytest.skip("PgBouncer is not installed here")
    with ExitStack() as stack:
        bouncing = contextmanager(run_bouncer)
        urls = {
            name: stack.enter_context(bouncing(program, database.url, tmp_path_factory.mktemp(f"bouncer-{name}"), 20))
            for name, database in cells.items()
        }
        yield stack.enter_context(Cells(urls, catalogue="a", trusted_seconds=0))


@pytest.fixture
def own_cells(make_database: Callable[..., str], set_up: dict[str, str]) -> Iterator[Cells]:
    """Cells a and b of the test's own."""
    urls = {name: make_database(cell) for name, cell in set_up.items()}
    with Cells(urls, catalogue="a", trusted_seconds=0) as made:
        yield made


@pytest.fixture
def north(cells: Cells) -> Organization:
    """A tenant of the test's own, in cell a."""
    return make_tenant(cells)


def make_tenant(cells: Cells, *, cell: str | None = "a", **columns: object) -> Organization:
    number = next(_numbers)
    return cells.create_organization(f"Centre {number}", subdomain=f"north-{number}", cell=cell, **columns)


def everything() -> dict[str, list[str]]:
    """Every row of the bound tenant; messages that wait by their order alone, as each cell numbers them anew."""
    found = rows_of(*TENANT_MODELS)
    messages = sorted(map(json.loads, found["OutboxMessage"]), key=lambda row: (row["settled_at"] or "", row["id"]))
    found["OutboxMessage"] = [json.dumps({**row, "id": row["settled_at"] and row["id"]}) for row in messages]
    return found


@pytest.fixture
def cells_file(cells: Cells, tmp_path, monkeypatch: pytest.MonkeyPatch) -> str:
    """The file that lists the shared cells, as the command line takes it."""
    path = tmp_path / "cells.toml"
    monkeypatch.setenv("CELL_B", cells["b"].url)
    path.write_text(f'catalogue = "a"\n[cells]\na = "{cells["a"].url}"\nb = "$CELL_B"\n')
    monkeypatch.setenv("RAYCES_CELLS", str(path))
    return str(path)

"""Databases of the run's server as cells."""

import itertools
from collections.abc import Callable, Iterator

import pytest
from psycopg2.extensions import parse_dsn

from rayces_core.cells import Cells
from rayces_core.models import Organization

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


@pytest.fixture
def cells_file(cells: Cells, tmp_path, monkeypatch: pytest.MonkeyPatch) -> str:
    """The file that lists the shared cells, as the command line takes it."""
    monkeypatch.setenv("CELL_B", cells["b"].url)
    path = tmp_path / "cells.toml"
    path.write_text(f'catalogue = "a"\n[cells]\na = "{cells["a"].url}"\nb = "$CELL_B"\n')
    monkeypatch.setenv("RAYCES_CELLS", str(path))
    return str(path)

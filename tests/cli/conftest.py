"""Command lines on no database, an empty one and a migrated one."""

from __future__ import annotations

from collections.abc import Callable

import pytest

from rayces_core.database.database import Database
from tests.cli.process import Terminal


@pytest.fixture(autouse=True)
def bare_environment(monkeypatch: pytest.MonkeyPatch) -> None:
    for name in ("RAYCES_DATABASE_URL", "NO_COLOR", "FORCE_COLOR", "COLUMNS"):
        monkeypatch.delenv(name, raising=False)


@pytest.fixture
def nowhere(capsys: pytest.CaptureFixture[str]) -> Terminal:
    """A command line without a database."""
    return Terminal(capsys)


@pytest.fixture
def empty(capsys: pytest.CaptureFixture[str], make_database: Callable[..., str]) -> Terminal:
    """A command line on an empty database."""
    return Terminal(capsys, make_database())


@pytest.fixture
def migrated(capsys: pytest.CaptureFixture[str], own_db: Database) -> Terminal:
    """A command line on a migrated database."""
    return Terminal(capsys, own_db.url)


@pytest.fixture
def with_host(
    capsys: pytest.CaptureFixture[str],
    own_db: Database,
    server_url: str,
    scratch_is_migrated: None,
) -> Terminal:
    """A command line on a migrated database, for what a host's migrations add to it.

    `migrate check` runs those alone; test_migrate_check.py lets it start a server and run all.
    """
    return Terminal(capsys, own_db.url, server_url)


@pytest.fixture
def bare(capsys: pytest.CaptureFixture[str], bare_db: Database) -> Terminal:
    """A command line on a migrated database without a row, for commands that change neither schema nor grants."""
    return Terminal(capsys, bare_db.url)

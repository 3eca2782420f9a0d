"""A full tenant and its archive, made once: nothing here writes to that tenant again."""

from __future__ import annotations

import zipfile
from collections.abc import Callable
from pathlib import Path

import pytest

from rayces_core import Database, Organization, archive
from tests.exporting.worlds import fill
from tests.factory import make_organization
from tests.migrating.conftest import oldest_server_url  # noqa: F401 - a fixture


@pytest.fixture(scope="session")
def full(db: Database) -> Organization:
    """A tenant with rows in every table; read only."""
    made = make_organization(db, settings={"confirmation_hours": 5}, currency="UYU", time_zone="America/Montevideo")
    with db.tenant(made):
        fill()
    return made


@pytest.fixture(scope="session")
def written(db: Database, full: Organization, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The archive of that tenant."""
    path = tmp_path_factory.mktemp("archive") / "full.zip"
    with db.tenant(full):
        archive.write(path)
    return path


@pytest.fixture
def doctored(written: Path, tmp_path: Path) -> Callable[[Callable[[dict[str, bytes]], object]], Path]:
    """Change the files of a copy of the archive, and give its path."""

    def doctor(change: Callable[[dict[str, bytes]], object]) -> Path:
        with zipfile.ZipFile(written) as source:
            files = {name: source.read(name) for name in source.namelist()}
        change(files)
        path = tmp_path / "doctored.zip"
        with zipfile.ZipFile(path, "w", zipfile.ZIP_DEFLATED) as made:
            for name, content in files.items():
                made.writestr(name, content)
        return path

    return doctor

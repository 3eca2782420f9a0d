"""Folders for embedded servers."""

import os
import shutil
import subprocess
import tempfile
from collections.abc import Iterator
from pathlib import Path

import pytest

from rayces_core.embedded import folder, server
from rayces_core.embedded.server import EmbeddedServer
from tests.embedded.processes import TEMPORARY, binaries_that_copy, processes_of
from tests.patience import wait_until


@pytest.fixture(autouse=True, scope="package")
def temporary_folders(tmp_path_factory: pytest.TempPathFactory) -> Iterator[None]:
    tmp_path_factory.getbasetemp()  # pytest keeps what is in it, so it stays where it is
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(tempfile, "tempdir", TEMPORARY.get("TMPDIR", tempfile.gettempdir()))
        yield


@pytest.fixture(autouse=True, scope="package")
def copied_clusters(temporary_folders: None) -> Iterator[None]:
    """Clusters are copies, unless the account of the server cannot reach what is installed and gets a copy of that."""
    with tempfile.TemporaryDirectory() as probe:
        reachable = os.geteuid() != 0 or folder._can_run(folder.account_of(Path(probe)), folder.find_binaries())
    if not reachable:
        yield
        return
    with binaries_that_copy() as binaries, pytest.MonkeyPatch.context() as patch:
        patch.setattr(server, "find_binaries", lambda: binaries)
        patch.setenv("RAYCES_TEST_BINARIES", str(binaries))
        yield


@pytest.fixture
def installed(monkeypatch: pytest.MonkeyPatch) -> None:
    """What is installed itself is looked for and used."""
    monkeypatch.setattr(server, "find_binaries", folder.find_binaries)


@pytest.fixture
def open_folder() -> Iterator[Path]:
    """A folder that the server's account can reach as well when root runs the tests."""
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        folder.chmod(0o1777)
        yield folder


@pytest.fixture(scope="package")
def filled_folder() -> Iterator[Path]:
    """A stopped data folder; tests use copies of it."""
    with tempfile.TemporaryDirectory() as parent:
        EmbeddedServer(Path(parent, "filled")).stop()
        yield Path(parent, "filled")


@pytest.fixture
def data_folder(filled_folder: Path) -> Iterator[Path]:
    """A data folder of the test's own, whose server is not running."""
    parent = Path(tempfile.mkdtemp())
    subprocess.run(["cp", "-a", filled_folder, parent / "data"], check=True)
    yield parent / "data"
    wait_until(lambda: not processes_of(parent / "data"))
    shutil.rmtree(parent)

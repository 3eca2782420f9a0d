"""Any folder works for any user, or the error says in one sentence why it cannot."""

import os
import shutil
import subprocess
import sys
import tempfile
from collections.abc import Iterator
from pathlib import Path

import peewee
import pytest

from rayces_core import embedded
from rayces_core.embedded.folder import find_binaries
from rayces_core.embedded.server import EmbeddedServer
from rayces_core.errors import ConfigurationError, EmbeddedServerError
from tests.embedded.processes import accounts_of, is_gone, postmaster_of, processes_of, setting
from tests.patience import wait_until
from tests.sizes import exhaustive

IS_ROOT = os.geteuid() == 0
ORDINARY_USER = """
import signal, subprocess, sys
from rayces_core.embedded.server import EmbeddedServer
from rayces_core.embedded.folder import find_binaries
from rayces_core.errors import ConfigurationError

signal.alarm(60)
try:
    with EmbeddedServer(*sys.argv[1:]) as server:
        print(server.path, flush=True)
        subprocess.run([find_binaries() / "psql", "-AtX", server.url, "-c", "select rolname from pg_roles limit 1"])
except ConfigurationError as error:
    print(error)
"""


@pytest.mark.slow
@pytest.mark.parametrize(
    "name",
    ["quo'te\"s$(x)%20 Straße-日本, a", *exhaustive("with a blank", "Straße-日本", "a,comma", "below/missing/folders")],
)
def test_a_folder_may_have_any_name(data_folder: Path, name: str) -> None:
    path = data_folder.parent / name
    path.parent.mkdir(parents=True, exist_ok=True)
    data_folder.rename(path)
    with EmbeddedServer(path) as server:
        assert setting(server, "port") == "5432"
    path.rename(data_folder)


@pytest.mark.slow
def test_a_path_longer_than_the_name_of_a_socket_gets_a_short_folder_for_it_that_goes_with_the_server(
    data_folder: Path,
) -> None:
    path = data_folder.parent / ("long" * 40) / "data"
    path.parent.mkdir()
    data_folder.rename(path)
    with EmbeddedServer(path) as server:
        socket_folder = Path(setting(server, "unix_socket_directories").strip('"'))
        assert socket_folder.stat().st_mode & 0o077 == 0
        assert f"host={socket_folder}" in server.url
    assert not socket_folder.exists()
    assert processes_of(path) == []


@pytest.mark.slow
def test_missing_parent_folders_are_made(open_folder: Path) -> None:
    with EmbeddedServer(open_folder / "missing" / "parents" / "data") as server:
        assert setting(server, "data_checksums") == "on"


@pytest.mark.slow
def test_the_folder_of_a_user_keeps_its_permissions(tmp_path: Path, data_folder: Path) -> None:
    closed = tmp_path / "closed"
    closed.mkdir(mode=0o700)
    subprocess.run(["cp", "-a", data_folder, closed / "data"], check=True)
    with EmbeddedServer(closed / "data") as server:
        assert setting(server, "port") == "5432"
    assert closed.stat().st_mode & 0o777 == 0o700


@pytest.mark.slow
def test_a_data_folder_open_to_others_is_closed(data_folder: Path) -> None:
    data_folder.chmod(0o755)
    with EmbeddedServer(data_folder):
        assert data_folder.stat().st_mode & 0o077 == 0


def test_a_file_is_refused(tmp_path: Path) -> None:
    (tmp_path / "file").touch()
    with pytest.raises(EmbeddedServerError, match="is a file"):
        EmbeddedServer(tmp_path / "file")
    with pytest.raises(EmbeddedServerError, match="Not a directory"):
        EmbeddedServer(tmp_path / "file" / "below")


def test_a_folder_with_other_files_is_refused_and_left_as_it_was(tmp_path: Path) -> None:
    (tmp_path / "letter.txt").touch()
    with pytest.raises(EmbeddedServerError, match="holds other files"):
        EmbeddedServer(tmp_path)
    assert [entry.name for entry in tmp_path.iterdir()] == ["letter.txt"]


def test_data_of_another_major_version_are_refused_and_left_as_they_were(data_folder: Path) -> None:
    (data_folder / "PG_VERSION").write_text("15\n")
    with pytest.raises(EmbeddedServerError, match=r"initialized by PostgreSQL version 15.*not compatible"):
        EmbeddedServer(data_folder)
    assert (data_folder / "PG_VERSION").read_text() == "15\n"
    wait_until(lambda: not processes_of(data_folder))


def test_a_server_that_cannot_start_says_why(data_folder: Path) -> None:
    (data_folder / "postgresql.conf").open("a").write("shared_buffers = much\n")
    with pytest.raises(EmbeddedServerError, match='invalid value for parameter "shared_buffers"'):
        EmbeddedServer(data_folder)


@pytest.mark.parametrize("name", ["two\nlines", "null\0", "loop"])
def test_a_name_that_cannot_be_one_is_refused(tmp_path: Path, name: str) -> None:
    (tmp_path / "loop").symlink_to("loop")
    with pytest.raises(EmbeddedServerError, match=r"line break|null (byte|character)|[Ss]ymlink loop|symbolic links"):
        EmbeddedServer(tmp_path / name)
    assert issubclass(EmbeddedServerError, ConfigurationError)


@pytest.mark.skipif(not IS_ROOT, reason="only root can start a server as another user")
def test_data_that_belong_to_root_are_refused(data_folder: Path) -> None:
    os.chown(data_folder, 0, 0)
    with pytest.raises(EmbeddedServerError, match="chown -R"):
        EmbeddedServer(data_folder)


@pytest.mark.slow
@pytest.mark.skipif(not IS_ROOT, reason="an ordinary user reaches what is installed")
def test_binaries_out_of_reach_of_the_account_are_copied_for_as_long_as_the_server_runs(
    installed: None, tmp_path: Path, data_folder: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    package = find_binaries().parents[1]
    closed = tmp_path / "closed"
    closed.mkdir(mode=0o700)
    for folder in (package, package.with_name(f"{package.name}.libs")):
        if folder.exists():
            subprocess.run(["cp", "-a", folder, closed], check=True)
    monkeypatch.syspath_prepend(str(closed))
    assert find_binaries().is_relative_to(closed)
    with EmbeddedServer(data_folder) as server:
        copied = Path(postmaster_of(server.path).exe())
        assert not copied.is_relative_to(closed)
        assert setting(server, "port") == "5432"
    assert not copied.exists()
    assert closed.stat().st_mode & 0o777 == 0o700


@pytest.fixture(scope="module")
def ordinary_user() -> Iterator["OrdinaryUser"]:
    with tempfile.TemporaryDirectory() as name:
        yield OrdinaryUser(Path(name))


class OrdinaryUser:
    """Runs a script as an ordinary user: `nobody` with readable copies, if root runs the tests."""

    def __init__(self, folder: Path) -> None:
        folder.chmod(0o755)
        self.home = folder / "home"
        self.home.mkdir(mode=0o755)
        self._modules = folder / "modules"
        self._account = {"user": "nobody", "group": "nogroup", "extra_groups": []} if IS_ROOT else {}
        self._copy_modules()
        self._python = self._find_python()
        if IS_ROOT:
            shutil.chown(self.home, "nobody")

    def run(self, *arguments: str | Path, **environment: str) -> list[str]:
        """Open a server with these arguments and this environment alone; return the printed lines."""
        environment = {"PYTHONPATH": str(self._modules), "PATH": "/usr/bin:/bin", **environment}
        command = [self._python, "-c", ORDINARY_USER, *map(str, arguments)]
        done = subprocess.run(command, env=environment, cwd="/", capture_output=True, text=True, **self._account)
        assert done.stderr == ""
        return done.stdout.splitlines()

    def _copy_modules(self) -> None:
        own = self._modules / "rayces_core"
        own.mkdir(parents=True)
        for room in ("embedded", "errors"):
            shutil.copytree(Path(embedded.__file__).parents[1] / room, own / room)
        shutil.copy(peewee.__file__, self._modules)
        package = find_binaries().parents[1]
        for folder in (package, package.with_name(f"{package.name}.libs")):
            if folder.exists():
                shutil.copytree(folder, self._modules / folder.name)

    def _find_python(self) -> str:
        programs = [f"python3{minor}" for minor in ("", ".11", ".12", ".13", ".14")]
        names = [sys.executable, *(shutil.which(program, path="/usr/local/bin:/usr/bin") for program in programs)]
        check = "import sys; sys.exit(sys.version_info < (3, 11))"
        for name in filter(None, names):
            try:
                subprocess.run([name, "-c", check], check=True, cwd="/", env={}, **self._account)
            except (PermissionError, subprocess.CalledProcessError):
                continue
            return name
        pytest.skip("no Python from 3.11 on that an ordinary user may run (this one lies in a closed folder)")


@pytest.mark.slow
def test_an_ordinary_user_without_home_gets_a_temporary_server(ordinary_user: OrdinaryUser) -> None:
    path, role = ordinary_user.run()
    assert role == "postgres"
    assert is_gone(Path(path))


# `make test` keeps the one without a home.
@pytest.mark.exhaustive
def test_a_home_that_cannot_be_written_does_not_matter(ordinary_user: OrdinaryUser, tmp_path: Path) -> None:
    nowhere = {"HOME": "/proc/nowhere", "XDG_RUNTIME_DIR": "/proc/nowhere", "LANG": "xx_XX"}
    path, role = ordinary_user.run(ordinary_user.home / "data", **nowhere)
    assert (path, role) == (str(ordinary_user.home / "data"), "postgres")
    assert processes_of(Path(path)) == []


@pytest.mark.slow
def test_a_folder_an_ordinary_user_may_not_write_is_refused(ordinary_user: OrdinaryUser) -> None:
    sealed = ordinary_user.home.parent / "sealed"
    sealed.mkdir(mode=0o555)
    for path in (sealed, sealed / "data"):
        (message,) = ordinary_user.run(path)
        assert message.startswith(f"{path} cannot hold an embedded PostgreSQL: ")
        assert "Permission denied" in message


# `make test` keeps servers that root starts as another user, and those of an ordinary one.
@pytest.mark.exhaustive
@pytest.mark.skipif(not IS_ROOT, reason="only root can join a server of another user")
def test_root_joins_the_data_of_an_ordinary_user_as_that_user(ordinary_user: OrdinaryUser) -> None:
    path = Path(ordinary_user.run(ordinary_user.home / "joined")[0])
    with EmbeddedServer(path) as server:
        assert accounts_of(path) == {"nobody"}
        assert setting(server, "port") == "5432"
    assert ordinary_user.run(path) == [str(path), "postgres"]

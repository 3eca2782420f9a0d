"""A server is started, adopted and cleared away rightly after every kind of accident."""

import os
import signal
import subprocess
from pathlib import Path

import psutil
import pytest

from rayces_core.embedded.folder import account_of, find_binaries
from rayces_core.embedded.server import EmbeddedServer
from rayces_core.embedded.supervisor import postmaster_lines
from tests.embedded.processes import (
    UserProcess,
    is_gone,
    postmaster_of,
    processes_of,
    setting,
    supervisor_of,
)
from tests.patience import wait_until
from tests.sizes import exhaustive

KEEPS = "query('create table if not exists kept as select 42 as answer'); print('kept', flush=True); input()"
READS = "print(query('select answer from kept'), flush=True); input()"


def as_account_of(path: Path) -> dict[str, object]:
    account = account_of(path)
    return {"user": account.uid, "group": account.gid, "extra_groups": []} if os.geteuid() == 0 else {}


@pytest.mark.slow
def test_a_crashed_server_is_started_again_with_its_data_while_its_first_user_still_lives(data_folder: Path) -> None:
    with UserProcess(KEEPS, data_folder) as first:
        assert (first.path, first.line()) == (data_folder, "kept")
        postmaster_of(data_folder).kill()
        with UserProcess(READS, data_folder) as second:
            assert (second.path, second.line()) == (data_folder, "42")
            first.process.kill()
            first.process.wait()
            assert EmbeddedServer(data_folder).url
        wait_until(lambda: not processes_of(data_folder))


@pytest.mark.slow
def test_a_temporary_folder_is_removed_though_its_server_crashed() -> None:
    with EmbeddedServer() as server:
        postmaster_of(server.path).kill()
        wait_until(lambda: len(processes_of(server.path)) == 1)
    wait_until(lambda: is_gone(server.path))


@pytest.mark.slow
def test_a_server_whose_supervisor_was_killed_is_adopted_and_stopped_by_the_last_user(data_folder: Path) -> None:
    with UserProcess(KEEPS, data_folder) as first:
        assert (first.path, first.line()) == (data_folder, "kept")
        supervisor_of(data_folder).kill()
        first.process.kill()
        postmaster = postmaster_of(data_folder)
    with UserProcess(READS, data_folder) as second:
        assert (second.path, second.line()) == (data_folder, "42")
        assert postmaster_of(data_folder) == postmaster
    wait_until(lambda: not processes_of(data_folder))


@pytest.mark.slow
def test_stopping_a_server_whose_supervisor_was_killed_leaves_nothing() -> None:
    with EmbeddedServer() as server:
        supervisor = supervisor_of(server.path)
        supervisor.kill()
        wait_until(lambda: supervisor not in processes_of(server.path))
    assert is_gone(server.path)


@pytest.mark.slow
def test_a_folder_removed_under_its_server_takes_the_server_with_it(data_folder: Path) -> None:
    with EmbeddedServer(data_folder):
        subprocess.run(["rm", "-r", data_folder], check=True)
        assert processes_of(data_folder) != []
    wait_until(lambda: is_gone(data_folder))


@pytest.mark.slow
def test_a_supervisor_told_to_end_stops_the_server_and_clears_it_away() -> None:
    with UserProcess("input()") as user:
        supervisor_of(user.path).terminate()
        wait_until(lambda: is_gone(user.path))


@pytest.mark.slow
def test_after_everything_was_killed_at_once_the_next_start_works(data_folder: Path) -> None:
    with UserProcess(KEEPS, data_folder) as user:
        assert (user.path, user.line()) == (data_folder, "kept")
        postmaster = postmaster_of(data_folder)
        for process in (supervisor_of(data_folder), postmaster, user.process):
            process.kill()
    assert (data_folder / "postmaster.pid").exists()
    with UserProcess(READS, data_folder) as user:
        assert (user.path, user.line()) == (data_folder, "42")


@pytest.mark.slow
def test_a_stale_pid_file_that_names_a_living_stranger_does_not_matter(data_folder: Path) -> None:
    stranger = subprocess.Popen(["sleep", "60"], **as_account_of(data_folder))
    try:
        pid_file = data_folder / "postmaster.pid"
        pid_file.write_text(f"{stranger.pid}\n{data_folder}\n1700000000\n5432\n.\n\n  1  1\nready   \n")
        os.chown(pid_file, *account_of(data_folder))
        with EmbeddedServer(data_folder) as server:
            assert setting(server, "port") == "5432"
        assert stranger.poll() is None
    finally:
        stranger.kill()
        stranger.wait()


@pytest.mark.slow
@pytest.mark.parametrize("left", ["initialized", *exhaustive("initializing")])
def test_an_interrupted_initialization_is_taken_up_again(data_folder: Path, left: str) -> None:
    half = data_folder / ".rayces" / left
    half.mkdir()
    for name in ("PG_VERSION", "global", "base"):
        (data_folder / name).rename(half / name)
    if left == "initializing":
        for entry in [entry for entry in data_folder.iterdir() if entry.name != ".rayces"]:
            subprocess.run(["rm", "-r", entry], check=True)
    os.chown(half, *account_of(data_folder))
    with EmbeddedServer(data_folder) as server:
        assert setting(server, "port") == "5432"
        assert not half.exists()


def test_a_server_that_somebody_else_started_is_joined_and_left_running(data_folder: Path) -> None:
    data_folder.parent.chmod(0o755)
    command = [find_binaries() / "postgres", "-D", data_folder, "-c", "listen_addresses=", "-k", data_folder]
    other = subprocess.Popen(command, stderr=subprocess.DEVNULL, **as_account_of(data_folder))
    try:
        wait_until(lambda: postmaster_lines(data_folder))  # it is still starting
        with EmbeddedServer(data_folder) as server:
            assert setting(server, "cluster_name") == ""
        assert psutil.Process(other.pid).status() != psutil.STATUS_ZOMBIE
        assert other.poll() is None
    finally:
        other.send_signal(signal.SIGINT)
        other.wait()

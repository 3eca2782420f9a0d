"""The two servers of docs/operations.md, on which its commands are run as they stand: PostgreSQL 15, and the newer one.

A host's name stands for the folder of a server's socket, so every port is the usual one.
"""

from __future__ import annotations

import os
import re
import shlex
import shutil
import subprocess
import sys
from collections.abc import Iterator
from contextlib import contextmanager, redirect_stdout
from io import StringIO
from pathlib import Path
from typing import Any
from urllib.parse import quote

import psycopg2
from psycopg2.extensions import make_dsn, parse_dsn

from rayces_core import Database
from rayces_core.embedded.folder import find_binaries
from rayces_core.migrating import Runner
from tests.patience import wait_until
from tests.servers.binaries import POSTGRESQL_15

PAGE = (Path(__file__).parent.parent / "docs" / "operations.md").read_text("utf-8")
SETTINGS = [
    "fsync=off",
    "synchronous_commit=off",
    "jit=off",
    "listen_addresses=",
    "wal_level=logical",
    "archive_mode=on",
]
# What starts a server or writes its files does it as the server's account; PostgreSQL does not run as root.
AS_SERVER = ("pg_ctl", "pg_basebackup")

Block = tuple[str, str]


def sections() -> dict[str, list[Block]]:
    """Heading → its blocks that are run: their language and their text."""
    parts = re.split(r"^## (.*)\n", PAGE, flags=re.MULTILINE)
    found = {}
    for heading, text in zip(parts[1::2], parts[2::2], strict=True):
        blocks = re.findall(r"```(console|sql|python)\n(.*?)```", text, re.DOTALL)
        if blocks:
            found[heading] = blocks
    return found


class Site:
    """Runs blocks of the page; `folder` is where its commands are run."""

    def __init__(self, folder: Path, new_url: str, programs: Path | None = None) -> None:
        self.folder = folder
        self.new = parse_dsn(new_url)
        self.programs = programs or find_binaries()
        self.hosts = {
            "db.example.org": str(folder / "db"),
            "new.example.org": self.new["host"],
            "then.example.org": str(folder / "then"),
            "replica.example.org": str(folder / "replica"),
        }
        self.started: list[str] = []

    def url(self, host: str, name: str = "clinic", login: str = "postgres") -> str:
        return make_dsn(host=self.hosts[host], dbname=name, user=login)

    def sql(self, host: str, statement: str, name: str = "clinic") -> list[Any]:
        connection = psycopg2.connect(self.url(host, name))
        connection.autocommit = True
        cursor = connection.cursor()
        cursor.execute(statement)
        rows = list(cursor.fetchall()) if cursor.description else []
        connection.close()
        return rows

    def until(self, host: str, question: str, name: str = "clinic") -> None:
        """Wait until a question is answered with true."""
        wait_until(lambda: self.sql(host, question, name) == [(True,)])

    def run(self, block: Block) -> str:
        """Run a block as it stands; gives what it printed."""
        language, text = block
        text = self.here(text)
        if language == "console":
            return self.bash(re.findall(r"^\$ (.*)$", text, re.MULTILINE))
        if language == "sql":
            name, host, _, login = re.match(r"-- on (\w+) at (\S+?)(, as (\w+))?\n", text).groups()  # type: ignore[union-attr]
            return self.psql(text, name, host, login or "postgres")
        printed = StringIO()
        with redirect_stdout(printed):
            exec(compile(text, "operations.md", "exec"), {})
        return printed.getvalue()

    def here(self, text: str) -> str:
        for host, folder in self.hosts.items():
            text = text.replace(f"@{host}/", f"@{quote(folder, safe='')}/").replace(host, folder)
        return text

    def bash(self, lines: list[str]) -> str:
        # What a ! says must fail is not seen by -e.
        lines = [f"if {line[2:]}; then exit 1; fi" if line.startswith("! ") else line for line in lines]
        return self._checked(["bash", "-eo", "pipefail", "-c", "\n".join(lines)])

    def psql(self, text: str, name: str, host: str, login: str) -> str:
        words = ["psql", "-X", "-v", "ON_ERROR_STOP=1", "-h", host, "-U", login, "-d", name, "-f", "-"]
        return self._checked(words, given=text)

    def _checked(self, words: list[str], given: str | None = None) -> str:
        path = os.pathsep.join([str(self.folder / "bin"), str(self.programs), os.environ["PATH"]])
        clean = {key: value for key, value in os.environ.items() if not key.startswith(("PG", "RAYCES_"))}
        done = subprocess.run(
            words,
            input=given,
            cwd=self.folder,
            env={**clean, "PATH": path},
            capture_output=True,
            text=True,
            timeout=300,
            check=False,
        )
        assert done.returncode == 0, f"{words[-1]}\n{done.stdout}\n{done.stderr}"
        return done.stdout

    @contextmanager
    def same_version(self) -> Iterator[Site]:
        """The same where the new server is an empty one of the first one's version, with that version's programs."""
        socket = self.folder / "spare"
        socket.mkdir()
        socket.chmod(0o777)
        self.bash(
            [
                "initdb -D copy -U postgres -A trust --no-sync -E UTF8 --locale=C.UTF-8 > initdb.txt",
                f'pg_ctl -D copy -w -l copy.log -o "-k {socket} -c fsync=off -c listen_addresses=" start > started.txt',
            ]
        )
        try:
            yield Site(self.folder, make_dsn(host=str(socket), user="postgres"), POSTGRESQL_15)
        finally:
            self.stop("copy")

    def stop(self, data: str) -> None:
        if (self.folder / data / "postmaster.pid").exists():
            self.bash([f"pg_ctl -D {data} -m immediate stop > stopped.txt"])


@contextmanager
def site_in(folder: Path, new_url: str) -> Iterator[Site]:
    """The servers, and on the first one the database `clinic`, migrated, with an organization and a user."""
    site = Site(folder, new_url)
    for name in ("db", "then", "replica", "archive", "bin"):
        (folder / name).mkdir()
    for path in (folder, *folder.iterdir()):
        path.chmod(0o755)
        if os.geteuid() == 0:
            shutil.chown(path, "postgres")
    _write_programs(folder / "bin")
    archive = f"-c archive_command='cp %p {folder}/archive/%f'"
    settings = " ".join(f"-c {each}" for each in SETTINGS)
    site.bash(
        [
            "initdb -D primary -U postgres -A trust --no-sync -E UTF8 --locale=C.UTF-8 > initdb.txt",
            f'pg_ctl -D primary -w -l primary.log -o "-k {folder}/db {settings} {archive}" start > started.txt',
        ]
    )
    try:
        _fill(site)
        yield site
    finally:
        for data in ("then", "standby", "base", "primary"):
            site.stop(data)


def _write_programs(folder: Path) -> None:
    first = ["runuser", "-u", "postgres", "--"] if os.geteuid() == 0 else []
    for name in (*AS_SERVER, "initdb"):
        words = shlex.join([*first, str(POSTGRESQL_15 / name)])
        (folder / name).write_text(f'#!/bin/sh\nexec {words} "$@"\n')
    (folder / "rayces").write_text(f'#!/bin/sh\nexec {shlex.quote(sys.executable)} -m rayces_core "$@"\n')
    for path in folder.iterdir():
        path.chmod(0o755)


def _fill(site: Site) -> None:
    host = "db.example.org"
    for statement in (
        "CREATE ROLE clinic_owner LOGIN CREATEROLE",
        "CREATE DATABASE clinic OWNER clinic_owner TEMPLATE template0",
    ):
        site.sql(host, statement, "postgres")
    Runner(site.url(host, login="clinic_owner")).up()
    for login, role in (("clinic_web", "rayces_app"), ("clinic_admin", "rayces_admin")):
        site.sql(host, f"CREATE ROLE {login} LOGIN NOINHERIT; GRANT {role} TO {login}", "postgres")
    with Database.connect(site.url(host, login="clinic_owner")) as database:
        from rayces_core import User

        with database.tenant(database.create_organization("North", subdomain="north")):
            User.create(email="ana@example.org")
    parameters = {**site.new, "dbname": "postgres"}
    connection = psycopg2.connect(make_dsn(**parameters))
    connection.autocommit = True
    if parameters["user"] != "postgres":
        connection.cursor().execute("CREATE ROLE postgres LOGIN SUPERUSER")
    connection.close()
    dumped = "pg_dumpall -h db.example.org -U postgres --roles-only"
    taken = "psql -q -h new.example.org -U postgres -d postgres -o roles.txt 2>&1"
    site.bash([site.here(f"{dumped} | {taken}")])

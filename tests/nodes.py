"""What tests ask of a server behind the library's back; in a laboratory of Citus, of each of its nodes."""

from collections.abc import Iterator
from contextlib import closing, contextmanager
from typing import Any

import pglast
import psycopg2
from psycopg2.extensions import cursor as PlainCursor

from tests.citus.suite import LABORATORY

# How many sessions of the database wait for a lock.
WAITING = """
SELECT count(*) FROM pg_locks JOIN pg_stat_activity USING (pid) WHERE datname = current_database() AND NOT granted"""
if LABORATORY:
    WAITING = f"SELECT sum(result::bigint)::bigint FROM run_command_on_all_nodes('{WAITING}')"


class OneByOne(PlainCursor):
    """Sends each statement of a text by itself: Citus refuses several that change tables in a message."""

    def execute(self, query: Any, vars: Any = None) -> None:  # noqa: A002 - psycopg2 calls it so
        for statement in pglast.split(self.mogrify(query, vars).decode()):
            super().execute(statement)


@contextmanager
def past_rules(url: str) -> Iterator[Any]:
    """A superuser's cursor past grants, policies and foreign keys; what it did is kept at the end of the block."""
    with closing(psycopg2.connect(url)) as connection, connection:
        cursor = connection.cursor(cursor_factory=OneByOne)
        for setting in ("propagate_set_commands TO 'local'", "multi_shard_modify_mode TO 'sequential'"):
            cursor.execute(f"SET LOCAL citus.{setting}")  # PostgreSQL itself takes any such name
        cursor.execute("SET LOCAL session_replication_role TO replica")
        yield cursor

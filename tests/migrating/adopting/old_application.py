"""Statements that Rails applications send, over sessions that know nothing of an adoption: before it, meanwhile, after.

One session asks plainly, one within transactions, one by statements that the server has prepared.
"""

from __future__ import annotations

import random
import threading
import time
import uuid
from collections import Counter, defaultdict
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from typing import Any

import psycopg2
from psycopg2.extensions import parse_dsn

USERS, POSTS = 20, 30
NOW = "2026-11-27 12:00:00.123456"
# PostgreSQL refuses a prepared SELECT * once its columns have changed, as the documents say; Rails prepares it again.
CACHED_PLAN = "0A000"

Values = Callable[[int], tuple[object, ...]]
# Name, SQL with $n, its values for a turn, and how many rows it gives (None: any number).
Statement = tuple[str, str, Values, int | None]


def _user(turn: int) -> int:
    return 1 + turn % USERS


def _post(turn: int) -> int:
    return 1 + turn * 37 % POSTS


def _new_address(turn: int) -> str:
    return f"New{turn}.{uuid.uuid4().hex[:6]}@Example.com"


COMMON: tuple[Statement, ...] = (
    ("find", 'SELECT "users".* FROM "users" WHERE "users"."id" = $1 LIMIT $2', lambda i: (_user(i), 1), 1),
    ("like", ('INSERT INTO "likes" ("user_id","post_id","created_at","updated_at") VALUES ($1,$2,$3,$4) '
     'ON CONFLICT ("user_id","post_id") DO NOTHING RETURNING "id"'), lambda i: (_user(i), _post(i), NOW, NOW), None),
    ("unlike", 'DELETE FROM "likes" WHERE "likes"."id" = $1 RETURNING "id"', lambda i: (1 + i % 50,), None),
    ("exists", 'SELECT 1 AS one FROM "likes" WHERE "likes"."user_id" = $1 AND "likes"."post_id" = $2 LIMIT $3',
     lambda i: (_user(i), _post(i), 1), None),
    ("recent", ('SELECT "posts".* FROM "posts" WHERE "posts"."created_at" > $1 ORDER BY "posts"."created_at" DESC '
     "LIMIT $2"), lambda _: ("2020-01-01 00:00:00", 10), 10),
    ("who likes", ('SELECT "users".* FROM "users" INNER JOIN "likes" ON "users"."id" = "likes"."user_id" '
     'WHERE "likes"."post_id" = $1'), lambda i: (_post(i),), None),
)  # fmt: skip
FEED: Statement = (
    "feed",
    ('SELECT posts.*, COUNT(likes.id) AS n FROM "posts" LEFT OUTER JOIN "likes" ON "likes"."post_id" = "posts"."id" '
    'WHERE "posts"."user_id" = $1 GROUP BY "posts"."id" ORDER BY n DESC, "posts"."created_at" DESC LIMIT $2'),
    lambda i: (_user(i), 1), 1,
)  # fmt: skip


def _known(address: str) -> tuple[Statement, ...]:
    """Look-ups by the very text of an address, of which {0} is the number."""
    return (
        ("find by address", ('SELECT "users".* FROM "users" WHERE "users"."email" = $1 ORDER BY "users"."id" ASC LIMIT '
         "$2"), lambda i: (address.format(_user(i)), 1), 1),
        ("is taken", 'SELECT 1 AS one FROM "users" WHERE "users"."email" = $1 LIMIT $2',
         lambda i: (address.format(_user(i)), 1), 1),
    )  # fmt: skip


# Schema → what its application asks.
STATEMENTS: dict[str, tuple[Statement, ...]] = {
    "myhub_real": (
        *COMMON,
        *_known("User{0}@Example.org"),
        ("sign up", ('INSERT INTO "users" ("name","email","image","username","uid","created_at","updated_at") '
         'VALUES ($1,$2,$3,$4,$5,$6,$7) RETURNING "id"'),
         lambda i: ("n", _new_address(i), None, None, uuid.uuid4().hex, NOW, NOW), 1),
        ("publish", ('INSERT INTO "posts" ("post_id","hash_id","source","metadata","filename","created_at",'
         '"updated_at") VALUES ($1,$2,$3,$4,$5,$6,$7) RETURNING "id"'),
         lambda i: (i % 9999, "h", "docusaurus", "{}", "f", NOW, NOW), 1),
    ),
    "sake_logs": (
        *COMMON, FEED,
        *_known("u{0}@example.com"),
        ("sign up", ('INSERT INTO "users" ("email","encrypted_password","reset_password_token","created_at",'
         '"updated_at","name") VALUES ($1,$2,$3,$4,$5,$6) RETURNING "id"'),
         lambda i: (_new_address(i).lower(), "x", None, NOW, NOW, "n"), 1),
        ("publish", ('INSERT INTO "posts" ("user_id","sake_log_id","created_at","updated_at","brand","taste","memo") '
         'VALUES ($1,$2,$3,$4,$5,$6,$7) RETURNING "id"'), lambda i: (_user(i), None, NOW, NOW, "b", "t", "m"), 1),
        ("edit", 'UPDATE "posts" SET "memo" = $1, "updated_at" = $2 WHERE "posts"."id" = $3 RETURNING "id"',
         lambda i: (f"m{i}", NOW, _post(i)), 1),
        ("joined", ('SELECT "sake_logs".* FROM "sake_logs" INNER JOIN "users" ON "users"."id" = "sake_logs"."user_id" '
         'WHERE "users"."id" = $1 LIMIT 1'), lambda i: (_user(i),), 1),
        ("log", ('INSERT INTO "sake_logs" ("name","created_at","updated_at","user_id") VALUES ($1,$2,$3,$4) '
         'RETURNING "id"'), lambda i: ("n", NOW, NOW, _user(i)), 1),
    ),
    "microblog": (
        *COMMON, FEED,
        *_known("U{0}@example.com"),
        ("sign up", ('INSERT INTO "users" ("username","email","password_digest","session_token","title","private",'
         '"created_at","updated_at") VALUES ($1,$2,$3,$4,$5,$6,$7,$8) RETURNING "id"'),
         lambda i: (uuid.uuid4().hex, _new_address(i), "d", uuid.uuid4().hex, None, False, NOW, NOW), 1),
        ("publish", ('INSERT INTO "posts" ("title","body","user_id","post_type","private","created_at","updated_at") '
         'VALUES ($1,$2,$3,$4,$5,$6,$7) RETURNING "id"'), lambda i: ("t", "b", _user(i), "text", False, NOW, NOW), 1),
    ),
}  # fmt: skip


@dataclass
class Visits:
    """What visitors met: phase → what did not go as it has to → how often; and how long the slowest waited."""

    phase: str = "before"
    done: Counter[str] = field(default_factory=Counter)
    failed: dict[str, Counter[str]] = field(default_factory=lambda: defaultdict(Counter))
    slowest: Counter[str] = field(default_factory=Counter)
    is_over: bool = False

    def next(self, phase: str, turns: int = 60) -> None:
        """Go to another phase once so many statements were answered in this one."""
        enough = self.done[self.phase] + turns
        deadline = time.monotonic() + 60
        while self.done[self.phase] < enough and not self.failed[self.phase] and time.monotonic() < deadline:
            time.sleep(0.005)
        self.phase = phase


class Visitor(threading.Thread):
    """One session that asks at random until it is over."""

    def __init__(self, url: str, schema: str, visits: Visits, mode: str) -> None:
        super().__init__(daemon=True)
        self.visits, self.mode, self.statements = visits, mode, STATEMENTS[schema]
        self.connection = psycopg2.connect(url, options="-c timezone=UTC")
        self.connection.autocommit = mode != "transaction"
        self.prepared: dict[str, str] = {}

    def run(self) -> None:
        """Ask until told to end."""
        chance = random.Random(self.mode)
        for turn in iter(lambda: chance.randrange(10**6), None):
            if self.visits.is_over:
                break
            statement = chance.choice(self.statements)
            phase, started = self.visits.phase, time.monotonic()
            fault = self._ask(statement, turn)
            self.visits.slowest[phase] = max(self.visits.slowest[phase], int((time.monotonic() - started) * 1000))
            self.visits.done[phase] += 1
            if fault:
                self.visits.failed[phase][f"{self.mode} {statement[0]}: {fault}"] += 1
            time.sleep(0.002)
        self.connection.close()

    def _ask(self, statement: Statement, turn: int) -> str:
        name, sql, values, expected = statement
        try:
            rows = self._rows(name, sql, values(turn))
        except psycopg2.Error as error:
            if not self.connection.autocommit:
                self.connection.rollback()
            # Rails prepares it again by itself.
            if self.mode == "prepared" and error.pgcode == CACHED_PLAN:
                self.connection.cursor().execute(f"DEALLOCATE {self.prepared.pop(name)}")
                return ""
            return f"{error.pgcode} {str(error).strip()}"
        return "" if expected in (None, len(rows)) else f"{len(rows)} rows"

    def _rows(self, name: str, sql: str, values: tuple[object, ...]) -> list[Any]:
        cursor = self.connection.cursor()
        if self.mode == "prepared":
            if name not in self.prepared:
                self.prepared[name] = f"p_{uuid.uuid4().hex[:8]}"
                cursor.execute(f"PREPARE {self.prepared[name]} AS {sql}")
            cursor.execute(f"EXECUTE {self.prepared[name]} ({', '.join(['%s'] * len(values))})", values)
        else:
            text = sql
            for place in range(len(values), 0, -1):
                text = text.replace(f"${place}", f"%({place})s")
            cursor.execute(text, {str(place): value for place, value in enumerate(values, start=1)})
        rows: list[Any] = cursor.fetchall()
        if not self.connection.autocommit:
            self.connection.commit()
        return rows


@contextmanager
def visited(url: str, schema: str) -> Iterator[Visits]:
    """Let three sessions of the old application go on for the length of the block."""
    assert "dbname" in parse_dsn(url)
    visits = Visits()
    visitors = [Visitor(url, schema, visits, mode) for mode in ("plain", "transaction", "prepared")]
    for visitor in visitors:
        visitor.start()
    try:
        yield visits
    finally:
        visits.is_over = True
        for visitor in visitors:
            visitor.join()

"""Databases of real Rails applications: adopted by choices alone while every write of the library works, and back."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from rayces_core import Database
from rayces_core.cli.migrating.checking import of_models
from rayces_core.doctor import audit
from rayces_core.migrating import Runner
from rayces_core.migrating.catalogue import fingerprint
from rayces_core.migrating.checking import Expected, unlike
from tests.sizes import exhaustive

from .conftest import MyHub, make_bare_myhub
from .test_killed import ATOMIC, Stopping, until_done
from .writes import writes_of_several

SCHEMAS = Path(__file__).parent / "schemas"
HAS_AUTHORS = (
    "SELECT 1 FROM pg_attribute WHERE attrelid = 'posts'::regclass AND attname = 'user_id' AND NOT attisdropped"
)
OPEN = {"foreign-keys": "complete", "unique-indexes": "per-organization", "required-columns": "nullable"}
# Case → schema, and what is chosen.
CASES: dict[str, tuple[str, dict[str, str]]] = {
    "MyHub as it was": ("myhub_real", OPEN | {"missing-author": "archive@myhub.example"}),
    "MyHub without authors": ("myhub_real", OPEN | {"missing-author": "nullable"}),
    "MyHub, a user has the posts": ("myhub_real", OPEN | {"missing-author": "USER7@example.org"}),
    "Devise": (
        "devise",
        OPEN | {"short-columns": "widen", "defaults": "drop", "timestamp-indexes": "rebuild"},
    ),
    "Devise, with logs": ("sake_logs", OPEN | {"defaults": "drop"}),
    "a microblog": ("microblog", OPEN),
    "a microblog, with defaults": ("microblog", OPEN | {"required-columns": "default"}),
    "times with a zone": ("zoned", OPEN | {"rules": "drop", "defaults": "drop"}),
    "grown": (
        "grown",
        OPEN
        | {
            "required-columns": "default",
            "short-columns": "widen",
            "missing-author": "nobody@example.org",
            "nullable-times": "not-null",
            "nullable-references": "not-null",
            "foreign-key-actions": "cascade",
            "timestamp-indexes": "rebuild",
            "names": "rename",
        },
    ),
}


@pytest.fixture
def make_schema(login: Any, make_database: Any, connect: Any) -> Any:
    made = []

    def make(name: str) -> MyHub:
        made.append(make_bare_myhub(make_database(), login(), connect, (SCHEMAS / f"{name}.sql").read_text()))
        return made[-1]

    yield make
    for each in made:
        each.sql(f"REASSIGN OWNED BY {each.owner} TO CURRENT_USER")
        each.sql(f"DROP OWNED BY {each.owner} CASCADE")


def rows(myhub: MyHub) -> dict[str, Any]:
    """Table → ids and whose they are."""
    for table in ("users", "posts", "likes"):
        myhub.sql(f"CREATE TEMPORARY TABLE IF NOT EXISTS kept_{table} AS SELECT id FROM {table}")
    posts = "id, user_id" if myhub.sql(HAS_AUTHORS) else "id"
    return {
        "likes": myhub.sql("SELECT id, user_id, post_id FROM likes ORDER BY id"),
        "posts": myhub.sql(f"SELECT {posts} FROM posts ORDER BY id"),
        "users": myhub.sql("SELECT id, lower(email) FROM users ORDER BY id"),
    }


@pytest.fixture
def drift(expected: Expected) -> Callable[[MyHub], list[str]]:
    """Where one differs from what migrations make, but for what it had before and what goes with `--finish`."""

    def found(myhub: MyHub) -> list[str]:
        runner = Runner(myhub.url)
        both = [*unlike(runner, expected), *of_models(runner)]
        return [f"{each.kind} {each.line}" for each in both if each.is_drift]

    return found


def forget_writes(myhub: MyHub) -> None:
    """Delete what the walk has written, as the way back would ask for."""
    later = "SELECT oid::regclass FROM pg_class WHERE relkind = 'r' AND relrowsecurity"
    tables = [name for (name,) in myhub.sql(later) if name not in ("users", "posts", "likes", "organizations")]
    deletes = "; ".join(f"DELETE FROM {name}" for name in tables)
    myhub.sql(f"SET session_replication_role = replica; {deletes}; RESET ALL")
    myhub.sql("INSERT INTO kept_users SELECT author_id FROM rayces_adoption WHERE author_is_made")
    for table in ("likes", "posts", "users"):
        myhub.sql(f"DELETE FROM {table} WHERE id NOT IN (SELECT id FROM kept_{table})")


def _catalogue(myhub: MyHub) -> list[str]:
    """Without the table that keeps rows that were given a time or an author."""
    return [line for line in fingerprint(myhub.connection) if " rayces_set_aside" not in line]


# MyHub as it was is finished below; the others differ in what test_authors.py and test_stricter.py have.
FIRST = ["grown"]


@pytest.mark.slow
@pytest.mark.parametrize("case", [*FIRST, *exhaustive(*(case for case in CASES if case not in FIRST))])
def test_a_real_schema_is_adopted_by_choices_alone_and_every_write_works(
    make_schema: Any, drift: Any, case: str
) -> None:
    schema, choices = CASES[case]
    myhub = make_schema(schema)
    catalogue, before = fingerprint(myhub.connection), rows(myhub)
    adoption = myhub.adoption(url=myhub.owner_url, choices=choices)
    assert [str(each) for each in adoption.report().open] == []
    assert fingerprint(myhub.connection) == catalogue
    adoption.run()
    assert drift(myhub) == []
    with Database.connect(myhub.owner_url) as database:
        assert writes_of_several(database, "north") == {}
    forget_writes(myhub)
    assert myhub.again(url=myhub.owner_url).undo(yes=True).differences == ()
    assert _catalogue(myhub) == catalogue
    after = rows(myhub)
    if case == "grown":  # posts that had no author keep the one they were given
        author = after["users"].pop()
        assert author[1] == choices["missing-author"]
        assert {post for post in after["posts"] if post[1] == author[0]} == {(4 * n, author[0]) for n in range(1, 6)}
        before["posts"] = [(post, user or author[0]) for post, user in before["posts"]]
    assert after == before


# Dirty rows of a MyHub are stopped before every step in test_killed.py, these before each ninth.
@pytest.mark.exhaustive
@pytest.mark.parametrize("case", CASES)
def test_a_real_schema_that_is_stopped_again_and_again_ends_as_one_that_was_not(
    make_schema: Any, drift: Any, case: str
) -> None:
    schema, choices = CASES[case]
    myhub = make_schema(schema)
    catalogue, before = fingerprint(myhub.connection), rows(myhub)
    facts: dict[str, Any] = {"url": myhub.owner_url, "choices": choices}
    assert until_done(myhub.adoption(on_step=Stopping(9), **facts).run) > 9
    assert drift(myhub) == []
    assert until_done(myhub.again(url=myhub.owner_url, on_step=Stopping(9)).undo) > 6
    assert _catalogue(myhub) == catalogue
    assert rows(myhub)["likes"] == before["likes"]


@pytest.mark.slow
def test_keys_that_are_no_numbers_are_refused_with_a_way_that_there_is(make_schema: Any) -> None:
    report = make_schema("uuid").adoption(choices=OPEN).report()
    ids = [str(each) for each in report.open if ".id is uuid" in each.what]
    assert len(ids) == 3
    assert all("`rayces import`, the old id as external_id" in each for each in ids)


@pytest.mark.slow
@pytest.mark.parametrize("case", ["MyHub as it was", *exhaustive("Devise", "times with a zone")])
def test_a_real_schema_is_finished_and_every_write_goes_on_working(make_schema: Any, drift: Any, case: str) -> None:
    schema, choices = CASES[case]
    myhub = make_schema(schema)
    myhub.adoption(url=myhub.owner_url, choices=choices).run()
    myhub.again(url=myhub.owner_url).finish()
    assert drift(myhub) == []
    with Database.connect(myhub.owner_url) as database:
        assert writes_of_several(database, "north") == {}
        found = audit(database)
        assert [each for each in found if each.object.startswith("rayces_adoption")] == []
        assert [f"{each.check} {each.object}" for each in found if each.severity == "error"] == []


# What the application of each schema sends, in sessions that were opened before; {n} is a number of each round.
STATEMENTS = {
    "myhub_real": (
        "SELECT * FROM users WHERE uid = 'uid3' LIMIT 1",
        "INSERT INTO users (email, uid, created_at, updated_at) VALUES ('New{n}@Example.com', 'new{n}', now(), now())",
        "INSERT INTO posts (post_id, hash_id, created_at, updated_at) VALUES ({n}, 'h', now(), now()) RETURNING id",
        (
            "INSERT INTO likes (user_id, post_id, created_at, updated_at) VALUES (1, 2, now(), now()) "
            "ON CONFLICT (user_id, post_id) DO NOTHING"
        ),
        "SELECT posts.*, count(likes.id) FROM posts LEFT JOIN likes ON likes.post_id = posts.id GROUP BY posts.id",
        "UPDATE posts SET filename = 'x' WHERE id = 3",
        "DELETE FROM users WHERE uid = 'new{n}'",
        "DELETE FROM posts WHERE post_id = {n} AND hash_id = 'h'",
    ),
    "grown": (
        "SELECT * FROM users WHERE session_token = 's3' LIMIT 1",
        (
            "INSERT INTO users (username, email, password_digest, session_token, settings, private, karma, created_at, "
            "updated_at) VALUES ('new{n}', 'New{n}@Example.com', 'x', 'new{n}', '{{}}', false, 0, now(), now())"
        ),
        "INSERT INTO posts (user_id, title, content, updated_at) VALUES (3, 'new{n}', 'x', now()) RETURNING created_at",
        "INSERT INTO posts (user_id, title, content, updated_at) VALUES (NULL, 'new{n}', 'x', now()) RETURNING id",
        "INSERT INTO likes (user_id, post_id) VALUES (3, 3) ON CONFLICT (user_id, post_id) DO NOTHING",
        "SELECT id FROM posts WHERE created_at > '2019-01-01' ORDER BY created_at DESC LIMIT 5",
        "DELETE FROM posts WHERE title = 'new{n}'",
        "DELETE FROM users WHERE username = 'new{n}'",
    ),
}


class Sending:
    """Sends them before a step at which no lock is held, as the tables' owner."""

    def __init__(self, myhub: MyHub, statements: tuple[str, ...]) -> None:
        self.cursor = myhub.connect(myhub.owner_url).cursor()
        self.statements = statements
        self.rounds = 0

    def __call__(self, name: str, step: int, _steps: int) -> None:
        if step == 1 or name not in ATOMIC:
            self.send()

    def send(self) -> None:
        self.rounds += 1
        for statement in self.statements:
            self.cursor.execute(statement.format(n=1000 + self.rounds))


# `make test` has an application that goes on in test_living.py.
@pytest.mark.exhaustive
@pytest.mark.parametrize("schema", STATEMENTS)
def test_the_application_of_a_real_schema_goes_on_there_and_back(make_schema: Any, schema: str) -> None:
    myhub = make_schema(schema)
    case = "MyHub as it was" if schema == "myhub_real" else schema
    before = rows(myhub)
    sending = Sending(myhub, STATEMENTS[schema])
    sending.send()
    facts = {"url": myhub.owner_url, "on_step": sending}
    myhub.adoption(choices=CASES[case][1], **facts).run()
    sending.send()
    myhub.again(**facts).undo()
    sending.send()
    assert sending.rounds > 100
    assert rows(myhub)["likes"][: len(before["likes"])] == before["likes"]
    assert len(rows(myhub)["posts"]) == len(before["posts"])

"""Rows that would not fit: each kind is found, settled only as chosen, and nothing of it is lost."""

from __future__ import annotations

import re
from typing import Any

import pytest

from rayces_core.errors import MigrationError
from rayces_core.migrating.catalogue import fingerprint

from .conftest import MyHub
from .myhub import DIRT, FIXES, contents

EXPECTED: dict[str, list[tuple[int, tuple[int, ...]]]] = {
    "emails": [(2, (3, 5))],
    "missing-emails": [(2, (4, 6))],
    "orphans": [(1, (2,)), (4, (1,))],
    "repeated-likes": [(3, ())],
}
KEPT = "SELECT table_name, row, reason FROM rayces_set_aside ORDER BY table_name, (row ->> 'id')::bigint"


def kept(myhub: MyHub) -> dict[tuple[str, int], dict[str, Any]]:
    return {(table, row["id"]): row for table, row, _ in myhub.sql(KEPT)}


def see_counted(myhub: MyHub, *kinds: str) -> None:
    """Each kind is counted, and stops an adoption for which nothing was chosen."""
    findings = myhub.adoption().report().open
    for kind in kinds:
        found = [finding for finding in findings if finding.kind == kind]
        for finding, (count, examples) in zip(found, EXPECTED[kind], strict=True):
            assert finding.examples[: len(examples)] == examples
            assert finding.count == count or (kind, count) == ("orphans", 4)
    before, catalogue = contents(myhub.connection), fingerprint(myhub.connection)
    with pytest.raises(MigrationError) as refused:
        myhub.adoption().run()
    for kind in kinds:
        assert re.search(f"{kind}.*--fix {kind}=", str(refused.value))
    assert (contents(myhub.connection), fingerprint(myhub.connection)) == (before, catalogue)


def see_settled(myhub: MyHub, *kinds: str) -> None:
    """Each row is there after the adoption, or set aside."""
    before = {
        (table, row["id"]): row for table in ("users", "posts", "likes")
        for (row,) in myhub.sql(f"SELECT to_jsonb(t) FROM {table} AS t")
    }  # fmt: skip
    choices = {kind: FIXES[kind] for kind in kinds} | ({"foreign-keys": "complete"} if "orphans" in kinds else {})
    outcome = myhub.adoption(choices=choices).run()
    aside = kept(myhub)
    assert sum(outcome.set_aside.values()) == len(aside) > 0
    for key, row in aside.items():
        assert row.items() >= before[key].items() or row == before[key]
    for (table, number), row in before.items():
        if (table, number) not in aside or table == "users":
            ((now,),) = myhub.sql(f"SELECT to_jsonb(t) FROM {table} AS t WHERE id = {number}")
            unlike = {name for name, value in row.items() if now[name] != value}
            assert unlike <= {"email", "created_at", "updated_at"}


@pytest.mark.slow
def test_all_kinds_together_are_counted_and_settled(myhub: MyHub) -> None:
    for statement in DIRT.values():
        myhub.sql(statement)
    see_counted(myhub, "emails", "missing-emails", "orphans")
    see_settled(myhub, *DIRT)
    see_renamed(myhub)


def see_renamed(myhub: MyHub) -> None:
    """The oldest keeps its address, and what others had is set aside."""
    addresses = dict(myhub.sql("SELECT id, email FROM users WHERE id IN (1, 3, 5)"))
    assert addresses == {1: "user1@example.com", 3: "user1+3@example.com", 5: "user1+5@example.com"}
    aside = [row for (table, number), row in kept(myhub).items() if table == "users" and number in addresses]
    assert [(row["id"], row["email"]) for row in aside] == [(3, " USER1@example.com"), (5, " USER1@example.com")]


@pytest.mark.slow
def test_likes_that_are_repeated_are_counted(myhub: MyHub) -> None:
    myhub.sql(DIRT["repeated-likes"])
    see_counted(myhub, "repeated-likes")


@pytest.mark.exhaustive  # one by one what the first test does at once
@pytest.mark.parametrize("kind", DIRT)
def test_each_kind_alone_is_counted_and_settled(myhub: MyHub, kind: str) -> None:
    myhub.sql(DIRT[kind])
    see_counted(myhub, kind)
    see_settled(myhub, kind)
    if kind == "emails":
        see_renamed(myhub)


def test_a_renamed_address_that_is_taken_is_refused_before(myhub: MyHub) -> None:
    myhub.sql(DIRT["emails"])
    myhub.sql("UPDATE users SET email = 'USER1+3@example.com' WHERE id = 7")
    with pytest.raises(MigrationError, match=r"is taken as well \(ids 3\)"):
        myhub.adoption(choices={"emails": "rename"}).run()


@pytest.mark.slow
def test_merged_users_hand_over_what_they_have(myhub: MyHub) -> None:
    myhub.sql(DIRT["emails"])
    myhub.sql("CREATE TABLE comments (id bigserial PRIMARY KEY, user_id bigint REFERENCES users ON DELETE CASCADE)")
    myhub.sql("INSERT INTO comments (user_id) VALUES (3), (2)")
    posts, likes = myhub.sql("SELECT count(*) FROM posts")[0][0], myhub.sql("SELECT count(*) FROM likes")[0][0]
    outcome = myhub.adoption(choices={"emails": "merge"}).run()
    assert myhub.sql("SELECT id FROM users ORDER BY id") == [(1,), (2,), (4,), (6,), (7,), (8,)]
    assert myhub.sql("SELECT user_id FROM comments ORDER BY id") == [(1,), (2,)]
    assert myhub.sql("SELECT count(*) FROM posts") == [(posts,)]
    assert myhub.sql("SELECT count(*) FROM posts WHERE user_id IN (3, 5)") == [(0,)]
    assert myhub.sql("SELECT count(*) FROM likes") == [(likes - outcome.set_aside.get("likes", 0),)]
    assert outcome.set_aside["users"] == 2
    reasons = [reason for table, _, reason in myhub.sql(KEPT) if table == "users"]
    assert all(reason.startswith("merged into user 1; posts ") for reason in reasons)


@pytest.mark.slow
def test_rows_that_other_tables_hang_on_are_not_set_aside(myhub: MyHub) -> None:
    myhub.sql(DIRT["orphans"])
    myhub.sql("CREATE TABLE comments (id bigserial PRIMARY KEY, post_id bigint REFERENCES posts ON DELETE CASCADE)")
    myhub.sql("INSERT INTO comments (post_id) VALUES (2)")
    with pytest.raises(MigrationError, match=r"1 rows of public\.comments refer to rows of posts"):
        myhub.adoption(choices={"orphans": "set-aside", "foreign-keys": "complete"}).run()
    assert myhub.sql("SELECT count(*) FROM posts") == [(16,)]


@pytest.mark.slow
def test_what_the_old_application_writes_meanwhile_is_settled_too(myhub: MyHub) -> None:
    def write(name: str, step: int, _steps: int) -> None:
        if name.startswith("008") and step == 1:
            myhub.sql("INSERT INTO users (email, created_at, updated_at) VALUES (' USER2@example.com', now(), now())")
            myhub.sql(
                "INSERT INTO likes (user_id, post_id, created_at, updated_at) "
                "SELECT user_id, post_id, now(), now() FROM likes WHERE id = 1"
            )
            myhub.sql("INSERT INTO users (created_at, updated_at) VALUES (now(), now())")

    myhub.adoption(choices={"emails": "rename", "repeated-likes": "set-aside"}, on_step=write).run()
    assert myhub.sql("SELECT email FROM users WHERE id > 8 ORDER BY id") == [
        ("user2+9@example.com",),
        ("user-10@myhub.invalid",),
    ]
    assert [key for key in kept(myhub) if key[0] == "likes"]


@pytest.mark.exhaustive  # a moment later than the one before
def test_what_is_written_while_a_unique_index_is_built_is_settled_too(myhub: MyHub) -> None:
    written: set[int] = set()

    def write(name: str, step: int, _steps: int) -> None:
        if name.startswith("008") and step not in written:
            written.add(step)
            if step == 3:
                myhub.sql(
                    "INSERT INTO users (email, created_at, updated_at) VALUES (' USER2@example.com', now(), now())"
                )
            if step == 7:
                myhub.sql(
                    "INSERT INTO likes (user_id, post_id, created_at, updated_at) "
                    "SELECT user_id, post_id, now(), now() FROM likes WHERE id = 1"
                )

    myhub.adoption(choices={"emails": "rename", "repeated-likes": "set-aside"}, on_step=write).run()
    assert {3, 7} <= written
    assert myhub.sql("SELECT email FROM users WHERE id > 8") == [("user2+9@example.com",)]
    assert {table for table, _ in kept(myhub)} == {"users", "likes"}


@pytest.mark.exhaustive  # others are stopped and gone on with in `make test` (test_killed.py)
def test_what_nothing_was_chosen_for_stops_the_run_there_and_a_choice_goes_on(myhub: MyHub) -> None:
    def write(name: str, step: int, _steps: int) -> None:
        if name.startswith("008") and step == 3:
            myhub.sql("INSERT INTO users (email, created_at, updated_at) VALUES (' USER2@example.com', now(), now())")

    with pytest.raises(MigrationError, match="emails=rename"):
        myhub.adoption(on_step=write).run()
    assert myhub.adoption(choices={"emails": "rename"}).run().stage == "adopted"


@pytest.mark.exhaustive  # a grown schema has such rows in `make test` (test_schemas.py)
def test_a_row_without_times_is_given_them_and_kept_as_it_was(myhub: MyHub) -> None:
    myhub.sql("ALTER TABLE posts ALTER created_at DROP NOT NULL, ALTER updated_at DROP NOT NULL")
    myhub.sql("ALTER TABLE likes ALTER updated_at DROP NOT NULL")
    myhub.sql("UPDATE posts SET created_at = NULL, updated_at = CASE id WHEN 1 THEN NULL ELSE updated_at END "
              "WHERE id IN (1, 2); UPDATE likes SET updated_at = NULL WHERE id = 1")  # fmt: skip
    query = "SELECT 'posts', to_jsonb(t) FROM posts t WHERE id IN (1, 2) UNION ALL "
    before = myhub.sql(f"{query} SELECT 'likes', to_jsonb(t) FROM likes t WHERE id = 1")
    outcome = myhub.adoption(choices={"nullable-times": "not-null"}).run()
    assert outcome.set_aside == {"likes": 1, "posts": 2}
    assert kept(myhub) == {(table, row["id"]): row for table, row in before}
    myhub.sql("SET timezone TO 'UTC'")
    other = before[1][1]["updated_at"]
    assert myhub.sql(f"SELECT created_at = '{other}', created_at = updated_at FROM posts WHERE id = 2") == [
        (True, True)
    ]
    assert myhub.sql("SELECT count(*) FROM posts WHERE created_at > now() - interval '1 hour'") == [(1,)]
    assert myhub.again().undo().differences == ()
    assert set(kept(myhub)) == {(table, row["id"]) for table, row in before}

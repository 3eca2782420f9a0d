"""What is a MyHub, what is none, and each shape that stands in the way of an adoption."""

from __future__ import annotations

from typing import Any

import pytest

from rayces_core.errors import MigrationError
from rayces_core.migrating import Runner
from rayces_core.migrating.adopting import Adoption
from rayces_core.migrating.catalogue import fingerprint
from tests.sizes import exhaustive

from .conftest import MyHub
from .myhub import contents

# Statement → kind, severity and a word of the finding.
SHAPES = {
    "integer ids": ("ALTER TABLE likes ALTER id TYPE integer", "integer-keys", "note", "likes.id"),
    "other sequence": ("ALTER SEQUENCE posts_id_seq RENAME TO p_seq", "names", "choice", "p_seq"),
    "role": ("ALTER TABLE users ADD role integer", "taken-columns", "refusal", "column role"),
    "jti": ("ALTER TABLE users ADD jti uuid", "columns", "refusal", "users.jti is uuid"),
    "tenant column": ("ALTER TABLE likes ADD organization_id bigint", "taken-columns", "refusal", "likes"),
    "table": ("CREATE TABLE students (id bigint)", "taken-tables", "refusal", "students"),
    "view": ("CREATE VIEW v AS SELECT created_at FROM posts", "timestamps", "refusal", "view v"),
    "generated": (
        "ALTER TABLE posts ADD day date GENERATED ALWAYS AS (created_at::date) STORED",
        "timestamps",
        "refusal",
        "day",
    ),
    "expression": ("CREATE INDEX by_day ON posts ((created_at::date))", "timestamps", "refusal", "by_day"),
    "check": ("ALTER TABLE posts ADD CHECK (updated_at >= created_at)", "timestamp-indexes", "choice", "posts_check"),
    "unique": ("ALTER TABLE posts ADD UNIQUE (id, created_at)", "timestamps", "refusal", "constraint"),
    "index": ("CREATE INDEX by_time ON posts (user_id, created_at DESC)", "timestamp-indexes", "choice", "by_time"),
    "key missing": (
        "ALTER TABLE posts DROP CONSTRAINT fk_rails_5b5ddfd518",
        "foreign-keys",
        "choice",
        "no foreign key",
    ),
    "key renamed": ("ALTER TABLE likes RENAME CONSTRAINT fk_rails_1e09b5dabf TO fk", "foreign-keys", "choice", "fk of"),
    "nullable": ("ALTER TABLE likes ALTER post_id DROP NOT NULL", "nullable-references", "choice", "likes.post_id"),
    "email": ("ALTER TABLE users ALTER email TYPE varchar(255)", "short-columns", "choice", "varying(255)"),
    "no uid": ("ALTER TABLE users DROP uid", "missing-columns", "note", "no column uid"),
    "null times": ("ALTER TABLE users ALTER created_at DROP NOT NULL", "nullable-times", "choice", "users.created_at"),
    "primary key": ("ALTER TABLE users RENAME CONSTRAINT users_pkey TO pk", "names", "choice", "pk of users"),
    "row security": ("ALTER TABLE users ENABLE ROW LEVEL SECURITY", "tables", "refusal", "row-level security"),
    "child": ("CREATE TABLE old_posts () INHERITS (posts)", "tables", "refusal", "inherited"),
    "other key": (
        "CREATE TABLE comments (id bigserial, user_id bigint REFERENCES users)",
        "other-foreign-keys",
        "note",
        "comments",
    ),
    "unique hash": ("CREATE UNIQUE INDEX by_hash ON posts (hash_id)", "unique-indexes", "note", "by_hash"),
    "required": ("ALTER TABLE likes ADD kind text NOT NULL", "required-columns", "choice", "likes.kind"),
}


NORMAL = "UPDATE users SET email = lower(btrim(email))"


@pytest.mark.slow
def test_a_plain_myhub_has_nothing_in_the_way(myhub: MyHub) -> None:
    catalogue = fingerprint(myhub.connection)
    myhub.sql(NORMAL)
    report = myhub.adoption().report()
    assert (report.stage, report.findings) == (None, ())
    assert fingerprint(myhub.connection) == catalogue


def put(myhub: MyHub, *shapes: str) -> None:
    for shape in shapes:
        statement = SHAPES[shape][0]
        if "NOT NULL" in statement:
            myhub.sql("DELETE FROM likes")
        myhub.sql(statement)


def see_found(myhub: MyHub, *shapes: str) -> None:
    """Each shape is a finding; where one has to be answered, nothing is changed before it is."""
    findings = myhub.adoption().report().findings
    for _, kind, severity, word in (SHAPES[shape] for shape in shapes):
        found = [finding for finding in findings if finding.kind == kind]
        assert [finding.severity for finding in found] == [severity] * len(found)
        assert any(word in str(finding) for finding in found), (word, found)
    kinds = {SHAPES[shape][1] for shape in shapes if SHAPES[shape][2] != "note"}
    if kinds:
        catalogue = fingerprint(myhub.connection)
        with pytest.raises(MigrationError) as refused:
            myhub.adoption().run()
        assert [kind for kind in kinds if kind not in str(refused.value)] == []
        assert fingerprint(myhub.connection) == catalogue


# One of these would hide another's; `make test-all` has each of the rest alone as well.
ALONE = ["key missing", "view"]
TOGETHER = [shape for shape in SHAPES if shape not in ALONE]


@pytest.mark.slow
def test_all_unusual_shapes_are_found_at_once(myhub: MyHub) -> None:
    put(myhub, *TOGETHER)
    see_found(myhub, *TOGETHER)


@pytest.mark.slow
@pytest.mark.parametrize("shape", [*ALONE, *exhaustive(*TOGETHER)])
def test_each_unusual_shape_is_a_finding_and_nothing_is_changed_before_it_is_answered(myhub: MyHub, shape: str) -> None:
    put(myhub, shape)
    see_found(myhub, shape)


ANSWERED = {
    "key missing": {"foreign-keys": "complete"},
    "key renamed": {"foreign-keys": "complete"},
    "nullable": {"nullable-references": "not-null"},
    "index": {"timestamp-indexes": "rebuild"},
    "required": {"required-columns": "nullable"},
    "email": {"short-columns": "widen"},
    "integer ids": {},
    "other sequence": {"names": "rename"},
    "primary key": {"names": "rename"},
    "null times": {"nullable-times": "not-null"},
    "check": {"timestamp-indexes": "rebuild"},
    "other key": {},
}


INDEXES = "SELECT pg_get_indexdef(indexrelid), indisvalid FROM pg_index WHERE indexrelid = to_regclass('by_time')"


def see_there_and_back(myhub: MyHub, choices: dict[str, str]) -> None:
    """Rows stay as they are, an index over times is there after the adoption, and everything after the way back."""
    catalogue, rows, index = fingerprint(myhub.connection), contents(myhub.connection), myhub.sql(INDEXES)
    assert myhub.adoption(choices=choices).run().stage == "adopted"
    assert contents(myhub.connection) == rows
    assert myhub.sql(INDEXES) == index
    assert myhub.again().undo().differences == ()
    assert fingerprint(myhub.connection) == catalogue


PRECISIONS = {"posts": "timestamp", "likes": "timestamp(6)", "users": "timestamp(3)"}


@pytest.mark.slow
def test_all_answered_shapes_are_adopted_together_and_come_back(myhub: MyHub) -> None:
    put(myhub, *ANSWERED)
    for table, kind in PRECISIONS.items():
        myhub.sql(f"ALTER TABLE {table} ALTER created_at TYPE {kind}, ALTER updated_at TYPE {kind}")
        myhub.sql(f"ALTER TABLE {table} ALTER created_at SET DEFAULT CURRENT_TIMESTAMP")
    see_there_and_back(myhub, {kind: answer for each in ANSWERED.values() for kind, answer in each.items()})


@pytest.mark.exhaustive  # one by one what the test before does at once
@pytest.mark.parametrize("shape", ANSWERED)
def test_an_answered_shape_is_adopted_and_comes_back(myhub: MyHub, shape: str) -> None:
    put(myhub, shape)
    see_there_and_back(myhub, ANSWERED[shape])


@pytest.mark.slow
def test_what_is_no_myhub_is_refused(make_database: Any, connect: Any, myhub: MyHub) -> None:
    with pytest.raises(MigrationError, match="no table users, posts, likes"):
        Adoption(make_database(), name="N", subdomain="n").run()
    ours = make_database()
    Runner(ours).up(2)
    with pytest.raises(MigrationError, match="migrated by rayces already"):
        Adoption(ours, name="N", subdomain="n").report()
    myhub.sql("ALTER TABLE likes DROP post_id")
    with pytest.raises(MigrationError, match=r"no column likes\.post_id"):
        myhub.adoption().run()


@pytest.mark.slow
def test_a_login_that_does_not_own_the_tables_is_refused(myhub: MyHub, login: Any) -> None:
    other = login()
    with pytest.raises(MigrationError, match="belongs to"):
        myhub.adoption(url=myhub.owner_url.replace(myhub.owner, other)).run()


@pytest.mark.slow
def test_an_old_role_that_nothing_holds_is_noted_and_one_that_is_missing_refused(myhub: MyHub, login: Any) -> None:
    above = login("BYPASSRLS")
    myhub.sql(NORMAL)
    (note,) = myhub.adoption(old_roles=[above]).report().findings
    assert (note.kind, note.severity) == ("old-roles", "note")
    with pytest.raises(MigrationError, match="there is no role 'nobody'"):
        myhub.adoption(old_roles=["nobody"]).report()


@pytest.mark.slow
def test_sessions_in_another_time_zone_are_noted(myhub: MyHub) -> None:
    myhub.sql(NORMAL)
    report = myhub.adoption(url=f"{myhub.url} options='-c timezone=America/Lima'").report()
    assert [finding.kind for finding in report.findings] == ["time-zone"]

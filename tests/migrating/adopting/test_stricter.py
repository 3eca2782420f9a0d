"""Each way in which a MyHub may be stricter than the library: a finding with a choice, and what the choice does."""

from __future__ import annotations

from typing import Any

import pytest

from rayces_core import Database, DuplicateError, Post, RaycesError, User
from rayces_core.doctor import audit
from rayces_core.errors import MigrationError
from rayces_core.migrating.catalogue import fingerprint

from .conftest import MyHub
from .writes import LONG

# What has to be chosen → statements, each with a word of the finding.
STRICTER = {
    "required-columns": {
        "ALTER TABLE users ALTER uid SET NOT NULL": "users.uid",
        "ALTER TABLE users ADD nick text; UPDATE users SET nick = id; ALTER TABLE users ALTER nick SET NOT NULL": (
            "users.nick"
        ),
        "UPDATE posts SET content = 'x'; ALTER TABLE posts ALTER content SET DEFAULT '', ALTER content SET NOT NULL": (
            "posts.content"
        ),
    },
    "short-columns": {
        "ALTER TABLE users ALTER provider TYPE varchar(30)": "users.provider (character varying(30))",
        "CREATE DOMAIN word AS text CHECK (VALUE <> 'no'); ALTER TABLE users ALTER uid TYPE word": "users.uid (word)",
    },
    "rules": {
        "ALTER TABLE posts ADD CONSTRAINT short CHECK (length(content) < 200)": "short of posts",
        "ALTER TABLE users ADD CONSTRAINT digits CHECK (uid ~ '^g[0-9]+$')": "digits of users",
        "CREATE TABLE accounts (uid varchar PRIMARY KEY); INSERT INTO accounts SELECT uid FROM users; "
        "ALTER TABLE users ADD CONSTRAINT account FOREIGN KEY (uid) REFERENCES accounts": "account of users",
        "ALTER TABLE users ADD CONSTRAINT one EXCLUDE USING btree (uid WITH =)": "one of users",
    },
    "unique-indexes": {
        "CREATE UNIQUE INDEX by_email ON users (lower(email))": "by_email of users",
        "ALTER TABLE users ADD CONSTRAINT by_uid UNIQUE (uid, provider)": "by_uid of users",
    },
    "defaults": {
        "ALTER TABLE users ADD handle text; UPDATE users SET handle = id; "
        "CREATE UNIQUE INDEX by_handle ON users (handle); "
        "ALTER TABLE users ALTER handle SET DEFAULT '', ALTER handle SET NOT NULL": "users.handle (by_handle)",
    },
}
# None of these can refuse a row of the library's, or the library can live with it.
HARMLESS = """
ALTER TABLE users ADD plan text DEFAULT 'free' NOT NULL CHECK (plan IN ('free', 'paid'));
ALTER TABLE users ADD age integer CHECK (age > 5);
ALTER TABLE users ADD CONSTRAINT has_at CHECK (email LIKE '%@%'), ALTER email SET DEFAULT '', ADD UNIQUE (username);
ALTER TABLE users ADD number bigserial UNIQUE, ADD token uuid DEFAULT gen_random_uuid() NOT NULL UNIQUE;
ALTER TABLE users ALTER provider TYPE text, ADD first_name text, ADD sign_in_count integer DEFAULT 0 NOT NULL;
ALTER TABLE posts ALTER content TYPE varchar, ADD UNIQUE (hash_id), ADD CHECK (content IS NULL OR user_id > 0);
CREATE UNIQUE INDEX once ON likes (user_id, post_id); ALTER TABLE users ADD CHECK (created_at <= updated_at + '1 day');
"""
ANSWERS = {
    "required-columns": "nullable",
    "short-columns": "widen",
    "rules": "drop",
    "unique-indexes": "per-organization",
    "defaults": "drop",
}


@pytest.mark.slow
def test_each_stricter_rule_is_found_by_name_and_nothing_else_is(myhub: MyHub) -> None:
    found = {statement: word for cases in STRICTER.values() for statement, word in cases.items()}
    myhub.sql("; ".join(found))
    findings = myhub.adoption().report().findings
    for kind, cases in STRICTER.items():
        (finding,) = (each for each in findings if each.kind == kind)
        assert finding.severity == "choice"
        assert [word for word in cases.values() if word not in finding.what] == []
        assert finding.count == len(cases)
    with pytest.raises(MigrationError) as refused:
        myhub.adoption().run()
    assert [kind for kind in STRICTER if f"--fix {kind}=" not in str(refused.value)] == []


@pytest.mark.slow
def test_a_rule_that_cannot_refuse_a_row_of_the_library_is_no_finding(myhub: MyHub) -> None:
    myhub.sql(f"UPDATE users SET email = lower(btrim(email)); {HARMLESS}")
    findings = myhub.adoption(choices={"timestamp-indexes": "rebuild"}).report().findings
    assert {finding.kind for finding in findings if finding.severity != "note"} == {"timestamp-indexes"}
    assert [finding for finding in findings if finding.is_open] == []


@pytest.mark.slow
def test_what_was_kept_refuses_with_an_error_of_the_library(myhub: MyHub) -> None:
    myhub.sql("ALTER TABLE users ALTER provider TYPE varchar(30); ALTER TABLE posts ADD CHECK (length(content) < 200)")
    myhub.adoption(choices={"short-columns": "keep", "rules": "keep"}).run()
    with Database.connect(myhub.url) as database, database.tenant("north"):
        user = User.create(email="eva@example.org", provider="google")
        with pytest.raises(RaycesError), database.atomic():
            User.create(email="ida@example.org", provider=LONG)
        with pytest.raises(RaycesError), database.atomic():
            Post.create(user=user, content=LONG)
    myhub.sql("DELETE FROM users WHERE email = 'eva@example.org'")
    assert myhub.again().undo().differences == ()


@pytest.mark.slow
def test_going_back_refuses_rows_that_the_old_rules_refuse_and_says_which(myhub: MyHub) -> None:
    myhub.sql("ALTER TABLE users ALTER uid SET NOT NULL, ALTER provider TYPE varchar(30)")
    myhub.sql("ALTER TABLE posts ADD CONSTRAINT short CHECK (length(content) < 200)")
    catalogue = fingerprint(myhub.connection)
    myhub.adoption(url=myhub.owner_url, choices=ANSWERS).run()
    with Database.connect(myhub.owner_url) as database, database.tenant("north"):
        user = User.create(email="eva@example.org", provider=LONG)
        Post.create(user=user, content=LONG)
    with pytest.raises(MigrationError) as refused:
        myhub.again(url=myhub.owner_url).undo(yes=True)
    for line in (
        f"users.uid must not be empty: 1 rows of users, the first with id {user.id}",
        "users.provider holds 30 characters: 1 rows of users",
        "short is CHECK ((length(content) < 200)): 1 rows of posts",
    ):
        assert line in str(refused.value)
    assert myhub.sql("SELECT stage FROM rayces_adoption") == [("adopted",)]
    myhub.sql(
        f"DELETE FROM posts WHERE user_id = {user.id}; UPDATE users SET uid = 'x', provider = 'y' WHERE uid IS NULL"
    )
    assert myhub.again(url=myhub.owner_url).undo().differences == ()
    assert fingerprint(myhub.connection) == catalogue


@pytest.mark.exhaustive  # `make test` goes back with one that was, before this
def test_going_back_takes_old_rows_as_they_are_under_a_rule_that_was_never_validated(myhub: MyHub) -> None:
    myhub.sql("ALTER TABLE posts ADD CONSTRAINT short CHECK (length(content) < 2) NOT VALID")
    myhub.adoption(choices=ANSWERS).run()
    assert myhub.again().undo().differences == ()


KEYS = ("unique-without-tenant", "primary-key-not-tenant-first", "primary-key-missing", "foreign-key-not-composite")
UPSERT = (
    "INSERT INTO users (email, created_at, updated_at) VALUES ('user3@example.com', now(), now()) "
    "ON CONFLICT (email) DO UPDATE SET name = 'again' RETURNING id"
)


def key_remedies(database: Database) -> set[str]:
    """What the doctor advises about keys; it must not take an index that the old application writes by."""
    return {each.remedy for each in audit(database) if each.check in KEYS}


@pytest.mark.slow
def test_a_unique_index_is_the_old_applications_until_the_end_where_that_was_chosen(myhub: MyHub) -> None:
    myhub.sql("UPDATE users SET email = lower(btrim(email)); CREATE UNIQUE INDEX by_email ON users (email)")
    myhub.adoption(choices={"unique-indexes": "at-finish"}).run()
    assert myhub.application().ask(UPSERT) == [(3,)]
    with Database.connect(myhub.url) as database:
        south = database.create_organization("South", subdomain="south")
        with database.tenant(south), pytest.raises(DuplicateError), database.atomic():
            User.create(email="user3@example.com")
        assert key_remedies(database) == {"-- rayces migrate adopt --finish"}
        myhub.again().finish()
        assert key_remedies(database) == set()
        with database.tenant(south):
            assert User.create(email="user3@example.com").id
    assert myhub.sql("SELECT pg_get_indexdef('by_email'::regclass)") == [
        ("CREATE UNIQUE INDEX by_email ON public.users USING btree (organization_id, email)",)
    ]


@pytest.mark.exhaustive  # a grown schema has that choice in `make test` (test_schemas.py)
def test_defaults_that_say_nothing_take_the_place_of_null_where_that_was_chosen(myhub: MyHub) -> None:
    kinds = {"text": "", "integer": 0, "boolean": False, "jsonb": {}, "varchar[]": [], "numeric": 0}
    for number, kind in enumerate(kinds):
        myhub.sql(f"ALTER TABLE posts ADD c{number} {kind}; UPDATE posts SET c{number} = DEFAULT")
    myhub.sql("DELETE FROM likes; DELETE FROM posts")
    for number in range(len(kinds)):
        myhub.sql(f"ALTER TABLE posts ALTER c{number} SET NOT NULL")
    myhub.sql("CREATE TYPE mood AS ENUM ('good', 'bad'); ALTER TABLE posts ADD mood mood NOT NULL")
    catalogue = fingerprint(myhub.connection)
    myhub.adoption(choices={"required-columns": "default"}).run()
    with Database.connect(myhub.url) as database, database.tenant("north"):
        post = Post.create(user=1, content="hello")
    columns = ", ".join(f"c{number}" for number in range(len(kinds)))
    assert myhub.sql(f"SELECT {columns}, mood FROM posts WHERE id = {post.id}") == [(*kinds.values(), None)]
    myhub.sql("DELETE FROM posts")
    assert myhub.again().undo().differences == ()
    assert fingerprint(myhub.connection) == catalogue


NO_WAY = {
    "uuid": ("ALTER TABLE likes DROP CONSTRAINT likes_pkey, DROP id, ADD id uuid DEFAULT gen_random_uuid() PRIMARY KEY",
             "likes.id is uuid", "rayces migrate up"),
    "padded": ("ALTER TABLE users ALTER uid TYPE char(20)", "users.uid is character(20)", "rewrites the table"),
    "document": ("ALTER TABLE posts ALTER content TYPE jsonb USING '{}'", "posts.content is jsonb", "MyHub fails"),
    "day": ("CREATE INDEX by_day ON posts (date(created_at))", "IMMUTABLE", "AT TIME ZONE 'UTC'"),
    "view": ("CREATE VIEW v AS SELECT date_trunc('day', created_at) FROM posts", "view v", "session's time zone"),
    "generated": ("ALTER TABLE posts ADD day date GENERATED ALWAYS AS (created_at::date) STORED", "day", "TIME ZONE"),
    "role": ("ALTER TABLE users ADD role varchar", "column role", "fails between the two"),
    "external id": ("ALTER TABLE users ADD external_id varchar", "column external_id", "fails between the two"),
    "no key": ("ALTER TABLE likes DROP CONSTRAINT likes_pkey", "missing", "USING INDEX likes_ids"),
    "loose sequence": ("ALTER SEQUENCE likes_id_seq OWNED BY NONE", "does not belong", "OWNED BY likes.id"),
    "one sequence": ("ALTER TABLE likes ADD n bigint DEFAULT nextval('likes_id_seq')", "other columns", "nextval"),
    "tokens": ("ALTER TABLE users ADD jti varchar; UPDATE users SET jti = 'x'", "1 tokens", "gen_random_uuid"),
}  # fmt: skip


@pytest.mark.slow
def test_what_the_library_cannot_live_with_is_said_in_a_sentence_that_holds(myhub: MyHub) -> None:
    alone = ("no key", "one sequence", "loose sequence")
    myhub.sql("; ".join(statement for case, (statement, _, _) in NO_WAY.items() if case not in alone))
    found = [str(each) for each in myhub.adoption().report().findings if each.severity == "refusal"]
    for case, (_, what, advice) in NO_WAY.items():
        if case not in alone:
            assert any(what in each and advice in each for each in found), (case, found)


@pytest.mark.exhaustive  # that it is given is seen in the one before
@pytest.mark.parametrize("case", ["no key", "loose sequence", "one sequence"])
def test_the_advice_for_ids_can_be_followed(myhub: MyHub, case: str) -> None:
    statement, what, advice = NO_WAY[case]
    myhub.sql(statement)
    (finding,) = myhub.adoption().report().open
    assert what in str(finding)
    assert advice in str(finding)
    followed = {
        "no key": "CREATE UNIQUE INDEX CONCURRENTLY likes_ids ON likes (id)",
        "loose sequence": "ALTER SEQUENCE likes_id_seq OWNED BY likes.id",
        "one sequence": "CREATE SEQUENCE other; ALTER TABLE likes ALTER COLUMN n SET DEFAULT nextval('other')",
    }
    myhub.sql(followed[case])
    if case == "no key":
        myhub.sql("ALTER TABLE likes ADD CONSTRAINT likes_pkey PRIMARY KEY USING INDEX likes_ids")
    assert myhub.adoption().run().stage == "adopted"


@pytest.mark.exhaustive  # that it is given is seen in test_recognition.py
def test_the_advice_for_an_index_on_the_day_can_be_followed(myhub: MyHub) -> None:
    myhub.sql("CREATE INDEX by_day ON posts ((created_at::date))")
    assert "timestamps" in [each.kind for each in myhub.adoption().report().open]
    myhub.sql("DROP INDEX by_day")
    myhub.adoption().run()
    myhub.sql("CREATE INDEX by_day ON posts (((created_at AT TIME ZONE 'UTC')::date))")


@pytest.mark.slow
def test_a_trigger_that_touches_other_tables_is_noted_and_the_advice_lets_the_library_write(myhub: MyHub) -> None:
    myhub.sql("""UPDATE users SET email = lower(btrim(email)); CREATE TABLE audits (post_id bigint);
        CREATE FUNCTION audit() RETURNS trigger LANGUAGE plpgsql AS $$
        BEGIN INSERT INTO public.audits VALUES (NEW.id); RETURN NEW; END $$;
        CREATE FUNCTION plain() RETURNS trigger LANGUAGE plpgsql AS $$
        BEGIN IF TG_OP = 'UPDATE' THEN NEW.content := 'by select'; END IF; RETURN NEW; END $$;
        CREATE TRIGGER audit AFTER INSERT ON posts FOR EACH ROW EXECUTE FUNCTION audit();
        CREATE TRIGGER plain BEFORE UPDATE ON posts FOR EACH ROW EXECUTE FUNCTION plain()""")
    (note,) = myhub.adoption().report().findings
    assert (note.kind, note.severity) == ("triggers", "note")
    assert "audit of posts runs audit()" in note.what
    myhub.adoption().run()
    with Database.connect(myhub.url) as database, database.tenant("north"):
        with pytest.raises(RaycesError), database.atomic():
            Post.create(user=1, content="x")
        myhub.sql(note.advice.rpartition(": ")[2])
        assert Post.create(user=1, content="x").id


@pytest.mark.exhaustive  # those of ids do so in every test of a way back
def test_a_sequence_of_a_column_of_myhubs_own_serves_the_library_too(myhub: MyHub) -> None:
    myhub.sql("ALTER TABLE posts ADD number bigserial")
    catalogue: Any = fingerprint(myhub.connection)
    myhub.adoption(url=myhub.owner_url).run()
    with Database.connect(myhub.owner_url) as database, database.tenant("north"):
        post = Post.create(user=1, content="numbered")
    assert myhub.sql(f"SELECT number FROM posts WHERE id = {post.id}") == [(17,)]
    assert myhub.again(url=myhub.owner_url).undo().differences == ()
    assert fingerprint(myhub.connection) == catalogue

"""What a real Rails database has beside the three tables survives an adoption and the way back."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import pytest

from rayces_core.errors import MigrationError
from rayces_core.migrating.catalogue import fingerprint
from tests.sizes import exhaustive

from .conftest import MyHub
from .myhub import FIXES

MERGE = FIXES | {"emails": "merge"}
SAME = "UPDATE users SET email = ' USER1@example.com' WHERE id IN (4, 7);"
KEY = "fk_rails_5b5ddfd518"


class Stopped(Exception):
    pass


# Statement, the table that would lose rows.
HANGING = {
    "replies": (
        (
            "ALTER TABLE posts ADD parent_id bigint REFERENCES posts ON DELETE CASCADE; "
            f"ALTER TABLE posts DROP CONSTRAINT {KEY}; UPDATE posts SET user_id = 99 WHERE id = 2; "
            "DELETE FROM likes WHERE post_id IN (5, 6); UPDATE posts SET parent_id = 2 WHERE id IN (5, 6)"
        ),
        "posts",
        r"orphans: 2 rows of \S*posts refer",
    ),
    "notifications": (
        (
            f"{SAME} CREATE TABLE notes (id bigserial, like_id bigint REFERENCES likes ON DELETE CASCADE); "
            "INSERT INTO notes (like_id) SELECT id FROM likes"
        ),
        "notes",
        r"rows of \S*notes refer to rows of likes",
    ),
    "profiles": (
        (
            f"{SAME} CREATE TABLE profiles (id bigserial, user_id bigint UNIQUE REFERENCES users ON DELETE CASCADE); "
            "INSERT INTO profiles (user_id) SELECT id FROM users"
        ),
        "profiles",
        r"emails: 2 rows of \S*profiles cannot go to the older user",
    ),
}


@pytest.mark.slow
@pytest.mark.parametrize("case", HANGING)
def test_rows_that_would_go_with_others_are_a_refusal_before_anything_is_changed(myhub: MyHub, case: str) -> None:
    statement, table, message = HANGING[case]
    myhub.sql(statement)
    was, catalogue = myhub.sql(f"SELECT count(*) FROM {table}"), fingerprint(myhub.connection)
    with pytest.raises(MigrationError, match=message):
        myhub.adoption(choices=MERGE).run()
    assert myhub.sql(f"SELECT count(*) FROM {table}") == was
    assert fingerprint(myhub.connection) == catalogue


@pytest.mark.exhaustive  # in `make test` another table says it of users (test_rows.py)
@pytest.mark.parametrize("action", ["ON DELETE CASCADE", "", "ON DELETE SET NULL"])
def test_a_merge_hands_over_what_users_say_of_users(myhub: MyHub, action: str) -> None:
    myhub.sql(f"ALTER TABLE users ADD invited_by_id bigint REFERENCES users {action}; {SAME}")
    myhub.sql("UPDATE users SET invited_by_id = 4 WHERE id = 8")
    myhub.adoption(choices=MERGE).run()
    assert myhub.sql("SELECT invited_by_id FROM users WHERE id = 8") == [(1,)]


@pytest.mark.slow
def test_triggers_of_myhub_see_no_update_but_of_users_whose_address_changes(myhub: MyHub) -> None:
    myhub.sql("UPDATE users SET email = 'user' || id || '@example.com' WHERE id > 2")
    myhub.sql("""CREATE FUNCTION touch() RETURNS trigger LANGUAGE plpgsql AS $$
        BEGIN NEW.updated_at := now(); RETURN NEW; END $$;
        CREATE TRIGGER touch BEFORE UPDATE ON posts FOR EACH ROW EXECUTE FUNCTION touch()""")
    myhub.sql("""CREATE TABLE written (id bigint, of text);
        CREATE FUNCTION note() RETURNS trigger LANGUAGE plpgsql SECURITY DEFINER AS $$
        BEGIN INSERT INTO public.written VALUES (NEW.id, TG_TABLE_NAME); RETURN NEW; END $$;
        CREATE TRIGGER note BEFORE UPDATE ON users FOR EACH ROW EXECUTE FUNCTION note();
        CREATE TRIGGER note BEFORE UPDATE ON posts FOR EACH ROW EXECUTE FUNCTION note();
        CREATE TRIGGER note BEFORE UPDATE ON likes FOR EACH ROW EXECUTE FUNCTION note()""")
    myhub.adoption().run()
    assert myhub.sql("SELECT DISTINCT updated_at AT TIME ZONE 'UTC' = '2024-02-01 10:00' FROM posts") == [(True,)]
    assert myhub.sql("SELECT of, id FROM written ORDER BY 1, 2") == [("users", 1), ("users", 2)]
    assert myhub.sql("SELECT count(*) FROM users WHERE organization_id = 1") == [(8,)]


@pytest.mark.exhaustive  # the next one leads to the other end
def test_with_another_subdomain_there_is_a_way_back(adopted: MyHub) -> None:
    adopted.sql("UPDATE organizations SET subdomain = 'south'")
    assert adopted.again().undo().differences == ()


@pytest.mark.slow
def test_an_organization_may_get_another_subdomain_and_be_finished(adopted: MyHub) -> None:
    adopted.sql("UPDATE organizations SET subdomain = 'south'")
    assert adopted.again().run().organization_id == 1
    assert adopted.again().finish().stage == "finished"


@pytest.mark.slow
def test_a_table_of_myhub_that_gets_organization_id_is_no_loss_on_the_way_back(beside: MyHub) -> None:
    myhub = beside
    myhub.sql("ALTER TABLE comments ADD organization_id bigint DEFAULT 1, ADD CONSTRAINT both_columns "
              "FOREIGN KEY (organization_id, user_id) REFERENCES users (organization_id, id)")  # fmt: skip
    with pytest.raises(MigrationError, match='DROP CONSTRAINT "both_columns"'):
        myhub.again().undo()
    myhub.sql("ALTER TABLE comments DROP CONSTRAINT both_columns, DROP organization_id")
    assert myhub.again().undo().differences == ()


@pytest.mark.slow
@pytest.mark.parametrize("place", [3, *exhaustive(1, 2, 4, 5, 6, 7)])
def test_stopped_between_two_steps_of_not_null_it_goes_back_whole(myhub: MyHub, place: int) -> None:
    myhub.sql("ALTER TABLE likes ALTER post_id DROP NOT NULL; ALTER TABLE posts ALTER user_id DROP NOT NULL")
    catalogue, steps = fingerprint(myhub.connection), iter(range(1, 1000))

    def stop(*_: Any) -> None:
        if next(steps) == place:
            raise Stopped

    with pytest.raises(Stopped):
        myhub.adoption(choices=FIXES, on_step=stop).run()
    assert myhub.again().undo().differences == ()
    assert fingerprint(myhub.connection) == catalogue


def test_finishing_names_the_views_that_need_the_old_primary_key(adopted: MyHub) -> None:
    adopted.sql("CREATE VIEW v AS SELECT posts.id, content, count(likes.id) FROM posts LEFT JOIN likes "
              "ON post_id = posts.id GROUP BY posts.id")  # fmt: skip
    with pytest.raises(MigrationError, match="view v"):
        adopted.again().finish()


SHAPES = {
    "set null": (
        (
            f"ALTER TABLE posts DROP CONSTRAINT {KEY}, ADD CONSTRAINT {KEY} FOREIGN KEY (user_id) REFERENCES users "
            "ON DELETE SET NULL"
        ),
        "foreign-key-actions",
    ),
    "deferrable": (
        (
            f"ALTER TABLE posts DROP CONSTRAINT {KEY}, ADD CONSTRAINT {KEY} FOREIGN KEY (user_id) REFERENCES users "
            "DEFERRABLE INITIALLY DEFERRED"
        ),
        "foreign-key-actions",
    ),
    "index": (
        "DROP INDEX index_posts_on_user_id; CREATE INDEX index_posts_on_user_id ON posts (user_id) WHERE content > ''",
        "names",
    ),
    "organization": ("CREATE TABLE repos (organization_id varchar)", "taken-columns"),
}


@pytest.mark.slow
@pytest.mark.parametrize("shape", SHAPES)
def test_what_would_be_lost_or_stand_in_the_way_later_is_found_before(myhub: MyHub, shape: str) -> None:
    statement, kind = SHAPES[shape]
    myhub.sql(statement)
    with pytest.raises(MigrationError, match=kind):
        myhub.adoption().run()


@pytest.mark.slow
def test_rights_that_are_needed_later_are_asked_for_before(myhub: MyHub) -> None:
    myhub.sql("DO $$ BEGIN EXECUTE format('ALTER DATABASE %I OWNER TO CURRENT_USER', current_database()); END $$")
    with pytest.raises(MigrationError, match=r"rights: .*tables(.|\n)*btree_gist"):
        myhub.adoption(url=myhub.owner_url).run()


def adopt_what_stands_beside(myhub: MyHub) -> None:
    """A table that refers to users, one of the name of the three in another schema, and two users of one address."""
    myhub.sql(
        "CREATE TABLE comments (id bigserial, user_id bigint REFERENCES users); INSERT INTO comments VALUES (1, 1)"
    )
    myhub.sql(f"CREATE SCHEMA archive; CREATE TABLE archive.posts (id bigint, user_id bigint, CONSTRAINT {KEY} "
              f"FOREIGN KEY (user_id) REFERENCES users); INSERT INTO archive.posts VALUES (1, 4); {SAME}"
              f"ALTER TABLE posts DROP CONSTRAINT {KEY}")  # fmt: skip
    assert "foreign-keys" in [finding.kind for finding in myhub.adoption().report().findings]
    myhub.adoption(choices=MERGE).run()


@pytest.fixture(scope="module")
def beside_template(prepared: Callable[..., str]) -> str:
    return prepared(adopt_what_stands_beside)


@pytest.fixture
def beside(beside_template: str, copy_of: Callable[[str], MyHub]) -> MyHub:
    return copy_of(beside_template)


@pytest.mark.slow
def test_tables_of_the_same_name_in_another_schema_are_not_the_three(beside: MyHub) -> None:
    assert beside.sql("SELECT user_id FROM archive.posts") == [(1,)]


# One that inherits it before is refused (test_inherited.py); test_tenants.py has one of a MyHub that others share.
@pytest.mark.exhaustive
def test_an_old_role_that_comes_to_inherit_the_admin_role_sees_no_other_organization(
    myhub: MyHub,
) -> None:
    myhub.adoption().run()
    myhub.sql(f"GRANT rayces_admin TO {myhub.owner}")
    if myhub.connection.server_version >= 160000:
        myhub.sql(f"GRANT rayces_admin TO {myhub.owner} WITH INHERIT TRUE")
    myhub.sql("INSERT INTO organizations (name, subdomain) VALUES ('S', 's'); "
              "INSERT INTO students (organization_id, first_name, last_name) VALUES (2, 'a', 'b')")  # fmt: skip
    old = myhub.application()
    assert old.ask("SELECT (SELECT count(*) FROM organizations), (SELECT count(*) FROM students)") == [(1, 0)]
    assert old.ask("UPDATE students SET first_name = 'x' RETURNING id") == []
    myhub.sql("DELETE FROM students; DELETE FROM organizations WHERE id = 2")
    assert myhub.again().undo().differences == ()

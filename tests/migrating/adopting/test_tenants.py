"""After an adoption: the old roles see the adopted organization only, this library all that it is bound to."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import psycopg2
import pytest
from psycopg2 import errors
from psycopg2.extensions import parse_dsn

from rayces_core import Database, Post, User
from rayces_core.doctor.repairing import Repair
from rayces_core.errors import MigrationError
from rayces_core.migrating import Runner
from rayces_core.migrating.adopting.transition import Transition
from rayces_core.migrating.catalogue import fingerprint
from rayces_core.migrating.checking import Expected, unlike
from rayces_core.migrations.session import connected, dedicated
from rayces_core.migrations.steps import Migrator

from .conftest import MyHub

pytestmark = pytest.mark.slow

OPEN_TO_OLD_ROLES = """
SELECT c.relname::text FROM pg_class c
 WHERE c.relrowsecurity AND EXISTS (SELECT FROM pg_policy p WHERE p.polrelid = c.oid AND p.polname = 'rayces_admin'
                                       OR p.polrelid = c.oid AND p.polname = 'rayces_admin_select')
   AND NOT EXISTS (SELECT FROM pg_policy p WHERE p.polrelid = c.oid AND p.polname = 'rayces_adoption_only')
"""


def share(myhub: MyHub) -> None:
    """Adopt it, and put a second organization beside it."""
    myhub.sql("CREATE INDEX by_hash ON posts (hash_id)")
    myhub.sql("GRANT SELECT, INSERT, UPDATE, DELETE ON users, posts, likes TO PUBLIC")
    myhub.adoption(url=myhub.owner_url).run()
    with Database.connect(myhub.url) as database:
        south = database.create_organization("South", subdomain="south")
        with database.tenant(south):
            author = User.create(email="sol@example.com")
            Post.create(user=author, content="of the south")


@pytest.fixture(scope="module")
def shared_template(prepared: Callable[..., str]) -> str:
    return prepared(share)


@pytest.fixture
def shared(shared_template: str, copy_of: Callable[[str], MyHub]) -> MyHub:
    """An adopted MyHub with a second organization beside it."""
    return copy_of(shared_template)


@pytest.mark.slow
def test_the_old_role_never_sees_the_other_organization(shared: MyHub, login: Any) -> None:
    application = shared.application()
    application.works()
    assert application.one("SELECT count(*) FROM users WHERE email = 'sol@example.com'") == 0
    assert application.one("SELECT count(*) FROM posts") == 16
    application.ask("UPDATE users SET name = 'x'")
    application.ask("DELETE FROM likes")
    assert shared.sql("SELECT count(*) FROM users WHERE email = 'sol@example.com' AND name IS NULL") == [(1,)]
    with pytest.raises(psycopg2.errors.InsufficientPrivilege, match="row-level security"):
        application.ask(
            "INSERT INTO users (organization_id, email, created_at, updated_at) VALUES (2, 'z@x.org', now(), now())"
        )


@pytest.mark.slow
def test_an_old_role_that_inherits_the_privileged_one_is_held_all_the_same(shared: MyHub) -> None:
    shared.sql(f"GRANT rayces_admin TO {shared.owner}")
    is_said = shared.connection.server_version >= 160_000
    if is_said:
        shared.sql(f"GRANT rayces_admin TO {shared.owner} WITH INHERIT TRUE")
    try:
        assert shared.sql(f"SELECT pg_has_role('{shared.owner}', 'rayces_admin', 'USAGE')") == [(True,)]
        old = shared.application()
        assert old.one("SELECT count(*) FROM posts") == 16
        shared.sql("INSERT INTO students (organization_id, first_name, last_name) VALUES (2, 'a', 'b')")
        assert old.ask("SELECT (SELECT count(*) FROM organizations), (SELECT count(*) FROM students)") == [(1, 0)]
        assert old.ask("UPDATE students SET first_name = 'x' RETURNING id") == []
        # A table that a later migration makes is narrowed like the rest.
        assert shared.sql(OPEN_TO_OLD_ROLES) == []
    finally:  # the owner is that of other tests too, and the doctor's would find it
        again = "GRANT rayces_admin TO {} WITH INHERIT FALSE" if is_said else "REVOKE rayces_admin FROM {}"
        shared.sql(again.format(shared.owner))


@pytest.mark.slow
def test_what_everybody_could_do_the_old_role_still_can(myhub: MyHub, login: Any) -> None:
    other = login()
    myhub.sql("GRANT SELECT, INSERT, UPDATE, DELETE ON users, posts, likes TO PUBLIC")
    myhub.sql("GRANT USAGE ON ALL SEQUENCES IN SCHEMA public TO PUBLIC")
    catalogue = fingerprint(myhub.connection)
    application = myhub.application(other)
    myhub.adoption(old_roles=[myhub.owner, other]).run()
    application.works()
    assert myhub.sql("SELECT has_table_privilege('public', 'users', 'SELECT')") == [(False,)]
    myhub.again().undo()
    assert fingerprint(myhub.connection) == catalogue


@pytest.mark.slow
def test_a_login_that_reports_is_let_in_as_a_reader_of_its_organization(shared: MyHub, login: Any) -> None:
    reports = login("NOINHERIT")
    name = parse_dsn(shared.url)["dbname"]
    shared.sql(f"GRANT SELECT ON posts TO {reports}")
    assert shared.application(reports).one("SELECT count(*) FROM posts") == 0
    shared.sql(f"REVOKE SELECT ON posts FROM {reports}")  # the reader's role has it
    database = dedicated(shared.url)
    database.app_role, database.admin_role = "rayces_app", "rayces_admin"
    Repair(database, reader_logins=[f"{reports}=north"]).run()
    shared.sql(f"ALTER ROLE {reports} IN DATABASE {name} SET role = 'rayces_reader'")
    shared.sql(f"ALTER ROLE {reports} IN DATABASE {name} SET rayces.organization_id = '1'")
    assert shared.application(reports).one("SELECT count(*) FROM posts") == 16
    with pytest.raises(errors.InsufficientPrivilege):
        shared.application(reports).one("DELETE FROM posts RETURNING id")


def test_a_login_that_writes_is_let_in_by_two_statements(shared: MyHub, login: Any) -> None:
    desk = login()
    name = parse_dsn(shared.url)["dbname"]
    shared.sql(f"GRANT rayces_app TO {desk}")
    assert shared.application(desk).one("SELECT count(*) FROM posts") == 0
    shared.sql(f"ALTER ROLE {desk} IN DATABASE {name} SET rayces.organization_id = '1'")
    assert shared.application(desk).one("SELECT count(*) FROM posts") == 16


def test_this_library_works_beside_the_old_application(shared: MyHub) -> None:
    with Database.connect(shared.url) as database, database.tenant("north"):
        user = User.create(email="new@example.com")
        assert Post.create(user=user, content="from the new side").id
        assert User.select().count() == 9
    assert shared.application().one("SELECT count(*) FROM posts") == 17


@pytest.mark.slow
def test_a_finished_adoption_equals_a_fresh_install_but_for_what_myhub_had(
    shared: MyHub, expected: Expected, migrated: str, connect: Any
) -> None:
    found = unlike(Runner(shared.url), expected)
    assert {each.kind for each in found} == {"extra", "transitional"}, [e for e in found if e.is_drift]
    shared.again().finish()
    fresh = set(fingerprint(connect(migrated)))
    assert fresh <= set(fingerprint(shared.connection))
    found = unlike(Runner(shared.url), expected)
    assert {each.kind for each in found} == {"extra"}
    lines = {each.line for each in found}
    assert {"column users.username character varying", "grant update on posts.metadata to rayces_app"} <= lines
    assert any("by_hash" in line for line in lines)
    shared.sql("ALTER TABLE users ADD later text")
    assert [each.line for each in unlike(Runner(shared.url), expected) if each.is_drift] == ["column users.later text"]
    assert Runner(shared.url).down() == [Runner(shared.url).todo[-1]]


@pytest.mark.slow
def test_a_finish_waits_for_other_tables_keys(adopted: MyHub) -> None:
    adopted.sql("CREATE TABLE comments (id bigserial, user_id bigint CONSTRAINT of_user REFERENCES users)")
    with pytest.raises(MigrationError, match=r"ALTER TABLE public\.comments DROP CONSTRAINT \"of_user\";"):
        adopted.again().finish()
    adopted.application().works()
    adopted.sql("ALTER TABLE comments DROP CONSTRAINT of_user")
    assert adopted.again().finish().stage == "finished"


@pytest.mark.slow
def test_going_back_never_mixes_organizations_or_drops_bookings_unasked(shared: MyHub) -> None:
    with pytest.raises(MigrationError, match=r"other organizations have rows in users \(1\), posts \(1\)"):
        shared.adoption(name=None, subdomain=None, url=shared.owner_url).undo(yes=True)
    shared.sql("DELETE FROM posts WHERE organization_id = 2; DELETE FROM users WHERE organization_id = 2")
    shared.sql(
        "INSERT INTO professionals (organization_id, user_id, title, specialization) VALUES (1, 1, 'x', 'speech')"
    )
    with pytest.raises(MigrationError, match=r"professionals \(1\); --yes says so"):
        shared.again().undo()
    assert shared.again().undo(yes=True).differences == ()


def test_plain_runs_point_to_the_adoption(myhub: MyHub) -> None:
    for plain in (Runner(myhub.url).up, Runner(myhub.url).up_script):
        with pytest.raises(MigrationError, match="rayces migrate adopt --organization-name"):
            plain()


def test_plain_runs_and_other_adoptions_point_to_the_one_that_was_begun(adopted: MyHub) -> None:
    assert Runner(adopted.url).up() == []
    with pytest.raises(MigrationError, match="adopt --undo"):
        Runner(adopted.url).down(10)
    with pytest.raises(MigrationError, match="being adopted as 'North Hub'"):
        adopted.adoption(subdomain="south").run()
    with pytest.raises(MigrationError, match="the old roles"):
        adopted.adoption(old_roles=["postgres"]).run()


class Recorded:
    """What an adoption keeps of itself, as far as narrowing asks for it."""

    old_roles = ("old",)


def test_any_table_that_a_migration_after_019_makes_is_narrowed_without_being_listed(shared: MyHub) -> None:
    database = dedicated(shared.url)
    with connected(database):
        migrator = Migrator(database)
        migrator.sql("CREATE TABLE rooms (organization_id bigint)")
        steps = Transition(database, Recorded()).narrowed(migrator.steps)  # type: ignore[arg-type]
    assert [step.text.split(" AS ")[0] for step in steps[1:]] == ["CREATE POLICY rayces_adoption_only ON rooms"]

"""Who may do what around an adoption: its own roles, the tables' owners, and rights that come by default."""

from __future__ import annotations

from typing import Any

import psycopg2
import pytest

from rayces_core.errors import MigrationError
from rayces_core.migrating import Runner
from rayces_core.migrating.checking import differences
from tests.sizes import exhaustive

from .conftest import MyHub

HELD = """
SELECT c.relname::text FROM pg_class c CROSS JOIN aclexplode(c.relacl) AS g
 WHERE c.relnamespace = 'public'::regnamespace AND c.relowner <> g.grantee
   AND (g.grantee = '{0}'::regrole OR g.grantee = 0) ORDER BY 1
"""


@pytest.fixture
def generous(myhub: MyHub) -> MyHub:
    """A MyHub whose superuser gives the old role, and everybody, rights on all that it makes."""
    for kind in ("TABLES", "SEQUENCES"):
        myhub.sql(f"ALTER DEFAULT PRIVILEGES IN SCHEMA public GRANT ALL ON {kind} TO {myhub.owner}, PUBLIC")
    return myhub


@pytest.mark.slow
@pytest.mark.usefixtures("scratch_is_migrated")
def test_default_privileges_give_the_old_role_nothing_of_this_library_and_are_there_after_the_way_back(
    generous: MyHub, server_url: str
) -> None:
    (note,) = [each for each in generous.adoption().report().findings if each.kind == "default-privileges"]
    assert (note.severity, generous.owner in note.what) == ("note", True)
    generous.adoption().run()
    assert generous.sql(HELD.format(generous.owner)) == []
    application = generous.application()
    application.works()
    for table in (
        "rayces_migrations",
        "appointments",
        "credit_transactions",
        "import_runs",
        "outbox_messages",
        "webhook_endpoints",
        "rayces_set_aside",
    ):
        with pytest.raises(psycopg2.errors.InsufficientPrivilege):
            application.ask(f"TRUNCATE {table} CASCADE")
    assert application.one("SELECT stage FROM rayces_adoption") == "adopted"
    assert {each.kind for each in differences(Runner(generous.url), server_url)} == {"extra", "transitional"}
    assert generous.again().undo().differences == ()


@pytest.mark.slow
def test_a_stop_after_the_history_was_made_leaves_no_right_on_it(generous: MyHub) -> None:
    adoption = generous.adoption()

    def stop(*step: Any) -> None:
        if step[0] == "002_organizations":
            raise InterruptedError

    with pytest.raises(InterruptedError):
        generous.adoption(on_step=stop).run()
    assert generous.sql(HELD.format(generous.owner)) == []
    assert adoption.run().stage == "adopted"


@pytest.mark.slow
def test_rights_that_the_login_gives_itself_are_its_own(adopted_by_its_owner: MyHub) -> None:
    myhub = adopted_by_its_owner
    assert myhub.application().one("SELECT count(*) FROM rayces_set_aside") == 0
    assert "default-privileges" not in [each.kind for each in myhub.again(url=myhub.owner_url).report().findings]


@pytest.mark.slow
@pytest.mark.parametrize("which", ["app_role", *exhaustive("admin_role")])
def test_the_roles_that_it_was_begun_with_are_the_only_ones(adopted: MyHub, which: str) -> None:
    other = adopted.again(**{which: "somebody_else"})
    for action in (other.report, other.run, other.finish, other.undo):
        with pytest.raises(MigrationError, match="--app-role rayces_app --admin-role rayces_admin"):
            action()
    assert adopted.sql("SELECT true FROM pg_roles WHERE rolname = 'somebody_else'") == []
    assert adopted.again().finish().stage == "finished"


@pytest.mark.slow
def test_undoing_past_the_sequences_is_for_the_tables_owner(adopted: MyHub) -> None:
    adopted.again().finish()
    plain = Runner(adopted.url)
    with pytest.raises(MigrationError, match=f"belong to {adopted.owner}; nothing was undone") as refused:
        plain.down(4)
    assert plain.diff == []
    for statement in str(refused.value).splitlines()[1:]:
        adopted.sql(statement)
    assert plain.down(4)[-1] == "005_identity_columns"
    adopted.sql("INSERT INTO users (organization_id, email) VALUES (1, 'after@example.com')")


@pytest.mark.exhaustive  # the one before goes further
def test_undoing_down_to_the_sequences_asks_for_no_owner(adopted: MyHub) -> None:
    adopted.again().finish()
    assert Runner(adopted.url).down(5)[-1] == "006_assign_organization"

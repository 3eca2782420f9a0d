"""An adopted MyHub that a restore has left without the old application's policies is repaired, and it goes on."""

from __future__ import annotations

import pytest

from rayces_core.doctor.repairing import Repair
from rayces_core.errors import ConfigurationError
from rayces_core.migrating.catalogue import fingerprint
from rayces_core.migrations.session import dedicated

from .conftest import MyHub

pytestmark = pytest.mark.slow

LOST = """
DO $$
DECLARE lost record;
BEGIN
    FOR lost IN SELECT polname, polrelid::regclass AS relation FROM pg_policy LOOP
        EXECUTE format('DROP POLICY %I ON %s', lost.polname, lost.relation);
    END LOOP;
END
$$
"""


def repair(hub: MyHub) -> Repair:
    own = dedicated(hub.url)
    own.app_role, own.admin_role = "rayces_app", "rayces_admin"
    return Repair(own)


@pytest.mark.slow
def test_the_old_application_s_policies_come_again_and_it_goes_on(adopted: MyHub) -> None:
    whole = fingerprint(adopted.connection)
    adopted.sql(LOST)
    assert fingerprint(adopted.connection) != whole
    repair(adopted).run()
    assert fingerprint(adopted.connection) == whole
    adopted.application().works()
    assert repair(adopted).run().statements == ()


@pytest.mark.slow
def test_once_the_adoption_is_finished_they_stay_away(adopted: MyHub) -> None:
    adopted.again().finish()
    adopted.sql("DROP POLICY rayces_tenant ON posts")
    statements = repair(adopted).run().statements
    assert len(statements) == 1
    assert "rayces_adoption" not in statements[0]


def test_a_login_of_the_old_application_that_is_not_there_is_named(adopted: MyHub) -> None:
    adopted.sql("UPDATE rayces_adoption SET old_roles = '[\"gone_with_it\"]'")
    adopted.sql("DROP POLICY rayces_adoption ON posts")
    with pytest.raises(ConfigurationError, match=r'there is no login gone_with_it.*CREATE ROLE "gone_with_it" LOGIN'):
        repair(adopted).run()

"""Log lines say which tenant and which user they are of."""

import logging

from rayces_core.integrations.logs import TenantFilter, acting
from tests.factory import make_user


def record(**extra):
    made = logging.makeLogRecord({"msg": "x"} | extra)
    assert TenantFilter().filter(made)
    return made.organization_id, made.user_id


def test_a_line_has_the_tenant_and_the_user_of_its_block_and_none_outside(db, a, b):
    assert record() == (None, None)
    with db.tenant(a):
        user = make_user()
        with acting(user):
            assert record() == (a.id, user.id)
        assert record() == (a.id, None)
    with db.tenant(b), acting(None):
        assert record() == (b.id, None)
    with db.privileged(reason="test"):
        assert record() == (None, None)


def test_what_the_caller_gives_stays(db, a):
    with db.tenant(a):
        assert record(organization_id=7, user_id=8) == (7, 8)

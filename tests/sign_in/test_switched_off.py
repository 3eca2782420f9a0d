"""An organization that is switched off signs nobody in, in a block that was entered before either."""

import pytest

from rayces_core import InactiveTenantError, sign_in
from rayces_core.errors import WrongCredentialsError
from rayces_core.models import SingleUseToken
from tests.sign_in.conftest import PASSWORD

TOKENS = sign_in.Tokens("s" * 32)
NEW = "another long one"


@pytest.fixture
def given(db, a, user):
    """Tokens and a link of before, and an organization that has been switched off since."""
    sign_in.request_reset(user.email)
    link = sign_in.mint(SingleUseToken.get().id)
    tokens = [TOKENS.issue(user), TOKENS.issue(user, "phone")]
    switch(db, a, on=False)
    yield tokens, link
    switch(db, a, on=True)


def switch(db, organization, *, on):
    with db.privileged(reason="a test"):
        db.execute_sql("UPDATE organizations SET active = %s WHERE id = %s", (on, organization.id))


def test_it_signs_nobody_in(user, given):
    with pytest.raises(InactiveTenantError):
        sign_in.check_password(user.email, PASSWORD)
    with pytest.raises(WrongCredentialsError):  # nor does it tell who is known
        sign_in.check_password(user.email, "wrong")


def test_its_tokens_are_worth_nothing_until_it_is_on_again(db, a, user, given):
    tokens, _ = given
    for token in tokens:
        with pytest.raises(InactiveTenantError):
            TOKENS.user(token)
    switch(db, a, on=True)
    assert [TOKENS.user(token) for token in tokens] == [user, user]


def test_its_links_wait(db, a, user, given):
    _, link = given
    with pytest.raises(InactiveTenantError):
        sign_in.reset_password(link, NEW)
    switch(db, a, on=True)
    assert sign_in.reset_password(link, NEW) == user

"""Who signs in or out sees what was committed meanwhile, whatever level the server takes units of work for."""

import psycopg2
import pytest
from psycopg2.extensions import parse_dsn

from rayces_core import Database, TransactionFailedError, User, sign_in
from rayces_core.errors import InvalidLinkError
from rayces_core.models import Device, SingleUseToken
from tests.factory import make_organization, make_user
from tests.scheduling.worlds import Other
from tests.sign_in.conftest import HASH

LEVELS = ["REPEATABLE READ", "SERIALIZABLE"]
TOKENS = sign_in.Tokens("s" * 32)
WAYS = {
    "a request": lambda user, link: sign_in.request_reset(user.email),
    "a request for a confirmation": lambda user, link: sign_in.request_confirmation(user),
    "a password": lambda user, link: sign_in.set_password(user, "another long one"),
    "a hash": lambda user, link: sign_in.import_password_hash(user, HASH),
    "a sign-out": lambda user, link: sign_in.sign_out(user),
    "a link that is made": lambda user, link: sign_in.mint(SingleUseToken.get().id),
    "a link that is used": lambda user, link: sign_in.reset_password(link, "another long one"),
}


@pytest.fixture
def link(user):
    sign_in.request_reset(user.email)
    return sign_in.mint(SingleUseToken.get().id)


@pytest.mark.parametrize("level", LEVELS)
@pytest.mark.parametrize("way", WAYS.values(), ids=WAYS)
def test_nothing_is_decided_on_a_snapshot_of_an_earlier_moment(db, user, link, way, level):
    before = SingleUseToken.select().count(), User.get_by_id(user.id).jti
    with pytest.raises(TransactionFailedError, match=rf"{level} sees what was committed"), db.atomic(level):
        User.select().count()
        way(user, link)
    assert (SingleUseToken.select().count(), User.get_by_id(user.id).jti) == before
    with db.atomic():
        way(user, link)


def test_where_another_level_is_the_default_a_new_password_ends_all_links_and_devices(own_db: Database):
    with psycopg2.connect(own_db.url) as connection, connection.cursor() as cursor:
        name = parse_dsn(own_db.url)["dbname"]
        cursor.execute(f"ALTER DATABASE {name} SET default_transaction_isolation = 'repeatable read'")
    organization = make_organization(own_db)
    with Database.connect(own_db.url) as db, db.tenant(organization):
        user = make_user(email="ana@example.org")
        sign_in.import_password_hash(user, HASH)
        assert db.execute_sql("SHOW transaction_isolation").fetchone() == ("repeatable read",)
        with own_db.tenant(organization), own_db.atomic("READ COMMITTED"):
            sign_in.request_reset(user.email)  # has locked the user, and is not committed yet
            made = sign_in.mint(SingleUseToken.get().id)
            TOKENS.issue(User.get_by_id(user.id), "phone")
            waiting = Other(db, organization, lambda: sign_in.set_password(user, "another long one"))
            waiting.wait_until_blocked()
        assert waiting.finish() is None
        with pytest.raises(InvalidLinkError):
            sign_in.reset_password(made, "a third long one")
        assert Device.select().count() == 0
        assert sign_in.check_password(user.email, "another long one") == user

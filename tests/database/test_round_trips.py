"""Round trips are counted on the wire: binding a tenant adds none."""

import pytest

from rayces_core import Database, Student
from tests.factory import make_organization
from tests.wire import binds_tenant, wire


@pytest.fixture
def counted(own_pool):
    organization = make_organization(own_pool)
    with wire(own_pool.url) as proxy, Database.connect(proxy.url) as database:
        with database.tenant(organization):
            Student.select().count()  # opens the connection
            proxy.sent.clear()
            yield proxy


@pytest.mark.parametrize(
    "statement",
    [
        lambda: Student.get_or_none(Student.id == 1),
        lambda: list(Student.select().limit(50)),
        lambda: Student.create(first_name="Luz", last_name="Sosa"),
        lambda: Student.update(grade_level="3rd").where(Student.id == 1).execute(),
        lambda: Student.delete().where(Student.id == 1).execute(),
        lambda: list(Student.raw("select * from students")),
        lambda: Student.insert_many([{"first_name": "a", "last_name": "b"}] * 10).execute(),
    ],
    ids=["point read", "list", "insert", "update", "delete", "raw", "insert_many"],
)
def test_a_lone_statement_is_one_message_with_its_tenant(counted, statement):
    statement()

    assert len(counted.sent) == 1
    assert binds_tenant(counted.sent[0])


def test_a_transaction_sends_its_tenant_with_begin(counted):
    database_messages_of_plain_psycopg2 = 3  # BEGIN, statement, COMMIT
    from rayces_core.database.binding import current

    with current().engine.atomic():
        Student.select().count()

    assert len(counted.sent) == database_messages_of_plain_psycopg2
    assert counted.sent[0].startswith("BEGIN; ")
    assert binds_tenant(counted.sent[0])
    assert not binds_tenant(counted.sent[1])


def test_opening_a_known_tenant_again_sends_nothing(own_pool):
    organization = make_organization(own_pool)
    with wire(own_pool.url) as proxy, Database.connect(proxy.url) as database:
        with database.tenant(organization.subdomain):
            pass
        proxy.sent.clear()

        with database.tenant(organization.subdomain), database.tenant(organization.subdomain):
            pass

        assert proxy.sent == []


def test_nesting_the_same_tenant_costs_nothing(counted, own_pool):
    from rayces_core.database.binding import current

    binding = current()
    with own_pool.tenant(binding.organization_id):
        pass

    assert counted.sent == []


def test_saving_an_unchanged_row_sends_nothing(counted):
    student = Student.create(first_name="Luz", last_name="Sosa")
    counted.sent.clear()

    assert student.save() is False
    assert counted.sent == []


def test_a_followed_foreign_key_is_read_once(counted):
    from tests.factory import make_like

    like = make_like()
    like = type(like).get_by_id(like.id)
    counted.sent.clear()

    assert like.post.id == like.post_id
    assert like.post.content == "hello"
    assert len(counted.sent) == 1


def test_a_unit_whose_outcome_can_be_found_out_sends_no_message_more(counted):
    from rayces_core import credits
    from rayces_core.database.binding import current
    from tests.factory import make_user

    user, engine = make_user(), current().engine
    credits.purchase(user, 5)
    counted.sent.clear()
    with engine.atomic(findable=True):
        Student.select().count()
    assert len(counted.sent) == 3
    counted.sent.clear()
    credits.debit(user, 1)
    with engine.atomic():
        credits.debit(user, 1)
    assert len(counted.sent) == 1 + 3

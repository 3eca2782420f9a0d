"""Acceptance: side doors of Peewee. Binding a model elsewhere, making and emptying tables, writing past the models."""

import peewee
import pytest
from psycopg2.extensions import parse_dsn

from rayces_core import (
    CrossTenantError,
    Like,
    Organization,
    PermissionDeniedError,
    Student,
    TenancyError,
    TenantModel,
    TenantNotSetError,
    User,
)
from rayces_core.database.binding import database
from rayces_core.fields import StringField, TextField
from rayces_core.models import TENANT_MODELS
from rayces_core.tenancy.model import TenantForeignKey
from tests.tenancy.read_paths import texts
from tests.tenancy.test_raw_reads import Plain
from tests.walking import walked

each_model = walked("model", [*TENANT_MODELS, Organization], ids=lambda model: model.__name__)

# -- another database -------------------------------------------------------------------------------------------------


@pytest.fixture
def elsewhere(db):
    """A plain Peewee database, logged in as the superuser that no policy holds."""
    parts = parse_dsn(db.url)
    plain = peewee.PostgresqlDatabase(parts.pop("dbname"), **parts)
    yield plain
    plain.close()


@each_model
def test_a_model_cannot_be_bound_to_another_database(walled, elsewhere, model):
    for bind in (
        lambda: model.bind(elsewhere),
        lambda: model.bind(walled.db.engine),
        lambda: elsewhere.bind([model]),
        lambda: model.bind_ctx(elsewhere).__enter__(),
        lambda: elsewhere.bind_ctx([model]).__enter__(),
        lambda: model._meta.set_database(elsewhere),
        lambda: model._meta.table.bind_ctx(elsewhere).__enter__(),
    ):
        with pytest.raises(TenancyError, match="bound tenant"):
            bind()
    assert model._meta.database is database


@walked("query", [Student.select(), Student.update(last_name="x"), Student.delete(), Student.noop()])
def test_a_query_that_is_run_elsewhere_still_needs_a_tenant(walled, elsewhere, query):
    with pytest.raises(TenantNotSetError):
        query.clone().execute(elsewhere)


def test_a_query_is_not_run_elsewhere(walled, elsewhere):
    row = {"first_name": "x", "last_name": "x"}
    with walled.in_a(), walled.nothing_sent():
        for run in (
            lambda: Student.select().execute(elsewhere),
            lambda: Student.select().count(elsewhere),
            lambda: Student.select().exists(elsewhere),
            lambda: Student.select().scalar(elsewhere),
            lambda: Student.select().get(elsewhere),
            lambda: list(Student.select().iterator(elsewhere)),
            lambda: list(Student.select().clone().bind(elsewhere)),
            lambda: (Student.select() | Student.select()).execute(elsewhere),
            lambda: Student.raw("SELECT * FROM students").execute(elsewhere),
            lambda: Student.update(last_name="x").execute(elsewhere),
            lambda: Student.delete().execute(elsewhere),
            lambda: Student.insert(row).execute(elsewhere),
            lambda: Student.insert(row).returning(Student.id).execute(elsewhere),
        ):
            with pytest.raises(TenancyError, match="where its tenant is bound"):
                run()


def test_a_query_may_name_the_database_that_is_bound(walled):
    with walled.in_a():
        assert texts(Student.select().execute(walled.db.engine)) == ["ours"] * 2
        assert texts(Student.select().bind(database)) == ["ours"] * 2


# -- tables -----------------------------------------------------------------------------------------------------------


@pytest.mark.slow
@each_model
@walked("privileged", [False, True])
def test_tables_are_neither_made_nor_dropped_nor_emptied_through_a_model(walled, model, privileged):
    with walled.privileged() if privileged else walled.in_a():
        for change in (
            lambda: model.create_table(),
            lambda: model.create_table(safe=False),
            lambda: model.drop_table(),
            lambda: model.drop_table(safe=False, cascade=True),
            lambda: model.truncate_table(),
            lambda: model.truncate_table(restart_identity=True, cascade=True),
            *([lambda: model._schema.create_indexes(safe=False)] if model._meta.fields_to_index() else []),
            lambda: walled.db.engine.create_tables([model]),
            lambda: walled.db.engine.drop_tables([model]),
        ):
            with pytest.raises(PermissionDeniedError):
                change()
        assert model.table_exists()
        assert model.select().exists()


@each_model
def test_tables_are_not_touched_without_a_tenant(model):
    for change in (model.create_table, model.drop_table, model.truncate_table, model.table_exists):
        with pytest.raises(TenantNotSetError):
            change()


# -- past the models --------------------------------------------------------------------------------------------------


def test_a_models_table_is_written_through_the_model_only(world):
    table = Student._meta.table
    with world.in_a(), world.nothing_sent():
        for write in (
            lambda: table.insert(first_name="x"),
            lambda: table.update(first_name="x"),
            lambda: table.delete(),
            lambda: table.replace(first_name="x"),
            lambda: table.alias("t").delete(),
        ):
            with pytest.raises(TenancyError, match="Student"):
                write()


def test_a_plain_table_or_model_writes_nothing_of_another_tenant(walled_pair):
    pair = walled_pair
    table = peewee.Table("students", ("id", "organization_id", "first_name", "last_name")).bind(database)
    foreign = {"first_name": "x", "last_name": "x", "organization_id": pair.b.id}
    with pair.b_untouched(), pair.in_a():
        for write in (
            lambda: table.insert({getattr(table, key): value for key, value in foreign.items()}).execute(),
            lambda: table.insert(first_name="x", last_name="x").execute(),
            lambda: Plain.create(first_name="x"),
            lambda: pair.db.execute_sql("insert into students (organization_id) values (%s)", (pair.b.id,)),
        ):
            with pytest.raises((CrossTenantError, peewee.IntegrityError)):
                write()
        with pytest.raises(PermissionDeniedError):
            table.update(organization_id=pair.b.id).execute()
        assert table.update(first_name="x").execute() == 1
        assert Plain.update(first_name="y").execute() == 1
        assert peewee.Delete(peewee.Table("likes")).bind(database).execute() == 1
        assert pair.db.execute_sql("update students set last_name = 'z'").rowcount == 1
    with pytest.raises(TenantNotSetError):
        table.update(first_name="x").execute()
    with pytest.raises(TenantNotSetError):
        Plain.create(first_name="x")


# -- what Peewee builds by itself -------------------------------------------------------------------------------------


class Fan(TenantModel):
    email = StringField()
    first_name = StringField(null=True)

    class Meta:
        table_name = "users"


class Writing(TenantModel):
    content = TextField(null=True)

    class Meta:
        table_name = "posts"


class Approval(TenantModel):
    user = TenantForeignKey(Fan)
    post = TenantForeignKey(Writing)

    class Meta:
        table_name = "likes"


Writing._meta.add_field("fans", peewee.ManyToManyField(Fan, through_model=Approval))


def test_many_to_many_relations_stay_within_the_tenant(pair):
    with pair.in_b():
        Fan.create(id=pair.base + 7, email="b@example.org", first_name="theirs")
        Writing.get_by_id(pair.base).fans.add([pair.base + 7])
    with pair.in_a(), pair.b_untouched():
        writing = Writing.get_by_id(pair.base)
        assert texts(writing.fans) == ["ours"]
        assert [fan.writings.count() for fan in Fan] == [1]
        with pytest.raises(peewee.IntegrityError):
            writing.fans.add([pair.base + 7])
        writing.fans.clear()
        assert (list(writing.fans), Like.select().count()) == ([], 0)
        writing.fans.add(Fan.select(Fan.id))
        assert texts(writing.fans) == ["ours"]
        writing.fans.remove(Fan.select())
        writing.fans = [pair.base]
        assert texts(writing.fans) == ["ours"]


def test_a_plain_model_can_be_joined_to_one_of_a_tenant(walled):
    query = Student.select(Student, Plain).join(Plain, on=(Plain.id == Student.id), attr="plain")
    with walled.in_a():
        assert [(row.first_name, row.plain.first_name) for row in query] == [("ours", "ours")] * 2
    with pytest.raises(TenantNotSetError):
        list(query)


def test_a_foreign_key_of_a_plain_model_reads_the_tenants_row(walled):
    class PlainPost(peewee.Model):
        user = peewee.ForeignKeyField(User, backref="+")
        content = peewee.TextField()

        class Meta:
            database = database
            table_name = "posts"

    try:
        with walled.in_a():
            post = PlainPost.get_by_id(walled.base)
            assert (post.content, post.user.first_name) == ("ours", "ours")
            joined = PlainPost.select(PlainPost, User).join(User).where(PlainPost.id == walled.base)
            assert [row.user.first_name for row in joined] == ["ours"]
    finally:
        PlainPost._meta.remove_field("user")

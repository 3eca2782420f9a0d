"""Acceptance: an instance belongs to the tenant it was read under, and a row never changes its organization."""

import copy
import pickle

import pytest
from playhouse.shortcuts import dict_to_model, model_to_dict, update_model_from_dict

from rayces_core import (
    CrossTenantError,
    InvalidDataError,
    Like,
    Organization,
    PermissionDeniedError,
    Post,
    Student,
    TenantImmutableError,
    TenantNotSetError,
    User,
)
from rayces_core.models import TENANT_MODELS
from tests.factory import make_post, make_student
from tests.tenancy.write_paths import BULK_KEYS, TENANT_KEYS, Pupil
from tests.walking import walked

READS = {
    "by id": lambda base: Student.get_by_id(base),
    "query": lambda base: Student.select().where(Student.id == base).get(),
    "part": lambda base: Student.select(Student.id, Student.first_name).where(Student.id == base).get(),
    "alias": lambda base: (s := Student.alias()).select(s.id, s.first_name).where(s.id == base).get(),
    "raw SQL": lambda base: Student.raw("select id, first_name from students where id = %s", base).get(),
    "objects": lambda base: Student.select(Student.id, Student.first_name).objects().get(),
    "eager join": lambda base: Student.select(Student.id, User).join(User, on=Student.primary_contact).get(),
    "iterator": lambda base: next(Student.select().where(Student.id == base).iterator()),
    "update returning": lambda base: next(iter(Student.update(grade_level="1").returning(Student))),
    "created": lambda base: make_student(),
    "bulk created": lambda base: bulk_created(),
    "prefetched": lambda base: User.select().prefetch(Student)[0].students_as_primary_contact[0],
    "copied": lambda base: copy.deepcopy(Student.get_by_id(base)),
    "pickled": lambda base: pickle.loads(pickle.dumps(Student.get_by_id(base))),
    "from a dict": lambda base: dict_to_model(Student, model_to_dict(Student.get_by_id(base), recurse=False)),
}
WRITES = {
    "save": lambda row: row.save(),
    "save of a field": lambda row: row.save(only=[Student.first_name]),
    "save as new": lambda row: row.save(force_insert=True),
    "delete": lambda row: row.delete_instance(),
    "delete recursively": lambda row: row.delete_instance(recursive=True),
    "delete recursively, nullable too": lambda row: row.delete_instance(recursive=True, delete_nullable=True),
    "bulk update": lambda row: Student.bulk_update([row], [Student.first_name]),
    "bulk update among others": lambda row: Student.bulk_update([Student(id=1, first_name="x"), row], ["first_name"]),
    "bulk create": lambda row: Student.bulk_create([Student(first_name="x", last_name="x"), row]),
}


def bulk_created():
    row = Student(first_name="new", last_name="new")
    Student.bulk_create([row])
    return row


@walked("write", WRITES)
@walked("read", READS)
def test_an_instance_of_b_is_not_written_under_a(shared, read, write):
    row = shared.rows[read]
    row.first_name = "changed"
    with shared.world.in_a(), shared.world.nothing_sent(), pytest.raises(CrossTenantError) as caught:
        WRITES[write](row)
    assert (caught.value.bound, caught.value.found) == (shared.world.a.id, shared.world.b.id)


@pytest.fixture(scope="module")
def shared(walled):
    """An instance of B for every way to read one."""

    class Shared:
        rows = {}

    Shared.world = walled
    with walled.in_b():
        for name, read in READS.items():
            Shared.rows[name] = read(walled.base)
    return Shared


@walked("write", WRITES)
def test_an_instance_is_not_written_without_a_tenant(shared, write):
    with shared.world.nothing_sent(), pytest.raises(TenantNotSetError):
        WRITES[write](shared.rows["by id"])


def test_an_instance_goes_on_working_where_it_belongs(pair):
    with pair.in_b():
        row = Student.get_by_id(pair.base)
    with pair.in_a(), pytest.raises(CrossTenantError):
        row.delete_instance()
    with pair.in_b():
        row.first_name = "changed"
        assert row.save() == 1
        assert Student.get_by_id(pair.base).first_name == "changed"


def test_an_instance_with_an_id_of_its_own_choosing_reaches_the_bound_tenants_row_only(pair):
    with pair.b_untouched(), pair.in_a():
        assert Post(id=pair.base, content="mine").save() == 1
        assert Post.get_by_id(pair.base).content == "mine"
        assert Post(id=pair.base + 99, content="nobody").save() == 0
        assert Like(id=pair.base).delete_instance() == 1
    with pair.in_b():
        assert Like.select().count() == 1


def test_a_new_instance_that_names_another_tenant_is_refused(pair):
    for organization in (pair.b, pair.b.id):
        new = Student(first_name="x", last_name="x", organization=organization)
        with pair.in_a(), pair.nothing_sent():
            for write in (new.save, new.delete_instance, lambda new=new: Student.bulk_create([new])):
                with pytest.raises(CrossTenantError):
                    write()


def test_a_related_instance_of_another_tenant_is_refused(pair):
    with pair.in_b():
        theirs = User.get_by_id(pair.base)
    with pair.in_a():
        row = Student.get_by_id(pair.base)
        with pair.nothing_sent(), pytest.raises(CrossTenantError):
            row.primary_contact = theirs
        assert row.primary_contact_id == pair.base


# -- the organization never changes ---------------------------------------------------------------------------------


@walked("key", TENANT_KEYS)
def test_an_update_query_cannot_set_the_organization(walled, key):
    named = TENANT_KEYS[key]()
    for model in (Student, Pupil):
        for value in (walled.b, walled.b.id, walled.a, None):
            with walled.in_a(), walled.nothing_sent(), pytest.raises(TenantImmutableError):
                model.update({named: value}).execute()
    with walled.privileged(), walled.nothing_sent(), pytest.raises(TenantImmutableError):
        Student.update({named: walled.b.id}).execute()


def test_an_update_by_keyword_cannot_set_the_organization(walled):
    with walled.in_a(), walled.nothing_sent():
        for values in ({"organization": walled.b}, {"organization_id": walled.b.id}):
            with pytest.raises(TenantImmutableError):
                Student.update(**values)
            with pytest.raises(TenantImmutableError):
                Student.set_by_id(walled.base, values)


@walked("key", BULK_KEYS)
def test_a_bulk_update_cannot_set_the_organization(walled, key):
    with walled.in_a():
        row = Student.get_by_id(walled.base)
        with walled.nothing_sent(), pytest.raises(TenantImmutableError):
            Student.bulk_update([row], [Student.first_name, TENANT_KEYS[key]()])


def test_an_instance_cannot_be_given_another_organization(pair):
    with pair.in_a():
        row = Student.get_by_id(pair.base)
        for name, value in (
            ("organization", pair.b),
            ("organization", pair.b.id),
            ("organization_id", pair.b.id),
            ("organization", None),
            ("organization_id", None),
            ("organization", Organization(name="new", subdomain="new")),
        ):
            with pytest.raises(TenantImmutableError):
                setattr(row, name, value)
        with pytest.raises(TenantImmutableError):
            update_model_from_dict(row, {"organization": {"id": pair.b.id}})
        row.organization = pair.a
        row.organization_id = pair.a.id
        with pair.nothing_sent():
            assert row.save() is False


def test_saving_the_organization_by_name_writes_nothing(pair):
    with pair.in_a():
        row = Student.get_by_id(pair.base)
        with pair.nothing_sent():
            assert row.save(only=[Student.organization]) is False


def test_an_instance_whose_organization_was_forged_is_refused(pair):
    with pair.in_a():
        row = Student.get_by_id(pair.base)
        row.__data__["organization"] = pair.b.id
        row.first_name = "forged"
        with pair.nothing_sent(), pytest.raises(CrossTenantError):
            row.save()


@walked("model", TENANT_MODELS)
def test_the_database_itself_refuses_to_change_the_organization(world, model):
    table = model._meta.table_name
    for organization in (world.a, world.b):
        with world.in_a(), pytest.raises(PermissionDeniedError):
            world.db.execute_sql(f"update {table} set organization_id = %s", (organization.id,))


# -- deleting what others name ----------------------------------------------------------------------------------------


def test_deleting_a_parent_never_deletes_a_child_of_another_tenant(pair):
    with pair.b_untouched(), pair.in_a():
        assert Like.select().count() == 1
        Post.get_by_id(pair.base).delete_instance()
        assert Like.select().count() == 0


def test_deleting_recursively_never_deletes_a_child_of_another_tenant(pair):
    with pair.b_untouched(), pair.in_a(), pair.statements() as sent:
        make_post()
        assert Post.get_by_id(pair.base).delete_instance(recursive=True) == 1
        assert (Post.select().count(), Like.select().count()) == (1, 0)
    assert any(sql.startswith('DELETE FROM "likes"') for sql in sent)


def test_deleting_a_parent_in_raw_sql_never_deletes_a_child_of_another_tenant(walled_pair):
    with walled_pair.b_untouched(), walled_pair.in_a():
        walled_pair.db.execute_sql("delete from posts")
        assert Like.select().count() == 0


def test_deleting_recursively_is_all_or_nothing(pair):
    def fail(event):
        if event.sql.startswith('DELETE FROM "posts"'):
            raise RuntimeError

    before = pair.snapshot()
    pair.db.engine.query_hooks.append(fail)
    try:
        with pair.in_a(), pair.statements() as sent, pytest.raises(RuntimeError):
            Post.get_by_id(pair.base).delete_instance(recursive=True)
    finally:
        pair.db.engine.query_hooks.remove(fail)
    assert any(sql.startswith('DELETE FROM "likes"') for sql in sent)
    assert pair.snapshot() == before


@pytest.fixture
def library_alone():
    """Models of other tests, whose tables are elsewhere, refer to none of this library's."""
    kept = {model: dict(model._meta.backrefs) for model in TENANT_MODELS}
    for model, backrefs in kept.items():
        ours = {key: other for key, other in backrefs.items() if other.__module__.startswith("rayces_core.")}
        model._meta.backrefs = ours
    yield
    for model, backrefs in kept.items():
        model._meta.backrefs = backrefs


def test_deleting_recursively_what_the_grants_keep_deletes_nothing(pair, library_alone):
    before = pair.snapshot()
    for model in (User, Student):
        with pair.in_a(), pytest.raises(PermissionDeniedError):
            model.get_by_id(pair.base).delete_instance(recursive=True)
    assert pair.snapshot() == before


@pytest.mark.parametrize(
    "model, name, said",
    [
        (Organization, "country", "told by other fields"),
        (Organization, "zone", "told by other fields"),
        (User, "full_name", "told by other fields"),
        (Student, "save", "is a method"),
        (Student, "select", "is a method"),
        (Student, "history", "is a method"),
        (Student, "first_nam", "there is no such field"),
    ],
)
def test_a_name_that_is_no_fields_takes_no_value(db, a, model, name, said):
    """Peewee sets whatever attribute there is: a method was overwritten, a property raised AttributeError."""
    with db.tenant(a), pytest.raises(InvalidDataError, match=f"{model.__name__}.{name}: .*{said}"):
        model(**{name: "x"})


def test_an_organization_is_made_with_what_it_is_told_and_nothing_else(db):
    with pytest.raises(InvalidDataError, match=r"Organization\.country: is told by other fields"):
        db.create_organization("Nowhere", subdomain="nowhere", country="CL")
    with db.privileged(reason="test"):
        assert not Organization.select().where(Organization.subdomain == "nowhere").exists()

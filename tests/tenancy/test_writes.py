"""Acceptance: writes. Each is stamped with the bound tenant, none reaches another tenant's rows."""

import pytest
from peewee import SQL, Value, fn

from rayces_core import (
    CrossTenantError,
    Like,
    Organization,
    PermissionDeniedError,
    Post,
    Student,
    TenancyError,
    TenantNotSetError,
    User,
)
from tests.factory import make_student
from tests.tenancy.worlds import forget_rendered_sql
from tests.tenancy.write_paths import INSERTS, INSERTS_FROM_QUERIES, REACHES, SWEEPS
from tests.walking import walked

new = Student.first_name == "new"
ALL_INSERTS = {**INSERTS, **INSERTS_FROM_QUERIES}
NAMES = {
    "by organization": lambda organization: {"organization": organization},
    "by id": lambda organization: {"organization": organization.id},
    "by column": lambda organization: {"organization_id": organization.id},
}


def new_rows(world, scope):
    with scope():
        return [(row.first_name, row.organization_id) for row in Student.select().where(new)]


CROSSING = {
    "create": lambda b, row: Student.create(first_name="new", last_name="x", organization=b),
    "insert_many": lambda b, row: Student.insert_many([{"first_name": "new", "organization_id": b.id}]).execute(),
    "tuples": lambda b, row: Student.insert_many([("new", b)], [Student.first_name, Student.organization]).execute(),
    "save": lambda b, row: row.save(),
    "delete": lambda b, row: row.delete_instance(),
}


@walked("how", CROSSING)
def test_a_write_across_tenants_is_told_with_both_organizations(walled, how):
    with walled.in_b():
        row = Student.get()
    with walled.in_a(), pytest.raises(CrossTenantError) as refused:
        CROSSING[how](walled.b, row)
    assert (refused.value.bound, refused.value.found) == (walled.a.id, walled.b.id)
    assert {str(walled.a.id), str(walled.b.id)} <= set(str(refused.value).replace(",", "").split())


# -- inserts ------------------------------------------------------------------------------------------------------


@pytest.mark.slow
@walked("how", ALL_INSERTS, anew="pair")
def test_an_insert_stamps_the_bound_tenant(pair, how):
    with pair.in_a():
        ALL_INSERTS[how]({})
    assert new_rows(pair, pair.in_a) == [("new", pair.a.id)]
    assert new_rows(pair, pair.in_b) == []


@pytest.mark.slow
@walked("how", ALL_INSERTS, anew="pair")
def test_an_insert_may_name_the_bound_tenant(pair, how):
    with pair.in_a():
        ALL_INSERTS[how]({"organization": pair.a})
    assert new_rows(pair, pair.in_a) == [("new", pair.a.id)]


@walked("name", NAMES)
@walked("how", INSERTS)
def test_an_insert_that_names_another_tenant_is_refused_before_any_sql(walled, how, name):
    allowed = {"get_or_create", "get_or_create with defaults"}  # They look first.
    with walled.in_a(), walled.statements() as sent, pytest.raises(CrossTenantError):
        INSERTS[how](NAMES[name](walled.b))
    assert [sql for sql in sent if not (how in allowed and sql.startswith("SELECT"))] == []


@walked("how", INSERTS_FROM_QUERIES, anew="walled_pair")
def test_an_insert_from_a_query_that_names_another_tenant_is_refused_by_the_database(walled_pair, how):
    with walled_pair.b_untouched(), walled_pair.in_a(), pytest.raises(CrossTenantError):
        INSERTS_FROM_QUERIES[how]({"organization": walled_pair.b})


@walked("how", ALL_INSERTS)
def test_an_insert_raises_without_a_tenant_before_any_sql(walled, how):
    with walled.nothing_sent(), pytest.raises(TenantNotSetError):
        ALL_INSERTS[how]({})


def test_one_row_that_names_another_tenant_keeps_all_from_being_written(pair):
    rows = [{"first_name": "new", "last_name": "new"} for _ in range(3)]
    foreign = [*rows, rows[0] | {"organization": pair.b}]
    with pair.in_a(), pair.nothing_sent():
        for attempt in (
            lambda: Student.insert_many(foreign).execute(),
            lambda: Student.insert_many(iter(foreign)).execute(),
            lambda: Student.insert_many(
                [("new", "new", None), ("new", "new", pair.b.id)], ["first_name", "last_name", "organization"]
            ).execute(),
            lambda: Student.bulk_create([Student(**row) for row in foreign]),
            lambda: Student.bulk_create((Student(**row) for row in foreign), batch_size=2),
        ):
            with pytest.raises(CrossTenantError) as caught:
                attempt()
            assert (caught.value.bound, caught.value.found) == (pair.a.id, pair.b.id)


def test_a_tenant_hidden_in_an_expression_is_refused_too(pair):
    for hidden in (SQL(str(pair.b.id)), Value(pair.b.id), fn.abs(pair.b.id), Organization.select(Organization.id)):
        with pair.in_a(), pair.nothing_sent(), pytest.raises(CrossTenantError):
            Student.insert(first_name="new", last_name="new", organization=hidden).execute()


def test_values_beyond_the_named_fields_never_become_the_organization(pair):
    with pair.in_a(), pair.nothing_sent():
        for row, complaint in ((("new", "new", pair.b.id), "created_at"), (("new",), "last_name")):
            with pytest.raises(ValueError, match=complaint):
                Student.insert_many([row], fields=["first_name", "last_name"]).execute()


def test_dicts_and_tuples_are_not_mixed(pair):
    rows = [{"first_name": "new", "last_name": "new"}, ("new", "new", pair.b.id)]
    with pair.in_a(), pair.nothing_sent(), pytest.raises(TenancyError):
        Student.insert_many(rows).execute()


def test_a_sub_query_among_the_inserted_values_is_scoped(pair):
    theirs = User.select(User.first_name).where(User.id == pair.base)
    with pair.in_a():
        Student.insert(first_name="new", last_name=theirs).execute()
        assert Student.get(new).last_name == "ours"


def test_an_insert_from_a_query_takes_the_tenants_rows_only(pair):
    users = User.select(User.first_name, Value("copied"))
    for source in (users, users + users, users.order_by(User.id).limit(5), (users | users).limit(5)):
        with pair.in_a(), pair.b_untouched():
            Student.insert_from(source, [Student.first_name, Student.last_name]).execute()
            copied = Student.select().where(Student.last_name == "copied")
            assert {(row.first_name, row.organization_id) for row in copied} == {("ours", pair.a.id)}


def test_an_insert_from_a_query_without_fields_is_refused(pair):
    with pair.in_a(), pair.nothing_sent(), pytest.raises(TenancyError):
        Student.insert_many(User.select(User.first_name)).execute()


def test_an_insert_is_sent_once_however_it_is_read(pair):
    query = Student.insert(first_name="new", last_name="new").returning(Student)
    with pair.in_a(), pair.statements() as sent:
        assert len(list(query)) == len(query) == len([*query]) == 1
        assert query[0].organization_id == pair.a.id
    assert len(sent) == 1


def test_bulk_create_takes_up_ids_and_organization(pair):
    children = [Student(first_name="new", last_name=str(number)) for number in range(5)]
    with pair.in_a():
        Student.bulk_create(children, batch_size=2)
        assert {child.organization_id for child in children} == {pair.a.id}
        assert [Student.get_by_id(child.id).last_name for child in children] == list("01234")
        Student.bulk_create([])


def test_bulk_create_follows_a_relation_that_was_saved_in_between(pair):
    author = User(email="late@example.org")
    posts = [Post(user=author, content="late")]
    with pair.in_a():
        author.save()
        Post.bulk_create(posts)
        assert Post.get_by_id(posts[0].id).user == author


def test_defaults_are_made_anew_for_each_row_that_leaves_them_out(pair):
    with pair.in_a():
        users = [User(email=f"left-out-{number}@example.org") for number in range(3)]
        for user in users:
            user.save(only=[User.email])
        assert len({User.get_by_id(user.id).jti for user in users}) == 3


def test_get_or_create_finds_and_makes_in_the_bound_tenant(pair):
    email = f"person{pair.base}@example.org"
    with pair.in_a(), pair.b_untouched():
        found, created = User.get_or_create(email=email)
        assert (found.first_name, created) == ("ours", False)
        User.update(email="other@example.org").execute()
        made, created = User.get_or_create(email=email, defaults={"first_name": "second"})
        assert (made.first_name, made.organization_id, created) == ("second", pair.a.id, True)


def test_replace_is_refused(pair):
    row = {"first_name": "new", "last_name": "new"}
    with pair.in_a(), pair.nothing_sent():
        for query in (
            Student.replace(row),
            Student.replace_many([row]),
            Student.insert(row).on_conflict_replace(),
            Student.insert(row).on_conflict("REPLACE"),
        ):
            with pytest.raises(ValueError, match="ignore"):
                query.execute()


def test_a_tenant_makes_no_organization(world):
    row = {"name": "x", "subdomain": "x"}
    with world.in_a(), world.nothing_sent():
        for attempt in (
            lambda: Organization.create(**row),
            lambda: Organization.insert(row).execute(),
            lambda: Organization.insert_many([row]).execute(),
            lambda: Organization.bulk_create([Organization(**row)]),
            lambda: Organization(**row).save(),
        ):
            with pytest.raises(TenancyError):
                attempt()
    with world.in_a(), world.b_untouched():
        assert Organization.update(address="ours").where(Organization.id == world.b.id).execute() == 0
        with pytest.raises(PermissionDeniedError):
            Organization.delete().execute()


# -- updates and deletes ------------------------------------------------------------------------------------------


def written(result):
    """How many rows a statement has written."""
    return result if isinstance(result, int) else len(list(result))


@pytest.mark.slow
@walked("how", REACHES, anew="pair")
def test_a_write_that_mentions_another_tenant_changes_nothing(pair, how):
    before = pair.snapshot()
    with pair.in_a():
        assert written(REACHES[how](pair).execute()) == 0
    assert pair.snapshot() == before


@pytest.mark.slow
@walked("how", SWEEPS, anew="pair")
def test_a_write_over_all_rows_changes_the_bound_tenants_only(pair, how):
    before = pair.snapshot()
    with pair.in_a():
        assert written(SWEEPS[how](pair).execute()) == 1
    after = pair.snapshot()
    assert after["theirs"] == before["theirs"]
    assert after["ours"] != before["ours"]


@pytest.mark.slow
@walked("how", SWEEPS, anew="pair")
def test_a_write_built_and_run_under_a_writes_bs_rows_when_run_under_b(pair, how):
    with pair.in_a():
        query = SWEEPS[how](pair)
        query.execute()
        ours = pair.snapshot()["ours"]
    with pair.in_b():
        assert written(query.execute()) == 1
    assert pair.snapshot()["ours"] == ours


@walked("how", {**SWEEPS, **REACHES})
def test_a_write_raises_without_a_tenant_before_any_sql(walled, how):
    with walled.nothing_sent(), pytest.raises(TenantNotSetError):
        {**SWEEPS, **REACHES}[how](walled).execute()


@walked(
    "write",
    [
        lambda key: Student.update(last_name="x").where(Student.id == key).execute(),
        lambda key: Student.set_by_id(key, {"last_name": "x"}),
        lambda key: Like.delete().where(Like.id == key).execute(),
        lambda key: Like.delete_by_id(key),
    ],
    anew="pair",
)
def test_a_write_that_privileged_work_has_run_first_is_scoped_when_a_tenant_runs_it(pair, write):
    forget_rendered_sql()
    with pair.privileged():
        assert write(0) == 0
    with pair.b_untouched(), pair.in_a():
        assert write(pair.base) == 1


def test_an_instance_that_privileged_work_has_written_first_is_scoped_when_a_tenant_writes_it(pair):
    forget_rendered_sql()
    with pair.privileged():
        row = Student.create(first_name="new", last_name="new", organization=pair.a)
        row.first_name = "newer"
        row.save()
        Student.get_by_id(row.id).delete_instance()
    with pair.b_untouched(), pair.in_a():
        row = Student.get_by_id(pair.base)
        row.first_name = "newer"
        row.save()
        assert Student.create(first_name="new", last_name="new").organization_id == pair.a.id
        assert Like.get_by_id(pair.base).delete_instance() == 1


@walked(
    "query",
    [
        lambda: Student.update(last_name="x").returning(Student.first_name),
        lambda: Student.update(last_name="x").returning(Student).tuples(),
        lambda: Post.delete().returning(Post.content).dicts(),
        lambda: Student.insert(first_name="ours", last_name="x").returning(Student.first_name).namedtuples(),
    ],
    anew="pair",
)
def test_returning_gives_the_tenants_rows_only(pair, query):
    with pair.in_a():
        (row,) = query()
    assert "ours" in str(getattr(row, "first_name", row))


def test_an_increment_adds_to_the_tenants_rows_only(pair):
    with pair.b_untouched(), pair.in_a():
        for _ in range(3):
            User.update(sign_in_count=User.sign_in_count + 1).where(User.id == pair.base).execute()
        user = User.get_by_id(pair.base)
        user.sign_in_count = User.sign_in_count + 1
        user.save()
        assert User.get_by_id(pair.base).sign_in_count == 4


def test_a_value_taken_from_another_table_is_the_tenants_own(pair):
    with pair.in_a():
        Student.update(last_name=User.first_name).from_(User).where(User.id == Student.primary_contact).execute()
        assert Student.get().last_name == "ours"
        Student.update(last_name=Post.select(Post.content).where(Post.id == pair.base)).execute()
        assert Student.get().last_name == "ours"


def test_bulk_update_writes_the_tenants_rows_only(pair):
    with pair.in_a(), pair.b_untouched():
        rows = [Student.get_by_id(pair.base), make_student(), make_student()]
        for number, row in enumerate(rows):
            row.last_name = f"bulk {number}"
        assert Student.bulk_update(rows, [Student.last_name], batch_size=2) == 3
        assert [Student.get_by_id(row.id).last_name for row in rows] == ["bulk 0", "bulk 1", "bulk 2"]
        assert Student.bulk_update([], ["last_name"]) == 0

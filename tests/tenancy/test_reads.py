"""Acceptance: reads. What a filter, a join or a lock may and may not do; see read_paths.py for every way to read."""

from datetime import timedelta

import pytest
from peewee import JOIN, DoesNotExist, fn

from rayces_core import (
    Appointment,
    CrossTenantError,
    Like,
    Organization,
    Post,
    Professional,
    Student,
    TenantNotSetError,
    UnknownTableError,
    User,
)
from tests.factory import START, make_student, make_user
from tests.tenancy.read_paths import Newcomer, texts
from tests.walking import walked

# -- filters ----------------------------------------------------------------------------------------------------


def test_a_filter_that_names_another_tenant_finds_nothing(world):
    with world.in_a():
        for named in (world.b, world.b.id):
            assert list(Student.select().where(Student.organization == named)) == []
            assert list(Student.filter(organization=named)) == []
            assert Student.get_or_none(Student.organization == named) is None
            assert not Student.select().where(Student.organization_id == named).exists()
        assert list(Student.select().where(Student.organization.in_([world.b.id]))) == []


def test_an_alternative_that_names_another_tenant_does_not_widen_the_filter(world):
    theirs = Student.organization == world.b
    either = (Student.id == world.base) | theirs
    with world.in_a():
        assert texts(Student.select().where(either)) == ["ours"]
        assert texts(Student.select().where(Student.id == world.base).orwhere(theirs)) == ["ours"]
        assert Student.select().where(either).count() == 1
        assert texts(Student.select().where(~(Student.organization == world.a))) == []
        assert [*Student.select(fn.COUNT(Student.id)).having((fn.COUNT(1) > 9) | (fn.COUNT(1) == 3)).tuples()] == []


def test_an_alternative_in_a_joins_condition_does_not_widen_it(world):
    either = (Appointment.student == Student.id) | (Appointment.organization == world.b)
    query = Student.select(Student.first_name, Appointment.notes).join(Appointment, on=either).tuples()
    with world.in_a():
        assert list(query) == [("ours", "ours")] * 2


def test_an_alternative_in_a_sub_query_does_not_widen_it(world):
    theirs = Post.select(Post.id).where((Post.id == 0) | (Post.organization == world.b))
    with world.in_a():
        assert list(Student.select().where(Student.id.in_(theirs))) == []


# -- joins: what has no partner in A must not find one in B -----------------------------------------------------


@pytest.fixture
def lonely(pair):
    """A student of A without an appointment, where B has one for the student of the same id."""
    with pair.in_b():
        lonely = make_student(id=pair.base + 7)
        values = {"professional": pair.base, "client": pair.base, "scheduled_at": START - timedelta(days=1)}
        Appointment.create(id=pair.base + 7, student=lonely, notes="theirs", **values)
    with pair.in_a():
        make_student(id=pair.base + 7, first_name="lonely")
    return pair


def test_an_inner_join_does_not_meet_another_tenants_row(lonely):
    with lonely.in_a():
        assert texts(Student.select(Student.first_name).join(Appointment)) == ["ours"]


def test_a_left_join_keeps_its_left_rows(lonely):
    query = Student.select(Student.first_name, Appointment.notes).join(Appointment, JOIN.LEFT_OUTER)
    with lonely.in_a():
        assert list(query.order_by(Student.id).tuples()) == [("ours", "ours"), ("lonely", None)]


def test_a_right_join_keeps_its_right_rows(lonely):
    query = Appointment.select(Student.first_name, Appointment.notes).join(Student, JOIN.RIGHT_OUTER)
    with lonely.in_a():
        assert list(query.order_by(Student.id).tuples()) == [("ours", "ours"), ("lonely", None)]


def test_a_full_join_keeps_the_rows_of_both_sides(lonely):
    on = (Appointment.student == Student.id) & (Student.first_name == "nobody")
    query = Student.select(Student.first_name, Appointment.notes).join(Appointment, JOIN.FULL, on=on).tuples()
    with lonely.in_a():
        assert sorted(query, key=str) == [("lonely", None), ("ours", None), (None, "ours")]


def test_a_left_lateral_join_keeps_its_left_rows(lonely):
    notes = Appointment.select(Appointment.notes).where(Appointment.student == Student.id).alias("notes")
    query = Student.select(Student.first_name, notes.c.notes).join(notes, JOIN.LEFT_LATERAL, on=True)
    with lonely.in_a():
        assert list(query.order_by(Student.id).tuples()) == [("ours", "ours"), ("lonely", None)]


def test_an_eager_left_join_gives_none_where_only_another_tenant_has_a_row(lonely):
    query = Student.select(Student, Appointment).join(Appointment, JOIN.LEFT_OUTER).order_by(Student.id)
    with lonely.in_a():
        assert [getattr(row.appointment, "notes", None) for row in query] == ["ours", None]


def test_an_eager_left_join_of_an_alias_gives_none_too(lonely):
    visits = Appointment.alias()
    query = Student.select(Student, visits).join(visits, JOIN.LEFT_OUTER, attr="visit").order_by(Student.id)
    with lonely.in_a():
        assert [getattr(row.visit, "notes", None) for row in query] == ["ours", None]


def test_joins_of_one_selection_are_not_taken_for_each_other(lonely):
    """Rows are built by code that is kept for each selection and join."""
    selected = Student.select(Student, User).order_by(Student.id)
    with lonely.in_a():
        Student.update(secondary_contact=make_user(first_name="second")).execute()
        for key, kind, names in (
            (Student.primary_contact, JOIN.LEFT_OUTER, ["ours", None]),
            (Student.secondary_contact, JOIN.LEFT_OUTER, ["second", "second"]),
            (Student.primary_contact, JOIN.INNER, ["ours"]),
        ):
            rows = list(selected.join(User, kind, on=key))
            assert [getattr(row.__rel__.get(key.name), "first_name", None) for row in rows] == names


def test_anti_joins_and_counts_are_not_disturbed_by_another_tenants_rows(lonely):
    without = Student.select().join(Appointment, JOIN.LEFT_OUTER).where(Appointment.id.is_null())
    counted = Student.select(Student.first_name, fn.COUNT(Appointment.id)).join(Appointment, JOIN.LEFT_OUTER)
    with lonely.in_a():
        assert texts(without) == ["lonely"]
        assert sorted(counted.group_by(Student.id, Student.first_name).tuples()) == [("lonely", 0), ("ours", 1)]


# -- rows -------------------------------------------------------------------------------------------------------


@walked(
    "read",
    [
        lambda: Student.select(Student.first_name),
        lambda: Student.select(fn.UPPER(Student.first_name).alias("loud")),
        lambda: Student.select(Student.first_name).objects(),
        lambda: (s := Student.alias()).select(s.last_name),
        lambda: [post.user for post in Post.select(Post.content, User.first_name).join(User)],
        lambda: Student.select(Student.first_name) | User.select(User.first_name),
        lambda: (s := Student.select().alias("s")).select_from(s.c.first_name),
        lambda: Student.update(last_name="same").returning(Student.first_name),
    ],
    anew="pair",
)
def test_a_row_that_was_read_in_part_knows_whose_it_is(pair, read):
    with pair.in_a():
        rows = list(read())
        assert {row.organization_id for row in rows} == {pair.a.id}
    with pair.in_b(), pair.nothing_sent(), pytest.raises(CrossTenantError):
        rows[0].save(force_insert=True)


RESULTS = {
    "models": lambda: Student.select(Student.first_name),
    "joined models": lambda: Student.select(Student.first_name, User.email).join(User, on=Student.primary_contact),
    "models joined to a sub-query": lambda: Student.select(
        Student.first_name, (notes := Appointment.select().alias("notes")).c.notes
    ).join(notes, on=(notes.c.student_id == Student.id)),
    "objects": lambda: Student.select(Student.first_name).objects(),
}


@walked("how", RESULTS)
def test_a_result_that_is_looked_at_elsewhere_still_knows_whose_it_is(world, how):
    with world.in_a():
        result = RESULTS[how]().execute()
    with world.in_b():
        assert [(row.first_name, row.organization_id) for row in result] == [("ours", world.a.id)] * 2


def test_what_is_selected_may_have_any_name(world):
    with world.in_a():
        (row,) = Student.select(fn.COUNT(1).alias("class"), fn.COUNT(1).alias("1"), fn.COUNT(1).alias("a b"))
    assert (getattr(row, "class"), getattr(row, "1"), row.a) == (2, 2, 2)


def test_an_eager_join_sends_one_statement(world):
    with world.in_a(), world.statements() as sent:
        assert [post.user.first_name for post in Post.select(Post, User).join(User)] == ["ours"] * 2
    assert len(sent) == 1


def test_a_query_is_run_once_for_a_tenant(world):
    query = Student.select()
    with world.in_a(), world.statements() as sent:
        assert (len(query), list(query), query[0], bool(query)) == (2, [*query], query[1 - 1], True)
    assert len(sent) == 1


def test_the_organization_of_a_tenant_is_the_only_one_there_is(world):
    with world.in_a():
        assert [organization.id for organization in Organization] == [world.a.id]
        assert Organization.get_by_id(world.a.id).id == Student.get_by_id(world.base).organization.id
        with pytest.raises(Organization.DoesNotExist):
            Organization.get_by_id(world.b.id)
        assert not Organization.select().where(Organization.subdomain == world.b.subdomain).exists()


def test_a_row_that_only_another_tenant_has_does_not_exist(world):
    theirs = world.base + 2
    with world.in_a():
        for read in (Student.get_by_id, Student.get, Student.__class__.__getitem__.__get__(Student)):
            with pytest.raises(Student.DoesNotExist):
                read(theirs)
        with pytest.raises(DoesNotExist):
            Student.select().where(Student.id == theirs).get()


def test_a_table_can_be_renamed_after_it_was_read_by_id(world):
    with world.in_a():
        assert Newcomer.get_by_id(world.base).first_name == "ours"
        try:
            Newcomer._meta.set_table_name("nowhere")
            with pytest.raises(UnknownTableError, match="nowhere"):
                Newcomer.get_by_id(world.base)
        finally:
            Newcomer._meta.set_table_name("students")
        assert Newcomer.get_by_id(world.base).first_name == "ours"


# -- following instances ------------------------------------------------------------------------------------------

FOLLOW = {
    "foreign key": lambda: (Student, lambda row: row.primary_contact),
    "foreign key to a foreign key": lambda: (Appointment, lambda row: row.professional),
    "nullable foreign key": lambda: (Student, lambda row: row.primary_contact.first_name),
    "organization": lambda: (Student, lambda row: row.organization),
    "back-reference": lambda: (User, lambda row: row.posts),
    "back-reference, counted": lambda: (User, lambda row: row.posts.count()),
    "back-reference to a foreign key": lambda: (Professional, lambda row: row.appointments),
}


@walked("how", FOLLOW)
def test_an_instance_of_b_is_not_followed_under_a(world, how):
    model, follow = FOLLOW[how]()
    with world.in_b():
        row = model.get_by_id(world.base)
    with world.in_a(), world.nothing_sent(), pytest.raises(CrossTenantError) as caught:
        follow(row)
    assert (caught.value.bound, caught.value.found) == (world.a.id, world.b.id)


@walked("how", FOLLOW)
def test_an_instance_is_not_followed_without_a_tenant(walled, how):
    model, follow = FOLLOW[how]()
    with walled.in_a():
        row = model.get_by_id(walled.base)
    with walled.nothing_sent(), pytest.raises(TenantNotSetError):
        follow(row)


def test_a_back_reference_built_under_a_is_scoped_where_it_runs(world):
    with world.in_a():
        posts = User.get_by_id(world.base).posts
        assert texts(posts) == ["ours"]
    with world.in_b():
        assert texts(posts) == ["theirs"]
    with pytest.raises(TenantNotSetError):
        list(posts)


def test_a_foreign_key_is_read_once(world):
    with world.in_a():
        row = Student.get_by_id(world.base)
        with world.statements() as sent:
            assert row.primary_contact is row.primary_contact
    assert len(sent) <= 1


def test_a_new_instance_follows_its_keys_in_the_bound_tenant(world):
    new = Like(post=world.base)
    for scope, label in ((world.in_a, "ours"), (world.in_b, "theirs")):
        with scope():
            assert Like(post=new.post_id).post.content == label


def test_a_foreign_key_to_a_row_of_another_tenant_leads_nowhere(pair):
    with pair.in_b():
        theirs = make_user(id=pair.base + 8)
    with pair.in_a(), pytest.raises(User.DoesNotExist):
        _ = Student(primary_contact=theirs.id).primary_contact


# -- generators ---------------------------------------------------------------------------------------------------

GENERATORS = {
    "iterator": lambda: Student.select().iterator(),
    "iterator of tuples": lambda: Student.select().tuples().iterator(),
    "iterator of dicts": lambda: Student.select().dicts().iterator(),
    "iterator of joined models": lambda: Post.select(Post, User).join(User).iterator(),
    "iterator of a compound": lambda: (Student.select() + Student.select()).iterator(),
    "iterator of raw SQL": lambda: Student.raw("select * from students").iterator(),
    "scalars": lambda: Student.select(Student.first_name).scalars(),
    "scalars of a compound": lambda: (Student.select(Student.id) + User.select(User.id)).scalars(),
}


@walked("how", GENERATORS)
def test_a_generator_begun_under_a_raises_after_the_block(world, how):
    with world.in_a():
        rows, unread = GENERATORS[how](), GENERATORS[how]()
        next(rows)
    for generator in (rows, unread):
        with pytest.raises(TenantNotSetError):
            next(generator)


@walked("how", GENERATORS)
def test_a_generator_begun_under_a_raises_under_b_and_goes_on_under_a(world, how):
    with world.in_a():
        rows = GENERATORS[how]()
        next(rows)
        with world.in_b(), pytest.raises(CrossTenantError):
            next(rows)
    with world.in_a():
        rows = GENERATORS[how]()
        first = next(rows)
        with world.in_a():
            assert [first, *rows]


@walked("how", GENERATORS)
def test_a_generator_is_not_begun_without_a_tenant(walled, how):
    with walled.nothing_sent(), pytest.raises(TenantNotSetError):
        GENERATORS[how]()

"""Acceptance: privileged work sees every organization, and still keeps their rows apart where they share an id."""

import peewee
import pytest
from peewee import JOIN, PREFETCH_TYPE, Load, fn

from rayces_core import (
    Appointment,
    CrossTenantError,
    Like,
    Organization,
    Post,
    Professional,
    ReferenceNotFoundError,
    Student,
    TenancyError,
    TenantNotSetError,
    User,
)
from tests.factory import START
from tests.tenancy.write_paths import INSERTS, INSERTS_FROM_QUERIES
from tests.walking import walked

OURS, THEIRS = ("ours", "ours"), ("theirs", "theirs")


@pytest.fixture
def pair(walled_pair):
    """Two tenants whose rows have the same ids."""
    return walled_pair


def of_pair(query, pair, model):
    """The same query over the two tenants alone, since the database is shared."""
    return query.where(model.organization.in_([pair.a.id, pair.b.id])).order_by(model.organization)


# -- reads --------------------------------------------------------------------------------------------------------


def test_privileged_work_sees_the_rows_of_all(pair):
    with pair.privileged():
        rows = list(of_pair(Student.select(), pair, Student))
        assert [(row.first_name, row.organization_id) for row in rows] == [("ours", pair.a.id), ("theirs", pair.b.id)]
        assert {organization.id for organization in Organization} >= {pair.a.id, pair.b.id}


Author = User.alias()
JOINS = {
    "by foreign key": lambda: Post.select(Post.content, User.first_name).join(User),
    "by field": lambda: Post.select(Post.content, User.first_name).join(User, on=Post.user),
    "by named field": lambda: Post.select(Post.content, User.first_name).join(
        User, on=Post.user.alias("by"), attr="by"
    ),
    "left": lambda: Post.select(Post.content, User.first_name).join(User, JOIN.LEFT_OUTER),
    "to an alias": lambda: Post.select(Post.content, Author.first_name).join(Author),
    "to an alias by field": lambda: Post.select(Post.content, Author.first_name).join(Author, on=Post.user),
    "to a table": lambda: Post.select(Post.content, (t := User._meta.table).first_name).join(t),
    "to a table by column": lambda: User.select((t := Post._meta.table).content, User.first_name).join(t, on=t.user_id),
    "backwards": lambda: User.select(Post.content, User.first_name).join(Post),
    "over two tables": lambda: Like.select(Post.content, User.first_name).join(Post).join(User),
    "by join_from": lambda: Like.select(Post.content, User.first_name).join_from(Like, Post).join_from(Post, User),
    "to a key": lambda: Appointment.select(Appointment.notes, Professional.title).join(Professional),
    "by filter": lambda: Post.select(Post.content, User.first_name).filter(user__first_name__in=["ours", "theirs"]),
}


@pytest.mark.slow
@walked("how", JOINS, anew="pair")
def test_a_join_over_a_foreign_key_stays_within_the_organization(pair, how):
    query = JOINS[how]()
    with pair.privileged():
        assert list(of_pair(query, pair, query.model).tuples()) == [OURS, THEIRS]


def test_eager_joins_stay_within_the_organization(pair):
    with pair.privileged():
        posts = list(of_pair(Post.select(Post, User).join(User), pair, Post))
        assert [(post.content, post.user.first_name) for post in posts] == [OURS, THEIRS]
        for organization in (Organization, Organization.alias()):
            query = Post.select(Post, organization.name).join(organization)
            names = [row.organization.name for row in of_pair(query, pair, Post)]
            assert names == [pair.a.name, pair.b.name]


UPDATES = {
    "a model": lambda source: source,
    "an alias": lambda source: source.alias("other"),
    "a table": lambda source: source._meta.table,
}


@walked("how", UPDATES, anew="pair")
def test_an_update_from_another_table_takes_values_of_the_organization(pair, how):
    source = UPDATES[how](User)
    either = (Post.user == source.id) | (Post.user == source.id)
    query = Post.update(content=fn.CONCAT(source.first_name, "!")).from_(source).where(either, Post.id == pair.base)
    with pair.privileged():
        assert query.execute() == 2
        assert list(of_pair(Post.select(Post.content), pair, Post).tuples()) == [("ours!",), ("theirs!",)]


NAMED = {
    "equal": lambda user: Post.user == user,
    "one of": lambda user: Post.user.in_([user]),
    "one of, as an operator": lambda user: Post.user << (user,),
    "not the others": lambda user: (Post.user == user.id) & (Post.organization == user.organization),
}


@walked("how", NAMED, anew="pair")
def test_a_row_that_a_key_is_compared_with_is_one_of_its_organization(pair, how):
    with pair.privileged():
        user = User.get(User.id == pair.base, User.organization == pair.a)
        condition = NAMED[how](user)
        assert [post.content for post in Post.select().where(condition)] == ["ours"]
        assert Post.get(user=user).content == Post.filter(user__in=[user]).get().content == "ours"
        assert Post.update(content="mine").where(condition).execute() == 1
        ids = Post.id == pair.base
        assert [post.content for post in Post.select().where(ids, Post.user != user)] == ["theirs"]
        assert [post.content for post in Post.select().where(ids, Post.user.not_in([user]))] == ["theirs"]
        Like.delete().where(Like.user == user).execute()
        assert [like.organization_id for like in Like.select().where(Like.id == pair.base)] == [pair.b.id]
    with pair.in_a():
        assert [post.content for post in Post.select().where(condition)] == ["mine"]


def test_an_eager_join_by_an_expression_raises_rather_than_mix_organizations(pair):
    query = Post.select(Post, User).join(User, on=(Post.user == User.id)).where(Post.organization == pair.a)
    with pair.privileged(), pytest.raises(CrossTenantError):
        list(query)


def test_following_a_row_stays_within_its_organization(pair):
    with pair.privileged():
        for post in of_pair(Post.select(), pair, Post):
            assert post.user.first_name == post.content
            assert post.organization.id == post.organization_id == post.user.organization_id
            assert [like.organization_id for like in post.likes] == [post.organization_id]
            assert [other.content for other in post.user.posts] == [post.content]
        for appointment in of_pair(Appointment.select(), pair, Appointment):
            assert appointment.professional.title == appointment.notes
            assert [other.notes for other in appointment.professional.appointments] == [appointment.notes]


LOADS = {
    "prefetch": lambda query: query.prefetch(Post, Like),
    "prefetch by join": lambda query: query.prefetch(Post, Like, prefetch_type=PREFETCH_TYPE.JOIN),
    "with_related": lambda query: query.with_related(Load(User.posts).then(Post.likes)),
    "with_related by join": lambda query: query.with_related(
        Load(User.posts, strategy=PREFETCH_TYPE.JOIN).then(Load(Post.likes, strategy=PREFETCH_TYPE.JOIN))
    ),
    "with_related by keys": lambda query: query.with_related(
        Load(User.posts, strategy=PREFETCH_TYPE.MATERIALIZE).then(Load(Post.likes, strategy=PREFETCH_TYPE.MATERIALIZE))
    ),
}


@walked("how", LOADS, anew="pair")
def test_children_that_are_read_along_stay_within_the_organization(pair, how):
    with pair.privileged():
        users = list(LOADS[how](of_pair(User.select(), pair, User)))
        assert [(user.first_name, [post.content for post in user.posts]) for user in users] == [
            ("ours", ["ours"]),
            ("theirs", ["theirs"]),
        ]
        for user in users:
            ((like,),) = [post.likes for post in user.posts]
            assert like.organization_id == like.post.organization_id == user.posts[0].user.organization_id


@walked("how", LOADS, anew="pair")
def test_children_are_read_along_in_the_way_that_is_asked_for(pair, how):
    with pair.privileged(), pair.statements() as sent:
        list(LOADS[how](of_pair(User.select(), pair, User)))
    assert len(sent) == 3
    assert [" JOIN " in statement for statement in sent] == [False, *["by join" in how] * 2]


@walked("load", [lambda q: q.prefetch(User), lambda q: q.with_related(Post.user)], anew="pair")
def test_parents_that_are_read_along_stay_within_the_organization(pair, load):
    with pair.privileged(), pair.statements() as sent:
        posts = list(load(of_pair(Post.select(), pair, Post)))
        assert [(post.content, post.user.first_name) for post in posts] == [OURS, THEIRS]
    assert len(sent) == 2


def test_peewees_own_prefetch_function_raises_rather_than_mix_organizations(pair):
    with pair.privileged(), pytest.raises(CrossTenantError):
        peewee.prefetch(of_pair(User.select(), pair, User), Post)


def test_counting_children_per_parent_needs_a_tenant(pair):
    with pair.privileged(), pytest.raises(TenancyError, match="per_parent"):
        list(User.select().with_related(Load(User.posts, per_parent=1)))


@walked(
    "read",
    [Student.get_by_id, Student.get, lambda key: Student.get(Student.id == key), lambda key: key in Student],
    anew="pair",
)
def test_an_id_that_several_organizations_have_is_not_guessed(pair, read):
    with pair.privileged(), pytest.raises(CrossTenantError, match="several organizations"):
        read(pair.base)


def test_an_id_that_one_organization_has_is_found(pair):
    with pair.in_b():
        only = Student.create(first_name="only", last_name="only")
    with pair.privileged():
        assert Student.get_by_id(only.id).first_name == "only"
        found = Student.get((Student.id == pair.base) & (Student.organization == pair.b))
        assert found.first_name == "theirs"


# -- a row that was read without its organization -------------------------------------------------------------------

NEEDS_ORGANIZATION = {
    "foreign key": lambda row: row.primary_contact,
    "back-reference": lambda row: row.appointments,
    "save": lambda row: row.save(only=[Student.first_name]),
    "save of an expression": lambda row: setattr(row, "first_name", Student.last_name) or row.save(),
    "delete": lambda row: row.delete_instance(),
    "delete recursively": lambda row: row.delete_instance(recursive=True),
    "bulk update": lambda row: Student.bulk_update([row], ["first_name"]),
}


@walked("how", NEEDS_ORGANIZATION, anew="pair")
def test_a_row_without_its_organization_is_not_taken_for_anothers(pair, how):
    selected = Student.select(Student.id, Student.first_name, Student.primary_contact)
    with pair.privileged():
        row = of_pair(selected, pair, Student).first()
        with pair.nothing_sent(), pytest.raises(CrossTenantError, match="without its organization"):
            NEEDS_ORGANIZATION[how](row)


def test_rows_without_their_organization_are_not_joined_in_memory(pair):
    with pair.privileged(), pytest.raises(CrossTenantError, match="without its organization"):
        of_pair(User.select(User.id), pair, User).prefetch(Post)


# -- writes ---------------------------------------------------------------------------------------------------------


NAMING_INSERTS = {
    how: insert for how, insert in {**INSERTS, **INSERTS_FROM_QUERIES}.items() if not how.startswith("get_or_create")
}


@pytest.mark.slow
@walked("how", NAMING_INSERTS, anew="pair")
def test_privileged_work_names_the_organization_of_what_it_inserts(pair, how):
    with pair.privileged():
        with pair.nothing_sent(), pytest.raises(TenantNotSetError, match="organization"):
            NAMING_INSERTS[how]({})
        NAMING_INSERTS[how]({"organization": pair.b})
    for scope, count in ((pair.in_a, 0), (pair.in_b, 1)):
        with scope():
            assert Student.select().where(Student.first_name == "new").count() == count


def test_get_or_create_makes_a_row_of_the_organization_it_names(pair):
    names = {"first_name": "got", "last_name": "or created"}
    with pair.privileged():
        first, again = (Student.get_or_create(**names, organization=pair.b) for _ in range(2))
        other, created = Student.get_or_create(**names, organization=pair.a)
    assert (first[1], again, created) == (True, (first[0], False), True)
    assert (first[0].organization_id, other.organization_id) == (pair.b.id, pair.a.id)


def test_one_row_without_an_organization_keeps_all_from_being_written(pair):
    row = {"first_name": "new", "last_name": "new"}
    named = row | {"organization": pair.a}
    with pair.privileged(), pair.nothing_sent():
        for attempt in (
            lambda: Student.insert_many([named, row]).execute(),
            lambda: Student.insert_many([named, named | {"organization": None}]).execute(),
            lambda: Student.insert_many([(pair.a, "n", "n"), (None, "n", "n")], ["organization", *row]).execute(),
            lambda: Student.bulk_create([Student(**named), Student(**row)]),
        ):
            with pytest.raises(TenantNotSetError):
                attempt()


def test_a_foreign_key_cannot_cross_organizations(pair):
    with pair.in_b():
        theirs = User.create(email="theirs@example.org")
    with pair.privileged(), pytest.raises(ReferenceNotFoundError):
        Student.create(first_name="x", last_name="x", organization=pair.a, primary_contact=theirs.id)
    with pair.privileged(), pytest.raises(CrossTenantError):
        Student(first_name="x", last_name="x", organization=pair.a, primary_contact=theirs)


def privileged_student(pair):
    return Student.get((Student.id == pair.base) & (Student.organization == pair.a))


def test_saving_an_instance_writes_its_own_row(pair):
    with pair.b_untouched(), pair.privileged():
        row = privileged_student(pair)
        row.first_name = "saved"
        assert row.save() == 1
        row.first_name = Student.last_name
        assert row.save() == 1
        assert privileged_student(pair).first_name == "Paz 0"


def test_a_bulk_update_writes_the_instances_own_rows(pair):
    with pair.b_untouched(), pair.privileged():
        row = privileged_student(pair)
        row.first_name = "saved"
        assert Student.bulk_update([row], ["first_name"]) == 1
    with pair.privileged():
        rows = list(of_pair(Student.select(), pair, Student))
        for row in rows:
            row.first_name = f"bulk {row.organization_id}"
        assert Student.bulk_update(rows, [Student.first_name]) == 2
        names = [row.first_name for row in of_pair(Student.select(), pair, Student)]
        assert names == [f"bulk {pair.a.id}", f"bulk {pair.b.id}"]


def test_deleting_an_instance_deletes_its_own_row(pair):
    with pair.b_untouched(), pair.privileged():
        row = Like.get((Like.id == pair.base) & (Like.organization == pair.a))
        assert row.delete_instance() == 1


def test_deleting_recursively_deletes_what_names_the_row_and_nothing_else(pair):
    """Posts of A's user have ids that B's posts of another user have too, and likes hang on both."""
    base = pair.base
    with pair.in_a():
        User.create(id=base + 1, email="second@example.org")
        kept = Post.create(id=base + 1, user=base + 1, content="kept")
        Like.create(id=base + 1, user=base + 1, post=kept)
    with pair.in_b():
        Post.create(id=base + 1, user=base, content="theirs")
    with pair.b_untouched(), pair.privileged():
        user = User.get((User.id == base) & (User.organization == pair.a))
        statements = [(node, key) for node, key in user.dependencies() if key.model in (Post, Like)]
        for node, key in statements:
            key.model.delete().where(node).execute()
    with pair.in_a():
        assert [post.content for post in Post] == ["kept"]
        assert [like.id for like in Like] == [base + 1]


def test_a_recursive_delete_of_a_post_takes_its_likes_only(pair):
    with pair.b_untouched(), pair.privileged():
        post = Post.get((Post.id == pair.base) & (Post.organization == pair.a))
        assert post.delete_instance(recursive=True) == 1
    with pair.in_a():
        assert (Post.select().count(), Like.select().count()) == (0, 0)


def test_dependents_are_found_by_the_column_that_their_key_refers_to(pair):
    """An appointment names its professional by the user's id, not by the profile's."""
    with pair.in_a():
        other = User.create(email="other@example.org")
        Professional.create(id=pair.base + 9, user=other)
        values = {"student": pair.base, "client": pair.base, "scheduled_at": START}
        booked = Appointment.create(professional=other.id, **values)
        found = [
            [row.id for row in Appointment.select().where(node)]
            for node, key in other.dependencies()
            if key is Appointment.professional
        ]
    assert found == [[booked.id]]


@pytest.mark.slow
@walked(
    "write",
    [
        lambda key: Student.set_by_id(key, {"first_name": "both"}),
        lambda key: Student.__class__.__setitem__(Student, key, {"first_name": "both"}),
        lambda key: Like.delete_by_id(key),
        lambda key: Like.__class__.__delitem__(Like, key),
    ],
    anew="pair",
)
def test_a_write_by_an_id_that_several_organizations_have_is_undone(pair, write):
    before = pair.snapshot()
    with pair.privileged(), pytest.raises(CrossTenantError, match="several organizations"):
        write(pair.base)
    assert pair.snapshot() == before


def test_a_write_by_an_id_that_one_organization_has_is_done(pair):
    with pair.in_b():
        only = Student.create(first_name="only", last_name="only")
    with pair.privileged():
        assert Student.set_by_id(only.id, {"first_name": "set"}) == 1
        assert Student.get_by_id(only.id).first_name == "set"
        assert Student.delete_by_id(only.id) == 1


def test_a_tenant_inside_privileged_work_is_scoped_again(pair):
    query = Student.select()
    with pair.privileged():
        assert len(query) >= 2
        with pair.in_a():
            assert [row.first_name for row in query] == ["ours"]
            assert Student.get_by_id(pair.base).first_name == "ours"
    with pytest.raises(TenantNotSetError):
        len(query)

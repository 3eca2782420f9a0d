"""Acceptance: two databases in one process. Ids coincide, and neither takes the other's rows or organizations."""

import copy
import pickle
from dataclasses import dataclass
from datetime import timedelta
from typing import Any

import pytest
from psycopg2.extensions import parse_dsn

from rayces_core import (
    Appointment,
    CrossTenantError,
    Database,
    Organization,
    Post,
    Professional,
    Student,
    UnknownTenantError,
    User,
    credits,
    exporting,
    scheduling,
)
from rayces_core.database.binding import database as bound
from tests.factory import (
    START,
    make_appointment,
    make_post,
    make_professional,
    make_student,
    make_transaction,
    make_user,
)
from tests.walking import walked

NAMES = {"first_name": "x", "last_name": "x"}


@dataclass
class World:
    db: Database
    organization: Organization
    user: User
    student: Student
    post: Post
    professional: Professional
    appointment: Appointment
    transaction: Any


def populated(db):
    organization = db.create_organization("Twin", subdomain="twin")
    with db.tenant(organization):
        user = make_user(email="twin@example.org")
        student = make_student(first_name=parse_dsn(db.url)["dbname"], primary_contact=user)
        post = make_post(user=user)
        professional = make_professional()
        appointment = make_appointment(professional=professional, student=student, client=user)
        transaction = make_transaction()
        return World(db, organization, user, student, post, professional, appointment, transaction)


@pytest.fixture(scope="module")
def worlds(create_database, template):
    with Database.connect(create_database(template)) as eu, Database.connect(create_database(template)) as ar:
        yield populated(eu), populated(ar)


@pytest.fixture(scope="module")
def eu(worlds):
    return worlds[0]


@pytest.fixture(scope="module")
def ar(worlds):
    return worlds[1]


def rows(world):
    with world.db.privileged(reason="test"):
        return {
            model: sorted(model.select().tuples())
            for model in (Organization, User, Student, Post, Professional, Appointment)
        }


@pytest.fixture
def nothing_written(ar):
    before = rows(ar)
    yield
    assert rows(ar) == before


def test_the_ids_of_the_two_coincide(eu, ar):
    for name in ("organization", "user", "student", "post", "appointment"):
        assert getattr(eu, name).id == getattr(ar, name).id


def changed(student):
    student.last_name = "CHANGED"
    return student


# Each is given the world whose rows are not the bound one's, and the bound one.
USES = {
    "save": lambda other, _: changed(other.student).save(),
    "save of nothing": lambda other, _: copy.copy(other.post).save(),
    "save as new": lambda other, _: other.student.save(force_insert=True),
    "delete_instance": lambda other, _: other.post.delete_instance(),
    "delete_instance, recursive": lambda other, _: other.post.delete_instance(recursive=True),
    "bulk_create": lambda other, _: Student.bulk_create([other.student]),
    "bulk_update": lambda other, _: Student.bulk_update([changed(other.student)], ["last_name"]),
    "relation": lambda other, _: Student.get_by_id(other.student.id) and fresh(other).primary_contact,
    "organization": lambda other, _: fresh(other).organization,
    "back-reference": lambda other, _: list(other.user.posts),
    "assigned relation": lambda other, bound: setattr(fresh(bound), "primary_contact", other.user),
    "assigned organization": lambda other, bound: setattr(fresh(bound), "organization", other.organization),
    "new row with a relation": lambda other, _: Student.create(**NAMES, primary_contact=other.user),
    "new row with an organization": lambda other, _: Student.create(**NAMES, organization=other.organization),
    "insert": lambda other, _: Student.insert(**NAMES, primary_contact=other.user).execute(),
    "insert with an organization": lambda other, _: Student.insert(**NAMES, organization=other.organization).execute(),
    "insert_many": lambda other, _: Student.insert_many([NAMES | {"primary_contact": other.user}]).execute(),
    "insert_many of tuples": lambda other, _: Student.insert_many(
        [("x", "x", other.organization)], fields=[Student.first_name, Student.last_name, Student.organization]
    ).execute(),
    "update": lambda other, _: Student.update(primary_contact=other.user).execute(),
    "where": lambda other, _: list(Student.select().where(Student.primary_contact == other.user)),
    "where in": lambda other, _: list(Student.select().where(Student.primary_contact.in_([other.user]))),
    "where with more": lambda other, _: list(
        Student.select().where((Student.primary_contact == other.user) | Student.grade_level.is_null())
    ),
    "where the id": lambda other, _: list(Student.select().where(Student.id == other.student)),
    "where the organization": lambda other, _: list(Student.select().where(Student.organization == other.organization)),
    "filter": lambda other, _: list(Student.filter(primary_contact=other.user)),
    "get_or_create": lambda other, _: Student.get_or_create(primary_contact=other.user),
    "delete where": lambda other, _: Post.delete().where(Post.user == other.user).execute(),
    "event": lambda other, _: other.appointment.pre_confirm(),
    "event by": lambda other, bound: bound.appointment.pre_confirm(by=other.user),
    "event of a student": lambda other, _: other.student.apply(),
    "history": lambda other, _: list(other.appointment.history()),
    "credits.balance": lambda other, _: credits.balance(other.user),
    "credits.statement": lambda other, _: credits.statement(other.user, START, START + timedelta(days=1)),
    "credits.purchase": lambda other, _: credits.purchase(other.user, 5),
    "credits.complete": lambda other, _: credits.complete(other.transaction),
    "credits.fail": lambda other, _: credits.fail(other.transaction, "declined"),
    "credits.debit": lambda other, bound: credits.debit(bound.user, 1, appointment=other.appointment),
    "credits.verify": lambda other, _: credits.verify(other.organization),
    "scheduling.free_slots": lambda other, _: list(
        scheduling.free_slots(other.professional, START, START + timedelta(days=1))
    ),
    "scheduling.book": lambda other, bound: scheduling.book(
        professional=other.professional, student=bound.student, client=bound.user, scheduled_at=START
    ),
    "scheduling.book for a student": lambda other, bound: scheduling.book(
        professional=bound.professional, student=other.student, client=bound.user, scheduled_at=START
    ),
    "scheduling.book by": lambda other, bound: scheduling.book(
        professional=bound.professional, student=bound.student, client=bound.user, scheduled_at=START, by=other.user
    ),
    "scheduling.reschedule": lambda other, _: scheduling.reschedule(other.appointment, START + timedelta(hours=3)),
    "exporting.person": lambda other, _: exporting.person(other.user, "nowhere.json"),
    "scope": lambda other, _: list(Appointment.for_professional(other.professional)),
    "scope of a professional's user": lambda other, _: list(Appointment.for_professional(other.user)),
    "scope of a user": lambda other, _: list(Appointment.upcoming().for_client(other.user)),
}


def fresh(world):
    """The student, without relations that are read already."""
    row = copy.copy(world.student)
    row.__rel__ = {}
    return row


@pytest.mark.usefixtures("nothing_written")
@walked("how", USES)
def test_a_row_of_another_database_is_refused(eu, ar, how):
    with ar.db.tenant("twin"), pytest.raises(CrossTenantError, match="of another database"):
        USES[how](eu, ar)


@pytest.mark.usefixtures("nothing_written")
@walked("how", ["save", "delete_instance", "bulk_update", "relation", "back-reference"])
def test_privileged_work_refuses_it_as_well(eu, ar, how):
    with ar.db.privileged(reason="test"), pytest.raises(CrossTenantError, match="of another database"):
        USES[how](eu, ar)


def test_a_tenant_is_not_bound_by_the_organization_of_another_database(eu, ar):
    with eu.db.tenant("twin") as looked_up:
        read = Organization.get_by_id(looked_up.id)
    for organization in (eu.organization, looked_up, read):
        with pytest.raises(UnknownTenantError, match="another database"), ar.db.tenant(organization):
            pass
        with eu.db.tenant(organization) as bound:
            assert bound is organization


def test_a_tenant_looked_up_in_a_block_of_another_database_is_ones_own(eu, ar):
    with eu.db.tenant("twin"), ar.db.tenant("twin") as inner:
        assert Student.get_by_id(ar.student.id).organization == inner
    with ar.db.tenant(inner):
        assert Student.select().count() == 1


# How rows come to be: each gives rows that know where they are from.
READS = {
    "select": lambda: list(Student.select()),
    "select some": lambda: list(Student.select(Student.id, Student.last_name)),
    "get_by_id": lambda: [Student.get_by_id(Student.get().id)],
    "iterator": lambda: list(Student.select().iterator()),
    "raw": lambda: list(Student.raw("SELECT * FROM students")),
    "joined": lambda: [
        row.primary_contact for row in Student.select(Student, User).join(User, on=Student.primary_contact)
    ],
    "outer side": lambda: list(Student.select(Student, User).join(User, on=Student.primary_contact)),
    "related": lambda: [Student.get().primary_contact],
    "back-reference": lambda: list(User.get(User.email == "twin@example.org").posts),
    "prefetch": lambda: [post for user in User.select().prefetch(Post) for post in user.posts],
    "with_related": lambda: [row.primary_contact for row in Student.select().with_related(Student.primary_contact)],
    "union": lambda: list(Student.select() | Student.select()),
    "alias": lambda: list(Student.alias().select()),
    "objects": lambda: list(Student.select().objects()),
    "returning": lambda: list(Student.update(last_name="y").returning(Student)),
    "created": lambda: [Student.create(**NAMES)],
    "saved": lambda: [saved(Student(**NAMES))],
    "created in bulk": lambda: created_in_bulk(),
    "moved": lambda: Appointment._from_rows(*all_columns()),
}


def saved(row):
    row.save()
    return row


def created_in_bulk():
    made = [Student(**NAMES), Student(**NAMES)]
    Student.bulk_create(made)
    return made


def all_columns():
    cursor = bound.execute(Appointment.select())
    return cursor.description, cursor.fetchall()


@walked("how", READS)
def test_every_row_knows_its_database_however_it_was_read(eu, ar, how):
    with eu.db.tenant("twin"), eu.db.atomic() as unit:
        got = READS[how]()
        unit.rollback()
    assert got
    with ar.db.tenant("twin"):
        for row in got:
            with pytest.raises(CrossTenantError, match="of another database"):
                row.save()


def test_a_row_that_was_not_saved_yet_is_of_no_database(eu, ar):
    new = Student(**NAMES)
    with ar.db.tenant("twin"), ar.db.atomic() as unit:
        new.save()
        unit.rollback()


def test_a_copy_knows_what_the_row_knew(eu, ar):
    for copied in (copy.copy(eu.student), copy.deepcopy(eu.student)):
        with ar.db.tenant("twin"), pytest.raises(CrossTenantError, match="of another database"):
            changed(copied).save()


def test_a_pickled_row_knows_its_organization_only(eu, ar):
    thawed = pickle.loads(pickle.dumps(eu.student))
    assert (thawed, thawed.__data__) == (eu.student, eu.student.__data__)
    for world in (eu, ar):
        with world.db.tenant("twin"), world.db.atomic() as unit:
            assert changed(thawed).save() == 1
            unit.rollback()
        with world.db.privileged(reason="test"):
            elsewhere = world.db.create_organization("Other", subdomain="other") if world is ar else None
    with ar.db.tenant(elsewhere), pytest.raises(CrossTenantError):
        changed(thawed).save()
    with ar.db.privileged(reason="test"):
        elsewhere.delete_instance()


def test_rows_of_equal_ids_are_equal_only_within_one_database_and_organization(eu, ar):
    assert eu.student != ar.student
    assert len({eu.student, ar.student}) == 2
    with eu.db.tenant("twin"):
        assert Student.get_by_id(eu.student.id) == eu.student
    one, another = Student(id=5, organization=1), Student(id=5, organization=2)
    assert one != another
    assert one == Student(id=5, organization=1) == Student(id=5)


def test_a_query_is_run_by_whoever_is_bound(eu, ar):
    query = Student.select(Student.first_name).tuples()
    seen = []
    for world in (eu, ar, eu):
        with world.db.tenant("twin"):
            seen.append(list(query))
    assert seen[0] == seen[2] != seen[1]


def test_a_unit_of_one_is_undone_without_the_others(eu, ar):
    with eu.db.tenant("twin"), pytest.raises(KeyError), eu.db.atomic():
        with ar.db.tenant("twin"):
            made = Student.create(**NAMES)
        Student.create(**NAMES)
        raise KeyError
    with ar.db.tenant("twin"):
        assert made.delete_instance() == 1
    with eu.db.tenant("twin"):
        assert Student.select().count() == 1


def test_two_objects_of_one_database_share_its_rows(eu):
    with Database.connect(eu.db.url, application_name="another") as again, again.tenant(eu.organization):
        assert Student.get_by_id(eu.student.id) == eu.student
        with again.atomic() as unit:
            assert changed(copy.copy(eu.student)).save() == 1
            unit.rollback()

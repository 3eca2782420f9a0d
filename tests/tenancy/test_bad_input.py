"""Input that cannot be meant: a typed error that names the field, and nothing is written."""

import pytest

from rayces_core import InvalidDataError, Student, User
from tests.factory import make_student, make_user
from tests.walking import walked


@pytest.fixture(autouse=True)
def bound(db, a):
    with db.tenant(a):
        yield


WITH_UNKNOWN_NAMES = {
    "create": lambda: Student.create(first_name="a", last_name="b", nope=1),
    "instance": lambda: Student(nope=1),
    "insert": lambda: Student.insert(nope=1).execute(),
    "insert dict": lambda: Student.insert({"nope": 1}).execute(),
    "insert_many": lambda: Student.insert_many([{"first_name": "a", "last_name": "b", "nope": 1}]).execute(),
    "update": lambda: Student.update(nope=1).execute(),
    "update dict": lambda: Student.update({"nope": 1}).execute(),
    "set_by_id": lambda: Student.set_by_id(1, {"nope": 1}),
    "save only": lambda: Student(first_name="a", last_name="b").save(only=["nope"]),
}


@walked("write", WITH_UNKNOWN_NAMES.values())
def test_a_name_that_is_no_field_is_refused(write):
    with pytest.raises(InvalidDataError, match="no such field") as caught:
        write()
    assert caught.value.field == "Student.nope"
    assert Student.select().count() == 0


@walked("how", [how for how in WITH_UNKNOWN_NAMES if how != "save only"])
def test_a_name_that_is_no_field_is_told_with_its_value(how):
    with pytest.raises(InvalidDataError) as caught:
        WITH_UNKNOWN_NAMES[how]()
    assert caught.value.value == 1


def test_an_update_of_nothing_is_refused_and_touches_nothing():
    before = make_student().updated_at
    for update in (lambda: Student.update(), lambda: Student.update({})):
        with pytest.raises(InvalidDataError, match="nothing to write"):
            update()
    assert Student.get().updated_at == before


def test_a_related_row_that_was_never_saved_is_refused():
    student = Student(first_name="a", last_name="b", primary_contact=User(email="x@example.org"))
    for write in (student.save, lambda: Student.bulk_create([student])):
        with pytest.raises(InvalidDataError, match="not saved yet"):
            write()
    assert Student.select().count() == 0
    student.primary_contact.save()
    student.save()
    assert Student.get_by_id(student.id).primary_contact_id == student.primary_contact.id


def test_a_row_of_another_table_does_not_stand_for_its_id():
    student = make_student(primary_contact=make_user())
    for query in (
        lambda: list(Student.select().where(Student.primary_contact == student)),
        lambda: list(Student.select().where(~(Student.primary_contact == student))),
        lambda: list(Student.select().where(Student.primary_contact.in_([student]))),
        lambda: Student.update(primary_contact=student).execute(),
    ):
        with pytest.raises(InvalidDataError, match="must be a User, not a Student"):
            query()


@walked("batch_size", [0, -1])
def test_a_batch_size_below_one_is_refused(batch_size):
    with pytest.raises(InvalidDataError, match="batch_size"):
        Student.bulk_create([Student(first_name="a", last_name="b")], batch_size=batch_size)


def test_bulk_create_writes_all_batches_or_none():
    good = [Student(first_name=str(n), last_name="x") for n in range(4)]
    with pytest.raises(InvalidDataError):
        Student.bulk_create([*good, Student(first_name=5, last_name="x")], batch_size=2)
    assert Student.select().count() == 0


def test_bulk_create_keeps_the_ids_that_are_given(b):
    mixed = [Student(id=10**9 + b.id, first_name="given", last_name="x"), Student(first_name="made", last_name="x")]
    Student.bulk_create(mixed)
    assert mixed[0].id == 10**9 + b.id
    assert {row.id: row.first_name for row in Student} == {row.id: row.first_name for row in mixed}


def test_bulk_update_does_not_write_what_it_has_not_read():
    make_student(grade_level="7")
    partly = list(Student.select(Student.id, Student.first_name))
    with pytest.raises(InvalidDataError, match="not read"):
        Student.bulk_update(partly, [Student.grade_level])
    assert Student.get().grade_level == "7"

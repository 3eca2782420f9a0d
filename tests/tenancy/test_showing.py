"""What notebooks show of queries, rows and models, and which names completion offers."""

import pytest
from peewee import SQL, fn

from rayces_core import Appointment, Organization, Student, TenantModel, User
from rayces_core.fields import StringField
from rayces_core.models import Credential, WebhookEndpoint
from rayces_core.tenancy.showing import ROWS, shown_query
from tests.factory import make_appointment, make_student, make_user


def text(query: object) -> str:
    return shown_query(query)["text/plain"]


@pytest.fixture
def students(db, a):
    with db.tenant(a):
        for name in ("Ada", "Eva", "<b>Ina</b>"):
            make_student(first_name=name, last_name="X")
        yield Student.select(Student.first_name).order_by(Student.id)


# -- queries ----------------------------------------------------------------------------------------------------------


def test_a_query_is_shown_as_its_first_rows_and_their_number(students):
    assert text(students) == "first_name\nAda\nEva\n<b>Ina</b>\n3 rows"
    assert "&lt;b&gt;Ina&lt;/b&gt;" in students._repr_html_()
    assert "<b>Ina" not in students._repr_html_()
    assert text(students.limit(1)) == "first_name\nAda\n1 row"
    assert "no rows" in text(students.where(Student.first_name == "nobody"))
    bulk = [Student(first_name=f"S{number}", last_name="X") for number in range(ROWS)]
    Student.bulk_create(bulk)
    assert text(students).endswith("13 rows, the first 10 of them")
    assert text(students.limit(12)).endswith("12 rows, the first 10 of them")


def test_counting_goes_only_so_far(students, monkeypatch):
    monkeypatch.setattr("rayces_core.tenancy.showing.COUNTED", 2)
    monkeypatch.setattr("rayces_core.tenancy.showing.ROWS", 1)
    assert text(students).endswith("more than 2 rows, the first 1 of them")


def test_queries_of_every_kind_that_reads_are_shown(db, a):
    with db.tenant(a):
        appointment = make_appointment()
        joined = Appointment.select(Appointment.id, User.first_name).join(User, on=Appointment.client)
        assert text(joined).splitlines()[0].split() == ["id", "first_name"]
        counted = Appointment.select(Appointment.state, fn.COUNT(SQL("1")).alias("n")).group_by(Appointment.state)
        assert text(counted).splitlines()[1].split() == [appointment.state, "1"]
        for query in (counted.tuples(), counted.dicts(), counted.namedtuples(), Appointment.upcoming()):
            assert "row" in text(query)
        united = Student.select(Student.id) | Student.select(Student.id)
        assert text(united).endswith("1 row")
        assert text(Student.select().with_related(Student.organization) if False else Student.select()).endswith(
            "1 row"
        )


def test_a_user_sees_what_visible_to_leaves(db, a):
    with db.tenant(a):
        make_appointment()
        assert "no rows" in text(Appointment.visible_to(make_user()))


def test_what_writes_or_locks_is_not_run(students):
    marked = Student.update(first_name="gone").returning(Student.id)
    for query in (
        marked,
        Student.delete(),
        Student.insert(first_name="New", last_name="X"),
        Student.insert_many([{"first_name": "New", "last_name": "X"}]).returning(Student.id),
        Student.raw("DELETE FROM students RETURNING *"),
        Student.select().for_update(),
        Student.select() | Student.select().for_update(),
    ):
        assert "not run" in text(query), query
        assert "not run" in query._repr_html_()
    assert [student.first_name for student in students] == ["Ada", "Eva", "<b>Ina</b>"]


def test_a_query_that_fails_says_so_and_leaves_the_unit_of_work_whole(db, students):
    wrong = Student.select(SQL("1 / 0"))
    with db.atomic():
        Student.update(grade_level="4").execute()
        assert "division by zero" in text(wrong)
        assert Student.select().where(Student.grade_level == "4").count() == 3


def test_without_a_tenant_that_is_what_is_shown(db, a, b):
    with db.tenant(a):
        make_student(first_name="Ada")
        query = Student.select()
        assert "Ada" in text(query)
    assert "no tenant is bound" in text(query)
    with db.tenant(b):
        assert "no rows" in text(query)
    with db.privileged(reason="look"):
        assert "Ada" in text(query.where(Student.first_name == "Ada").order_by(-Student.id))


def test_what_is_named_like_a_secret_is_only_said_to_be_there(db, a):
    with db.tenant(a):
        user = make_user()
        hashed = "$argon2id$v=19$m=8,t=1,p=1$c2FsdHNhbHQ$aGFzaGhhc2g"
        credential = Credential.create(user=user, password_hash=hashed, password_changed_at=user.created_at)
        endpoint = WebhookEndpoint(url="https://example.org", secrets=["whsec_" + "a" * 32])
        shown = [User.select()._repr_html_(), user._repr_html_(), credential._repr_html_(), endpoint._repr_html_()]
        shown += [text(User.select()), text(Credential.select())]
    for each in shown:
        assert user.jti not in each
        assert hashed not in each
        assert "whsec_" not in each
        assert "…" in each


# -- rows, models, names ----------------------------------------------------------------------------------------------


def test_a_row_is_shown_as_it_is_in_memory_and_asks_nothing(db, a):
    with db.tenant(a):
        row = make_appointment(notes="Ada & Co", metadata={"room": 3})
    seen = []
    observer = db.on_query(seen.append)
    shown = row._repr_html_()
    db._tenants.observers.remove(observer)
    db._admins.observers.remove(observer)
    assert "Ada &amp; Co" in shown
    assert "{&quot;room&quot;: 3}" in shown
    assert seen == []
    assert "first_name" in Student(first_name="new")._repr_html_()
    assert a.subdomain in a._repr_html_()


def test_a_model_is_shown_by_its_columns():
    for model in (Student, Organization, Appointment):
        shown = model._repr_html_()
        assert all(name in shown for name in model._meta.columns)
    assert "professional_id" in Appointment._repr_html_()


def test_names_that_applications_use_are_offered_and_those_that_drop_tables_are_not():
    dropping = {"drop_table", "truncate_table", "create_table", "add_index", "bind", "bind_ctx", "table_exists", "noop"}
    for shown in (Appointment, Appointment(), Student, Organization, Student.select(), Student.update(first_name="x")):
        names = set(dir(shown))
        assert not names & dropping, shown
        assert {"__class__", "__doc__"} <= names
    assert set(dir(Appointment)) >= {*Appointment._meta.fields, *Appointment.lifecycle.transitions, "select", "create"}
    assert set(dir(Appointment())) >= {*Appointment._meta.fields, "can_confirm", "save", "delete_instance", "history"}
    assert set(dir(Appointment.select())) >= {"where", "order_by", "upcoming", "in_state", "with_people", "dicts"}
    assert hasattr(Appointment, "drop_table")  # it is not taken away


def test_a_hosts_own_model_offers_what_the_host_wrote():
    class Room(TenantModel):
        """A room."""

        name = StringField()

        class Meta:
            table_name = "rooms_to_show"

        def is_free(self) -> bool:
            return True

        def bind(self) -> str:
            return "the host's own"

    assert {"name", "is_free", "bind", "select"} <= set(dir(Room))
    assert "truncate_table" not in dir(Room)
    assert "rooms_to_show" in Room._repr_html_()

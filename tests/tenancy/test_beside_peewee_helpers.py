"""playhouse.shortcuts and playhouse.flask_utils on tenant models beside plain ones, and what is meant to differ."""

import jinja2
import peewee
import pytest
from flask import Flask
from playhouse import flask_utils, shortcuts
from playhouse.flask_utils import PaginatedQuery, get_object_or_404, object_list
from playhouse.shortcuts import (
    dict_to_model,
    insert_where,
    model_to_dict,
    resolve_multimodel_query,
    update_model_from_dict,
)

from rayces_core import InvalidDataError, StateAssignmentError, Student, TenantModel
from rayces_core.models import AdmissionState
from tests.factory import make_organization, make_student
from tests.tenancy.beside import PAIRS, outcome
from tests.walking import walked


def saved(row):
    row.save()
    return type(row).get_by_id(row.id)


SHORTCUTS = {
    "model_to_dict": lambda k, r, s: model_to_dict(s.get_by_id(1)),
    "model_to_dict, not recursive": lambda k, r, s: model_to_dict(s.get_by_id(1), recurse=False),
    "model_to_dict, backrefs": lambda k, r, s: model_to_dict(r.get_by_id(1), backrefs=True),
    "model_to_dict, only": lambda k, r, s: model_to_dict(r.get_by_id(1), only=[r.name]),
    "model_to_dict, exclude": lambda k, r, s: model_to_dict(s.get_by_id(1), exclude=[s.label]),
    "model_to_dict, extra": lambda k, r, s: model_to_dict(
        r.select(r.id, peewee.Value(3).alias("n")).order_by(r.id).get(), only=[r.id], extra_attrs=["n"]
    ),
    "model_to_dict, from a query": lambda k, r, s: model_to_dict(
        (q := r.select(r.id, r.name.concat("!").alias("loud")).order_by(r.id)).get(), only=[r.id], fields_from_query=q
    ),
    "model_to_dict, depth": lambda k, r, s: model_to_dict(s.get_by_id(1), max_depth=0),
    "dict_to_model": lambda k, r, s: dict_to_model(r, {"id": 1, "name": "x", "size": 2}),
    "dict_to_model, saved": lambda k, r, s: saved(dict_to_model(s, model_to_dict(s.get_by_id(1), recurse=False))),
    "dict_to_model, nested": lambda k, r, s: saved(dict_to_model(s, model_to_dict(s.get_by_id(1)))),
    "dict_to_model, backrefs": lambda k, r, s: [
        x.label for x in dict_to_model(r, {"id": 1, "seats": [{"id": 1, "label": [9]}]}).seats
    ],
    "dict_to_model, unknown": lambda k, r, s: (outcome(lambda: dict_to_model(r, {"nope": 1})), 1),
    "dict_to_model, ignored": lambda k, r, s: dict_to_model(r, {"nope": 1}, ignore_unknown=True).nope,
    "update_model_from_dict": lambda k, r, s: saved(update_model_from_dict(s.get_by_id(1), {"label": [3], "room": 2})),
    "insert_where": lambda k, r, s: [
        insert_where(r, {r.name: "w", r.size: peewee.Value(1)}, where=peewee.SQL(condition)).execute()
        for condition in ("true", "false")
    ],
    "resolve_multimodel_query": lambda k, r, s: sorted(
        (type(row).__name__.removeprefix("Plain"), row.id)
        for row in resolve_multimodel_query(r.select(r.id, r.name) | r.select(r.id, r.name).where(r.id == 1))
    ),
}
# Not a way to a result: what would take a model's database away.
OTHERS = {"ReconnectMixin": "a database of one's own", "ThreadSafeDatabaseMetadata": "refused when the class is made"}


def defined_in(module):
    return {name for name, value in vars(module).items() if getattr(value, "__module__", "") == module.__name__}


def test_every_public_helper_is_tried_or_listed():
    assert {name for name in defined_in(shortcuts) if name[0] != "_"} == {
        *(name.split(",")[0] for name in SHORTCUTS),
        *OTHERS,
    }
    assert defined_in(flask_utils) == {"FlaskDB", "PaginatedQuery", "get_object_or_404", "object_list"}
    assert {name for name in dir(PaginatedQuery) if name[0] != "_"} == {
        *("get_object_list", "get_page", "get_page_count", "get_page_range"),
    }


@pytest.mark.slow
@walked("name", SHORTCUTS)
def test_a_shortcut_gives_what_peewee_gives(beside, name):
    tenant, plain = beside.both(SHORTCUTS[name])
    assert tenant == plain
    assert not (isinstance(plain, str) and plain.endswith("Error"))


def test_a_row_as_a_dict_names_its_organization_and_does_not_read_it(beside):
    with beside.db.tenant(beside.organization) as organization:
        row = make_student()
        seen = []
        beside.db.engine.query_hooks.append(seen.append)
        try:
            assert model_to_dict(row)["organization"] == organization.id
        finally:
            beside.db.engine.query_hooks.pop()
        assert seen == []
        assert row.organization.name == organization.name
        assert model_to_dict(row, recurse=False) == model_to_dict(row)


def test_a_whole_row_that_comes_back_from_a_dict_is_saved_in_the_state_it_is_in(beside):
    with beside.db.tenant(beside.organization):
        student = make_student()
        form = model_to_dict(student) | {"first_name": "Sol"}
        assert dict_to_model(Student, form).save() == 1
        assert Student.get_by_id(student.id).first_name == "Sol"
        other = next(state for state in AdmissionState if state != student.admission_state)
        with pytest.raises(StateAssignmentError):
            dict_to_model(Student, form | {"admission_state": other, "first_name": "never"}).save()
        assert dict_to_model(Student, {"id": student.id, "admission_state": student.admission_state}).save() == 1
        assert dict_to_model(Student, form | {"id": 10**12}).save() == 0
        again = Student.get_by_id(student.id)
        assert (again.first_name, again.admission_state) == ("Sol", student.admission_state)


def test_an_alias_that_is_no_field_is_refused_as_any_name_that_is_none(beside):
    """Peewee would set it as an attribute, and a misspelt column of a new row as well."""

    def act(kind, room, seat):
        query = room.select(room.id, room.name.alias("value")) | seat.select(seat.id, peewee.Value("x").alias("value"))
        return [row.value for row in resolve_multimodel_query(query)]

    with beside.fresh(), pytest.raises(InvalidDataError, match="there is no such field"):
        act(*PAIRS["tenant"])
    with beside.fresh():
        _, room, _ = PAIRS["tenant"]
        query = room.select(room.id, room.name.alias("value")) + room.select(room.id, room.name.alias("value"))
        assert all(row.value for row in query)  # a query of one model gives it


# -- flask ------------------------------------------------------------------------------------------------------------


def pages(kind, room, seat):
    """What an application with a list, a row and a paginated query answers."""
    app = Flask(__name__)
    app.jinja_loader = jinja2.DictLoader({
        "list.html": "{{ pagination.get_page() }}/{{ pagination.get_page_count() }}:"
        "{% for row in object_list %} {{ row.name }}{% endfor %}"
    })  # fmt: skip
    query = room.select().order_by(room.id)
    app.add_url_rule("/rooms", "list", lambda: object_list("list.html", query, paginate_by=2))
    app.add_url_rule("/model", "model", lambda: object_list("list.html", room, paginate_by=9))
    app.add_url_rule("/room/<int:pk>", "one", lambda pk: get_object_or_404(room, room.id == pk).name)
    app.add_url_rule("/query/<int:pk>", "query", lambda pk: get_object_or_404(query, room.id == pk).name)

    def paged():
        paginated = PaginatedQuery(query, 2, check_bounds=True)
        shown = " ".join(row.name for row in paginated.get_object_list())
        return f"{shown} {paginated.get_page_range(2, 9)}"

    app.add_url_rule("/paged", "paged", paged)
    client = app.test_client()
    urls = ("/rooms", "/rooms?page=2", "/rooms?page=9", "/rooms?page=x", "/room/1", "/room/99", "/query/2", "/query/99")
    answers = {url: client.get(url) for url in (*urls, "/paged", "/paged?page=3", "/paged?page=4")}
    return {url: (answer.status_code, answer.text[:80]) for url, answer in answers.items()}


@pytest.mark.slow
def test_flasks_lists_pages_and_rows_are_what_peewees_are(beside):
    tenant, plain = beside.both(pages)
    assert tenant == plain
    assert plain["/rooms?page=2"] == ("tuple", "int 200", "2/3: r3 r4")
    assert plain["/room/99"][1] == "int 404"


def test_flaskdb_takes_the_engine_and_a_request_still_needs_its_tenant(beside):
    app = Flask(__name__)
    wrapper = flask_utils.FlaskDB(app, beside.db.engine, model_class=TenantModel)
    assert wrapper.database is beside.db.engine
    app.add_url_rule("/count", "count", lambda: str(Student.select().count()))

    def in_block():
        with beside.db.tenant(make_organization(beside.db)):
            return str(Student.select().count())

    app.add_url_rule("/tenant", "tenant", in_block)
    client = app.test_client()
    assert client.get("/tenant").text == "0"
    assert client.get("/count").status_code == 500

"""A rule that says nothing shows nothing; what rules ask is found by indexes, next to an OR as well."""

from types import SimpleNamespace
from typing import Any

import pytest

from rayces_core import Appointment, Database, Role, Student, User
from rayces_core.errors import TenancyError
from rayces_core.fields import StringField
from rayces_core.models.visibility import readable
from rayces_core.tenancy.model import TenantModel
from tests.conftest import on_server
from tests.factory import START, make_organization, make_professional, make_student, make_user

FAMILIES = 50
SESSIONS = 4000


class Leaflet(TenantModel):
    """A host's table, with one rule after the other."""

    text = StringField()


@pytest.mark.parametrize("said", [None, 1, 0, "", "text", [], (), [True], Leaflet], ids=repr)
def test_what_is_no_condition_shows_nothing_and_is_told(db: Any, a: Any, said: Any) -> None:
    readable(Leaflet, lambda _model, _user: said)
    with db.tenant(a):
        admin = make_user(role=Role.ADMIN)
        with pytest.raises(TenancyError, match="condition, True or False"):
            Leaflet.visible_to(admin)


@pytest.mark.parametrize(
    "rule",
    [
        lambda model, user: model.text == user.email,
        lambda model, _user: model.text.is_null(),
        lambda model, _user: ~(model.text == "x"),
        lambda model, user: (model.text == "x") & user.is_admin,
    ],
)
def test_conditions_of_every_kind_are_taken(db: Any, a: Any, rule: Any) -> None:
    readable(Leaflet, rule)
    with db.tenant(a):
        assert "text" in Leaflet.visible_to(make_user()).sql()[0].split("WHERE")[-1]


@pytest.fixture(scope="module")
def busy(create_database: Any, template: str) -> Any:
    """An organization with many sessions, few of which are of the asked family or professional.

    In a database of its own: plans depend on all that is in a table.
    """
    with Database.connect(create_database(template)) as db, db.tenant(organization := make_organization(db)):
        parents = [make_user() for _ in range(FAMILIES)]
        professionals = [make_professional() for _ in range(FAMILIES)]
        children = [make_student(secondary_contact=parent) for parent in parents]
        # Written by the server itself: a second less than as many rows from here.
        db.execute_sql(
            "INSERT INTO appointments (organization_id, professional_id, student_id, client_id, scheduled_at,"
            " created_at, updated_at)"
            " SELECT %s, (%s::bigint[])[1 + n %% %s], (%s::bigint[])[1 + n %% %s], (%s::bigint[])[1 + (n + 1) %% %s],"
            " %s::timestamptz + 2 * (n / %s) * interval '1 hour', now(), now() FROM generate_series(0, %s) AS n",
            (
                *(organization.id, [one.user_id for one in professionals], FAMILIES),
                *([one.id for one in children], FAMILIES, [one.id for one in parents], FAMILIES),
                *(START, FAMILIES, SESSIONS - 1),
            ),
        )
        on_server(db.url, "ANALYZE appointments, students, users, professionals")  # the admin role may not
        yield SimpleNamespace(db=db, parent=parents[0], professional=professionals[0].user)


@pytest.mark.slow
@pytest.mark.parametrize("model", [Appointment, Student, User], ids=lambda model: model.__name__)
@pytest.mark.parametrize("who", ["parent", "professional"])
def test_no_list_of_a_family_or_professional_reads_all_sessions_of_the_organization(
    busy: Any, model: Any, who: str
) -> None:
    sql, parameters = model.visible_to(getattr(busy, who)).sql()
    plan = "\n".join(
        row[0] for row in busy.db.execute_sql(f"EXPLAIN (ANALYZE, TIMING OFF) {sql}", parameters).fetchall()
    )
    assert "Seq Scan on appointments" not in plan, plan
    assert "SubPlan" not in plan, plan
    thrown = [int(line.split(":")[1]) for line in plan.splitlines() if "Rows Removed by Filter" in line]
    assert sum(thrown) < SESSIONS / 4, plan

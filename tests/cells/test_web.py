"""Web applications and jobs over cells: what is given to them is Cells instead of a Database."""

import asyncio
from collections.abc import Iterator
from datetime import timedelta

import pytest
from fastapi import FastAPI
from fastapi.testclient import TestClient
from flask import Flask

from rayces_core import Database, DatabaseUnreachableError, EventLoopError, Student
from rayces_core.cells import Cells
from rayces_core.errors import CellError, TenantNotCachedError, TenantNotSetError, UnknownTenantError
from rayces_core.integrations import fastapi, flask, jobs
from tests.cells.conftest import make_tenant
from tests.factory import make_student, make_user

NOBODY = "postgresql://nobody@127.0.0.1:9/nothing"


@pytest.fixture
def hasty_cells(cells: Cells) -> Iterator[Cells]:
    """The shared cells as another process has them; no look-up is believed a moment later."""
    with Cells({name: each.url for name, each in cells.items()}, catalogue="a", trusted_seconds=30) as made:
        yield made


@pytest.fixture
def web_cells(hasty_cells: Cells, monkeypatch: pytest.MonkeyPatch) -> Cells:
    """The same where look-ups are good for 30 seconds, which the shared catalogue does not say."""
    find = hasty_cells._catalogue.find
    monkeypatch.setattr(hasty_cells._catalogue, "find", lambda key: (find(key)[0], 30.0))
    return hasty_cells


@pytest.fixture
def south(cells: Cells):
    return make_tenant(cells, cell="b")


def on_fastapi(cells: Cells) -> TestClient:
    app = FastAPI()
    rayces = fastapi.Rayces(cells, header="X-Tenant", secret="s" * 32)
    rayces.install(app)

    @app.get("/students")
    def students() -> list[str]:
        return [student.first_name for student in Student.select()]

    @app.post("/students")
    def add() -> str:
        return make_student(first_name="Added").first_name

    @app.get("/loop")
    async def on_the_loop() -> int:
        return Student.select().count()

    return TestClient(app, raise_server_exceptions=False)


def on_flask(cells: Cells):
    app = Flask("tests")
    flask.Rayces(cells, header="X-Tenant", secret="s" * 32).install(app)

    @app.get("/students")
    def students():
        return [student.first_name for student in Student.select()]

    return app.test_client()


def named(tenant) -> dict[str, str]:
    return {"X-Tenant": tenant.subdomain}


@pytest.mark.slow
@pytest.mark.parametrize("trusting", ["hasty_cells", "web_cells"])
@pytest.mark.parametrize("make", [on_fastapi, on_flask])
def test_a_request_is_served_in_the_cell_of_its_tenant(make, trusting, cells, north, south, request):
    for tenant, name in ((north, "Luz"), (south, "Sol")):
        with cells.tenant(tenant):
            make_student(first_name=name)
    client = make(request.getfixturevalue(trusting))
    for _ in range(2):  # looked up, then known
        for tenant, name in ((north, "Luz"), (south, "Sol")):
            answer = client.get("/students", headers=named(tenant))
            assert (answer.status_code, name in answer.text) == (200, True)
            answer.close()
    assert client.get("/students", headers={"X-Tenant": "nobody"}).status_code == 404
    with pytest.raises(TenantNotSetError):
        Student.select().count()


def test_what_is_known_is_bound_without_a_query_and_what_is_not_says_so(web_cells, north, monkeypatch):
    with pytest.raises(TenantNotCachedError):
        web_cells.known_tenant(north.subdomain).found()
    assert web_cells.looking_up(1)(north.subdomain) == north
    monkeypatch.setattr(web_cells._catalogue, "find", None)
    with web_cells.known_tenant(north.subdomain) as organization:
        assert organization() == north
        assert web_cells["a"].organization_id == north.id
    with web_cells.tenant(north, cached_only=True) as found:
        assert found == north
    with Database.connect(web_cells["a"].url) as another, another.tenant(north.id) as known:
        pass
    unread = known.__class__(id=north.id)
    with pytest.raises(UnknownTenantError, match="none of these cells"):
        web_cells.tenant(unread, cached_only=True).found()


def test_unknown_names_are_remembered_too(web_cells):
    assert web_cells.looking_up(1)("nobody") is None
    with pytest.raises(UnknownTenantError):
        web_cells.known_tenant("nobody").found()


@pytest.mark.slow
def test_a_tenant_that_was_moved_meanwhile_is_served_where_it_lives(cells, web_cells, north):
    with cells.tenant(north):
        make_student(first_name="Luz")
    with on_fastapi(web_cells) as client:
        assert client.get("/students", headers=named(north)).json() == ["Luz"]
        for to, back in (("b", "a"), ("a", "b")):
            cells.move(north.subdomain, to=to)
            web_cells._known.forget()  # as after `trusted_seconds`, for which the move has waited
            assert client.post("/students", headers=named(north)).status_code == 200, f"{back} to {to}"
            cells.finish_move(north.subdomain, grace=timedelta(0))
            assert len(client.get("/students", headers=named(north)).json()) == (2 if to == "b" else 3)


@pytest.mark.slow
def test_a_tenant_that_is_being_moved_is_read_and_told_to_write_later(cells, web_cells, north):
    client = on_fastapi(web_cells)

    def asks(said: str) -> None:
        if said.startswith("comparing"):
            assert client.get("/students", headers=named(north)).status_code == 200
            answer = client.post("/students", headers=named(north))
            assert (answer.status_code, answer.headers["Retry-After"]) == (503, "1")
            told.append(said)

    told: list[str] = []
    cells.move(north.subdomain, to="b", progress=asks)
    assert told


@pytest.mark.slow
def test_no_cell_is_asked_on_an_event_loop(web_cells, north):
    client = on_fastapi(web_cells)
    answer = client.get("/loop", headers=named(north))
    assert (answer.status_code, answer.json()["code"]) == (500, "internal_error")

    async def asks() -> None:
        with web_cells.tenant(north):
            pass

    web_cells.forget_tenants()
    with pytest.raises(EventLoopError):
        asyncio.run(asks())


def test_it_is_ready_while_one_cell_answers(cells):
    with (
        Database.connect(cells["a"].url) as well,
        Cells({"gone": NOBODY, "a": well}, catalogue="a") as some,
        Cells({"gone": NOBODY}, catalogue="gone") as none,
    ):
        assert on_fastapi(some).get("/readyz").status_code == 200
        assert on_fastapi(none).get("/readyz").status_code == 503
        with pytest.raises(DatabaseUnreachableError):
            none.ping(0.5)


def test_a_server_that_stops_has_no_connection_left(web_cells, north):
    with on_fastapi(web_cells) as client:
        client.get("/students", headers=named(north))
        assert web_cells["a"].pool_status().free == 1
    assert web_cells["a"].pool_status().free == 0
    assert web_cells.max_connections == web_cells["b"].max_connections


def test_a_job_is_done_in_the_cell_of_its_tenant(cells, web_cells, south):
    with cells.tenant(south):
        user = make_user()
        headers = jobs.carry(user)
    with jobs.carried(web_cells, headers) as who:
        assert who == user
        assert web_cells["b"].organization_id == south.id
    with pytest.raises(TenantNotSetError), jobs.carried(web_cells, {}):
        pass


def test_a_tenant_of_a_cell_that_the_process_was_not_given_is_told_so(cells, south):
    with Cells({"a": cells["a"].url}, catalogue="a") as some:
        for find in (some.looking_up(1), some.find_tenant, lambda name: some.tenant(name).found()):
            with pytest.raises(CellError, match="no cell 'b'"):
                find(south.subdomain)
        some._known.look_up(south.subdomain, lambda: (cells.placement(south.subdomain), 30.0))
        with pytest.raises(CellError, match="no cell 'b'"):
            some.known_tenant(south.subdomain).found()

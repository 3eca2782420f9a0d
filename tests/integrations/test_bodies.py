"""Bodies of requests have a limit, announced or not, under ASGI and WSGI, in this process and under real servers."""

import asyncio
import io
import socket

import httpx
import pytest
from fastapi import FastAPI, Request, UploadFile
from fastapi.responses import JSONResponse
from fastapi.testclient import TestClient
from flask import Flask
from flask import request as flask_request

from rayces_core.errors import BodyTooLargeError, ConfigurationError
from rayces_core.integrations import asgi, wsgi
from rayces_core.integrations.fastapi import Rayces
from rayces_core.integrations.flask import Rayces as FlaskRayces
from tests.integrations.test_servers import GUNICORN, UVICORN, served
from tests.sizes import exhaustive

LIMIT = 1000


def in_pieces(size, piece=300):
    for start in range(0, size, piece):
        yield b"x" * min(piece, size - start)


class OfFastapi:
    def __init__(self, db, tenant):
        app = FastAPI()
        Rayces(db, domain="example.test", max_body=LIMIT).install(app)

        @app.post("/raw")
        async def raw(request: Request) -> dict:
            return {"got": len(await request.body())}

        @app.post("/json")
        def json(data: dict) -> dict:
            return {"got": len(data)}

        @app.post("/form")
        def form(file: UploadFile) -> dict:
            return {"got": file.size}

        @app.post("/unread")
        async def unread() -> dict:
            return {"got": 0}

        self.client = TestClient(app, base_url=f"http://{tenant.subdomain}.example.test")

    def post(self, path, content=None, **options):
        return self.client.post(path, content=content, **options)


class OfFlask:
    def __init__(self, db, tenant):
        app = Flask("limited")
        FlaskRayces(db, domain="example.test", max_body=LIMIT).install(app)

        @app.post("/raw")
        def raw():
            return {"got": len(flask_request.get_data())}

        @app.post("/json")
        def json():
            return {"got": len(flask_request.get_json())}

        @app.post("/form")
        def form():
            return {"got": len(flask_request.files["file"].read())}

        @app.post("/unread")
        def unread():
            return {"got": 0}

        transport = httpx.WSGITransport(app=Chunked(app))
        self.client = httpx.Client(transport=transport, base_url=f"http://{tenant.subdomain}.example.test")

    def post(self, path, content=None, **options):
        return self.client.post(path, content=content, **options)


class Chunked:
    """As gunicorn does, says that the input of a body in pieces ends by itself."""

    def __init__(self, app):
        self.app = app

    def __call__(self, environ, start_response):
        if environ.get("HTTP_TRANSFER_ENCODING") == "chunked":
            environ |= {"wsgi.input_terminated": True, "CONTENT_LENGTH": ""}
        return self.app(environ, start_response)


@pytest.fixture(params=[OfFastapi, OfFlask], ids=["fastapi", "flask"])
def site(request, db, a):
    return request.param(db, a)


@pytest.mark.parametrize("is_announced", [True, False], ids=["announced", "in pieces"])
def test_a_body_that_is_too_large_is_a_problem_with_its_code(site, is_announced):
    def body(size):
        return b"x" * size if is_announced else in_pieces(size)

    assert site.post("/raw", body(LIMIT)).json() == {"got": LIMIT}
    for size in (LIMIT + 1, 50 * LIMIT):
        answer = site.post("/raw", body(size), headers={"Accept-Language": "es"})
        assert (answer.status_code, answer.headers["content-type"]) == (413, "application/problem+json")
        said = answer.json()
        assert (said["code"], said["limit"], said["title"]) == ("too_large", LIMIT, "La solicitud es demasiado grande")
        assert said["detail"] == "Se aceptan 1000 bytes como máximo."
        assert site.post("/unread", body(size)).json() == {"got": 0}


def test_json_and_forms_are_bodies_too(site):
    said = [
        site.post("/json", b'{"a": "' + b"x" * LIMIT + b'"}', headers={"Content-Type": "application/json"}),
        site.post("/form", files={"file": ("a.csv", b"x" * LIMIT)}),
    ]
    assert [(answer.status_code, answer.json()["code"]) for answer in said] == [(413, "too_large")] * 2
    assert site.post("/json", json={"a": 1}).json() == {"got": 1}
    assert site.post("/form", files={"file": ("a.csv", b"x" * 100)}).json() == {"got": 100}


def test_a_limit_is_a_number_of_bytes(db):
    for kind in (Rayces, FlaskRayces):
        with pytest.raises(ConfigurationError):
            kind(db, domain="example.test", max_body=0)


def asked(app, *messages, headers=()):
    """What an ASGI application answers, and how much was taken of what was sent."""
    sent, waiting = [], list(messages)

    async def receive():
        return waiting.pop(0) if waiting else {"type": "http.disconnect"}

    async def send(message):
        sent.append(message)

    scope = {"type": "http", "method": "POST", "path": "/", "headers": list(headers)}
    asyncio.run(app(scope, receive, send))
    return sent, waiting


async def takes_all(scope, receive, send):
    while (await receive()).get("more_body"):
        pass


def part(size, more=True):
    return {"type": "http.request", "body": b"x" * size, "more_body": more}


def test_an_application_that_does_not_answer_it_is_answered_for():
    limited = asgi.BodyLimit(takes_all, limit=10)
    sent, waiting = asked(limited, part(6), part(6), part(6, more=False))
    assert (sent[0]["status"], waiting) == (413, [])
    assert asked(limited, part(6), part(4, more=False))[0] == []
    gone, _ = asked(limited, part(11), {"type": "http.disconnect"})
    assert gone[0]["status"] == 413


def test_who_waits_to_be_asked_for_the_body_is_not_asked():
    headers = [(b"content-length", b"11"), (b"expect", b"100-Continue")]
    sent, waiting = asked(asgi.BodyLimit(takes_all, limit=10), part(11, more=False), headers=headers)
    assert (sent[0]["status"], len(waiting)) == (413, 1)


def test_who_listens_on_after_it_is_told_when_the_client_leaves_and_no_more():
    heard = []

    async def goes_on(scope, receive, send):
        with pytest.raises(BodyTooLargeError):
            await takes_all(scope, receive, send)
        heard.append(await receive())
        await JSONResponse({})(scope, receive, send)

    sent, _ = asked(asgi.BodyLimit(goes_on, limit=10), part(11, more=False), part(5, more=False))
    assert (heard, sent[0]["status"]) == ([{"type": "http.disconnect"}], 200)


def test_an_answer_that_has_begun_is_not_begun_again():
    async def begins(scope, receive, send):
        await send({"type": "http.response.start", "status": 200, "headers": []})
        await takes_all(scope, receive, send)

    with pytest.raises(BodyTooLargeError):
        asked(asgi.BodyLimit(begins, limit=10), part(11, more=False))


@pytest.mark.parametrize("ways", ["read", "readline", "readlines", "iteration", "sized"])
@pytest.mark.parametrize("announced", [True, False])
def test_whichever_way_an_input_is_read_it_is_counted(ways, announced):
    def taken(size):
        text = (b"a" * 9 + b"\n") * (size // 10)
        given = wsgi.LimitedInput(io.BytesIO(text), 100, len(text) if announced else None)
        reading = {
            "read": given.read,
            "readline": lambda: b"".join(iter(given.readline, b"")),
            "readlines": lambda: b"".join(given.readlines()),
            "iteration": lambda: b"".join(given),
            "sized": lambda: b"".join(iter(lambda: given.read(7), b"")),
        }[ways]
        return reading() == text, given

    whole, given = taken(100)
    assert (whole, given.read(), given.readline(), given.read(5)) == (True, b"", b"", b"")
    with pytest.raises(BodyTooLargeError):
        taken(110)


def test_an_input_that_was_too_large_stays_so():
    given = wsgi.LimitedInput(io.BytesIO(b"x" * 101), 100, None)
    for reading in (given.read, given.readline, lambda: given.read(1)):
        with pytest.raises(BodyTooLargeError):
            reading()


@pytest.mark.slow
@pytest.mark.parametrize("command", [UVICORN, *exhaustive(GUNICORN)], ids=["uvicorn", "gunicorn"])
def test_real_servers_say_so_to_who_still_sends(db, command, monkeypatch):
    monkeypatch.setenv("TEST_MAX_BODY", "1000")
    with served(db, command, f"b-{command[1]}") as site:
        for body in (b"[" + b" " * 3_000_000 + b"]", in_pieces(3_000_000, 65_536), b"[]"):
            headers = {"host": f"{site.tenants[0].subdomain}.example.test", "content-type": "application/json"}
            with site.client(headers=headers) as client:
                answer = client.post("/json", content=body)
            assert answer.status_code == (200 if body == b"[]" else 413)
        with socket.create_connection(("127.0.0.1", site.port)) as line:
            line.sendall(b"POST /json HTTP/1.1\r\nHost: " + headers["host"].encode() + b"\r\nContent-Length: 5000\r\n")
            line.sendall(b"Content-Type: application/json\r\nConnection: close\r\n\r\n" + b"x" * 5000)
            assert b" 413 " in line.recv(4096).split(b"\r\n")[0]

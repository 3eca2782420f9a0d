"""What the example's description says holds for whatever is sent, by whomever; schemathesis makes the requests.

The description leaves the pages out, so they are described for this test alone: of them only that nothing fails is
asked.
"""

import contextlib
import socket

import pytest
import requests
from fastapi import FastAPI
from fastapi.routing import iter_route_contexts
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from tests.sizes import examples

pytestmark = pytest.mark.exhaustive

WHO = ("lucia", "paula", "tomas", "graciela", "adriana", None)
AS_DESCRIBED = ("status_code", "content_type", "response_schema", "response_headers")
# Signing out would end the tokens that the others use.
LEFT_OUT = ("/sign-out",)
# What comes besides the description: half a language, a broken cookie.
HEADER = st.text(st.characters(max_codepoint=255, exclude_categories=["Cc"]), max_size=40).map(str.strip)
UNASKED = st.fixed_dictionaries({}, optional={"accept-language": HEADER, "idempotency-key": HEADER, "cookie": HEADER})


@pytest.fixture(scope="module")
def send(application, token_of):
    tokens = {who: token_of(who, "girasol" if who == "adriana" else "arrayanes") for who in WHO if who}
    with requests.Session() as session:

        def send(case, who, headers):
            sent = headers | {"host": f"arrayanes.localhost:{application.port}"}
            if who is not None:
                sent |= {"authorization": f"Bearer {tokens[who]}"}
            sent = {name: value.encode("latin-1") for name, value in sent.items()}
            url = f"http://127.0.0.1:{application.port}"
            return case.call(base_url=url, session=session, headers=sent, allow_redirects=False, timeout=60)

        yield send


def operations(description):
    import schemathesis  # takes a second, which a run without this test need not wait for

    schema = schemathesis.openapi.from_dict(description)
    found = [each.ok() for each in schema.get_all_operations()]
    return [each for each in found if each.path not in LEFT_OUT]


def requests_of(operation):
    """As described, and where something may be sent, otherwise than described."""
    from schemathesis import GenerationMode

    takes_something = list(operation.path_parameters) or list(operation.query) or list(operation.body)
    modes = (GenerationMode.POSITIVE, GenerationMode.NEGATIVE) if takes_something else (GenerationMode.POSITIVE,)
    return st.one_of(*(operation.as_strategy(generation_mode=mode) for mode in modes))


def walk(operation, sizes, send, wanted=()):
    from schemathesis.checks import not_a_server_error
    from schemathesis.specs.openapi import checks

    asked = [not_a_server_error, *(getattr(checks, f"{name}_conformance") for name in wanted)]

    @settings(examples(*sizes), suppress_health_check=list(HealthCheck), database=None)
    @given(requests_of(operation), st.sampled_from(WHO), UNASKED)
    def sent_and_answered(case, who, headers):
        case.validate_response(send(case, who, headers), checks=asked)

    sent_and_answered()


def test_the_api_answers_as_it_is_described_whatever_is_sent(application, send):
    found = operations(application.app.openapi())
    assert len(found) >= 9
    for operation in found:
        walk(operation, (12, 40), send, AS_DESCRIBED)


def test_no_page_fails_whatever_is_sent(application, send):
    described = FastAPI()
    for route in iter_route_contexts(application.app.routes):
        if getattr(route, "include_in_schema", None) is False and hasattr(route, "dependant"):
            described.add_api_route(route.path, route.endpoint, methods=list(route.methods))
    found = operations(described.openapi())
    assert len(found) >= 25
    for operation in found:
        walk(operation, (4, 12), send)


# -- what no description leads to -------------------------------------------------------------------------------------

HUGE = b'{"email": ' + b"9" * 5_000 + b"}"
BODIES = (b"", b"\xff\x00", b"[" * 100_000, HUGE, b'{"email": "\\ud800"}', b"\xef\xbb\xbf{}")
KINDS = ("application/json", "application/json; charset=nope", "multipart/form-data", "text/plain", ";")
POSTED = ("/api/sign-in", "/api/appointments", "/sign-in", "/family/book", "/language", "/import", "/webhooks/pretend")
IDS = ("0", "-1", "9" * 30, "9" * 5_000, "%00", "%ff", "%ed%a0%80", "\u0661", "1e5")
READ = (
    *(f"/api/slots?professional={each}&start=2030-01-01T00:00:00Z" for each in IDS),
    *(f"/family/book?student={each}" for each in IDS),
    *(f"/pay/{each}" for each in IDS),
    *(f"/api/appointments?after={each}&limit={each}" for each in IDS),
    *(f"/{page}?day={day}" for page in ("desk", "week") for day in ("2000-01-01", "2200-01-01", "9999-12-31", "x")),
    *(f"/static/{each}" for each in ("%00", "..%2fweb.py", "x" * 5_000)),
)
COOKIES = ("=", "centre=", "centre=a.b.c", "centre=\xff", 'centre="', "flash=%", "flash=%ed%a0%80", "language=\xff")
HEADS = (
    "Host: [::1",
    "Host: \xff.localhost",
    "Host: arrayanes.localhost\r\nHost: girasol.localhost",
    *(f"Host: arrayanes.localhost\r\nAccept-Language: {said}" for said in ("es;q=1e400", "es;q=nan", "es," * 2_000)),
    *(f"Host: arrayanes.localhost\r\nAuthorization: Bearer {said}" for said in ("", "a.b.c", "\xff", "." * 2_000)),
    *(f"Host: arrayanes.localhost\r\nReferer: {said}" for said in ("http://[", "http://arrayanes.localhost/\xff")),
    "Host: arrayanes.localhost\r\nOrigin: http://[",
)


def test_bodies_and_addresses_that_nobody_would_send_are_no_fault_of_the_server(application, token_of):
    headers = {"host": f"arrayanes.localhost:{application.port}", "authorization": f"Bearer {token_of('graciela')}"}
    base = f"http://127.0.0.1:{application.port}"
    answers = []
    with requests.Session() as session:
        for path in POSTED:
            for body, kind in [*((body, KINDS[0]) for body in BODIES), *((BODIES[1], kind) for kind in KINDS)]:
                sent = headers | {"content-type": kind}
                answers.append((path, kind, session.post(base + path, body, headers=sent, allow_redirects=False)))
        for path in READ:
            answers.append((path, None, session.get(base + path, headers=headers, allow_redirects=False)))
        for cookie in COOKIES:
            sent = {"host": headers["host"], "cookie": cookie.encode("latin-1")}
            answers.append(("/family", cookie, session.get(f"{base}/family", headers=sent, allow_redirects=False)))
    assert [(path, about) for path, about, answer in answers if answer.status_code >= 500] == []


@pytest.mark.parametrize("head", HEADS)
@pytest.mark.parametrize("line", ["GET /family", "POST /desk/sessions/1/move", "POST /sign-out", "GET /api/credits"])
def test_heads_that_no_client_would_send_are_no_fault_of_the_server(application, line, head):
    with contextlib.closing(socket.create_connection(("127.0.0.1", application.port), timeout=60)) as connection:
        lines = f"{line} HTTP/1.1\r\n{head}\r\nContent-Length: 0\r\nConnection: close\r\n\r\n"
        connection.sendall(lines.encode("latin-1"))
        answer = connection.recv(100)
    assert b"200" <= answer.split()[1] < b"500"

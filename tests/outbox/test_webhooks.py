"""Webhooks against a real receiver that verifies signatures with the convention's own library."""

import contextlib
import json
import ssl
import threading
import time
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer

import pytest
from standardwebhooks.webhooks import Webhook, WebhookVerificationError

from rayces_core import WebhookEndpoint
from rayces_core.errors import ConfigurationError, InvalidDataError
from rayces_core.outbox.endpoints import add_endpoint, new_secret, retire_secrets, rotate_secret
from rayces_core.outbox.relaying import Relay
from rayces_core.outbox.webhooks import Webhooks
from tests.factory import make_organization
from tests.outbox.boxes import let_be_due, put, standing
from tests.patience import wait_until
from tests.walking import walked

LOCAL = {"allowed": ["127.0.0.0/8"], "allow_http": True, "seconds": 60.0}


class Receiver(BaseHTTPRequestHandler):
    """Keeps what it was sent, and answers as its server is told to."""

    def do_POST(self):
        body = self.rfile.read(int(self.headers["content-length"]))
        self.server.got.append((self.path, dict(self.headers), body))
        status, headers, answer = self.server.answer
        self.send_response(status)
        for name, value in headers.items():
            self.send_header(name, value)
        self.end_headers()
        try:
            self.wfile.write(answer)
        except OSError:
            self.server.was_cut_off = True

    def log_message(self, *_):
        pass


@pytest.fixture
def receiver():
    with ThreadingHTTPServer(("127.0.0.1", 0), Receiver) as server:
        server.got, server.answer, server.was_cut_off = [], (204, {}, b""), False
        server.url = f"http://127.0.0.1:{server.server_address[1]}"
        threading.Thread(target=server.serve_forever, args=(0.01,), daemon=True).start()
        yield server
        server.shutdown()


@pytest.fixture
def a(bare_db):
    return make_organization(bare_db)


def endpoint_at(db, organization, url, **columns):
    with db.tenant(organization):
        return WebhookEndpoint.create(**({"url": url, "secrets": [new_secret()]} | columns))


def sent(db, **options):
    relay = Relay(db, {"webhooks": Webhooks(**(LOCAL | options))})
    while relay.run_once():
        pass


def the_error(db):
    ((state, _, _, error),) = standing(db).values()
    return state, error


@pytest.mark.slow
def test_a_receiver_verifies_what_it_gets(bare_db, a, receiver):
    endpoint = endpoint_at(bare_db, a, f"{receiver.url}/hooks?x=1")
    put(bare_db, a, 7, id=7, name="Nuñez")
    sent(bare_db)

    ((path, headers, body),) = receiver.got
    told = Webhook(endpoint.secrets[0]).verify(body, headers)
    assert path == "/hooks?x=1"
    assert (told["type"], told["version"], told["data"]) == ("appointment.confirm", 1, {"id": 7, "name": "Nuñez"})
    assert told["timestamp"].endswith("+00:00")
    assert headers["content-type"] == "application/json"
    with pytest.raises(WebhookVerificationError):
        Webhook(new_secret()).verify(body, headers)
    with pytest.raises(WebhookVerificationError):
        Webhook(endpoint.secrets[0]).verify(body.replace(b"7", b"8"), headers)
    assert standing(bare_db)[1][:3] == ("delivered", 1, [f"webhooks:{endpoint.id}"])


@pytest.mark.slow
def test_a_repetition_has_the_same_id_and_a_fresh_signature(bare_db, a, receiver):
    endpoint = endpoint_at(bare_db, a, receiver.url)
    put(bare_db, a)
    receiver.answer = (500, {}, b"oops")
    sent(bare_db)
    receiver.answer = (200, {}, b"thanks")
    let_be_due(bare_db)
    sent(bare_db)
    first, second = (headers for _, headers, _ in receiver.got)
    assert first["webhook-id"] == second["webhook-id"]
    for _, headers, body in receiver.got:
        Webhook(endpoint.secrets[0]).verify(body, headers)


@pytest.mark.slow
def test_each_organization_has_its_own_endpoints_for_its_own_topics(bare_db, a, receiver):
    b = make_organization(bare_db)
    endpoint_at(bare_db, a, f"{receiver.url}/a", topics=["student.*"])
    endpoint_at(bare_db, a, f"{receiver.url}/off", enabled=False)
    endpoint_at(bare_db, b, f"{receiver.url}/b")
    put(bare_db, a, topic="student.admit")
    put(bare_db, a, 2, topic="appointment.confirm")
    put(bare_db, b, 3)
    sent(bare_db)
    assert sorted(path for path, _, _ in receiver.got) == ["/a", "/b"]


def test_keys_that_others_have_changed_since_the_row_was_read_stay(bare_db, a):
    with bare_db.tenant(a):
        made = add_endpoint("https://hooks.example.org/")
        one, another, old = WebhookEndpoint.get_by_id(made.id), WebhookEndpoint.get_by_id(made.id), made
        first, second = rotate_secret(one), rotate_secret(another)
        assert another.secrets == WebhookEndpoint.get_by_id(made.id).secrets == [second, first]
        assert (another.dirty_fields, another.save()) == ([], False)
        retire_secrets(old)
        assert old.secrets == WebhookEndpoint.get_by_id(made.id).secrets == [second]


@pytest.mark.slow
def test_both_secrets_sign_until_the_old_one_is_retired(bare_db, a, receiver):
    endpoint = endpoint_at(bare_db, a, receiver.url)
    (old,) = endpoint.secrets
    with bare_db.tenant(a):
        fresh = rotate_secret(endpoint)
    put(bare_db, a)
    sent(bare_db)
    _, headers, body = receiver.got[-1]
    for secret in (old, fresh):
        Webhook(secret).verify(body, headers)

    with bare_db.tenant(a):
        retire_secrets(endpoint)
    put(bare_db, a)
    sent(bare_db)
    _, headers, body = receiver.got[-1]
    Webhook(fresh).verify(body, headers)
    with pytest.raises(WebhookVerificationError):
        Webhook(old).verify(body, headers)


@pytest.mark.slow
def test_only_the_endpoint_that_failed_gets_it_again(bare_db, a, receiver):
    well = endpoint_at(bare_db, a, f"{receiver.url}/well")
    ill = endpoint_at(bare_db, a, "http://127.0.0.1:1/ill")
    put(bare_db, a)
    sent(bare_db)
    assert standing(bare_db)[1][2] == [f"webhooks:{well.id}"]
    with bare_db.tenant(a):
        ill.url = f"{receiver.url}/ill"
        ill.save()
    let_be_due(bare_db)
    sent(bare_db)
    assert [path for path, _, _ in receiver.got] == ["/well", "/ill"]


def test_a_redirect_is_not_followed(bare_db, a, receiver):
    endpoint_at(bare_db, a, f"{receiver.url}/from")
    receiver.answer = (307, {"location": f"{receiver.url}/to"}, b"")
    put(bare_db, a)
    sent(bare_db)
    assert [path for path, _, _ in receiver.got] == ["/from"]
    assert the_error(bare_db)[1].endswith("it answered 307; redirects are not followed")


@pytest.mark.slow
def test_a_receiver_that_is_gone_for_good_is_switched_off(bare_db, a, receiver):
    endpoint = endpoint_at(bare_db, a, receiver.url)
    receiver.answer = (410, {}, b"")
    put(bare_db, a)
    put(bare_db, a)
    sent(bare_db)
    assert len(receiver.got) == 1
    with bare_db.tenant(a):
        again = WebhookEndpoint.get_by_id(endpoint.id)
    assert (again.enabled, again.disabled_reason) == (False, "it answered 410 Gone")


@pytest.mark.slow
def test_a_long_answer_is_cut_off(bare_db, a, receiver):
    endpoint_at(bare_db, a, receiver.url)
    receiver.answer = (200, {}, b"x" * 50_000_000)
    put(bare_db, a)
    sent(bare_db)
    assert the_error(bare_db)[0] == "delivered"
    wait_until(lambda: receiver.was_cut_off)


@pytest.mark.slow
def test_an_answer_that_trickles_is_over_in_time(bare_db, a):
    import socket

    with socket.create_server(("127.0.0.1", 0)) as server:

        def trickle():
            connection, _ = server.accept()
            with connection:
                with contextlib.suppress(OSError):
                    while True:
                        connection.sendall(b"H")
                        time.sleep(0.05)

        threading.Thread(target=trickle, daemon=True).start()
        endpoint_at(bare_db, a, f"http://127.0.0.1:{server.getsockname()[1]}")
        put(bare_db, a)
        sent(bare_db, seconds=0.5)
    assert the_error(bare_db)[0] == "pending"


@pytest.mark.slow
@pytest.mark.parametrize("host", ["127.0.0.1", "localhost", "[::ffff:127.0.0.1]", "2130706433"])
def test_nothing_is_sent_to_a_private_address(bare_db, a, receiver, host):
    endpoint_at(bare_db, a, f"http://{host}:{receiver.server_address[1]}/")
    put(bare_db, a)
    sent(bare_db, allowed=[])
    assert receiver.got == []
    assert "AddressRefusedError" in the_error(bare_db)[1]


def test_the_address_that_was_looked_at_is_connected_to_whatever_the_name_says_next(bare_db, a, receiver, monkeypatch):
    import socket

    from rayces_core.outbox import addresses

    asked, real = [], socket.getaddrinfo

    def rebinding(host, port, *more, **options):
        if host != "hooks.example.org":
            return real(host, port, *more, **options)
        asked.append(host)
        address = "127.0.0.1" if len(asked) == 1 else "169.254.169.254"
        return [(socket.AF_INET, socket.SOCK_STREAM, 6, "", (address, port))]

    monkeypatch.setattr(addresses.socket, "getaddrinfo", rebinding)
    endpoint_at(bare_db, a, f"http://hooks.example.org:{receiver.server_address[1]}/")
    put(bare_db, a)
    sent(bare_db)
    ((_, headers, _),) = receiver.got
    assert headers["Host"].startswith("hooks.example.org:")
    assert asked == ["hooks.example.org"]


@pytest.mark.slow
def test_the_certificate_is_that_of_the_name_not_of_the_address(bare_db, a, receiver, monkeypatch):
    context = ssl.create_default_context()
    hello = []
    context_wrap = ssl.SSLContext.wrap_socket

    def seen(self, *more, server_hostname=None, **options):
        hello.append(server_hostname)
        return context_wrap(self, *more, server_hostname=server_hostname, **options)

    monkeypatch.setattr(ssl.SSLContext, "wrap_socket", seen)
    endpoint_at(bare_db, a, f"https://localhost:{receiver.server_address[1]}/")
    put(bare_db, a)
    sent(bare_db, context=context)
    assert hello == ["localhost"]
    assert the_error(bare_db)[0] == "pending"


@walked(
    "url",
    [
        *("http://hooks.example.org", "ftp://hooks.example.org", "hooks.example.org", "https://", "https://:443", 7),
        *("https://user:word@hooks.example.org", "https://hooks.example.org/a b", "https://hooks.example.org/\r\nX: y"),
        *(
            "https://hooks.example.org:0/",
            "https://hooks.example.org:99999/",
            "https://x.org/#y",
            "https://" + "x" * 3000,
        ),
        *("https://[::1/", "https://hooks.exámple.org"),
    ],
)
def test_a_malformed_url_makes_no_endpoint(db, tenant, url):
    with db.tenant(tenant), pytest.raises(InvalidDataError):
        add_endpoint(url)


@pytest.fixture
def tenant(db):
    return make_organization(db)


@pytest.mark.parametrize("secret", ["x", "whsec_", "whsec_%%%", "whsec_c2hvcnQ=", "MfKQ9r8GKYqrTwjUPD8ILPZIo2LaLaSw"])
def test_a_weak_or_malformed_secret_makes_no_endpoint(db, tenant, secret):
    with db.tenant(tenant), pytest.raises(InvalidDataError):
        add_endpoint("https://hooks.example.org", secret=secret)


def test_an_endpoint_is_made_with_a_fresh_secret(db, tenant):
    with db.tenant(tenant):
        made = add_endpoint("https://hooks.example.org/x", topics=["appointment.*"])
        assert made.secrets[0].startswith("whsec_")
        assert json.loads(json.dumps(made.topics)) == ["appointment.*"]
        assert [made.takes(topic) for topic in ("appointment.book", "student.admit")] == [True, False]


def test_malformed_networks_are_refused():
    with pytest.raises(ConfigurationError):
        Webhooks(allowed=["10.0.0.1/8"])

"""Reading by HTTP from where professionals say: what is refused before anything is sent, and what takes too long."""

import socket
import time

import pytest

from rayces_core.calendars.fetching import Fetched, Fetcher
from rayces_core.errors import ConfigurationError, OutsideCalendarError
from tests.ports import free_port
from tests.walking import walked

LOCAL = {"allowed": ["127.0.0.0/8"], "seconds": 60.0}
FETCHER = Fetcher(**LOCAL)


def answer(status=200, body=b"x", **headers):
    return lambda _: (status, {name.replace("_", "-"): value for name, value in headers.items()}, body)


def passed_on(to, status=302):
    return answer(status, b"", location=to)


def refused(url, **options):
    with pytest.raises(OutsideCalendarError) as found:
        (Fetcher(**(LOCAL | options)) if options else FETCHER).fetch(url)
    assert url not in str(found.value)
    return found.value.reason


def test_a_file_comes_with_what_its_server_says_of_the_version(server):
    server.answers["/a"] = answer(body=b"file", ETag='"1"', Last_Modified="Mon, 03 Mar 2031 00:00:00 GMT")
    fetched = FETCHER.fetch(f"{server.url}/a")
    assert fetched == Fetched(b"file", '"1"', "Mon, 03 Mar 2031 00:00:00 GMT")


def test_who_knows_a_version_asks_for_another_one(server):
    server.answers["/a"] = answer(304, b"")
    fetched = FETCHER.fetch(f"{server.url}/a", etag='"1"', last_modified="yesterday")
    assert fetched.body is None
    ((_, headers),) = server.asked
    assert (headers["if-none-match"], headers["if-modified-since"]) == ('"1"', "yesterday")


@walked("version", ['"caf\xe9"', '"a\tb"'])
def test_a_version_that_cannot_be_said_again_is_none(server, version):
    server.answers["/a"] = answer(body=b"file", ETag=version, Last_Modified=version)
    fetched = FETCHER.fetch(f"{server.url}/a")
    assert fetched == Fetched(b"file", None, None)
    assert FETCHER.fetch(f"{server.url}/a", etag=fetched.etag, last_modified=fetched.last_modified) == fetched


def test_that_nothing_changed_says_nothing_to_who_knows_no_version(server):
    server.answers["/a"] = answer(304, b"")
    assert refused(f"{server.url}/a") == "status"


@walked("status", [400, 401, 403, 404, 410, 429, 500, 503, 204])
def test_any_other_answer_is_no_calendar(server, status):
    server.answers["/a"] = answer(status, b"")
    assert refused(f"{server.url}/a") == "status"


@pytest.mark.slow
@walked(
    "host", ["127.0.0.1", "localhost", "[::1]", "10.0.0.1", "169.254.169.254", "192.168.1.1", "0.0.0.0", "2130706433"]
)
def test_addresses_that_are_not_public_are_refused_before_anything_is_sent(server, host):
    port = server.server_address[1]
    assert refused(f"http://{host}:{port}/a", allowed=[]) == "refused_address"
    assert server.asked == []


@walked("status", [301, 302, 303, 307, 308])
def test_a_redirect_is_followed_where_it_leads_to_an_address_that_may_be_read(server, status):
    server.answers |= {"/a": passed_on("/b", status), "/b": answer(body=b"file")}
    assert FETCHER.fetch(f"{server.url}/a").body == b"file"


@walked(
    ("to", "reason"),
    [
        ("http://10.0.0.1/", "refused_address"),
        ("http://[::ffff:169.254.169.254]/latest", "refused_address"),
        ("http://[::1]:5432/", "refused_address"),
        ("file:///etc/passwd", "redirects"),
        ("ftp://example.org/", "redirects"),
        ("gopher://example.org/", "redirects"),
        ("http://user:password@example.org/", "redirects"),
        ("http://[::1", "redirects"),
        ("//[", "redirects"),
        ("/a", "redirects"),
    ],
)
def test_each_hop_is_looked_at_as_the_first_one_was(server, to, reason):
    server.answers["/a"] = passed_on(to)
    assert refused(f"{server.url}/a") == reason


def test_a_name_is_looked_up_once_and_that_address_is_connected_to(server, monkeypatch):
    asked, really = [], socket.getaddrinfo

    def looked_up(host, port, *rest, **options):
        if host == "127.0.0.1":  # an address is looked up as itself
            return really(host, port, *rest, **options)
        asked.append(host)
        place = ("127.0.0.1", port) if len(asked) == 1 else ("10.0.0.1", port)
        return [(socket.AF_INET, socket.SOCK_STREAM, 6, "", place)]

    server.answers["/a"] = answer(body=b"file")
    monkeypatch.setattr("rayces_core.outbox.addresses.socket.getaddrinfo", looked_up)
    port = server.server_address[1]
    assert FETCHER.fetch(f"http://calendars.example.org:{port}/a").body == b"file"
    assert asked == ["calendars.example.org"]


@pytest.mark.slow
def test_a_file_that_is_too_large_is_not_read_to_its_end(server):
    server.answers |= {"/a": answer(body=b"x" * 1001), "/b": answer(body=b"x" * 1000)}
    assert refused(f"{server.url}/a", most_bytes=1000) == "too_large"
    assert len(Fetcher(**LOCAL, most_bytes=1000).fetch(f"{server.url}/b").body) == 1000


@pytest.mark.slow
def test_a_server_that_lets_it_trickle_is_left(server):
    def trickle(request):
        request.send_response(200)
        request.end_headers()
        while True:
            request.wfile.write(b"x")
            request.wfile.flush()
            time.sleep(0.05)

    server.answers["/a"] = trickle
    assert refused(f"{server.url}/a", seconds=0.5) == "unreachable"


def test_nobody_at_home_is_unreachable(server):
    assert refused(f"http://127.0.0.1:{free_port()}/a") == "unreachable"


def test_an_allowed_network_is_a_network():
    with pytest.raises(ConfigurationError):
        Fetcher(allowed=["localhost"])

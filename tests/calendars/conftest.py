"""A centre in Santiago, whose clock changes twice a year, and a server that calendars elsewhere are read from."""

import threading
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer

import pytest

from tests.scheduling.worlds import open_centre


@pytest.fixture
def centre(db):
    """Its tenant bound; its professional works from nine to five."""
    with open_centre(db, zone="America/Santiago") as opened:
        yield opened


class Calendars(BaseHTTPRequestHandler):
    """Answers as its server is told to, by path, and keeps what it was asked."""

    def do_GET(self):
        self.server.asked.append((self.path, dict(self.headers)))
        status, headers, body = self.server.answers[self.path](self)
        self.send_response(status)
        for name, value in headers.items():
            self.send_header(name, value)
        self.end_headers()
        self.wfile.write(body)

    def log_message(self, *_):
        pass


@pytest.fixture
def server():
    """`answers[path]` is a function of the request; `asked` is what came."""
    with ThreadingHTTPServer(("127.0.0.1", 0), Calendars) as serving:
        serving.answers, serving.asked = {}, []
        serving.url = f"http://127.0.0.1:{serving.server_address[1]}"
        threading.Thread(target=serving.serve_forever, args=(0.01,), daemon=True).start()
        yield serving
        serving.shutdown()

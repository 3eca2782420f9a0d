"""The example's application: served within this process, and as a program that people use in a browser."""

import sys
import threading
import time
from pathlib import Path
from types import SimpleNamespace

import pytest

from rayces_core import User

CENTRE = Path(__file__).parents[2] / "examples" / "centre"


@pytest.fixture(scope="session")
def application(create_database, template):
    """The example on the demonstration's centres: its `app`, `db` and `rayces`, served in this process on `port`."""
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("RAYCES_DATABASE_URL", create_database(template))
        patch.setenv("CENTRE_SECRET", "s" * 32)
        patch.delenv("RAYCES_ADMIN_DATABASE_URL", raising=False)
        patch.syspath_prepend(CENTRE)
        import uvicorn
        from centre.app import app
        from centre.web import db, rayces

        from rayces_core.demo import load_centres

        load_centres(db)
        server = uvicorn.Server(uvicorn.Config(app, port=0, log_level="error", ws="none"))
        thread = threading.Thread(target=server.run)
        thread.start()
        until = time.monotonic() + 60
        while not server.started:
            assert thread.is_alive()
            assert time.monotonic() < until
            time.sleep(0.01)
        port = server.servers[0].sockets[0].getsockname()[1]
        yield SimpleNamespace(app=app, db=db, rayces=rayces, port=port)
        server.should_exit = True
        thread.join()
        for name in [name for name in sys.modules if name.partition(".")[0] == "centre"]:
            del sys.modules[name]


@pytest.fixture(scope="session")
def token_of(application):
    """An access token by name and centre."""

    def token_of(name, centre="arrayanes"):
        with application.db.tenant(centre):
            user = User.get(User.email == f"{name}@{centre}.example.org")
            return application.rayces.tokens.issue(user)

    return token_of

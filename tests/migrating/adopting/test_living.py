"""The old application goes on: every statement of a session opened before, after each step, there and back."""

from __future__ import annotations

import logging
import threading
import time
from typing import Any

import psycopg2
import pytest

from rayces_core.migrating.adopting import Adoption
from rayces_core.migrating.catalogue import fingerprint
from rayces_core.migrating.files import is_atomic, read_directory
from tests.sizes import exhaustive, quick_or_whole

from .conftest import MyHub
from .myhub import OldApplication, contents

ATOMIC = {file.name for file in read_directory(None) if is_atomic(file.load())}

EVERY = quick_or_whole(10, 1)


class Watching:
    """Lets the old applications work before each step at which no lock is held (each tenth in `make test`)."""

    def __init__(self, *applications: OldApplication) -> None:
        self.applications, self.steps = applications, 0

    def __call__(self, name: str, step: int, _steps: int) -> None:
        if step == 1 or name not in ATOMIC:
            self.steps += 1
            if self.steps % EVERY == 0:
                self.let_them()

    def let_them(self) -> None:
        for application in self.applications:
            application.works()
            application.finds_by_index()


# The owner stays in `make test`: it may less than a superuser.
@pytest.mark.slow
@pytest.mark.parametrize("as_owner", [True, *exhaustive(False)], ids=["owner adopts", "superuser adopts"])
def test_the_old_application_works_before_each_step_there_and_back(myhub: MyHub, login: Any, as_owner: bool) -> None:
    other = login()
    rights = f"GRANT SELECT, INSERT, UPDATE, DELETE ON users, posts, likes TO {other}"
    myhub.sql(f"{rights}; GRANT USAGE, SELECT ON ALL SEQUENCES IN SCHEMA public TO {other}")
    watching = Watching(myhub.application(), myhub.application(other))
    before, catalogue = contents(myhub.connection), fingerprint(myhub.connection)
    facts: dict[str, Any] = {"url": myhub.owner_url if as_owner else myhub.url, "on_step": watching}
    myhub.adoption(old_roles=[myhub.owner, other], **facts).run()
    watching.let_them()
    there = watching.steps
    assert there > 60
    assert contents(myhub.connection) == before
    Adoption(facts["url"], on_step=watching).undo()
    watching.let_them()
    assert watching.steps > there + 40
    assert contents(myhub.connection) == before
    assert fingerprint(myhub.connection) == catalogue


class LettingGo(logging.Handler):
    """Ends a transaction once a run has tried in vain, and somebody has waited for that."""

    def __init__(self, holder: Any, waits: list[float]) -> None:
        super().__init__()
        self.holder, self.waits, self.done = holder, waits, threading.Event()

    def emit(self, record: logging.LogRecord) -> None:
        if " failed" in record.getMessage() and max(self.waits, default=0) > 0.1:
            self.holder.rollback()
            self.done.set()


@pytest.mark.slow
def test_a_lock_that_is_not_free_never_holds_the_old_application_up_for_long(myhub: MyHub) -> None:
    holder, visitor = myhub.connect(myhub.url), myhub.application()
    holder.autocommit = False
    holder.cursor().execute("SELECT count(*) FROM likes")
    waits: list[float] = []
    letting_go, logger = LettingGo(holder, waits), logging.getLogger("rayces_core.migrations")

    def visit() -> None:
        while not letting_go.done.is_set():
            started = time.monotonic()
            visitor.one("SELECT count(*) FROM likes WHERE id = 1")
            waits.append(time.monotonic() - started)

    visits = threading.Thread(target=visit)
    logger.addHandler(letting_go)
    visits.start()
    try:
        myhub.adoption().run()
    finally:
        logger.removeHandler(letting_go)
        letting_go.done.set()
        visits.join()
    attempts = myhub.sql("SELECT max(attempts) FROM rayces_migrations")
    assert attempts > [(1,)]
    assert 0.1 < max(waits) < 30  # the holder would not have let go before anybody was sent away


@pytest.mark.slow
def test_locks_wait_200_ms_and_a_prepared_select_of_everything_fails_once_as_the_documents_say(myhub: MyHub) -> None:
    limits: dict[str, str] = {}

    def ask(name: str, step: int, _steps: int) -> None:
        if name in ATOMIC:
            limits[name] = adoption.database.one("SHOW lock_timeout")

    adoption, application = myhub.adoption(on_step=ask), myhub.application()
    application.ask("PREPARE shown AS SELECT * FROM posts WHERE id = $1")
    application.ask("PREPARE named AS SELECT id, content FROM posts WHERE id = $1")
    application.ask("EXECUTE shown (1)")
    adoption.run()
    assert len(limits) > 10
    assert set(limits.values()) == {"200ms"}
    assert application.one("SELECT count(*) FROM posts") == 16
    assert application.ask("EXECUTE named (1)") == [(1, "50% of 1")]
    with pytest.raises(psycopg2.errors.FeatureNotSupported, match="cached plan must not change result type"):
        application.ask("EXECUTE shown (1)")
    application.ask("DEALLOCATE shown")
    assert application.ask("SELECT * FROM posts WHERE id = 1")

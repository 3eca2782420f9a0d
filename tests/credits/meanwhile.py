"""Something that happens meanwhile, on a thread and connection of its own, and waiting until it waits."""

from __future__ import annotations

import threading
import time
from collections.abc import Callable
from typing import Any


class Meanwhile:
    """A call in a unit of work of its own, or `alone`, without one."""

    def __init__(self, db: Any, organization: Any, call: Callable[[], Any], *, alone: bool = False) -> None:
        self.outcome: Any = None
        self._thread = threading.Thread(target=self._run, args=(db, organization, call, alone), daemon=True)
        self._thread.start()

    def _run(self, db: Any, organization: Any, call: Callable[[], Any], alone: bool) -> None:
        try:
            with db.tenant(organization):
                if alone:
                    self.outcome = call()
                    return
                with db.atomic():
                    self.outcome = call()
        except Exception as error:
            self.outcome = error

    def ended(self) -> Any:
        """What the call gave or raised."""
        self._thread.join(20)
        assert not self._thread.is_alive()
        return self.outcome


def until_somebody_waits(db: Any) -> None:
    ours = "SELECT pid FROM pg_stat_activity WHERE datname = current_database()"
    sql = f"SELECT count(*) FROM pg_locks WHERE NOT granted AND pid IN ({ours})"
    for _ in range(400):
        if db.execute_sql(sql).fetchone() != (0,):
            return
        time.sleep(0.02)
    raise AssertionError("nobody waits")

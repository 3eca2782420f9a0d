"""Something that happens meanwhile, on a thread and connection of its own, and waiting until it waits."""

from __future__ import annotations

import threading
from collections.abc import Callable
from typing import Any

from tests.nodes import WAITING
from tests.patience import wait_until


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
        self._thread.join(60)
        assert not self._thread.is_alive()
        return self.outcome


def until_somebody_waits(db: Any) -> None:
    wait_until(lambda: db.execute_sql(WAITING).fetchone() != (0,))

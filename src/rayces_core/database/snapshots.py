"""Whether a unit of work sees what is committed while it goes on: whoever decides under locks has to.

Rule it guards: what others have committed is seen once their locks are had. A snapshot of an earlier moment shows none
of it, and not all of it is a constraint's to know.
"""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from typing import Final

from rayces_core.database.binding import current
from rayces_core.errors import TransactionFailedError

SEES_THE_PRESENT: Final = "current_setting('transaction_isolation') NOT IN ('repeatable read', 'serializable')"
_LEVEL: Final = f"SELECT upper(current_setting('transaction_isolation')), {SEES_THE_PRESENT}"


def check_present() -> None:
    """Raises TransactionFailedError: the unit of work sees what was committed when it began, and nothing later."""
    level, sees = current().engine.run_prepared(_LEVEL, {}).fetchone()
    if not sees:
        raise TransactionFailedError(
            f"a unit of work at {level} sees what was committed when it began, and this has to look at what was "
            'committed since: do it in db.atomic("READ COMMITTED"); locks and constraints see to the races'
        )


@contextmanager
def unit_of_the_present() -> Iterator[None]:
    """A unit of work that sees what is committed while it goes on, whatever the server's default is.

    Raises:
        TransactionFailedError: it would be a part of one that does not.
    """
    engine = current().engine
    if engine.holder_of_transaction() is None:
        with engine.atomic("READ COMMITTED"):
            yield
        return
    check_present()
    with engine.atomic():
        yield

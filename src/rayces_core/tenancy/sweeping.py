"""Work that is done for many, one after the other: what fails for one is no reason to leave the others undone.

Rule it guards: a lock, a time limit or a rule of a host's that stands in one organization's way holds up that one only.
"""

from __future__ import annotations

import logging
from collections.abc import Callable, Iterable
from typing import Any, TypeVar

from rayces_core.database.binding import bound_here
from rayces_core.errors import RaycesError

logger = logging.getLogger("rayces_core")

Turn = TypeVar("Turn")


def each_in_turn(turns: Iterable[Turn], work: Callable[[Turn], int], what: Callable[[Turn], str]) -> int:
    """Do the work of each turn; returns the sum of what they give.

    Args:
        what: what a turn is about, for the log.

    Raises:
        RaycesError: the first that ended a turn, once the others have had theirs. Within a unit of work at once, as
            nothing more can be done in it.
    """
    done, failed = 0, list[RaycesError]()
    for turn in turns:
        try:
            done += work(turn)
        except RaycesError as error:
            if _is_in_unit():
                raise
            logger.warning("%s failed; the others are gone on with: %s", what(turn), error)
            failed.append(error)
    if failed:
        failed[0].add_note(f"the first of {len(failed)} that failed; the others are done: {done} in all")
        raise failed[0]
    return done


def _is_in_unit() -> bool:
    binding: Any = bound_here()
    return binding is not None and binding.engine.holder_of_transaction() is not None

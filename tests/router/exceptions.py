"""What is sent although a router could not send it to one place, or would have it refused there; and why."""

from __future__ import annotations

import re
from dataclasses import dataclass

from tests.router import reading


@dataclass(frozen=True)
class Intended:
    """Statements that `pattern` finds may have `fault`; one that none has any more is to be taken out of the list.

    With `privileged` it is about privileged work alone, which no tenant is bound for.
    """

    fault: str
    pattern: str
    reason: str
    privileged: bool = False

    def covers(self, fault: str, sql: str, *, privileged: bool) -> bool:
        """Whether it is about this one."""
        meant = re.fullmatch(self.fault, fault) and re.search(self.pattern, sql, re.DOTALL)
        return bool(meant) and (privileged or not self.privileged)


INTENDED: tuple[Intended, ...] = (
    Intended(
        reading.LOCAL_CHANGED,
        r"UPDATE resolved AS r SET ",
        "an import compares in a temporary table; where that is refused, the rows are read into one of its own first",
    ),
    Intended(
        rf"{reading.UNBOUND}: \w+",
        r"^CREATE TEMP TABLE .* WITH NO DATA$",
        "an archive that is brought in asks for the types of columns and reads no row",
    ),
    Intended(
        reading.CONFLICT,
        r"INSERT INTO sign_in_attempts",
        "a try is counted and judged at once, by the limits of each key; where that is refused, sign-in stays off",
    ),
    Intended(
        reading.READ_BACK,
        r"AND id <> \(SELECT id FROM entry\)",
        "what is given back is reckoned from the entries before, and the one that is written is left out by its id",
    ),
    Intended(
        reading.READ_BACK,
        r"JOIN time_off_requests AS asked",
        "of the request that was decided only what was asked for is read, which deciding does not change",
    ),
    Intended(
        reading.READ_BACK,
        r"INSERT INTO sign_in_attempts",
        "as above, sign-in stays off",
    ),
    Intended(
        reading.LOCKED_UNBOUND,
        r"outbox_messages",
        "a relay serves every tenant in one statement; where that is refused, there is none",
        privileged=True,
    ),
    Intended(
        reading.VOLATILE,
        r"(UPDATE|DELETE FROM) outbox_messages",
        "a relay serves every tenant in one statement, and its leases are by the server's clock",
        privileged=True,
    ),
)

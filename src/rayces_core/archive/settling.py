"""Settings of the session that change how PostgreSQL writes values, held while an archive is written or read.

Rule it guards: an archive is the same whatever database, role or host's code has set.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from typing import Final

from rayces_core.database.binding import current

_HELD: Final = {
    "DateStyle": "ISO, YMD",
    "IntervalStyle": "postgres",
    "TimeZone": "UTC",
    "bytea_output": "hex",
    "extra_float_digits": "1",
    "lc_monetary": "C",
    "quote_all_identifiers": "off",
    "standard_conforming_strings": "on",
    "xmloption": "content",
}
_READ: Final = ", ".join(f"current_setting('{name}')" for name in _HELD)


@contextmanager
def settled() -> Iterator[None]:
    """Values are written and read in one way within the block, in a unit of work; the caller's settings come back."""
    before = dict(zip(_HELD, current().engine.run_prepared(f"SELECT {_READ}", ()).fetchone(), strict=True))
    _hold(_HELD)
    yield
    _hold(before)


def _hold(settings: Mapping[str, str]) -> None:
    # Where a server is hardened, set_config is nobody's.
    said = [f"SET LOCAL {name} TO '{value.replace(chr(39), chr(39) * 2)}'" for name, value in settings.items()]
    current().engine.run_prepared("; ".join(said), ())

"""Time-outs as the server is told of them."""

from __future__ import annotations

from typing import Final

from rayces_core.errors import ConfigurationError

MOST_SECONDS: Final = 2_147_483  # the server counts milliseconds in 32 bits


def timeout_setting(seconds: object) -> dict[str, str]:
    """The setting by which the server ends a statement after so many seconds; empty for None, no limit.

    Raises:
        ConfigurationError: it is no number of seconds that the server knows.
    """
    if seconds is None:
        return {}
    if isinstance(seconds, bool) or not isinstance(seconds, int | float) or not 0.001 <= seconds <= MOST_SECONDS:
        reason = f"statement_timeout must be seconds, from 0.001 to {MOST_SECONDS}, or None for no limit"
        raise ConfigurationError(f"{reason}, not {seconds!r:.40}")
    return {"statement_timeout": str(round(seconds * 1000))}

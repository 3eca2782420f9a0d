"""The options of a Database, in one place."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import Any, Final, Literal

from rayces_core.errors import ConfigurationError

FIND_OUT_SECONDS: Final = 10.0


@dataclass(frozen=True, slots=True, kw_only=True)
class Options:
    """How a Database works; see `Database.connect` for what each means."""

    admin_url: str | None = None
    max_connections: int = 20
    pool_timeout: float = 30.0
    app_role: str = "rayces_app"
    admin_role: str = "rayces_admin"
    tenant_cache_seconds: float = 30.0
    in_event_loop: Literal["allow", "refuse"] = "allow"
    idle_in_transaction_seconds: float | None = 300.0
    find_out_seconds: float = FIND_OUT_SECONDS
    outbox: bool = True
    connect_options: dict[str, Any] = field(default_factory=dict)

    def __post_init__(self) -> None:
        if self.in_event_loop not in ("allow", "refuse"):
            raise ConfigurationError(f'in_event_loop must be "allow" or "refuse", not {self.in_event_loop!r}')
        if self.idle_in_transaction_seconds is not None and not self.idle_in_transaction_seconds > 0:
            raise ConfigurationError("idle_in_transaction_seconds must be above zero, or None for no limit")
        if not self.find_out_seconds >= 0:
            raise ConfigurationError("find_out_seconds must be a number of seconds, 0 to ask only once")


OWN = frozenset(Options.__dataclass_fields__) - {"connect_options"}


def options_of(given: dict[str, Any]) -> Options:
    """The options named in `given`; what else is there goes to the driver."""
    mine = {name: value for name, value in given.items() if name in OWN}
    return Options(**mine, connect_options={name: value for name, value in given.items() if name not in OWN})

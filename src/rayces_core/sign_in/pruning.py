"""What is of no use any more, for a sweep to remove."""

from __future__ import annotations

from datetime import timedelta
from typing import Any

from rayces_core import clock
from rayces_core.models.signing_in import Device, SignInAttempt, SingleUseToken

KEPT = timedelta(days=7)


def prune() -> int:
    """Delete expired devices, and links and failed attempts that are a week old; returns how many rows went."""
    now = clock.now()
    useless: tuple[tuple[Any, Any], ...] = (
        (Device, Device.expires_at < now),
        (SingleUseToken, SingleUseToken.expires_at < now - KEPT),
        (SignInAttempt, SignInAttempt.last_at < now - KEPT),
    )
    return sum(_delete(model, condition) for model, condition in useless)


def _delete(model: Any, condition: Any) -> int:
    """Delete what nobody is at: what is waited for in no order could be waited for by the one who is at it."""
    free = model.select(model.id).where(condition).for_update("FOR UPDATE SKIP LOCKED")
    return int(model.delete().where(model.id.in_(free)).execute())

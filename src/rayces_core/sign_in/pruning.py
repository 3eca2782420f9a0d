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
    return sum(model.delete().where(condition).execute() for model, condition in useless)

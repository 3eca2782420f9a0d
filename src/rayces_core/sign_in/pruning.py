"""What is of no use any more, for a sweep to remove."""

from __future__ import annotations

from datetime import timedelta
from typing import Any

from peewee import Tuple

from rayces_core import clock
from rayces_core.models.signing_in import Device, SignInAttempt, SingleUseToken
from rayces_core.tenancy.organization import on_their_way, taken_apart
from rayces_core.tenancy.sweeping import each_in_turn

KEPT = timedelta(days=7)
BATCH = 1000


def prune() -> int:
    """Delete expired devices, and links and failed attempts that are a week old; returns how many rows went.

    In batches, which outside a unit of work commit by themselves.

    Raises:
        RaycesError: some could not be deleted; the others are.
    """
    now = clock.now()
    useless: tuple[tuple[Any, Any], ...] = (
        (Device, Device.expires_at < now),
        (SingleUseToken, SingleUseToken.expires_at < now - KEPT),
        (SignInAttempt, SignInAttempt.last_at < now - KEPT),
    )
    places, moving = taken_apart(), on_their_way()
    turns = (
        (model, condition & model.organization.not_in(moving) if moving else condition, organization)
        for model, condition in useless
        for organization in places
    )
    return each_in_turn(turns, lambda turn: _delete(*turn), lambda turn: f"pruning {turn[0].__name__}")


def _delete(model: Any, condition: Any, organization: int | None) -> int:
    """Delete what nobody is at: what is waited for in no order could be waited for by the one who is at it.

    Rows are named with their organization: the one that is deleted may have the id of another's that is of use.
    """
    own = () if organization is None else (model.organization == organization,)
    key = (model.organization, model.id)
    free = model.select(*key).where(condition, *own).limit(BATCH).for_update("FOR UPDATE SKIP LOCKED")
    total = 0
    while True:
        gone = int(model.delete().where(Tuple(*key).in_(free), *own).execute())
        total += gone
        if gone < BATCH:
            return total

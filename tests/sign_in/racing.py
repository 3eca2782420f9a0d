"""Deeds of sign-in for the crews of tests.scheduling.racing: what comes back is plain."""

from __future__ import annotations

from datetime import datetime

from rayces_core import clock, sign_in
from rayces_core.errors import RaycesError
from rayces_core.sign_in import passwords
from tests.sign_in.conftest import CHEAP


def reset(token: str, password: str) -> str:
    return _kind_of(sign_in.reset_password, token, password)


def attempt(times: int, email: str, password: str, address: str, now: datetime) -> list[str]:
    with clock.frozen(now):
        return [_kind_of(sign_in.check_password, email, password, address=address) for _ in range(times)]


def _kind_of(deed, *given, **options) -> str:
    passwords._hashers = lambda: CHEAP  # the process is a worker's own
    try:
        deed(*given, **options)
    except RaycesError as error:
        return type(error).__name__
    return "done"

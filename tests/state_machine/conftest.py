"""A bound tenant with an acting user, and subscriptions that end with their test: machines are the whole process's."""

from collections.abc import Callable, Iterator
from typing import Any

import pytest

from rayces_core import Role, User
from tests.factory import make_user


@pytest.fixture
def bound(db: Any, a: Any) -> Iterator[Any]:
    """The organization `a`, bound."""
    with db.tenant(a):
        yield a


@pytest.fixture
def admin(bound: Any) -> User:
    """An admin of the bound organization."""
    return make_user(role=Role.ADMIN)


@pytest.fixture
def listen() -> Iterator[Callable[..., Any]]:
    """Subscribe a function to events of a machine until the end of the test; gives the list of what it was told."""
    subscribed: list[tuple[Any, Any]] = []

    def subscribe(machine: Any, *events: str, listener: Callable[..., Any] | None = None) -> list[Any]:
        told: list[Any] = []
        machine.on(*events)(listener or told.append)
        subscribed.append((machine, listener or told.append))
        return told

    yield subscribe
    for machine, listener in subscribed:
        machine.off(listener)


@pytest.fixture
def within(monkeypatch: pytest.MonkeyPatch) -> Callable[..., None]:
    """Attach an effect to an event until the end of the test."""

    def attach(machine: Any, event: str, effect: Callable[..., Any], **options: Any) -> None:
        effects = machine._announcements._effects
        monkeypatch.setitem(effects, event, [*effects.get(event, ())])
        machine.within(event, **options)(effect)

    return attach

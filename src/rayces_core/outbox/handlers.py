"""Who gets which messages: deliverers by name, some of them for a pattern of topics, some for many receivers."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass
from fnmatch import fnmatchcase
from typing import Any, Final, Protocol, runtime_checkable

from rayces_core.database.callbacks import refuse_deferred
from rayces_core.errors import ConfigurationError
from rayces_core.outbox.message import Message

Deliver = Callable[[Message], object]
LONGEST_NAME: Final = 100


@runtime_checkable
class Fan(Protocol):
    """A deliverer for many receivers, each with a name of its own, so that only those that failed get it again."""

    def targets(self, message: Message) -> Mapping[str, Deliver]:
        """Receivers of this message, by a name that stays; called with its organization bound."""


@dataclass(frozen=True, slots=True)
class Routed:
    """A deliverer for some topics."""

    topics: tuple[str, ...]
    deliver: Deliver | Fan

    def takes(self, topic: str) -> bool:
        """Whether messages of the topic are for it."""
        return any(fnmatchcase(topic, pattern) for pattern in self.topics)


def on(topics: str | Iterable[str], deliver: Deliver | Fan) -> Routed:
    """A deliverer for the topics of a pattern only, such as "appointment.*", or of any of several."""
    patterns = (topics,) if isinstance(topics, str) else tuple(topics)
    if not patterns or not all(isinstance(each, str) and each for each in patterns):
        raise ConfigurationError(f'on() needs a topic or a pattern such as "appointment.*", not {topics!r:.60}')
    return Routed(patterns, deliver)


class Handlers:
    """The deliverers of a relay, checked."""

    def __init__(self, given: Mapping[str, Deliver | Fan | Routed]) -> None:
        if not isinstance(given, Mapping) or not given:
            raise ConfigurationError('a relay needs deliverers by name, such as {"webhooks": outbox.Webhooks()}')
        self._routes = {_checked_name(name): _checked(name, deliver) for name, deliver in given.items()}

    @property
    def has_fans(self) -> bool:
        """Whether any of them has to be asked, with the message's organization bound."""
        return any(isinstance(route.deliver, Fan) for route in self._routes.values())

    @property
    def names(self) -> tuple[str, ...]:
        """Their names."""
        return tuple(self._routes)

    def targets(self, message: Message) -> dict[str, Deliver]:
        """Who is to get the message, by name; called with its organization bound."""
        found: dict[str, Deliver] = {}
        for name, route in self._routes.items():
            if not route.takes(message.topic):
                continue
            deliver = route.deliver
            if isinstance(deliver, Fan):
                found |= {f"{name}:{each}": target for each, target in deliver.targets(message).items()}
            else:
                found[name] = deliver
        return found


def _checked_name(name: Any) -> str:
    if not isinstance(name, str) or not name.strip() or len(name) > LONGEST_NAME or "\0" in name:
        raise ConfigurationError(f"a deliverer's name is a text of 1 to {LONGEST_NAME} characters, not {name!r:.60}")
    return name


def _checked(name: str, given: Any) -> Routed:
    route = given if isinstance(given, Routed) else Routed(("*",), given)
    if not isinstance(route.deliver, Fan):
        if not callable(route.deliver):
            raise ConfigurationError(f"the deliverer {name!r} cannot be called with a message")
        refuse_deferred(route.deliver, "deliverer")
    return route

"""What a contender is: one way to talk to the database, able to do some or all of the operations."""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Sequence
from contextlib import AbstractContextManager, nullcontext
from typing import Any, ClassVar

from bench.facts import Facts


class Contender(ABC):
    """Opened on a URL; has a method for each operation it offers, named like the operation's `method`.

    An operation returns what it read, so that the rows of all contenders can be compared. The work is one commit.
    """

    name: ClassVar[str]

    def __init__(self, url: str, facts: Facts) -> None:
        self.url, self.facts = url, facts

    def offers(self, method: str) -> bool:
        """Whether this contender has the operation."""
        return hasattr(self, method)

    def working(self, subdomain: str | None = None) -> AbstractContextManager[object]:  # noqa: ARG002 - most have none
        """The block of the measured organization, or of another, for operations that are not about opening it."""
        return nullcontext()

    def load(self, ids: Sequence[int]) -> list[Any]:
        """The appointments with these ids, in whatever form `save` takes them."""
        return list(ids)

    def purchases(self, rows: list[dict[str, int]]) -> Any:
        """Purchases (`user` and `credits`), in whatever form `purchase_many` takes them."""
        return rows

    def slots_statement(self) -> tuple[str, Any]:
        """The SQL, with its values, by which `find_slots` asks the database."""
        raise NotImplementedError

    @abstractmethod
    def plain(self, row: Any) -> dict[str, Any]:
        """A row, of whatever kind an operation returned, as column name → value."""

    @abstractmethod
    def close(self) -> None:
        """Let go of the database."""

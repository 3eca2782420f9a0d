"""Who did what to an appointment, as its journal has it."""

from __future__ import annotations

from collections.abc import Callable
from datetime import datetime
from typing import TYPE_CHECKING

from rayces_core.models.user import User


class Actors:
    """The users behind an appointment's stamps."""

    if TYPE_CHECKING:
        actor_of: Callable[..., User | None]
        executed_at: datetime | None
        no_show_at: datetime | None

    @property
    def pre_confirmed_by(self) -> User | None:
        """Who took the time slot."""
        return self.actor_of("pre_confirm")

    @property
    def confirmed_by(self) -> User | None:
        """Who confirmed."""
        return self.actor_of("confirm")

    @property
    def executed_by(self) -> User | None:
        """Who recorded the session as held; None where it is not."""
        return self.actor_of("execute", "correct_to_executed") if self.executed_at else None

    @property
    def marked_no_show_by(self) -> User | None:
        """Who recorded that the student did not come; None where nobody says so."""
        return self.actor_of("mark_no_show", "correct_to_no_show") if self.no_show_at else None

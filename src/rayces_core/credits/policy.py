"""What an appointment costs and what a cancellation or a no-show gives back: one small object that a host can replace.

    from rayces_core import credits

    class HalfBack(credits.Policy):
        def refund(self, appointment, cancelled_at, notice_hours):
            return appointment.credits_used // 2

    credits.use_policy(HalfBack())

It holds for the whole process.
"""

from __future__ import annotations

from datetime import datetime, timedelta

from rayces_core.models.appointment import Appointment


class Policy:
    """The domain's own rules."""

    def cost(self, appointment: Appointment) -> int:
        """Whole credits that confirming the appointment takes; 0 takes none."""
        return appointment.credits_used if appointment.uses_credit else 0

    def refund(self, appointment: Appointment, cancelled_at: datetime, notice_hours: int) -> int:
        """Whole credits that a cancellation gives back of those debited: all of them with enough notice, else none."""
        in_time = appointment.scheduled_at - cancelled_at >= timedelta(hours=notice_hours)
        return appointment.credits_used if in_time else 0

    def no_show(self, appointment: Appointment) -> int:  # noqa: ARG002
        """Whole credits that a no-show gives back of those debited: none."""
        return 0


_policies: list[Policy] = [Policy()]


def use_policy(policy: Policy) -> Policy:
    """Have this policy decide from now on, in this process; returns the one that did before."""
    before, _policies[:] = _policies[0], [policy]
    return before


def policy() -> Policy:
    """The policy that decides."""
    return _policies[0]

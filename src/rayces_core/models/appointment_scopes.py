"""AppointmentSelect: the questions that are asked of appointments again and again, as scopes that chain."""

from __future__ import annotations

from datetime import datetime
from typing import TYPE_CHECKING, Any, Self, cast

from rayces_core import clock
from rayces_core.errors import InvalidDataError
from rayces_core.models.professional import Professional
from rayces_core.models.student import Student
from rayces_core.models.user import User
from rayces_core.tenancy.queries import Row, TenantSelect
from rayces_core.tenancy.scoping import check_home


class AppointmentSelect(TenantSelect[Row]):
    """SELECT of appointments."""

    model: Any

    def upcoming(self, now: datetime | None = None) -> Self:
        """Those that hold time and begin at `now` or later, the next one first; an overdue hold is none of them."""
        moment = clock.moment(now)
        begins = self.model.scheduled_at
        ahead = self.in_state("pre_confirmed", "confirmed").where(begins >= moment, self._no_overdue_hold(moment))
        return ahead.order_by(begins, self.model.id)

    def starting(self, since: datetime, before: datetime) -> Self:
        """Those that begin at `since` or later and before `before`, the first one first."""
        begins = self.model.scheduled_at
        return self.where(begins >= since, begins < before).order_by(begins, self.model.id)

    def unmarked(self, now: datetime | None = None) -> Self:
        """Those that have begun and are still confirmed, as nobody marked them; the oldest first."""
        begins = self.model.scheduled_at
        return self.in_state("confirmed").where(begins <= clock.moment(now)).order_by(begins, self.model.id)

    def in_state(self, *states: str) -> Self:
        """Those in one of these states; at least one is needed."""
        if not states:
            raise InvalidDataError("states", states, "needs at least one state")
        if len(states) == 1:
            return self.where(self.model.state == states[0])
        return self.where(self.model.state.in_(states))

    def for_professional(self, professional: Any) -> Self:
        """Those with a professional: the profile, its user, or the user's id."""
        check_home(professional)
        if isinstance(professional, User):
            return self.where(self.model.professional == professional.id)
        return self.where(self.model.professional == getattr(professional, "user_id", professional))

    def holding(self, role: str, key: int) -> Self:
        """Those that hold a professional (by the user's id, as the first one or the second), a room or a device.

        `role` is `professional`, `second_professional`, `room` or `device`.
        """
        if role in ("room", "device"):
            return self.where(getattr(self.model, role) == key)
        return self.where((self.model.professional == key) | (self.model.second_professional == key))

    def for_student(self, student: Any) -> Self:
        """Those of a student, or of the student with this id."""
        return self.where(self.model.student == student)

    def for_client(self, client: Any) -> Self:
        """Those that a user, or the user with this id, booked."""
        return self.where(self.model.client == client)

    def with_people(self) -> Self:
        """The same, and with each its `student`, `client`, `professional` and `professional.user`, in one query."""
        works = User.alias()
        return (
            self.select_extend(Student, Professional, works, User)
            .join_from(self.model, Student)
            .join_from(self.model, Professional, on=self.model.professional)
            .join_from(Professional, works, on=Professional.user, attr="user")
            .join_from(self.model, User, on=self.model.client)
        )

    def occupying(self, start: datetime, end: datetime, *, now: datetime | None = None) -> Self:
        """Those that hold the professional's time, buffer included, somewhere between `start` and `end`.

        A hold that is overdue at `now`, the clock's moment unless given, holds none.
        """
        model = self.model
        taken = model.state.in_(["pre_confirmed", "confirmed", "executed", "no_show"])
        taken &= self._no_overdue_hold(clock.moment(now))
        return self.where(taken & (model.occupied_from < end) & (model.occupied_until > start))

    def _no_overdue_hold(self, moment: datetime) -> Any:
        return (self.model.state != "pre_confirmed") | (self.model.expires_at >= moment)


if TYPE_CHECKING:
    from rayces_core.tenancy.model import TimestampedTenantModel as _Model
else:
    _Model = object


class Scoped(_Model):
    """The scopes that a query of appointments usually begins with, on the model itself."""

    @classmethod
    def upcoming(cls, now: datetime | None = None) -> AppointmentSelect[Self]:
        """Appointments that hold time and begin at `now` or later, the next one first."""
        return _of(cls).upcoming(now)

    @classmethod
    def unmarked(cls, now: datetime | None = None) -> AppointmentSelect[Self]:
        """As `AppointmentSelect.unmarked`."""
        return _of(cls).unmarked(now)

    @classmethod
    def in_state(cls, *states: str) -> AppointmentSelect[Self]:
        """Appointments in one of these states."""
        return _of(cls).in_state(*states)

    @classmethod
    def for_professional(cls, professional: Professional | User | int) -> AppointmentSelect[Self]:
        """Appointments with a professional: the profile, its user, or the user's id."""
        return _of(cls).for_professional(professional)

    @classmethod
    def with_people(cls) -> AppointmentSelect[Self]:
        """Appointments, and with each its student, client, professional and the professional's user: one query."""
        return _of(cls).with_people()


def _of(model: type[Row]) -> AppointmentSelect[Row]:
    return cast("AppointmentSelect[Row]", model.select())

"""Who may read which rows: `Model.visible_to(user)`, as conditions that the database decides by.

Rule it guards: what no rule gives is not seen. The table is in docs/reading.md, and a test walks it.
"""

from __future__ import annotations

from collections.abc import Callable
from functools import reduce
from operator import or_
from typing import Any

import peewee

from rayces_core.errors import CrossTenantError, TenancyError
from rayces_core.models.appointment import Appointment
from rayces_core.models.calendar_feed import CalendarFeed
from rayces_core.models.closed_day import ClosedDay
from rayces_core.models.credit import CreditTransaction
from rayces_core.models.credit_balance import CreditBalance
from rayces_core.models.credit_kind import CreditKind
from rayces_core.models.credit_lot import CreditLot, CreditLotMovement
from rayces_core.models.credit_package import CreditPackage
from rayces_core.models.group_session import GroupSession
from rayces_core.models.imports import ImportRun
from rayces_core.models.invoice import Invoice, InvoiceCounter, InvoiceLine
from rayces_core.models.journal import StateTransition
from rayces_core.models.notice import Notice
from rayces_core.models.outbox import OutboxMessage
from rayces_core.models.outside_calendar import OutsideBusy, OutsideCalendar
from rayces_core.models.professional import Professional
from rayces_core.models.resource import Resource
from rayces_core.models.series import AppointmentSeries
from rayces_core.models.service import ProfessionalService, Service
from rayces_core.models.signing_in import Credential, Device, SignInAttempt, SingleUseToken
from rayces_core.models.slot_request import SlotRequest
from rayces_core.models.social import Like, Post
from rayces_core.models.student import Student
from rayces_core.models.time_off import TimeOffRequest
from rayces_core.models.user import User
from rayces_core.models.webhook import WebhookEndpoint
from rayces_core.state_machine.actors import check_actor
from rayces_core.tenancy.model import TenantModel
from rayces_core.tenancy.scoping import tenant_of

Condition = Any
Rule = Callable[[Any, User], Condition]
"""`rule(Model, user)` gives a condition on the model's columns, True for every row, or False for none."""


def readable(model: type[TenantModel], rule: Rule) -> None:
    """Say who may read a model's rows; a host says it of its own tables. A model without it is refused to everyone.

    Args:
        rule: called with the model (or its alias in the query) and the user; staff and admins are asked as well.
            What it gives besides conditions, True and False raises TenancyError when a query is narrowed by it.
    """

    def narrowed(query: Any, user: User) -> Any:
        check_actor(user, User, acts=False)
        return _at_home(_narrowed_by(rule(query.model, user), query), user)

    model._readers = narrowed


def _narrowed_by(found: Condition, query: Any) -> Any:
    if found is True:
        return query
    if found is False:
        return query.where(query.model.id.is_null())
    # A rule that forgets its `return` gives None, which where() takes for no condition: every row would be seen.
    if not isinstance(found, peewee.ColumnBase):
        given = type(found).__name__
        raise TenancyError(f"the rule of {query.model._meta.name} gave {given}; it gives a condition, True or False")
    return query.where(found)


def everyone(_model: Any, _user: User) -> Condition:
    """Everyone of the organization reads every row."""
    return True


def staff_only(_model: Any, user: User) -> Condition:
    """Staff and admins read every row, others none."""
    return user.is_staff


def admins_only(_model: Any, user: User) -> Condition:
    """Admins read every row, others none."""
    return user.is_admin


def nobody(_model: Any, _user: User) -> Condition:
    """Nobody reads any row: what people sign in with is for the library alone."""
    return False


def own(model: Any, user: User) -> Condition:
    """Staff and admins read every row, others those whose `user` they are."""
    return True if user.is_staff else model.user == user.id


def _own_alone(model: Any, user: User) -> Condition:
    return model.user == user.id


def _at_home(query: Any, user: User) -> Any:
    """In privileged work, which reads every organization's rows, a user still sees the own one's alone."""
    home = tenant_of(user)
    if home is None:
        raise CrossTenantError("the user's organization is not known; read the user first", bound=None, found=None)
    return query.where(query.model.organization == home)


def _children(user: User, student: Any = Student) -> Condition:
    return (student.primary_contact == user.id) | (student.secondary_contact == user.id)


def _any_of(query: Any, user: User) -> Any:
    """ANY of an array, made once, which an index serves next to an OR too; IN would read the whole table there."""
    rows = query.where(query.model.organization == tenant_of(user))
    return peewee.fn.ANY(peewee.fn.ARRAY(rows))


def _own_children(user: User) -> Any:
    return _any_of(Student.select(Student.id).where(_children(user)), user)


def _own_sessions(user: User, *columns: Any) -> Any:
    mine = (Appointment.professional == user.id) | (Appointment.second_professional == user.id)
    return _any_of(Appointment.select(*columns).where(mine), user)


def _appointments(model: Any, user: User) -> Condition:
    if user.is_staff:
        return True
    mine = (model.client == user.id) | (model.student == _own_children(user))
    if not user.is_professional:
        return mine
    return mine | (model.professional == user.id) | (model.second_professional == user.id)


def _series(model: Any, user: User) -> Condition:
    """The series of every appointment that the user sees."""
    if user.is_staff:
        return True
    return model.id == _any_of(Appointment.select(Appointment.series).where(_appointments(Appointment, user)), user)


def _students(model: Any, user: User) -> Condition:
    if user.is_staff:
        return True
    mine = _children(user, model)
    if not user.is_professional:
        return mine
    return mine | (model.id == _own_sessions(user, Appointment.student))


def _users(model: Any, user: User) -> Condition:
    if user.is_staff:
        return True
    mine = (model.id == user.id) | (model.id == _profiles(user, Professional.user))
    return mine | (model.id == _own_sessions(user, Appointment.client)) if user.is_professional else mine


def _profiles(user: User, *columns: Any) -> Any:
    return _any_of(Professional.select(*columns).where(_professionals(Professional, user)), user)


def _professionals(model: Any, user: User) -> Condition:
    """Those who can be booked, the own profile, and whoever a visible session is with."""
    if user.is_staff:
        return True
    seen = _appointments(Appointment, user)
    first, second = (
        _any_of(Appointment.select(role).where(seen), user)
        for role in (Appointment.professional, Appointment.second_professional)
    )
    met = (model.user == first) | (model.user == second)
    return (model.active == True) | (model.user == user.id) | met  # noqa: E712 - SQL


def _journal(model: Any, user: User) -> Condition:
    """The journal of every row that the user sees; of groups, which everyone sees, that of the own ones."""
    if user.is_staff:
        return True
    subjects = (
        (Appointment, _appointments),
        (GroupSession, _own_groups),
        (TimeOffRequest, _own_time_off),
        (SlotRequest, _own_slot_requests),
        (Student, _students),
        (CreditTransaction, own),
        (Invoice, _own_issued),
    )
    return reduce(or_, (_journal_of(model, subject, rule, user) for subject, rule in subjects))


def _own_time_off(model: Any, user: User) -> Condition:
    """Staff and admins read every row, professionals their own."""
    return True if user.is_staff else model.professional == user.id


def _own_slot_requests(model: Any, user: User) -> Condition:
    """Staff and admins read every request, families their own and those for their children."""
    return True if user.is_staff else (model.client == user.id) | (model.student == _own_children(user))


def _own_calendars(model: Any, user: User) -> Condition:
    """Professionals read their own: who knows the address reads the calendar."""
    return model.professional == user.id


def _own_groups(model: Any, user: User) -> Condition:
    return model.professional == user.id


def _journal_of(model: Any, subject: Any, rule: Rule, user: User) -> Condition:
    rows = _any_of(subject.select(subject.id).where(rule(subject, user)), user)
    return (model.subject_type == subject.__name__) & (model.subject_id == rows)


def _lots(model: Any, user: User) -> Condition:
    """Those of the own balances."""
    return True if user.is_staff else model.credit_balance == _own_balances(user)


def _lot_movements(model: Any, user: User) -> Condition:
    if user.is_staff:
        return True
    mine = _any_of(CreditTransaction.select(CreditTransaction.id).where(CreditTransaction.user == user.id), user)
    return model.credit_transaction == mine


def _own_issued(model: Any, user: User) -> Condition:
    """Staff and admins read every invoice, others those that were issued to them or to a duplicate of theirs."""
    if user.is_staff:
        return True
    named = _any_of(User.select(User.id).where((User.id == user.id) | (User.merged_into == user.id)), user)
    return (model.user == named) & (model.state == "issued")


def _lines(model: Any, user: User) -> Condition:
    if user.is_staff:
        return True
    return model.invoice == _any_of(Invoice.select(Invoice.id).where(_own_issued(Invoice, user)), user)


def _own_balances(user: User) -> Any:
    return _any_of(CreditBalance.select(CreditBalance.id).where(CreditBalance.user == user.id), user)


def _notices(model: Any, user: User) -> Condition:
    """Staff and admins read every notice, others those that they got."""
    return True if user.is_staff else model.recipient == user.id


RULES: dict[type[TenantModel], Rule] = {
    User: _users,
    Professional: _professionals,
    Student: _students,
    GroupSession: everyone,
    Appointment: _appointments,
    AppointmentSeries: _series,
    CreditBalance: own,
    CreditTransaction: own,
    StateTransition: _journal,
    CreditLot: _lots,
    CreditLotMovement: _lot_movements,
    CreditPackage: everyone,
    CreditKind: everyone,
    Service: everyone,
    ProfessionalService: everyone,
    Resource: everyone,
    ClosedDay: everyone,
    TimeOffRequest: _own_time_off,
    SlotRequest: _own_slot_requests,
    Invoice: _own_issued,
    InvoiceLine: _lines,
    InvoiceCounter: staff_only,
    Post: everyone,
    Like: everyone,
    ImportRun: staff_only,
    OutboxMessage: admins_only,
    WebhookEndpoint: admins_only,
    Device: _own_alone,
    Credential: nobody,
    SingleUseToken: nobody,
    SignInAttempt: nobody,
    Notice: _notices,
    CalendarFeed: _own_alone,
    OutsideCalendar: _own_calendars,
    OutsideBusy: _own_time_off,
}
for _model, _rule in RULES.items():
    readable(_model, _rule)

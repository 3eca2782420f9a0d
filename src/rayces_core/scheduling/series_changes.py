"""Changing a series: this session, this and the following ones, or all that are still to come.

Each session is moved or cancelled as one by itself is: by the same decision, with its own row in the journal. What was
moved by itself before stays where it was put.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, replace
from datetime import UTC, datetime
from typing import Any, Final, Literal

from rayces_core import clock
from rayces_core.database.binding import current
from rayces_core.database.messages import Message
from rayces_core.errors import BookingError, InvalidDataError, SeriesConflictError, TenantNotSetError
from rayces_core.models.appointment import PRE_CONFIRMED, Appointment
from rayces_core.models.series import AppointmentSeries
from rayces_core.models.user import User
from rayces_core.scheduling.moving import MOVABLE, reschedule
from rayces_core.scheduling.recurrence import Recurrence, read
from rayces_core.scheduling.series import Skipped, join, unit_of_work
from rayces_core.tenancy.scoping import check_saved

Which = Literal["this", "following", "all"]
WHICH: Final = ("this", "following", "all")
END: Final = Message(
    """
    UPDATE appointment_series SET ends_before = least(ends_before, %(before)s), updated_at = %(now)s
     WHERE organization_id = %(tenant)s AND id = %(series)s""",
    types={"tenant": "bigint", "series": "bigint", "before": "timestamptz", "now": "timestamptz"},
)


@dataclass(frozen=True, slots=True)
class SeriesChange:
    """What came of a change, each in order of time.

    Attributes: `changed`, the appointments that were moved; `kept`, those that had been moved by themselves before and
    stay there; `skipped`, those that could not be moved; `series`, the AppointmentSeries that all of them are of now.
    """

    changed: tuple[Appointment, ...]
    kept: tuple[Appointment, ...]
    skipped: tuple[Skipped, ...]
    series: AppointmentSeries | None


def reschedule_series(
    appointment: Appointment,
    scheduled_at: datetime,
    *,
    which: Which = "following",
    skip_conflicts: bool = False,
    dry_run: bool = False,
    by: User | None = None,
    now: datetime | None = None,
    **options: Any,
) -> SeriesChange:
    """Move an appointment of a series, and others of the series with it, as many days and to the same time of day.

    One unit of work: all of them are moved or none, unless conflicts are to be skipped. What is moved goes on as a
    series of its own, which `follows` the old one; the old one ends before it.

    Args:
        appointment: one of a series.
        scheduled_at: where it is to go; the others follow. A monthly series goes on at the weekday of the month of it.
        which: "this" one alone, as `reschedule` does; "following", this one and those after it; "all" that are not
            over, begun or ended.
        skip_conflicts: leave those where they are that cannot be moved, and report them.
        dry_run: move nothing, and report what could not be moved.
        by, now, options: professional, duration_minutes, reason and the others, as for `reschedule`. A key names one
            move: several take none, and coming again they move nothing further.

    Returns:
        A SeriesChange; after a dry run its `changed` and `kept` are empty.

    Raises:
        SeriesConflictError: some cannot be moved; it names all of them.
        InvalidDataError: the appointment is of no series, or the days of its rule do not move.
        NotPermittedError, CrossTenantError: as for `reschedule`.
    """
    moment, start = clock.moment(now), clock.utc(scheduled_at, "scheduled_at")
    options = {"by": by, "now": moment, **options}
    _check(appointment, which)
    if which != "this" and options.get("idempotency_key") is not None:
        raise InvalidDataError("idempotency_key", options["idempotency_key"], "names one move, and these are several")
    with unit_of_work(only_tried=dry_run):
        series = _locked(appointment)
        plan = _plan(appointment, series, start, which, moment)
        changed, failed = _move_each(plan.moves, options)
        if failed and not (skip_conflicts or dry_run):
            raise SeriesConflictError(_causes(failed))
        made = series if plan.goes_on is None or not changed else _split(series, plan, plan.goes_on, moment)
    if dry_run:
        return SeriesChange((), (), _causes(failed), series)
    return SeriesChange(changed, plan.kept, _in_order(failed.values()), made)


def cancel_series(
    appointment: Appointment,
    *,
    which: Which = "following",
    by: User | None = None,
    reason: str | None = None,
    refund: bool | None = None,
    now: datetime | None = None,
) -> tuple[Appointment, ...]:
    """Cancel an appointment of a series, and others of the series with it: all of them or none.

    Args:
        which: "this" one alone; "following", this one and those after it; "all". Of these two, what has begun stays,
            and what is cancelled already.
        by, reason, refund, now: as for `Appointment.cancel`.

    Returns:
        Those that were cancelled, in order of time; the series ends before the first of them.

    Raises:
        InvalidDataError: the appointment is of no series. TenantNotSetError: the work is privileged.
        TransitionRefusedError, InvalidTransitionError, NotPermittedError: as for `Appointment.cancel`; nothing is
            cancelled.
    """
    moment = clock.moment(now)
    _check(appointment, which)
    with current().engine.atomic():
        series = _locked(appointment)
        if which == "this":
            cancelled = [appointment]
        else:
            pivot, cancelled = _pivot(appointment, which, moment), []
            if pivot is not None:
                cancelled = [each for each in _members(series, pivot, appointment) if _is_ahead(each, moment)]
                _end(series, pivot, moment)
        for each in sorted(cancelled, key=_begins):
            each.cancel(by=by, reason=reason, refund=refund, now=moment)
    return tuple(sorted(cancelled, key=_begins))


# -- what is meant ----------------------------------------------------------------------------------------------------


@dataclass(frozen=True, slots=True)
class _Plan:
    """What a change does.

    Attributes: `pivot`, the first occurrence that it is of; `moves`, appointments with where they go; `kept`, those
    that stay; `places`, every appointment from the pivot on with its occurrence from now on; `goes_on`, the new
    rule, None where the series stays as it is.
    """

    pivot: datetime
    moves: Sequence[tuple[Appointment, datetime]]
    kept: tuple[Appointment, ...]
    places: Sequence[tuple[Appointment, datetime]]
    goes_on: Recurrence | None


def _check(appointment: Appointment, which: str) -> None:
    check_saved(appointment, Appointment, "appointment", "book a series with scheduling.book_series(...)")
    if which not in WHICH:
        raise InvalidDataError("which", which, f"must be one of {', '.join(WHICH)}")
    if current().privileged:
        raise TenantNotSetError("a series is one organization's; wrap the code in `with db.tenant(...):`")


def _locked(appointment: Appointment) -> AppointmentSeries:
    """Its series, which nobody else changes until the unit of work ends; the appointment is read again."""
    while True:
        of = Appointment.get_by_id(appointment.id).series_id
        if of is None:
            raise InvalidDataError("appointment", appointment, "is of no series; move or cancel it by itself")
        series = AppointmentSeries.select().where(AppointmentSeries.id == of).for_update("FOR NO KEY UPDATE").get()  # type: ignore[arg-type]
        _read_again(appointment)
        if appointment.series_id == of:  # else another change, waited for, has split the series here
            return series


def _read_again(appointment: Appointment) -> None:
    unsaved = set(appointment.dirty_field_names)
    row = Appointment.get_by_id(appointment.id)
    values = {name: value for name, value in row.__data__.items() if name not in unsaved}
    Appointment.lifecycle.take_up(appointment, values)


def _plan(appointment: Appointment, series: AppointmentSeries, start: datetime, which: str, now: datetime) -> _Plan:
    if which == "this":
        return _Plan(start, [(appointment, start)], (), (), None)
    pivot = _pivot(appointment, which, now)
    if pivot is None:
        return _Plan(start, (), (), (), None)
    rule = read(series.rule, series.starts_at, series.time_zone)
    before = rule.starts()
    if which == "all":
        pivot = _with_left_out(series, pivot, before, now) if _may_begin_earlier(appointment, start, rule) else pivot
    ahead = [each for each in before if each >= pivot and (series.ends_before is None or each < series.ends_before)]
    goes_on = replace(rule, first=pivot).moved(_start_of(pivot, appointment, start, rule), len(ahead))
    becomes = dict(zip(ahead, goes_on.starts(), strict=True))
    members = [each for each in _members(series, pivot, appointment) if occurrence_of(each) in becomes]
    moves, kept = [], []
    for each in members:
        if not _is_ahead(each, now) or (each is not appointment and _is_overdue(each, now)):
            continue
        if each is appointment or each.scheduled_at == each.occurrence_at:
            moves.append((each, becomes[occurrence_of(each)]))
        else:
            kept.append(each)
    places = [(each, becomes[occurrence_of(each)]) for each in members]
    stays = all(was == now for was, now in becomes.items())
    return _Plan(pivot, moves, tuple(sorted(kept, key=_begins)), places, None if stays else goes_on)


def _pivot(appointment: Appointment, which: str, now: datetime) -> datetime | None:
    """The first occurrence that a change is of; None where all of them have begun or ended."""
    ahead = (
        Appointment.select()
        .in_state(*MOVABLE)
        .where(Appointment.series == appointment.series_id, Appointment.scheduled_at > now)
    )
    if which == "following":
        ahead = ahead.where(Appointment.occurrence_at >= occurrence_of(appointment))
    first = ahead.order_by(Appointment.occurrence_at).first()
    return None if first is None else occurrence_of(first)


def _may_begin_earlier(appointment: Appointment, start: datetime, rule: Recurrence) -> bool:
    """Whether what is before the appointment can be moved as it is."""
    was, becomes = occurrence_of(appointment).astimezone(rule.zone), start.astimezone(rule.zone)
    return rule.parts["FREQ"] != "MONTHLY" or was.date() == becomes.date()


def _with_left_out(series: AppointmentSeries, pivot: datetime, starts: Sequence[datetime], now: datetime) -> datetime:
    """The first of the occurrences just before the pivot that are to come, left out when it was booked."""
    earlier = [each for each in starts if now < each < pivot]
    there = Appointment.select().where(Appointment.series == series.id, Appointment.occurrence_at.in_(earlier))
    taken = {each.occurrence_at for each in there} if earlier else set()
    for each in reversed(earlier):
        if each in taken:
            break
        pivot = each
    return pivot


def occurrence_of(appointment: Appointment) -> datetime:
    """Which occurrence of its series an appointment is; that of none has none."""
    occurrence = appointment.occurrence_at
    assert occurrence is not None  # noqa: S101 - the database's rule: what is of a series is one of its occurrences
    return occurrence


def _start_of(pivot: datetime, appointment: Appointment, start: datetime, rule: Recurrence) -> datetime:
    """Where the pivot goes when the appointment's own occurrence goes to `start`: as many days, to the same time."""
    if pivot == occurrence_of(appointment):
        return start
    was, becomes = occurrence_of(appointment).astimezone(rule.zone), start.astimezone(rule.zone)
    days = becomes.date() - was.date()
    if days and rule.parts["FREQ"] == "MONTHLY":
        raise InvalidDataError("which", "all", "a monthly series is moved to another day from its next session on")
    local = datetime.combine(pivot.astimezone(rule.zone).date() + days, becomes.time(), rule.zone)
    return local.astimezone(UTC)


def _members(series: AppointmentSeries, pivot: datetime, own: Appointment) -> list[Appointment]:
    """The appointments of a series from an occurrence on; the one that is there stays the same object."""
    found = Appointment.select().where(Appointment.series == series.id, Appointment.occurrence_at >= pivot)
    return [own if each.id == own.id else each for each in found.order_by(Appointment.occurrence_at)]


def _is_ahead(appointment: Appointment, now: datetime) -> bool:
    return appointment.state in MOVABLE and appointment.scheduled_at > now


def _is_overdue(appointment: Appointment, now: datetime) -> bool:
    """Whether it is a hold that has ended, and is in nobody's way."""
    return appointment.state == PRE_CONFIRMED and appointment.expires_at is not None and appointment.expires_at < now


def _begins(appointment: Appointment) -> datetime:
    return appointment.scheduled_at


# -- doing it ---------------------------------------------------------------------------------------------------------


def _move_each(
    moves: Iterable[tuple[Appointment, datetime]], options: dict[str, Any]
) -> tuple[tuple[Appointment, ...], dict[int, Skipped]]:
    """Move those that can be, in such an order that none meets another's old time; the others by their id."""
    ordered = sorted(moves, key=lambda move: move[0].scheduled_at)
    if ordered and ordered[0][1] > ordered[0][0].scheduled_at:
        ordered.reverse()
    changed: list[Appointment] = []
    failed: dict[int, Skipped] = {}
    for appointment, start in ordered:
        try:
            with current().engine.atomic():
                changed.append(reschedule(appointment, start, **options))
        except BookingError as error:
            failed[appointment.id] = Skipped(start, error)
    return tuple(sorted(changed, key=_begins)), failed


def _causes(failed: Mapping[int, Skipped]) -> tuple[Skipped, ...]:
    """Without those that are only in each other's way, as one of them cannot be moved."""
    return _in_order(each for each in failed.values() if getattr(each.error, "conflicting_id", None) not in failed)


def _in_order(skipped: Iterable[Skipped]) -> tuple[Skipped, ...]:
    return tuple(sorted(skipped, key=lambda each: each.scheduled_at))


def _split(series: AppointmentSeries, plan: _Plan, goes_on: Recurrence, now: datetime) -> AppointmentSeries:
    """What goes on by the new rule is a series of its own."""
    _end(series, plan.pivot, now)
    made: AppointmentSeries = AppointmentSeries.create(
        rule=goes_on.rule,
        starts_at=goes_on.first,
        time_zone=goes_on.zone.key,
        follows=series.id,
        created_at=now,
        updated_at=now,
    )
    join(made, plan.places)
    return made


def _end(series: AppointmentSeries, before: datetime, now: datetime) -> None:
    current().engine.run_message(
        END, {"tenant": current().organization_id, "series": series.id, "before": before, "now": now}
    )

"""What is done for all tenants of a cell goes on for the others while one is moved, and while a copy of it is left."""

import threading
import time
from datetime import timedelta

import pytest
from click.testing import CliRunner
from opentelemetry.sdk.metrics import MeterProvider
from opentelemetry.sdk.metrics.export import InMemoryMetricReader

from rayces_core import Notice, OutsideCalendar, clock, credits, notices, outbox, scheduling, sign_in
from rayces_core.calendars import Fetcher, refresh_calendars
from rayces_core.cells.connecting import connected, rows
from rayces_core.cli.credits import reserve
from rayces_core.cli.options import Settings
from rayces_core.cli.slots import offer
from rayces_core.integrations.telemetry import watch_queues
from rayces_core.models.appointment import Appointment
from rayces_core.models.credit_lot import CreditLot
from rayces_core.models.signing_in import Device
from rayces_core.scheduling import book, reschedule
from tests.cells.conftest import make_tenant
from tests.cells.test_moving import stopped_at
from tests.factory import (
    make_appointment,
    make_device,
    make_notice,
    make_outside_calendar,
    make_package,
    make_slot_request,
    make_student,
    make_user,
    write_past,
)
from tests.notices.senders import EMAIL, reminders
from tests.scheduling.worlds import ALWAYS, NOW, at, make_working

HOUR = timedelta(hours=1)


def soon(hours=1):
    return (clock.now() + hours * HOUR).replace(second=0, microsecond=0)


def privileged(sweep):
    def run(database):
        with database.privileged(reason="test"):
            sweep()

    return run


def make_due_notice(**columns):
    booked = make_appointment(scheduled_at=soon())
    now = clock.now()
    write_past(booked, state="confirmed", pre_confirmed_at=now, expires_at=now, confirmed_at=now)
    given = {"event": "confirmed", "occurs_at": booked.scheduled_at, "due_at": now - HOUR} | columns
    make_notice(appointment=booked, **given)


def make_overdue_hold():
    past = clock.now() - HOUR
    held = make_appointment(scheduled_at=soon(72))
    write_past(held, state="pre_confirmed", pre_confirmed_at=past, expires_at=past)


def make_overdue_lot():
    credits.purchase_package(make_user(), make_package(valid_days=1))


def expire_lots_later(database):
    with clock.frozen(clock.now() + timedelta(days=3)), database.privileged(reason="test"):
        credits.expire_lots()


# What is to be done, what does it for all, and whether it is done.
SWEEPS = {
    "notices are delivered": (
        make_due_notice,
        lambda database: notices.deliver(database, {"email": lambda _: None}),
        lambda: Notice.get().state == "sent",
    ),
    "notices are tried again": (
        lambda: make_due_notice(state="failed", reason="no", attempts=1),
        notices.retry,
        lambda: Notice.get().state == "queued",
    ),
    "calendars are read": (
        lambda: make_outside_calendar(url="http://127.0.0.1:1/mine.ics"),
        lambda database: refresh_calendars(database, fetcher=Fetcher(allowed=["127.0.0.0/8"], seconds=1.0)),
        lambda: OutsideCalendar.get().tried_at is not None,
    ),
    "holds expire": (
        make_overdue_hold,
        privileged(scheduling.expire_overdue),
        lambda: Appointment.get().state == "cancelled",
    ),
    "credits expire": (
        make_overdue_lot,
        expire_lots_later,
        lambda: CreditLot.get().remaining == 0,
    ),
    "devices are forgotten": (
        lambda: make_device(expires_at=clock.now() - HOUR),
        privileged(sign_in.prune),
        lambda: not Device.select().exists(),
    ),
}


@pytest.mark.slow
@pytest.mark.parametrize("is_over", [False, True], ids=["while it is held", "once it has left"])
@pytest.mark.parametrize("sweep", SWEEPS)
def test_a_sweep_passes_over_who_is_moved_and_does_the_others(own_cells, sweep, is_over):
    make, run, is_done = SWEEPS[sweep]
    moved, other = make_tenant(own_cells, settings=EMAIL), make_tenant(own_cells, settings=EMAIL)
    for tenant in (moved, other):
        with own_cells.tenant(tenant):
            make()
    if is_over:
        own_cells.move(moved.subdomain, to="b")
    else:
        stopped_at(own_cells, moved, "comparing")
    run(own_cells["a"])
    with own_cells.tenant(other):
        assert is_done()
    with own_cells.tenant(moved.subdomain):
        assert not is_done()
    if is_over:
        run(own_cells["b"])
        with own_cells.tenant(moved.subdomain):
            assert is_done()


@pytest.mark.slow
@pytest.mark.parametrize("command", [offer, reserve], ids=["slots offer", "credits reserve"])
def test_a_command_for_all_tells_nothing_of_who_has_left(own_cells, command):
    moved, other = make_tenant(own_cells), make_tenant(own_cells)
    for tenant in (moved, other):
        with own_cells.tenant(tenant):
            make_slot_request()
    own_cells.move(moved.subdomain, to="b")
    ran = CliRunner().invoke(command, ["--database-url", own_cells["a"].url], obj=Settings(), catch_exceptions=False)
    assert (ran.exit_code, ran.stderr) == (0, "")


def settle(database, tenant, *, hours, dead):
    """Give a tenant a whole batch of messages that were settled so many hours ago."""
    with database.privileged(reason="test"):
        database.execute_sql(
            "INSERT INTO outbox_messages (organization_id, message_id, topic, subject_type, subject_id, occurred_at, "
            "settled_at, dead) SELECT %s, gen_random_uuid(), 'host.noticed', 'Post', 1, now(), "
            "now() - make_interval(hours => %s), %s FROM generate_series(1, %s)",
            (tenant.id, hours, dead, outbox.keeping.BATCH),
        )


@pytest.mark.slow
@pytest.mark.parametrize("is_over", [False, True], ids=["while it is held", "once it has left"])
def test_messages_of_who_is_moved_keep_none_of_others_from_being_pruned(own_cells, is_over):
    """They are the oldest of all, and fill the first batch."""
    moved, other = make_tenant(own_cells), make_tenant(own_cells)
    settle(own_cells["a"], moved, hours=2, dead=False)
    settle(own_cells["a"], other, hours=1, dead=False)
    if is_over:
        own_cells.move(moved.subdomain, to="b")
    else:
        stopped_at(own_cells, moved, "comparing")
    kept = outbox.keeping.BATCH if is_over else 0
    counts = [outbox.counted(database)["delivered"] for database in own_cells]
    assert counts == [outbox.keeping.BATCH, kept], "an old copy is not counted"
    assert outbox.prune(own_cells["a"], older_than=timedelta(0)) == outbox.keeping.BATCH
    assert outbox.prune(own_cells["b"], older_than=timedelta(0)) == kept


@pytest.mark.slow
def test_dead_messages_of_an_old_copy_keep_none_of_others_from_being_tried_again(own_cells):
    moved, other = make_tenant(own_cells), make_tenant(own_cells)
    settle(own_cells["a"], moved, hours=2, dead=True)
    settle(own_cells["a"], other, hours=1, dead=True)
    own_cells.move(moved.subdomain, to="b")
    assert {each.organization_id for each in outbox.listed(own_cells["a"])} == {other.id}
    assert outbox.retry(own_cells["a"]) == outbox.keeping.BATCH
    assert outbox.counted(own_cells["b"])["dead"] == outbox.keeping.BATCH


@pytest.mark.slow
def test_metrics_count_who_is_moved_in_one_cell(own_cells):
    tenant = make_tenant(own_cells)
    with own_cells.tenant(tenant):
        make_outside_calendar()
        make_slot_request()
    own_cells.move(tenant.subdomain, to="b")
    for name, standing in {"a": {}, "b": {"rayces.outside_calendars": 1, "rayces.slot_requests": 1}}.items():
        reader = InMemoryMetricReader()
        meters = MeterProvider(metric_readers=[reader])
        watch_queues(own_cells[name], meter_provider=meters)
        told = [m for r in reader.get_metrics_data().resource_metrics for s in r.scope_metrics for m in s.metrics]
        meters.shutdown()
        counts = {each.name: sum(point.value for point in each.data.data_points) for each in told}
        assert {key: counts[key] for key in standing} == standing
        assert standing or sum(counts.values()) == 0


@pytest.mark.slow
def test_notices_of_an_old_copy_do_not_count(own_cells):
    """They would be due until it is deleted."""
    tenant = make_tenant(own_cells)
    with own_cells.tenant(tenant):
        make_due_notice()
    own_cells.move(tenant.subdomain, to="b")
    assert [notices.standing(database).due for database in own_cells] == [0, 1]


@pytest.mark.slow
@pytest.mark.parametrize("before", [{}, {"attempts": 1, "reason": "DeliveryError: busy"}], ids=["first", "again"])
def test_a_notice_that_is_being_sent_is_noted_before_its_rows_are_held(own_cells, before):
    """So that the other cell's worker does not send it again."""
    tenant, sent = make_tenant(own_cells, settings=EMAIL), []
    with own_cells.tenant(tenant):
        make_due_notice(**before)
        make_due_notice(**before)
    moving = threading.Thread(target=own_cells.move, args=(tenant.subdomain,), kwargs={"to": "b"})

    def send(outgoing):
        sent.append(outgoing.key)
        if len(sent) == 1:
            moving.start()
            with connected(own_cells["a"].url) as connection:
                while not rows(connection, "SELECT 1 FROM organizations WHERE moving = 'leaving'"):
                    time.sleep(0.01)
            time.sleep(1.0)  # for which nothing may be held

    assert notices.deliver(own_cells["a"], {"email": send}, batch=1).sent == 1, "and no further one is begun there"
    moving.join()
    later = clock.now() + timedelta(minutes=6)  # what was held by a worker is due again
    notices.deliver(own_cells["b"], {"email": send}, now=later)
    assert len(sent) == len(set(sent)) == 2


@pytest.mark.slow
@pytest.mark.parametrize("is_moved", [False, True], ids=["in one cell", "from the higher cell"])
def test_a_session_that_was_moved_away_and_back_is_reminded_of_again(own_cells, is_moved):
    """Its first move has the higher id where the tenant came from the other cell, and the time is the one of before."""
    settings = reminders(60) | {"reminder_quiet_minutes": 0}
    tenant = make_tenant(own_cells, cell="b" if is_moved else "a", settings=settings, time_zone="UTC")
    with own_cells.tenant(tenant):
        client = make_user()
        student = make_student(primary_contact=client, admission_state="enrolled")
        booked = book(
            student=student,
            professional=make_working(weekly_schedule=ALWAYS),
            client=client,
            scheduled_at=at(10, 2),
            now=NOW,
            confirm=True,
        )
        reschedule(booked, at(10), now=at(6))
    assert sent_by(own_cells, at(9)) == 1
    if is_moved:
        own_cells.move(tenant.subdomain, to="a")
    with own_cells.tenant(tenant.subdomain):
        for start, hour in ((at(10, 2), 9.1), (at(10), 9.2)):
            reschedule(Appointment.get(), start, now=at(hour))
    assert [sent_by(own_cells, at(hour)) for hour in (9.3, 9.4)] == [1, 0]
    with own_cells.tenant(tenant.subdomain):
        last = Appointment.get().history()[-1]
        assert [row.cause_id for row in Notice.select().order_by(Notice.sent_at)][-1] == last.id


def sent_by(cells, now):
    return sum(notices.deliver(database, {"email": lambda _: None}, now=now).sent for database in cells)

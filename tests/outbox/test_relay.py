"""The relay: at least once, in order within a subject, fair between tenants, and nothing held by who is gone."""

import logging
import threading
import time
from contextlib import closing
from datetime import UTC, datetime, timedelta
from functools import partial

import psycopg2
import pytest

from rayces_core import outbox
from rayces_core.database.binding import current
from rayces_core.database.database import Database
from rayces_core.errors import ConfigurationError, DeliveryError, UndeliverableError
from rayces_core.outbox import claiming
from rayces_core.outbox.delivering import pause_after
from rayces_core.outbox.handlers import on
from rayces_core.outbox.relaying import Relay
from tests.conftest import on_server
from tests.factory import make_organization
from tests.outbox.boxes import Kept, let_be_due, put, running, standing, states
from tests.patience import wait_until
from tests.sizes import exhaustive
from tests.walking import walked


@pytest.fixture
def db(bare_db):
    """No message of another test."""
    return bare_db


@pytest.fixture
def a(db):
    return make_organization(db)


@pytest.fixture
def b(db):
    return make_organization(db)


CUT = """
SELECT pg_terminate_backend(pid) FROM pg_stat_activity
 WHERE datname = current_database() AND pid <> pg_backend_pid()"""


def drained(relay):
    """Deliver until nothing is due; gives how many were taken."""
    taken = 0
    while batch := relay.run_once():
        taken += batch
    return taken


def test_a_message_is_delivered_with_its_organization_bound(db, a, b):
    (of_a,), (of_b,) = put(db, a, subject=7, word="hello"), put(db, b)
    bound = {}

    def deliver(message):
        bound[message.id] = (current().organization_id, db.current_tenant.subdomain)

    kept = Kept()
    assert drained(Relay(db, {"one": deliver, "two": kept})) == 2

    assert bound == {of_a: (a.id, a.subdomain), of_b: (b.id, b.subdomain)}
    assert standing(db)[of_a] == ("delivered", 1, ["one", "two"], None)
    (message,) = [each for each in kept.messages if each.id == of_a]
    assert (message.organization_id, message.topic, message.subject) == (
        a.id,
        "appointment.confirm",
        ("Appointment", 7),
    )
    assert (message.payload, message.version, message.attempt) == ({"word": "hello"}, 1, 1)
    assert message.occurred_at.utcoffset().total_seconds() == 0
    assert len(message.message_id) == 36


@pytest.mark.slow
def test_messages_of_a_subject_come_in_order_however_many_threads_deliver(db, a):
    for subject in range(5):
        put(db, a, subject, times=6)
    kept = Kept()
    slow = {0, 3}

    def deliver(message):
        if message.subject[1] in slow:
            time.sleep(0.002)
        kept(message)

    assert drained(Relay(db, {"kept": deliver}, threads=5)) == 30
    for subject in range(5):
        ids = [message.id for message in kept.messages if message.subject[1] == subject]
        assert ids == sorted(ids)
        assert len(ids) == 6


def test_one_that_fails_holds_back_its_own_subject_only(db, a):
    first, second = put(db, a, subject=1, times=2)
    (other,) = put(db, a, subject=2)
    kept = Kept(fails={first})
    relay = Relay(db, {"kept": kept})
    drained(relay)

    assert kept.ids == [other]
    state, attempts, have, error = standing(db)[first]
    assert (state, attempts, have) == ("pending", 1, [])
    assert error == "kept: ConnectionError: smtp is down"

    kept.fails = ()
    let_be_due(db)
    drained(relay)
    assert kept.ids == [other, first, second]
    assert kept.messages[1].attempt == 2
    assert states(db) == ["delivered"] * 3


def test_what_is_to_come_later_does_not_come_with_the_one_before_it(db, a):
    kept = Kept()
    relay = Relay(db, {"kept": kept})
    with db.tenant(a):
        outbox.put("room.painted", {}, subject=("Room", 7))
        later = outbox.put("room.dry", {}, subject=("Room", 7), at=datetime.now(UTC) + timedelta(hours=1))
        outbox.put("room.painted", {}, subject=("Room", 8))
    assert (relay.run_once(), relay.run_once()) == (2, 0)
    assert [message.topic for message in kept.messages] == ["room.painted"] * 2
    let_be_due(db)
    assert relay.run_once() == 1
    assert kept.ids[-1] == later.id


def test_what_waits_for_an_earlier_one_says_so_until_it_is_woken(db, a):
    kept = Kept(fails=lambda message: message.attempt == 1 and message.id == first)
    relay = Relay(db, {"kept": kept}, pause=lambda attempt: 60)
    first, second = put(db, a, subject=1, times=2)
    assert (relay.run_once(), relay.run_once()) == (1, 0)
    assert standing(db)[second][3] == claiming.PUT_OFF
    let_be_due(db)
    assert (relay.run_once(), relay.run_once(), kept.ids) == (1, 1, [first, second])
    assert standing(db)[second] == ("delivered", 1, ["kept"], None)


def test_only_those_that_failed_get_it_again(db, a):
    (id_,) = put(db, a)
    well, ill = Kept(), Kept(fails={id_})
    relay = Relay(db, {"well": well, "ill": ill})
    drained(relay)
    assert standing(db)[id_][2] == ["well"]

    ill.fails = ()
    let_be_due(db)
    drained(relay)
    assert (well.ids, ill.ids) == ([id_], [id_])
    assert standing(db)[id_][:3] == ("delivered", 2, ["well", "ill"])


def test_a_fan_has_a_name_for_each_receiver_and_only_those_that_failed_get_it_again(db, a):
    (id_,) = put(db, a)
    got, broken = [], {"x"}

    class Many:
        def targets(self, message):
            assert current().organization_id == a.id
            return {name: lambda message, name=name: self.send(name) for name in ("x", "y")}

        def send(self, name):
            if name in broken:
                raise OSError("no route")
            got.append(name)

    relay = Relay(db, {"many": Many()})
    drained(relay)
    assert standing(db)[id_][2] == ["many:y"]
    broken.clear()
    let_be_due(db)
    drained(relay)
    assert got == ["y", "x"]


def test_a_pattern_of_topics_says_what_a_deliverer_gets(db, a):
    (confirmed,), (admitted,), (other,) = (
        put(db, a, topic=topic) for topic in ("appointment.confirm", "student.admit", "note.written")
    )
    bookings, both = Kept(), Kept()
    drained(Relay(db, {"bookings": on("appointment.*", bookings), "both": on(("student.*", "appointment.*"), both)}))

    assert (bookings.ids, both.ids) == ([confirmed], [confirmed, admitted])
    assert standing(db)[other][:3] == ("delivered", 1, [])


def test_after_so_many_attempts_it_is_dead_and_holds_nothing_back(db, a):
    first, second = put(db, a, times=2)
    kept = Kept(fails={first})
    relay = Relay(db, {"kept": kept}, attempts=3)
    for _ in range(3):
        let_be_due(db)
        drained(relay)

    assert standing(db)[first][:2] == ("dead", 3)
    assert kept.ids == [second]


@pytest.mark.parametrize("error", [UndeliverableError("no such address"), UndeliverableError("x\0y\nz" * 300)])
def test_what_cannot_be_delivered_is_given_up_at_once(db, a, error):
    (id_,) = put(db, a)

    def deliver(_):
        raise error

    drained(Relay(db, {"mail": deliver}))
    state, attempts, _, said = standing(db)[id_]
    assert (state, attempts) == ("dead", 1)
    assert said.startswith("mail: UndeliverableError: ")
    assert len(said) <= 500


@pytest.mark.parametrize("payload", ["[]", "null", '"text"', "1"])
def test_what_sql_put_that_is_no_message_is_given_up_and_holds_nothing_back(db, a, payload):
    kept = Kept()
    with db.tenant(a):
        db.execute_sql(
            "INSERT INTO outbox_messages (organization_id, topic, subject_type, subject_id, payload)"
            " VALUES (%s, '', 'Appointment', 1, %s)",
            (a.id, payload),
        )
    (second,) = put(db, a)
    relay = Relay(db, {"kept": kept})
    while relay.run_once():
        pass
    assert kept.ids == [second]
    assert standing(db)[second - 1][0::3] == ("dead", "relay: UndeliverableError: the payload is no JSON object")


def test_a_receiver_may_say_when_to_come_again(db, a):
    put(db, a)

    def deliver(_):
        raise DeliveryError("busy", retry_after=500)

    drained(Relay(db, {"hooks": deliver}))
    assert 400 < seconds_until_due(db) < 501


def seconds_until_due(db):
    with db.privileged(reason="test"):
        sql = "SELECT extract(epoch FROM min(available_at) - clock_timestamp()) FROM outbox_messages"
        return float(db.execute_sql(sql).fetchone()[0])


def test_pauses_double_up_to_an_hour_and_differ():
    for attempt, longest in ((1, 2), (4, 16), (11, 2048), (12, 3600), (400, 3600)):
        pauses = [pause_after(attempt) for _ in range(50)]
        assert min(pauses) >= longest / 2
        assert max(pauses) <= longest
        assert len(set(pauses)) > 10


def test_whatever_a_deliverer_raises_is_the_messages_failure(db, a):
    ids = [put(db, a, subject)[0] for subject in range(4)]

    def deliver(message):
        if message.id == ids[0]:
            raise SystemExit(3)
        if message.id == ids[1]:
            raise KeyboardInterrupt
        if message.id == ids[2]:
            db.execute_sql("SELECT 1/0")
        if message.id == ids[3]:
            current().engine.begin()  # left open

    assert drained(Relay(db, {"bad": deliver}, threads=1)) == 4
    assert states(db) == ["pending"] * 4
    assert all(each[3] for each in standing(db).values())


# -- fair between tenants ---------------------------------------------------------------------------------------------


@pytest.mark.slow
def test_a_flood_of_one_tenant_starves_nobody(db, a, b):
    for subject in range(300):
        put(db, a, subject, times=2)
    (of_b,) = put(db, b)
    kept = Kept()
    relay = Relay(db, {"kept": kept}, batch=20, per_tenant=10)
    relay.run_once()

    assert of_b in kept.ids
    assert len(kept.ids) == 11


@pytest.mark.slow
def test_every_tenant_has_its_turn_where_there_are_more_of_them_than_a_batch_holds(db):
    organizations = [make_organization(db) for _ in range(9)]
    for organization in organizations:
        for subject in range(5):
            put(db, organization, subject)
    kept = Kept()
    relay = Relay(db, {"kept": kept}, batch=4, per_tenant=2)
    for _ in range(5):
        relay.run_once()
    assert {message.organization_id for message in kept.messages} >= {each.id for each in organizations[:8]}
    assert drained(relay) + 20 >= 45
    assert states(db) == ["delivered"] * 45


@pytest.mark.slow
def test_a_tenant_whose_receivers_are_slow_leaves_a_thread_to_the_others(db, a, b):
    for subject in range(10):
        put(db, a, subject)
    going_on = threading.Event()
    got = []

    def deliver(message):
        if message.organization_id == a.id:
            assert going_on.wait(60)
        else:
            got.append(message.id)
            going_on.set()

    with running(Relay(db, {"slow": deliver}, threads=3, poll=0.05)):
        time.sleep(0.1)
        (of_b,) = put(db, b)
        assert going_on.wait(60)
    assert got == [of_b]


@pytest.mark.slow
@pytest.mark.parametrize("subjects", [2000, *exhaustive(1, 50)])
def test_a_claim_reads_few_rows_of_a_flood_whatever_holds_it_back(db, a, subjects):
    with db.privileged(reason="test"):
        db.execute_sql(
            "INSERT INTO outbox_messages (organization_id, topic, subject_type, subject_id, payload, occurred_at) "
            "SELECT %s, 't', 'S', n %% %s, '{}', now() FROM generate_series(1, 4000) n ORDER BY n",
            (a.id, subjects),
        )
        db.execute_sql("ANALYZE outbox_messages")
    # All heads are held by somebody else, so that everything due waits behind one of them.
    held = 0
    while claimed := claiming.claim(db, after=0, busy=[], batch=500, per_tenant=500, lease=600).messages:
        held += len(claimed)
    assert held == subjects

    claim = {
        "after": 0,
        "busy": [],
        "looks": 30,
        "most": 150,
        "per_tenant": 10,
        "batch": 50,
        "lease": 30.0,
        "put_off": claiming.PUT_OFF,
    }
    sql = "EXPLAIN (ANALYZE, BUFFERS, FORMAT JSON) " + claiming._CLAIM.plain
    for name, kind in claiming._CLAIM_TYPES.items():
        sql = sql.replace(f"%({name})s", f"%({name})s::{kind}")
    with db.privileged(reason="test"):
        for _ in range(2):  # the first one clears away what the claims above have left in the index
            ((plan,),) = db.execute_sql(sql, claim).fetchall()
    assert plan[0]["Plan"]["Shared Hit Blocks"] + plan[0]["Plan"]["Shared Read Blocks"] < 1500
    kept = Kept()
    assert Relay(db, {"kept": kept}).run_once() == 0  # puts off what is due, and comes to an end


# -- who is gone, and many at once ------------------------------------------------------------------------------------


@pytest.mark.slow
def test_what_a_dead_relay_held_is_due_again_when_its_lease_ends(db, a):
    put(db, a)
    assert len(claiming.claim(db, after=0, busy=[], batch=5, per_tenant=5, lease=600).messages) == 1
    kept = Kept()
    relay = Relay(db, {"kept": kept})
    assert drained(relay) == 0
    let_be_due(db)
    assert drained(relay) == 1
    assert kept.messages[0].attempt == 2


def test_a_message_that_kills_its_relay_each_time_is_given_up(db, a):
    first, second = put(db, a, times=2)
    for _ in range(3):
        claiming.claim(db, after=0, busy=[], batch=1, per_tenant=1, lease=0.001)
        time.sleep(0.005)
    kept = Kept()
    drained(Relay(db, {"kept": kept}, attempts=3))
    assert kept.ids == [second]
    state, _, _, error = standing(db)[first]
    assert state == "dead"
    assert error.startswith("3 attempts were begun")


def test_what_a_relay_says_after_its_lease_has_ended_counts_for_nothing(db, a):
    put(db, a)
    ((late, have),) = claiming.claim(db, after=0, busy=[], batch=1, per_tenant=1, lease=0.001).messages
    time.sleep(0.005)
    claiming.claim(db, after=0, busy=[], batch=1, per_tenant=1, lease=60)
    assert claiming.settle(db, [claiming.Verdict(late, "dead", have, "gone")]) == 0
    assert claiming.hold(db, [late], 60) == set()
    assert states(db) == ["pending"]


@pytest.mark.slow
def test_a_lease_is_renewed_while_a_delivery_takes_longer(db, a):
    put(db, a)
    kept, begun, end = Kept(), threading.Event(), threading.Event()

    def slow(message):
        begun.set()
        assert end.wait(60)
        kept(message)

    other = Kept()
    with running(Relay(db, {"slow": slow}, lease=6.0, poll=0.05)):
        assert begun.wait(60)
        held_until = leased_until(db)
        for _ in range(2):
            wait_until(partial(is_later, db, held_until))
            held_until = leased_until(db)
        assert Relay(db, {"other": other}).run_once() == 0
        end.set()
    assert (len(kept.ids), other.ids, states(db)) == (1, [], ["delivered"])


def leased_until(db):
    with db.privileged(reason="test"):
        ((moment,),) = db.execute_sql("SELECT available_at FROM outbox_messages").fetchall()
    return moment


def is_later(db, moment):
    return leased_until(db) > moment


@pytest.mark.slow
def test_many_relays_deliver_each_message_once(db, a, b):
    for subject in range(30):
        put(db, a, subject, times=3)
        put(db, b, subject, times=3)
    kept = Kept()
    with running(*(Relay(db, {"kept": kept}, poll=0.02, threads=2) for _ in range(3))):
        wait_until(lambda: len(kept.ids) >= 180)

    assert len(kept.ids) == len(set(kept.ids)) == 180
    last = {}
    for message in kept.messages:
        key = (message.organization_id, message.subject)
        assert message.id > last.get(key, 0)
        last[key] = message.id
    assert set(states(db)) == {"delivered"}


@pytest.mark.slow
def test_stopping_finishes_what_is_being_delivered_and_gives_the_rest_back_at_once(db, a):
    ids = [put(db, a, subject)[0] for subject in range(6)]
    kept, begun, end = Kept(), threading.Event(), threading.Event()

    def slow(message):
        begun.set()
        assert end.wait(60)
        kept(message)

    relay = Relay(db, {"slow": slow}, threads=1, lease=600)
    with running(relay):
        assert begun.wait(60)
        relay.stop()
        time.sleep(0.05)
        end.set()

    assert kept.ids == ids[:1]
    assert [each[:2] for each in standing(db).values()] == [("delivered", 1)] + [("pending", 0)] * 5
    other = Kept()
    assert drained(Relay(db, {"slow": other})) == 5


def test_a_relay_may_run_again_but_not_twice_at_once(db, a):
    put(db, a)
    relay = Relay(db, {"kept": lambda _: Relay.run_once(relay)}, attempts=1)
    relay.run_once()
    ((_, _, _, error),) = standing(db).values()
    assert "this relay runs already" in error
    assert relay.run_once() == 0


def test_messages_of_an_organization_that_is_switched_off_wait(db, a):
    put(db, a)
    with db.privileged(reason="test"):
        db.execute_sql("UPDATE organizations SET active = false WHERE id = %s", (a.id,))
    kept = Kept()
    relay = Relay(db, {"kept": kept})
    assert drained(relay) == 0
    with db.privileged(reason="test"):
        db.execute_sql("UPDATE organizations SET active = true WHERE id = %s", (a.id,))
    assert drained(relay) == 1


def test_polling_logs_nothing(db, a, caplog):
    with caplog.at_level(logging.DEBUG, logger="rayces_core"):
        relay = Relay(db, {"kept": Kept()})
        for _ in range(3):
            relay.run_once()
        put(db, a)
        relay.run_once()
    assert caplog.messages == []


@pytest.mark.slow
def test_a_relay_goes_on_when_its_connections_were_cut(db, a):
    kept = Kept()
    with running(Relay(db, {"kept": kept}, poll=0.05)):
        for round_ in range(3):
            with Database.connect(db.url) as other:
                put(other, a, round_)
            wait_until(lambda round_=round_: len(set(kept.ids)) > round_)
            on_server(db.url, CUT)


BLOCKED = "SELECT FROM pg_stat_activity WHERE datname = current_database() AND wait_event_type = 'Lock'"


def test_what_is_said_last_is_said_once_more_where_the_connection_is_cut_just_then(db, a, monkeypatch):
    """In the midst of the statement: a connection that is found cut before is another one by then."""
    (id_,) = put(db, a)
    on_server(db.url, f"UPDATE outbox_messages SET attempts = 3 WHERE id = {id_}")
    said = []

    def settle(db, verdicts, real=claiming.settle):
        said.append(len(verdicts))
        if len(said) > 1:
            return real(db, verdicts)
        with closing(psycopg2.connect(db.url)) as other, other.cursor() as cursor:
            cursor.execute("LOCK TABLE outbox_messages")

            def cut():
                wait_until(lambda: cursor.execute(BLOCKED) or cursor.rowcount)
                cursor.execute(CUT)

            cutting = threading.Thread(target=cut)
            cutting.start()
            try:
                return real(db, verdicts)
            finally:
                cutting.join()

    monkeypatch.setattr(claiming, "settle", settle)
    kept = Kept()
    assert Relay(db, {"kept": kept}, attempts=3).run_once() == 1
    assert (said, kept.ids, standing(db)[id_][0]) == ([1, 1], [], "dead")


@walked(
    ("handlers", "options"),
    [
        ({}, {}),
        (None, {}),
        ({"": print}, {}),
        ({"x" * 101: print}, {}),
        ({"mail": "print"}, {}),
        ({"mail": print}, {"batch": 0}),
        ({"mail": print}, {"per_tenant": True}),
        ({"mail": print}, {"lease": 0}),
        ({"mail": print}, {"poll": "1"}),
        ({"mail": print}, {"attempts": -1}),
        ({"mail": print}, {"threads": 1.5}),
    ],
)
def test_a_malformed_relay_is_refused(db, handlers, options):
    with pytest.raises(ConfigurationError):
        Relay(db, handlers, **options)


def test_no_relay_runs_with_citus():
    with Database.connect("postgresql://127.0.0.1:1/x", engine="citus") as db:
        with pytest.raises(ConfigurationError, match="no relay runs with Citus"):
            Relay(db, {"mail": print})


def test_a_coroutine_function_is_no_deliverer(db):
    async def deliver(message):
        pass

    with pytest.raises(ConfigurationError, match="returns before it has run"):
        Relay(db, {"mail": deliver})


@pytest.mark.parametrize("topics", ["", (), ["appointment.*", ""], [1]])
def test_a_malformed_pattern_is_refused(topics):
    with pytest.raises(ConfigurationError):
        on(topics, print)

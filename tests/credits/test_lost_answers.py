"""f02: an answer of the server is swallowed after the commit; whoever runs the work again, as told, has it once."""

import contextlib
import multiprocessing

import pytest

from rayces_core import Appointment, ConnectionLostError, Database, credits
from rayces_core.credits.ledger import own_key
from tests.cutting import cutter
from tests.factory import make_appointment, make_organization, make_user


@contextlib.contextmanager
def swallowing(own_db):
    with cutter(own_db.url) as proxy, Database.connect(proxy.url) as database:
        with database.tenant(make_organization(database)):
            yield database, proxy


def as_told(act):
    """Do it, and again where the error says so; as a caller would."""
    try:
        return act()
    except ConnectionLostError as error:
        if "run the unit of work again" in str(error):
            return act()
        raise


@pytest.mark.slow
def test_f02_a_purchase_whose_answer_was_lost_is_made_once(own_db):
    with swallowing(own_db) as (_, proxy):
        eva = make_user()
        credits.purchase(eva, 1)
        proxy.cut("rayces")
        as_told(lambda: credits.purchase(eva, 5))
        assert proxy.was_cut
        assert credits.balance(eva) == 6
        proxy.cut("rayces", sent=0)
        as_told(lambda: credits.purchase(eva, 5))
        assert credits.balance(eva) == 11
        assert credits.verify().is_clean


@pytest.mark.slow
def test_f02_a_unit_whose_commits_answer_was_lost_debits_once(own_db):
    with swallowing(own_db) as (database, proxy):
        eva = make_user()
        credits.purchase(eva, 11)

        def unit():
            with database.atomic():
                credits.debit(eva, 2)

        for where, balance in (({}, 9), ({"sent": 0}, 7)):
            proxy.cut("COMMIT", **where)
            as_told(unit)
            assert (proxy.was_cut, credits.balance(eva)) == (True, balance)
        assert credits.verify().is_clean


@pytest.mark.slow
def test_f02_an_event_whose_answer_was_lost_is_in_memory_and_told_once(own_db):
    told = []

    def note(change):
        told.append(change.event)

    Appointment.lifecycle.on()(note)
    try:
        with swallowing(own_db) as (_, proxy):
            for where in ({}, {"sent": 0}):
                appointment = make_appointment(client=make_user())
                proxy.cut("rayces", **where)
                as_told(appointment.pre_confirm)
                stored = Appointment.get_by_id(appointment.id).state
                assert (proxy.was_cut, appointment.state, stored) == (True, "pre_confirmed", "pre_confirmed")
        assert told == ["pre_confirm", "pre_confirm"]
    finally:
        Appointment.lifecycle.off(note)


def keys_into(pipe, many):
    pipe.send([own_key() for _ in range(many)])


@pytest.mark.slow
def test_keys_of_the_librarys_own_are_never_the_same_nor_in_a_fork():
    fork, many = multiprocessing.get_context("fork"), 200
    pipes = [fork.Pipe(duplex=False) for _ in range(3)]
    forks = [fork.Process(target=keys_into, args=(sending, many)) for _, sending in pipes]
    for one in forks:
        one.start()
    keys = [own_key() for _ in range(many)] + [key for receiving, _ in pipes for key in receiving.recv()]
    for one in forks:
        one.join()
    assert len({key.split("-", 1)[1] for key in keys}) == 4 * many

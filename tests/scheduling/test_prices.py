"""What a session costs is kept with it: taken from the professional at booking, changed by staff until it was held."""

from datetime import timedelta

import pytest

from rayces_core import (
    Appointment,
    InvalidDataError,
    InvalidTransitionError,
    NotPermittedError,
    Professional,
)
from rayces_core.scheduling import book_series, reschedule
from tests.factory import make_appointment
from tests.scheduling.worlds import ALWAYS, NOW, at, open_centre
from tests.state_machine.rules import columns, in_memory, make_in, stored
from tests.walking import walked

EURO = {"session_price_cents": 4500, "currency": "EUR"}


@pytest.fixture
def make_centre(db):
    return lambda: open_centre(db, weekly_schedule=ALWAYS, **EURO)


@pytest.fixture
def centre(make_centre):
    with make_centre() as opened:
        yield opened


def price(appointment):
    row = Appointment.get_by_id(appointment.id)
    return row.price_cents, row.currency


def ask(centre, **changes):
    Professional.update(**changes).where(Professional.id == centre.professional.id).execute()


@walked("how", [{}, {"draft": True}, {"confirm": True}], anew="centre")
def test_a_session_keeps_the_price_of_the_day_on_which_it_was_booked(centre, how):
    booked = centre.book(at(10), **how)
    ask(centre, session_price_cents=9900, currency="USD")
    assert (booked.price_cents, booked.currency) == price(booked) == (4500, "EUR")
    assert price(centre.book(at(12))) == (9900, "USD")


def test_each_session_of_a_series_has_it(centre):
    series = book_series(**centre.wanted(at(10)), count=3)
    assert [price(one) for one in series.booked] == [(4500, "EUR")] * 3


def test_who_asks_for_none_gives_none_and_nothing_is_not_zero(centre):
    ask(centre, session_price_cents=None)
    assert price(centre.book(at(10))) == (None, None)
    ask(centre, session_price_cents=0)
    assert price(centre.book(at(12))) == (0, "EUR")


def test_moving_a_session_changes_no_price(centre):
    booked = centre.book(at(10))
    ask(centre, session_price_cents=9900)
    reschedule(booked, at(12), now=NOW)
    assert price(booked) == (4500, "EUR")


# -- changing it ------------------------------------------------------------------------------------------------------


@walked("state", ["draft", "pre_confirmed", "confirmed"])
@walked(
    "given, expected",
    [
        ({"price_cents": 100}, (100, "EUR")),
        ({"price_cents": 0}, (0, "EUR")),
        ({"price_cents": 100, "currency": "ARS"}, (100, "ARS")),
        ({"price_cents": None}, (None, None)),
    ],
)
def test_staff_change_it_and_the_journal_keeps_the_one_before(centre, state, given, expected):
    row = make_in(Appointment, state, professional=centre.professional, price_cents=4500, currency="EUR")
    heard = []
    Appointment.lifecycle.on("change_price")(heard.append)
    try:
        row.change_price(by=centre.staff, reason="a sibling", now=NOW, **given)
    finally:
        Appointment.lifecycle.off(heard.append)

    assert ((row.price_cents, row.currency), row.state) == (expected, state)
    assert columns(row) == stored(row)
    (change,) = row.history()
    assert (change.event, change.from_state, change.to_state) == ("change_price", state, state)
    assert (change.actor, change.reason, change.occurred_at) == (centre.staff, "a sibling", NOW)
    assert change.details == {"price_cents": 4500, "currency": "EUR"}
    assert [(one.event, one.from_state, one.to_state) for one in heard] == [("change_price", state, state)]


def test_the_first_price_of_a_session_without_one_is_in_the_professionals_currency(centre):
    row = make_appointment(professional=centre.professional)
    row.change_price(price_cents=100)
    assert price(row) == (100, "EUR")
    assert [change.details for change in row.history()] == [{}]


@walked("state", ["executed", "no_show", "cancelled"])
def test_what_took_place_has_its_price(centre, state):
    row = make_in(Appointment, state, price_cents=4500, currency="EUR")
    with pytest.raises(InvalidTransitionError):
        row.change_price(price_cents=1)
    assert price(row) == (4500, "EUR")


def test_families_and_professionals_do_not_set_it(centre):
    booked = centre.book(at(10))
    for who in (centre.client, centre.professional.user):
        assert not booked.can_change_price(by=who)
        with pytest.raises(NotPermittedError):
            booked.change_price(price_cents=1, by=who)
    assert "change_price" in booked.available_events(by=centre.staff)


@walked("given", [{"price_cents": "1"}, {"price_cents": 1.5}, {"price_cents": 1, "currency": "peso"}], anew="centre")
def test_a_price_is_whole_cents_of_a_currency(centre, given):
    booked = centre.book(at(10))
    remembered = in_memory(booked)
    with pytest.raises(InvalidDataError):
        booked.change_price(**given)
    assert (in_memory(booked), price(booked)) == (remembered, (4500, "EUR"))


@walked("cents", [-1, 2**31], anew="centre")
def test_a_price_below_zero_is_refused_before_the_database_has_to(centre, cents):
    booked = centre.book(at(10))
    deeds = (
        lambda: booked.change_price(price_cents=cents),
        lambda: Professional.update(session_price_cents=cents).execute(),
        lambda: make_appointment(price_cents=cents, currency="EUR"),
    )
    with centre.db.atomic():
        for deed in deeds:
            with pytest.raises(InvalidDataError, match="between 0 and"):
                deed()
        assert price(booked) == (4500, "EUR")  # the unit of work goes on


def test_a_correction_leaves_the_price_alone(centre):
    booked = centre.book(at(10), confirm=True)
    booked.mark_no_show(now=at(11))
    ask(centre, session_price_cents=9900)
    booked.correct_to_executed(now=at(11) + timedelta(days=1))
    assert price(booked) == (4500, "EUR")

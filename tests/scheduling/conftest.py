"""A tenant for tests of time: its wall clock shows UTC."""

import pytest

from rayces_core import Appointment
from tests.factory import make_organization
from tests.scheduling.worlds import open_centre


@pytest.fixture
def here(db):
    """A tenant whose wall clock is UTC."""
    with db.tenant(make_organization(db, time_zone="UTC")) as organization:
        yield organization


@pytest.fixture
def centre(db):
    """A centre of the test's own, its tenant bound."""
    with open_centre(db) as opened:
        yield opened


@pytest.fixture
def make_centre(db):
    """Opens such a centre for each case of a walk."""
    return lambda: open_centre(db)


def _heard_of(*events):
    heard = []
    listener = Appointment.lifecycle.on(*events)(heard.append)
    yield heard
    Appointment.lifecycle.off(listener)


@pytest.fixture
def told():
    """What subscribers of every event are told."""
    yield from _heard_of()


@pytest.fixture
def moves_told():
    """What subscribers of moves are told."""
    yield from _heard_of("reschedule")

"""The benchmark of many tenants beside few runs, and what it fills in is what the library takes for sound."""

import pytest
from bench.counting import COUNTED, LOGGED, PAGES, SERVER
from bench.filling_tenants import ENTRIES, FAMILIES, PROFESSIONALS, fill_tenants
from bench.scale import OPERATIONS, Side, bound_in_turn, compared, ratios

from rayces_core import Appointment, CreditTransaction, StateTransition


@pytest.fixture
def side(own_db):
    told = []
    made = fill_tenants(own_db.url, 3, 30, told.append)
    assert told[-1] == made == 3 * 30
    side = Side(own_db.url, 3)
    yield side
    side.db.close()


@pytest.mark.slow
def test_every_operation_is_measured_and_the_tenants_are_alike(side, server_url):
    compared(server_url, [side, side], 1, share=0.02)
    assert set(ratios(side, side)) == set(side.counts) == set(OPERATIONS)
    assert all(figure > 0 for samples in side.samples.values() for figure in samples)
    assert all(set(counts) == set(COUNTED) for samples in side.counts.values() for counts in samples)
    read, booked = side.counts["point read"][0], side.counts["book"][0]
    assert 0 < read[PAGES] < booked[PAGES]
    assert read[LOGGED] < booked[LOGGED]
    assert booked[SERVER] > 0
    for number in (1, 2, 3):
        with side.db.tenant(f"centre-{number}"):
            assert Appointment.select().where(Appointment.duration_minutes == 60).count() >= 30
            assert StateTransition.select().count() >= 30
            assert CreditTransaction.select().count() >= FAMILIES * ENTRIES
            assert Appointment.select(Appointment.professional).distinct().count() == PROFESSIONALS
    assert side.everybody_verified() > 0


@pytest.mark.slow
def test_a_process_is_asked_for_its_memory(side):
    assert bound_in_turn(side.url, 3)["before"] > 0

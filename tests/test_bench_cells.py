"""The benchmark of cells runs: two of them have the tenants that one had, and each does its share of the load."""

import pytest
from bench.cells import MIX, Member, filled

from rayces_core import Appointment, Cells, CreditTransaction


@pytest.fixture
def cells(make_database, template):
    urls = {name: make_database(template) for name in ("a", "b")}
    filled(urls, 4, 10)
    with Cells(urls, catalogue="a") as opened:
        yield opened


@pytest.mark.slow
def test_each_cell_has_half_of_the_tenants_and_every_operation_is_done(cells):
    assert [cells.placement(f"centre-{number}").cell for number in (1, 2, 3, 4)] == ["a", "a", "b", "b"]
    for number in (1, 4):
        member = Member(cells, [number])
        with cells.tenant(f"centre-{number}"):
            before = (Appointment.select().count(), CreditTransaction.select().count())
        for operation in MIX:
            member.one(operation)
        with cells.tenant(f"centre-{number}"):
            made = (Appointment.select().count() - before[0], CreditTransaction.select().count() - before[1])
        assert made == (MIX.count("book"), MIX.count("debit"))

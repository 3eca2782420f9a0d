"""The benchmark of messages runs, and only one of its two sides writes any."""

import pytest
from bench.outbox import compared

from rayces_core import OutboxMessage


@pytest.mark.slow
def test_one_side_writes_messages_and_both_are_measured(own_db):
    results = compared(own_db.url, 1, 2)
    assert set(results) == {"confirm", "book", "debit"}
    assert all(figure > 0 for figures in results.values() for figure in figures)
    counts = {}
    for name in ("silent", "telling"):
        with own_db.tenant(name):
            counts[name] = OutboxMessage.select().count()
    # Three events of the student, a purchase, and two rounds of two bookings, confirmed or not, and debits.
    assert counts == {"silent": 0, "telling": 4 + 2 * 2 * 4}

"""The baseline: psycopg2 as a careful person writes it, each unit of work BEGIN, statement, COMMIT."""

from __future__ import annotations

from collections import namedtuple
from collections.abc import Iterator
from typing import Any

import psycopg2

from bench.contender import Contender
from bench.contenders import by_hand_booking, by_hand_credits, by_hand_slots
from bench.facts import COLUMNS, NOW, Facts

NAMES = ", ".join(COLUMNS)
BY_ID = f"SELECT {NAMES} FROM appointments WHERE organization_id = %s AND id = %s"
LIST = f"""
SELECT {NAMES} FROM appointments
 WHERE organization_id = %s AND professional_id = %s ORDER BY scheduled_at DESC LIMIT 50
"""
INSERT = """
INSERT INTO appointments
       (organization_id, professional_id, student_id, client_id, scheduled_at, duration_minutes, notes)
VALUES (%s, %s, %s, %s, %s, %s, %s) RETURNING id
"""
UPDATE = "UPDATE appointments SET notes = %s, updated_at = now() WHERE organization_id = %s AND id = %s"
SCAN = f"SELECT {NAMES} FROM appointments WHERE organization_id = %s"
BIND = "SELECT set_config('rayces.organization_id', %s, true)"

Row = namedtuple("Row", COLUMNS)  # type: ignore[misc]  # the names are a constant of their own


class ByHand(Contender):
    """Plain psycopg2, autocommit off, with a filter by organization in each statement."""

    name = "psycopg2"

    def __init__(self, url: str, facts: Facts) -> None:
        super().__init__(url, facts)
        self._connection = psycopg2.connect(url)
        self._own = facts.organization_id

    def close(self) -> None:
        self._connection.close()

    def plain(self, row: Any) -> dict[str, Any]:
        return row if isinstance(row, dict) else dict(zip(COLUMNS, row, strict=True))

    def point_read(self, appointment_id: int) -> Any:
        with self._connection.cursor() as cursor:
            cursor.execute(BY_ID, (self._own, appointment_id))
            row = cursor.fetchone()
        self._connection.commit()
        return row

    def list_50(self, professional_id: int) -> Any:
        return self._all(LIST, (self._own, professional_id))

    def insert(self, values: dict[str, Any]) -> Any:
        with self._connection.cursor() as cursor:
            cursor.execute(INSERT, (self._own, *values.values()))
            ((appointment_id,),) = cursor.fetchall()
        self._connection.commit()
        return appointment_id

    def save(self, appointment_id: int, notes: str) -> None:
        with self._connection.cursor() as cursor:
            cursor.execute(UPDATE, (notes, self._own, appointment_id))
        self._connection.commit()

    update = save

    def scan_models(self) -> Any:
        return self._all(SCAN, (self._own,))

    scan_tuples = scan_models

    def scan_dicts(self) -> Any:
        return [dict(zip(COLUMNS, row, strict=True)) for row in self._all(SCAN, (self._own,))]

    def scan_namedtuples(self) -> Any:
        return list(map(Row._make, self._all(SCAN, (self._own,))))

    def scan_iterator(self) -> Iterator[Any]:
        with self._connection.cursor() as cursor:
            cursor.execute(SCAN, (self._own,))
            yield from cursor
        self._connection.commit()

    def confirm(self, appointment_id: int) -> None:
        with self._connection, self._connection.cursor() as cursor:
            by_hand_booking.confirm(cursor, self._own, appointment_id, now=NOW)

    def book_to_confirmed(self, booking: dict[str, Any]) -> None:
        with self._connection, self._connection.cursor() as cursor:
            appointment_id = by_hand_booking.book(cursor, self._own, **booking, now=NOW)
        with self._connection, self._connection.cursor() as cursor:
            by_hand_booking.pre_confirm(cursor, self._own, appointment_id, now=NOW)
        self.confirm(appointment_id)

    def find_slots(self) -> Any:
        return self._all(*self.slots_statement())

    def find_slots_sql(self, statement: str, values: Any) -> None:
        with self._connection, self._connection.cursor() as cursor:
            cursor.execute(statement, values)

    def slots_statement(self) -> tuple[str, Any]:
        agenda = self.facts.agenda
        asked = {"organization": agenda.organization_id, "start": agenda.start, "end": agenda.end, "now": agenda.now}
        return by_hand_slots.SLOTS, asked

    def debit(self, user_id: int) -> None:
        with self._connection, self._connection.cursor() as cursor:
            by_hand_credits.debit(cursor, self.facts.ledger.organization_id, user_id, 1)

    def purchases(self, rows: list[dict[str, int]]) -> Any:
        with self._connection, self._connection.cursor() as cursor:
            return by_hand_credits.finish(cursor, self.facts.ledger.organization_id, rows)

    def purchase_many(self, finished: by_hand_credits.Finished) -> None:
        with self._connection, self._connection.cursor() as cursor:
            by_hand_credits.copy(cursor, self.facts.ledger.organization_id, finished)

    def open_block(self) -> None:
        with self._connection.cursor() as cursor:
            cursor.execute(BIND, (str(self._own),))
        self._connection.commit()

    read_in_block = point_read

    def _all(self, statement: str, values: Any) -> list[tuple[Any, ...]]:
        with self._connection.cursor() as cursor:
            cursor.execute(statement, values)
            rows: list[tuple[Any, ...]] = cursor.fetchall()
        self._connection.commit()
        return rows


CONTENDER = ByHand

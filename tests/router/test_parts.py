"""A posting holds part by part: as a server runs it that makes a statement of each common table expression.

Such a server checks the keys between a balance and its last entry after each part, so the entry has to come first.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from typing import Any

import pglast
import psycopg2
import psycopg2.extras
import pytest
from pglast.stream import RawStream

from rayces_core import Appointment, CreditBalance, CreditTransaction, Database, Role, User, credits
from rayces_core.models.credit import TransactionStatus
from tests.factory import make_appointment, make_organization, make_package, make_transaction, make_user
from tests.router.collecting import Collector


class UndoneError(Exception):
    pass


@pytest.fixture
def collector(monkeypatch: pytest.MonkeyPatch) -> Iterator[Collector]:
    from rayces_core.database.engine import Engine

    made = Collector()
    monkeypatch.setattr(Engine, "_send", Engine._send)
    made.install()
    return made


def run_by_parts(cursor: Any, sql: str, values: Any) -> None:
    """Run each statement of a message, and each common table expression of it, as a statement of its own."""
    for raw in pglast.parse_sql(cursor.mogrify(sql, values).decode()):
        statement = raw.stmt
        names = []
        if statement.withClause:
            for part in statement.withClause.ctes:
                cursor.execute(f"WITH {part.ctename} AS ({RawStream()(part.ctequery)}) SELECT * FROM {part.ctename}"
                               if _returns(part.ctequery) else RawStream()(part.ctequery))  # fmt: skip
                _keep(cursor, part.ctename)
                names.append(part.ctename)
            statement.withClause = None
        cursor.execute(RawStream()(statement))
        for name in names:
            cursor.execute(f"DROP TABLE IF EXISTS pg_temp.{name}")


def _returns(query: Any) -> bool:
    return isinstance(query, pglast.ast.SelectStmt) or query.returningClause is not None


def _keep(cursor: Any, name: str) -> None:
    if cursor.description is None:
        return
    rows, columns = cursor.fetchall(), cursor.description
    cursor.execute("SELECT format_type(oid, NULL) FROM unnest(%s::oid[]) WITH ORDINALITY AS t(oid, n) ORDER BY n",
                   ([column.type_code for column in columns],))  # fmt: skip
    types = [kind for (kind,) in cursor.fetchall()]
    declared = ", ".join(f'"{column.name}" {kind}' for column, kind in zip(columns, types, strict=True))
    cursor.execute(f"CREATE TEMP TABLE {name} ({declared})")
    for row in rows:
        values = [psycopg2.extras.Json(value) if isinstance(value, dict) else value for value in row]
        cursor.execute(f"INSERT INTO {name} VALUES ({', '.join(['%s'] * len(row))})", values)


def purchased(user: Any) -> None:
    credits.purchase(user, 3)


def paid(user: Any) -> None:
    credits.purchase(user, 3, payment_method="card", payment_reference="p-1", idempotency_key="k-1")


def debited(user: Any) -> None:
    credits.debit(user, 2)


def debited_for(user: Any) -> None:
    credits.debit(user, 2, appointment=Appointment.get())


def adjusted(user: Any) -> None:
    credits.adjust(user, -1, reason="counted anew", by=User.get(User.role == Role.ADMIN))


def many(user: Any) -> None:
    credits.debit_many([{"user": user, "credits": 1}, {"user": user, "credits": 2}])


def given_back(_: Any) -> None:
    credits.refund(Appointment.get(), credits=2)


def completed(user: Any) -> None:
    entry = CreditTransaction.get(CreditTransaction.status == TransactionStatus.PENDING)
    entry.complete()


@pytest.mark.parametrize("post", [purchased, paid, debited, debited_for, given_back, adjusted, many, completed])
def test_each_part_of_a_posting_leaves_every_key_satisfied(
    db: Database, collector: Collector, post: Callable[[Any], None]
) -> None:
    organization = make_organization(db)
    with db.tenant(organization):
        user = make_user()
        credits.purchase(user, 10)
        make_appointment(client=user)
        make_user(role=Role.ADMIN)
        if post is completed:
            make_transaction(user=user, credit_balance=_balance(user), amount=4, transaction_type="purchase")
        if post is given_back:
            credits.purchase_package(user, make_package(credits=3, valid_days=30))
            credits.debit(user, 4, appointment=Appointment.get())
        with pytest.raises(UndoneError), db.atomic():
            collector.during = "this"
            post(user)
            collector.during = ""
            raise UndoneError
    written = [(sql, values) for (sql, *_), (values, *_) in collector.sent.items() if "credit_transactions" in sql]
    written = [(sql, values) for sql, values in written if "INSERT INTO" in sql and "credit_balances" in sql]
    assert written
    with psycopg2.connect(db.url) as connection:
        for sql, values in written:
            run_by_parts(connection.cursor(), sql, values)
    with db.tenant(organization):
        last = CreditTransaction.select().order_by(CreditTransaction.sequence.desc(nulls="LAST")).get()
        assert (last.sequence or 0) > 1
        assert credits.balance(user) == last.balance_after
        assert list(credits.verify().discrepancies) == []
        # Of two, one is of no lot and comes back first.
        assert [lot.remaining for lot in credits.lots(user)] == ([1] if post is given_back else [])


def _balance(user: Any) -> Any:
    return CreditBalance.get(CreditBalance.user == user)

"""Into how many tasks Citus parts each statement that the library sends for a tenant: one, as one node has its rows.

In a laboratory each distinct statement is explained just before it is sent, on its connection and in its transaction,
so those over temporary tables are as well.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any

import pglast
import psycopg2
import pytest
from psycopg2.extensions import TRANSACTION_STATUS_INERROR

from rayces_core.database.binding import bound_here
from rayces_core.database.engine import Engine
from rayces_core.database.messages import Message
from tests.router.collecting import Collector, Key, key_of

_EXPLAINED = ("SELECT", "INSERT", "UPDATE", "DELETE", "WITH")
SHOWN = 600
MISSED = "not explained"


@dataclass(frozen=True)
class Plan:
    """What Citus makes of a message: `tasks`, the most of any part of it; `parts`, run one after the other if several.

    `refused` is what it said instead.
    """

    tasks: int = 0
    parts: int = 0
    refused: str = ""


class Tasks:
    """The plugin: explains each statement that a collector has kept; one that goes to several places fails the run."""

    def __init__(self, config: pytest.Config, collector: Collector) -> None:
        self.config, self.collector = config, collector
        self.plans: dict[Key, Plan] = {}
        self.missed: set[Key] = set()
        # Each statement, what it is like and, where it goes to several places or nowhere, a sentence that says so.
        self.found: dict[str, tuple[str, str]] = {}
        send = Engine._send

        def explained(engine: Engine, how: Any, sql: Any, values: Any) -> Any:
            text = sql.plain if isinstance(sql, Message) else str(sql)
            binding = bound_here()
            key = key_of(text, values, privileged=False)
            if key not in self.plans and key in self.collector.sent and binding and not binding.privileged:
                self._explain(engine, key, values)
            return send(engine, how, sql, values)

        Engine._send = explained  # type: ignore[method-assign]

    def _explain(self, engine: Engine, key: Key, values: Any) -> None:
        session = engine._sessions.current()
        connection = session.check_out()
        try:
            if not connection.binds_apart or connection.get_transaction_status() == TRANSACTION_STATUS_INERROR:
                return
            if alone := connection.idle:
                connection.begin(bound_here())
            else:
                connection.plain("SAVEPOINT explained")
            try:
                self.plans[key] = _plan(connection, key[0], values)
            except psycopg2.errors.InsufficientPrivilege:
                pass  # so it is to be
            except psycopg2.errors.InFailedSqlTransaction:
                self.missed.add(key)  # an explanation before it has ended the transaction on a node
            except psycopg2.Error as error:
                self.plans[key] = Plan(refused=str(error).splitlines()[0])
            finally:
                if alone:
                    connection.end("ROLLBACK")
                else:
                    connection.plain("ROLLBACK TO explained; RELEASE explained")
        finally:
            session.release()

    @property
    def complaints(self) -> list[str]:
        """What fails the run."""
        return [complaint for _, complaint in self.found.values() if complaint]

    def _complaint(self, key: Key, plan: Plan) -> str:
        if plan.tasks <= 1 and not plan.refused:
            return ""
        said = plan.refused or f"{plan.tasks} tasks"
        return f"{said}, in {self.collector.sent[key][2]}: {' '.join(key[0].split())[:SHOWN]}"

    @pytest.hookimpl(tryfirst=True)
    def pytest_sessionfinish(self, session: pytest.Session) -> None:
        self.found |= {_name(key): (MISSED, "") for key in self.missed - set(self.plans)}
        self.found |= {_name(key): (_kind(plan), self._complaint(key, plan)) for key, plan in self.plans.items()}
        output = getattr(self.config, "workeroutput", None)
        if output is not None:
            output["tasks"] = self.found
        elif self.complaints and session.exitstatus == pytest.ExitCode.OK:
            session.exitstatus = pytest.ExitCode.TESTS_FAILED

    @pytest.hookimpl(optionalhook=True)
    def pytest_testnodedown(self, node: Any) -> None:
        found = getattr(node, "workeroutput", {}).get("tasks", {})
        self.found |= {name: each for name, each in found.items() if each[0] != MISSED or name not in self.found}

    def pytest_terminal_summary(self, terminalreporter: Any) -> None:
        if hasattr(self.config, "workeroutput"):
            return
        terminalreporter.section("tasks of tenants' statements")
        kinds = Counter(kind for kind, _ in self.found.values())
        for line in (*(f"{count} {kind}" for kind, count in kinds.most_common()), *self.complaints):
            terminalreporter.line(line)


def _name(key: Key) -> str:
    text, _, lacks = key
    return f"{text} without {sorted(lacks)}"


def _kind(plan: Plan) -> str:
    if plan.refused or plan.tasks > 1:
        return "not for one node"
    if not plan.tasks:
        return "of the coordinator alone"
    return "one task" if plan.parts == 1 else "one task at a time"


def _plan(connection: Any, text: str, values: Any) -> Plan:
    filled = connection.plain("SELECT").mogrify(text, values or None).decode()
    counts: list[int] = []
    for statement in pglast.split(filled):
        if statement.lstrip().upper().startswith(_EXPLAINED):
            (plan,) = connection.plain(f"EXPLAIN (COSTS OFF, FORMAT JSON) {statement}").fetchone()
            counts += _tasks(plan)
    return Plan(max(counts, default=0), len(counts))


def _tasks(node: Any) -> Iterator[int]:
    if isinstance(node, dict):
        if "Task Count" in node:
            yield node["Task Count"]
        for child in node.values():
            yield from _tasks(child)
    elif isinstance(node, list):
        for child in node:
            yield from _tasks(child)

"""Holds every statement that the library sends during the rooms' tests to the router's rules, at the end of the run.

A statement with a fault that is not in `exceptions` fails the run; so does an exception that no statement met, where
the whole of the rooms was run.
"""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest

from rayces_core.tenancy.model import TenantModel
from tests.router.collecting import Collector, Sent
from tests.router.exceptions import INTENDED
from tests.router.reading import faults

TESTS = Path(__file__).parents[1]
ROOMS = (
    "credits",
    "scheduling",
    "state_machine",
    "importing",
    "outbox",
    "sign_in",
    "exporting",
    "models",
    "calendars",
    "notices",
    "invoicing",
    "people",
)
SHOWN = 600


def tables() -> set[str]:
    """Every tenants' table that a model is about."""
    found, models = set(), [TenantModel]
    while models:
        models += (model := models.pop()).__subclasses__()
        found.add(model._meta.table_name)
    return found


def judged(sent: Sent) -> tuple[list[str], set[int]]:
    """A sentence for each fault that is not intended, and the numbers of the exceptions that were met."""
    wrong, met, known = [], set(), tables()
    for (sql, privileged, _), (values, tenant, test) in sent.items():
        for fault in sorted(faults(sql, values, tenant, known)):
            covering = {
                number for number, each in enumerate(INTENDED) if each.covers(fault, sql, privileged=privileged)
            }
            met |= covering
            if not covering:
                wrong.append(f"{fault}, in {test}: {' '.join(sql.split())[:SHOWN]}")
    return wrong, met


class Judge:
    """The plugin; one in each process of a run."""

    def __init__(self, config: pytest.Config, collector: Collector) -> None:
        self.config, self.collector = config, collector
        self.collector.install()
        self.wrong: list[str] = []
        self.met: set[int] = set()
        self.is_whole = False

    @pytest.hookimpl(tryfirst=True)
    def pytest_runtest_setup(self, item: pytest.Item) -> None:
        room = item.path.relative_to(TESTS).parts[0] if item.path.is_relative_to(TESTS) else ""
        self.collector.during = item.nodeid if room in ROOMS else ""

    def pytest_collection_finish(self, session: pytest.Session) -> None:
        there = {str(path) for room in ROOMS for path in (TESTS / room).glob("**/test_*.py")}
        whole = not (session.config.option.keyword or session.config.option.markexpr)
        self.is_whole = whole and there <= {str(item.path) for item in session.items}

    @pytest.hookimpl(tryfirst=True)
    def pytest_sessionfinish(self, session: pytest.Session) -> None:
        wrong, met = judged(self.collector.sent)
        self._take(wrong, met, self.is_whole and not session.testsfailed)
        output = getattr(self.config, "workeroutput", None)
        if output is not None:
            output["router"] = (self.wrong, sorted(self.met), self.is_whole)
        elif self.complaints and session.exitstatus == pytest.ExitCode.OK:
            session.exitstatus = pytest.ExitCode.TESTS_FAILED

    @pytest.hookimpl(optionalhook=True)
    def pytest_testnodedown(self, node: Any) -> None:
        wrong, met, whole = getattr(node, "workeroutput", {}).get("router", ([], [], False))
        self._take(wrong, set(met), whole)

    def _take(self, wrong: list[str], met: set[int], whole: bool) -> None:
        self.wrong += [each for each in wrong if each not in self.wrong]
        self.met |= met
        self.is_whole = whole or self.is_whole

    @property
    def complaints(self) -> list[str]:
        """What fails the run."""
        unmet = [each for number, each in enumerate(INTENDED) if number not in self.met] if self.is_whole else []
        return self.wrong + [f"no statement meets the exception any more: {each}" for each in unmet]

    def pytest_terminal_summary(self, terminalreporter: Any) -> None:
        if self.complaints and not hasattr(self.config, "workeroutput"):
            terminalreporter.section("not for a router: see docs/suite.md", red=True, bold=True)
            for each in self.complaints:
                terminalreporter.line(each)

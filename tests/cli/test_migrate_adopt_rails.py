"""`rayces migrate adopt` on the database of a rayces Rails application."""

from __future__ import annotations

import json
from collections.abc import Callable

import pytest

from tests.cli.process import Terminal
from tests.conftest import on_server, scratch_copied_from
from tests.migrating.adopting.rails.database import SCHEMA
from tests.migrating.adopting.rails.dirt import DIRT, FEW


@pytest.fixture
def rails(capsys: pytest.CaptureFixture[str], make_database: Callable[..., str]) -> Terminal:
    """A command line on a Rails application's database with one kind of dirt."""
    url = make_database()
    on_server(url, f"{SCHEMA} {FEW} {DIRT['blank names'][0]}")
    return Terminal(capsys, url)


@pytest.mark.slow
def test_reported_adopted_and_undone(rails: Terminal, server_url: str, template: str) -> None:
    found = json.loads(rails("migrate", "adopt", "--report", "--json").out)
    assert [each["kind"] for each in found["findings"] if each["open"]] == ["blank-names", "blank-names", "roles"]
    refused = rails("migrate", "adopt", "--fix", "roles=rails")
    assert (refused.code, "2 findings stand in the way" in refused.out) == (1, True)
    fixes = ("--fix", "roles=rails", "--fix", "blank-names=placeholder")
    ran = rails("migrate", "adopt", *fixes)
    assert (ran.code, "2 organizations are tenants now: 1, 2" in ran.out) == (0, True), ran.err
    assert 'schema_search_path: "rayces_rails,public,rayces_before"' in ran.out
    assert "rayces_set_aside keeps 1 rows of organizations as they were" in ran.out
    with scratch_copied_from(template):
        assert rails("migrate", "check", "--scratch-url", server_url).code == 0
    assert rails("doctor").code == 0
    ran = rails("migrate", "adopt", "--undo")
    assert (ran.code, ran.out.splitlines()[0]) == (0, "this is the old application's database again, as it was")


@pytest.mark.exhaustive  # a MyHub is in `make test`, and what a finish leaves of this in test_adoption.py
def test_undone_adopted_again_and_finished(rails: Terminal) -> None:
    fixes = ("--fix", "roles=rails", "--fix", "blank-names=placeholder")
    assert rails("migrate", "adopt", *fixes).code == 0
    assert rails("migrate", "adopt", "--undo").code == 0
    outcome = json.loads(rails("migrate", "adopt", *fixes, "--json").out)
    assert (outcome["organizations"], outcome["copied"]["users"]) == ([1, 2], 8)
    ran = rails("migrate", "adopt", "--finish")
    assert (ran.code, "DROP SCHEMA rayces_before CASCADE;" in ran.out) == (0, True)
    assert rails("migrate", "status").code == rails("doctor").code == 0


def test_a_name_is_refused_as_there_are_several(rails: Terminal) -> None:
    ran = rails("migrate", "adopt", "--organization-name", "North", "--subdomain", "north")
    assert (ran.code, "organizations of its own" in ran.err) == (3, True)
